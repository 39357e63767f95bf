//! Scenarios of keys: what a task that has a key means to the next submission of it.

use std::sync::Arc;

use tasktonic_core::TaskId;
use tasktonic_core::command::{Idempotency, KeyMode, NewTask, Replaced, Submit};
use tasktonic_core::limits::CLAIM_LOOKS_MAX;
use tasktonic_core::reply::Submitted;
use tasktonic_core::routing::partition_of;

use super::scene::{Scene, ack};
use crate::Error;

/// A day, in ms.
const DAY_MS: i64 = 86_400_000;
/// How many submit at once.
const MANY: u64 = 1_000;

impl Scene {
    /// A task of `user` under the key `k`, of which each `body` is another submission.
    fn keyed(&self, user: &str, body: u128, ttl_ms: i64, mode: KeyMode) -> NewTask {
        let mut new = self.draft(user);
        new.idempotency = Some(Idempotency { mode, ..Idempotency::new("k", body, ttl_ms) });
        new
    }

    async fn submit_keyed(&self, user: &str, body: u128, mode: KeyMode) -> Submitted {
        self.submit_as(self.keyed(user, body, DAY_MS, mode)).await
    }

    /// Submits all of `drafts` at once, one call each.
    pub(super) async fn at_once(&self, drafts: Vec<NewTask>) -> Vec<(TaskId, Submitted)> {
        let created_ms = self.now_ms();
        let mut calls = tokio::task::JoinSet::new();
        for new in drafts {
            let (store, task) = (Arc::clone(&self.store), new.task);
            let p = partition_of(&new.user, store.partitions());
            calls.spawn(async move {
                let batch = Submit { created_ms, tasks: vec![new] };
                (task, store.submit(p, batch).await.expect("the store takes it")[0])
            });
        }
        calls.join_all().await
    }

    /// The one task that is claimed, and then done.
    async fn work_one(&self) -> TaskId {
        let held = self.claim_one("w1").await;
        assert!(self.report(&held.lease, ack(held.n + 1)).await);
        held.lease.task
    }
}

/// A newer submission takes the place of one that waits.
fn replace() -> KeyMode {
    KeyMode::Replace(Replaced { body: r#""why":"replaced""#.into(), keep_s: 60 })
}

fn accepted(answers: &[(TaskId, Submitted)]) -> Vec<TaskId> {
    answers.iter().filter(|(_, it)| *it == Submitted::Accepted).map(|(task, _)| *task).collect()
}

/// Whoever submits one key at the same time as many others gets the same task; another body is a
/// conflict, and another user another task.
pub async fn a_thousand_submits_of_one_key_at_once_make_one_task(scene: Scene) {
    let one = |_| scene.keyed("ana", 1, DAY_MS, KeyMode::Ttl);
    let mut drafts: Vec<_> = (0..MANY).map(one).collect();
    drafts.push(scene.keyed("ben", 2, DAY_MS, KeyMode::Ttl));
    let bens = drafts.last().unwrap().task;
    let answers = scene.at_once(drafts).await;
    let mut made = accepted(&answers);
    made.retain(|task| *task != bens);
    assert_eq!(made.len(), 1);
    let others = answers.iter().filter(|(task, _)| *task != made[0] && *task != bens);
    for (_, answer) in others {
        assert_eq!(*answer, Submitted::Existing(made[0]));
    }
    assert_eq!(scene.submit_keyed("ana", 2, KeyMode::Ttl).await, Submitted::Conflict(made[0]));
    assert_eq!(scene.claim("w1", 10).await.len(), 2);
}

/// The key stands for its task while that waits or runs, and no longer.
pub async fn a_key_until_done_is_free_when_its_task_has_ended(scene: Scene) {
    let first = scene.keyed("ana", 1, DAY_MS, KeyMode::UntilDone);
    let task = first.task;
    assert_eq!(scene.submit_as(first).await, Submitted::Accepted);
    for state in ["queued", "running"] {
        assert_eq!(scene.state("ana", task).await, state);
        let again = scene.submit_keyed("ana", 1, KeyMode::UntilDone).await;
        assert_eq!(again, Submitted::Existing(task));
        let other = scene.submit_keyed("ana", 2, KeyMode::UntilDone).await;
        assert_eq!(other, Submitted::Conflict(task));
        if state == "queued" {
            assert_eq!(scene.claim_one("w1").await.lease.task, task);
        }
    }
    let held = scene.outlive("w2").await.remove(0);
    assert_eq!(scene.submit_keyed("ana", 1, KeyMode::UntilDone).await, Submitted::Existing(task));
    assert!(scene.report(&held.lease, ack(1)).await);
    assert_eq!(scene.submit_keyed("ana", 2, KeyMode::UntilDone).await, Submitted::Accepted);
    // One that is gone altogether has ended too.
    let next = scene.work_one().await;
    scene.pass(61_000);
    scene.sync("w1", Vec::new(), 0, false).await;
    assert!(scene.task("ana", next).await.is_none());
    assert_eq!(scene.submit_keyed("ana", 3, KeyMode::UntilDone).await, Submitted::Accepted);
}

/// The key stands for its task while that waits: who submits once it runs gets another run.
pub async fn a_key_until_started_is_free_while_its_task_runs(scene: Scene) {
    let first = scene.keyed("ana", 1, DAY_MS, KeyMode::UntilStarted);
    let task = first.task;
    assert_eq!(scene.submit_as(first).await, Submitted::Accepted);
    let mode = || KeyMode::UntilStarted;
    assert_eq!(scene.submit_keyed("ana", 1, mode()).await, Submitted::Existing(task));
    assert_eq!(scene.submit_keyed("ana", 2, mode()).await, Submitted::Conflict(task));
    let held = scene.claim_one("w1").await;
    assert_eq!(held.lease.task, task);
    let mut next = scene.keyed("ana", 2, DAY_MS, mode());
    let second = next.task;
    next.due_ms = Some(scene.now_ms() + 5_000);
    assert_eq!(scene.submit_as(next).await, Submitted::Accepted);
    assert_eq!(scene.submit_keyed("ana", 2, mode()).await, Submitted::Existing(second));
    // The first waits again, but the key is the second's; and is free when that one has begun too.
    scene.release(&held).await;
    assert_eq!(scene.submit_keyed("ana", 2, mode()).await, Submitted::Existing(second));
    scene.pass(5_000);
    let held = scene.claim("w1", 2).await;
    assert_eq!(held.len(), 2);
    let first = held.iter().find(|held| held.lease.task == task).unwrap();
    scene.release(first).await;
    assert_eq!(scene.submit_keyed("ana", 3, mode()).await, Submitted::Accepted);
}

/// The task there is does for every other submission, whatever is in it.
pub async fn a_unique_key_takes_any_body_until_its_task_has_ended(scene: Scene) {
    let first = scene.keyed("ana", 1, DAY_MS, KeyMode::Unique);
    let task = first.task;
    assert_eq!(scene.submit_as(first).await, Submitted::Accepted);
    assert_eq!(scene.submit_keyed("ana", 2, KeyMode::Unique).await, Submitted::Existing(task));
    assert_eq!(scene.submit_keyed("ben", 2, KeyMode::Unique).await, Submitted::Accepted);
    let held = scene.claim("w1", 5).await;
    assert_eq!(held.len(), 2);
    assert_eq!(scene.submit_keyed("ana", 3, KeyMode::Unique).await, Submitted::Existing(task));
    let anas = held.iter().find(|held| held.lease.task == task).unwrap();
    assert!(scene.report(&anas.lease, ack(2)).await);
    assert_eq!(scene.submit_keyed("ana", 3, KeyMode::Unique).await, Submitted::Accepted);
}

/// However many come, one in each window is accepted; the others are answered with it.
pub async fn a_throttled_key_accepts_one_in_each_window(scene: Scene) {
    let mut made = Vec::new();
    // Ten a second for ten seconds, in windows of two.
    for n in 0..100 {
        let new = scene.keyed("ana", n, 2_000, KeyMode::Throttle);
        let task = new.task;
        match scene.submit_as(new).await {
            Submitted::Accepted => made.push(task),
            answer => assert_eq!(answer, Submitted::Existing(*made.last().unwrap())),
        }
        // It makes no difference that the task is done.
        if n % 30 == 0 {
            scene.work_one().await;
        }
        scene.pass(100);
    }
    assert_eq!(made.len(), 5);
}

/// A hundred within a second, each putting its run off by a second: one run, with the last payload.
pub async fn a_debounced_key_runs_once_with_the_last_payload(scene: Scene) {
    let mut drafts = Vec::new();
    for n in 0..100 {
        let mut new = scene.keyed("ana", n, DAY_MS, replace());
        new.due_ms = Some(scene.now_ms() + 1_000);
        assert_eq!(scene.submit_as(new.clone()).await, Submitted::Accepted);
        assert_eq!(scene.claim("w1", 5).await, Vec::new());
        drafts.push(new);
        scene.pass(10);
    }
    let last = drafts.pop().unwrap();
    scene.pass(900);
    assert_eq!(scene.claim("w1", 5).await, Vec::new(), "not before its time");
    scene.pass(300);
    let held = scene.claim_one("w1").await;
    assert_eq!((held.lease.task, held.descriptor), (last.task, last.descriptor));
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    for new in drafts {
        assert_eq!(scene.state("ana", new.task).await, "cancelled");
        assert_eq!(scene.why("ana", new.task).await.as_deref(), Some("replaced"));
    }
}

/// The newest takes the place of one that waits, not of one that runs, and not if it is refused.
pub async fn a_replacing_submission_ends_one_that_waits_and_no_other(scene: Scene) {
    let mut drafts: Vec<_> = (0..3).map(|n| scene.keyed("ana", n, DAY_MS, replace())).collect();
    for new in &mut drafts {
        new.lane_max = 1;
    }
    let [first, second, third] = &drafts[..] else { panic!("three") };
    assert_eq!(scene.submit_as(first.clone()).await, Submitted::Accepted);
    // The place of the one that goes is free for the one that comes.
    assert_eq!(scene.submit_as(second.clone()).await, Submitted::Accepted);
    assert_eq!(scene.state("ana", first.task).await, "cancelled");
    let refused = NewTask { queue: "full".parse().unwrap(), lane_max: 0, ..third.clone() };
    assert_eq!(scene.submit_as(refused).await, Submitted::LaneFull);
    assert_eq!(scene.state("ana", second.task).await, "queued");
    assert_eq!(scene.claim_one("w1").await.lease.task, second.task);
    assert_eq!(scene.submit_as(third.clone()).await, Submitted::Accepted);
    assert_eq!(scene.state("ana", second.task).await, "running");
    assert_eq!(scene.claim_one("w1").await.lease.task, third.task);
    // Sent again, it is the task that it was.
    assert_eq!(scene.submit_as(third.clone()).await, Submitted::Existing(third.task));
}

/// Of a thousand that replace each other at once, one waits in the end and all others are
/// cancelled.
pub async fn of_a_thousand_that_replace_each_other_one_waits(scene: Scene) {
    let drafts = (0..MANY).map(|n| scene.keyed("ana", n.into(), DAY_MS, replace())).collect();
    let made = accepted(&scene.at_once(drafts).await);
    assert_eq!(made.len() as u64, MANY);
    // A claim looks at so many places of those that are gone, and no more.
    let mut left = Vec::new();
    for _ in 0..=MANY / u64::from(CLAIM_LOOKS_MAX) {
        left.extend(scene.claim("w1", 5).await);
    }
    assert_eq!(left.len(), 1);
    for task in made.into_iter().filter(|task| *task != left[0].lease.task) {
        assert_eq!(scene.state("ana", task).await, "cancelled");
    }
}

/// What a submit replaces was there before it: two of one key do not fit in one.
pub async fn two_that_replace_each_other_do_not_fit_in_one_submit(scene: Scene) {
    let tasks = vec![
        scene.keyed("ana", 1, DAY_MS, KeyMode::Ttl),
        scene.keyed("ben", 1, DAY_MS, replace()),
        scene.keyed("ana", 1, DAY_MS, replace()),
    ];
    let p = partition_of(&tasks[0].user, scene.store.partitions());
    let batch = Submit { created_ms: scene.now_ms(), tasks };
    assert!(matches!(scene.store.submit(p, batch).await, Err(Error::Invalid(_))));
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
}
