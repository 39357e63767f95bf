//! Scenarios of a limit over all users of a queue, whichever partitions they are in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tasktonic_core::command::{Again, Control, Op, Report};
use tasktonic_core::gate::{Gate, gate};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::settings::QueueSettings;

use super::lists::heard;
use super::scene::{MAIL, Scene, ack, nack, write};
use crate::{Held, Query, QueryReply, Wake};

/// How long permits may take from one partition to another. Only a failing test waits that long.
const PERMITS_WAIT: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

fn at_most(running_total_max: u32) -> QueueSettings {
    let running_total_max = Some(running_total_max);
    QueueSettings { running_total_max, ..QueueSettings::default() }
}

impl Scene {
    pub(super) fn partition(&self, user: &str) -> PartitionId {
        partition_of(&user.parse().expect("a user id"), self.store.partitions())
    }

    /// So many users in every partition.
    pub(super) fn users_everywhere(&self, each: usize) -> Vec<String> {
        let mut users: BTreeMap<PartitionId, Vec<String>> = BTreeMap::new();
        for user in (0..).map(|number| format!("user-{number}")) {
            let here = users.entry(self.partition(&user)).or_default();
            if here.len() < each {
                here.push(user);
            }
            let all = users.values().map(Vec::len).sum::<usize>();
            if all == each * usize::from(self.store.partitions()) {
                break;
            }
        }
        users.into_values().flatten().collect()
    }

    /// Claims until it has so many.
    async fn claim_in_time(&self, worker: &str, count: usize) -> Vec<Held> {
        let (began, mut taken) = (Instant::now(), Vec::new());
        while taken.len() < count {
            assert!(began.elapsed() < PERMITS_WAIT, "{} of {count} may start", taken.len());
            taken.extend(self.claim(worker, u32::try_from(count).expect("few")).await);
            if taken.len() < count {
                self.pass(20);
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        taken
    }

    async fn is_at_limit(&self, user: &str) -> bool {
        let queue = MAIL.parse().expect("a name");
        let query = Query::Facts { user: user.parse().expect("a user id"), queue };
        let QueryReply::Facts(facts) = self.read(user, query).await else { panic!() };
        matches!(gate(&facts), Gate::QueueLimit { .. })
    }
}

/// Claims, ends of every sort, users of all partitions and limits that change in any order: what runs is
/// never more than may, and at the end nothing is left behind.
pub async fn a_limit_over_all_users_is_never_exceeded(scene: Scene) {
    let users = scene.users_everywhere(2);
    let (mut most, mut version) = (3, 1);
    scene.set_queue(version, at_most(3)).await;
    let mut held: Vec<Held> = Vec::new();
    let (mut limit, mut started, mut seed) = (3, 0_usize, 7_usize);
    let mut below = |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % limit
    };
    for _ in 0..240 {
        match below(12) {
            0..4 => {
                scene.submit(&users[below(users.len())]).await;
            }
            4..8 => {
                let taken = scene.claim("w1", u32::try_from(below(4)).unwrap()).await;
                started += taken.len();
                held.extend(taken);
            }
            8..11 if !held.is_empty() => {
                let over = held.swap_remove(below(held.len()));
                let report = match below(4) {
                    0 => nack(over.n + 1, Again::Now),
                    1 => Report::Release { write: write(over.n + 1), attempt: None },
                    _ => ack(over.n + 1),
                };
                // What is reported makes room for what is claimed in the same call.
                let op = Op { lease: over.lease, report };
                let taken = scene.sync("w1", vec![op], 1, false).await.claimed;
                started += taken.len();
                held.extend(taken);
            }
            11 if below(4) == 0 => {
                limit = 1 + below(5);
                version += 1;
                scene.set_queue(version, at_most(u32::try_from(limit).unwrap())).await;
            }
            _ => {
                scene.pass(40);
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        // What ran when it was lowered goes on.
        most = limit.max(held.len().min(most));
        assert!(held.len() <= most, "{} run, {limit} may", held.len());
    }
    assert!(started > 20, "{started} have started");
    // Nothing waits for ever.
    let began = Instant::now();
    loop {
        for over in std::mem::take(&mut held) {
            assert!(scene.report(&over.lease, ack(over.n + 1)).await, "it is held");
        }
        held = scene.claim("w1", 2).await;
        assert!(held.len() <= limit);
        let turns = scene.turns().await;
        if held.is_empty() && turns.users + turns.held_back == 0 {
            assert_eq!(turns.running, Some(0));
            return;
        }
        assert!(began.elapsed() < PERMITS_WAIT, "{turns:?} are left");
        scene.pass(50);
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// A limit that is set, raised, lowered or taken back holds from the moment it is answered, and what runs
/// goes on.
pub async fn a_change_takes_effect_at_the_next_claim(scene: Scene) {
    let users = scene.users_everywhere(2);
    for user in &users {
        for _ in 0..6 {
            scene.submit(user).await;
        }
    }
    assert_eq!(scene.turns().await.running, None, "nothing is counted where nothing limits");
    let mut held = scene.claim("w1", 1).await;
    let partitions = usize::from(scene.store.partitions());
    assert_eq!(held.len(), partitions);
    // Set while tasks run: those count.
    let limit = u32::try_from(partitions).unwrap() + 2;
    scene.set_queue(1, at_most(limit)).await;
    held.extend(scene.claim("w1", 20).await);
    assert_eq!(held.len(), partitions + 2);
    assert_eq!(scene.claim("w1", 20).await, Vec::new());
    assert_eq!(scene.turns().await.running, Some(limit));
    scene.set_queue(2, at_most(limit + 1)).await;
    held.extend(scene.claim("w1", 20).await);
    assert_eq!(held.len(), partitions + 3, "a raised limit lets tasks start at once");
    assert_eq!(scene.claim("w1", 20).await, Vec::new());
    for user in &users {
        assert!(scene.is_at_limit(user).await, "{user}");
    }
    scene.set_queue(3, at_most(1)).await;
    while held.len() > 1 {
        assert_eq!(scene.claim("w1", 20).await, Vec::new(), "{} run", held.len());
        let over = held.remove(0);
        assert!(scene.report(&over.lease, ack(over.n + 1)).await, "what runs goes on");
    }
    assert_eq!(scene.claim("w1", 20).await, Vec::new());
    let over = held.remove(0);
    assert!(scene.report(&over.lease, ack(over.n + 1)).await);
    held.extend(scene.claim_in_time("w1", 1).await);
    assert_eq!(held.len(), 1);
    scene.set_queue(4, QueueSettings::default()).await;
    assert_eq!(scene.turns().await.running, None);
    let left = users.len() * 6 - (partitions + 3) - 1;
    assert_eq!(scene.claim("w1", 100).await.len(), left, "without a limit all that is left");
}

/// One permit, and everybody has work: each partition has it in its turn.
pub async fn a_limit_of_one_comes_round_to_every_partition(scene: Scene) {
    let users = scene.users_everywhere(1);
    for user in &users {
        for _ in 0..60 {
            scene.submit(user).await;
        }
    }
    scene.set_queue(1, at_most(1)).await;
    let mut starts: BTreeMap<PartitionId, u32> = BTreeMap::new();
    let (began, mut held) = (Instant::now(), None::<Held>);
    while starts.len() < users.len() || starts.values().any(|count| *count < 2) {
        assert!(began.elapsed() < PERMITS_WAIT, "{starts:?}");
        // Who ends a task takes the next where it is, if that may be.
        let over = held.take().map(|over| Op { lease: over.lease, report: ack(over.n + 1) });
        let taken = scene.sync("w1", over.into_iter().collect(), 1, false).await.claimed;
        assert!(taken.len() <= 1, "{taken:?}");
        for one in taken {
            *starts.entry(scene.partition(one.lease.user.as_str())).or_default() += 1;
            held = Some(one);
        }
        scene.pass(1_000);
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// What a dead worker had counts until it is settled, and then others may start.
pub async fn permits_of_dead_workers_come_back(scene: Scene) {
    let users = scene.users_everywhere(3);
    for user in &users {
        scene.submit(user).await;
    }
    scene.set_queue(1, at_most(2)).await;
    let lost = scene.claim_in_time("dead", 2).await;
    assert_eq!(lost.len(), 2);
    let adopted = scene.outlive("w1").await;
    assert_eq!(adopted.len(), 2);
    assert_eq!(scene.claim("w1", 9).await, Vec::new(), "who was lost may still be at work");
    for late in &lost {
        assert!(!scene.report(&late.lease, ack(9)).await, "who has lost it makes no room");
    }
    assert_eq!(scene.claim("w1", 9).await, Vec::new());
    // One that is erased while it runs makes room as well.
    let user = adopted[0].lease.user.clone();
    let erase = Control::Erase { user: user.clone() };
    scene.control(user.as_str(), erase).await;
    assert!(scene.report(&adopted[1].lease, ack(adopted[1].n + 1)).await);
    let left = users.len() - 2;
    let next = scene.claim_in_time("w1", left.min(2)).await;
    assert_eq!(next.len(), left.min(2));
}

/// Who is idle hears of room that is made, in whichever partition.
pub async fn a_permit_that_gets_free_wakes_who_is_idle(scene: Scene) {
    let worker = "w1".parse().unwrap();
    let mut wakes = scene.store.wakes(&worker);
    scene.heard_work_for(&mut wakes).await;
    let users = scene.users_everywhere(1);
    let (first, last) = (&users[0], &users[users.len() - 1]);
    scene.set_queue(1, at_most(1)).await;
    scene.submit(first).await;
    let held = scene.claim_in_time("w2", 1).await.remove(0);
    scene.submit(last).await;
    assert!(scene.sync("w1", Vec::new(), 4, true).await.claimed.is_empty());
    assert!(scene.report(&held.lease, ack(held.n + 1)).await);
    loop {
        let Wake::Work(..) = heard(&mut wakes).await else { panic!("not of work") };
        // The first may be of a submission.
        if scene.sync("w1", Vec::new(), 4, true).await.claimed.len() == 1 {
            return;
        }
    }
}
