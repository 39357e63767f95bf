//! A batch of ten thousand parts that fail, come back and lose their workers, watched at every step.

use std::collections::{BTreeMap, BTreeSet};

use tasktonic_core::command::{Again, Claim, Node, Op, Report};
use tasktonic_core::limits::{CLAIM_MAX, CONTROL_TASKS_MAX};
use tasktonic_core::reply::Controlled;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Lease, TaskId, TaskState};

use super::replay::{Replay, seeds};
use super::scene::{MAIL, Scene, ack, nack, write};
use super::seed::Seed;
use crate::{Held, Query, QueryReply, SyncReply};

const USER: &str = "ana";
/// Parts of the batch, and how many are added in one call.
const PARTS: usize = 10_000;
const CHUNK: usize = 125;
const _: () = assert!(CHUNK <= CONTROL_TASKS_MAX && PARTS.is_multiple_of(CHUNK));
/// Attempts that a task may have.
const ATTEMPTS_MAX: u32 = 3;
/// A lease that its worker never renews ends after this.
const LEASE_MS: u32 = 5_000;
/// What is reported in one call, at most, before leases that were lost are added.
const OPS_MAX: usize = 100;
/// How long a turn of the worker takes.
const TURN_MS: i64 = 300;
/// How long what has ended is kept: longer than all of it takes, so that it can be counted.
const KEEP_S: u32 = 86_400;
/// Turns in which all must end.
const TURNS_MAX: u32 = 2_000;

struct Walk<'a> {
    scene: &'a Scene,
    p: PartitionId,
    seed: Seed,
    batch: TaskId,
    added: usize,
    is_sealed: bool,
    /// What the worker has while it speaks; leases that nobody will say anything of; and those that the
    /// worker took over.
    held: Vec<Held>,
    silent: BTreeMap<TaskId, Lease>,
    lost: BTreeSet<TaskId>,
    late: Vec<Op>,
    completed: BTreeSet<TaskId>,
    dead: BTreeSet<TaskId>,
    /// The batch itself, once it was handed out, and all its claims.
    callback: Option<Held>,
    callbacks: Vec<u64>,
    /// Where the user's events were read to, the bar as they told it last, and under which claims they
    /// told that the batch was queued.
    read_to: (u32, u64),
    bar: (u64, u64),
    queued: Vec<u64>,
    crashes: usize,
    failures: usize,
}

/// Ten thousand parts, of which some lose their workers, some fail and are attempted again, and some fail
/// for good: what the batch counts is never more than has ended, never less than before and exact in the
/// end; then it calls back once, and once more for the callback's own worker that is lost.
pub async fn ten_thousand_parts_that_fail_and_crash_are_counted_and_called_back_once(scene: Scene) {
    for seed in seeds(36..37) {
        let _replay = Replay(seed);
        let before = scene.counts(USER).await.all();
        let mut walk = Walk::new(&scene, seed).await;
        let mut turns = 0;
        while walk.left() > 0 {
            turns += 1;
            assert!(turns < TURNS_MAX, "{} of {PARTS} parts never end", walk.left());
            if walk.added < PARTS && walk.seed.below(4) > 0 {
                walk.add().await;
            } else if walk.added == PARTS && !walk.is_sealed {
                walk.seal().await;
            }
            walk.turn().await;
            scene.pass(TURN_MS);
        }
        scene.rest().await;
        walk.look().await;
        walk.is_called_back().await;
        let Walk { completed, dead, crashes, failures, .. } = &walk;
        let (completed, dead) = (completed.len(), dead.len());
        eprintln!(
            "seed {seed}: {completed} completed, {dead} dead, {crashes} lost, {failures} failed"
        );
        assert!(dead > 100 && *crashes > 100 && *failures > 100, "too little went wrong");
        assert_eq!(scene.counts(USER).await.all() - before, PARTS as u64 + 1, "and no other task");
    }
}

impl<'a> Walk<'a> {
    async fn new(scene: &'a Scene, seed: u64) -> Self {
        let mut batch = scene.batch(USER, true);
        batch.new.lane_max = u32::MAX;
        let id = batch.new.task;
        let query = Query::EventsHead { user: USER.parse().unwrap() };
        let QueryReply::Events(head) = scene.read(USER, query).await else { panic!() };
        assert_eq!(scene.flow(USER, vec![batch]).await, [Controlled::Done]);
        Self {
            scene,
            p: scene.partition(USER),
            seed: Seed(seed),
            batch: id,
            added: 0,
            is_sealed: false,
            held: Vec::new(),
            silent: BTreeMap::new(),
            lost: BTreeSet::new(),
            late: Vec::new(),
            completed: BTreeSet::new(),
            dead: BTreeSet::new(),
            callback: None,
            callbacks: Vec::new(),
            read_to: (head.epoch, head.seq),
            bar: (0, 0),
            queued: Vec::new(),
            crashes: 0,
            failures: 0,
        }
    }

    /// Parts that have not ended.
    fn left(&self) -> usize {
        PARTS - self.completed.len() - self.dead.len()
    }

    async fn add(&mut self) {
        let part = |_| {
            let mut part = self.scene.part(USER, self.batch, &[]);
            part.new.lane_max = u32::MAX;
            part
        };
        let parts: Vec<Node> = (0..CHUNK).map(part).collect();
        assert_eq!(self.scene.flow(USER, parts).await, [Controlled::Done; CHUNK]);
        self.added += CHUNK;
    }

    async fn seal(&mut self) {
        assert_eq!(self.scene.seal(USER, self.batch).await, Controlled::Done);
        self.is_sealed = true;
    }

    /// The worker says what became of what it has, takes more, and somebody looks at the bar.
    async fn turn(&mut self) {
        let some = self.held.len().min(OPS_MAX);
        let (mut ops, mut ends) = (Vec::new(), Vec::new());
        for held in self.held.drain(..some).collect::<Vec<_>>() {
            match self.outcome(&held) {
                None => drop(self.silent.insert(held.lease.task, held.lease)),
                Some(report) => {
                    ends.push((held.lease.task, report.clone()));
                    ops.push(Op { lease: held.lease, report });
                }
            }
        }
        let late = self.late.len().min(16);
        let stale = u32::try_from(ops.len()).unwrap()..;
        let stale: Vec<u32> = stale.take(late).collect();
        ops.extend(self.late.drain(..late));
        let reply = self.sync(ops, CLAIM_MAX.saturating_sub(self.held.len() as u32)).await;
        assert_eq!(reply.refused, stale, "refused is who has lost a lease, and nobody else");
        for (task, report) in ends {
            self.lost.remove(&task);
            let is_first = match report {
                Report::Ack { .. } => self.completed.insert(task),
                Report::Bury { .. } => self.dead.insert(task),
                _ => true,
            };
            assert!(is_first, "{task} ends twice");
        }
        for held in reply.adopted {
            let before = self.silent.remove(&held.lease.task).expect("only the silent lose leases");
            self.late.push(Op { lease: before, report: ack(99) });
            self.lost.insert(held.lease.task);
            self.crashes += 1;
            self.held.push(held);
        }
        for held in reply.claimed {
            let task = held.lease.task;
            if task == self.batch {
                // The call that tells the last end may claim what follows it.
                assert_eq!(self.left(), 0, "it calls back before all parts have ended");
                assert!(self.callback.replace(held).is_none(), "it calls back twice");
                continue;
            }
            let has_ended = self.completed.contains(&task) || self.dead.contains(&task);
            assert!(!has_ended, "{task} has ended and is handed out");
            self.held.push(held);
        }
        self.look().await;
    }

    async fn sync(&self, ops: Vec<Op>, limit: u32) -> SyncReply {
        let claim = (limit > 0).then(|| Claim::new(vec![MAIL.parse().unwrap()], limit));
        self.scene.call(self.p, "w1", LEASE_MS, ops, claim).await
    }

    /// What becomes of an attempt by chance; nothing if its worker is never heard of again.
    fn outcome(&mut self, held: &Held) -> Option<Report> {
        let n = held.n + 1;
        let later = self.scene.now_ms() + 300 + i64::try_from(self.seed.below(3_000)).unwrap();
        let is_last = held.lease.attempt >= ATTEMPTS_MAX;
        let sort = self.seed.below(100);
        // Whoever took a lost attempt over says that it has failed.
        if self.lost.contains(&held.lease.task) {
            return Some(if is_last { buried(n) } else { nack(n, Again::Now) });
        }
        Some(match sort {
            0..6 => return None,
            6..10 => buried(n),
            10..22 if is_last => buried(n),
            10..22 => {
                self.failures += 1;
                nack(n, if sort < 16 { Again::Now } else { Again::At(later) })
            }
            22..25 => Report::Release { write: write(n), attempt: None },
            _ => done(n),
        })
    }

    /// Looks at the bar: as the ties of the batch have it, and as it was told since the last look.
    async fn look(&mut self) {
        let links = self.scene.links(USER, self.batch).await.expect("it gathers");
        let gather = links.gather.expect("it gathers");
        assert_eq!(gather.total as usize, self.added);
        assert!(gather.completed as usize <= self.completed.len(), "{gather:?}");
        assert!(gather.dead as usize <= self.dead.len(), "{gather:?}");
        assert_eq!(gather.cancelled, 0);
        let (epoch, seq) = self.read_to;
        let query = Query::EventsSince { user: USER.parse().unwrap(), epoch, seq };
        let QueryReply::Events(events) = self.scene.read(USER, query).await else { panic!() };
        assert!(!events.reset, "more was logged between two looks than is kept");
        for (seq, entry) in events.entries {
            self.read_to.1 = seq;
            let entry: Vec<serde_json::Value> = serde_json::from_str(&entry).unwrap();
            let batch = self.batch.to_string();
            for event in entry.iter().filter(|event| event["t"] == batch.as_str()) {
                if event["s"] == TaskState::Queued.name() {
                    self.queued.push(event["c"].as_u64().expect("a claim number"));
                }
                let of = |name: &str| event["p"][name].as_u64();
                let (Some(done), Some(total)) = (of("done"), of("total")) else { continue };
                let goes_on = done >= self.bar.0 && total >= self.bar.1 && done <= total;
                assert!(goes_on, "the bar went from {:?} to {done} of {total}", self.bar);
                self.bar = (done, total);
            }
        }
        let told = (u64::from(gather.ended()), u64::from(gather.total));
        assert_eq!(self.bar, told, "the bar that is told and the one that is counted");
    }

    /// All parts have ended: the bar is exact, and there is one callback, whatever becomes of its worker.
    async fn is_called_back(&mut self) {
        assert_eq!(self.bar, (PARTS as u64, PARTS as u64));
        let links = self.scene.links(USER, self.batch).await.expect("it gathers");
        let gather = links.gather.expect("it gathers");
        let counted = (gather.completed as usize, gather.dead as usize);
        assert_eq!(counted, (self.completed.len(), self.dead.len()));
        if !self.is_sealed {
            self.seal().await;
        }
        let first = self.called_back().await;
        let lost = self.scene.outlive("w2").await;
        let [held] = &lost[..] else { panic!("one callback was lost with its worker: {lost:?}") };
        assert_eq!(held.lease.task, self.batch);
        assert!(!self.scene.report(&first.lease, ack(9)).await, "its first worker is too late");
        assert!(self.scene.report(&held.lease, nack(held.n + 1, Again::Now)).await);
        let again = self.called_back().await;
        assert!(self.scene.report(&again.lease, done(again.n + 1)).await);
        self.scene.rest().await;
        assert_eq!(self.sync(Vec::new(), CLAIM_MAX).await.claimed, Vec::new());
        assert_eq!(self.scene.state(USER, self.batch).await, TaskState::Completed.name());
        self.look().await;
        assert_eq!(self.queued, self.callbacks, "it was queued for each start, and for no other");
    }

    /// The callback, which is handed out once, with nothing else.
    async fn called_back(&mut self) -> Held {
        let mut held: Vec<Held> = self.callback.take().into_iter().collect();
        for _ in 0..2 {
            held.extend(self.sync(Vec::new(), CLAIM_MAX).await.claimed);
        }
        let [held] = &held[..] else { panic!("one callback: {held:?}") };
        assert_eq!(held.lease.task, self.batch);
        self.callbacks.push(u64::from(held.lease.claim));
        held.clone()
    }
}

fn done(n: u32) -> Report {
    Report::Ack { write: write(n), keep_s: KEEP_S }
}

fn buried(n: u32) -> Report {
    Report::Bury { write: write(n), keep_s: KEEP_S }
}
