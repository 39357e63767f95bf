//! Scenarios of turns by run time.

use tasktonic_core::command::{Again, Op, Report};
use tasktonic_core::priority::Priority;
use tasktonic_core::routing::partition_of;
use tasktonic_core::settings::{QueueSettings, Rate, Turns, UserSettings};
use tasktonic_core::{Lease, Text};

use super::scene::{Scene, ack, nack, write};
use super::settings::of;
use crate::Held;

const BY_TIME: QueueSettings = QueueSettings {
    running_total_max: None,
    rate_total: None,
    paused: false,
    waiting_max: None,
    running_max: None,
    rate: None,
    turns: Turns::RunTime,
};

impl Scene {
    /// Users of one partition.
    pub(super) fn neighbours(&self, count: usize) -> Vec<String> {
        let partitions = self.store.partitions();
        let home = partition_of(&"ana".parse().unwrap(), partitions);
        let names = (0..).map(|number| format!("user-{number}"));
        let same = |name: &String| partition_of(&name.parse().unwrap(), partitions) == home;
        names.filter(same).take(count).collect()
    }

    /// Lets two places work for so many seconds on tasks of users who always have some waiting, each
    /// of whose tasks takes its seconds. Answers the seconds that each user had.
    async fn work(&self, users: &[(String, i64)], seconds: i64) -> Vec<i64> {
        let (mut running, mut had) = (Vec::<(Held, usize, i64)>::new(), vec![0; users.len()]);
        for second in 0..seconds {
            let (over, on): (Vec<_>, Vec<_>) =
                running.into_iter().partition(|(_, _, until)| *until <= second);
            running = on;
            let says = |held: &Held, report| Op { lease: held.lease.clone(), report };
            let ended = over.iter().map(|(held, ..)| says(held, ack(held.n + 1)));
            let beats = running.iter().map(|(held, ..)| says(held, Report::Heartbeat));
            let ops: Vec<Op> = ended.chain(beats).collect();
            for (_, user, _) in &over {
                self.submit(&users[*user].0).await;
            }
            let places = 2 - u32::try_from(running.len()).unwrap();
            let reply = self.sync("w1", ops, places, false).await;
            assert_eq!(reply.claimed.len(), places as usize, "no place is idle");
            for held in reply.claimed {
                let user = users.iter().position(|of| of.0 == held.lease.user.as_str()).unwrap();
                had[user] += users[user].1;
                running.push((held, user, second + users[user].1));
            }
            self.pass(1_000);
        }
        had
    }
}

/// Who has long tasks gets as much of the workers' time as who has short ones, and not a turn for
/// each of theirs.
pub async fn a_user_of_long_tasks_gets_no_more_time_than_a_user_of_short_ones(scene: Scene) {
    let names = scene.neighbours(2);
    let users = [(names[0].clone(), 8), (names[1].clone(), 1)];
    for _ in 0..4 {
        for (user, _) in &users {
            scene.submit(user).await;
        }
    }
    scene.set_queue(1, BY_TIME).await;
    let had = scene.work(&users, 240).await;
    let part = had[0] * 100 / (had[0] + had[1]);
    assert!((45..=55).contains(&part), "{had:?} seconds");
}

/// However far apart their lengths are: a minute and a second.
pub async fn a_user_of_minutes_gets_no_more_time_than_a_user_of_seconds(scene: Scene) {
    let names = scene.neighbours(2);
    let users = [(names[0].clone(), 60), (names[1].clone(), 1)];
    scene.set_queue(1, BY_TIME).await;
    for _ in 0..4 {
        for (user, _) in &users {
            scene.submit(user).await;
        }
    }
    let had = scene.work(&users, 1_800).await;
    let part = had[0] * 100 / (had[0] + had[1]);
    assert!((45..=55).contains(&part), "{had:?} seconds");
}

/// A weight is of the time too.
pub async fn weights_hold_in_run_time_as_well(scene: Scene) {
    let names = scene.neighbours(3);
    let users = [(names[0].clone(), 6), (names[1].clone(), 2), (names[2].clone(), 1)];
    scene.set_queue(1, BY_TIME).await;
    scene.set_user(&names[2], UserSettings { weight: 2, ..UserSettings::default() }).await;
    for _ in 0..6 {
        for (user, _) in &users {
            scene.submit(user).await;
        }
    }
    let had = scene.work(&users, 240).await;
    let sum: i64 = had.iter().sum();
    for (got, part) in had.iter().zip([25, 25, 50]) {
        assert!((got * 100 / sum - part).abs() <= 5, "{had:?} seconds");
    }
}

/// Who is alone takes every place, whatever they had before; and one who comes then is not made to
/// wait for that, nor owed what others had before.
pub async fn turns_by_run_time_leave_no_place_idle(scene: Scene) {
    scene.set_queue(1, BY_TIME).await;
    let names = scene.neighbours(2);
    for _ in 0..30 {
        scene.submit(&names[0]).await;
    }
    let taken = scene.claim("w1", 9).await;
    assert_eq!(taken.len(), 9);
    scene.pass(3_000);
    for held in &taken {
        assert!(scene.report(&held.lease, ack(held.n + 1)).await);
    }
    for _ in 0..9 {
        scene.submit(&names[1]).await;
    }
    let taken = scene.claim("w1", 9).await;
    assert!(of(&taken, &names[1]) >= 4, "{} of 9", of(&taken, &names[1]));
    assert_eq!(taken.len(), 9);
    // Turns are counted again, and nothing is left of it.
    scene.set_queue(2, QueueSettings::default()).await;
    assert_eq!(scene.claim("w1", 4).await.len(), 4);
}

/// How an attempt may end that has run for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Completed,
    Buried,
    FailedNow,
    FailedForLater,
    Snoozed,
    Released,
    Cancelled,
    Lost,
}

impl End {
    const ALL: [Self; 8] = [
        Self::Completed,
        Self::Buried,
        Self::FailedNow,
        Self::FailedForLater,
        Self::Snoozed,
        Self::Released,
        Self::Cancelled,
        Self::Lost,
    ];

    /// What its holder says.
    fn report(self, n: u32, now_ms: i64) -> Report {
        let (write, attempt, due_ms) = (write(n), Text::from(r#"{"a":1}"#), now_ms + 5_000);
        match self {
            Self::Completed | Self::Lost => ack(n),
            Self::Buried => Report::Bury { write, keep_s: 60 },
            Self::FailedNow => nack(n, Again::Now),
            Self::FailedForLater => nack(n, Again::At(due_ms)),
            Self::Snoozed => Report::Snooze { write, due_ms, attempt },
            Self::Released => Report::Release { write, attempt: None },
            Self::Cancelled => Report::Cancelled { write, keep_s: 60 },
        }
    }
}

impl Scene {
    /// Holds a lease for so many seconds.
    async fn hold(&self, lease: &Lease, seconds: u32) {
        for _ in 0..seconds {
            self.pass(1_000);
            assert!(self.report(lease, Report::Heartbeat).await);
        }
    }
}

/// An attempt is charged for what it took: one that failed, was given back, sent to another time,
/// cancelled, or whose worker was lost and another settled it.
pub async fn an_attempt_is_charged_for_what_it_took_however_it_ends(scene: Scene) {
    let names = scene.neighbours(2 * End::ALL.len());
    for (nth, (end, users)) in End::ALL.into_iter().zip(names.chunks(2)).enumerate() {
        let version = 2 * u64::try_from(nth).unwrap() + 1;
        scene.set_queue(version, QueueSettings::default()).await;
        scene.set_queue(version + 1, BY_TIME).await;
        let (long, short) = (&users[0], &users[1]);
        scene.submit(long).await;
        let mut held = scene.claim_one("w1").await;
        scene.submit(long).await;
        scene.hold(&held.lease, 30).await;
        if end == End::Cancelled {
            scene.cancel(long, held.lease.task).await;
        }
        if end == End::Lost {
            held = scene.outlive("w2").await.remove(0);
        }
        assert!(scene.report(&held.lease, end.report(held.n + 1, scene.now_ms())).await);
        for _ in 0..20 {
            scene.submit(short).await;
        }
        // The one who had half a minute waits for as much of the other's.
        for nth in 0..20 {
            let held = scene.claim_one("w1").await;
            assert_eq!(held.lease.user.as_str(), short, "{end:?}, {nth}");
            scene.pass(1_000);
            assert!(scene.report(&held.lease, ack(held.n + 1)).await);
        }
        let left = scene.claim("w1", 9).await;
        assert!(!left.is_empty() && of(&left, long) == left.len(), "{end:?}: {left:?}");
        for held in left {
            assert!(scene.report(&held.lease, ack(held.n + 1)).await);
        }
    }
}

/// Who shares run time has limits, rates, priorities and pauses as ever, and whoever is kept out
/// delays nobody.
pub async fn turns_by_run_time_keep_limits_rates_priorities_and_pauses(scene: Scene) {
    let names = scene.neighbours(4);
    scene.set_queue(1, QueueSettings { running_max: Some(3), ..BY_TIME }).await;
    scene.pause(&names[1], true).await;
    let of_user = |running_max, rate| UserSettings { running_max, rate, ..UserSettings::default() };
    scene.set_user(&names[2], of_user(Some(1), None)).await;
    let rate = Rate { tasks: 1, per_ms: 60_000, burst: 2 };
    scene.set_user(&names[3], of_user(None, Some(rate))).await;
    let mut high = Vec::new();
    for name in &names {
        for priority in [Priority::Low, Priority::Normal, Priority::High] {
            for _ in 0..2 {
                let new = tasktonic_core::command::NewTask { priority, ..scene.draft(name) };
                if name == &names[0] && priority == Priority::High {
                    high.push(new.task);
                }
                scene.submit_as(new).await;
            }
        }
    }
    let starts = |taken: &[Held]| names.iter().map(|name| of(taken, name)).collect::<Vec<_>>();
    let taken = scene.claim("w1", 20).await;
    assert_eq!(starts(&taken), [3, 0, 1, 2]);
    let first = taken.iter().filter(|held| held.lease.user.as_str() == names[0]);
    let first: Vec<_> = first.map(|held| held.lease.task).take(2).collect();
    assert_eq!(first, high, "higher ones go first");
    assert_eq!(scene.claim("w1", 20).await, Vec::new(), "nobody else may start");

    scene.pause(&names[1], false).await;
    assert_eq!(starts(&scene.claim("w1", 20).await), [0, 3, 0, 0]);
    scene.pass(1_000);
    for held in &taken {
        assert!(scene.report(&held.lease, ack(held.n + 1)).await);
    }
    assert_eq!(starts(&scene.claim("w1", 20).await), [3, 0, 1, 0]);
}
