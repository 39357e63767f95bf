//! Scenarios of the place in a line.

use tasktonic_core::command::MoveTo;
use tasktonic_core::limits::{POSITION_MAX, SUBMIT_TASKS_MAX};
use tasktonic_core::policy::estimate::{STARTS_MAX, Start};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{TaskId, command::Submit};

use super::scene::{Scene, ack};
use crate::{Position, Query, QueryReply};

impl Scene {
    /// Where a task stands; nothing unless it is queued.
    async fn position(&self, user: &str, task: TaskId) -> Option<Position> {
        let query = Query::Position { user: user.parse().expect("a user id"), task };
        let QueryReply::Position(position) = self.read(user, query).await else {
            panic!("a question is answered in kind")
        };
        position.map(|position| *position)
    }

    /// How many of the user's tasks go before this one.
    async fn ahead(&self, user: &str, task: TaskId) -> Option<(u32, u32)> {
        self.position(user, task).await.map(|position| position.ahead)
    }
}

/// The place is exact and moves with the line: by claims, cancellations, another place.
pub async fn a_task_knows_its_place_in_the_line(scene: Scene) {
    let mut tasks = Vec::new();
    for _ in 0..6 {
        tasks.push(scene.submit("ana").await);
    }
    let of_ben = scene.submit("ben").await;
    for (at, task) in (0..).zip(&tasks) {
        assert_eq!(scene.ahead("ana", *task).await, Some((at, at)));
    }
    assert_eq!(scene.ahead("ben", of_ben).await, Some((0, 0)), "others are not in ana's line");
    let mut users = 0;
    for p in (0..scene.store.partitions()).map(PartitionId) {
        let query = Query::Turns { queues: vec!["mail".parse().expect("a queue name")] };
        let QueryReply::Turns(here) = scene.store.read(p, query).await.expect("an answer") else {
            panic!("a question is answered in kind")
        };
        users += here[0].users;
    }
    assert_eq!(users, 2);
    assert_eq!(scene.ahead("ben", tasks[0]).await, None, "nobody asks of another's task");
    assert_eq!(scene.ahead("ana", scene.draft("ana").task).await, None);

    scene.cancel("ana", tasks[1]).await;
    scene.cancel("ana", tasks[4]).await;
    assert_eq!(scene.ahead("ana", tasks[1]).await, None);
    assert_eq!(scene.ahead("ana", tasks[3]).await, Some((2, 2)), "who is cancelled is not counted");
    assert_eq!(scene.ahead("ana", tasks[5]).await, Some((3, 3)));
    scene.reschedule("ana", tasks[5], 1, MoveTo::Front).await;
    assert_eq!(scene.ahead("ana", tasks[5]).await, Some((0, 0)));
    assert_eq!(scene.ahead("ana", tasks[3]).await, Some((3, 3)));

    let later = MoveTo::Due(scene.now_ms() + 60_000);
    scene.reschedule("ana", tasks[2], 1, later).await;
    assert_eq!(scene.ahead("ana", tasks[2]).await, None, "a task with a time has no place yet");
    assert_eq!(scene.ahead("ana", tasks[3]).await, Some((2, 2)));
    while !scene.claim("w1", 1).await.is_empty() {}
    assert_eq!(scene.ahead("ana", tasks[3]).await, None);
}

/// What a line tells of its movement: every start with its time and since when it had waited.
pub async fn a_line_tells_when_its_tasks_started(scene: Scene) {
    let made_ms = scene.now_ms();
    let mut tasks = Vec::new();
    for _ in 0..5 {
        tasks.push(scene.submit("ana").await);
    }
    let mut wanted = Vec::new();
    for task in &tasks[..3] {
        scene.pass(700);
        let held = scene.claim_one("w1").await;
        assert_eq!(held.lease.task, *task);
        wanted.push(Start { at_ms: scene.now_ms(), entered_ms: made_ms });
        assert!(scene.report(&held.lease, ack(held.n + 1)).await);
    }
    let position = scene.position("ana", tasks[4]).await.expect("it is queued");
    assert_eq!(position.starts, wanted);
    assert_eq!((position.ahead, position.more), ((1, 1), false));
    assert_eq!(position.head_since_ms, made_ms);
    assert_eq!(position.queue.as_str(), "mail");

    // Who comes back later has waited since then only.
    let mut new = scene.draft("ana");
    new.due_ms = Some(scene.now_ms() + 1_000);
    scene.submit_as(new).await;
    scene.claim("w1", 2).await;
    scene.pass(1_000);
    scene.sync("w2", Vec::new(), 0, false).await;
    let promoted_ms = scene.now_ms();
    scene.pass(500);
    scene.claim_one("w1").await;
    let last = scene.submit("ana").await;
    let position = scene.position("ana", last).await.expect("it is queued");
    let start = Start { at_ms: scene.now_ms(), entered_ms: promoted_ms };
    assert_eq!((position.starts.len(), position.starts.last()), (6, Some(&start)));
}

/// Users whose turn comes are counted, and no more is read than has a limit.
pub async fn a_long_line_is_told_as_so_many_or_more(scene: Scene) {
    let user = "ana".parse().expect("a user id");
    let p = partition_of(&user, scene.store.partitions());
    let mut tasks = Vec::new();
    let wanted = POSITION_MAX as usize + 3;
    while tasks.len() < wanted {
        let count = SUBMIT_TASKS_MAX.min(wanted - tasks.len());
        let draft = |_| tasktonic_core::command::NewTask { lane_max: 50_000, ..scene.draft("ana") };
        let batch = Submit { created_ms: scene.now_ms(), tasks: (0..count).map(draft).collect() };
        tasks.extend(batch.tasks.iter().map(|new| new.task));
        scene.store.submit(p, batch).await.expect("the store takes it");
    }
    let position = scene.position("ana", tasks[POSITION_MAX as usize - 1]).await.expect("queued");
    assert_eq!((position.ahead, position.more), ((POSITION_MAX - 1, POSITION_MAX - 1), false));
    assert_eq!(position.starts.len(), 0);
    let last = *tasks.last().expect("there are many");
    let position = scene.position("ana", last).await.expect("queued");
    assert_eq!((position.ahead, position.more), ((POSITION_MAX, POSITION_MAX), true));
    for _ in 0..STARTS_MAX + 4 {
        scene.pass(10);
        let held = scene.claim_one("w1").await;
        assert!(scene.report(&held.lease, ack(held.n + 1)).await);
    }
    let position = scene.position("ana", last).await.expect("queued");
    assert_eq!((position.ahead, position.more), ((9_934, 9_934), false));
    assert_eq!(position.starts.len(), STARTS_MAX, "the newest of them");
    assert_eq!(position.starts.last().expect("the last").at_ms, scene.now_ms());
}
