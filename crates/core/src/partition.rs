//! The partition state machine: `apply(command, now) -> (reply, changes)`.
//!
//! A partition holds what decides (places, claim numbers, lanes, leases) and never the texts of
//! tasks; those leave in [`Changes`]. Of schedules it holds all: they are few. It is deterministic: no result depends on the order of a hash
//! map.
//!
//! Two kinds of time. *Dates* (`due`, retention, keys, the `at` of events) are the wall clock that
//! comes with each command. *Durations* (leases) are lease time, which the partition keeps itself,
//! see [`Partition::lease_time`].

mod bytes;
mod claim;
mod control;
mod dump;
mod erase;
mod flow;
mod heard;
mod lane;
mod line;
mod links;
mod maintain;
mod next;
mod pick;
mod position;
mod queue;
mod report;
mod restore;
mod room;
mod schedule;
mod settings;
mod step;
mod submit;
mod times;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

pub use dump::{
    bytes_line, bytes_max_line, good_line, lane_line, pace_line, queue_lines, rest_line, runs_line,
    started_line, total_line, user_lines,
};
pub use position::Standing;
pub use restore::{InQueue, KeptSchedule, Key, LinksRow, Records, Row};
pub use times::{charged_line, meter_line, share_line};

use crate::changes::{Changes, Place, TaskControl};
use crate::command::{Command, Sync};
use crate::ids::{Name, TaskId, UserId, WorkerId};
use crate::lease_time::LeaseTime;
use crate::limits::{LEASE_TIME_STEP_MS_MAX, LOOK_MS_MAX, MAINTENANCE_MS, UNWATCHED_MS};
use crate::links::Links;
use crate::reply::{Claimed, Reply, Synced};
use crate::schedule::Schedule;
use crate::settings::{Pauses, UserSettings};
use crate::transitions::{STATES, TaskState};
use crate::{Lease, Text};
use lane::Lane;
use line::Line;
use links::Lead;
use queue::Queue;
use step::Step;

/// All tasks of the users of one partition.
#[derive(Debug)]
pub struct Partition {
    epoch: u32,
    /// Lease time at the last maintenance, ms.
    lt: i64,
    /// Wall clock at the last maintenance, ms.
    mt: i64,
    users: HashMap<UserId, User>,
    queues: BTreeMap<Name, Queue>,
    /// The version of what is set of queues.
    queues_version: u64,
    /// Users whose work is paused, in whatever queue.
    paused: BTreeMap<UserId, Pauses>,
    /// Running tasks by end of lease, in lease time.
    leases: BTreeSet<(i64, UserId, TaskId)>,
    /// Until when workers of other processes hold what they have, in lease time.
    heard: BTreeMap<WorkerId, i64>,
    /// Those of them that were not heard since a restart.
    silent: BTreeSet<WorkerId>,
    /// Lease time as it was last written down.
    kept_lt: Option<LeaseTime>,
    /// Lanes that are looked at again at a lease time, and the same by time.
    throttled: BTreeMap<(Name, UserId), i64>,
    good: BTreeSet<(i64, Name, UserId)>,
    /// Queues that are looked at again at a lease time, because of what has started in them over all
    /// users.
    resting: BTreeMap<Name, i64>,
    /// Scheduled tasks by due time.
    due: BTreeSet<(i64, UserId, TaskId)>,
    /// Waiting tasks that nobody has ever taken, by the time they expire.
    unstarted: BTreeSet<(i64, UserId, TaskId)>,
    /// Schedules by the time of their next tick; those that rest are not in it.
    ticks: BTreeSet<(i64, UserId, Name)>,
    /// Ended tasks in order of ending, per retention in seconds.
    sweeps: BTreeMap<u32, VecDeque<Ended>>,
    /// Idempotency keys by expiry.
    expiring: BTreeSet<(i64, UserId, Text)>,
    /// Ends that those who wait for them have not been told of yet, in order.
    leads: VecDeque<Lead>,
    /// Order in lanes: the next place at the back, and the next at the front.
    back: i64,
    front: i64,
    /// The last maintenance left something over because of its limits: the next sync goes on.
    behind: bool,
}

#[derive(Debug, Default)]
struct User {
    tasks: HashMap<TaskId, TaskControl>,
    lanes: BTreeMap<Name, Lane>,
    /// Tasks that wait, for a worker, their time or others, per queue: what the cap counts. A lane's length would
    /// count dead references too.
    waiting: BTreeMap<Name, u32>,
    /// Tasks that run, per queue.
    running: BTreeMap<Name, u32>,
    /// Queues whose ring this user's lane has left because all work of the user is paused.
    aside: BTreeSet<Name>,
    keys: HashMap<Text, KeyOwner>,
    /// Ties of tasks that have some.
    links: HashMap<TaskId, Links>,
    /// Parts by the flow or batch they are of.
    parts: HashMap<TaskId, BTreeSet<TaskId>>,
    /// Tasks that run one at a time, by serial key; none is empty.
    lines: HashMap<u128, Line>,
    schedules: BTreeMap<Name, Schedule>,
    seq: u64,
    counts: [u64; STATES.len()],
    /// What the tasks hold, see [`TaskControl::held_bytes`].
    bytes: u64,
    /// The most that they may hold, where it is set.
    bytes_max: Option<u64>,
}

/// A place in a lane. It stands for the task only while the task is queued under this claim number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    task: TaskId,
    claim: u32,
}

impl Entry {
    /// Whether it stands for this task.
    fn is_of(self, task: &TaskControl) -> bool {
        task.claim == self.claim && matches!(task.place, Place::Queued { .. })
    }
}

#[derive(Debug, Clone, Copy)]
struct KeyOwner {
    task: TaskId,
    body_hash: u128,
    expires_ms: i64,
}

#[derive(Debug)]
struct Ended {
    user: UserId,
    task: TaskId,
    claim: u32,
    at_ms: i64,
}

impl Partition {
    /// An empty partition in `epoch`.
    #[must_use]
    pub fn new(epoch: u32) -> Self {
        Self {
            epoch,
            lt: 0,
            mt: 0,
            users: HashMap::new(),
            queues: BTreeMap::new(),
            queues_version: 0,
            paused: BTreeMap::new(),
            leases: BTreeSet::new(),
            heard: BTreeMap::new(),
            silent: BTreeSet::new(),
            kept_lt: None,
            throttled: BTreeMap::new(),
            good: BTreeSet::new(),
            resting: BTreeMap::new(),
            due: BTreeSet::new(),
            unstarted: BTreeSet::new(),
            ticks: BTreeSet::new(),
            sweeps: BTreeMap::new(),
            expiring: BTreeSet::new(),
            leads: VecDeque::new(),
            back: 0,
            front: -1,
            behind: false,
        }
    }

    /// One step, at wall-clock time `now_ms`: what it answers, and all that it changed.
    pub fn apply(&mut self, command: Command, now_ms: i64) -> (Reply, Changes) {
        let mut step = Step::new(now_ms);
        let reply = match command {
            Command::Submit(submit) => Reply::Submit(self.submit(&mut step, submit)),
            Command::Sync(sync) => Reply::Sync(self.sync(&mut step, sync)),
            Command::Control(control) => Reply::Control(self.control(&mut step, control)),
        };
        self.settle_lines(&mut step);
        let epoch = self.epoch;
        let changes = step.finish(epoch, |user| {
            let user = self.users.entry(user.clone()).or_default();
            user.seq += 1;
            user.seq
        });
        (reply, changes)
    }

    /// Lease time at wall-clock time `now_ms`: the lease time of the last maintenance, plus what
    /// the wall clock moved since, but never back and never more than
    /// [`LEASE_TIME_STEP_MS_MAX`]. So a step of the clock ends no live lease, and time in which
    /// nobody calls does not run.
    #[must_use]
    pub fn lease_time(&self, now_ms: i64) -> i64 {
        self.lt + now_ms.saturating_sub(self.mt).clamp(0, LEASE_TIME_STEP_MS_MAX)
    }

    /// The epoch of fences and event numbers.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The newest event number of a user.
    #[must_use]
    pub fn seq(&self, user: &UserId) -> u64 {
        self.users.get(user).map_or(0, |user| user.seq)
    }

    /// How many tasks a user has in `state`.
    #[must_use]
    pub fn count(&self, user: &UserId, state: TaskState) -> u64 {
        self.users.get(user).map_or(0, |user| user.counts[state as usize])
    }

    /// How many bytes the tasks of a user hold: their descriptors, and the states of those that have
    /// ended.
    #[must_use]
    pub fn bytes(&self, user: &UserId) -> u64 {
        self.users.get(user).map_or(0, |user| user.bytes)
    }

    /// What the engine knows of a task.
    #[must_use]
    pub fn task(&self, user: &UserId, task: &TaskId) -> Option<&TaskControl> {
        self.users.get(user)?.tasks.get(task)
    }

    /// The users the partition has seen, in no order.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.users.keys()
    }

    /// Lanes with something in them, per queue.
    pub fn ring_lengths(&self) -> impl Iterator<Item = (&Name, usize)> {
        self.queues.iter().map(|(name, queue)| (name, queue.ring.len()))
    }

    /// Users with work in a queue: those who take turns, and those whom what is set of them there
    /// keeps from it.
    #[must_use]
    pub fn turns(&self, queue: &Name) -> (usize, usize) {
        self.queues.get(queue).map_or((0, 0), |queue| (queue.ring.len(), queue.full.len()))
    }

    /// Tasks that run in a queue over all users, where something limits that.
    #[must_use]
    pub fn running_in_all(&self, queue: &Name) -> Option<u32> {
        let queue = self.queues.get(queue)?;
        queue.total().map(|_| queue.running)
    }

    /// Queues in which something limits how many tasks run over all users.
    #[must_use]
    pub fn limited_queues(&self) -> Vec<Name> {
        let limited = self.queues.iter().filter(|(_, queue)| queue.total().is_some());
        limited.map(|(name, _)| name.clone()).collect()
    }

    /// How far what has started in a queue over all users is ahead of what is made up for, in µs; where
    /// there is a rate over all of them.
    #[must_use]
    pub fn ahead_us(&self, queue: &Name, now_ms: i64) -> Option<i64> {
        let queue = self.queues.get(queue).filter(|queue| queue.settings.rate_total.is_some())?;
        Some((queue.total_full_us - self.lease_time(now_ms).saturating_mul(1_000)).max(0))
    }

    /// Queues in which something limits in which time tasks start over all users.
    #[must_use]
    pub fn paced_queues(&self) -> Vec<Name> {
        let paced = self.queues.iter().filter(|(_, queue)| queue.settings.rate_total.is_some());
        paced.map(|(name, _)| name.clone()).collect()
    }

    /// Says how far what has started in all partitions is ahead, as [`Partition::ahead_us`] does. Where
    /// one process has several partitions in memory and says it before each step, the rate over all users
    /// is that of all of them.
    pub fn set_ahead_us(&mut self, queue: &Name, now_ms: i64, ahead_us: i64) {
        let lt_us = self.lease_time(now_ms).saturating_mul(1_000);
        let queue = self.queue(queue);
        if queue.settings.rate_total.is_some() {
            queue.total_full_us = if ahead_us > 0 { lt_us.saturating_add(ahead_us) } else { 0 };
        }
    }

    /// Says how many tasks of a queue run in other partitions. Where one process has several partitions
    /// in memory and says it before each step, the limit over all users is that of all of them.
    pub fn set_elsewhere(&mut self, queue: &Name, running: u32) {
        self.queue(queue).elsewhere = running;
    }

    /// By whom all work of a user is paused.
    #[must_use]
    pub fn pauses(&self, user: &UserId) -> Pauses {
        self.paused.get(user).copied().unwrap_or_default()
    }

    /// What is set of a user in a queue.
    #[must_use]
    pub fn user_in(&self, queue: &Name, user: &UserId) -> UserSettings {
        self.queues.get(queue).map(|queue| queue.user(user)).unwrap_or_default()
    }

    /// Users of whom anything is set in a queue, in no order.
    #[must_use]
    pub fn users_in(&self, queue: &Name) -> Vec<(UserId, UserSettings)> {
        let set = self.queues.get(queue).into_iter().flat_map(|queue| &queue.users);
        set.map(|(user, settings)| (user.clone(), *settings)).collect()
    }

    /// When a sync would next find something due, in ms from `now_ms`; 0 while maintenance has left
    /// something over.
    #[must_use]
    pub fn next_in_ms(&self, now_ms: i64) -> Option<u64> {
        if self.behind {
            return Some(0);
        }
        // Maintenance finds these, and before it is due nobody does.
        let since = now_ms.saturating_sub(self.mt);
        let found = if (0..MAINTENANCE_MS).contains(&since) { MAINTENANCE_MS - since } else { 0 };
        let due = self.due.first().map(|(at, ..)| at.saturating_sub(now_ms).max(found));
        let over = self.unstarted.first().map(|(at, ..)| at.saturating_sub(now_ms).max(found));
        let lost = self.leases.first().map(|(at, ..)| (at - self.lease_time(now_ms)).max(found));
        let led = self.leads.front().map(|_| 0);
        let good = self.good.first().map(|(at, ..)| at).into_iter().chain(self.resting.values());
        let good = good.min().map(|at| at - self.lease_time(now_ms));
        due.into_iter()
            .chain(over)
            .chain(lost)
            .chain(led)
            .chain(good)
            .min()
            .map(|wait| wait.max(0).unsigned_abs())
    }

    /// What a worker holds.
    #[must_use]
    pub fn held_by(&self, worker: &WorkerId) -> Vec<Claimed> {
        self.leases
            .iter()
            .filter_map(|(_, user, task)| {
                let control = self.task(user, task)?;
                let lease = lease_of(user, *task, control)?;
                (lease.worker == *worker).then_some(Claimed { lease, n: control.n })
            })
            .collect()
    }

    /// Whether a task is held under this lease, whatever became of its time.
    #[must_use]
    pub fn holds(&self, lease: &Lease) -> bool {
        let control = self.task(&lease.user, &lease.task);
        control.and_then(|control| lease_of(&lease.user, lease.task, control)).as_ref()
            == Some(lease)
    }

    fn sync(&mut self, step: &mut Step, sync: Sync) -> Synced {
        let (epoch, queues_version) = (self.epoch, self.queues_version);
        let mut reply = Synced { epoch, queues_version, ..Synced::default() };
        let Sync { worker, call, lease_ms, ops, claim, woken, park } = sync;
        let deadline_lt = self.lease_time(step.now_ms) + i64::from(lease_ms);
        let mut is_holder = false;
        for (index, op) in (0_u32..).zip(ops) {
            let renews = op.report.renews();
            if self.report(step, op, deadline_lt, &mut reply.cancelled) {
                is_holder |= renews;
            } else {
                reply.refused.push(index);
            }
        }
        self.make_room(step);
        self.lead_on(step);
        // Without a lease time nobody is there who could settle what is adopted: a store passes
        // wakes on this way, as part of the call whose wakes they are.
        if lease_ms > 0 {
            self.let_through(step);
        }
        let caller = maintain::Caller { worker: &worker, call, lease_ms };
        let unwatched = step.now_ms.saturating_sub(self.mt) > UNWATCHED_MS;
        let maintained = lease_ms > 0 && self.maintain(step, caller, &mut reply);
        if let Some(claim) = &claim {
            self.claim(step, caller, claim, &mut reply);
            // Whom it stopped has work to come back for; a wake is for others.
            if park && reply.claimed.is_empty() && reply.stopped_at.is_none() {
                let lt = self.lease_time(step.now_ms);
                for name in &claim.queues {
                    self.queue(name).idle.insert(worker.clone(), lt);
                }
            }
        }
        self.lead_on(step);
        self.settle_lines(step);
        let lt_ms = self.lease_time(step.now_ms);
        for name in &woken {
            if self.queues.get(name).is_some_and(|queue| queue.has_turns(lt_ms)) {
                self.wake(step, name, 1);
            }
        }
        self.wake_for_room(step);
        for name in claim.iter().flat_map(|claim| &claim.queues).chain(&woken) {
            self.rest(name, lt_ms);
        }
        let took = !reply.claimed.is_empty() || !reply.adopted.is_empty();
        let is_back = (is_holder || took) && self.hear(&worker, deadline_lt);
        self.keep_lease_time(step, took.then_some((&worker, deadline_lt)), is_back);
        if maintained || reply.claimed.is_empty() {
            reply.next_in_ms = self.next_in_ms(step.now_ms);
            // Lease time moves by looks: where nobody else looks, a lease would end late, and a rate
            // would be good late.
            let is_alone = maintained && unwatched;
            let most_ms = if is_alone { LEASE_TIME_STEP_MS_MAX } else { LOOK_MS_MAX };
            let looks = !self.good.is_empty() || !self.resting.is_empty();
            if !self.leases.is_empty() || looks {
                let most_ms = most_ms.unsigned_abs();
                reply.next_in_ms = reply.next_in_ms.map(|next_in| next_in.min(most_ms));
            }
        }
        reply.schedule_in_ms = self.schedule_in_ms(step.now_ms);
        reply
    }

    fn queue(&mut self, name: &Name) -> &mut Queue {
        if !self.queues.contains_key(name) {
            self.queues.insert(name.clone(), Queue::default());
        }
        self.queues.get_mut(name).expect("inserted above")
    }

    fn user(&mut self, user: &UserId) -> &mut User {
        if !self.users.contains_key(user) {
            self.users.insert(user.clone(), User::default());
        }
        self.users.get_mut(user).expect("inserted above")
    }
}

/// The lease under which a running task is held.
fn lease_of(user: &UserId, task: TaskId, control: &TaskControl) -> Option<Lease> {
    let Place::Running { worker, call, .. } = &control.place else { return None };
    Some(Lease {
        queue: control.queue.clone(),
        user: user.clone(),
        task,
        attempt: control.attempt,
        claim: control.claim,
        worker: worker.clone(),
        call: *call,
    })
}
