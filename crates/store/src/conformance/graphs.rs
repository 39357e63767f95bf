//! A thousand flows of any shape, whose tasks fail, come back and lose their workers. How each task must end
//! is found here from the ties alone.

mod shape;

use std::collections::{BTreeMap, BTreeSet};

use tasktonic_core::command::{Again, Claim, Op, Report};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Lease, TaskId, TaskState, Text, UserId};
use tasktonic_protocol::stored::StoredState;

use self::shape::{Graph, Known};
use super::flows::bury;
use super::replay::{Replay, seeds};
use super::scene::{MAIL, Scene, write};
use super::seed::Seed;
use crate::{Held, Query, QueryReply};

/// Graphs of one walk, and how many of them are at work at once.
const GRAPHS: usize = 1_000;
const TOGETHER: usize = 100;
/// Attempts of one partition that are made at once, but for those that were lost.
const PLACES: u32 = 64;
/// Attempts that a task may have.
const ATTEMPTS_MAX: u32 = 3;
/// A lease that its worker never renews ends after this.
const LEASE_MS: u32 = 5_000;
/// How long a turn of all workers takes.
const TURN_MS: i64 = 700;
/// Turns in which all graphs at work must end.
const TURNS_MAX: u32 = 1_000;
/// Longer than all of it takes.
const KEEP_S: u32 = 86_400;

struct Walk<'a> {
    scene: &'a Scene,
    seed: Seed,
    users: Vec<String>,
    tasks: BTreeMap<TaskId, Known>,
    graphs: Vec<Graph>,
    /// What workers have that speak, and what those have that are never heard of again.
    held: Vec<Held>,
    silent: BTreeMap<TaskId, Lease>,
    /// What the silent ones would say of leases that are another's by now.
    late: Vec<Op>,
    lost: u32,
    again: u32,
}

/// Graphs by chance, each with a policy for each tie, under workers that fail, give up their attempts and
/// crash: each task ends as its ties say, none waits for ever, none begins before those it waits for have
/// ended, and each is queued once, and once more for every attempt that follows.
pub async fn every_task_of_a_thousand_graphs_ends_and_is_queued_once(scene: Scene) {
    for seed in seeds(35..36) {
        let _replay = Replay(seed);
        let each = (8 / usize::from(scene.store.partitions())).max(1);
        let users = scene.users_everywhere(each);
        let (mut lost, mut again, mut states) = (0, 0, BTreeMap::<TaskState, u32>::new());
        let mut chance = Seed(seed);
        for _ in 0..GRAPHS / TOGETHER {
            let mut walk = Walk::new(&scene, Seed(chance.next()), users.clone());
            let heads = walk.heads().await;
            for number in 0..TOGETHER {
                walk.submit_graph(number).await;
            }
            walk.run_all().await;
            walk.assert_ended().await;
            walk.assert_queued_once(&heads).await;
            (lost, again) = (lost + walk.lost, again + walk.again);
            for known in walk.tasks.values() {
                *states.entry(known.end.expect("all have ended")).or_default() += 1;
            }
        }
        eprintln!("seed {seed}: {lost} attempts lost, {again} failed and made again, {states:?}");
        assert!(lost > 100 && again > 100 && states.len() == 3, "{lost}, {again}, {states:?}");
    }
}

impl<'a> Walk<'a> {
    fn new(scene: &'a Scene, seed: Seed, users: Vec<String>) -> Self {
        Self {
            scene,
            seed,
            users,
            tasks: BTreeMap::new(),
            graphs: Vec::new(),
            held: Vec::new(),
            silent: BTreeMap::new(),
            late: Vec::new(),
            lost: 0,
            again: 0,
        }
    }

    /// Workers take turns until all tasks have ended.
    async fn run_all(&mut self) {
        let mut turns = 0;
        while let Some(left) = self.left() {
            turns += 1;
            assert!(turns < TURNS_MAX, "some wait for ever, of {left:?}");
            for p in (0..self.scene.store.partitions()).map(PartitionId) {
                self.turn(p).await;
            }
            self.scene.pass(TURN_MS);
        }
        // What has ended is told to those who would have waited for it, though nobody does.
        self.scene.rest().await;
    }

    /// A graph with a task that has not ended, if there is one.
    fn left(&self) -> Option<&Graph> {
        self.graphs.iter().find(|graph| graph.all().any(|task| self.tasks[&task].end.is_none()))
    }

    /// A worker says what became of what it has from a partition, and takes more.
    async fn turn(&mut self, p: PartitionId) {
        let of_p = |lease: &Lease| self.scene.partition(lease.user.as_str()) == p;
        let here: Vec<Held> = self.held.extract_if(.., |held| of_p(&held.lease)).collect();
        let late: Vec<Op> = self.late.extract_if(.., |op| of_p(&op.lease)).take(16).collect();
        let (mut ops, mut said) = (Vec::new(), Vec::new());
        let limit = PLACES.saturating_sub(u32::try_from(here.len()).unwrap());
        for held in here {
            // Some take longer than a turn.
            if self.seed.below(4) == 0 {
                ops.push(Op { lease: held.lease.clone(), report: Report::Heartbeat });
                self.held.push(held);
                continue;
            }
            match self.outcome(&held) {
                None => drop(self.silent.insert(held.lease.task, held.lease)),
                Some(report) => {
                    let lease = held.lease.clone();
                    said.push((held.lease, report.clone()));
                    ops.push(Op { lease, report });
                }
            }
        }
        let stale = u32::try_from(ops.len()).unwrap()..;
        let stale: Vec<u32> = stale.take(late.len()).collect();
        ops.extend(late);
        let claim = (limit > 0).then(|| Claim::new(vec![MAIL.parse().unwrap()], limit));
        let reply = self.scene.call(p, "w1", LEASE_MS, ops, claim).await;
        assert_eq!(reply.refused, stale, "refused is who has lost a lease, and nobody else");
        for (lease, report) in said {
            self.hear(&lease, &report);
        }
        for held in reply.adopted {
            self.adopt(held);
        }
        for held in reply.claimed {
            self.start(held);
        }
    }

    /// What a worker says of an attempt by chance; nothing if it is never heard of again.
    fn outcome(&mut self, held: &Held) -> Option<Report> {
        let (n, now_ms) = (held.n + 1, self.scene.now_ms());
        let later = now_ms + 300 + i64::try_from(self.seed.below(2_000)).unwrap();
        let attempt = || Text::from(r#"{"a":1,"o":"failed","en":9}"#);
        let write = write(n);
        let again = |again| {
            if held.lease.attempt >= ATTEMPTS_MAX {
                return Report::Bury { write: write.clone(), keep_s: KEEP_S };
            }
            Report::Nack { write: write.clone(), again, attempt: attempt(), keep_s: KEEP_S }
        };
        // An attempt whose worker was lost has failed; whoever took it over says so.
        if self.tasks[&held.lease.task].is_lost {
            return Some(again(Again::Now));
        }
        Some(match self.seed.below(100) {
            0..8 => return None,
            8..16 => Report::Bury { write, keep_s: KEEP_S },
            16..28 => again(Again::Now),
            28..36 => again(Again::At(later)),
            36..41 => Report::Release { write, attempt: None },
            41..46 => Report::Snooze { write, due_ms: later, attempt: attempt() },
            _ => Report::Ack { write, keep_s: KEEP_S },
        })
    }

    /// What was said of an attempt holds.
    fn hear(&mut self, lease: &Lease, report: &Report) {
        let known = self.tasks.get_mut(&lease.task).expect("it was handed out");
        (known.is_held, known.is_lost) = (false, false);
        match report {
            Report::Nack { .. } => {
                known.attempt += 1;
                self.again += 1;
            }
            Report::Ack { .. } => self.ends(lease.task, TaskState::Completed),
            Report::Bury { .. } => self.ends(lease.task, TaskState::Dead),
            _ => {}
        }
    }

    /// A lost lease is another's.
    fn adopt(&mut self, held: Held) {
        let task = held.lease.task;
        let before = self.silent.remove(&task).expect("only who is silent loses a lease");
        self.late.push(Op { lease: before, report: bury(&held) });
        let known = self.tasks.get_mut(&task).expect("it was handed out");
        known.claim = held.lease.claim;
        known.is_lost = true;
        self.lost += 1;
        self.held.push(held);
    }

    /// A task is handed out: it may run, and nobody has it.
    fn start(&mut self, held: Held) {
        let Lease { task, attempt, claim, .. } = held.lease;
        let known = &self.tasks[&task];
        assert_eq!(known.end, None, "{task} has ended");
        assert!(!known.is_held, "{task} is handed out twice");
        assert_eq!(attempt, known.attempt, "{task} is at another attempt");
        assert!(claim > known.claim, "{task}: claim {claim} after {}", known.claim);
        for (of, on_failure) in &known.after {
            let end = self.tasks[of].end;
            let lets = end.is_some_and(|end| shape::lets(end, *on_failure));
            assert!(lets, "{task} runs, and {of}, before it, is {end:?}");
        }
        if let Some(graph) = self.graphs.iter().find(|graph| graph.root == task) {
            let left = graph.nodes.iter().find(|node| self.tasks[*node].end.is_none());
            assert_eq!(left, None, "{task} runs before all of its parts have ended");
        }
        let known = self.tasks.get_mut(&task).expect("looked at above");
        (known.claim, known.is_held) = (claim, true);
        known.starts.push(claim);
        self.held.push(held);
    }

    /// In the store every task has ended as it must, nothing is left that waits or runs, and each flow
    /// has counted its parts.
    async fn assert_ended(&self) {
        for user in &self.users {
            let of_user = self.graphs.iter().filter(|graph| graph.user == *user);
            let tasks: Vec<TaskId> = of_user.clone().flat_map(Graph::all).collect();
            for (task, state) in self.states(user, &tasks).await {
                let should = self.tasks[&task].end.expect("all have ended");
                assert_eq!(state, should.name(), "{task}");
            }
            for graph in of_user {
                let links = self.scene.links(user, graph.root).await.expect("it gathers");
                let gather = links.gather.expect("it gathers");
                let ends = graph.nodes.iter().filter_map(|task| self.tasks[task].end);
                let count = |state| ends.clone().filter(|end| *end == state).count();
                let counted = [gather.completed, gather.cancelled, gather.dead];
                let should = [TaskState::Completed, TaskState::Cancelled, TaskState::Dead];
                assert_eq!(counted.map(|of| of as usize), should.map(count), "{graph:?}");
                assert_eq!(gather.total as usize, graph.nodes.len());
            }
            let counts = self.scene.counts(user).await;
            let open =
                [TaskState::Waiting, TaskState::Queued, TaskState::Scheduled, TaskState::Running];
            assert_eq!(open.map(|state| counts.of(state)), [0; 4], "of {user}");
        }
    }

    /// The states of tasks of one user, by their names.
    async fn states(&self, user: &str, tasks: &[TaskId]) -> Vec<(TaskId, String)> {
        let mut states = Vec::new();
        for some in tasks.chunks(1_000) {
            let query = Query::Tasks { user: user.parse().unwrap(), tasks: some.to_vec() };
            let QueryReply::Tasks(found) = self.scene.read(user, query).await else { panic!() };
            for stored in found {
                let state = stored.state.as_deref().map(serde_json::from_str::<StoredState>);
                let name = state.map_or_else(|| "queued".to_owned(), |state| state.unwrap().s);
                states.push((stored.id, name));
            }
        }
        assert_eq!(states.len(), tasks.len(), "all tasks of {user} are kept");
        states
    }

    /// Where the events of each user stand.
    async fn heads(&self) -> Vec<(u32, u64)> {
        let mut heads = Vec::new();
        for user in &self.users {
            let query = Query::EventsHead { user: user.parse().unwrap() };
            let QueryReply::Events(head) = self.scene.read(user, query).await else { panic!() };
            heads.push((head.epoch, head.seq));
        }
        heads
    }

    /// By the events each task came to its lane once, and once more under each later claim number; and
    /// it ran when it was handed out, and ended once.
    async fn assert_queued_once(&self, heads: &[(u32, u64)]) {
        let mut told = BTreeMap::<(TaskId, TaskState), Vec<u32>>::new();
        for (name, (epoch, seq)) in self.users.iter().zip(heads) {
            let user: UserId = name.parse().unwrap();
            let query = Query::EventsSince { user, epoch: *epoch, seq: *seq };
            let QueryReply::Events(events) = self.scene.read(name, query).await else { panic!() };
            assert!(!events.reset, "more was logged than is kept");
            for (_, entry) in events.entries {
                let entry: Vec<serde_json::Value> = serde_json::from_str(&entry).unwrap();
                for event in entry {
                    let task = event["t"].as_str().unwrap().parse().unwrap();
                    let state = TaskState::from_name(event["s"].as_str().unwrap()).unwrap();
                    let claim = u32::try_from(event["c"].as_u64().unwrap()).unwrap();
                    told.entry((task, state)).or_default().push(claim);
                }
            }
        }
        let of = |task, state| told.get(&(task, state)).cloned().unwrap_or_default();
        for (task, known) in &self.tasks {
            assert_eq!(of(*task, TaskState::Running), known.starts, "{task} ran");
            let queued = of(*task, TaskState::Queued);
            let once: BTreeSet<u32> = queued.iter().copied().collect();
            assert_eq!(once.len(), queued.len(), "{task} was queued twice: {queued:?}");
            assert_eq!(queued, known.starts, "{task} was queued for every start, and for no other");
            let ends = [TaskState::Completed, TaskState::Cancelled, TaskState::Dead];
            let ends: Vec<usize> = ends.map(|end| of(*task, end).len()).into();
            assert_eq!(ends.iter().sum::<usize>(), 1, "{task} has ended once: {ends:?}");
        }
    }
}
