//! Scenarios of tasks that wait for each other, and of batches.

use tasktonic_core::command::{After, Control, Expiry, Gathers, NewSerial, Node, Purge, Report};
use tasktonic_core::links::{Links, OnFailure};
use tasktonic_core::reply::{Controlled, Refusal};
use tasktonic_core::routing::partition_of;
use tasktonic_core::{TaskId, TaskState, UserId};

use super::scene::{Scene, ack, write};
use crate::{Held, Query, QueryReply};
use OnFailure::{Continue, Fail, Ignore};

impl Scene {
    fn node(&self, user: &str) -> Node {
        Node { new: self.draft(user), part_of: None, gathers: None, after: Vec::new() }
    }

    pub(super) fn root(&self, user: &str) -> Node {
        Node { gathers: Some(Gathers::Flow), ..self.node(user) }
    }

    pub(super) fn batch(&self, user: &str, runs: bool) -> Node {
        Node { gathers: Some(Gathers::Batch { runs }), ..self.node(user) }
    }

    /// A part of `flow` that comes after `after`.
    pub(super) fn part(&self, user: &str, flow: TaskId, after: &[(TaskId, OnFailure)]) -> Node {
        let after =
            after.iter().map(|(task, on_failure)| After { task: *task, on_failure: *on_failure });
        Node { part_of: Some(flow), after: after.collect(), ..self.node(user) }
    }

    pub(super) async fn flow(&self, user: &str, nodes: Vec<Node>) -> Vec<Controlled> {
        let user: UserId = user.parse().expect("a user id");
        let p = partition_of(&user, self.store.partitions());
        let control = Control::Flow { at_ms: self.now_ms(), user, nodes };
        self.store.control(p, control).await.expect("the store takes it")
    }

    pub(super) async fn seal(&self, user: &str, task: TaskId) -> Controlled {
        let user: UserId = user.parse().expect("a user id");
        let p = partition_of(&user, self.store.partitions());
        let control = Control::Seal { at_ms: self.now_ms(), user, task };
        self.store.control(p, control).await.expect("the store takes it")[0]
    }

    pub(super) async fn links(&self, user: &str, task: TaskId) -> Option<Links> {
        let query = Query::Links { user: user.parse().expect("a user id"), tasks: vec![task] };
        let QueryReply::Links(mut links) = self.read(user, query).await else {
            panic!("a question is answered in kind")
        };
        links.remove(0)
    }

    async fn parts(&self, user: &str, task: TaskId, after: Option<TaskId>) -> Vec<TaskId> {
        let user_id = user.parse().expect("a user id");
        let query = Query::Parts { user: user_id, task, after, limit: 100 };
        let QueryReply::Parts(parts) = self.read(user, query).await else {
            panic!("a question is answered in kind")
        };
        parts
    }

    async fn ack_all(&self, held: Vec<Held>) {
        for held in held {
            assert!(self.report(&held.lease, ack(held.n + 1)).await);
        }
    }

    /// Lets time pass until nothing is due, claiming nothing.
    pub(super) async fn rest(&self) {
        for _ in 0..100 {
            self.pass(300);
            if self.sync("rest", Vec::new(), 0, false).await.next_in_ms != Some(0) {
                return;
            }
        }
        panic!("it never comes to rest");
    }
}

pub(super) fn bury(held: &Held) -> Report {
    Report::Bury { write: write(held.n + 1), keep_s: 60 }
}

fn ids(nodes: &[Node]) -> Vec<TaskId> {
    nodes.iter().map(|node| node.new.task).collect()
}

/// Fan-out and fan-in: the last waits for both before it, is queued once, and its flow ends with it.
pub async fn a_task_waits_for_all_that_it_comes_after(scene: Scene) {
    let root = scene.root("ana");
    let flow = root.new.task;
    let first = scene.part("ana", flow, &[]);
    let one = first.new.task;
    let (left, right) =
        (scene.part("ana", flow, &[(one, Fail)]), scene.part("ana", flow, &[(one, Fail)]));
    let (a, b) = (left.new.task, right.new.task);
    let last = scene.part("ana", flow, &[(a, Fail), (b, Continue)]);
    let end = last.new.task;
    let nodes = vec![root, first, left, right, last];
    assert_eq!(scene.flow("ana", nodes.clone()).await, [Controlled::Done; 5]);
    assert_eq!(scene.flow("ana", nodes).await, [Controlled::Done; 5], "said again, it is the same");
    assert_eq!(scene.parts("ana", flow, None).await, [one, a, b, end]);
    assert_eq!(scene.parts("ana", flow, Some(a)).await, [b, end]);
    let held = scene.claim_one("w").await;
    assert_eq!(held.lease.task, one);
    assert_eq!(scene.claim("w", 5).await, Vec::new());
    assert_eq!(scene.links("ana", one).await.expect("it has ties").down, [a, b]);
    scene.ack_all(vec![held]).await;
    let mut both = scene.claim("w", 5).await;
    assert_eq!(both.iter().map(|held| held.lease.task).collect::<Vec<_>>(), [a, b]);
    scene.ack_all(vec![both.remove(1)]).await;
    assert_eq!(scene.state("ana", end).await, "waiting");
    let ties = scene.links("ana", end).await.expect("it has ties");
    assert_eq!((ties.pending(), ties.up[0].told, ties.up[1].told), (1, false, true));
    scene.ack_all(both).await;
    assert_eq!(scene.state("ana", flow).await, "waiting");
    let last = scene.claim_one("w").await;
    assert_eq!(last.lease.task, end);
    scene.ack_all(vec![last]).await;
    assert_eq!(scene.state("ana", flow).await, "completed");
    let gather = scene.links("ana", flow).await.expect("it gathers").gather.expect("it gathers");
    assert_eq!((gather.total, gather.completed), (4, 4));
    let state = scene.task("ana", flow).await.expect("it is kept").state.expect("it has ended");
    assert!(state.contains(r#""p":{"done":4,"total":4,"unit":"tasks"}"#), "{state}");
    assert_eq!(scene.claim("w", 5).await, Vec::new());
    assert_eq!(scene.links("ben", one).await, None, "they are ana's");
}

/// What waits for a task that failed ends, goes on, or goes on and knows, as its tie says.
pub async fn a_failure_goes_as_far_as_the_ties_say(scene: Scene) {
    let root = scene.root("ana");
    let flow = root.new.task;
    let bad = scene.part("ana", flow, &[]);
    let of = bad.new.task;
    let fails = scene.part("ana", flow, &[(of, Fail)]);
    let behind = scene.part("ana", flow, &[(fails.new.task, Fail)]);
    let ignores = scene.part("ana", flow, &[(of, Ignore)]);
    let knows = scene.part("ana", flow, &[(behind.new.task, Continue)]);
    let nodes = vec![root, bad, fails, behind, ignores, knows];
    let all = ids(&nodes);
    scene.flow("ana", nodes).await;
    let held = scene.claim_one("w").await;
    assert!(scene.report(&held.lease, bury(&held)).await);
    let expected = ["waiting", "dead", "cancelled", "cancelled", "queued", "queued"];
    for (task, state) in all.iter().zip(expected) {
        assert_eq!(scene.state("ana", *task).await, state, "{task}");
    }
    let state = scene.task("ana", all[3]).await.expect("it is kept").state.expect("it ended");
    assert!(state.contains(&format!(r#""why":"upstream","of":"{}""#, all[2])), "{state}");
    scene.ack_all(scene.claim("w", 5).await).await;
    assert_eq!(scene.state("ana", flow).await, "dead");
}

/// All of a flow or nothing of it.
pub async fn a_flow_with_one_task_refused_leaves_nothing(scene: Scene) {
    let alone = scene.submit("ana").await;
    let refused = Controlled::Refused;
    let root = scene.root("ana");
    let flow = root.new.task;
    let nobody = scene.draft("ana").task;
    let nodes = vec![
        root.clone(),
        scene.part("ana", flow, &[]),
        scene.part("ana", flow, &[(nobody, Fail)]),
        scene.part("ana", flow, &[(alone, Fail)]),
    ];
    let all = ids(&nodes);
    let withheld = refused(Refusal::Withheld);
    let said = [withheld, withheld, refused(Refusal::NoTask), refused(Refusal::Outside)];
    assert_eq!(scene.flow("ana", nodes).await, said);
    for task in all {
        assert_eq!(scene.state("ana", task).await, "", "{task} is not there");
    }
    let mut crowd = vec![root.clone()];
    for _ in 0..3 {
        let mut node = scene.part("ana", flow, &[]);
        node.new.lane_max = 4;
        crowd.push(node);
    }
    let said = scene.flow("ana", crowd.clone()).await;
    assert_eq!(said, [withheld, withheld, withheld, refused(Refusal::LaneFull)]);
    crowd.pop();
    assert_eq!(scene.flow("ana", crowd).await, [Controlled::Done; 3]);
    let again = vec![root, scene.part("ana", flow, &[])];
    assert_eq!(scene.flow("ana", again).await, [refused(Refusal::Exists), withheld]);
    let lost = scene.part("ana", nobody, &[]);
    assert_eq!(scene.flow("ana", vec![lost]).await, [refused(Refusal::NoFlow)]);
    let others = scene.part("ben", flow, &[]);
    assert_eq!(scene.flow("ben", vec![others]).await, [refused(Refusal::NoFlow)]);
    assert_eq!(scene.claim("w", 9).await.len(), 3, "the two parts, and the one alone");
    assert_eq!(scene.claim("w", 9).await, Vec::new());
    let outside =
        Node { after: vec![After { task: alone, on_failure: Fail }], ..scene.node("ana") };
    assert_eq!(scene.flow("ana", vec![outside]).await, [Controlled::Done], "without a flow it may");
}

/// A flow grows while it runs, also behind what has ended already.
pub async fn a_running_part_adds_parts_to_its_flow(scene: Scene) {
    let root = scene.root("ana");
    let flow = root.new.task;
    let first = scene.part("ana", flow, &[]);
    let one = first.new.task;
    scene.flow("ana", vec![root, first]).await;
    let held = scene.claim_one("w").await;
    let more = vec![scene.part("ana", flow, &[]), scene.part("ana", flow, &[(one, Fail)])];
    let more_ids = ids(&more);
    assert_eq!(scene.flow("ana", more).await, [Controlled::Done; 2]);
    scene.ack_all(vec![held]).await;
    let late = scene.part("ana", flow, &[(one, Fail)]);
    let late_id = late.new.task;
    assert_eq!(scene.flow("ana", vec![late]).await, [Controlled::Done]);
    let held = scene.claim("w", 9).await;
    let tasks: Vec<_> = held.iter().map(|held| held.lease.task).collect();
    assert_eq!(tasks, [more_ids[0], more_ids[1], late_id]);
    scene.ack_all(held).await;
    assert_eq!(scene.state("ana", flow).await, "completed");
    let closed = Controlled::Refused(Refusal::Closed);
    let after_all = scene.part("ana", flow, &[]);
    assert_eq!(scene.flow("ana", vec![after_all]).await, [closed]);
}

/// An attempt that lost its worker is settled, and the flow goes on.
pub async fn a_lost_worker_holds_up_no_flow_for_ever(scene: Scene) {
    let root = scene.root("ana");
    let flow = root.new.task;
    let first = scene.part("ana", flow, &[]);
    let second = scene.part("ana", flow, &[(first.new.task, Fail)]);
    scene.flow("ana", vec![root, first, second]).await;
    for _ in 0..2 {
        scene.claim_one("doomed").await;
        let lost = scene.outlive("w").await;
        assert_eq!(lost.len(), 1);
        scene.ack_all(lost).await;
    }
    assert_eq!(scene.state("ana", flow).await, "completed");
}

/// However many parts there are: those that wait end at once, those that run are asked to.
pub async fn a_cancelled_flow_takes_all_its_parts_along(scene: Scene) {
    let root = scene.root("ana");
    let flow = root.new.task;
    let first = scene.part("ana", flow, &[]);
    let one = first.new.task;
    scene.flow("ana", vec![root, first]).await;
    for _ in 0..3 {
        let nodes = (0..50).map(|_| scene.part("ana", flow, &[(one, Fail)]));
        let nodes = nodes.take(40).chain((0..10).map(|_| scene.part("ana", flow, &[]))).collect();
        assert_eq!(scene.flow("ana", nodes).await, [Controlled::Done; 50]);
    }
    let running = scene.claim_one("w").await;
    assert_eq!(scene.cancel("ana", flow).await, Controlled::Done);
    assert_eq!(
        scene.cancel("ana", flow).await,
        Controlled::Unfit(tasktonic_core::TaskState::Cancelled)
    );
    scene.rest().await;
    let mut states = std::collections::BTreeMap::new();
    let mut after = None;
    loop {
        let parts = scene.parts("ana", flow, after).await;
        let Some(last) = parts.last() else { break };
        after = Some(*last);
        for part in parts {
            *states.entry(scene.state("ana", part).await).or_insert(0) += 1;
        }
    }
    let expected = [("cancelled".to_owned(), 150), ("running".to_owned(), 1)];
    assert_eq!(states, expected.into());
    assert_eq!(scene.claim("w", 9).await, Vec::new());
    scene.release(&running).await;
    assert_eq!(scene.state("ana", one).await, "cancelled", "an accepted cancellation sticks");
    scene.rest().await;
    let gather = scene.links("ana", flow).await.expect("it gathers").gather.expect("it gathers");
    assert_eq!((gather.total, gather.cancelled), (151, 151));
}

/// Sent back in the order in which they wait for each other, all parts come to their end.
pub async fn a_failed_flow_goes_on_when_its_parts_are_sent_back(scene: Scene) {
    use tasktonic_core::TaskState::{Cancelled, Dead};
    let root = scene.root("ana");
    let flow = root.new.task;
    let first = scene.part("ana", flow, &[]);
    let second = scene.part("ana", flow, &[(first.new.task, Fail)]);
    let (one, two) = (first.new.task, second.new.task);
    scene.flow("ana", vec![root, first, second]).await;
    let held = scene.claim_one("w").await;
    assert!(scene.report(&held.lease, bury(&held)).await);
    assert_eq!(scene.state("ana", flow).await, "dead");
    assert_eq!(scene.redrive("ana", flow, 1).await, Controlled::Unfit(Dead));
    assert_eq!(scene.redrive("ana", two, 1).await, Controlled::Unfit(Cancelled));
    assert_eq!(scene.redrive("ana", one, 1).await, Controlled::Done);
    assert_eq!(scene.state("ana", flow).await, "waiting");
    assert_eq!(scene.redrive("ana", two, 1).await, Controlled::Done);
    assert_eq!(scene.state("ana", two).await, "waiting");
    for task in [one, two] {
        let held = scene.claim_one("w").await;
        assert_eq!(held.lease.task, task);
        scene.ack_all(vec![held]).await;
    }
    assert_eq!(scene.state("ana", flow).await, "completed");
}

/// Open, add in chunks, seal: the callback runs once, after all parts, whatever became of them.
pub async fn a_batch_calls_back_once_when_all_its_parts_have_ended(scene: Scene) {
    let batch = scene.batch("ana", true);
    let id = batch.new.task;
    assert_eq!(scene.flow("ana", vec![batch]).await, [Controlled::Done]);
    let mut ended = 0;
    for chunk in 0..4 {
        let parts: Vec<Node> = (0..25).map(|_| scene.part("ana", id, &[])).collect();
        assert_eq!(scene.flow("ana", parts).await, [Controlled::Done; 25]);
        let held = scene.claim("w", 20).await;
        for (at, held) in held.into_iter().enumerate() {
            let report = if at == chunk { bury(&held) } else { ack(held.n + 1) };
            assert!(scene.report(&held.lease, report).await);
            ended += 1;
            let gather = scene.links("ana", id).await.and_then(|links| links.gather);
            assert_eq!(gather.expect("it gathers").ended(), ended, "the bar never goes back");
        }
    }
    assert_eq!(scene.state("ana", id).await, "waiting", "there may be more");
    assert_eq!(scene.seal("ana", id).await, Controlled::Done);
    assert_eq!(scene.seal("ben", id).await, Controlled::Absent);
    assert_eq!(scene.state("ana", id).await, "waiting");
    let closed = Controlled::Refused(Refusal::Closed);
    assert_eq!(scene.flow("ana", vec![scene.part("ana", id, &[])]).await, [closed]);
    // A worker that dies costs an attempt, and no end.
    let held = scene.claim("doomed", 50).await;
    assert_eq!(held.len(), 20);
    let lost = scene.outlive("w").await;
    assert_eq!(lost.len(), 20);
    scene.ack_all(lost).await;
    let callback = scene.claim_one("w").await;
    assert_eq!(callback.lease.task, id);
    scene.ack_all(vec![callback]).await;
    assert_eq!(scene.seal("ana", id).await, Controlled::Done, "said again, it is the same");
    assert_eq!(scene.claim("w", 9).await, Vec::new());
    assert_eq!(scene.state("ana", id).await, "completed");
    let plain = scene.batch("ana", false);
    let id = plain.new.task;
    scene.flow("ana", vec![plain]).await;
    assert_eq!(scene.seal("ana", id).await, Controlled::Done, "one without parts may be sealed");
    assert_eq!(scene.state("ana", id).await, "completed");
}

/// Expiry is an end like any other.
pub async fn a_part_that_nobody_took_in_time_is_counted(scene: Scene) {
    let root = scene.root("ana");
    let flow = root.new.task;
    let mut late = scene.part("ana", flow, &[]);
    late.new.expires = Some(Expiry { at_ms: scene.now_ms() + 1_000, keep_s: 60 });
    let mut never = scene.part("ana", flow, &[(late.new.task, Continue)]);
    never.new.expires = Some(Expiry { at_ms: scene.now_ms() + 1_000, keep_s: 60 });
    let last = scene.part("ana", flow, &[(never.new.task, Ignore)]);
    let (gone, end) = (never.new.task, last.new.task);
    scene.flow("ana", vec![root, late, never, last]).await;
    scene.pass(2_000);
    scene.rest().await;
    assert_eq!(scene.state("ana", gone).await, "cancelled");
    let held = scene.claim_one("w").await;
    assert_eq!(held.lease.task, end);
    scene.ack_all(vec![held]).await;
    assert_eq!(scene.state("ana", flow).await, "cancelled");
}

/// Parts of one serial key stand in its line from when they wait for nobody else.
pub async fn parts_of_one_serial_key_run_one_at_a_time(scene: Scene) {
    let root = scene.root("ana");
    let flow = root.new.task;
    let serial = Some(NewSerial { key: 7, stops_running: false });
    let first = scene.part("ana", flow, &[]);
    let one = first.new.task;
    let mut nodes = vec![root, first];
    for _ in 0..3 {
        let mut node = scene.part("ana", flow, &[(one, Fail)]);
        node.new.serial = serial;
        nodes.push(node);
    }
    let mut alone = scene.part("ana", flow, &[]);
    alone.new.serial = serial;
    let ahead = alone.new.task;
    nodes.push(alone);
    let all = ids(&nodes);
    assert_eq!(scene.flow("ana", nodes).await, [Controlled::Done; 6]);
    let held = scene.claim("w", 9).await;
    assert_eq!(held.iter().map(|held| held.lease.task).collect::<Vec<_>>(), [one, ahead]);
    for held in held {
        scene.ack_all(vec![held]).await;
    }
    for task in &all[2..5] {
        let held = scene.claim("w", 9).await;
        assert_eq!(held.iter().map(|held| held.lease.task).collect::<Vec<_>>(), [*task]);
        scene.ack_all(held).await;
    }
    assert_eq!(scene.state("ana", flow).await, "completed");
}

/// Whoever removes a part by hand takes it out of its flow, but not before its end was told.
pub async fn a_part_that_is_purged_leaves_nobody_waiting(scene: Scene) {
    let root = scene.root("ana");
    let flow = root.new.task;
    let first = scene.part("ana", flow, &[]);
    let second = scene.part("ana", flow, &[(first.new.task, Fail)]);
    let (one, two) = (first.new.task, second.new.task);
    scene.flow("ana", vec![root, first, second]).await;
    let purge = async |task, claim| {
        let tasks = vec![Purge { task, claim, key: None }];
        let user = "ana".parse().expect("a user id");
        scene.control("ana", Control::Purge { at_ms: scene.now_ms(), user, tasks }).await
    };
    assert_eq!(purge(two, 1).await, Controlled::Unfit(TaskState::Waiting));
    let held = scene.claim_one("w").await;
    scene.ack_all(vec![held]).await;
    assert_eq!(purge(one, 1).await, Controlled::Done);
    assert_eq!((scene.links("ana", one).await, scene.state("ana", one).await), (None, "".into()));
    assert_eq!(scene.parts("ana", flow, None).await, [two]);
    let held = scene.claim_one("w").await;
    scene.ack_all(vec![held]).await;
    assert_eq!(scene.state("ana", flow).await, "completed");
    assert_eq!(purge(flow, 1).await, Controlled::Done);
    assert_eq!(
        (scene.links("ana", flow).await, scene.parts("ana", flow, None).await),
        (None, vec![])
    );
    assert_eq!(purge(two, 1).await, Controlled::Done);
    assert_eq!(scene.links("ana", two).await, None);
}

/// With more ends to be told than one call tells: what is left of them is told to nobody, and the
/// flows of others go on.
pub async fn a_user_with_flows_is_erased_with_all_ties(scene: Scene) {
    let mut roots = Vec::new();
    for _ in 0..3 {
        let root = scene.root("ana");
        let flow = root.new.task;
        let first = scene.part("ana", flow, &[]);
        let one = first.new.task;
        let mut nodes = vec![root, first];
        nodes.extend((0..100).map(|_| scene.part("ana", flow, &[(one, Fail)])));
        scene.flow("ana", nodes).await;
        roots.push(flow);
    }
    let other = scene.root("ben");
    let of = other.new.task;
    let (first, second) = (scene.part("ben", of, &[]), scene.part("ben", of, &[]));
    scene.flow("ben", vec![other, first, second]).await;
    let user: UserId = "ana".parse().expect("a user id");
    let p = partition_of(&user, scene.store.partitions());
    let body = r#""why":"asked""#.into();
    let cancel = Control::Cancel {
        at_ms: scene.now_ms(),
        user: user.clone(),
        tasks: roots.clone(),
        body,
        keep_s: 60,
    };
    scene.store.control(p, cancel).await.expect("the store takes it");
    let mut steps = 0;
    while scene.control("ana", Control::Erase { user: user.clone() }).await != Controlled::Done {
        steps += 1;
        assert!(steps < 9, "it ends");
    }
    for flow in roots {
        assert_eq!(scene.links("ana", flow).await, None);
        assert_eq!(scene.parts("ana", flow, None).await, Vec::new());
    }
    scene.rest().await;
    let held = scene.claim("w", 9).await;
    assert_eq!(held.len(), 2, "those of ben");
    scene.ack_all(held).await;
    assert_eq!(scene.state("ben", of).await, "completed");
    assert_eq!(scene.claim("w", 9).await, Vec::new());
}

/// A task that is kept for no time at all is gone at once, but not before its end was told.
pub async fn what_is_swept_has_told_its_end(scene: Scene) {
    let root = scene.root("ana");
    let flow = root.new.task;
    let first = scene.part("ana", flow, &[]);
    let one = first.new.task;
    let second = scene.part("ana", flow, &[(one, Fail)]);
    scene.flow("ana", vec![root, first, second]).await;
    for _ in 0..2 {
        let held = scene.claim_one("w").await;
        let report = Report::Ack { write: write(held.n + 1), keep_s: 0 };
        assert!(scene.report(&held.lease, report).await);
        scene.pass(1_000);
        scene.sync("w", Vec::new(), 0, false).await;
        assert_eq!(scene.state("ana", held.lease.task).await, "");
        assert_eq!(scene.links("ana", held.lease.task).await, None);
    }
    assert_eq!(scene.state("ana", flow).await, "completed");
    assert_eq!(scene.parts("ana", flow, None).await, Vec::new());
    let gather = scene.links("ana", flow).await.expect("it gathers").gather.expect("it gathers");
    assert_eq!((gather.total, gather.completed), (2, 2));
}
