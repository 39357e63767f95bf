//! Leases, fences and adoption.

use tasktonic_core::reply::Controlled;

use super::scene::{Scene, ack, every_report};
use crate::{Query, QueryReply, settle};

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
