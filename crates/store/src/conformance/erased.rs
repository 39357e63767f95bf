//! Scenarios of users who are erased.

use tasktonic_core::command::{Again, Control, Idempotency, Op, Report};
use tasktonic_core::limits::ERASE_MAX;
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::schedule::Schedule;
use tasktonic_core::settings::{By, UserSettings};
use tasktonic_core::{Text, UserId};

use super::scene::{Scene, ack, nack, write};
use crate::{EventsSince, Query, QueryReply, TaskFilter};

impl Scene {
    async fn erase(&self, user: &str) -> Controlled {
        self.control(user, Control::Erase { user: user.parse().unwrap() }).await
    }

    /// What can be read of a user: tasks, counts, the newest event.
    async fn left_of(&self, name: &str) -> (usize, u64, u64) {
        let user: UserId = name.parse().unwrap();
        let filter = TaskFilter::default();
        let list = Query::List { user: user.clone(), filter, cursor: None, limit: 200 };
        let QueryReply::List(page) = self.read(name, list).await else { panic!() };
        let counts = Query::Counts { user: user.clone() };
        let QueryReply::Counts(counts) = self.read(name, counts).await else { panic!() };
        let head = Query::EventsHead { user };
        let QueryReply::Events(EventsSince { seq, .. }) = self.read(name, head).await else {
            panic!()
        };
        (page.tasks.len(), counts.all(), seq)
    }
}

/// A user with tasks in every state and place is gone, another one is not touched, and whoever held
/// something learns that it is lost.
pub async fn an_erased_user_is_gone_in_every_state_and_nobody_else_is(scene: Scene) {
    let user: UserId = "ana".parse().unwrap();
    let submit = async |change: &dyn Fn(&mut tasktonic_core::command::NewTask)| {
        let mut new = scene.draft("ana");
        change(&mut new);
        let task = new.task;
        assert_eq!(scene.submit_as(new).await, Submitted::Accepted);
        task
    };
    let keyed = |new: &mut tasktonic_core::command::NewTask| {
        new.idempotency = Some(Idempotency::new("k", 7, 60_000));
    };
    // One of each: with a log and an end, dead, given back, running and asked to stop, cancelled
    // while it waited, expiring, scheduled, waiting.
    let mut held = Vec::new();
    for _ in 0..5 {
        scene.submit("ana").await;
        held.push(scene.claim_one("w1").await);
    }
    let lines = vec![Text::from(r#"{"at":1,"l":"info","x":"hello"}"#)];
    assert!(scene.report(&held[0].lease, Report::Log { lines }).await);
    assert!(scene.report(&held[0].lease, ack(9)).await);
    assert!(scene.report(&held[1].lease, Report::Bury { write: write(9), keep_s: 600 }).await);
    assert!(scene.report(&held[2].lease, nack(9, Again::Now)).await);
    assert_eq!(scene.cancel("ana", held[3].lease.task).await, Controlled::Asked);
    let stopped = submit(&keyed).await;
    assert_eq!(scene.cancel("ana", stopped).await, Controlled::Done);
    let at_ms = scene.now_ms() + 1_000;
    submit(&|new| {
        new.expires = Some(tasktonic_core::command::Expiry { at_ms, keep_s: 60 });
    })
    .await;
    submit(&|new| new.due_ms = Some(at_ms)).await;
    scene.submit("ana").await;
    let settings = UserSettings { weight: 3, ..UserSettings::default() };
    let set = Control::User { queue: "mail".parse().unwrap(), user: user.clone(), settings };
    assert_eq!(scene.control("ana", set).await, Controlled::Done);
    let pause = Control::Pause { user, by: By::Owner, paused: true };
    assert_eq!(scene.control("ana", pause).await, Controlled::Done);
    let other = scene.submit("ben").await;
    let daily = |user: &str| Control::Schedule {
        user: user.parse().unwrap(),
        name: "daily".parse().unwrap(),
        seen: None,
        becomes: Some(Schedule { version: 1, next_ms: Some(at_ms), text: "{}".into() }),
    };
    assert_eq!(scene.control("ana", daily("ana")).await, Controlled::Done);
    assert_eq!(scene.control("ben", daily("ben")).await, Controlled::Done);

    assert_eq!(scene.erase("ana").await, Controlled::Done);
    assert_eq!(scene.left_of("ana").await, (0, 0, 0));
    assert_eq!(scene.erase("ana").await, Controlled::Done, "a second time finds nothing");
    let beat = |at: usize| Op { lease: held[at].lease.clone(), report: Report::Heartbeat };
    let reply = scene.sync("w1", vec![beat(3), beat(4)], 0, false).await;
    assert_eq!(reply.refused.len(), 2, "who held something is told");
    scene.pass(20_000);
    let reply = scene.sync("w2", Vec::new(), 5, false).await;
    assert_eq!(reply.adopted, Vec::new());
    let claimed: Vec<_> = reply.claimed.into_iter().map(|held| held.lease.task).collect();
    assert_eq!(claimed, [other]);
    scene.pass(800_000);
    scene.sync("w2", Vec::new(), 0, false).await;
    // The user may come back: nothing of before is in the way.
    assert_eq!(scene.control("ana", daily("ana")).await, Controlled::Done);
    assert_eq!(scene.control("ben", daily("ben")).await, Controlled::Changed, "ben's is there");
    let again = submit(&keyed).await;
    assert_eq!(scene.left_of("ana").await, (1, 1, 1));
    assert_eq!(scene.claim_one("w3").await.lease.task, again);
}

/// Many tasks take several steps, each of which leaves everything in order.
pub async fn a_user_with_many_tasks_is_erased_in_steps(scene: Scene) {
    for _ in 0..2 * ERASE_MAX + 5 {
        scene.submit("ana").await;
    }
    for held in scene.claim("w1", 100).await {
        assert!(scene.report(&held.lease, ack(held.n + 1)).await);
    }
    let mut steps = Vec::new();
    for _ in 0..3 {
        steps.push(scene.erase("ana").await);
        scene.sync("w1", Vec::new(), 0, false).await;
    }
    assert_eq!(steps, [Controlled::Changed, Controlled::Changed, Controlled::Done]);
    assert_eq!(scene.left_of("ana").await, (0, 0, 0));
    assert_eq!(scene.claim("w1", 100).await, Vec::new());
}

/// Whoever adopted a task holds it under another lease than its state tells of: that one goes too.
pub async fn an_adopted_task_is_erased_with_its_lease(scene: Scene) {
    scene.submit("ana").await;
    scene.claim_one("w1").await;
    let adopted = scene.outlive("w2").await;
    assert_eq!(adopted.len(), 1);
    assert_eq!(scene.erase("ana").await, Controlled::Done);
    assert!(!scene.report(&adopted[0].lease, ack(9)).await, "its holder is told");
    assert_eq!(scene.outlive("w3").await, Vec::new());
    assert_eq!(scene.left_of("ana").await, (0, 0, 0));
}
