//! Scenarios of who is told what became of the tasks that one waited for.

use tasktonic_core::command::{After, Control, Gathers, Node, Report};
use tasktonic_core::links::OnFailure;
use tasktonic_core::reply::Controlled;
use tasktonic_core::routing::partition_of;
use tasktonic_core::{Lease, TaskId, Text};
use tasktonic_protocol::status::TaskStatus;

use super::scene::{Scene, ack, write};
use crate::inputs::InputsPage;
use crate::{Query, QueryReply};

impl Scene {
    async fn told(&self, lease: &Lease, after: Option<TaskId>, limit: u32) -> Option<InputsPage> {
        let query = Query::Inputs { lease: lease.clone(), after, limit };
        match self.read(lease.user.as_str(), query).await {
            QueryReply::Inputs(page) => page,
            _ => panic!("a question is answered in kind"),
        }
    }

    async fn tied(&self, user: &str, nodes: Vec<Node>) {
        let user: tasktonic_core::UserId = user.parse().expect("a user id");
        let p = partition_of(&user, self.store.partitions());
        let count = nodes.len();
        let control = Control::Flow { at_ms: self.now_ms(), user, nodes };
        let answers = self.store.control(p, control).await.expect("the store takes it");
        assert_eq!(answers, vec![Controlled::Done; count]);
    }

    /// A task that comes after `after`, named `name`.
    fn named(&self, user: &str, name: &str, after: &[(TaskId, OnFailure)]) -> Node {
        let mut new = self.draft(user);
        let text = new.descriptor.replace(r#""p":"#, &format!(r#""nm":"{name}","p":"#));
        new.descriptor = text.into();
        let after =
            after.iter().map(|(task, on_failure)| After { task: *task, on_failure: *on_failure });
        Node { new, part_of: None, gathers: None, after: after.collect() }
    }
}

fn done(n: u32, output: &str) -> Report {
    let body: Text = format!(r#""st":5,"ho":true,"out":{output}"#).into();
    let mut write = write(n);
    write.body = body;
    Report::Ack { write, keep_s: 3_600 }
}

/// A task is told of those it waited for, in the order in which it named them, by who holds it now.
pub async fn a_task_is_told_what_became_of_those_it_waited_for(scene: Scene) {
    let left = scene.named("ana", "left", &[]);
    let right = scene.named("ana", "right", &[]);
    let other = scene.named("ana", "other", &[]);
    let ids = [&left, &right, &other].map(|node| node.new.task);
    let last =
        scene.named("ana", "last", &[(ids[1], OnFailure::Continue), (ids[0], OnFailure::Fail)]);
    let task = last.new.task;
    scene.tied("ana", vec![left, right, other, last]).await;
    let strangers = scene.submit("ben").await;
    for held in scene.claim("w1", 10).await {
        let none = scene.told(&held.lease, None, 10).await.expect("it is held");
        assert!(none.inputs.is_empty() && none.next.is_none(), "it waited for nobody");
        let report = match held.lease.task {
            id if id == ids[0] => done(held.n + 1, r#"{"a": 1.50}"#),
            id if id == ids[1] => {
                let mut write = write(held.n + 1);
                write.body = r#""st":5,"err":{"code":"boom","message":"It broke."}"#.into();
                Report::Bury { write, keep_s: 3_600 }
            }
            id => {
                assert!(id == ids[2] || id == strangers);
                done(held.n + 1, r#""nobody else's""#)
            }
        };
        assert!(scene.report(&held.lease, report).await);
    }
    let held = scene.claim_one("w1").await;
    assert_eq!(held.lease.task, task);
    let page = scene.told(&held.lease, None, 10).await.expect("it is held");
    assert_eq!(page.next, None);
    let [right, left] = &page.inputs[..] else { panic!("two of them: {page:?}") };
    assert_eq!((&right.id, &left.id), (&ids[1].to_string(), &ids[0].to_string()));
    assert_eq!(
        (right.status, right.on_failure),
        (Some(TaskStatus::Failed), Some(OnFailure::Continue.into()))
    );
    assert_eq!(right.error.as_ref().map(|error| error.code.as_str()), Some("boom"));
    assert_eq!((right.name.as_deref(), right.kind.as_deref()), (Some("right"), Some("mail")));
    assert_eq!(
        (left.status, left.on_failure),
        (Some(TaskStatus::Completed), Some(OnFailure::Fail.into()))
    );
    let output = left.output.as_ref().map(|output| output.get());
    assert_eq!(output, Some(r#"{"a": 1.50}"#), "byte for byte");
    // A page at a time.
    let page = scene.told(&held.lease, None, 1).await.expect("it is held");
    assert_eq!((page.inputs.len(), page.next), (1, Some(ids[1])));
    let page = scene.told(&held.lease, page.next, 1).await.expect("it is held");
    assert_eq!((page.inputs[0].id.clone(), page.next), (ids[0].to_string(), Some(ids[0])));
    let page = scene.told(&held.lease, page.next, 1).await.expect("it is held");
    assert!(page.inputs.is_empty() && page.next.is_none());

    // Of a lease nothing may be changed.
    let mut forged = vec![Lease { claim: held.lease.claim + 1, ..held.lease.clone() }];
    forged.push(Lease { attempt: held.lease.attempt + 1, ..held.lease.clone() });
    forged.push(Lease { call: held.lease.call + 1, ..held.lease.clone() });
    forged.push(Lease { worker: "w2".parse().expect("an id"), ..held.lease.clone() });
    forged.push(Lease { task: ids[0], ..held.lease.clone() });
    forged.push(Lease { user: "ben".parse().expect("an id"), ..held.lease.clone() });
    for lease in forged {
        assert!(scene.told(&lease, None, 10).await.is_none(), "{lease}");
    }
    // Who lost it is told nothing, who has it now is.
    let adopted = scene.outlive("w2").await;
    let adopted = adopted.iter().find(|one| one.lease.task == task).expect("it is adopted");
    assert!(scene.told(&held.lease, None, 10).await.is_none(), "a stale worker");
    let page = scene.told(&adopted.lease, None, 10).await.expect("it is held");
    assert_eq!(page.inputs.len(), 2);
    assert!(scene.report(&adopted.lease, ack(adopted.n + 1)).await);
    assert!(scene.told(&adopted.lease, None, 10).await.is_none(), "it has ended");
}

/// The callback of a batch is told of each part that is there once, a page at a time.
pub async fn a_batch_is_told_of_all_its_parts_a_page_at_a_time(scene: Scene) {
    let mut root = scene.named("ana", "all", &[]);
    root.gathers = Some(Gathers::Batch { runs: true });
    let batch = root.new.task;
    scene.tied("ana", vec![root]).await;
    let mut parts = Vec::new();
    for round in 0..3 {
        let mut nodes = Vec::new();
        for n in 0..50 {
            let mut node = scene.named("ana", &format!("part {round} {n}"), &[]);
            node.part_of = Some(batch);
            parts.push(node.new.task);
            nodes.push(node);
        }
        scene.tied("ana", nodes).await;
    }
    let user: tasktonic_core::UserId = "ana".parse().expect("a user id");
    let p = partition_of(&user, scene.store.partitions());
    let seal = Control::Seal { at_ms: scene.now_ms(), user: user.clone(), task: batch };
    scene.store.control(p, seal).await.expect("the store takes it");
    let removed = parts[7];
    let mut left = parts.len();
    while left > 0 {
        for held in scene.claim("w1", 50).await {
            assert_ne!(held.lease.task, batch, "it waits for its parts");
            let output = format!(r#"{{"of":"{}"}}"#, held.lease.task);
            let mut report = done(held.n + 1, &output);
            if let Report::Ack { keep_s, .. } = &mut report
                && held.lease.task == removed
            {
                *keep_s = 1;
            }
            assert!(scene.report(&held.lease, report).await);
            left -= 1;
        }
    }
    // What is over its retention goes before the batch reads it.
    for _ in 0..20 {
        scene.pass(300);
        scene.sync("rest", Vec::new(), 0, false).await;
    }
    let held = scene.claim_one("w1").await;
    assert_eq!(held.lease.task, batch);
    let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = scene.told(&held.lease, after, 1_000).await.expect("it is held");
        assert!(page.inputs.len() <= crate::limits::INPUTS_PAGE_MAX as usize);
        for input in page.inputs {
            assert_eq!(input.on_failure, None);
            assert_eq!(input.status, Some(TaskStatus::Completed));
            let output = input.output.as_ref().map(|output| output.get().to_owned());
            assert_eq!(output, Some(format!(r#"{{"of":"{}"}}"#, input.id)));
            seen.push(input.id);
        }
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    // Removing a part takes it out of its batch.
    parts.retain(|part| *part != removed);
    let mut expected: Vec<String> = parts.iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!((seen, pages), (expected, 2));
}
