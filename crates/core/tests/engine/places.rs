//! Tasks that take several places of a worker: never more than there are, and none of them waits for
//! ever beside smaller ones.

use proptest::prelude::*;

use tasktonic_core::command::{Claim, Command, NewTask, Submit, Sync};
use tasktonic_core::limits::CLAIM_MAX;
use tasktonic_core::reply::{Reply, Synced};
use tasktonic_core::settings::{By, QueueSettings, Turns};
use tasktonic_core::{Lease, Name, TaskId};

use crate::world::*;

impl World {
    fn submit_to(&mut self, queue: &str, user: &str, number: u64) -> TaskId {
        let task = TaskId::new(3, number);
        let new = NewTask { queue: queue.parse().unwrap(), ..new_task(user, task) };
        let submit = Submit { created_ms: self.now_ms, tasks: vec![new] };
        self.apply(Command::Submit(submit));
        task
    }

    /// A claim of a worker that parks where it finds nothing.
    fn claim_places(&mut self, queues: &[(&str, u32)], limit: u32) -> Synced {
        self.calls += 1;
        let of = |(queue, places): &(&str, u32)| (queue.parse::<Name>().unwrap(), *places);
        let (queues, places): (Vec<_>, Vec<_>) = queues.iter().map(of).unzip();
        let reply = self.apply(Command::Sync(Sync {
            worker: "w1".parse().unwrap(),
            call: self.calls,
            lease_ms: 10_000,
            ops: Vec::new(),
            claim: Some(Claim { queues, limit, places }),
            woken: Vec::new(),
            park: true,
        }));
        let Reply::Sync(synced) = reply else { panic!("{reply:?}") };
        synced
    }

    fn wakes(&self) -> usize {
        let is_wake = |signal: &&_| matches!(signal, tasktonic_core::Signal::Wake { .. });
        self.last.signals.iter().filter(is_wake).count()
    }
}

fn taken(synced: &Synced) -> Vec<&str> {
    synced.claimed.iter().map(|one| one.lease.queue.as_str()).collect()
}

fn stopped(synced: &Synced) -> Option<&str> {
    synced.stopped_at.as_ref().map(Name::as_str)
}

#[test]
fn a_claim_stops_at_the_first_task_that_does_not_fit() {
    let mut world = World::new();
    for number in 0..3 {
        world.submit_to("small", "ana", number);
        world.submit_to("other", "ana", 10 + number);
    }
    let big = world.submit_to("big", "ben", 20);
    let queues = [("small", 1), ("big", 4), ("other", 1)];
    let synced = world.claim_places(&queues, 5);
    assert_eq!(taken(&synced), ["small", "small", "small"], "those before it, and no others");
    assert_eq!((stopped(&synced), synced.more), (Some("big"), 0));
    let synced = world.claim_places(&[("big", 4), ("other", 1), ("small", 1)], 3);
    assert_eq!((taken(&synced).len(), stopped(&synced)), (0, Some("big")));
    assert_eq!(world.state("ben", big).unwrap().name(), "queued", "nobody holds it meanwhile");
    // Another one may have it.
    let synced = world.claim_places(&[("big", 4), ("other", 1)], 6);
    assert_eq!(taken(&synced), ["big", "other", "other"]);
    assert_eq!(stopped(&synced), None);
    assert_eq!(stopped(&world.claim_places(&[("big", 4)], 3)), None, "there is no other");
}

#[test]
fn a_queue_that_had_its_turn_leaves_the_rest_to_the_others() {
    let mut world = World::new();
    for number in 0..4 {
        world.submit_to("big", "ana", number);
        world.submit_to("small", "ana", 10 + number);
    }
    let synced = world.claim_places(&[("big", 4), ("small", 1)], 6);
    assert_eq!((taken(&synced), stopped(&synced)), (vec!["big", "small", "small"], None));
    let synced = world.claim_places(&[("big", 3), ("small", 1)], 9);
    assert_eq!(taken(&synced), ["big"; 3]);
}

#[test]
fn who_was_stopped_is_not_parked_and_its_wake_goes_on() {
    let mut world = World::new();
    world.submit_to("big", "ana", 1);
    assert_eq!(stopped(&world.claim_places(&[("big", 2)], 1)), Some("big"));
    world.submit_to("big", "ben", 2);
    assert_eq!(world.wakes(), 0, "it looks again by itself");
    let none = world.claim_places(&[("small", 1)], 1);
    assert_eq!((none.claimed.len(), stopped(&none)), (0, None));
    world.submit_to("small", "ben", 3);
    assert_eq!(world.wakes(), 1);
}

#[test]
fn nobody_is_waited_for_who_may_not_start() {
    for turns in [Turns::Count, Turns::RunTime] {
        let mut world = World::new();
        world.set_queue(1, QueueSettings { turns, ..QueueSettings::default() });
        let stops = |world: &mut World| {
            let synced = world.claim_places(&[("mail", 4)], 3);
            assert_eq!(synced.claimed, Vec::new());
            synced.stopped_at.is_some()
        };
        assert!(!stops(&mut world), "the queue is empty");
        // As many lanes of dead references as are looked at together, and more.
        for number in 0..20 {
            let task = world.submit(&format!("gone-{number}"), number);
            world.cancel(&format!("gone-{number}"), task);
        }
        assert!(!stops(&mut world));
        world.submit("ana", 50);
        world.pause("ana", By::Owner, true);
        assert!(!stops(&mut world));
        world.submit("ben", 51);
        assert!(stops(&mut world) && stops(&mut world), "it keeps its turn");
        let facts = QueueSettings { running_max: Some(1), turns, ..QueueSettings::default() };
        world.set_queue(2, facts);
        let synced = world.claim_places(&[("mail", 4)], 4);
        assert_eq!(synced.claimed.len(), 1);
        world.submit("ben", 52);
        assert!(!stops(&mut world), "as many of theirs run as may");
        assert!(world.report(&synced.claimed[0].lease, ack(9)));
        assert!(stops(&mut world));
        world.set_queue(3, QueueSettings { paused: true, ..facts });
        assert!(!stops(&mut world));
        world.set_queue(4, QueueSettings { running_total_max: Some(1), ..facts });
        assert!(stops(&mut world));
        world.submit("cleo", 53);
        let one = world.claim_places(&[("mail", 4)], 9).claimed.remove(0);
        assert!(!stops(&mut world), "as many of all run as may");
        assert!(world.report(&one.lease, ack(9)));
        world.pause("ana", By::Owner, false);
        assert!(stops(&mut world));
    }
}

#[test]
fn no_more_tasks_are_handed_out_than_without_places() {
    let mut world = World::new();
    for number in 0..200 {
        world.submit_to("small", &format!("user-{}", number % 7), number);
    }
    let synced = world.claim_places(&[("small", 1), ("big", 2)], 1_000);
    assert_eq!((synced.claimed.len(), stopped(&synced)), (CLAIM_MAX as usize, None));
}

/// A worker in short: it names its queues each first in its turn, and saves up for one that stopped it.
struct Hand {
    places: u32,
    of: Vec<(&'static str, u32)>,
    held: Vec<(Lease, u32)>,
    saves_for: Option<usize>,
    turn: usize,
}

impl Hand {
    fn free(&self) -> u32 {
        self.places - self.held.iter().map(|(_, places)| *places).sum::<u32>()
    }

    fn place_of(&self, queue: &str) -> usize {
        self.of.iter().position(|(name, _)| *name == queue).unwrap()
    }

    /// Claims unless it saves up; what it took.
    fn claim(&mut self, world: &mut World) -> Vec<Lease> {
        let free = self.free();
        if free == 0 || self.saves_for.is_some_and(|at| self.of[at].1 > free) {
            return Vec::new();
        }
        let mut order = self.of.clone();
        order.rotate_left(self.saves_for.take().unwrap_or_else(|| {
            self.turn += 1;
            self.turn % self.of.len()
        }));
        let synced = world.claim_places(&order, free);
        self.saves_for = synced.stopped_at.map(|queue| self.place_of(queue.as_str()));
        let taken: Vec<Lease> = synced.claimed.into_iter().map(|one| one.lease).collect();
        for lease in &taken {
            let places = self.of[self.place_of(lease.queue.as_str())].1;
            self.held.push((lease.clone(), places));
        }
        taken
    }
}

const KINDS: [&str; 4] = ["one", "two", "three", "four"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever tasks take, and in whatever order they end: what a worker holds never takes more places
    /// than it has, and who waits in any queue has their turn after so many ends, though every other
    /// queue is never empty.
    #[test]
    fn a_worker_is_never_overfull_and_no_task_waits_for_ever(
        places in 1_u32..12,
        takes in prop::collection::vec(1_u32..12, 2..=KINDS.len()),
        waits in 0_usize..KINDS.len(),
        ends in prop::collection::vec(any::<u16>(), 400),
    ) {
        let of: Vec<_> = KINDS.into_iter().zip(takes.iter().map(|takes| (*takes).min(places))).collect();
        let waits = KINDS[waits % of.len()];
        let mut hand = Hand { places, of: of.clone(), held: Vec::new(), saves_for: None, turn: 0 };
        let mut world = World::new();
        let mut number = 0;
        let mut fill = |world: &mut World, queue: &str| {
            number += 1;
            world.submit_to(queue, ["ana", "ben", "cleo"][number as usize % 3], number);
        };
        for (queue, _) in of.iter().filter(|(queue, _)| *queue != waits) {
            for _ in 0..2 * places {
                fill(&mut world, queue);
            }
        }
        hand.claim(&mut world);
        // Each other queue stops it once at most before it is their turn, and then all that it holds ends.
        let bound = of.len() * (places as usize + 1);
        let (mut since, mut turns, mut at) = (0, 0, 0);
        let mut theirs = world.submit_to(waits, "dora", 1_000_000);
        for end in ends {
            if !hand.held.is_empty() {
                let (lease, _) = hand.held.swap_remove(usize::from(end) % hand.held.len());
                prop_assert!(world.report(&lease, ack(9)));
                if lease.queue.as_str() != waits {
                    fill(&mut world, lease.queue.as_str());
                }
            }
            since += 1;
            loop {
                let taken = hand.claim(&mut world);
                prop_assert!(hand.held.iter().map(|(_, places)| *places).sum::<u32>() <= places);
                if taken.iter().any(|lease| lease.task == theirs) {
                    (since, turns, at) = (0, turns + 1, at + 1);
                    theirs = world.submit_to(waits, "dora", 1_000_000 + at);
                }
                if taken.is_empty() {
                    break;
                }
            }
            prop_assert!(since <= bound, "{waits} of {of:?} in {places} waits for {since} ends");
        }
        prop_assert!(turns > 0);
    }
}
