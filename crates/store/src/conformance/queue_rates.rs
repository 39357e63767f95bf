//! Scenarios of a rate over all users of a queue, whichever partitions they are in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tasktonic_core::gate::{Gate, gate};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::settings::{QueueSettings, Rate};

use super::scene::{MAIL, Scene, ack};
use crate::{Held, Query, QueryReply, Wake};

/// How long starts may take from one partition to another. Only a failing test waits that long.
const STARTS_WAIT: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

fn at_most(tasks: u32, per_ms: u32, burst: u32) -> QueueSettings {
    let rate_total = Some(Rate { tasks, per_ms, burst });
    QueueSettings { rate_total, ..QueueSettings::default() }
}

impl Scene {
    /// Claims and ends what it claims, until so many have started; no time passes.
    async fn run_in_time(&self, count: usize) -> Vec<Held> {
        let (began, mut taken) = (Instant::now(), Vec::new());
        while taken.len() < count {
            assert!(began.elapsed() < STARTS_WAIT, "{} of {count} have started", taken.len());
            let some = self.claim("w1", u32::try_from(count - taken.len()).expect("few")).await;
            for held in &some {
                assert!(self.report(&held.lease, ack(held.n + 1)).await);
            }
            taken.extend(some);
            if taken.len() < count {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        assert_eq!(taken.len(), count);
        taken
    }

    /// Nobody may start, however often somebody looks.
    async fn nobody_starts(&self) {
        for _ in 0..8 {
            assert_eq!(self.claim("w1", 9).await, Vec::new());
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn starts_in_ms(&self, user: &str) -> Option<u64> {
        let queue = MAIL.parse().expect("a name");
        let query = Query::Facts { user: user.parse().expect("a user id"), queue };
        let QueryReply::Facts(facts) = self.read(user, query).await else { panic!() };
        match gate(&facts) {
            Gate::QueueRate { good_in_ms } => Some(good_in_ms),
            _ => None,
        }
    }
}

/// Users of all partitions submit, workers claim, and time goes by: in no stretch of it do more tasks
/// start than the burst and what the rate makes of the stretch, and all of them start in the end.
pub async fn a_rate_over_all_users_is_never_exceeded(scene: Scene) {
    let users = scene.users_everywhere(2);
    let (tasks, per_ms, burst) = (5, 1_000, 3);
    scene.set_queue(1, at_most(tasks, per_ms, burst)).await;
    let mut starts: Vec<(i64, u64)> = Vec::new();
    let (mut submitted, mut started, mut seed) = (0, 0, 11_usize);
    let mut below = |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % limit
    };
    let began = Instant::now();
    for step in 0.. {
        match below(8) {
            0..3 if submitted < 90 => {
                scene.submit(&users[below(users.len())]).await;
                submitted += 1;
            }
            3..6 => {
                let taken = scene.claim("w1", u32::try_from(1 + below(4)).unwrap()).await;
                for held in &taken {
                    assert!(scene.report(&held.lease, ack(held.n + 1)).await);
                }
                started += taken.len();
                starts.push((scene.now_ms(), taken.len() as u64));
            }
            _ => {
                scene.pass(i64::try_from(below(90)).unwrap());
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        if step > 240 && started == submitted {
            break;
        }
        assert!(began.elapsed() < STARTS_WAIT, "{started} of {submitted} have started");
    }
    for (from, (begin_ms, _)) in starts.iter().enumerate() {
        let mut sum = 0;
        for (at_ms, count) in &starts[from..] {
            sum += count;
            let long_ms = (at_ms - begin_ms).unsigned_abs();
            let made = long_ms * u64::from(tasks) / u64::from(per_ms);
            assert!(sum <= u64::from(burst) + made, "{sum} have started in {long_ms} ms");
        }
    }
}

/// All of a burst is for whoever needs it, in whichever partition, and the next starts when the rate says
/// so; `why` says when.
pub async fn a_burst_is_for_whoever_needs_it(scene: Scene) {
    let users = scene.users_everywhere(1);
    scene.set_queue(1, at_most(1, 1_000, 8)).await;
    for user in &users {
        for _ in 0..9 {
            scene.submit(user).await;
        }
        scene.run_in_time(8).await;
        scene.nobody_starts().await;
        let began = Instant::now();
        while scene.starts_in_ms(user).await.is_none_or(|in_ms| in_ms > 1_000) {
            assert!(began.elapsed() < STARTS_WAIT, "{:?}", scene.starts_in_ms(user).await);
            scene.nobody_starts().await;
        }
        scene.pass(999);
        scene.nobody_starts().await;
        scene.pass(1);
        scene.run_in_time(1).await;
        // Lease time moves by looks.
        for _ in 0..8 {
            scene.pass(1_000);
            scene.claim("w1", 1).await;
        }
    }
}

/// A rate over all users that is set, changed or taken back holds from the moment it is answered.
pub async fn a_rate_over_all_users_is_changed_at_once(scene: Scene) {
    let users = scene.users_everywhere(2);
    for user in &users {
        for _ in 0..12 {
            scene.submit(user).await;
        }
    }
    scene.set_queue(1, at_most(1, 60_000, 2)).await;
    scene.run_in_time(2).await;
    scene.nobody_starts().await;
    // What has started by the old one counts: of the new burst there is nothing at first but what its
    // rate makes.
    scene.set_queue(2, at_most(100, 1_000, 6)).await;
    scene.pass(60);
    scene.run_in_time(6).await;
    scene.nobody_starts().await;
    scene.pass(60);
    scene.run_in_time(6).await;
    scene.set_queue(3, at_most(1, 60_000, 1)).await;
    scene.pass(100);
    scene.run_in_time(1).await;
    scene.pass(1_000);
    scene.nobody_starts().await;
    scene.set_queue(4, QueueSettings { paused: true, ..at_most(100, 1_000, 6) }).await;
    scene.pass(1_000);
    scene.nobody_starts().await;
    scene.set_queue(5, QueueSettings::default()).await;
    let left = users.len() * 12 - 15;
    assert_eq!(scene.claim("w1", 100).await.len(), left, "without a rate all that is left");
    assert_eq!(scene.starts_in_ms(&users[0]).await, None);
}

/// One at a time, and everybody has work: each partition has its turn.
pub async fn a_rate_comes_round_to_every_partition(scene: Scene) {
    let users = scene.users_everywhere(1);
    for user in &users {
        for _ in 0..60 {
            scene.submit(user).await;
        }
    }
    scene.set_queue(1, at_most(1, 1_000, 1)).await;
    let mut starts: BTreeMap<PartitionId, u32> = BTreeMap::new();
    let (began, mut last_ms) = (Instant::now(), 0);
    while starts.len() < users.len() || starts.values().any(|count| *count < 2) {
        assert!(began.elapsed() < STARTS_WAIT, "{starts:?}");
        let taken = scene.claim("w1", 1).await;
        assert!(taken.len() <= 1, "{taken:?}");
        for one in taken {
            assert!(scene.now_ms() - last_ms >= 1_000, "one a second");
            last_ms = scene.now_ms();
            *starts.entry(scene.partition(one.lease.user.as_str())).or_default() += 1;
            assert!(scene.report(&one.lease, ack(one.n + 1)).await);
        }
        scene.pass(200);
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Who is idle hears when the next may start, in whichever partition; and a queue at its rate holds up no
/// other.
pub async fn a_start_that_is_due_wakes_who_is_idle(scene: Scene) {
    let worker = "w1".parse().unwrap();
    let mut wakes = scene.store.wakes(&worker);
    scene.heard_work_for(&mut wakes).await;
    let users = scene.users_everywhere(1);
    let (first, last) = (&users[0], &users[users.len() - 1]);
    scene.set_queue(1, at_most(1, 1_000, 1)).await;
    scene.submit(first).await;
    scene.run_in_time(1).await;
    scene.submit(last).await;
    let mut other = scene.draft(last);
    other.queue = "sms".parse().unwrap();
    assert_eq!(scene.submit_as(other).await, tasktonic_core::reply::Submitted::Accepted);
    let queues = vec![MAIL.parse().unwrap(), "sms".parse().unwrap()];
    let claim = tasktonic_core::command::Claim::new(queues, 5);
    let taken = scene.claim_from(scene.partition(last), claim).await;
    let queues: Vec<_> = taken.iter().map(|held| held.lease.queue.as_str()).collect();
    assert_eq!(queues, ["sms"]);
    assert_eq!(scene.sync("w1", Vec::new(), 4, true).await.claimed, Vec::new());
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < STARTS_WAIT, "it never starts");
        scene.pass(100);
        // Somebody else's call finds that it is time.
        scene.sync("w2", Vec::new(), 0, false).await;
        let wake = tokio::time::timeout(LOOK_AGAIN, super::lists::heard(&mut wakes)).await;
        if let Ok(Wake::Work(..)) = wake
            && scene.sync("w1", Vec::new(), 4, true).await.claimed.len() == 1
        {
            return;
        }
    }
}
