//! Leases, fences and adoption.

use tasktonic_core::command::{Again, Op, Report};
use tasktonic_core::reply::Controlled;
use tasktonic_core::routing::partition_of;
use tasktonic_core::{Lease, Text};
use tasktonic_protocol::stored::StoredState;

use super::scene::{Scene, ack, every_report, write};
use crate::{Losses, Query, QueryReply, settle, settle_after};

/// A worker that woke up late changes nothing and is shown to nobody.
pub async fn a_stale_worker_is_refused_and_nothing_of_it_is_shown(scene: Scene) {
    let task = scene.submit("ana").await;
    let stale = scene.claim_one("zombie").await;
    let adopted = scene.outlive("w2").await;
    assert_eq!(adopted.len(), 1);
    let before = scene.task("ana", task).await;
    let head = Query::EventsHead { user: stale.lease.user.clone() };
    let QueryReply::Events(events) = scene.read("ana", head.clone()).await else { panic!() };
    for report in every_report() {
        assert!(!scene.report(&stale.lease, report.clone()).await, "{report:?}");
    }
    assert_eq!(scene.task("ana", task).await, before);
    let QueryReply::Events(after) = scene.read("ana", head).await else { panic!() };
    assert_eq!(events, after, "no event of it");
    let query = Query::Logs { user: stale.lease.user, task, after: 0, limit: 10 };
    let QueryReply::Logs(logs) = scene.read("ana", query).await else { panic!() };
    assert!(logs.lines.is_empty(), "no line of it");
}

/// Adoption hands over descriptor and state, and the policies of `core` give it another attempt.
pub async fn a_lost_lease_is_adopted_with_what_is_needed_to_settle_it(scene: Scene) {
    let task = scene.submit("ana").await;
    scene.claim_one("dead").await;
    let adopted = scene.outlive("w2").await;
    let [lost] = &adopted[..] else { panic!("adopted {adopted:?}") };
    assert_eq!((lost.lease.task, lost.lease.claim, lost.lease.attempt), (task, 2, 1));
    assert!(lost.descriptor.contains(r#""max":2"#));
    assert!(lost.state.as_deref().unwrap().contains("running"));
    let ops = settle(&adopted, &[], scene.now_ms(), || 0.5);
    assert!(scene.sync("w2", ops, 0, false).await.refused.is_empty());
    let second = scene.claim_one("w2").await;
    assert_eq!((second.lease.attempt, second.lease.claim), (2, 3));
    let query = Query::Attempts { user: second.lease.user, task };
    let QueryReply::Attempts(rows) = scene.read("ana", query).await else { panic!() };
    assert!(rows[0].text.contains(r#""o":"lost""#));
}

/// Crashes count: the last attempt lost ends the task.
pub async fn settling_ends_a_task_whose_attempts_are_used_up(scene: Scene) {
    let task = scene.submit("ana").await;
    for _ in 0..2 {
        scene.claim_one("dead").await;
        let adopted = scene.outlive("w2").await;
        let ops = settle(&adopted, &[], scene.now_ms(), || 0.5);
        scene.sync("w2", ops, 0, false).await;
    }
    assert_eq!(scene.state("ana", task).await, "dead");
    assert!(scene.task("ana", task).await.unwrap().state.unwrap().contains("worker_lost"));
}

/// Loses the lease of a worker and settles it with the history of its task; the operations.
async fn lose(scene: &Scene, lease: &Lease) -> Vec<Op> {
    let adopted = scene.outlive("keeper").await;
    assert_eq!(adopted.iter().map(|held| held.lease.task).collect::<Vec<_>>(), [lease.task]);
    let p = partition_of(&lease.user, scene.store.partitions());
    let losses = Losses::read(&*scene.store, p, &adopted).await;
    assert_eq!(losses.unread(), None);
    let ops = settle_after(&losses, &adopted, &[], scene.now_ms(), || 0.5);
    assert!(scene.sync("keeper", ops.clone(), 0, false).await.refused.is_empty());
    scene.pass(60_000);
    scene.sync("keeper", Vec::new(), 0, false).await;
    ops
}

/// Poison: crashes are counted by the history, apart from attempts that failed or were given back,
/// and end the task long before its attempts are used up. *Try again* counts anew.
pub async fn a_task_that_kills_three_workers_is_dead_with_worker_lost(scene: Scene) {
    let mut new = scene.draft("ana");
    new.descriptor = Text::from(new.descriptor.replace(r#""max":2"#, r#""max":50"#));
    let task = new.task;
    scene.submit_as(new).await;
    for life in 0..2 {
        let mut lost = 0;
        for step in 0..5 {
            let held = scene.claim_one("dead").await;
            let (lease, n) = (held.lease, held.n + 1);
            if step == 1 {
                let attempt = Text::from(r#"{"a":2,"o":"failed","en":9}"#);
                let again = Again::Now;
                let failed = Report::Nack { write: write(n), again, attempt, keep_s: 60 };
                assert!(scene.report(&lease, failed).await);
            } else if step == 2 {
                let attempt = Some(Text::from(r#"{"a":3,"o":"released","en":9}"#));
                assert!(scene.report(&lease, Report::Release { write: write(n), attempt }).await);
            } else {
                lost += 1;
                let ops = lose(&scene, &lease).await;
                let buried = matches!(ops[0].report, Report::Bury { .. });
                assert_eq!(buried, lost == 3, "life {life}, {ops:?}");
            }
        }
        assert_eq!(scene.state("ana", task).await, "dead");
        let text = scene.task("ana", task).await.and_then(|task| task.state).expect("a state");
        let state: StoredState = serde_json::from_str(&text).expect("a stored state");
        assert_eq!(state.body.err.expect("an error").code, "worker_lost");
        let why = state.body.why.expect("a reason");
        assert!(why.starts_with("worker_lost 3 times"), "{why}");
        assert_eq!(state.a, 4, "the attempt that was released is not counted");
        scene.redrive("ana", task, state.c).await;
    }
}

/// X1: cancel a queued task, redrive it: one claim, one accepted ack.
pub async fn x1_cancel_and_redrive_leave_one_claimable_task(scene: Scene) {
    let task = scene.submit("ana").await;
    assert_eq!(scene.cancel("ana", task).await, Controlled::Done);
    assert_eq!(scene.redrive("ana", task, 1).await, Controlled::Done);
    let held = scene.claim("w1", 5).await;
    assert_eq!(held.len(), 1);
    assert!(scene.report(&held[0].lease, ack(2)).await);
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
}

/// X2: the sweep entry of a former end does not remove a task that was redriven.
pub async fn x2_an_old_sweep_entry_does_not_remove_a_live_task(scene: Scene) {
    let task = scene.submit("ana").await;
    scene.cancel("ana", task).await;
    scene.redrive("ana", task, 1).await;
    scene.pass(61_000);
    scene.sync("w1", Vec::new(), 0, false).await;
    let held = scene.claim_one("w1").await;
    assert_eq!(held.lease.task, task);
    assert!(scene.report(&held.lease, ack(2)).await);
}

/// A worker that lost a reply asks what it holds.
pub async fn what_a_worker_holds_can_be_asked(scene: Scene) {
    scene.submit("ana").await;
    scene.submit("ana").await;
    let held = scene.claim("w1", 2).await;
    let worker: tasktonic_core::WorkerId = "w1".parse().unwrap();
    let ask = Query::Held { worker };
    let QueryReply::Held(mut told) = scene.read("ana", ask).await else { panic!() };
    told.sort_by_key(|held| held.lease.task);
    let leases = |held: &[crate::Held]| held.iter().map(|h| h.lease.clone()).collect::<Vec<_>>();
    assert_eq!(leases(&told), leases(&held));
}
