//! A long walk under limits that change: of each user in a queue, of everybody in it, and of one user's
//! own. What runs is counted here by what the store answers, and never by the counters that limit.

mod free;
mod moves;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tasktonic_core::command::{Claim, Control, Op};
use tasktonic_core::limits::{CLAIM_MAX, LEASE_MS_MAX, LEASE_MS_MIN};
use tasktonic_core::reply::Controlled;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::settings::{QueueSettings, UserSettings};
use tasktonic_core::{Lease, Name, TaskId, TaskState, UserId};
use tokio::task::yield_now;

use super::replay::{Replay, seeds};
use super::scene::{Scene, ack};
use super::seed::Seed;
use crate::{Held, Query, QueryReply, SyncReply};

/// Steps of one walk. One is a task that is accepted, started, ended, lost with its worker or cancelled, or
/// a limit that is changed; what the store refuses or has none of is no step.
const STEPS: u64 = 100_000;
/// Calls of one walk. Only one that gets nowhere makes so many.
const CALLS_MAX: u64 = 200_000;
/// The queue of each kind is named like it.
const QUEUES: [&str; 3] = ["mail", "media", "report"];
/// The worker that claims and is never heard of again.
const SILENT: &str = "silent";
/// How long permits may take from one partition to another. Only a failing test waits that long.
const PERMITS_WAIT: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Of one user in one queue, by their numbers.
type Lane = (usize, usize);

struct User {
    name: String,
    id: UserId,
    p: PartitionId,
}

/// What is set, as whoever set it knows it.
#[derive(Default)]
struct Limits {
    /// Over all users of a queue.
    total: [Option<u32>; QUEUES.len()],
    /// Of each user in a queue.
    each: [Option<u32>; QUEUES.len()],
    /// Of one user in a queue, before what holds for each.
    own: BTreeMap<Lane, u32>,
}

impl Limits {
    fn of(&self, lane: Lane) -> Option<u32> {
        self.own.get(&lane).copied().or(self.each[lane.1])
    }
}

/// A task that waits.
#[derive(Clone, Copy)]
struct Waiting {
    lane: Lane,
    /// Whether it waits for a time, which may have come.
    is_delayed: bool,
}

/// A task that runs, or did when its worker was last heard of.
struct Running {
    lane: Lane,
    lease: Lease,
    n: u32,
    is_silent: bool,
    is_asked: bool,
}

/// Steps by their sort, and how often what was started stood at its limit then.
#[derive(Debug, Default)]
struct Steps {
    accepted: u64,
    started: u64,
    ended: u64,
    lost: u64,
    cancelled: u64,
    changed: u64,
    at_limit_of_user: u64,
    at_limit_of_all: u64,
}

impl Steps {
    fn all(&self) -> u64 {
        let Self { accepted, started, ended, lost, cancelled, changed, .. } = self;
        accepted + started + ended + lost + cancelled + changed
    }
}

struct Walk<'a> {
    scene: &'a Scene,
    seed: Seed,
    queues: Vec<Name>,
    users: Vec<User>,
    limits: Limits,
    waiting: BTreeMap<TaskId, Waiting>,
    running: BTreeMap<TaskId, Running>,
    /// What silent workers would say of leases that are another's by now.
    late: Vec<Op>,
    steps: Steps,
}

/// Tasks of several kinds are submitted, started, ended in every way, cancelled and lost with their
/// workers, while limits are set, changed and taken back: no limit is ever exceeded, a change holds at
/// the next claim, and when all has ended every place is free again.
pub async fn no_limit_is_exceeded_in_a_hundred_thousand_steps(scene: Scene) {
    for seed in seeds(41..42) {
        let _replay = Replay(seed);
        let mut walk = Walk::new(&scene, seed);
        let mut calls = 0;
        while walk.steps.all() < STEPS {
            walk.step().await;
            calls += 1;
            assert!(calls < CALLS_MAX, "it gets nowhere: {:?}", walk.steps);
            // A store in this process answers at once: its own loops get their turn all the same.
            yield_now().await;
        }
        let Steps { lost, cancelled, changed, at_limit_of_user, at_limit_of_all, .. } = walk.steps;
        let least = lost.min(cancelled).min(changed).min(at_limit_of_user).min(at_limit_of_all);
        assert!(least >= 100, "there was too little of something: {:?}", walk.steps);
        walk.frees_every_place().await;
        eprintln!("seed {seed}: {calls} calls, {:?}", walk.steps);
    }
}

impl<'a> Walk<'a> {
    fn new(scene: &'a Scene, seed: u64) -> Self {
        let each = (8 / usize::from(scene.store.partitions())).max(2);
        let user = |name: String| {
            let (id, p) = (name.parse().unwrap(), scene.partition(&name));
            User { name, id, p }
        };
        Self {
            scene,
            seed: Seed(seed),
            queues: QUEUES.iter().map(|name| name.parse().unwrap()).collect(),
            users: scene.users_everywhere(each).into_iter().map(user).collect(),
            limits: Limits::default(),
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            late: Vec::new(),
            steps: Steps::default(),
        }
    }

    fn partitions(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.scene.store.partitions()).map(PartitionId)
    }

    fn partition(&mut self) -> PartitionId {
        let p = self.seed.below(u64::from(self.scene.store.partitions()));
        PartitionId(u16::try_from(p).unwrap())
    }

    /// How many run of each lane.
    fn runs(&self) -> BTreeMap<Lane, u32> {
        let mut runs = BTreeMap::new();
        for running in self.running.values() {
            *runs.entry(running.lane).or_default() += 1;
        }
        runs
    }

    /// How many of a queue run.
    fn runs_in(&self, queue: usize) -> u32 {
        in_queue(&self.runs(), queue)
    }

    /// One call of `worker`, which says how attempts ended and claims up to so many tasks.
    async fn call(
        &mut self,
        p: PartitionId,
        worker: &str,
        ends: Vec<moves::End>,
        limit: u32,
    ) -> SyncReply {
        let mut ops: Vec<Op> = ends.iter().map(|end| end.op.clone()).collect();
        let held = u32::try_from(ops.len()).unwrap();
        let of_p = |op: &mut Op| self.scene.partition(op.lease.user.as_str()) == p;
        ops.extend(self.late.extract_if(.., of_p).take(16));
        let stale: Vec<u32> = (held..u32::try_from(ops.len()).unwrap()).collect();
        let mut queues = self.queues.clone();
        queues.rotate_left(self.seed.pick(QUEUES.len()));
        let claim = (limit > 0).then(|| Claim::new(queues, limit));
        let is_silent = worker == SILENT;
        let lease_ms = if is_silent { LEASE_MS_MIN } else { LEASE_MS_MAX };
        let reply = self.scene.call(p, worker, lease_ms, ops, claim).await;
        assert_eq!(reply.refused, stale, "refused is who has lost a lease, and nobody else");
        for end in ends {
            self.running.remove(&end.task);
            self.waiting.extend(end.then.map(|waits| (end.task, waits)));
            self.steps.ended += 1;
        }
        for lost in &reply.adopted {
            self.adopt(lost, is_silent);
        }
        for held in &reply.claimed {
            self.start(held, is_silent);
        }
        self.assert_within(&reply.claimed);
        reply
    }

    /// A lost lease is the caller's. Its task goes on running as far as anybody knows.
    fn adopt(&mut self, held: &Held, is_silent: bool) {
        let running = self.running.get_mut(&held.lease.task).expect("it runs");
        assert!(running.is_silent, "{} was taken from who is at work", held.lease);
        let before = std::mem::replace(&mut running.lease, held.lease.clone());
        self.late.push(Op { lease: before, report: ack(99) });
        (running.n, running.is_silent) = (held.n, is_silent);
        self.steps.lost += 1;
    }

    fn start(&mut self, held: &Held, is_silent: bool) {
        let (lease, n) = (held.lease.clone(), held.n);
        let lane = self.waiting.remove(&lease.task).expect("it waits, and is nobody's").lane;
        assert_eq!((&lease.user, &lease.queue), (&self.users[lane.0].id, &self.queues[lane.1]));
        let running = Running { lane, lease, n, is_silent, is_asked: false };
        self.running.insert(held.lease.task, running);
        self.steps.started += 1;
    }

    /// Where anything was started, no more run than may. What ran when a limit was lowered goes on, so
    /// nothing is started above it.
    fn assert_within(&mut self, claimed: &[Held]) {
        let runs = self.runs();
        let totals = [0, 1, 2].map(|queue| in_queue(&runs, queue));
        for held in claimed {
            let lane = self.running[&held.lease.task].lane;
            let Lease { user, queue, .. } = &held.lease;
            if let Some(max) = self.limits.of(lane) {
                let running = runs[&lane];
                assert!(running <= max, "{running} tasks of {user} run in {queue}, {max} may");
                self.steps.at_limit_of_user += u64::from(running == max);
            }
            if let Some(max) = self.limits.total[lane.1] {
                let running = totals[lane.1];
                assert!(running <= max, "{running} tasks run in {queue} over all users, {max} may");
                self.steps.at_limit_of_all += u64::from(running == max);
            }
        }
    }

    /// How many more tasks of the lanes that `is_meant` limits let start in a queue, of those that surely
    /// wait for nothing else.
    fn room(&self, queue: usize, is_meant: impl Fn(&User) -> bool) -> u32 {
        let mut waiting = BTreeMap::<Lane, u32>::new();
        let of_queue = |waits: &&Waiting| waits.lane.1 == queue && !waits.is_delayed;
        for waits in self.waiting.values().filter(of_queue) {
            *waiting.entry(waits.lane).or_default() += 1;
        }
        let runs = self.runs();
        let mut room = 0;
        for (lane, count) in waiting.into_iter().filter(|(lane, _)| is_meant(&self.users[lane.0])) {
            let running = runs.get(&lane).copied().unwrap_or(0);
            room +=
                count.min(self.limits.of(lane).map_or(count, |max| max.saturating_sub(running)));
        }
        let in_all = |max: u32| max.saturating_sub(in_queue(&runs, queue));
        room.min(self.limits.total[queue].map_or(room, in_all))
    }

    /// What limits let start in a partition starts with its next claim.
    async fn starts_at_once(&mut self) {
        let is_alone = self.scene.store.partitions() == 1;
        for p in self.partitions() {
            loop {
                // Of a limit over all users a partition has what it was told; see `starts_in_time`.
                let counts = |queue: &usize| is_alone || self.limits.total[*queue].is_none();
                let queues = (0..QUEUES.len()).filter(counts);
                let room: u32 = queues.map(|queue| self.room(queue, |user| user.p == p)).sum();
                let reply = self.call(p, "w1", Vec::new(), CLAIM_MAX).await;
                let started = u32::try_from(reply.claimed.len()).unwrap();
                let has_all = started >= room.min(CLAIM_MAX);
                assert!(has_all || reply.more > 0, "{started} have started, {room} may: {p:?}");
                if reply.more == 0 {
                    break;
                }
            }
        }
    }

    /// What limits let start in a queue starts, in whichever partition it waits.
    async fn starts_in_time(&mut self, queue: usize) {
        let began = Instant::now();
        loop {
            let room = self.room(queue, |_| true);
            if room == 0 {
                return;
            }
            assert!(began.elapsed() < PERMITS_WAIT, "{room} more may start in {}", QUEUES[queue]);
            for p in self.partitions() {
                self.call(p, "w1", Vec::new(), CLAIM_MAX).await;
            }
            self.scene.pass(20);
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Says to every partition what holds in all queues.
    async fn set_queues(&self) {
        let of = |queue: usize| QueueSettings {
            running_max: self.limits.each[queue],
            running_total_max: self.limits.total[queue],
            ..QueueSettings::default()
        };
        let queues: Vec<_> =
            self.queues.iter().enumerate().map(|(at, name)| (name.clone(), of(at))).collect();
        let version = self.scene.number();
        let set = |p| {
            let control = Control::Queues { version, queues: queues.clone() };
            async move { self.scene.store.control(p, control).await.unwrap() }
        };
        for answers in futures_util::future::join_all(self.partitions().map(set)).await {
            assert_eq!(answers, [Controlled::Done]);
        }
    }

    async fn set_user(&self, lane: Lane) {
        let running_max = self.limits.own.get(&lane).copied();
        let settings = UserSettings { running_max, ..UserSettings::default() };
        let user = &self.users[lane.0];
        let queue = self.queues[lane.1].clone();
        let control = Control::User { queue, user: user.id.clone(), settings };
        assert_eq!(self.scene.control(&user.name, control).await, Controlled::Done);
    }

    /// The counters that limit agree with what was handed out.
    async fn assert_counted(&self, lane: Lane) {
        let (user, queue) = (&self.users[lane.0], &self.queues[lane.1]);
        let runs = self.runs();
        if self.limits.of(lane).is_some() {
            let query = Query::Facts { user: user.id.clone(), queue: queue.clone() };
            let QueryReply::Facts(facts) = self.scene.read(&user.name, query).await else {
                panic!()
            };
            let running = runs.get(&lane).copied().unwrap_or(0);
            assert_eq!(facts.running, running, "counted of {} in {queue}", user.name);
        }
        if self.limits.total[lane.1].is_some() {
            let mut running = 0;
            for p in self.partitions() {
                let query = Query::Turns { queues: vec![queue.clone()] };
                let reply = self.scene.store.read(p, query).await.unwrap();
                let QueryReply::Turns(turns) = reply else { panic!() };
                running += turns[0].running.expect("it is counted where something limits it");
            }
            assert_eq!(running, self.runs_in(lane.1), "counted in {queue} over all users");
        }
        let running: u32 =
            runs.iter().filter(|(of, _)| of.0 == lane.0).map(|(_, count)| *count).sum();
        let counted = self.scene.counts(&user.name).await.of(TaskState::Running);
        assert_eq!(counted, u64::from(running), "tasks of {} that run", user.name);
    }
}

/// How many of these run in a queue.
fn in_queue(runs: &BTreeMap<Lane, u32>, queue: usize) -> u32 {
    runs.iter().filter(|(lane, _)| lane.1 == queue).map(|(_, count)| count).sum()
}
