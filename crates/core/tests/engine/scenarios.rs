//! Scenarios with names: fences, leases, turns and wakes.

use tasktonic_core::TaskState;
use tasktonic_core::command::{Again, Claim, Command, Control, Report, Sync};
use tasktonic_core::reply::Controlled;
use tasktonic_core::settings::UserSettings;

use crate::world::*;

#[test]
fn x1_a_cancelled_and_redriven_task_is_claimed_once() {
    let mut world = World::new();
    let task = world.submit("ana", 1);
    assert_eq!(world.cancel("ana", task), Controlled::Done);
    assert_eq!(world.redrive("ana", task), Controlled::Done);
    // Two lane entries now name the task; one of them is a dead reference.
    let leases = world.claim("w1", 10);
    assert_eq!(leases.len(), 1);
    assert!(world.report(&leases[0], ack(2)));
    assert_eq!(world.claim("w1", 10), Vec::new());
    assert_eq!(world.state("ana", task), Some(TaskState::Completed));
}

#[test]
fn x2_the_sweep_of_an_earlier_end_leaves_a_redriven_task_alone() {
    let mut world = World::new();
    let task = world.submit("ana", 1);
    world.cancel("ana", task);
    world.redrive("ana", task);
    let lease = world.claim("w1", 1).remove(0);
    world.pass(61_000);
    world.report(&lease, Report::Heartbeat);
    assert_eq!(world.state("ana", task), Some(TaskState::Running));
    assert!(world.report(&lease, ack(2)));
    world.pass(61_000);
    world.sync("w1", Vec::new(), 0);
    assert_eq!(world.state("ana", task), None, "its own end is swept in its time");
}

#[test]
fn a_stale_holder_is_refused_every_report() {
    let mut world = World::new();
    let task = world.submit("ana", 1);
    let stale = world.claim("zombie", 1).remove(0);
    world.pass(1_000);
    world.sync("w2", Vec::new(), 0);
    for _ in 0..12 {
        world.pass(1_000);
        world.sync("w2", Vec::new(), 0);
    }
    assert_ne!(world.state("ana", task), None);
    let before = world.partition.dump(world.now_ms);
    for report in every_report() {
        assert!(!world.report(&stale, report.clone()), "{report:?}");
        assert!(world.last.records.is_empty() && world.last.events.is_empty());
        assert!(world.last.signals.is_empty());
    }
    assert_eq!(world.partition.dump(world.now_ms), before);
}

#[test]
fn the_same_worker_never_gets_the_same_lease_twice() {
    let mut world = World::new();
    world.submit("ana", 1);
    let first = world.claim("w1", 1).remove(0);
    assert!(world.report(&first, Report::Release { write: write(2), attempt: None }));
    let second = world.claim("w1", 1).remove(0);
    assert_ne!(first, second);
    assert_eq!(first.attempt, second.attempt, "a release is not counted");
    assert!(!world.report(&first, ack(2)));
    assert!(world.report(&second, ack(2)));
}

#[test]
fn a_lost_lease_is_adopted_once_and_its_mark_carried_over() {
    let mut world = World::new();
    let task = world.submit("ana", 1);
    world.claim("w1", 1);
    assert_eq!(world.cancel("ana", task), Controlled::Asked);
    for _ in 0..6 {
        world.pass(2_000);
        let synced = world.sync("w2", Vec::new(), 0);
        if let [lease] = &synced.adopted[..] {
            assert_eq!(synced.cancelled, synced.adopted);
            assert!(world.report(lease, nack(Again::Now)));
            assert_eq!(world.state("ana", task), Some(TaskState::Cancelled), "cancel sticks");
            return;
        }
    }
    panic!("never adopted");
}

#[test]
fn clock_steps_end_no_live_lease_and_delay_recovery_by_no_more_than_a_step() {
    for step_ms in [60_000, -3_600_000, 3_600_000] {
        let mut world = World::new();
        world.submit("ana", 1);
        world.submit("ben", 2);
        let live = world.claim("w1", 1).remove(0);
        world.claim("dead", 1);
        world.pass(step_ms);
        let mut adopted = Vec::new();
        let mut waited_ms = 0;
        while adopted.is_empty() {
            world.pass(300);
            waited_ms += 300;
            let synced = world.sync("w1", vec![heartbeat(&live)], 0);
            assert!(synced.refused.is_empty(), "the live lease held");
            adopted = synced.adopted;
            assert!(waited_ms <= 12_500, "recovery came too late after a step of {step_ms} ms");
        }
        assert!(waited_ms >= 7_500, "too early after a step of {step_ms} ms: {waited_ms}");
    }
}

/// A worker that is alone looks when it was told to, and no sooner: a lease time of 10 s must not
/// take three times as long because nobody else looks.
#[test]
fn a_lone_worker_that_looks_as_it_is_told_adopts_in_time() {
    let mut world = World::new();
    world.submit("ana", 1);
    world.pass(60_000);
    world.claim("dead", 1);
    let mut waited_ms = 0;
    let mut synced = world.sync("w2", Vec::new(), 0);
    let mut looks = 0;
    while synced.adopted.is_empty() {
        let wait_ms = synced.next_in_ms.expect("there is a lease") as i64;
        world.pass(wait_ms.max(200));
        waited_ms += wait_ms.max(200);
        looks += 1;
        synced = world.sync("w2", Vec::new(), 0);
        assert!(waited_ms <= 15_000 && looks <= 8, "{looks} looks in {waited_ms} ms");
    }
    assert!(waited_ms >= 9_500, "too early: {waited_ms}");
}

#[test]
fn weights_share_the_turns_exactly() {
    for limit in [1, 7, 10] {
        let mut world = World::new();
        for (offset, user) in ["ana", "ben", "cleo"].into_iter().enumerate() {
            for i in 0..400 {
                world.submit(user, offset as u64 * 1_000 + i);
            }
        }
        world.apply(Command::Control(Control::User {
            queue: "mail".parse().unwrap(),
            user: "ben".parse().unwrap(),
            settings: UserSettings { weight: 3, ..UserSettings::default() },
        }));
        let mut taken = std::collections::BTreeMap::new();
        let mut left = 400;
        while left > 0 {
            for lease in world.claim("w1", limit.min(left)) {
                *taken.entry(lease.user.to_string()).or_insert(0) += 1;
                left -= 1;
            }
        }
        assert_eq!(taken.into_values().collect::<Vec<_>>(), [80, 240, 80], "limit {limit}");
    }
}

#[test]
fn one_users_flood_delays_another_by_one_turn() {
    let mut world = World::new();
    for i in 0..900 {
        world.submit("flood", i);
    }
    world.claim("w1", 1);
    world.submit("ana", 5_000);
    let users: Vec<_> = (0..2).map(|_| world.claim("w1", 1).remove(0).user).collect();
    assert!(users.contains(&"ana".parse().unwrap()));
}

#[test]
fn tasks_of_one_user_are_claimed_in_order() {
    let mut world = World::new();
    let tasks: Vec<_> = (0..50).map(|i| world.submit("ana", i)).collect();
    let claimed: Vec<_> = (0..10).flat_map(|_| world.claim("w1", 5)).map(|l| l.task).collect();
    assert_eq!(claimed, tasks);
}

#[test]
fn a_thousand_cancelled_entries_do_not_hide_the_next_task() {
    let mut world = World::new();
    for i in 0..999 {
        let task = world.submit("ana", i);
        world.cancel("ana", task);
    }
    let last = world.submit("ana", 5_000);
    let mut calls = 0;
    loop {
        calls += 1;
        let synced = world.sync("w1", Vec::new(), 1);
        if let [claimed] = &synced.claimed[..] {
            assert_eq!(claimed.lease.task, last);
            break;
        }
        assert!(synced.more > 0 && calls < 10, "the caller is told that there is more");
    }
}

#[test]
fn an_earlier_end_does_not_sweep_a_task_that_ended_again() {
    let mut world = World::new();
    let task = world.submit("ana", 1);
    world.cancel("ana", task);
    world.redrive("ana", task);
    world.pass(50_000);
    let lease = world.claim("w1", 1).remove(0);
    assert!(world.report(&lease, ack(2)));
    world.pass(11_000);
    world.sync("w1", Vec::new(), 0);
    assert_eq!(world.state("ana", task), Some(TaskState::Completed), "kept 60 s from its own end");
}

#[test]
fn a_wake_goes_to_one_idle_worker_and_is_passed_on() {
    let mut world = World::new();
    let park = |worker: &str, woken: bool, limit: u32| {
        let queue: tasktonic_core::Name = "mail".parse().unwrap();
        Command::Sync(Sync {
            worker: worker.parse().unwrap(),
            call: 1,
            lease_ms: 10_000,
            ops: Vec::new(),
            claim: (limit > 0).then(|| Claim::new(vec![queue.clone()], limit)),
            woken: if woken { vec![queue] } else { Vec::new() },
            park: limit > 0,
        })
    };
    let wakes = |world: &World| -> Vec<String> {
        let of = |signal: &tasktonic_core::Signal| match signal {
            tasktonic_core::Signal::Wake { worker, .. } => Some(worker.to_string()),
            _ => None,
        };
        world.last.signals.iter().filter_map(of).collect()
    };
    world.apply(park("w1", false, 4));
    world.pass(10);
    world.apply(park("w2", false, 4));
    world.submit("ana", 1);
    assert_eq!(wakes(&world), ["w1"], "the one idle for longest");
    world.submit("ana", 2);
    assert_eq!(wakes(&world), Vec::<String>::new(), "the lane was not empty");
    world.apply(park("w1", true, 0));
    assert_eq!(wakes(&world), ["w2"], "woken while full: passed on");
}
