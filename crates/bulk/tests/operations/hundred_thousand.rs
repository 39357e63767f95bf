//! An abort half-way through a hundred thousand tasks. In `many` it is ten thousand, and another
//! operation is brought to its end afterwards.

use std::sync::Arc;

use tasktonic_core::transitions::TaskState;
use tasktonic_each_store::{On, on_each_store};
use tasktonic_protocol::http::BulkVerb;
use tasktonic_protocol::status::TaskStatus;
use tasktonic_protocol::task::Task;
use tasktonic_store::bulk::CHUNK;
use tokio::sync::Semaphore;

use crate::stage::{Stage, of_kind};

const COUNT: usize = 100_000;
const HALF: usize = COUNT / 2;

on_each_store! {
    a_hundred_thousand_cancellations_are_aborted_half_way_and_all_that_counts_agrees
}

/// Each task is as it was or cancelled, and so say the list, the tally, the bar and the log.
async fn a_hundred_thousand_cancellations_are_aborted_half_way_and_all_that_counts_agrees(on: On) {
    let stage = Stage::over(on).await;
    let ids = stage.submit("ana", "mail", COUNT).await;
    let others = stage.submit("ben", "mail", 100).await;
    // It waits half-way until it knows that it is aborted, however fast it is.
    let changes = Arc::new(Semaphore::new(HALF / CHUNK));
    let worker = stage.work_through(changes.clone());
    let operation = stage.order("ana", BulkVerb::Cancel, of_kind("mail")).await;
    let done = |task: &Task| task.progress.as_ref().map_or(0, |progress| progress.done);
    let half = stage.wait("ana", operation, |task| done(task) == HALF as u64).await;
    stage.cancel("ana", operation).await;
    // Its worker says so once it knows.
    stage
        .wait("ana", operation, |task| task.status == TaskStatus::Cancelling && task.rev > half.rev)
        .await;
    changes.add_permits(COUNT);
    let aborted = stage.wait("ana", operation, |task| task.ended_at.is_some()).await;
    assert_eq!(aborted.status, TaskStatus::Cancelled);
    worker.stop().await;

    let all = stage.all("ana").await;
    let is = |id, status| all[id].status == status;
    let stopped = ids.iter().filter(|id| is(*id, TaskStatus::Cancelled)).count();
    let as_they_were = ids.iter().filter(|id| is(*id, TaskStatus::Queued)).count();
    assert_eq!(stopped + as_they_were, COUNT);
    assert!((HALF..=HALF + COUNT / 100).contains(&stopped), "{stopped} cancelled");
    let counts = stage.counts("ana").await;
    let counted = (counts.of(TaskState::Cancelled), counts.of(TaskState::Queued));
    // The operation is one of those that were cancelled.
    assert_eq!(counted, (stopped as u64 + 1, as_they_were as u64));
    assert_eq!((counts.all(), all.len()), (COUNT as u64 + 1, COUNT + 1));
    let shown = aborted.progress.as_ref().unwrap();
    assert_eq!((shown.done, shown.total), (stopped as u64, COUNT as u64), "as its bar says");
    let said = stage.log("ana", operation).await;
    assert!(said.contains(&format!("Stopped with {stopped} of {COUNT} tasks changed")), "{said}");
    let ben = stage.all("ben").await;
    assert!(others.iter().all(|id| ben[id].status == TaskStatus::Queued), "another user's stay");
}
