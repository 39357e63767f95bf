//! Scenarios of what is counted of users.

use tasktonic_core::command::{Again, Control, NewTask, Purge, Report, Submit};
use tasktonic_core::limits::SUBMIT_TASKS_MAX;
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::partition_of;
use tasktonic_core::transitions::STATES;
use tasktonic_core::{TaskId, TaskState, Text, UserId};
use tasktonic_protocol::stored::StoredState;

use super::scene::{Scene, ack, nack, write};
use crate::limits::LIST_MAX;
use crate::{Counts, Query, QueryReply, TaskFilter};

/// More than fit in any page, list or chunk.
const MANY: usize = 10_240;

impl Scene {
    /// What is counted of a user.
    pub(super) async fn counts(&self, name: &str) -> Counts {
        let query = Query::Counts { user: name.parse().unwrap() };
        let QueryReply::Counts(counts) = self.read(name, query).await else { panic!() };
        counts
    }

    /// The same from a list of all tasks.
    async fn recount(&self, name: &str) -> Counts {
        let user: UserId = name.parse().unwrap();
        let (mut tasks, mut bytes, mut cursor) = ([0_u64; STATES.len()], 0, None);
        loop {
            let (user, filter) = (user.clone(), TaskFilter::default());
            let query = Query::List { user, filter, cursor, limit: LIST_MAX };
            let QueryReply::List(page) = self.read(name, query).await else { panic!() };
            for task in page.tasks {
                bytes += task.descriptor.len() as u64;
                let Some(text) = task.state else {
                    tasks[TaskState::Queued as usize] += 1;
                    continue;
                };
                let state: StoredState = serde_json::from_str(&text).unwrap();
                let state = TaskState::from_name(&state.s).unwrap();
                tasks[state as usize] += 1;
                bytes += if state.is_terminal() { text.len() as u64 } else { 0 };
            }
            cursor = page.next;
            if cursor.is_none() {
                return Counts::new(bytes, None, |state| tasks[state as usize]);
            }
        }
    }

    pub(super) async fn assert_counted(&self, name: &str, what: &str) -> Counts {
        let (are, mut should) = (self.counts(name).await, self.recount(name).await);
        should.bytes_max = are.bytes_max;
        assert_eq!(are, should, "counted of {name} {what}, and what there is");
        are
    }
}

/// Many tasks of one user go every way there is, workers vanish with some of them, and at no point is
/// another number counted than there are.
pub async fn counts_are_exact_for_a_user_of_many_tasks(scene: Scene) {
    let user: UserId = "ana".parse().unwrap();
    let p = partition_of(&user, scene.store.partitions());
    let mut tasks: Vec<TaskId> = Vec::with_capacity(MANY);
    while tasks.len() < MANY {
        let draft = |_| NewTask { lane_max: u32::MAX, ..scene.draft("ana") };
        let batch: Vec<NewTask> = (0..SUBMIT_TASKS_MAX).map(draft).collect();
        tasks.extend(batch.iter().map(|new| new.task));
        let batch = Submit { created_ms: scene.now_ms(), tasks: batch };
        let answers = scene.store.submit(p, batch).await.unwrap();
        assert!(answers.iter().all(|answer| *answer == Submitted::Accepted));
    }
    let later = NewTask { due_ms: Some(scene.now_ms() + 5_000), ..scene.draft("ana") };
    let delayed = later.task;
    assert_eq!(scene.submit_as(later).await, Submitted::LaneFull, "its own limit is lower");
    let mut later = NewTask { due_ms: Some(scene.now_ms() + 5_000), ..scene.draft("ana") };
    later.lane_max = u32::MAX;
    assert_eq!(scene.submit_as(later).await, Submitted::Accepted);
    let all = scene.assert_counted("ana", "once all are there").await;
    assert_eq!(all.of(TaskState::Queued), MANY as u64);
    assert_eq!((all.of(TaskState::Scheduled), all.all()), (1, MANY as u64 + 1));
    assert!(scene.task("ana", delayed).await.is_none());

    let mut held = Vec::new();
    while held.len() < 60 {
        held.extend(scene.claim("w1", 60 - held.len() as u32).await);
    }
    let output = |n: usize| Text::from(format!(r#""st":5,"r":"{}""#, "x".repeat(n)));
    for (at, held) in held.iter().enumerate() {
        let mut done = write(2);
        done.body = output(at);
        let report = match at % 6 {
            0 => Report::Ack { write: done, keep_s: 3_600 },
            1 => Report::Bury { write: done, keep_s: 3_600 },
            2 => nack(2, Again::Now),
            3 => nack(2, Again::At(scene.now_ms() + 60_000)),
            4 => Report::Progress { write: done },
            _ => continue,
        };
        assert!(scene.report(&held.lease, report).await);
    }
    let mid = scene.assert_counted("ana", "in the middle").await;
    assert_eq!((mid.of(TaskState::Completed), mid.of(TaskState::Dead)), (10, 10));
    assert_eq!((mid.of(TaskState::Running), mid.of(TaskState::Scheduled)), (20, 11));

    // Who held the rest is gone.
    let adopted = scene.outlive("w2").await;
    assert_eq!(adopted.len(), 20);
    let lost = scene.assert_counted("ana", "while somebody else holds them").await;
    assert_eq!((lost.of(TaskState::Running), lost.of(TaskState::Scheduled)), (20, 10));
    for (at, held) in adopted.iter().enumerate() {
        let report = if at % 2 == 0 { nack(1, Again::Now) } else { ack(1) };
        assert!(scene.report(&held.lease, report).await);
    }
    for held in &held {
        assert!(!scene.report(&held.lease, ack(9)).await, "nothing of it is held any more");
    }
    scene.assert_counted("ana", "after they were settled").await;

    let dead = held[1].lease.task;
    assert_eq!(scene.redrive("ana", dead, 1).await, Controlled::Done);
    for task in tasks.iter().rev().take(30) {
        assert_eq!(scene.cancel("ana", *task).await, Controlled::Done);
    }
    let longer = format!(r#"{{"v":1,"k":"mail","q":"mail","at":1,"p":"{}"}}"#, "y".repeat(999));
    assert_eq!(scene.edit("ana", tasks[5_000], (1, 0), &longer).await, Controlled::Done);
    let cancelled = scene.assert_counted("ana", "after people changed them").await;
    assert_eq!((cancelled.of(TaskState::Cancelled), cancelled.of(TaskState::Dead)), (30, 9));
    let gone = Purge { task: tasks[MANY - 1], claim: 1, key: None };
    let purge = Control::Purge { at_ms: scene.now_ms(), user, tasks: vec![gone] };
    assert_eq!(scene.control("ana", purge).await, Controlled::Done);
    scene.assert_counted("ana", "after one was removed").await;

    // What is over its retention goes by itself.
    scene.pass(3_600_000);
    for _ in 0..4 {
        scene.pass(1_000);
        scene.sync("w3", Vec::new(), 0, false).await;
    }
    let left = scene.assert_counted("ana", "at the end").await;
    let over = [TaskState::Completed, TaskState::Cancelled, TaskState::Dead];
    assert!(over.iter().all(|state| left.of(*state) == 0), "{left:?}");
    assert_eq!(left.all(), MANY as u64 + 1 - 30 - 10 - 9 - 10);
    assert_eq!(scene.counts("ben").await, Counts::default(), "nobody else is counted");
}
