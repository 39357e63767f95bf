//! Scenarios of what limits how tasks of a user start.

use tasktonic_core::TaskState;
use tasktonic_core::command::{Again, Control, Op, Report};
use tasktonic_core::gate::{Gate, gate};
use tasktonic_core::reply::Controlled;
use tasktonic_core::settings::{QueueSettings, Rate, UserSettings};

use super::lists::heard;
use super::scene::{MAIL, Scene, ack, nack, write};
use super::settings::of;
use crate::{Held, Query, QueryReply, Turns, Wake};

fn at_most(running_max: u32) -> QueueSettings {
    QueueSettings { running_max: Some(running_max), ..QueueSettings::default() }
}

fn of_user(running_max: u32) -> UserSettings {
    UserSettings { running_max: Some(running_max), ..UserSettings::default() }
}

impl Scene {
    /// What the engine says of the next task of a user in the queue of most scenarios.
    async fn gate(&self, user: &str) -> Gate {
        let queue = MAIL.parse().expect("a name");
        let query = Query::Facts { user: user.parse().expect("a user id"), queue };
        let QueryReply::Facts(facts) = self.read(user, query).await else { panic!() };
        gate(&facts)
    }

    async fn end(&self, held: &Held) {
        assert!(self.report(&held.lease, ack(held.n + 1)).await, "it is held");
    }
}

/// Who has as many tasks running as may be waits out of the others' way, and goes on when one of
/// them is over, however it ends.
pub async fn a_lane_at_its_limit_delays_nobody_and_goes_on_when_one_ends(scene: Scene) {
    scene.set_queue(1, at_most(2)).await;
    for _ in 0..12 {
        scene.submit("ana").await;
    }
    for _ in 0..3 {
        scene.submit("ben").await;
    }
    let mut taken = Vec::new();
    for _ in 0..4 {
        taken.extend(scene.claim("w1", 1).await);
    }
    assert_eq!((of(&taken, "ana"), of(&taken, "ben")), (2, 2));
    assert_eq!(scene.claim("w1", 10).await, Vec::new());
    assert_eq!(scene.gate("ana").await, Gate::UserLimit { running: 2, max: 2 });
    assert_eq!(scene.turns().await, Turns { held_back: 2, ..Turns::default() });
    let mut mine: Vec<Held> =
        taken.into_iter().filter(|held| held.lease.user.as_str() == "ana").collect();
    let reports: [fn(u32) -> Report; 4] = [
        ack,
        |n| Report::Release { write: write(n), attempt: None },
        |n| nack(n, Again::Now),
        |n| Report::Bury { write: write(n), keep_s: 60 },
    ];
    for report in reports {
        let over = mine.remove(0);
        assert!(scene.report(&over.lease, report(over.n + 1)).await);
        let next = scene.claim("w1", 10).await;
        assert_eq!(of(&next, "ana"), 1, "one for the one that is over");
        mine.extend(next);
    }
    // What is reported makes room for what is claimed in the same call.
    let over = mine.remove(0);
    let op = Op { lease: over.lease.clone(), report: ack(over.n + 1) };
    assert_eq!(of(&scene.sync("w1", vec![op], 10, false).await.claimed, "ana"), 1);
}

/// A limit that is lowered ends nothing; one that is raised or taken back lets tasks start at once.
pub async fn a_lowered_limit_stops_new_claims_only(scene: Scene) {
    for _ in 0..12 {
        scene.submit("ana").await;
    }
    // Set while tasks run: those count.
    let mut taken = scene.claim("w1", 4).await;
    scene.set_queue(1, at_most(3)).await;
    assert_eq!(scene.gate("ana").await, Gate::UserLimit { running: 4, max: 3 });
    assert_eq!(scene.claim("w1", 10).await, Vec::new());
    scene.end(&taken.remove(0)).await;
    assert_eq!(scene.claim("w1", 10).await, Vec::new());
    scene.end(&taken.remove(0)).await;
    taken.extend(scene.claim("w1", 10).await);
    assert_eq!(taken.len(), 3);
    // The user's own goes before the queue's.
    scene.set_user("ana", of_user(5)).await;
    taken.extend(scene.claim("w1", 10).await);
    assert_eq!(taken.len(), 5);
    scene.set_user("ana", of_user(1)).await;
    scene.set_queue(2, QueueSettings::default()).await;
    assert_eq!(scene.gate("ana").await, Gate::UserLimit { running: 5, max: 1 });
    for held in taken.drain(..4) {
        scene.end(&held).await;
    }
    assert_eq!(scene.claim("w1", 10).await, Vec::new());
    scene.set_user("ana", UserSettings::default()).await;
    assert_eq!(scene.gate("ana").await, Gate::Open);
    assert_eq!(scene.claim("w1", 10).await.len(), 5, "without a limit all that is left");
}

/// A lease that is lost and taken over counts all the while: whoever had it may still be at work.
pub async fn what_is_counted_survives_a_lost_lease(scene: Scene) {
    scene.set_queue(1, at_most(1)).await;
    scene.submit("ana").await;
    let second = scene.submit("ana").await;
    let lost = scene.claim_one("dead").await;
    let adopted = scene.outlive("w1").await.remove(0);
    assert_eq!(adopted.lease.task, lost.lease.task);
    assert_eq!(scene.claim("w1", 10).await, Vec::new());
    assert_eq!(scene.gate("ana").await, Gate::UserLimit { running: 1, max: 1 });
    assert!(!scene.report(&lost.lease, ack(9)).await, "who has lost it makes no room");
    assert_eq!(scene.claim("w1", 10).await, Vec::new());
    scene.end(&adopted).await;
    assert_eq!(scene.claim_one("w1").await.lease.task, second);
}

/// Who is idle hears of a lane that gets in again.
pub async fn a_lane_that_gets_in_again_wakes_who_is_idle(scene: Scene) {
    let worker = "w1".parse().unwrap();
    let mut wakes = scene.store.wakes(&worker);
    scene.heard_work_for(&mut wakes).await;
    scene.set_queue(1, at_most(1)).await;
    scene.submit("ana").await;
    scene.submit("ana").await;
    let first = scene.claim_one("w2").await;
    loop {
        assert!(scene.sync("w1", Vec::new(), 4, true).await.claimed.is_empty());
        if scene.turns().await.held_back == 1 {
            break;
        }
    }
    scene.end(&first).await;
    loop {
        let Wake::Work(..) = heard(&mut wakes).await else { panic!("not of work") };
        // The first may be of the submission.
        if scene.sync("w1", Vec::new(), 4, true).await.claimed.len() == 1 {
            return;
        }
    }
}

/// Of a user who is erased at their limit nothing is counted any more.
pub async fn an_erased_user_is_not_counted(scene: Scene) {
    scene.set_queue(1, at_most(1)).await;
    scene.submit("ana").await;
    scene.submit("ana").await;
    scene.claim_one("w1").await;
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    let user = "ana".parse().unwrap();
    assert_eq!(scene.control("ana", Control::Erase { user }).await, Controlled::Done);
    assert_eq!(scene.gate("ana").await, Gate::Open);
    let task = scene.submit("ana").await;
    assert_eq!(scene.claim_one("w1").await.lease.task, task);
    assert_eq!(scene.state("ana", task).await, TaskState::Running.name());
}

/// One every half second, three at once after a rest.
const RATE: Rate = Rate { tasks: 2, per_ms: 1_000, burst: 3 };

fn paced(rate: Rate) -> QueueSettings {
    QueueSettings { rate: Some(rate), ..QueueSettings::default() }
}

/// The burst at once, then one by one in their time; who has used up theirs is in nobody's way.
pub async fn a_user_starts_as_many_as_their_rate_says_and_delays_nobody(scene: Scene) {
    scene.set_queue(1, paced(RATE)).await;
    for _ in 0..20 {
        scene.submit("ana").await;
    }
    scene.submit("ben").await;
    let mut taken = Vec::new();
    for _ in 0..5 {
        taken.extend(scene.claim("w1", 2).await);
    }
    assert_eq!((of(&taken, "ana"), of(&taken, "ben")), (3, 1));
    assert_eq!(scene.gate("ana").await, Gate::Rate { good_in_ms: 500 });
    assert_eq!(scene.turns().await, Turns { held_back: 1, ..Turns::default() });
    // An end makes no room: what has started has started.
    for held in &taken {
        scene.end(held).await;
    }
    assert_eq!(scene.claim("w1", 10).await, Vec::new());
    let mut started = Vec::new();
    for _ in 0..12 {
        scene.pass(250);
        started.extend(scene.claim("w1", 10).await);
    }
    assert_eq!(of(&started, "ana"), 6, "two a second");
    // A rest fills the burst, and no more than that.
    for _ in 0..9 {
        scene.pass(1_000);
        scene.sync("reporter", Vec::new(), 0, false).await;
    }
    assert_eq!(of(&scene.claim("w1", 10).await, "ana"), 3);
}

/// Whoever claims nothing is told when to look again; whoever looks then wakes who is idle.
pub async fn a_rate_that_is_good_again_is_announced_and_wakes_who_is_idle(scene: Scene) {
    let worker = "w1".parse().unwrap();
    let mut wakes = scene.store.wakes(&worker);
    scene.heard_work_for(&mut wakes).await;
    scene.set_queue(1, paced(RATE)).await;
    for _ in 0..4 {
        scene.submit("ana").await;
    }
    assert_eq!(scene.claim("w2", 10).await.len(), 3);
    let mut next_in_ms = None;
    loop {
        let reply = scene.sync("w1", Vec::new(), 4, true).await;
        assert!(reply.claimed.is_empty());
        next_in_ms = reply.next_in_ms.or(next_in_ms);
        if scene.turns().await.held_back == 1 {
            break;
        }
    }
    assert_eq!(next_in_ms, Some(500));
    scene.pass(500);
    scene.sync("reporter", Vec::new(), 0, false).await;
    loop {
        let Wake::Work(..) = heard(&mut wakes).await else { panic!("not of work") };
        // The first may be of the submission.
        if scene.sync("w1", Vec::new(), 4, true).await.claimed.len() == 1 {
            return;
        }
    }
}

/// The next start of a rate is not found by maintenance, and does not wait for it: who looks when they
/// are told to look finds every task at its time.
pub async fn a_rate_of_one_at_a_time_starts_each_at_its_time(scene: Scene) {
    scene.set_queue(1, paced(Rate { tasks: 50, per_ms: 1_000, burst: 1 })).await;
    for _ in 0..8 {
        scene.submit("ana").await;
    }
    assert_eq!(scene.claim("w1", 10).await.len(), 1);
    for _ in 0..7 {
        let reply = scene.sync("w1", Vec::new(), 10, false).await;
        assert_eq!((reply.claimed.len(), reply.next_in_ms), (0, Some(20)));
        scene.pass(20);
        assert_eq!(scene.claim("w1", 10).await.len(), 1);
    }
}

/// A user's own rate goes before the queue's; one that is taken back lets all start.
pub async fn a_rate_is_changed_and_taken_back_while_lanes_wait(scene: Scene) {
    scene.set_queue(1, paced(RATE)).await;
    for _ in 0..12 {
        scene.submit("ana").await;
    }
    assert_eq!(scene.claim("w1", 20).await.len(), 3);
    assert_eq!(scene.claim("w1", 20).await, Vec::new());
    let rate = Some(Rate { tasks: 1, per_ms: 60_000, burst: 1 });
    scene.set_user("ana", UserSettings { rate, ..UserSettings::default() }).await;
    assert_eq!(scene.gate("ana").await, Gate::Rate { good_in_ms: 1_500 });
    assert_eq!(scene.claim("w1", 20).await, Vec::new());
    let rate = Some(Rate { tasks: 100, per_ms: 1_000, burst: 8 });
    scene.set_user("ana", UserSettings { rate, ..UserSettings::default() }).await;
    // What was above the new rate counts as one task above it.
    assert_eq!(scene.claim("w1", 20).await, Vec::new());
    scene.pass(1_000);
    assert_eq!(scene.claim("w1", 20).await.len(), 8);
    for _ in 0..5 {
        scene.submit("ana").await;
    }
    scene.set_user("ana", UserSettings::default()).await;
    assert_eq!(scene.claim("w1", 20).await.len(), 2, "by the queue's rate there is room for two");
    assert_eq!(scene.claim("w1", 20).await, Vec::new());
    scene.set_queue(2, QueueSettings::default()).await;
    assert_eq!(scene.gate("ana").await, Gate::Open);
    assert_eq!(scene.claim("w1", 20).await.len(), 4);
}
