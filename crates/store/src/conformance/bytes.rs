//! Scenarios of how many bytes the tasks of a user may hold.

use tasktonic_core::command::{Control, NewTask, Purge, Redrive, Report, Rewrite};
use tasktonic_core::reply::{Controlled, Refusal, Submitted};
use tasktonic_core::{Text, UserId};

use super::scene::{Scene, write};

/// Submissions at once.
const SUBMITS: usize = 1_000;

impl Scene {
    async fn may_hold(&self, user: &str, bytes_max: Option<u64>) {
        let id: UserId = user.parse().unwrap();
        let control = Control::Bytes { user: id, bytes_max };
        assert_eq!(self.control(user, control).await, Controlled::Done);
    }

    /// A task of `user` whose descriptor has so many bytes.
    fn sized(&self, user: &str, bytes: usize) -> NewTask {
        let mut new = self.draft(user);
        let frame = r#"{"v":1,"k":"mail","q":"mail","at":1,"max":2,"p":""}"#;
        let filled = "x".repeat(bytes - frame.len());
        new.descriptor = frame.replace(r#""p":"""#, &format!(r#""p":"{filled}""#)).into();
        assert_eq!(new.descriptor.len(), bytes);
        NewTask { lane_max: u32::MAX, ..new }
    }
}

/// However many submit at once, what is accepted fits, nothing is kept of what does not, and what was
/// accepted runs and ends.
pub async fn a_thousand_submits_at_once_never_pass_the_quota(scene: Scene) {
    let (each, fit) = (200, 137);
    scene.may_hold("ana", Some(each * fit + each - 1)).await;
    let drafts = (0..SUBMITS).map(|_| scene.sized("ana", 200)).collect();
    let answers = scene.at_once(drafts).await;
    let count = |of: Submitted| answers.iter().filter(|(_, one)| *one == of).count() as u64;
    assert_eq!(count(Submitted::Accepted), fit);
    assert_eq!(count(Submitted::BytesFull), SUBMITS as u64 - fit);
    let counts = scene.assert_counted("ana", "after all at once").await;
    assert_eq!((counts.all(), counts.bytes), (fit, fit * each));
    assert_eq!(counts.bytes_max, Some(each * fit + each - 1));
    // Nobody else is concerned, and who is refused takes what fits.
    assert_eq!(scene.submit_as(scene.sized("ben", 200)).await, Submitted::Accepted);
    assert_eq!(scene.submit_as(scene.sized("ana", 199)).await, Submitted::Accepted);
    assert_eq!(scene.submit_as(scene.sized("ana", 80)).await, Submitted::BytesFull);

    // Claims and ends go on, also above it.
    let held = scene.claim("w1", 8).await;
    let held: Vec<_> = held.iter().filter(|of| of.lease.user.as_str() == "ana").collect();
    for held in &held {
        let mut end = write(2);
        end.body = Text::from(format!(r#""st":5,"r":"{}""#, "y".repeat(5_000)));
        assert!(scene.report(&held.lease, Report::Ack { write: end, keep_s: 60 }).await);
    }
    let above = scene.assert_counted("ana", "above the limit").await;
    assert!(above.bytes > each * fit + 5_000 * held.len() as u64, "{above:?}");
    assert_eq!(scene.submit_as(scene.sized("ana", 80)).await, Submitted::BytesFull);

    // What is removed makes room, and so does another limit.
    let purge = |of: &&crate::Held| Purge { task: of.lease.task, claim: of.lease.claim, key: None };
    let (user, tasks) = ("ana".parse().unwrap(), held.iter().map(purge).collect());
    let control = Control::Purge { at_ms: scene.now_ms(), user, tasks };
    assert_eq!(scene.control("ana", control).await, Controlled::Done);
    assert_eq!(scene.submit_as(scene.sized("ana", 80)).await, Submitted::Accepted);
    scene.may_hold("ana", Some(0)).await;
    assert_eq!(scene.submit_as(scene.sized("ana", 80)).await, Submitted::BytesFull);
    scene.may_hold("ana", None).await;
    assert_eq!(scene.submit_as(scene.sized("ana", 9_000)).await, Submitted::Accepted);
    assert_eq!(scene.counts("ana").await.bytes_max, None);
    scene.assert_counted("ana", "at the end").await;
}

/// A limit of everybody comes with the submission; of one batch what fits is accepted, in order.
pub async fn of_a_batch_what_fits_is_accepted(scene: Scene) {
    let p =
        tasktonic_core::routing::partition_of(&"ana".parse().unwrap(), scene.store.partitions());
    let of = |bytes| NewTask { bytes_max: 500, ..scene.sized("ana", bytes) };
    let tasks = vec![of(200), of(400), of(200), of(150), of(100)];
    let batch = tasktonic_core::command::Submit { created_ms: scene.now_ms(), tasks };
    let answers = scene.store.submit(p, batch).await.unwrap();
    let (yes, no) = (Submitted::Accepted, Submitted::BytesFull);
    assert_eq!(answers, [yes, no, yes, no, yes]);
    assert_eq!(scene.assert_counted("ana", "after a batch").await.bytes, 500);
    // What is set of a user goes before it.
    scene.may_hold("ana", Some(600)).await;
    assert_eq!(scene.submit_as(of(100)).await, yes);
    assert_eq!(scene.submit_as(of(60)).await, no);
}

/// Neither an edit nor another try makes more of a task than fits; a shorter one is always taken.
pub async fn an_edit_does_not_pass_the_quota(scene: Scene) {
    let new = scene.sized("ana", 400);
    let task = new.task;
    assert_eq!(scene.submit_as(new).await, Submitted::Accepted);
    scene.may_hold("ana", Some(450)).await;
    let text = |bytes| scene.sized("ana", bytes).descriptor;
    let refused = Controlled::Refused(Refusal::BytesFull);
    assert_eq!(scene.edit("ana", task, (1, 0), &text(451)).await, refused);
    assert_eq!(scene.edit("ana", task, (1, 0), &text(450)).await, Controlled::Done);
    scene.may_hold("ana", Some(100)).await;
    assert_eq!(scene.edit("ana", task, (1, 1), &text(200)).await, Controlled::Done);
    assert_eq!(scene.counts("ana").await.bytes, 200);

    assert_eq!(scene.cancel("ana", task).await, Controlled::Done);
    let again = |bytes: usize| {
        let (descriptor, bytes_max) = (text(bytes), u64::MAX);
        let change = Some(Rewrite { descriptor, bytes_max, event: Text::default() });
        let tasks = vec![Redrive { change, ..Redrive::new(task, 1, None) }];
        Control::Redrive { at_ms: scene.now_ms(), user: "ana".parse().unwrap(), tasks }
    };
    assert_eq!(scene.control("ana", again(201)).await, refused);
    assert_eq!(scene.state("ana", task).await, "cancelled");
    assert_eq!(scene.control("ana", again(150)).await, Controlled::Done);
    assert_eq!(scene.assert_counted("ana", "at the end").await.bytes, 150);
}
