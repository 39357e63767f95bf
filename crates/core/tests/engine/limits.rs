//! What limits how tasks of a user start: never exceeded, exact after whatever happens, and nobody
//! else's loss.

use std::collections::HashMap;

use tasktonic_core::command::{Again, MoveTo, Report};
use tasktonic_core::gate::{Gate, gate};
use tasktonic_core::settings::{QueueSettings, Rate, UserSettings};
use tasktonic_core::{Lease, Partition, TaskId, TaskState, UserId};

use crate::world::*;

fn at_most(running_max: u32) -> QueueSettings {
    QueueSettings { running_max: Some(running_max), ..QueueSettings::default() }
}

fn of_user(running_max: u32) -> UserSettings {
    UserSettings { running_max: Some(running_max), ..UserSettings::default() }
}

fn of(leases: &[Lease], user: &str) -> usize {
    leases.iter().filter(|lease| lease.user.as_str() == user).count()
}

#[test]
fn a_user_runs_as_many_as_is_set_and_goes_on_when_one_ends() {
    let mut world = World::new();
    world.set_queue(1, at_most(2));
    for number in 0..6 {
        world.submit("ana", number);
    }
    let taken = world.claim("w1", 10);
    assert_eq!(taken.len(), 2);
    assert_eq!(world.claim("w2", 10), Vec::new());
    // What is said and what is claimed in one sync: the room is there for the claim.
    let op = tasktonic_core::command::Op { lease: taken[0].clone(), report: ack(2) };
    assert_eq!(world.sync("w1", vec![op], 10).claimed.len(), 1);
    assert!(world.report(&taken[1], nack(Again::Now)));
    assert_eq!(world.claim("w1", 10).len(), 1, "an attempt that failed makes room as well");
}

#[test]
fn users_at_their_limit_cost_others_no_turn() {
    let mut world = World::new();
    world.set_queue(1, at_most(1));
    for number in 0..40 {
        world.submit("ana", number);
    }
    for number in 40..45 {
        world.submit(&format!("user-{number}"), number);
    }
    let taken = world.claim("w1", 3);
    let more = world.claim("w1", 3);
    assert_eq!(of(&taken, "ana") + of(&more, "ana"), 1);
    assert_eq!(taken.len() + more.len(), 6);
}

#[test]
fn a_lowered_limit_stops_nothing_that_runs() {
    let mut world = World::new();
    world.set_queue(1, at_most(4));
    for number in 0..10 {
        world.submit("ana", number);
    }
    let taken = world.claim("w1", 10);
    assert_eq!(taken.len(), 4);
    world.set_queue(2, at_most(2));
    let facts = world.partition.facts(&taken[0].queue, &taken[0].user, world.now_ms);
    assert_eq!(gate(&facts), Gate::UserLimit { running: 4, max: 2 });
    for lease in &taken[..2] {
        assert!(world.report(lease, ack(2)), "what runs goes on");
        assert_eq!(world.claim("w1", 10), Vec::new());
    }
    assert!(world.report(&taken[2], ack(2)));
    assert_eq!(world.claim("w1", 10).len(), 1);
    world.set_user("ana", of_user(5));
    assert_eq!(world.claim("w1", 10).len(), 3, "the user's own limit goes before the queue's");
    world.set_user("ana", UserSettings::default());
    world.set_queue(3, QueueSettings::default());
    assert_eq!(world.claim("w1", 10).len(), 2, "without a limit all that is left");
}

#[test]
fn all_users_of_a_queue_run_as_many_as_is_set_and_take_turns() {
    let total = |max| QueueSettings { running_total_max: Some(max), ..QueueSettings::default() };
    let mut world = World::new();
    for number in 0..24 {
        world.submit(USERS[number as usize % 4], number);
    }
    // Set while tasks run: those count.
    let mut taken = world.claim("w1", 5);
    world.set_queue(1, total(3));
    let facts = world.partition.facts(&taken[0].queue, &taken[0].user, world.now_ms);
    assert_eq!(gate(&facts), Gate::QueueLimit { running: 5, max: 3 });
    for _ in 0..2 {
        assert!(world.report(&taken.remove(0), ack(2)));
        assert_eq!(world.claim("w2", 9), Vec::new(), "what ran when it was set goes on");
    }
    // What is said and what is claimed in one sync: the room is there for the claim.
    let op = tasktonic_core::command::Op { lease: taken.remove(0), report: ack(2) };
    let claimed = world.sync("w1", vec![op], 10).claimed;
    assert_eq!(claimed.len(), 1);
    taken.extend(claimed.into_iter().map(|one| one.lease));
    let mut ended: Vec<UserId> = Vec::new();
    for _ in 0..8 {
        let lease = taken.remove(0);
        ended.push(lease.user.clone());
        assert!(world.report(&lease, nack(Again::At(world.now_ms + 900_000))));
        taken.extend(world.claim("w2", 9));
        assert_eq!(taken.len(), 3);
    }
    for user in &USERS[..4] {
        let turns = ended.iter().filter(|of| of.as_str() == *user).count();
        assert_eq!(turns, 2, "{user} in {ended:?}");
    }
    world.set_queue(2, total(4));
    assert_eq!(world.claim("w1", 9).len(), 1, "a change holds for the next claim");
    let records = world.partition.records();
    world.partition = Partition::restore(2, world.now_ms, records);
    assert_eq!(world.claim("w1", 9), Vec::new(), "a restart forgets nobody");
    world.set_queue(3, QueueSettings::default());
    assert!(world.claim("w1", 9).len() > 1, "without a limit all that is left");
}

#[test]
fn a_lost_lease_counts_until_its_task_is_settled() {
    let mut world = World::new();
    world.set_queue(1, at_most(1));
    world.submit("ana", 1);
    world.submit("ana", 2);
    world.claim("dead", 1);
    let mut adopted = Vec::new();
    for _ in 0..20 {
        world.pass(1_000);
        let synced = world.sync("w1", Vec::new(), 1);
        assert_eq!(synced.claimed, Vec::new(), "the lost one may still be at work");
        adopted.extend(synced.adopted);
        if !adopted.is_empty() {
            break;
        }
    }
    assert!(world.report(&adopted[0], nack(Again::Now)));
    assert_eq!(world.claim("w1", 5).len(), 1);
}

/// A small generator of numbers: the same walk every time.
struct Seed(u64);

impl Seed {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

const USERS: [&str; 5] = ["ana", "ben", "cleo", "dan", "eve"];

/// The limit that is set, as whoever set it knows it.
#[derive(Default)]
struct Set {
    queue: Option<u32>,
    total: Option<u32>,
    users: HashMap<&'static str, u32>,
    version: u64,
}

impl Set {
    fn change(&mut self, seed: &mut Seed, world: &mut World) {
        let max = u32::try_from(seed.below(5)).unwrap();
        if seed.below(2) == 0 {
            match seed.below(3) {
                0 => self.total = (max > 0).then_some(2 * max),
                _ => self.queue = (max > 0).then_some(max),
            }
            self.version += 1;
            let (running_max, running_total_max) = (self.queue, self.total);
            let settings =
                QueueSettings { running_max, running_total_max, ..QueueSettings::default() };
            world.set_queue(self.version, settings);
            return;
        }
        let user = USERS[usize::try_from(seed.below(5)).unwrap()];
        let weight = 1 + u32::try_from(seed.below(3)).unwrap();
        let running_max = (seed.below(2) == 0).then_some(max);
        world.set_user(user, UserSettings { weight, running_max, ..UserSettings::default() });
        self.users.remove(user);
        self.users.extend(running_max.map(|max| (user, max)));
    }

    fn of(&self, user: &str) -> Option<u32> {
        self.users.get(user).copied().or(self.queue)
    }
}

fn running(world: &World) -> u64 {
    let of =
        |user: &&str| world.partition.count(&user.parse::<UserId>().unwrap(), TaskState::Running);
    USERS.iter().map(of).sum()
}

/// Claims, reports of every sort, crashes, restarts, cancellations and changed limits in any order:
/// of no user more tasks are started than may run, nor of all together, and at the end nothing is left
/// behind.
#[test]
fn a_limit_is_never_exceeded_in_a_hundred_thousand_steps() {
    let (mut world, mut seed, mut set) = (World::new(), Seed(5), Set::default());
    let (mut leases, mut tasks): (Vec<Lease>, Vec<(&str, TaskId)>) = (Vec::new(), Vec::new());
    let (mut started, mut held_back, mut all_held_back) = (0_u64, 0_u64, 0_u64);
    for number in 0..100_000_u64 {
        match seed.below(20) {
            0..5 => {
                let user = USERS[usize::try_from(seed.below(5)).unwrap()];
                tasks.push((user, TaskId::new(1, number)));
                one_more(&mut world, user, number, 40, None);
                tasks.last_mut().unwrap().1 = TaskId::new(2, number);
            }
            5..10 => {
                let taken = world.claim("w1", u32::try_from(seed.below(6)).unwrap());
                started += taken.len() as u64;
                for lease in &taken {
                    // Counted by another part of the engine than the one that limits.
                    let running = world.partition.count(&lease.user, TaskState::Running);
                    let max = set.of(lease.user.as_str()).map(u64::from);
                    assert!(max.is_none_or(|max| running <= max), "{running} of {max:?}");
                    held_back += u64::from(max == Some(running));
                }
                let running = running(&world);
                let max = set.total.map(u64::from).filter(|_| !taken.is_empty());
                assert!(
                    max.is_none_or(|max| running <= max),
                    "{running} of {max:?} over all users"
                );
                all_held_back += u64::from(max == Some(running));
                leases.extend(taken);
            }
            10..15 if !leases.is_empty() => {
                let lease =
                    leases.swap_remove(usize::try_from(seed.below(leases.len() as u64)).unwrap());
                let n = world.partition.task(&lease.user, &lease.task).map_or(0, |t| t.n) + 1;
                let report = match seed.below(5) {
                    0 => nack(Again::Now),
                    1 => nack(Again::At(world.now_ms + 300)),
                    2 => Report::Release { write: write(n), attempt: None },
                    _ => ack(n),
                };
                world.report(&lease, report);
            }
            15 if !tasks.is_empty() => {
                let (user, task) = tasks[usize::try_from(seed.below(tasks.len() as u64)).unwrap()];
                match seed.below(3) {
                    0 => {
                        world.reschedule(user, task, MoveTo::Front);
                    }
                    _ => {
                        world.cancel(user, task);
                    }
                }
            }
            16 => {
                world.pass(i64::try_from(seed.below(1_500)).unwrap());
                leases.extend(world.sync("w2", Vec::new(), 0).adopted);
            }
            17 if seed.below(6) == 0 => set.change(&mut seed, &mut world),
            18 if seed.below(50) == 0 => {
                let records = world.partition.records();
                let epoch = world.partition.epoch() + 1;
                world.partition = Partition::restore(epoch, world.now_ms, records);
            }
            _ => {}
        }
        // What ended is of no interest any more.
        if number % 500 == 0 {
            let lives = |(user, task): &(&str, TaskId)| {
                world.state(user, *task).is_some_and(|state| !state.is_terminal())
            };
            tasks.retain(lives);
            assert_eq!(world.partition.check(), Vec::<String>::new());
        }
    }
    assert!(started > 5_000 && held_back > 500, "{started} started, {held_back} at a limit");
    assert!(all_held_back > 500, "{all_held_back} times all were at their limit");
    set.version += 1;
    world.set_queue(set.version, QueueSettings::default());
    for user in USERS {
        world.set_user(user, UserSettings::default());
    }
    while let taken @ [_, ..] = &world.claim("w1", 100)[..] {
        for lease in taken {
            assert!(world.report(lease, ack(99)));
        }
        world.pass(400);
    }
    let waits =
        |user: &&str| world.partition.count(&user.parse::<UserId>().unwrap(), TaskState::Queued);
    assert_eq!(USERS.iter().map(waits).sum::<u64>(), 0, "nothing waits for ever");
}

/// Of no user more tasks start in any stretch of lease time than the burst and what the rate makes of
/// it; and who asks whenever it is said that the next may start gets it then.
#[test]
fn no_user_starts_above_their_rate_and_all_start_in_the_end() {
    let rate = Rate { tasks: 3, per_ms: 1_000, burst: 4 };
    let (mut world, mut seed) = (World::new(), Seed(11));
    world.set_queue(1, QueueSettings { rate: Some(rate), ..QueueSettings::default() });
    for number in 0..600 {
        world.submit(USERS[usize::try_from(seed.below(5)).unwrap()], number);
    }
    let mut starts: HashMap<String, Vec<i64>> = HashMap::new();
    let mut count = 0;
    let mut calls = 0;
    while count < 600 {
        calls += 1;
        assert!(calls < 5_000, "{count} have started");
        let limit = 1 + u32::try_from(seed.below(20)).unwrap();
        let synced = world.sync("w1", Vec::new(), limit);
        let lt_ms = world.partition.lease_time(world.now_ms);
        count += synced.claimed.len();
        for held in synced.claimed {
            starts.entry(held.lease.user.to_string()).or_default().push(lt_ms);
            assert!(world.report(&held.lease, ack(2)));
        }
        if seed.below(3) == 0 {
            world.pass(i64::try_from(seed.below(400)).unwrap());
        }
    }
    for (user, starts) in starts {
        for (from, begin) in starts.iter().enumerate() {
            for (number, at) in starts[from..].iter().enumerate() {
                let most = 4 + (at - begin) * 3 / 1_000;
                assert!(
                    i64::try_from(number).unwrap() < most,
                    "{user}: {number} in {} ms",
                    at - begin
                );
            }
        }
    }
}

#[test]
fn all_users_together_start_as_many_as_the_rate_says_and_the_next_is_announced() {
    let rate = Rate { tasks: 2, per_ms: 1_000, burst: 3 };
    let over_all = |rate_total| QueueSettings { rate_total, ..QueueSettings::default() };
    let mut world = World::new();
    world.set_queue(1, over_all(Some(rate)));
    for number in 0..20 {
        world.submit(USERS[number as usize % 5], number);
    }
    let synced = world.sync("w1", Vec::new(), 10);
    assert_eq!(synced.claimed.len(), 3);
    let users: Vec<_> = synced.claimed.iter().map(|held| held.lease.user.as_str()).collect();
    assert_eq!(users, USERS[..3], "they take turns in it");
    let synced = world.sync("w1", Vec::new(), 10);
    assert_eq!((synced.claimed.len(), synced.next_in_ms), (0, Some(500)));
    let facts =
        world.partition.facts(&"mail".parse().unwrap(), &USERS[4].parse().unwrap(), world.now_ms);
    assert_eq!(gate(&facts), Gate::QueueRate { good_in_ms: 500 });
    for _ in 0..4 {
        world.pass(499);
        assert_eq!(world.claim("w1", 10), Vec::new());
        world.pass(1);
        assert_eq!(world.claim("w1", 10).len(), 1);
    }
    // By another rate what has started counts, and never more than one burst of it.
    world.set_queue(2, over_all(Some(Rate { tasks: 100, per_ms: 1_000, burst: 4 })));
    assert_eq!(world.claim("w1", 10), Vec::new());
    world.pass(40);
    assert_eq!(world.claim("w1", 10).len(), 4);
    world.set_queue(3, over_all(None));
    assert_eq!(world.claim("w1", 20).len(), 9, "without a rate all that is left");
    world.set_queue(4, over_all(Some(rate)));
    for number in 20..30 {
        world.submit("ana", number);
    }
    assert_eq!(world.claim("w1", 20).len(), 3, "a rate begins with its burst");
}
