//! Turns by run time: users get the time of workers by their weights, however long their tasks take,
//! and no place is idle while anybody has work.

use proptest::prelude::*;
use tasktonic_core::Lease;
use tasktonic_core::command::Op;
use tasktonic_core::settings::{QueueSettings, Turns, UserSettings};

use crate::world::*;

const STEP_MS: i64 = 500;

fn by_time() -> QueueSettings {
    QueueSettings { turns: Turns::RunTime, ..QueueSettings::default() }
}

/// A task that runs: its lease, whose it is, when it will be over.
type Running = (Lease, usize, i64);

/// Lets `places` work for so many steps on tasks of users who always have some waiting: of each
/// their weight, and how many steps each of their tasks takes. Answers the steps that each had.
fn work(world: &mut World, users: &[(u32, i64)], places: u32, steps: i64) -> Vec<i64> {
    let names: Vec<String> = (0..users.len()).map(|number| format!("user-{number}")).collect();
    let mut number = 0;
    let mut submit = |world: &mut World, user: usize| {
        number += 1;
        world.submit(&names[user], number);
    };
    for (user, (weight, _)) in users.iter().enumerate() {
        if *weight > 1 {
            let settings = UserSettings { weight: *weight, ..UserSettings::default() };
            world.set_user(&names[user], settings);
        }
        for _ in 0..2 * places {
            submit(world, user);
        }
    }
    let (mut running, mut had) = (Vec::<Running>::new(), vec![0; users.len()]);
    for step in 0..steps {
        let mut ops = Vec::new();
        for (lease, _, until) in &running {
            let is_over = *until <= step;
            let over = || Op { lease: lease.clone(), report: ack(1) };
            ops.push(if is_over { over() } else { heartbeat(lease) });
        }
        let (over, on): (Vec<_>, Vec<_>) =
            running.into_iter().partition(|(_, _, until)| *until <= step);
        running = on;
        for (_, user, _) in &over {
            submit(world, *user);
        }
        let free = places - u32::try_from(running.len()).unwrap();
        let claimed = world.sync("w1", ops, free).claimed;
        assert_eq!(claimed.len(), free as usize, "no place is idle");
        for one in claimed {
            let user = names.iter().position(|name| name == one.lease.user.as_str()).unwrap();
            running.push((one.lease, user, step + users[user].1));
        }
        for (_, user, _) in &running {
            had[*user] += 1;
        }
        world.pass(STEP_MS);
    }
    had
}

/// Whether everybody had their part by weight, but for a tenth of it and `tasks` of the longest.
fn is_fair(users: &[(u32, i64)], had: &[i64], tasks: i64) -> bool {
    let weights: i64 = users.iter().map(|(weight, _)| i64::from(*weight)).sum();
    let longest = users.iter().map(|(_, takes)| *takes).max().unwrap();
    let sum: i64 = had.iter().sum();
    users.iter().zip(had).all(|((weight, _), got)| {
        let part = sum * i64::from(*weight) / weights;
        (got - part).abs() <= part / 10 + tasks * longest
    })
}

#[test]
fn tasks_of_a_second_and_of_a_minute_get_the_same_time() {
    for places in [1, 4, 10] {
        let users = [(1, 2), (1, 120)];
        let mut world = World::new();
        world.set_queue(1, by_time());
        let had = work(&mut world, &users, places, 14_400);
        assert!(is_fair(&users, &had, 0), "{places} places: {had:?}");
    }
}

#[test]
fn turns_by_count_are_another_thing() {
    let users = [(1, 2), (1, 120)];
    let had = work(&mut World::new(), &users, 4, 14_400);
    assert!(had[1] > 20 * had[0], "{had:?}");
}

/// What is kept of turns of one sort is gone with it, and tasks that began before the change do no
/// harm after it.
#[test]
fn what_a_turn_is_changes_while_tasks_run() {
    let mut world = World::new();
    for number in 0..40 {
        world.submit(["ana", "ben"][usize::from(number % 2 == 0)], number);
    }
    for version in 1..9 {
        let turns = if version % 2 == 1 { by_time() } else { QueueSettings::default() };
        world.set_queue(version, turns);
        let kept = world.partition.dump(world.now_ms);
        assert!(!kept.contains("share mail ") && !kept.contains("charged mail "), "{kept}");
        let taken = world.claim("w1", 5);
        assert_eq!(taken.len(), 5);
        world.pass(1_000);
        for lease in &taken[..4] {
            assert!(world.report(lease, ack(1)));
        }
    }
    world.set_queue(20, by_time());
    world.set_queue(21, QueueSettings::default());
    let kept = world.partition.dump(world.now_ms);
    assert!(!kept.contains("time mail"), "{kept}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever weights there are, and however long tasks take.
    #[test]
    fn everybody_gets_time_by_their_weight(
        users in prop::collection::vec((1_u32..5, 1_i64..30), 2..6), places in 1_u32..7,
    ) {
        let mut world = World::new();
        world.set_queue(1, by_time());
        let had = work(&mut world, &users, places, 6_000);
        prop_assert!(is_fair(&users, &had, 1), "{users:?} had {had:?}");
    }
}
