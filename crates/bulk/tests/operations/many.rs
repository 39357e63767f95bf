//! What an operation does, on each store.

use std::collections::BTreeSet;
use std::sync::Arc;

use tasktonic_core::TaskId;
use tasktonic_core::transitions::TaskState;
use tasktonic_each_store::{On, on_each_store};
use tasktonic_protocol::http::{BulkDone, BulkFilter, BulkVerb};
use tasktonic_protocol::status::TaskStatus;
use tasktonic_protocol::task::Task;
use tasktonic_store::bulk::CHUNK;
use tokio::sync::Semaphore;

use crate::stage::{Stage, of_kind};

on_each_store! {
    ten_thousand_dead_letters_are_sent_back_with_an_abort_none_lost_none_doubled
    an_operation_goes_on_after_a_restart_and_does_nothing_twice
    a_cancel_by_filter_stops_what_matches_and_nothing_else
    a_purge_by_filter_removes_what_has_ended_and_nothing_else
    a_retry_is_for_what_failed_unless_it_says_otherwise
}

/// The dead letters there are meant to be: `count` of `ana`.
async fn dead(stage: &Stage, name: &str, count: usize) -> Vec<TaskId> {
    let ids = stage.submit(name, "mail", count).await;
    let held = stage.claim(name, "mail", count).await;
    assert_eq!(held.len(), count);
    stage.bury(name, &held).await;
    ids
}

/// Row by row: after the abort a task is either as it was or sent back, and after the second
/// operation each is claimed exactly once.
async fn ten_thousand_dead_letters_are_sent_back_with_an_abort_none_lost_none_doubled(on: On) {
    let stage = Stage::over(on).await;
    const COUNT: usize = 10_000;
    let ids = dead(&stage, "ana", COUNT).await;
    dead(&stage, "ben", 100).await;
    // It waits half-way until it knows that it is aborted, however fast it is.
    const HALF: usize = COUNT / 2;
    let changes = Arc::new(Semaphore::new(HALF / CHUNK));
    let worker = stage.work_through(changes.clone());
    let first = stage.order("ana", BulkVerb::Retry, of_kind("mail")).await;
    let done = |task: &Task| task.progress.as_ref().map_or(0, |progress| progress.done);
    let half = stage.wait("ana", first, |task| done(task) == HALF as u64).await;
    stage.cancel("ana", first).await;
    // Its worker says so once it knows.
    stage
        .wait("ana", first, |task| task.status == TaskStatus::Cancelling && task.rev > half.rev)
        .await;
    changes.add_permits(COUNT);
    let aborted = stage.wait("ana", first, |task| task.ended_at.is_some()).await;
    assert_eq!(aborted.status, TaskStatus::Cancelled);
    let all = stage.all("ana").await;
    let is = |id: &TaskId, status| all[id].status == status;
    let sent_back = ids.iter().filter(|id| is(id, TaskStatus::Queued)).count();
    let as_they_were = ids.iter().filter(|id| is(id, TaskStatus::Failed)).count();
    assert_eq!(sent_back + as_they_were, COUNT);
    assert!((HALF..=HALF + COUNT / 100).contains(&sent_back), "{sent_back} sent back");
    let said = stage.log("ana", first).await;
    assert!(said.contains(&format!("Stopped with {sent_back} of {COUNT} tasks changed")), "{said}");
    let shown = aborted.progress.as_ref().unwrap();
    assert_eq!((shown.done, shown.total), (sent_back as u64, COUNT as u64), "as its bar says");
    let counts = stage.counts("ana").await;
    let counted = (counts.of(TaskState::Queued), counts.of(TaskState::Dead));
    assert_eq!(counted, (sent_back as u64, as_they_were as u64));
    assert_eq!(counts.all(), COUNT as u64 + 1, "with the operation itself");

    let second = stage.order("ana", BulkVerb::Retry, of_kind("mail")).await;
    let done = stage.done("ana", second).await;
    assert_eq!(done, BulkDone { changed: as_they_were as u64, asked: 0, skipped: 0 });
    worker.stop().await;
    let held = stage.claim("ana", "mail", COUNT + 1_000).await;
    let of_ana = held.iter().filter(|held| held.lease.user.as_str() == "ana");
    let claims: Vec<_> = of_ana.map(|held| (held.lease.task, held.lease.claim)).collect();
    assert_eq!(claims.len(), COUNT, "none doubled");
    assert!(claims.iter().all(|(_, claim)| *claim == 2), "each was sent back once");
    assert_eq!(
        claims.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>(),
        ids.into_iter().collect(),
        "none lost"
    );
    let ben = stage.all("ben").await;
    assert!(ben.values().all(|task| task.status == TaskStatus::Failed), "another user's stay");
}

async fn an_operation_goes_on_after_a_restart_and_does_nothing_twice(on: On) {
    let stage = Stage::over(on).await;
    const COUNT: usize = 2_000;
    let ids = dead(&stage, "ana", COUNT).await;
    let operation = stage.order("ana", BulkVerb::Retry, of_kind("mail")).await;
    let worker = stage.work_until(3);
    let far = |task: &Task| {
        task.progress.as_ref().is_some_and(|progress| progress.done >= 3 * CHUNK as u64)
    };
    stage.wait("ana", operation, far).await;
    worker.stop().await;
    let before = stage.wait("ana", operation, |_| true).await;
    // Some of what was sent back dies again meanwhile: that is a life of which the operation knows
    // nothing.
    let again = stage.claim("ana", "mail", 50).await;
    stage.bury("ana", &again).await;
    let worker = stage.work();
    stage.done("ana", operation).await;
    worker.stop().await;
    let all = stage.all("ana").await;
    let count = |status| ids.iter().filter(|id| all[*id].status == status).count();
    assert_eq!(before.ended_at, None, "it was stopped on its way");
    assert_eq!(count(TaskStatus::Failed), again.len(), "what died again stays dead");
    assert_eq!(count(TaskStatus::Queued), COUNT - again.len());
    let revs = ids.iter().filter(|id| all[*id].rev / 100_000_000 > 2).count();
    assert_eq!(revs, 0, "none was sent back twice");
}

async fn a_cancel_by_filter_stops_what_matches_and_nothing_else(on: On) {
    let stage = Stage::over(on).await;
    let mail = stage.submit("ana", "mail", 300).await;
    let media = stage.submit("ana", "media", 20).await;
    let running = stage.claim("ana", "mail", 3).await;
    let tagged = BulkFilter { tag: Some("t0".into()), ..of_kind("mail") };
    let operation = stage.order("ana", BulkVerb::Cancel, tagged).await;
    let later = stage.submit("ana", "mail", 10).await;
    let worker = stage.work();
    let done = stage.done("ana", operation).await;
    let of_tag = running.iter().filter(|held| held.descriptor.contains(r#"["t0"]"#)).count() as u64;
    assert_eq!(done, BulkDone { changed: 150, asked: of_tag, skipped: 0 });
    let all = stage.all("ana").await;
    let of = |ids: &[TaskId], status| ids.iter().filter(|id| all[*id].status == status).count();
    assert_eq!(of(&mail, TaskStatus::Cancelled) as u64, 150 - of_tag);
    assert_eq!(of(&mail, TaskStatus::Cancelling) as u64, of_tag);
    assert_eq!(of(&media, TaskStatus::Queued), 20);
    assert_eq!(of(&later, TaskStatus::Queued), 10, "submitted after it was asked for");
    // All, and yet not the operation itself, nor another that waits.
    worker.stop().await;
    let other = stage.order("ana", BulkVerb::Purge, of_kind("nothing")).await;
    let everything = BulkFilter { all: true, ..BulkFilter::default() };
    let operation = stage.order("ana", BulkVerb::Cancel, everything).await;
    let worker = stage.work();
    stage.done("ana", operation).await;
    assert_eq!(stage.done("ana", other).await, BulkDone::default());
    worker.stop().await;
    let all = stage.all("ana").await;
    assert!(media.iter().chain(&later).all(|id| all[id].status == TaskStatus::Cancelled));
}

async fn a_purge_by_filter_removes_what_has_ended_and_nothing_else(on: On) {
    let stage = Stage::over(on).await;
    let ended = dead(&stage, "ana", 150).await;
    let others = dead(&stage, "ben", 5).await;
    let waiting = stage.submit("ana", "mail", 10).await;
    let worker = stage.work();
    let everything = BulkFilter { all: true, ..BulkFilter::default() };
    let operation = stage.order("ana", BulkVerb::Purge, everything).await;
    let done = stage.done("ana", operation).await;
    assert_eq!(done, BulkDone { changed: 150, asked: 0, skipped: 0 });
    worker.stop().await;
    let all = stage.all("ana").await;
    assert!(ended.iter().all(|id| !all.contains_key(id)));
    assert!(waiting.iter().all(|id| all[id].status == TaskStatus::Queued));
    assert_eq!(all.len(), 11, "with the operation itself");
    let ben = stage.all("ben").await;
    assert!(others.iter().all(|id| ben[id].status == TaskStatus::Failed));
}

async fn a_retry_is_for_what_failed_unless_it_says_otherwise(on: On) {
    let stage = Stage::over(on).await;
    let failed = dead(&stage, "ana", 5).await;
    let cancelled = stage.submit("ana", "mail", 5).await;
    for id in &cancelled {
        stage.cancel("ana", *id).await;
    }
    let worker = stage.work();
    let operation = stage.order("ana", BulkVerb::Retry, of_kind("mail")).await;
    assert_eq!(stage.done("ana", operation).await.changed, 5);
    let all = stage.all("ana").await;
    assert!(failed.iter().all(|id| all[id].status == TaskStatus::Queued));
    assert!(cancelled.iter().all(|id| all[id].status == TaskStatus::Cancelled));
    let filter = BulkFilter { status: vec![TaskStatus::Cancelled], ..of_kind("mail") };
    let operation = stage.order("ana", BulkVerb::Retry, filter).await;
    assert_eq!(stage.done("ana", operation).await.changed, 5);
    worker.stop().await;
    let all = stage.all("ana").await;
    assert!(cancelled.iter().all(|id| all[id].status == TaskStatus::Queued));
}
