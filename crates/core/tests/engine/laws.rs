//! Random walks whose invariants are checked after every step.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use tasktonic_core::changes::{Place, Record};
use tasktonic_core::command::{Command, Expiry, MoveTo, NewSerial, Report, Submit};
use tasktonic_core::gate::{Gate, gate};
use tasktonic_core::reply::Controlled;
use tasktonic_core::settings::{By, QueueSettings, Rate, Turns, UserSettings};
use tasktonic_core::{Lease, Partition, TaskId, UserId};

use crate::world::*;

/// Mostly none.
fn rate_of(a: u16, b: u16) -> Option<Rate> {
    let rate = Rate { tasks: 1, per_ms: 100 + u32::from(a), burst: 1 + u32::from(b % 3) };
    (a % 4 == 1).then_some(rate)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happens in whatever order: invariants hold, claim numbers and revs only rise, a
    /// task ends once per life, a restart changes nothing but what it says.
    #[test]
    fn a_random_walk_keeps_every_invariant(steps in prop::collection::vec(any::<(u8, u16, u16)>(), 1..250)) {
        let users = ["ana", "ben", "cleo"];
        let mut world = World::new();
        let mut tasks: Vec<(&str, TaskId)> = Vec::new();
        let mut leases: Vec<Lease> = Vec::new();
        let (mut ends, mut begun) = (HashMap::new(), HashSet::new());
        let mut revs = std::collections::HashMap::<(UserId, TaskId), u64>::new();
        for (verb, a, b) in steps {
            let pick = usize::from(a);
            match verb % 16 {
                0..=2 => {
                    let user = users[pick % 3];
                    let id = TaskId::new(1, tasks.len() as u64);
                    let mut new = new_task(user, id);
                    if b % 5 < 2 {
                        new.serial = Some(NewSerial { key: u128::from(b % 3), stops_running: b % 2 == 0 });
                    }
                    if b % 4 == 0 { new.due_ms = Some(world.now_ms + i64::from(b)); }
                    if b % 3 == 0 {
                        let at_ms = world.now_ms + i64::from(b / 4);
                        new.expires = Some(Expiry { at_ms, keep_s: 60 });
                        ends.insert(id, at_ms);
                    }
                    let submit = Submit { created_ms: world.now_ms, tasks: vec![new] };
                    world.apply(Command::Submit(submit));
                    tasks.push((user, id));
                }
                3..=5 => {
                    let taken = world.claim("w1", u32::from(b % 5));
                    for lease in &taken {
                        let begins = begun.insert(lease.task);
                        let end = ends.get(&lease.task).filter(|_| begins);
                        prop_assert!(end.is_none_or(|at| *at > world.now_ms), "ran after its end");
                        let facts = world.partition.facts(&lease.queue, &lease.user, world.now_ms);
                        // Whoever has taken the last that may run has closed it.
                        let was_open = match gate(&facts) {
                            Gate::Open | Gate::Rate { .. } | Gate::QueueRate { .. } => true,
                            Gate::UserLimit { running, max }
                            | Gate::QueueLimit { running, max } => running <= max,
                            Gate::Paused(_) => false,
                        };
                        prop_assert!(was_open, "handed out through a closed gate: {:?}", facts);
                    }
                    leases.extend(taken);
                }
                6 => world.pass(i64::from(b) % 5_000 - 500),
                7 => {
                    let synced = world.sync("w2", Vec::new(), 0);
                    leases.extend(synced.adopted);
                }
                8 if !tasks.is_empty() => {
                    let (user, task) = tasks[pick % tasks.len()];
                    world.cancel(user, task);
                }
                9 if !tasks.is_empty() => {
                    let (user, task) = tasks[pick % tasks.len()];
                    if world.redrive(user, task) == Controlled::Done {
                        ends.remove(&task);
                    }
                }
                10 => {
                    let (records, now_ms) = (world.partition.records(), world.now_ms);
                    let epoch = world.partition.epoch() + 1;
                    world.partition = Partition::restore(epoch, now_ms, records);
                    prop_assert_eq!(world.partition.check(), Vec::<String>::new());
                }
                11 if !tasks.is_empty() => {
                    let (user, task) = tasks[pick % tasks.len()];
                    let to = match b % 3 {
                        0 => MoveTo::Due(world.now_ms + i64::from(b) - 500),
                        1 => MoveTo::Front,
                        _ => MoveTo::Back,
                    };
                    let waits = world.partition.task(&user.parse().unwrap(), &task)
                        .is_some_and(|task| task.place.is_waiting());
                    prop_assert_eq!(world.reschedule(user, task, to) == Controlled::Done, waits);
                }
                12 if !tasks.is_empty() => {
                    let (user, task) = tasks[pick % tasks.len()];
                    let place = |world: &World| {
                        let user = user.parse().unwrap();
                        world.partition.task(&user, &task).map(|t| (t.claim, t.place.clone()))
                    };
                    let before = place(&world);
                    world.edit(user, task, "{}");
                    prop_assert_eq!(place(&world), before, "an edit moves nothing");
                }
                13 => match b % 4 {
                    0 => {
                        let queue = QueueSettings {
                            paused: a % 2 == 0,
                            waiting_max: (a % 5 == 0).then_some(3),
                            running_max: (b % 3 == 0).then_some(u32::from(a % 4)),
                            rate: rate_of(a, b),
                            running_total_max: (a % 3 == 0).then_some(1 + u32::from(b % 5)),
                            rate_total: rate_of(b, a),
                            turns: if a % 2 == b % 2 { Turns::Count } else { Turns::RunTime },
                        };
                        let version = world.partition.queues_version() + u64::from(a % 3);
                        world.set_queue(version, queue);
                    }
                    1 => {
                        let by = if b % 8 == 1 { By::Owner } else { By::Operator };
                        world.pause(users[pick % 3], by, a % 2 == 0);
                    }
                    _ => {
                        let settings = UserSettings {
                            weight: 1 + u32::from(a % 4),
                            paused: a % 3 == 0,
                            waiting_max: (a % 5 == 0).then_some(u32::from(a % 7)),
                            running_max: (b % 7 == 0).then_some(u32::from(a % 5)),
                            rate: rate_of(b, a),
                        };
                        world.set_user(users[pick % 3], settings);
                    }
                },
                _ if !leases.is_empty() => {
                    let lease = leases[pick % leases.len()].clone();
                    let held = world.partition.task(&lease.user, &lease.task)
                        .is_some_and(|t| t.claim == lease.claim && matches!(t.place, Place::Running { .. }));
                    let n = world.partition.task(&lease.user, &lease.task).map_or(0, |t| t.n) + 1;
                    let mut report = every_report()[usize::from(b) % every_report().len()].clone();
                    match &mut report {
                        Report::Heartbeat | Report::Log { .. } => {}
                        Report::Progress { write } | Report::Ack { write, .. }
                        | Report::Nack { write, .. } | Report::Bury { write, .. }
                        | Report::Cancelled { write, .. } | Report::Snooze { write, .. }
                        | Report::Release { write, .. } => write.n = n,
                    }
                    let accepted = world.report(&lease, report);
                    prop_assert!(held || !accepted, "a lease that is not held was accepted");
                }
                _ => {}
            }
            for record in &std::mem::take(&mut world.last).records {
                if let Record::Task { user, task, control, .. } = record {
                    let rev = u64::from(control.claim) * 100_000_000 + u64::from(control.n);
                    let before = revs.insert((user.clone(), *task), rev);
                    prop_assert!(before.is_none_or(|before| rev >= before), "rev went back");
                }
            }
        }
    }

    /// Whatever the wall clock does, a holder that renews every 3.3 s of true time keeps its lease,
    /// a dead one loses it in time, and what is delayed is promoted once.
    #[test]
    fn clock_steps_end_no_live_lease_and_promote_once(
        steps in prop::collection::vec((0_usize..40, prop::sample::select(vec![60_000_i64, -3_600_000, 3_600_000, -60_000])), 0..6),
        delay_ms in 0_i64..20_000,
    ) {
        let mut world = World::new();
        world.submit("ana", 1);
        world.submit("ben", 2);
        let live = world.claim("w1", 1).remove(0);
        world.claim("dead", 1);
        let due_ms = Some(world.now_ms + delay_ms);
        one_more(&mut world, "cleo", 3, 10, due_ms);
        let cleo: UserId = "cleo".parse().unwrap();
        let (mut recovered, mut promoted) = (false, 0);
        for turn in 0..40 {
            for (_, step_ms) in steps.iter().filter(|(at, _)| *at == turn) {
                world.pass(*step_ms);
            }
            world.pass(1_000);
            let ops = if turn % 3 == 2 { vec![heartbeat(&live)] } else { Vec::new() };
            let synced = world.sync("w1", ops, 0);
            prop_assert!(synced.refused.is_empty(), "the live lease was lost in turn {turn}");
            prop_assert!(synced.adopted.iter().all(|lease| lease.user != live.user));
            recovered |= !synced.adopted.is_empty();
            promoted += world.last.records.iter().filter(|record| {
                matches!(record, Record::Task { user, control, .. }
                    if *user == cleo && matches!(control.place, Place::Queued { .. }))
            }).count();
        }
        prop_assert!(recovered, "the dead one's task is found again, clock or no clock");
        prop_assert!(promoted <= 1);
    }

    /// While two users have work, neither gets two turns more than the other.
    #[test]
    fn users_take_turns_whatever_they_submit(
        floods in prop::collection::vec(1_u64..60, 2..6), limit in 1_u32..9,
    ) {
        let mut world = World::new();
        let mut number = 0;
        for (index, count) in floods.iter().enumerate() {
            for _ in 0..*count {
                world.submit(&format!("user-{index}"), number);
                number += 1;
            }
        }
        let least = *floods.iter().min().unwrap();
        let mut taken = vec![0_u64; floods.len()];
        while taken.iter().all(|count| *count < least) {
            for lease in world.claim("w1", limit) {
                let index: usize = lease.user.as_str()[5..].parse().unwrap();
                taken[index] += 1;
            }
        }
        let turn = u64::from(limit);
        let (most, fewest) = (*taken.iter().max().unwrap(), *taken.iter().min().unwrap());
        prop_assert!(most - fewest <= turn.max(2), "{taken:?}");
    }

    /// A retained partition restored twice is the same as restored once.
    #[test]
    fn restoring_is_deterministic(count in 1_u64..60, claims in 0_u32..20) {
        let mut world = World::new();
        for i in 0..count {
            world.submit(["ana", "ben"][(i % 2) as usize], i);
        }
        world.claim("w1", claims);
        let once = Partition::restore(2, 5, world.partition.records());
        let twice = Partition::restore(2, 5, once.records());
        prop_assert_eq!(once.dump(5), twice.dump(5));
    }
}
