//! Scenarios of tasks that wait: their end in time, another time, another payload.

use tasktonic_core::command::{Expiry, MoveTo};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::{TaskId, TaskState};

use super::scene::{Scene, ack};

impl Scene {
    /// Submits a task of `user` that expires in `ms`, due in `due_in_ms` if that is given.
    async fn submit_expiring(&self, user: &str, ms: i64, due_in_ms: Option<i64>) -> TaskId {
        let mut new = self.draft(user);
        let task = new.task;
        new.expires = Some(Expiry { at_ms: self.now_ms() + ms, keep_s: 60 });
        new.due_ms = due_in_ms.map(|ms| self.now_ms() + ms);
        assert_eq!(self.submit_as(new).await, Submitted::Accepted);
        task
    }

    /// Why a task ended, as its state says.
    pub(super) async fn why(&self, user: &str, task: TaskId) -> Option<String> {
        let text = self.task(user, task).await?.state?;
        let state: tasktonic_protocol::stored::StoredState = serde_json::from_str(&text).ok()?;
        state.body.why
    }
}

/// A task that nobody took in time is cancelled, says why, and is kept as any other.
pub async fn a_task_expires_within_its_time_and_never_runs_after(scene: Scene) {
    let late = scene.submit_expiring("ana", 5_000, None).await;
    let taken = scene.submit_expiring("ben", 5_000, None).await;
    assert_eq!(scene.state("ana", late).await, "queued");
    let reply = scene.sync("w0", Vec::new(), 0, false).await;
    assert_eq!(reply.next_in_ms, Some(5_000), "somebody will look at it then");
    let held = scene.claim("w1", 2).await;
    let held = held.into_iter().find(|held| held.lease.task == taken).expect("both are handed out");
    let again = scene.submit_expiring("ana", 1_000, None).await;
    scene.pass(1_000);
    scene.sync("w2", Vec::new(), 0, false).await;
    assert_eq!(scene.state("ana", again).await, "cancelled");
    assert_eq!(scene.why("ana", again).await.as_deref(), Some("expired"));
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    scene.pass(5_000);
    scene.sync("w2", Vec::new(), 0, false).await;
    assert_eq!(scene.state("ben", taken).await, "running", "who has begun may go on");
    assert!(scene.report(&held.lease, ack(held.n + 1)).await);
    assert_eq!(scene.redrive("ana", again, 1).await, Controlled::Done);
    scene.pass(100_000);
    assert_eq!(scene.claim_one("w1").await.lease.task, again, "sent back, it expires no more");
}

/// A claim at the very moment of the end does not get the task, whoever looks first.
pub async fn a_claim_and_an_expiry_race_to_one_end(scene: Scene) {
    scene.sync("w0", Vec::new(), 0, false).await;
    let task = scene.submit_expiring("ana", 100, None).await;
    let other = scene.submit("ana").await;
    scene.pass(100);
    // Maintenance is not due yet: the claim itself must notice.
    let held = scene.claim("w1", 5).await;
    assert_eq!(held.iter().map(|held| held.lease.task).collect::<Vec<_>>(), [other]);
    assert_eq!(scene.state("ana", task).await, "cancelled");
    scene.pass(1_000);
    scene.sync("w2", Vec::new(), 0, false).await;
    assert_eq!(scene.why("ana", task).await.as_deref(), Some("expired"));
    assert_eq!(scene.cancel("ana", task).await, Controlled::Unfit(TaskState::Cancelled));
    scene.pass(61_000);
    scene.sync("w2", Vec::new(), 0, false).await;
    assert_eq!(scene.state("ana", task).await, "", "swept after its retention");
}

/// Who waits for a time may expire before it, and is not promoted then.
pub async fn a_delayed_task_may_expire_before_it_is_due(scene: Scene) {
    let task = scene.submit_expiring("ana", 1_000, Some(5_000)).await;
    let stopped = scene.submit_expiring("ana", 1_000, Some(5_000)).await;
    assert_eq!(scene.cancel("ana", stopped).await, Controlled::Done);
    scene.pass(6_000);
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    assert_eq!(scene.why("ana", task).await.as_deref(), Some("expired"));
    let promoted = scene.submit_expiring("ana", 5_000, Some(1_000)).await;
    scene.pass(1_500);
    scene.sync("w1", Vec::new(), 0, false).await;
    assert_eq!(scene.state("ana", promoted).await, "queued");
    scene.pass(4_000);
    assert_eq!(scene.claim("w1", 5).await, Vec::new(), "it carries its end along");
    assert_eq!(scene.state("ana", promoted).await, "cancelled");
}

/// Another time is another claim number: what referred to the task before is dead.
pub async fn a_waiting_task_gets_another_time_and_the_old_entry_is_dead(scene: Scene) {
    let task = scene.submit("ana").await;
    let later = MoveTo::Due(scene.now_ms() + 5_000);
    assert_eq!(scene.reschedule("ana", task, 2, later).await, Controlled::Changed);
    assert_eq!(scene.reschedule("ana", task, 1, later).await, Controlled::Done);
    assert_eq!(scene.reschedule("ana", task, 1, later).await, Controlled::Changed);
    assert_eq!(scene.state("ana", task).await, "scheduled");
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    scene.pass(3_000);
    // Back at once, and once only: the entry of before and the time of before are dead.
    let now = MoveTo::Due(scene.now_ms());
    assert_eq!(scene.reschedule("ana", task, 2, now).await, Controlled::Done);
    let held = scene.claim("w1", 5).await;
    assert_eq!(held.iter().map(|held| held.lease.claim).collect::<Vec<_>>(), [3]);
    let running = Controlled::Unfit(TaskState::Running);
    assert_eq!(scene.reschedule("ana", task, 3, later).await, running);
    scene.pass(3_000);
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    let nobody = scene.draft("ana").task;
    assert_eq!(scene.reschedule("ana", nobody, 1, later).await, Controlled::Absent);
    assert_eq!(scene.reschedule("ben", task, 3, later).await, Controlled::Absent);
}

/// The user's own order.
pub async fn a_waiting_task_goes_to_the_front_or_the_back_of_its_line(scene: Scene) {
    let mut tasks = Vec::new();
    for _ in 0..4 {
        tasks.push(scene.submit("ana").await);
    }
    assert_eq!(scene.reschedule("ana", tasks[2], 1, MoveTo::Front).await, Controlled::Done);
    assert_eq!(scene.reschedule("ana", tasks[0], 1, MoveTo::Back).await, Controlled::Done);
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(scene.claim_one("w1").await.lease.task);
    }
    assert_eq!(order, [tasks[2], tasks[1], tasks[3], tasks[0]]);
}

/// A run has all of an edit, or the edit is told that it came too late.
pub async fn an_edit_is_seen_by_the_run_or_refused(scene: Scene) {
    let task = scene.submit("ana").await;
    let text = |n| format!(r#"{{"v":1,"k":"mail","q":"mail","at":1,"max":2,"p":{{"edit":{n}}}}}"#);
    assert_eq!(scene.edit("ana", task, (1, 0), &text(1)).await, Controlled::Done);
    assert_eq!(scene.edit("ana", task, (1, 0), &text(2)).await, Controlled::Changed);
    assert_eq!(scene.edit("ana", task, (1, 1), &text(3)).await, Controlled::Done);
    let stored = scene.task("ana", task).await.expect("it is there");
    assert_eq!(&*stored.descriptor, text(3));
    let held = scene.claim_one("w1").await;
    assert_eq!((&*held.descriptor, held.lease.claim), (&*text(3), 1));
    let running = Controlled::Unfit(TaskState::Running);
    assert_eq!(scene.edit("ana", task, (1, 3), &text(4)).await, running);
    assert!(scene.report(&held.lease, ack(held.n + 1)).await);
    assert_eq!(&*scene.task("ana", task).await.expect("it is kept").descriptor, text(3));
    let nobody = scene.draft("ana").task;
    assert_eq!(scene.edit("ana", nobody, (1, 0), &text(5)).await, Controlled::Absent);
    assert!(scene.task("ana", nobody).await.is_none());
}

/// An edit moves nothing.
pub async fn an_edit_keeps_the_place_in_line_and_the_time(scene: Scene) {
    let first = scene.submit("ana").await;
    let second = scene.submit("ana").await;
    let mut new = scene.draft("ben");
    let delayed = new.task;
    new.due_ms = Some(scene.now_ms() + 2_000);
    scene.submit_as(new).await;
    let text = r#"{"v":1,"k":"mail","q":"mail","at":1,"max":2,"p":{}}"#;
    assert_eq!(scene.edit("ana", first, (1, 0), text).await, Controlled::Done);
    assert_eq!(scene.edit("ben", delayed, (1, 0), text).await, Controlled::Done);
    assert_eq!(scene.claim_one("w1").await.lease.task, first);
    assert_eq!(scene.claim_one("w1").await.lease.task, second);
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    assert_eq!(scene.state("ben", delayed).await, "scheduled");
    scene.pass(2_100);
    let held = scene.claim_one("w1").await;
    assert_eq!((held.lease.task, &*held.descriptor), (delayed, text));
}
