//! Tasks that wait for each other: every node ends, none waits for ever, none runs before those it
//! waits for.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use tasktonic_core::changes::{Place, Record};
use tasktonic_core::command::{
    After, Again, Command, Control, Expiry, Gathers, NewTask, Node, Report,
};
use tasktonic_core::limits::{CASCADE_MAX, LINKS_MAX};
use tasktonic_core::links::OnFailure;
use tasktonic_core::reply::{Controlled, Refusal, Reply};
use tasktonic_core::{Lease, Partition, TaskId, TaskState, UserId};

use crate::world::*;

fn ana() -> UserId {
    "ana".parse().unwrap()
}

fn id(number: u64) -> TaskId {
    TaskId::new(5, number)
}

fn node(number: u64, after: &[(u64, OnFailure)]) -> Node {
    Node {
        new: new_task("ana", id(number)),
        part_of: None,
        gathers: None,
        after: after.iter().map(|(n, of)| After { task: id(*n), on_failure: *of }).collect(),
    }
}

fn root(number: u64) -> Node {
    Node { gathers: Some(Gathers::Flow), ..node(number, &[]) }
}

fn part(of: u64, number: u64, after: &[(u64, OnFailure)]) -> Node {
    Node { part_of: Some(id(of)), ..node(number, after) }
}

impl World {
    fn flow(&mut self, nodes: Vec<Node>) -> Vec<Controlled> {
        let control = Control::Flow { at_ms: self.now_ms, user: ana(), nodes };
        let Reply::Control(answers) = self.apply(Command::Control(control)) else { panic!() };
        answers
    }

    fn seal(&mut self, batch: TaskId) -> Controlled {
        let control = Control::Seal { at_ms: self.now_ms, user: ana(), task: batch };
        let Reply::Control(answers) = self.apply(Command::Control(control)) else { panic!() };
        answers[0]
    }

    fn at(&self, number: u64) -> Option<TaskState> {
        self.state("ana", id(number))
    }

    /// Lets what is due be done until nothing is.
    fn settle(&mut self) {
        for _ in 0..200 {
            if self.partition.next_in_ms(self.now_ms) != Some(0) {
                return;
            }
            self.pass(300);
            self.sync("housekeeping", Vec::new(), 0);
        }
        panic!("it never comes to rest");
    }
}

fn bury() -> Report {
    Report::Bury { write: write(1), keep_s: 60 }
}

use OnFailure::{Continue, Fail, Ignore};

#[test]
fn a_fan_in_waits_for_all_and_is_queued_once() {
    let mut world = World::new();
    let answers = world.flow(vec![
        root(1),
        part(1, 2, &[]),
        part(1, 3, &[]),
        part(1, 4, &[(2, Fail), (3, Fail)]),
    ]);
    assert_eq!(answers, [Controlled::Done; 4]);
    assert_eq!(world.at(4), Some(TaskState::Waiting));
    let leases = world.claim("w", 10);
    assert_eq!(leases.len(), 2);
    assert!(world.report(&leases[0], ack(1)));
    assert_eq!(world.at(4), Some(TaskState::Waiting));
    assert!(world.report(&leases[1], ack(1)));
    assert_eq!(world.at(4), Some(TaskState::Queued));
    let last = world.claim("w", 10);
    assert_eq!(last.len(), 1);
    assert_eq!(world.at(1), Some(TaskState::Waiting));
    assert!(world.report(&last[0], ack(1)));
    assert_eq!(world.at(1), Some(TaskState::Completed));
}

#[test]
fn a_failure_goes_as_far_as_the_ties_say() {
    let mut world = World::new();
    world.flow(vec![
        root(1),
        part(1, 2, &[]),
        part(1, 3, &[(2, Fail)]),
        part(1, 4, &[(3, Fail)]),
        part(1, 5, &[(2, Ignore)]),
        part(1, 6, &[(4, Continue)]),
    ]);
    let lease = world.claim("w", 1).remove(0);
    assert!(world.report(&lease, bury()));
    for (number, state) in [
        (2, TaskState::Dead),
        (3, TaskState::Cancelled),
        (4, TaskState::Cancelled),
        (5, TaskState::Queued),
        (6, TaskState::Queued),
    ] {
        assert_eq!(world.at(number), Some(state), "{number}");
    }
    for lease in world.claim("w", 10) {
        assert!(world.report(&lease, ack(1)));
    }
    assert_eq!(world.at(1), Some(TaskState::Dead), "a flow with a dead part has failed");
}

#[test]
fn nothing_is_accepted_where_one_is_refused() {
    let mut world = World::new();
    let refused = |why| Controlled::Refused(why);
    let answers = world.flow(vec![root(1), part(1, 2, &[]), part(1, 3, &[(9, Fail)])]);
    let withheld = refused(Refusal::Withheld);
    assert_eq!(answers, [withheld, withheld, refused(Refusal::NoTask)]);
    assert!(world.last.records.is_empty() && world.last.events.is_empty());
    assert_eq!(world.at(1), None);
    let alone = world.submit("ana", 77);
    let mut outside = part(1, 2, &[]);
    outside.after = vec![After { task: alone, on_failure: Fail }];
    assert_eq!(world.flow(vec![root(1), outside])[1], refused(Refusal::Outside));
    assert_eq!(world.flow(vec![part(8, 2, &[])]), [refused(Refusal::NoFlow)]);
    let mut crowded = vec![root(1)];
    crowded.extend((2..6).map(|n| {
        let mut node = part(1, n, &[]);
        node.new.lane_max = 3;
        node
    }));
    assert_eq!(world.flow(crowded)[4], refused(Refusal::LaneFull));
    assert_eq!(world.flow(vec![root(1), part(1, 2, &[])]), [Controlled::Done; 2]);
    assert_eq!(world.flow(vec![root(1), part(1, 2, &[])]), [Controlled::Done; 2], "said again");
    assert_eq!(world.flow(vec![root(1), part(1, 3, &[])])[0], refused(Refusal::Exists));
    let fan: Vec<Node> = (0..=LINKS_MAX as u64).map(|n| part(1, 100 + n, &[(2, Fail)])).collect();
    assert_eq!(world.flow(fan).last(), Some(&refused(Refusal::LinksFull)));
}

#[test]
fn a_running_part_adds_parts_and_the_flow_waits_for_them_too() {
    let mut world = World::new();
    world.flow(vec![root(1), part(1, 2, &[])]);
    let lease = world.claim("w", 1).remove(0);
    assert_eq!(world.flow(vec![part(1, 3, &[(2, Fail)]), part(1, 4, &[])]), [Controlled::Done; 2]);
    assert!(world.report(&lease, ack(1)));
    for number in [3, 4] {
        assert_eq!(world.at(number), Some(TaskState::Queued));
    }
    // What is told of at once: a part after one that has ended already.
    assert_eq!(world.flow(vec![part(1, 5, &[(2, Fail)])]), [Controlled::Done]);
    assert_eq!(world.at(5), Some(TaskState::Queued));
    for lease in world.claim("w", 5) {
        assert!(world.report(&lease, ack(1)));
    }
    assert_eq!(world.at(1), Some(TaskState::Completed));
    let closed = Controlled::Refused(Refusal::Closed);
    assert_eq!(world.flow(vec![part(1, 6, &[])]), [closed]);
}

#[test]
fn a_batch_calls_back_once_after_its_seal_and_its_parts() {
    let mut world = World::new();
    let batch = Node { gathers: Some(Gathers::Batch { runs: true }), ..node(1, &[]) };
    assert_eq!(world.flow(vec![batch]), [Controlled::Done]);
    for chunk in 0..3 {
        let parts = (0..3).map(|n| part(1, 10 + chunk * 3 + n, &[])).collect();
        assert_eq!(world.flow(parts), [Controlled::Done; 3]);
        for lease in world.claim("w", 10) {
            assert!(world.report(&lease, if chunk == 1 { bury() } else { ack(1) }));
        }
    }
    assert_eq!(world.at(1), Some(TaskState::Waiting), "it may get more");
    assert_eq!(world.seal(id(1)), Controlled::Done);
    assert_eq!(world.at(1), Some(TaskState::Queued));
    assert_eq!(world.seal(id(1)), Controlled::Done);
    assert_eq!(world.flow(vec![part(1, 90, &[])]), [Controlled::Refused(Refusal::Closed)]);
    let gather = world.partition.links(&ana(), &id(1)).unwrap().gather.unwrap();
    assert_eq!((gather.total, gather.completed, gather.dead), (9, 6, 3));
    let last = world.claim("w", 10);
    assert_eq!(last.iter().map(|lease| lease.task).collect::<Vec<_>>(), [id(1)]);
    assert!(world.report(&last[0], ack(1)));
    // A part that is sent back calls nobody a second time.
    assert_eq!(world.redrive("ana", id(13)), Controlled::Done);
    let again = world.claim("w", 10).remove(0);
    assert!(world.report(&again, ack(1)));
    assert_eq!(world.at(1), Some(TaskState::Completed));
}

#[test]
fn cancelling_a_flow_stops_every_part_however_many() {
    let mut world = World::new();
    let parts = 3 * CASCADE_MAX as u64;
    world.flow(vec![root(1), part(1, 2, &[])]);
    for chunk in 0..4 {
        let nodes = (0..parts / 4).map(|n| part(1, 10 + chunk * (parts / 4) + n, &[])).collect();
        world.flow(nodes);
    }
    let running = world.claim("w", 1).remove(0);
    assert_eq!(world.cancel("ana", id(1)), Controlled::Done);
    world.settle();
    assert_eq!(world.partition.count(&ana(), TaskState::Cancelled), parts + 1);
    assert_eq!(world.at(2), Some(TaskState::Running), "its holder is asked");
    let asked = world.sync("w", vec![heartbeat(&running)], 0);
    assert_eq!(asked.cancelled, std::slice::from_ref(&running));
    assert!(world.report(&running, Report::Cancelled { write: write(2), keep_s: 60 }));
    assert_eq!(world.partition.count(&ana(), TaskState::Cancelled), parts + 2);
}

#[test]
fn a_failed_flow_goes_on_where_its_parts_are_sent_back() {
    let mut world = World::new();
    world.flow(vec![root(1), part(1, 2, &[]), part(1, 3, &[(2, Fail)])]);
    let lease = world.claim("w", 1).remove(0);
    assert!(world.report(&lease, bury()));
    assert_eq!(world.at(1), Some(TaskState::Dead));
    let stays = Controlled::Unfit(TaskState::Cancelled);
    assert_eq!(world.redrive("ana", id(3)), stays, "what it waits for has failed");
    assert_eq!(world.redrive("ana", id(1)), Controlled::Unfit(TaskState::Dead));
    assert_eq!(world.redrive("ana", id(2)), Controlled::Done);
    assert_eq!(world.at(1), Some(TaskState::Waiting), "the flow waits again");
    assert_eq!(world.redrive("ana", id(3)), Controlled::Done);
    assert_eq!(world.at(3), Some(TaskState::Waiting));
    for number in [2, 3] {
        let lease = world.claim("w", 1).remove(0);
        assert_eq!(lease.task, id(number));
        assert!(world.report(&lease, ack(1)));
    }
    assert_eq!(world.at(1), Some(TaskState::Completed));
}

#[test]
fn a_chain_of_ends_longer_than_one_call_is_told_to_its_last() {
    let mut world = World::new();
    world.flow(vec![root(1), part(1, 2, &[])]);
    // A tree: each of 60 fails with the first, and has 10 behind it.
    world.flow((0..60).map(|n| part(1, 100 + n, &[(2, Fail)])).collect());
    for tens in 0..60_u64 {
        let nodes = (0..10).map(|n| part(1, 1_000 + tens * 10 + n, &[(100 + tens, Fail)]));
        world.flow(nodes.collect());
    }
    let lease = world.claim("w", 1).remove(0);
    assert!(world.report(&lease, bury()));
    assert_eq!(world.at(1), Some(TaskState::Waiting), "one call does not tell them all");
    // A restart in the middle forgets the line and finds it again.
    let records = world.partition.records();
    world.partition = Partition::restore(2, world.now_ms, records);
    world.settle();
    assert_eq!(world.partition.count(&ana(), TaskState::Cancelled), 660);
    assert_eq!(world.at(1), Some(TaskState::Dead));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Random graphs, run by workers that fail, crash and vanish, in a store that restarts: each
    /// node ends, none waits for ever, none runs before its parents ended, none is queued twice but
    /// by a failed attempt, and the flow ends as its parts did.
    #[test]
    fn every_node_of_every_graph_ends(
        shape in prop::collection::vec(prop::collection::vec((any::<u16>(), 0_u8..3), 0..4), 1..24),
        acts in prop::collection::vec(any::<u8>(), 40..120),
        expiring in any::<u16>(),
    ) {
        let mut world = World::new();
        let policies = [Fail, Ignore, Continue];
        let mut nodes = vec![root(1)];
        for (at, parents) in (0_u64..).zip(&shape) {
            let mut after: Vec<(u64, OnFailure)> = Vec::new();
            for (pick, policy) in parents {
                let parent = 10 + u64::from(*pick) % at.max(1);
                if at > 0 && !after.iter().any(|(n, _)| *n == parent) {
                    after.push((parent, policies[usize::from(*policy)]));
                }
            }
            let mut node = part(1, 10 + at, &after);
            if expiring & (1 << (at % 16)) == 0 && at % 5 == 0 {
                let at_ms = world.now_ms + 2_000;
                node.new.expires = Some(Expiry { at_ms, keep_s: 600 });
            }
            nodes.push(node);
        }
        let graph: Vec<(TaskId, Vec<After>)> =
            nodes.iter().map(|node| (node.new.task, node.after.clone())).collect();
        prop_assert_eq!(world.flow(nodes), vec![Controlled::Done; graph.len()]);
        let mut unblocked: HashMap<TaskId, u32> = HashMap::new();
        let mut held: Vec<Lease> = Vec::new();
        let mut acts = acts.into_iter().chain(std::iter::repeat(0)).enumerate();
        let mut waited = HashMap::new();
        let over = |world: &World| graph.iter().all(|(task, _)| {
            world.state("ana", *task).is_none_or(TaskState::is_terminal)
        });
        while !over(&world) {
            let (turn, act) = acts.next().unwrap();
            prop_assert!(turn < 3_000, "some wait for ever: {}", world.partition.dump(0));
            match act % 16 {
                9 => world.pass(12_000),
                10 => { world.cancel("ana", graph[usize::from(act / 16) % graph.len()].0); }
                11 => {
                    let (records, epoch) = (world.partition.records(), world.partition.epoch() + 1);
                    world.partition = Partition::restore(epoch, world.now_ms, records);
                    prop_assert_eq!(world.partition.check(), Vec::<String>::new());
                }
                act => {
                    world.pass(250);
                    let report = match act {
                        12 => bury(),
                        13 => nack(Again::Now),
                        14 => Report::Release { write: write(1), attempt: None },
                        _ => ack(1),
                    };
                    // One that crashed keeps its lease until it is lost.
                    if !held.is_empty() && act != 15 {
                        let lease = held.remove(0);
                        world.report(&lease, report);
                    }
                }
            }
            let synced = world.sync("w", Vec::new(), 2);
            held.extend(synced.adopted);
            for claimed in synced.claimed {
                let task = claimed.lease.task;
                let (_, after) = graph.iter().find(|(id, _)| *id == task).unwrap();
                for after in after {
                    let state = world.state("ana", after.task);
                    let fits = match after.on_failure {
                        // What is gone had its retention, and so its end.
                        Fail => state.is_none_or(|state| state == TaskState::Completed),
                        _ => state.is_none_or(TaskState::is_terminal),
                    };
                    prop_assert!(fits, "{} ran after {} was {:?}", task, after.task, state);
                }
                held.push(claimed.lease);
            }
            for record in &std::mem::take(&mut world.last).records {
                if let Record::Task { task, control, .. } = record {
                    let waits = matches!(control.place, Place::Waiting { .. });
                    let before = waited.insert(*task, waits).unwrap_or(false);
                    if before && matches!(control.place, Place::Queued { .. }) {
                        *unblocked.entry(*task).or_default() += 1;
                    }
                }
            }
        }
        prop_assert!(unblocked.values().all(|times| *times == 1), "{:?}", unblocked);
        prop_assert_eq!(world.partition.check(), Vec::<String>::new());
        let states: Vec<_> =
            graph[1..].iter().filter_map(|(task, _)| world.state("ana", *task)).collect();
        let root = world.at(1).filter(|root| *root != TaskState::Cancelled);
        if let Some(root) = root && states.len() == graph.len() - 1 {
            prop_assert_eq!(root == TaskState::Completed,
                states.iter().all(|state| *state == TaskState::Completed));
        }
    }
}

#[test]
fn new_tasks_alone_have_no_ties() {
    let mut world = World::new();
    let lone = NewTask { event: Arc::from(""), ..new_task("ana", id(1)) };
    let node = Node { new: lone, part_of: None, gathers: None, after: Vec::new() };
    assert_eq!(world.flow(vec![node]), [Controlled::Done]);
    assert_eq!(world.partition.links(&ana(), &id(1)), None);
    assert_eq!(world.at(1), Some(TaskState::Queued));
}
