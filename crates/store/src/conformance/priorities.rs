//! Scenarios of priorities: which of a user's own tasks go first.

use tasktonic_core::command::{Again, MoveTo, NewTask, Report};
use tasktonic_core::limits::LOW_TURN;
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::settings::UserSettings;
use tasktonic_core::{Priority, TaskId};

use super::scene::{Scene, ack, nack, write};
use super::settings::of;
use crate::{Held, Query, QueryReply};

impl Scene {
    /// A task of `user` with this priority.
    fn with(&self, user: &str, priority: Priority) -> NewTask {
        NewTask { priority, ..self.draft(user) }
    }

    async fn submit_with(&self, user: &str, priority: Priority) -> TaskId {
        let new = self.with(user, priority);
        let task = new.task;
        assert_eq!(self.submit_as(new).await, Submitted::Accepted);
        task
    }

    /// Claims one task and ends it.
    async fn run_one(&self) -> TaskId {
        let held = self.claim_one("w1").await;
        assert!(self.report(&held.lease, ack(held.n + 1)).await);
        held.lease.task
    }

    async fn before(&self, user: &str, task: TaskId) -> Option<(u32, u32)> {
        let query = Query::Position { user: user.parse().expect("a user id"), task };
        let QueryReply::Position(position) = self.read(user, query).await else { panic!() };
        position.map(|position| position.ahead)
    }
}

fn tasks(held: &[Held]) -> Vec<TaskId> {
    held.iter().map(|held| held.lease.task).collect()
}

/// Of one user's tasks the high ones go first, then the normal ones, then the low ones, each in their
/// order; and each knows its place among them.
pub async fn a_users_higher_tasks_go_first_each_in_their_order(scene: Scene) {
    let mut sent = Vec::new();
    for priority in [Priority::Low, Priority::Normal, Priority::High].repeat(2) {
        sent.push(scene.submit_with("ana", priority).await);
    }
    let [low, normal, high, low_2, normal_2, high_2] = sent[..] else { panic!() };
    let order = [high, high_2, normal, normal_2, low, low_2];
    for (at, task) in (0..).zip(&order) {
        assert_eq!(scene.before("ana", *task).await, Some((at, at)));
    }
    // Who is cancelled is before nobody.
    assert_eq!(scene.cancel("ana", high_2).await, Controlled::Done);
    assert_eq!(scene.before("ana", low_2).await, Some((4, 4)));
    let mut started = Vec::new();
    for _ in 0..5 {
        started.push(scene.run_one().await);
    }
    assert_eq!(started, [high, normal, normal_2, low, low_2]);
    assert_eq!(scene.claim("w1", 9).await, Vec::new());
}

/// However many high tasks a user has, of eight turns one is that of their low tasks.
pub async fn a_low_task_starts_in_one_of_eight_turns_under_high_load(scene: Scene) {
    let mut low = Vec::new();
    for _ in 0..3 {
        low.push(scene.submit_with("ana", Priority::Low).await);
    }
    let mut started = Vec::new();
    for _ in 0..3 * LOW_TURN + 4 {
        scene.submit_with("ana", Priority::High).await;
        scene.submit_with("ana", Priority::Normal).await;
        started.push(scene.run_one().await);
    }
    let turns: Vec<_> =
        (1..).zip(&started).filter(|(_, task)| low.contains(task)).map(|(at, _)| at).collect();
    assert_eq!(turns, [LOW_TURN, 2 * LOW_TURN, 3 * LOW_TURN]);
}

/// Priority says nothing about the tasks of two users: turns stay as they are.
pub async fn one_persons_high_tasks_do_not_delay_another(scene: Scene) {
    // Of one partition: users of others take their turns there.
    let names = scene.neighbours(3);
    for _ in 0..40 {
        scene.submit_with(&names[0], Priority::High).await;
    }
    for _ in 0..10 {
        scene.submit_with(&names[1], Priority::Low).await;
        scene.submit_with(&names[2], Priority::Normal).await;
    }
    let mut taken = Vec::new();
    for _ in 0..30 {
        taken.extend(scene.claim("w1", 1).await);
    }
    let served: Vec<_> = names.iter().map(|name| of(&taken, name)).collect();
    assert_eq!(served, [10, 10, 10]);
}

/// A task keeps its priority through all that may happen to it.
pub async fn a_task_keeps_its_priority_until_its_end(scene: Scene) {
    let reports: [fn(i64, u32) -> Report; 4] = [
        |_, n| Report::Release { write: write(n), attempt: None },
        |_, n| nack(n, Again::Now),
        |now_ms, n| nack(n, Again::At(now_ms + 1_000)),
        |now_ms, n| Report::Snooze {
            write: write(n),
            due_ms: now_ms + 1_000,
            attempt: "{}".into(),
        },
    ];
    let low = scene.submit_with("ana", Priority::Low).await;
    let high = scene.submit_with("ana", Priority::High).await;
    for report in reports {
        let held = scene.claim_one("w1").await;
        assert_eq!(held.lease.task, high);
        // What others submit meanwhile stays behind it.
        scene.submit("ana").await;
        let report = report(scene.now_ms(), held.n + 1);
        assert!(scene.report(&held.lease, report).await);
        scene.pass(1_500);
        scene.sync("w2", Vec::new(), 0, false).await;
    }
    // Its worker is lost.
    assert_eq!(tasks(&scene.claim("gone", 1).await), [high]);
    let adopted = scene.outlive("w2").await;
    assert_eq!(tasks(&adopted), [high]);
    assert!(scene.report(&adopted[0].lease, nack(adopted[0].n + 1, Again::Now)).await);
    let held = scene.claim_one("w1").await;
    assert_eq!(held.lease.task, high);
    assert!(scene.report(&held.lease, Report::Bury { write: write(held.n + 1), keep_s: 60 }).await);
    // It is sent back, moved to another time, and to another place among its like.
    assert_eq!(scene.redrive("ana", high, held.lease.claim).await, Controlled::Done);
    let (claim, other) = (held.lease.claim + 1, scene.submit_with("ana", Priority::High).await);
    assert_eq!(scene.before("ana", other).await, Some((1, 1)));
    let later = MoveTo::Due(scene.now_ms() + 1_000);
    assert_eq!(scene.reschedule("ana", high, claim, later).await, Controlled::Done);
    scene.pass(1_500);
    scene.sync("w2", Vec::new(), 0, false).await;
    assert_eq!(scene.before("ana", high).await, Some((1, 1)));
    assert_eq!(scene.reschedule("ana", low, 1, MoveTo::Front).await, Controlled::Done);
    assert_eq!(scene.before("ana", low).await, Some((6, 6)), "in front of the low ones only");
    assert_eq!(scene.reschedule("ana", high, claim + 1, MoveTo::Front).await, Controlled::Done);
    assert_eq!(scene.run_one().await, high);
    // The low one has been passed over in seven turns.
    assert_eq!(scene.run_one().await, low);
    assert_eq!(scene.run_one().await, other);
}

/// What a user may have waiting, running or starting counts all of their tasks, whatever priority.
pub async fn limits_count_tasks_of_every_priority(scene: Scene) {
    let settings = UserSettings { waiting_max: Some(4), ..UserSettings::default() };
    scene.set_user("ana", UserSettings { running_max: Some(2), ..settings }).await;
    for priority in [Priority::High, Priority::Low, Priority::Normal, Priority::Low] {
        scene.submit_with("ana", priority).await;
    }
    for priority in Priority::ALL {
        assert_eq!(scene.submit_as(scene.with("ana", priority)).await, Submitted::LaneFull);
    }
    let held = scene.claim("w1", 9).await;
    assert_eq!(held.len(), 2);
    scene.submit_with("ana", Priority::High).await;
    assert_eq!(scene.claim("w1", 9).await, Vec::new(), "no priority lifts a limit");
    assert!(scene.report(&held[0].lease, ack(9)).await);
    assert_eq!(scene.claim("w1", 9).await.len(), 1);
}
