//! The whole partition as text, the same for equal partitions: what differential tests compare.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Partition;
use super::line::Line;
use super::links::Lead;
use super::restore::untold;
use crate::changes::{Place, Serial, TaskControl};
use crate::gate::{Gate, user_gate};
use crate::ids::{Name, TaskId, UserId};
use crate::priority::Priority;
use crate::schedule::Schedule;
use crate::settings::{QueueSettings, Turns, UserSettings};
use crate::transitions::{STATES, TaskState};

impl Partition {
    /// One line per fact, sorted. Left out: who is idle, dead references, keys past their time.
    #[must_use]
    pub fn dump(&self, now_ms: i64) -> String {
        let mut lines = BTreeSet::new();
        for (user, known) in &self.users {
            for (task, control) in &known.tasks {
                lines.insert(task_line(user, *task, control));
            }
            for (task, links) in &known.links {
                lines.insert(format!("links {user} {task} = {links}"));
            }
            for (flow, parts) in known.parts.iter().filter(|(_, parts)| !parts.is_empty()) {
                if known.links.contains_key(flow) {
                    let ids: Vec<_> = parts.iter().map(TaskId::to_string).collect();
                    lines.insert(format!("parts {user} {flow} = {}", ids.join(" ")));
                }
            }
            for (queue, lane) in &known.lanes {
                for priority in Priority::ALL {
                    let live = lane.of(priority).iter().filter(|entry| {
                        known.tasks.get(&entry.task).is_some_and(|task| entry.is_of(task))
                    });
                    let ids: Vec<_> = live.map(|e| format!("{}:{}", e.task, e.claim)).collect();
                    lines.extend(lane_line(queue, user, priority, &ids));
                }
            }
            for (key, line) in &known.lines {
                let ids: Vec<_> = line.waiting.keys().map(|(_, task)| task.to_string()).collect();
                if !ids.is_empty() {
                    lines.insert(format!("line {key:032x} {user} = {}", ids.join(" ")));
                }
            }
            for (key, owner) in known.keys.iter().filter(|(_, k)| k.expires_ms > now_ms) {
                lines.insert(format!(
                    "key {user} {key:?} = {} {:032x} until {}",
                    owner.task, owner.body_hash, owner.expires_ms
                ));
            }
            for (name, of) in &known.schedules {
                lines.insert(of.line(user, name));
            }
            if !known.aside.is_empty() {
                let queues: Vec<_> = known.aside.iter().map(Name::as_str).collect();
                lines.insert(format!("aside {user} = {}", queues.join(" ")));
            }
            if known.seq > 0 {
                lines.insert(format!("seq {user} = {}", known.seq));
            }
            lines.extend(known.bytes_max.map(|max| bytes_max_line(user, max)));
            if known.bytes > 0 {
                lines.insert(bytes_line(user, known.bytes));
            }
            for state in STATES.iter().filter(|state| known.counts[**state as usize] > 0) {
                let count = known.counts[*state as usize];
                lines.insert(format!("count {user} {} = {count}", state.name()));
            }
        }
        for (name, queue) in &self.queues {
            if !queue.ring.is_empty() {
                let users: Vec<_> = queue.ring.iter().map(UserId::as_str).collect();
                lines.insert(format!("ring {name} = {}", users.join(" ")));
            }
            if !queue.full.is_empty() {
                let users: Vec<_> = queue.full.iter().map(UserId::as_str).collect();
                lines.insert(format!("full {name} = {}", users.join(" ")));
            }
            lines.extend(queue_lines(name, &queue.settings));
            lines.extend(queue.total().and_then(|_| total_line(name, queue.running)));
            let is_ahead = queue.total_full_us > self.lt * 1_000;
            lines.extend(is_ahead.then(|| started_line(name, queue.total_full_us)));
            // What is made up for says nothing any more.
            let ahead = queue.full_us.iter().filter(|(_, full)| **full > self.lt * 1_000);
            lines.extend(ahead.map(|(user, full)| pace_line(name, user, *full)));
            if queue.is_counted() {
                for (user, known) in &self.users {
                    let count = known.running.get(name).map(|count| runs_line(name, user, *count));
                    lines.extend(count);
                }
            }
            for (user, settings) in &queue.users {
                lines.extend(user_lines(name, user, settings));
            }
            lines.extend(queue.times.lines(name));
            for (user, credit) in &queue.credit {
                lines.insert(format!("credit {name} {user} = {credit}"));
            }
        }
        if !self.leads.is_empty() {
            let lead = |lead: &Lead| match lead.parts_after {
                Some(after) => format!("{},{},{after}", lead.user, lead.task),
                None => format!("{},{}", lead.user, lead.task),
            };
            let leads: Vec<_> = self.leads.iter().map(lead).collect();
            lines.insert(format!("leads = {}", leads.join(" ")));
        }
        lines.extend(self.resting.iter().map(|(name, at)| rest_line(name, *at)));
        lines.extend(self.throttled.iter().map(|((name, user), at)| good_line(name, user, *at)));
        lines.extend(self.paused.iter().map(|(user, by)| format!("paused {user} by {by}")));
        if self.queues_version > 0 {
            lines.insert(format!("version of queues {}", self.queues_version));
        }
        let mut text = format!("epoch {} lease time {}\n", self.epoch, self.lt);
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// Every broken invariant, in words; empty when all is well.
    ///
    /// Checked: each task is in exactly the one structure its place names; a lane that is not empty
    /// is in its ring exactly once or set aside, and rings name no others; a line has a holder, and
    /// names the tasks of its key; counts match.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let (mut places, mut expiring) = (0, 0);
        for (user, known) in &self.users {
            let (mut counts, mut bytes) = ([0_u64; STATES.len()], 0);
            let (mut waiting, mut running) = (BTreeMap::new(), BTreeMap::new());
            let mut in_lines = 0_u32;
            for (task, control) in &known.tasks {
                counts[control.place.state() as usize] += 1;
                bytes += control.held_bytes();
                if control.place.is_to_come() {
                    *waiting.entry(control.queue.clone()).or_insert(0_u32) += 1;
                }
                let held = match &control.place {
                    Place::Scheduled { due_ms } => {
                        places += 1;
                        self.due.contains(&(*due_ms, user.clone(), *task))
                    }
                    Place::Waiting { pending } => {
                        let links = known.links.get(task);
                        *pending > 0 && links.is_some_and(|links| links.pending() == *pending)
                    }
                    Place::Running { deadline_lt, .. } => {
                        places += 1;
                        *running.entry(control.queue.clone()).or_default() += 1;
                        self.leases.contains(&(*deadline_lt, user.clone(), *task))
                    }
                    Place::Queued { position } if Self::must_stand_in_line(control) => {
                        let line = control.serial.as_ref().and_then(|of| known.lines.get(&of.key));
                        line.is_some_and(|line| line.waiting.contains_key(&(*position, *task)))
                    }
                    Place::Queued { .. } => {
                        let lane = known.lanes.get(&control.queue);
                        let refers =
                            |e: &&super::Entry| e.task == *task && e.claim == control.claim;
                        lane.is_some_and(|lane| {
                            lane.of(control.priority).iter().filter(refers).count() == 1
                        })
                    }
                    Place::Ended { keep_s, .. } => self.sweeps.get(keep_s).is_some_and(|list| {
                        list.iter().any(|e| e.task == *task && e.claim == control.claim)
                    }),
                };
                if let Some(expiry) = &control.expires {
                    expiring += 1;
                    let listed = self.unstarted.contains(&(expiry.at_ms, user.clone(), *task));
                    if !listed || !control.place.is_to_come() {
                        wrong.push(format!("{user} {task} expires and is not listed, or runs"));
                    }
                }
                if let Some(Serial { key, holds }) = control.serial.as_deref().copied() {
                    let is_holder =
                        known.lines.get(&key).is_some_and(|line| line.holder == Some(*task));
                    let runs = matches!(control.place, Place::Running { .. });
                    let over = control.place.state().is_terminal();
                    if is_holder != holds || (runs && !holds) || (over && holds) {
                        wrong.push(format!("{user} {task} holds {holds}, in line {is_holder}"));
                    }
                    in_lines += u32::from(
                        holds
                            || Self::must_stand_in_line(control)
                                && matches!(control.place, Place::Queued { .. }),
                    );
                }
                if !held {
                    wrong.push(format!("{user} {task} is not where it says: {:?}", control.place));
                }
            }
            self.check_links(user, &mut wrong);
            let listed = |line: &Line| line.waiting.len() + usize::from(line.holder.is_some());
            let listed: usize = known.lines.values().map(listed).sum();
            let free = known.lines.values().filter(|line| line.holder.is_none()).count();
            if listed != in_lines as usize || free > 0 {
                wrong.push(format!(
                    "lines of {user} name {listed} of {in_lines} tasks, {free} have no holder"
                ));
            }
            if counts != known.counts {
                wrong.push(format!("{user} counts {:?}, has {counts:?}", known.counts));
            }
            if bytes != known.bytes {
                wrong.push(format!("{user} counts {} bytes, has {bytes}", known.bytes));
            }
            if waiting != known.waiting {
                wrong.push(format!("{user} has {waiting:?} waiting, says {:?}", known.waiting));
            }
            if running != known.running {
                wrong.push(format!("{user} has {running:?} running, says {:?}", known.running));
            }
            for (name, lane) in &known.lanes {
                let queue = self.queues.get(name);
                let turns =
                    queue.map_or(0, |queue| queue.ring.iter().filter(|u| *u == user).count());
                let full = queue.is_some_and(|queue| queue.full.contains(user));
                let places = turns + usize::from(full) + usize::from(known.aside.contains(name));
                if places != 1 || lane.is_empty() {
                    wrong.push(format!(
                        "lane {name} {user}: {} entries, {places} places",
                        lane.len()
                    ));
                }
            }
            for name in &known.aside {
                if !known.lanes.contains_key(name) || !self.pauses(user).any() {
                    wrong.push(format!("{user} is set aside in {name} without a lane or a pause"));
                }
            }
        }
        for (name, queue) in &self.queues {
            let run: u32 = self.users.values().filter_map(|user| user.running.get(name)).sum();
            if run != queue.running {
                wrong.push(format!("{run} run in {name}, {} are counted", queue.running));
            }
            let has_lane =
                |u: &&UserId| self.users.get(*u).is_some_and(|u| u.lanes.contains_key(name));
            for user in queue.ring.iter().chain(&queue.full).filter(|user| !has_lane(user)) {
                wrong.push(format!("ring {name} names {user}, who has no lane there"));
            }
            for user in &queue.full {
                let lane = (name.clone(), user.clone());
                let waits = self.throttled.contains_key(&lane);
                let is_right = match user_gate(&self.facts_at(name, user, self.lt)) {
                    Gate::Open | Gate::Rate { .. } => waits,
                    Gate::Paused(_)
                    | Gate::UserLimit { .. }
                    | Gate::QueueLimit { .. }
                    | Gate::QueueRate { .. } => true,
                };
                if is_right {
                    continue;
                }
                wrong.push(format!("{user} is kept out of {name} by nothing"));
            }
            wrong.extend(self.check_times(name));
            for user in queue.credit.keys().filter(|user| !has_lane(user)) {
                wrong.push(format!("credit {name} names {user}, who has no lane there"));
            }
        }
        if places != self.due.len() + self.leases.len() {
            wrong.push(format!(
                "{places} scheduled or running tasks, {} due, {} leases",
                self.due.len(),
                self.leases.len()
            ));
        }
        let listed = self.users.iter().flat_map(|(user, known)| {
            let next =
                |(name, of): (&Name, &Schedule)| Some((of.next_ms?, user.clone(), name.clone()));
            known.schedules.iter().filter_map(next)
        });
        let listed: BTreeSet<_> = listed.collect();
        if self.ticks != listed {
            wrong.push(format!("ticks are {:?}, and not {listed:?}", self.ticks));
        }
        let good =
            self.throttled.iter().map(|((name, user), at)| (*at, name.clone(), user.clone()));
        if good.collect::<BTreeSet<_>>() != self.good {
            wrong.push(format!("{:?} are good at times, listed {:?}", self.throttled, self.good));
        }
        if expiring != self.unstarted.len() {
            let listed = self.unstarted.len();
            wrong.push(format!("{expiring} tasks that expire, {listed} listed"));
        }
        wrong
    }
}

impl Partition {
    /// Ties are mutual; what has ended is counted, or in the line to be; nobody waits for what is
    /// gone.
    fn check_links(&self, user: &UserId, wrong: &mut Vec<String>) {
        let known = &self.users[user];
        for (task, links) in &known.links {
            let Some(state) = self.state_of(user, task) else {
                wrong.push(format!("{user} {task} has ties and is gone"));
                continue;
            };
            let in_line = self.leads.iter().any(|lead| lead.user == *user && lead.task == *task);
            if state.is_terminal() && untold(known, *task, links) && !in_line {
                wrong.push(format!("{user} {task} has ended and somebody was not told"));
            }
            if links.part.is_some_and(|part| part.counted.is_some_and(|as_| as_ != state)) {
                wrong.push(format!("{user} {task} is {state:?} and counted: {links}"));
            }
            for up in &links.up {
                let mutual = known.links.get(&up.task).is_some_and(|of| of.down.contains(task));
                if self.state_of(user, &up.task).is_some() && !mutual {
                    wrong.push(format!("{user} {task} waits for {}, unknown to it", up.task));
                }
                if self.state_of(user, &up.task).is_none() && !up.told && !state.is_terminal() {
                    wrong.push(format!("{user} {task} waits for {}, which is gone", up.task));
                }
            }
            if let Some(gather) = &links.gather {
                let parts = known.parts.get(task).map_or(0, BTreeSet::len);
                let total = gather.total as usize;
                let over = gather.pending() == 0 && state == TaskState::Waiting;
                if parts > total || gather.ended() as usize > total || over {
                    wrong.push(format!("{user} {task} gathers {parts} parts: {links}"));
                }
            }
        }
    }
}

/// The line of a dump about what waits in a lane with one priority, if anything does.
#[must_use]
pub fn lane_line(name: &Name, user: &UserId, priority: Priority, ids: &[String]) -> Option<String> {
    let which = priority.letter().map_or(String::new(), |_| format!(" {priority}"));
    (!ids.is_empty()).then(|| format!("lane {name} {user}{which} = {}", ids.join(" ")))
}

/// The lines of a dump about what is set of a queue.
#[must_use]
pub fn queue_lines(name: &Name, settings: &QueueSettings) -> Vec<String> {
    let QueueSettings {
        paused,
        waiting_max,
        running_max,
        rate,
        turns,
        running_total_max,
        rate_total,
    } = *settings;
    let mut lines = Vec::new();
    if paused {
        lines.push(format!("queue {name} paused"));
    }
    lines.extend(waiting_max.map(|max| format!("queue {name} waiting_max {max}")));
    lines.extend(running_max.map(|max| format!("queue {name} running_max {max}")));
    lines.extend(rate.map(|rate| format!("queue {name} rate {rate:?}")));
    lines.extend(running_total_max.map(|max| format!("queue {name} running_total_max {max}")));
    lines.extend(rate_total.map(|rate| format!("queue {name} rate_total {rate:?}")));
    if turns == Turns::RunTime {
        lines.push(format!("queue {name} turns by run time"));
    }
    lines
}

/// The line of a dump about how many tasks run in a queue over all users, if any do.
#[must_use]
pub fn total_line(name: &Name, running: u32) -> Option<String> {
    (running > 0).then(|| format!("running in {name} = {running}"))
}

/// The line of a dump about when all that started in a queue is made up for, over all users.
#[must_use]
pub fn started_line(name: &Name, full_us: i64) -> String {
    format!("started in {name} = {full_us}")
}

/// The line of a dump about when a queue is looked at again.
#[must_use]
pub fn rest_line(name: &Name, at: i64) -> String {
    format!("throttled {name} until {at}")
}

/// The lines of a dump about what is set of a user in a queue.
#[must_use]
pub fn user_lines(name: &Name, user: &UserId, settings: &UserSettings) -> Vec<String> {
    let UserSettings { weight, paused, waiting_max, running_max, rate } = *settings;
    let mut lines = Vec::new();
    if weight != 1 {
        lines.push(format!("weight {name} {user} = {weight}"));
    }
    if paused {
        lines.push(format!("user {user} paused in {name}"));
    }
    lines.extend(waiting_max.map(|max| format!("user {user} waiting_max in {name} {max}")));
    lines.extend(running_max.map(|max| format!("user {user} running_max in {name} {max}")));
    lines.extend(rate.map(|rate| format!("user {user} rate in {name} {rate:?}")));
    lines
}

/// The line of a dump about how many bytes the tasks of a user hold.
#[must_use]
pub fn bytes_line(user: &UserId, bytes: u64) -> String {
    format!("bytes {user} = {bytes}")
}

/// The line of a dump about how many bytes the tasks of a user may hold.
#[must_use]
pub fn bytes_max_line(user: &UserId, bytes_max: u64) -> String {
    format!("bytes_max {user} = {bytes_max}")
}

/// The line of a dump about how many tasks of a user run in a queue that counts.
#[must_use]
pub fn runs_line(name: &Name, user: &UserId, count: u32) -> String {
    format!("runs {name} {user} = {count}")
}

/// The line of a dump about when all that started of a user is made up for.
#[must_use]
pub fn pace_line(name: &Name, user: &UserId, full_us: i64) -> String {
    format!("pace {name} {user} = {full_us}")
}

/// The line of a dump about when a lane is looked at again.
#[must_use]
pub fn good_line(name: &Name, user: &UserId, at: i64) -> String {
    format!("throttled {name} {user} until {at}")
}

fn task_line(user: &UserId, task: TaskId, control: &TaskControl) -> String {
    let TaskControl { queue, claim, n, attempt, attempts_kept, log_lines, place, .. } = control;
    let mut line = format!("task {user} {task} {queue} {}", place.state().name());
    let _ = write!(line, " c{claim} n{n} a{attempt} history {attempts_kept} log {log_lines}");
    // Positions are left out: the order of lanes says it.
    let _ = match place {
        Place::Scheduled { due_ms } => write!(line, " due {due_ms}"),
        Place::Waiting { pending } => write!(line, " for {pending}"),
        Place::Queued { .. } => Ok(()),
        Place::Running { worker, call, deadline_lt, cancel_asked } => {
            write!(line, " held by {worker}.{call} until {deadline_lt} asked {cancel_asked}")
        }
        Place::Ended { at_ms, keep_s, .. } => write!(line, " at {at_ms} kept {keep_s}"),
    };
    if let Some(serial) = &control.serial {
        let _ = write!(line, " serial {:032x} holds {}", serial.key, serial.holds);
    }
    if control.priority != Priority::Normal {
        let _ = write!(line, " {}", control.priority);
    }
    if let Some(expiry) = &control.expires {
        let _ = write!(line, " expires {} kept {}", expiry.at_ms, expiry.keep_s);
    }
    line
}
