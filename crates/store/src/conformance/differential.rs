//! A random walk on a store and on the model at once: equal answers and equal dumps after every
//! step, restarts included.

mod controls;
mod flows;
mod keys;
mod queries;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use tasktonic_core::command::{
    Again, Claim, Control, Expiry, NewSerial, NewTask, Op, Report, Submit, Sync, Write,
};
use tasktonic_core::limits::ADOPT_MAX;
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{Lease, Priority, TaskId, Text, UserId};

use super::replay;
use super::seed::Seed;
use crate::clock::{Clock, ManualClock};
use crate::model::ModelStore;
use crate::{Query, QueryReply, Store, SyncReply};

/// A store under differential test.
#[async_trait]
pub trait Subject: Send {
    /// The store as it is now.
    fn store(&self) -> Arc<dyn Store>;
    /// Whether it has restarts that [`ModelStore::restart`] describes. A store in another process
    /// has none: that process keeps what it knows.
    fn restarts(&self) -> bool {
        true
    }
    /// Ends it, cleanly or as a crash would, and starts it again on what is left.
    async fn restart(&mut self, crash: bool);
    /// The whole state in the form of [`ModelStore::dump`].
    async fn dump(&self) -> String;
}

/// The walk `seed` of `steps` steps, on one partition, with all there is.
///
/// # Errors
/// The first difference, with the command that shows it again.
pub async fn differential(
    seed: u64,
    steps: u32,
    clock: Clock,
    hand: ManualClock,
    subject: &mut dyn Subject,
) -> Result<(), String> {
    walk(Of::All, seed, steps, clock, hand, subject).await
}

/// The same, mostly of tasks that are submitted, claimed and completed, and now and then with what else
/// there is: where a store has a shorter way for such calls, it takes it and leaves it again.
///
/// # Errors
/// The first difference, with the command that shows it again.
pub async fn plain_differential(
    seed: u64,
    steps: u32,
    clock: Clock,
    hand: ManualClock,
    subject: &mut dyn Subject,
) -> Result<(), String> {
    walk(Of::Plain, seed, steps, clock, hand, subject).await
}

/// The walk over so many partitions, each with users of its own, which take their steps in any order;
/// with all there is but limits and rates over all users of a queue: a store that shares these out
/// between partitions lets a task start later than the model does.
///
/// # Errors
/// The first difference, with the command that shows it again.
pub async fn differential_apart(
    partitions: u16,
    seed: u64,
    steps: u32,
    clock: Clock,
    hand: ManualClock,
    subject: &mut dyn Subject,
) -> Result<(), String> {
    walk(Of::Apart(partitions), seed, steps, clock, hand, subject).await
}

async fn walk(
    of: Of,
    seed: u64,
    steps: u32,
    clock: Clock,
    hand: ManualClock,
    subject: &mut dyn Subject,
) -> Result<(), String> {
    let partitions = of.partitions();
    let model = Arc::new(ModelStore::with_partitions(clock.clone(), partitions));
    let all = (0..partitions).map(PartitionId);
    let mut walks: Vec<Walk> = all.map(|p| Walk::new(of, p, seed, clock.clone())).collect();
    // Whose step it is. With one partition it is always the same one's.
    let mut turns = Seed(!seed);
    for number in 0..steps {
        let at = turns.pick(walks.len());
        let walk = &mut walks[at];
        let (p, step) = (walk.p, walk.next(&hand));
        let differs = |what: &str, model: &dyn Debug, subject: &dyn Debug| {
            Err(format!(
                "after {number} steps, {step:?}: {what} differs\n  model:   {model:?}\n  \
                 subject: {subject:?}\nagain: {}",
                replay::command(seed)
            ))
        };
        let store = subject.store();
        match step.clone() {
            Step::Submit(batch) => {
                let (a, b) = (model.submit(p, batch.clone()).await, store.submit(p, batch).await);
                if a != b {
                    return differs("the answer to a submit", &a, &b);
                }
            }
            Step::Sync(sync) => {
                let (a, b) = (model.sync(p, sync.clone()).await, store.sync(p, sync).await);
                if a != b {
                    return differs("the answer to a sync", &a, &b);
                }
                walk.learn(&a.map_err(|e| e.to_string())?);
            }
            Step::Control(control) => {
                let (a, b) =
                    (model.control(p, control.clone()).await, store.control(p, control).await);
                if a != b {
                    return differs("the answer to a control command", &a, &b);
                }
            }
            Step::Read(query) => {
                let (a, b) = (model.read(p, query.clone()).await, store.read(p, query).await);
                let covers = match (&a, &b) {
                    (
                        Ok(QueryReply::Position(Some(exact))),
                        Ok(QueryReply::Position(Some(answer))),
                    ) => answer.covers(exact),
                    _ => false,
                };
                let (a, b) = (format!("{a:?}"), format!("{b:?}"));
                if !covers && a != b {
                    return differs("the answer to a question", &a, &b);
                }
            }
            Step::Pass => {}
            Step::Restart { .. } if !subject.restarts() => {}
            Step::Restart { crash } => {
                drop(store);
                model.restart();
                subject.restart(crash).await;
            }
        }
        let (a, b) = (model.dump(), subject.dump().await);
        if a != b {
            let line = a.lines().zip(b.lines()).find(|(a, b)| a != b);
            return match line {
                Some((a, b)) => differs("the dump", &a, &b),
                None => differs("the length of the dump", &a.len(), &b.len()),
            };
        }
        let runs = |line: &&str| line.starts_with("task ") && line.contains(" running c");
        let running = a.lines().filter(runs).count();
        walks.iter_mut().for_each(|walk| walk.running = running);
        let broken = model.check();
        if !broken.is_empty() {
            return differs("an invariant", &broken, &"");
        }
    }
    Ok(())
}

#[derive(Debug, Clone)]
enum Step {
    Submit(Submit),
    Sync(Sync),
    Control(Control),
    Read(Query),
    Pass,
    Restart { crash: bool },
}

/// What a walk is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    All,
    Plain,
    /// Of partitions that share nothing.
    Apart(u16),
}

impl Of {
    fn partitions(self) -> u16 {
        match self {
            Self::All | Self::Plain => 1,
            Self::Apart(partitions) => partitions,
        }
    }
}

/// How many times rarer a plain walk does what is not plain; and what a store never forgets, such as
/// that there were priorities.
const RARER: u64 = 10;
const RAREST: u64 = 400;

struct Walk {
    of: Of,
    /// The partition in which it walks, and users who belong there.
    p: PartitionId,
    users: Vec<UserId>,
    seed: Seed,
    clock: Clock,
    tasks: Vec<(UserId, TaskId)>,
    /// Keys that were submitted, each with the task that was to have it.
    keyed: Vec<(UserId, TaskId, Text)>,
    queues: HashMap<TaskId, tasktonic_core::Name>,
    flows: Vec<(UserId, TaskId)>,
    leases: Vec<(Lease, u32)>,
    /// The version that a schedule may have.
    schedules: HashMap<(UserId, tasktonic_core::Name), u64>,
    calls: u64,
    /// Tasks that run. Where more leases run out at once than one turn adopts, which of them are
    /// left to the next turn differs between stores.
    running: usize,
    /// The last version of what is set of queues.
    version: u64,
}

const USERS: [&str; 4] = ["ana", "ben", "cleo", "~AAAAAAAAAAAAAAAAAAAAAA"];
const QUEUES: [&str; 3] = ["mail", "media", "a.b-c_9+eu+gpu"];

/// Users of partition `p`, as different as those of a walk on one partition.
fn users(p: PartitionId, partitions: u16) -> Vec<UserId> {
    if partitions == 1 {
        return USERS.iter().map(|user| user.parse().expect("a user id")).collect();
    }
    let user = |number: u32| match number % 4 {
        3 => UserId::encode(&format!("user {number}")),
        _ => UserId::encode(&format!("user-{number}")),
    };
    let here = (0..).map(user).filter(|user| partition_of(user, partitions) == p);
    here.take(USERS.len()).collect()
}

impl Walk {
    fn new(of: Of, p: PartitionId, seed: u64, clock: Clock) -> Self {
        Self {
            of,
            p,
            users: users(p, of.partitions()),
            // Other numbers in each partition; in the first those of a walk on it alone.
            seed: Seed(seed ^ (u64::from(p.0) << 32)),
            clock,
            tasks: Vec::new(),
            keyed: Vec::new(),
            queues: HashMap::new(),
            flows: Vec::new(),
            leases: Vec::new(),
            schedules: HashMap::new(),
            calls: 0,
            running: 0,
            version: 0,
        }
    }

    fn next(&mut self, hand: &ManualClock) -> Step {
        if self.of == Of::Plain {
            return self.next_plain(hand);
        }
        match self.seed.below(100) {
            0..30 => Step::Submit(self.submit()),
            30..70 => Step::Sync(self.sync()),
            70..81 => Step::Control(self.control()),
            81..88 => Step::Read(self.query()),
            88..97 => {
                let ms = [1, 50, 250, 1_000, 2_500, 11_000, 70_000, -500][self.seed.pick(8)];
                hand.advance(ms);
                Step::Pass
            }
            97 => Step::Restart { crash: true },
            98 => Step::Restart { crash: false },
            _ => Step::Pass,
        }
    }

    fn next_plain(&mut self, hand: &ManualClock) -> Step {
        match self.seed.below(100) {
            0..35 => Step::Submit(self.submit()),
            35..80 => Step::Sync(self.sync()),
            80..92 => {
                // Less than what makes maintenance due, nearly always.
                hand.advance([1, 2, 20, 300][self.seed.pick(4)]);
                Step::Pass
            }
            92..96 if !self.tasks.is_empty() => {
                // What waits leaves a dead reference in its lane.
                let late = self.tasks.len() - 1 - self.seed.pick(self.tasks.len().min(8));
                let (user, task) = self.tasks[late].clone();
                let (at_ms, body) = (self.clock.now_ms(), Text::from(r#""why":"asked""#));
                let keep_s = [0, 60][self.seed.pick(2)];
                Step::Control(Control::Cancel { at_ms, user, tasks: vec![task], body, keep_s })
            }
            96 | 97 => self.purge_keyed().map_or(Step::Pass, Step::Control),
            98 => Step::Read(self.query()),
            _ => match self.seed.below(8) {
                0 => Step::Control(self.control()),
                1 | 2 => Step::Control(Control::Erase { user: self.user() }),
                _ => Step::Restart { crash: true },
            },
        }
    }

    /// Whether this is one of so many times, more in a plain walk.
    fn one_in(&mut self, times: u64) -> bool {
        let times = if self.of == Of::Plain { times * RARER } else { times };
        self.seed.below(times) == 0
    }

    fn one_in_and_stays(&mut self, times: u64) -> bool {
        let times = if self.of == Of::Plain { times * RAREST } else { times };
        self.seed.below(times) == 0
    }

    fn learn(&mut self, reply: &SyncReply) {
        for held in reply.claimed.iter().chain(&reply.adopted) {
            self.leases.push((held.lease.clone(), held.n));
        }
        if self.leases.len() > 60 {
            self.leases.drain(..20);
        }
    }

    fn user(&mut self) -> UserId {
        self.users[self.seed.pick(self.users.len())].clone()
    }

    fn queue(&mut self) -> tasktonic_core::Name {
        QUEUES[self.seed.pick(QUEUES.len())].parse().expect("a queue name")
    }

    fn task_of(&mut self) -> (UserId, TaskId) {
        if self.tasks.is_empty() || self.seed.below(20) == 0 {
            return (self.user(), TaskId::new(7, self.seed.next()));
        }
        let at = self.seed.pick(self.tasks.len());
        self.tasks[at].clone()
    }

    fn submit(&mut self) -> Submit {
        let now_ms = self.clock.now_ms();
        let count = 1 + self.seed.below(5);
        let mut tasks = Vec::new();
        for _ in 0..count {
            let (user, queue) = (self.user(), self.queue());
            let task = TaskId::new(now_ms, self.seed.next());
            self.tasks.push((user.clone(), task));
            self.queues.insert(task, queue.clone());
            let due_ms = self
                .one_in(4)
                .then(|| now_ms + i64::try_from(self.seed.below(5_000)).unwrap_or(0) - 500);
            let idempotency = self.key(&user, &tasks);
            if let Some(of) = &idempotency {
                self.keyed.push((user.clone(), task, of.key.clone()));
            }
            let expires = self.one_in(4).then(|| Expiry {
                at_ms: now_ms + i64::try_from(self.seed.below(6_000)).unwrap_or(0) - 200,
                keep_s: [0, 1, 60][self.seed.pick(3)],
            });
            // Texts that look like the engine's own must pass through untouched.
            let descriptor = format!(
                r#"{{"v":1,"k":"{queue}","q":"{queue}","at":{now_ms},"max":3,"tags":["{}"],"p":{{"s":"\"s\":\"cancelled\"|{{}}","n":{}}}}}"#,
                self.tag(),
                self.seed.next()
            );
            tasks.push(NewTask {
                due_ms,
                event: Text::from(r#""k":"mail""#),
                expires,
                idempotency,
                serial: self.serial(),
                priority: self.priority(),
                lane_max: 12,
                bytes_max: self.bytes_max(),
                ..NewTask::new(user, task, queue, descriptor)
            });
        }
        if self.seed.below(10) == 0 {
            tasks.push(tasks[0].clone());
        }
        Submit { created_ms: now_ms, tasks }
    }

    /// The most bytes of a user, often so few that not all fits.
    fn bytes_max(&mut self) -> u64 {
        if self.seed.below(4) == 0 { 1_000 + self.seed.below(3_000) } else { u64::MAX }
    }

    fn priority(&mut self) -> Priority {
        if self.of == Of::Plain && !self.one_in_and_stays(1) {
            return Priority::Normal;
        }
        [Priority::Normal, Priority::Normal, Priority::High, Priority::Low][self.seed.pick(4)]
    }

    fn serial(&mut self) -> Option<NewSerial> {
        self.one_in_and_stays(3).then(|| NewSerial {
            key: u128::from(self.seed.below(3)),
            stops_running: self.seed.below(3) == 0,
        })
    }

    fn sync(&mut self) -> Sync {
        self.calls += 1;
        let mut ops = Vec::new();
        for _ in 0..self.seed.below(4) {
            if self.leases.is_empty() {
                break;
            }
            let at = self.seed.pick(self.leases.len());
            self.leases[at].1 += 1;
            let (lease, n) = self.leases[at].clone();
            let report = self.report(n);
            // Now and then what has ended is said again.
            let ends = matches!(report, Report::Ack { .. });
            if self.of == Of::Plain && ends && self.seed.below(8) > 0 {
                self.leases.swap_remove(at);
            }
            ops.push(Op { lease, report });
        }
        let queues: Vec<_> = (0..=self.seed.below(2)).map(|_| self.queue()).collect();
        let limit = u32::try_from(self.seed.below(6)).unwrap_or(0);
        let places = self.places(queues.len());
        let claims = self.seed.below(3) > 0 && self.running + 6 <= ADOPT_MAX;
        let woken = if self.seed.below(5) == 0 { vec![self.queue()] } else { Vec::new() };
        let worker = ["w-1", "w-2", "in-3"][self.seed.pick(3)];
        // A shorter lease takes nothing of a longer one.
        let is_short = self.of == Of::Plain && self.seed.below(4) == 0;
        let lease_ms = if is_short { 6_000 } else { 10_000 };
        Sync {
            worker: worker.parse().expect("a worker id"),
            call: self.calls,
            lease_ms,
            ops,
            claim: claims.then_some(Claim { queues, limit, places }),
            woken,
            park: self.seed.below(2) == 0,
        }
    }

    /// What tasks of so many queues take of a worker; often one place each.
    fn places(&mut self, queues: usize) -> Vec<u32> {
        if self.seed.below(3) > 0 {
            return Vec::new();
        }
        (0..queues).map(|_| 1 + u32::try_from(self.seed.below(4)).unwrap_or(0)).collect()
    }

    fn report(&mut self, n: u32) -> Report {
        // Who counts again from the beginning is not believed.
        let n = if self.of == Of::Plain && self.seed.below(8) == 0 { 1 } else { n };
        let broke = [r#"\"c\":9}"#, "It broke", "zz \u{c9}"][self.seed.pick(3)];
        let body =
            format!(r#""st":{},"err":{{"code":"e","message":"{}"}}"#, self.seed.next() % 99, broke);
        let write = Write { n, body: body.into(), event: None };
        let attempt = Text::from(format!(r#"{{"a":1,"o":"failed","en":{n}}}"#));
        let now_ms = self.clock.now_ms();
        let later = now_ms + i64::try_from(self.seed.below(4_000)).unwrap_or(0) - 200;
        let keep_s = [0, 1, 60][self.seed.pick(3)];
        if self.of == Of::Plain && !self.one_in(1) {
            return match self.seed.below(6) {
                0 => Report::Heartbeat,
                1 => Report::Progress { write },
                _ => Report::Ack { write, keep_s },
            };
        }
        match self.seed.below(12) {
            0 | 1 => Report::Heartbeat,
            2 | 3 => Report::Progress { write },
            4 => Report::Log { lines: vec![attempt.clone(), attempt] },
            5 | 6 => Report::Ack { write, keep_s },
            7 => Report::Nack { write, again: Again::At(later), attempt, keep_s },
            8 => Report::Nack { write, again: Again::Now, attempt, keep_s },
            9 => Report::Bury { write, keep_s },
            10 => Report::Snooze { write, due_ms: later, attempt },
            _ => match self.seed.below(3) {
                0 => Report::Release { write, attempt: None },
                1 => Report::Release { write, attempt: Some(attempt) },
                _ => Report::Cancelled { write, keep_s },
            },
        }
    }
}
