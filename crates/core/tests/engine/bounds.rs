//! What is bounded stays so: caps, dead references, maintenance that keeps pace, counts of holders.

use tasktonic_core::command::{Again, Claim, Command, Idempotency, NewTask, Report, Submit, Sync};
use tasktonic_core::limits::{FORGET_PARKED_MS, PARKED_MS_MAX, REV_PER_CLAIM};
use tasktonic_core::reply::{Controlled, Reply, Submitted};
use tasktonic_core::{TaskId, TaskState};

use crate::world::*;

#[test]
fn cancelled_tasks_do_not_count_towards_the_cap() {
    let mut world = World::new();
    for i in 0..5 {
        assert_eq!(one_more(&mut world, "ana", i, 5, None), Submitted::Accepted);
    }
    assert_eq!(one_more(&mut world, "ana", 5, 5, None), Submitted::LaneFull);
    for i in 0..5 {
        assert_eq!(world.cancel("ana", TaskId::new(2, i)), Controlled::Done);
    }
    assert_eq!(one_more(&mut world, "ana", 6, 5, None), Submitted::Accepted, "nothing waits");
    assert_eq!(one_more(&mut world, "ben", 7, 5, None), Submitted::Accepted);
    let mut taken: Vec<_> = world.claim("w1", 10).into_iter().map(|lease| lease.task).collect();
    taken.sort();
    assert_eq!(taken, [TaskId::new(2, 6), TaskId::new(2, 7)]);
}

#[test]
fn scheduled_tasks_count_towards_the_cap_until_they_are_claimed() {
    let mut world = World::new();
    let due_ms = Some(world.now_ms + 1_000);
    for i in 0..4 {
        assert_eq!(one_more(&mut world, "ana", i, 4, due_ms), Submitted::Accepted);
    }
    assert_eq!(one_more(&mut world, "ana", 4, 4, due_ms), Submitted::LaneFull);
    assert_eq!(one_more(&mut world, "ana", 5, 4, None), Submitted::LaneFull);
    world.pass(2_000);
    assert_eq!(world.claim("w1", 1).len(), 1);
    assert_eq!(one_more(&mut world, "ana", 6, 4, None), Submitted::Accepted, "one is running");
    assert_eq!(one_more(&mut world, "ana", 7, 4, None), Submitted::LaneFull);
}

#[test]
fn a_refused_task_leaves_nothing_behind_not_even_its_key() {
    let mut world = World::new();
    assert_eq!(one_more(&mut world, "ana", 1, 1, None), Submitted::Accepted);
    let before = world.partition.dump(world.now_ms);
    let idempotency = Some(Idempotency::new("k", 1, 1_000));
    let new = NewTask { idempotency, lane_max: 1, ..new_task("ana", TaskId::new(2, 2)) };
    let submit = Submit { created_ms: world.now_ms, tasks: vec![new] };
    assert_eq!(world.apply(Command::Submit(submit)), Reply::Submit(vec![Submitted::LaneFull]));
    assert!(world.last.records.is_empty() && world.last.events.is_empty());
    assert_eq!(world.partition.dump(world.now_ms), before);
}

#[test]
fn a_lane_nobody_claims_from_does_not_grow_with_what_is_cancelled() {
    let mut world = World::new();
    for i in 0..4_000 {
        let task = world.submit("ana", i);
        world.cancel("ana", task);
    }
    let last = world.submit("ana", 50_000);
    let mut calls = 0;
    let claimed = loop {
        calls += 1;
        let claimed = world.claim("w1", 1);
        if !claimed.is_empty() {
            break claimed;
        }
        assert!(calls < 10, "thousands of dead references lie before one task");
    };
    assert_eq!(claimed[0].task, last);
}

#[test]
fn what_one_maintenance_leaves_over_the_next_sync_goes_on_with() {
    let mut world = World::new();
    let due_ms = Some(world.now_ms + 1_000);
    for i in 0..1_000 {
        assert_eq!(one_more(&mut world, "ana", i, 2_000, due_ms), Submitted::Accepted);
    }
    world.pass(1_000);
    for _ in 0..8 {
        world.sync("w1", Vec::new(), 0);
    }
    let count = |world: &World, state| world.partition.count(&"ana".parse().unwrap(), state);
    assert_eq!(count(&world, TaskState::Scheduled), 0, "all were due at the same moment");
    let leases: Vec<_> = (0..8).flat_map(|_| world.claim("w1", 128)).collect();
    for lease in leases {
        assert!(world.report(&lease, ack(3)));
    }
    assert_eq!(count(&world, TaskState::Completed), 1_000);
    world.pass(60_000);
    for _ in 0..8 {
        world.sync("w1", Vec::new(), 0);
    }
    assert_eq!(count(&world, TaskState::Completed), 0, "deletion keeps pace with completion");
}

#[test]
fn workers_that_went_without_a_word_swallow_no_wake() {
    let mut world = World::new();
    let queue: tasktonic_core::Name = "mail".parse().unwrap();
    let park = |worker: &str| {
        Command::Sync(Sync {
            worker: worker.parse().unwrap(),
            call: 1,
            lease_ms: 10_000,
            ops: Vec::new(),
            claim: Some(Claim::new(vec![queue.clone()], 1)),
            woken: Vec::new(),
            park: true,
        })
    };
    for i in 0..50 {
        world.apply(park(&format!("gone-{i}")));
    }
    for _ in 0..((PARKED_MS_MAX + FORGET_PARKED_MS) / 1_000 + 2) {
        world.pass(1_000);
        world.sync("server", Vec::new(), 0);
    }
    world.apply(park("alive"));
    world.submit("ana", 1);
    let woken = world.last.signals.iter().filter_map(|signal| match signal {
        tasktonic_core::Signal::Wake { worker, .. } => Some(worker.to_string()),
        _ => None,
    });
    assert_eq!(woken.collect::<Vec<_>>(), ["alive"]);
}

#[test]
fn a_holder_that_counts_backwards_or_too_far_moves_no_rev_back() {
    let mut world = World::new();
    world.submit("ana", 1);
    let lease = world.claim("w1", 1).remove(0);
    let mut last = 0;
    for n in [7, 3, 0, u32::MAX, 5] {
        assert!(world.report(&lease, Report::Progress { write: write(n) }));
        let now = world.partition.task(&lease.user, &lease.task).unwrap();
        let rev = u64::from(now.claim) * REV_PER_CLAIM + u64::from(now.n);
        assert!(rev >= last, "{rev} after {last}");
        last = rev;
    }
    assert!(world.report(&lease, nack(Again::Now)));
    let now = world.partition.task(&lease.user, &lease.task).unwrap();
    assert!(u64::from(now.claim) * REV_PER_CLAIM + u64::from(now.n) > last);
}
