//! Leases over restarts: whoever lives keeps what it has, and what the dead had does not wait for a
//! store that stays up.

use proptest::prelude::*;

use tasktonic_core::Partition;
use tasktonic_core::limits::{HEARTBEAT_MS, LEASE_TIME_STEP_MS_MAX};

use crate::world::*;

/// How often somebody looks while the store is there.
const LOOK_MS: i64 = 250;
/// How long a live worker may take to be heard by a store that came back.
const BACK_WITHIN_MS: i64 = 3_000;

fn restart(world: &mut World, away_ms: i64) {
    let records = world.partition.records();
    world.pass(away_ms);
    let epoch = world.partition.epoch() + 1;
    world.partition = Partition::restore(epoch, world.now_ms, records);
    assert_eq!(world.partition.check(), Vec::<String>::new());
}

/// Lives of a store and how long it was away after each, ms.
type Lives = Vec<(i64, i64)>;

fn lives(shortest_ms: i64) -> impl Strategy<Value = Lives> {
    prop::collection::vec((shortest_ms..12_000, 0..90_000_i64), 60)
}

/// Whether one that renews whenever it can, and is back a moment after the store is, keeps its lease.
fn keeps_its_lease(lives: Lives, back_ms: i64) -> bool {
    let mut world = World::new();
    world.submit("ana", 1);
    let live = world.claim("lives", 1).remove(0);
    let mut renew_in_ms = i64::from(HEARTBEAT_MS);
    for (life_ms, away_ms) in lives {
        for _ in 0..life_ms / LOOK_MS {
            world.pass(LOOK_MS);
            renew_in_ms -= LOOK_MS;
            if !world.sync("helper", Vec::new(), 0).adopted.is_empty() {
                return false;
            }
            if renew_in_ms <= 0 {
                if !world.sync("lives", vec![heartbeat(&live)], 0).refused.is_empty() {
                    return false;
                }
                renew_in_ms = i64::from(HEARTBEAT_MS);
            }
        }
        restart(&mut world, away_ms);
        // What was due meanwhile is said when it is back.
        renew_in_ms = (renew_in_ms - away_ms).max(back_ms);
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whether a store lives long or is killed after a third of a second, again and again: what a
    /// dead worker had is free after 10 s of its being up, or sooner, since the time away counts a
    /// little.
    #[test]
    fn restarts_do_not_lengthen_the_lease_of_a_dead_worker(lives in lives(300)) {
        let mut world = World::new();
        world.submit("ana", 1);
        world.claim("dead", 1);
        let mut up_ms = 0;
        for (life_ms, away_ms) in lives {
            for _ in 0..life_ms / LOOK_MS {
                world.pass(LOOK_MS);
                up_ms += LOOK_MS;
                if !world.sync("helper", Vec::new(), 0).adopted.is_empty() {
                    prop_assert!(up_ms <= 10_000, "only after {up_ms} ms");
                    return Ok(());
                }
            }
            restart(&mut world, away_ms);
        }
        prop_assert!(false, "never taken over");
    }

    /// One that renews whenever it can, and is back a moment after the store is, keeps its lease
    /// whatever the restarts are like.
    #[test]
    fn a_live_worker_keeps_its_lease_over_any_number_of_restarts(
        lives in lives(BACK_WITHIN_MS + 2 * LOOK_MS),
        back_ms in 0..BACK_WITHIN_MS,
    ) {
        prop_assert!(keeps_its_lease(lives, back_ms));
    }
}

/// Each life ends within a second of the only heartbeat in it.
#[test]
fn a_live_worker_keeps_its_lease_where_each_heartbeat_falls_into_the_last_second() {
    for back_ms in (0..BACK_WITHIN_MS).step_by(50) {
        for life_ms in (back_ms + LOOK_MS..back_ms + 1_500).step_by(50) {
            let lives = vec![(life_ms, 0); 60];
            assert!(keeps_its_lease(lives, back_ms), "lives of {life_ms} ms, back in {back_ms} ms");
        }
    }
}

#[test]
fn the_time_away_counts_as_one_step_of_lease_time() {
    let mut world = World::new();
    world.submit("ana", 1);
    world.claim("dead", 1);
    let before = world.partition.lease_time(world.now_ms);
    restart(&mut world, 500);
    assert_eq!(world.partition.lease_time(world.now_ms), before + 500);
    restart(&mut world, 3_600_000);
    assert_eq!(world.partition.lease_time(world.now_ms), before + LEASE_TIME_STEP_MS_MAX);
    restart(&mut world, -7_200_000);
    assert_eq!(world.partition.lease_time(world.now_ms), before, "a clock set back takes nothing");
}

#[test]
fn what_ran_in_the_process_that_ended_is_lost_at_once() {
    let mut world = World::new();
    let task = world.submit("ana", 1);
    world.pass(60_000);
    world.claim("in-1", 1);
    restart(&mut world, 0);
    world.pass(200);
    let adopted = world.sync("in-2", Vec::new(), 0).adopted;
    assert_eq!(adopted.iter().map(|lease| lease.task).collect::<Vec<_>>(), [task]);
}

/// Records of a release that did not keep lease time: its claims are of a lease time that nobody
/// knows, and must be neither lost at once nor held for ever.
#[test]
fn leases_of_unknown_age_get_one_fresh_lease() {
    let mut world = World::new();
    world.submit("ana", 1);
    for _ in 0..100 {
        world.pass(1_000);
        world.sync("w2", Vec::new(), 0);
    }
    let live = world.claim("w1", 1).remove(0);
    let records =
        tasktonic_core::partition::Records { lease_time: None, ..world.partition.records() };
    world.partition = Partition::restore(2, world.now_ms, records);
    world.pass(2_000);
    assert_eq!(world.sync("w2", Vec::new(), 0).adopted, []);
    // It is kept from then on: a second restart gives no second lease.
    let mut waited_ms = 2_000;
    while world.sync("w2", Vec::new(), 0).adopted.is_empty() {
        world.pass(1_000);
        restart(&mut world, 0);
        waited_ms += 1_000;
        assert!(waited_ms <= 12_000, "{live:?} is still held after {waited_ms} ms");
    }
    assert!(waited_ms >= 10_000, "{waited_ms}");
}
