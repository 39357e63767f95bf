//! The life of a task.

use tasktonic_core::command::{Again, Idempotency, Report, Submit, Sync};
use tasktonic_core::limits::{LEASE_MS_MIN, SUBMIT_TASKS_MAX};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{TaskState, Text};

use super::scene::{Scene, ack, nack, write};
use crate::{Error, Query, QueryReply, settle};

/// submit, claim, ack: the task is there throughout.
pub async fn a_submitted_task_is_claimed_acked_and_kept(scene: Scene) {
    let task = scene.submit("ana").await;
    assert_eq!(scene.state("ana", task).await, "queued");
    let held = scene.claim_one("w1").await;
    assert_eq!((held.lease.task, held.lease.attempt, held.lease.claim), (task, 1, 1));
    assert!(held.descriptor.contains(r#""k":"mail""#), "the descriptor comes along");
    assert_eq!(scene.state("ana", task).await, "running");
    assert!(scene.report(&held.lease, ack(held.n + 1)).await);
    assert_eq!(scene.state("ana", task).await, "completed");
}

/// A task that was acked is never handed out again.
pub async fn acked_stays_acked(scene: Scene) {
    let task = scene.submit("ana").await;
    let held = scene.claim_one("w1").await;
    assert!(scene.report(&held.lease, ack(2)).await);
    assert!(!scene.report(&held.lease, nack(3, Again::Now)).await);
    assert_eq!(scene.outlive("w2").await, Vec::new());
    assert_eq!(scene.claim("w2", 5).await, Vec::new());
    assert_eq!(scene.state("ana", task).await, "completed");
}

/// Idempotency keys are per user and per body.
pub async fn one_key_gives_one_task_and_another_body_a_conflict(scene: Scene) {
    let keyed = |user: &str, body_hash| {
        let mut new = scene.draft(user);
        new.idempotency = Some(Idempotency::new("album-7", body_hash, 86_400_000));
        new
    };
    let first = keyed("ana", 1);
    let task = first.task;
    assert_eq!(scene.submit_as(first).await, Submitted::Accepted);
    assert_eq!(scene.submit_as(keyed("ana", 1)).await, Submitted::Existing(task));
    assert_eq!(scene.submit_as(keyed("ana", 2)).await, Submitted::Conflict(task));
    assert_eq!(scene.submit_as(keyed("ben", 2)).await, Submitted::Accepted);
    assert_eq!(scene.claim("w1", 10).await.len(), 2);
}

/// A resend of a submit is recognised by its id.
pub async fn the_same_id_is_accepted_once(scene: Scene) {
    let new = scene.draft("ana");
    assert_eq!(scene.submit_as(new.clone()).await, Submitted::Accepted);
    assert_eq!(scene.submit_as(new.clone()).await, Submitted::Existing(new.task));
    assert_eq!(scene.claim("w1", 10).await.len(), 1);
}

/// A refused submit leaves nothing behind, not even its key.
pub async fn a_full_lane_refuses_and_keeps_nothing(scene: Scene) {
    for _ in 0..3 {
        scene.submit("ana").await;
    }
    let mut fourth = scene.draft("ana");
    fourth.lane_max = 3;
    fourth.idempotency = Some(Idempotency::new("once", 1, 1_000_000));
    assert_eq!(scene.submit_as(fourth.clone()).await, Submitted::LaneFull);
    assert!(scene.task("ana", fourth.task).await.is_none());
    assert_eq!(scene.claim("w1", 1).await.len(), 1);
    assert_eq!(scene.submit_as(fourth).await, Submitted::Accepted);
}

/// Delays follow the wall clock.
pub async fn a_delayed_task_is_not_claimed_before_its_time(scene: Scene) {
    let mut new = scene.draft("ana");
    let task = new.task;
    new.due_ms = Some(scene.now_ms() + 5_000);
    assert_eq!(scene.submit_as(new).await, Submitted::Accepted);
    assert_eq!(scene.state("ana", task).await, "scheduled");
    scene.pass(4_900);
    let reply = scene.sync("w1", Vec::new(), 1, false).await;
    assert_eq!((reply.claimed.len(), reply.next_in_ms), (0, Some(200)));
    scene.pass(200);
    assert_eq!(scene.claim_one("w1").await.lease.task, task);
}

/// A nack keeps the attempt and counts it.
pub async fn a_failed_attempt_is_kept_and_followed_by_another(scene: Scene) {
    let task = scene.submit("ana").await;
    let held = scene.claim_one("w1").await;
    let again = Again::At(scene.now_ms() + 1_000);
    assert!(scene.report(&held.lease, nack(2, again)).await);
    assert_eq!(scene.state("ana", task).await, "scheduled");
    scene.pass(1_500);
    let second = scene.claim_one("w1").await;
    assert_eq!((second.lease.attempt, second.lease.claim), (2, 2));
    let query = Query::Attempts { user: held.lease.user, task };
    let QueryReply::Attempts(rows) = scene.read("ana", query).await else { panic!() };
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].number, &*rows[0].text), (1, r#"{"a":1,"o":"failed","en":9}"#));
}

/// Snooze and release keep the attempt number.
pub async fn a_snoozed_or_released_task_uses_up_no_attempt(scene: Scene) {
    scene.submit("ana").await;
    let first = scene.claim_one("w1").await;
    let due_ms = scene.now_ms() + 500;
    let attempt = Text::from("{}");
    assert!(scene.report(&first.lease, Report::Snooze { write: write(2), due_ms, attempt }).await);
    scene.pass(1_000);
    let second = scene.claim_one("w1").await;
    let later = scene.submit("ana").await;
    assert!(scene.report(&second.lease, Report::Release { write: write(3), attempt: None }).await);
    let third = scene.claim_one("w1").await;
    assert_eq!(third.lease.task, first.lease.task, "released to the front");
    assert_ne!(third.lease.task, later);
    let numbers = [&first, &second, &third].map(|h| (h.lease.attempt, h.lease.claim));
    assert_eq!(numbers, [(1, 1), (1, 2), (1, 3)]);
}

/// Dead letters are kept and can be sent back.
pub async fn a_buried_task_can_be_redriven(scene: Scene) {
    let task = scene.submit("ana").await;
    let held = scene.claim_one("w1").await;
    assert!(scene.report(&held.lease, Report::Bury { write: write(2), keep_s: 600 }).await);
    assert_eq!(scene.state("ana", task).await, "dead");
    assert_eq!(scene.redrive("ana", task, 9).await, Controlled::Changed);
    assert_eq!(scene.redrive("ana", task, 1).await, Controlled::Done);
    assert_eq!(scene.redrive("ana", task, 2).await, Controlled::Unfit(TaskState::Queued));
    let again = scene.claim_one("w1").await;
    assert_eq!((again.lease.attempt, again.lease.claim), (1, 2));
    let query = Query::Attempts { user: held.lease.user, task };
    let QueryReply::Attempts(rows) = scene.read("ana", query).await else { panic!() };
    assert_eq!(rows.len(), 1, "the history of the first life is kept");
}

/// What waits is cancelled in one step.
pub async fn a_waiting_task_is_cancelled_at_once(scene: Scene) {
    let task = scene.submit("ana").await;
    assert_eq!(scene.cancel("ana", task).await, Controlled::Done);
    assert_eq!(scene.cancel("ana", task).await, Controlled::Unfit(TaskState::Cancelled));
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    assert!(scene.task("ana", task).await.unwrap().state.unwrap().contains("cancelled by user"));
}

/// A running task is cancelled by its holder, and no report of the holder undoes it.
pub async fn a_running_task_is_asked_to_stop_and_its_cancellation_sticks(scene: Scene) {
    let task = scene.submit("ana").await;
    let held = scene.claim_one("w1").await;
    assert_eq!(scene.cancel("ana", task).await, Controlled::Asked);
    assert!(scene.task("ana", task).await.unwrap().cancel_asked);
    let op = tasktonic_core::command::Op { lease: held.lease.clone(), report: Report::Heartbeat };
    let reply = scene.sync("w1", vec![op], 0, false).await;
    assert_eq!(reply.cancelled, vec![held.lease.clone()]);
    assert!(scene.report(&held.lease, nack(2, Again::Now)).await);
    assert_eq!(scene.state("ana", task).await, "cancelled");
}

/// A cancellation is kept with its task: where the worker that was asked is never heard of again, whoever
/// adopts the task carries it out.
pub async fn a_cancellation_outlives_the_worker_that_was_asked(scene: Scene) {
    let task = scene.submit("ana").await;
    let held = scene.claim_one("dead").await;
    assert_eq!(scene.cancel("ana", task).await, Controlled::Asked);
    let (mut adopted, mut asked) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        scene.pass(1_000);
        let reply = scene.sync("w2", Vec::new(), 0, false).await;
        adopted.extend(reply.adopted);
        asked.extend(reply.cancelled);
    }
    assert_eq!(adopted.len(), 1);
    assert_eq!(asked, [adopted[0].lease.clone()], "it is told with the task");
    let ops = settle(&adopted, &asked, scene.now_ms(), || 0.5);
    assert!(scene.sync("w2", ops, 0, false).await.refused.is_empty());
    assert_eq!(scene.state("ana", task).await, "cancelled");
    assert!(!scene.report(&held.lease, ack(9)).await, "who wakes up late changes nothing");
    assert_eq!(scene.claim("w2", 5).await, Vec::new());
}

/// A flood of one user does not delay the first task of another.
pub async fn users_take_turns(scene: Scene) {
    let names = scene.neighbours(2);
    for _ in 0..50 {
        scene.submit(&names[0]).await;
    }
    let task = scene.submit(&names[1]).await;
    let users: Vec<_> = scene.claim("w1", 2).await.into_iter().map(|h| h.lease.task).collect();
    assert!(users.contains(&task), "their turn comes with the second task");
}

/// Retention removes a task and all that was kept of it.
pub async fn an_ended_task_is_gone_after_its_retention(scene: Scene) {
    let task = scene.submit("ana").await;
    let held = scene.claim_one("w1").await;
    assert!(scene.report(&held.lease, ack(2)).await);
    scene.pass(59_000);
    scene.sync("w1", Vec::new(), 0, false).await;
    assert_eq!(scene.state("ana", task).await, "completed");
    scene.pass(2_000);
    scene.sync("w1", Vec::new(), 0, false).await;
    assert!(scene.task("ana", task).await.is_none());
    let QueryReply::Counts(counts) =
        scene.read("ana", Query::Counts { user: held.lease.user }).await
    else {
        panic!()
    };
    assert_eq!(counts.all(), 0);
}

/// A key is free again after its time.
pub async fn a_forgotten_key_may_be_used_again(scene: Scene) {
    let keyed = || {
        let mut new = scene.draft("ana");
        new.idempotency = Some(Idempotency::new("k", 1, 10_000));
        new
    };
    assert_eq!(scene.submit_as(keyed()).await, Submitted::Accepted);
    scene.pass(9_000);
    assert!(matches!(scene.submit_as(keyed()).await, Submitted::Existing(_)));
    scene.pass(2_000);
    assert_eq!(scene.submit_as(keyed()).await, Submitted::Accepted);
}

/// Requests over a named limit are refused whole.
pub async fn limits_are_kept_at_the_door(scene: Scene) {
    let tasks: Vec<_> = (0..=SUBMIT_TASKS_MAX).map(|_| scene.draft("ana")).collect();
    let p = tasktonic_core::routing::partition_of(&tasks[0].user, scene.store.partitions());
    let first = tasks[0].task;
    let batch = Submit { created_ms: scene.now_ms(), tasks };
    assert!(matches!(scene.store.submit(p, batch).await, Err(Error::Invalid(_))));
    assert!(scene.task("ana", first).await.is_none());
    let short = Sync {
        worker: "w1".parse().unwrap(),
        call: 1,
        lease_ms: LEASE_MS_MIN - 1,
        ops: Vec::new(),
        claim: None,
        woken: Vec::new(),
        park: false,
    };
    let answer = scene.store.sync(PartitionId(0), short).await;
    assert!(matches!(answer, Err(Error::Invalid(_))));
}
