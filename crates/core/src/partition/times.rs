//! Turns by run time: whose turn it is where users share the time of workers, and what is charged for
//! it. The arithmetic is `policy::turns`; how lanes are set aside, `pick` knows.
//!
//! A task is charged when it starts, at what its user's tasks took lately, and that is put right when
//! it is over: until then a user of long tasks would take every place that falls free. What it took is
//! lease time from the claim to the end, so no worker says it and a stepped clock does not change it.

use super::Partition;
use super::pick::Picked;
use super::queue::Times;
use crate::changes::Place;
use crate::ids::{Name, TaskId, UserId};
use crate::limits::TIMED_LOOKS_MAX;
use crate::policy::turns::{Candidate, Charged, Meter, Share};

impl Partition {
    /// Takes up to `need` entries from the lanes of those who are due; from those who are due first
    /// where nobody is. Looks at as many lanes as tasks are wanted, and at up to [`TIMED_LOOKS_MAX`]
    /// where nobody of those is due.
    pub(super) fn pick_by_time(&mut self, name: &Name, need: u32, lt_ms: i64) -> Picked {
        let (mut users, mut of, mut looked, mut aside) = (Vec::new(), Vec::new(), 0, 0);
        let mut want = need as usize;
        let all = loop {
            let queue = self.queue(name);
            let turns = queue.ring.len().min(want);
            let popped: Vec<UserId> = queue.ring.drain(..turns).collect();
            looked += popped.len();
            let (open, rooms, away) = self.set_aside(name, popped, lt_ms);
            aside += away;
            let queue = self.queue(name);
            for (user, room) in open.into_iter().zip(rooms) {
                let weight = queue.user(&user).weight;
                let share = queue.times.shares.entry(user.clone()).or_default();
                share.comes(&queue.times.meter);
                of.push(Candidate { share: *share, weight, room });
                users.push(user);
            }
            let all = queue.ring.is_empty();
            if all || looked >= TIMED_LOOKS_MAX || queue.times.meter.is_any_due(&of) {
                break all;
            }
            want = TIMED_LOOKS_MAX - looked;
        };
        let queue = self.queues.get_mut(name).expect("it has turns");
        let counts = queue.times.meter.plan(&of, need, all);
        let mut entries = Vec::new();
        let (mut front, mut back) = (Vec::new(), Vec::new());
        for (user, count) in users.into_iter().zip(counts) {
            let left = need as usize - entries.len();
            if count == 0 || left == 0 {
                if count == 0 {
                    back.push(user)
                } else {
                    front.push(user)
                }
                continue;
            }
            let lanes = &mut self.users.get_mut(&user).expect("the ring names known users").lanes;
            let lane = lanes.get_mut(name).expect("the ring names lanes that are not empty");
            let taken = lane.take(lane.len().min(count as usize).min(left));
            if lane.is_empty() {
                lanes.remove(name);
                queue.times.shares.entry(user.clone()).or_default().is_away = true;
            } else if (count as usize) > left {
                front.push(user.clone());
            } else {
                back.push(user.clone());
            }
            entries.extend(taken.into_iter().map(|entry| (user.clone(), entry)));
        }
        for user in front.into_iter().rev() {
            queue.ring.push_front(user);
        }
        queue.ring.extend(back);
        Picked { entries, aside }
    }

    /// These have something that may start, where turns are by run time.
    pub(super) fn come(&mut self, name: &Name, users: &[UserId]) {
        let Some(queue) = self.queues.get_mut(name).filter(|queue| queue.is_timed()) else {
            return;
        };
        for user in users {
            queue.times.shares.entry(user.clone()).or_default().comes(&queue.times.meter);
        }
    }

    /// A task starts.
    pub(super) fn charge(&mut self, name: &Name, user: &UserId, task: TaskId, lt_ms: i64) {
        let Some(queue) = self.queues.get_mut(name).filter(|queue| queue.is_timed()) else {
            return;
        };
        let weight = queue.user(user).weight;
        let Times { meter, shares, charged } = &mut queue.times;
        let share = shares.entry(user.clone()).or_default();
        charged.insert((user.clone(), task), share.start(meter, weight, lt_ms));
    }

    /// A task that was charged is over.
    pub(super) fn put_right(&mut self, name: &Name, user: &UserId, task: TaskId, lt_ms: i64) {
        let Some(queue) = self.queues.get_mut(name).filter(|queue| queue.is_timed()) else {
            return;
        };
        let Times { meter, shares, charged } = &mut queue.times;
        let Some(charged) = charged.remove(&(user.clone(), task)) else { return };
        shares.entry(user.clone()).or_default().end(meter, charged, lt_ms);
    }

    /// What is wrong about what was charged.
    pub(super) fn check_times(&self, name: &Name) -> Vec<String> {
        let Some(queue) = self.queues.get(name) else { return Vec::new() };
        let runs = |user: &UserId, task: &TaskId| {
            let of = self.task(user, task).filter(|of| of.queue == *name);
            of.is_some_and(|of| matches!(of.place, Place::Running { .. }))
        };
        let stale = queue.times.charged.keys().filter(|(user, task)| !runs(user, task));
        let mut wrong: Vec<String> = stale
            .map(|(user, task)| format!("{user} {task} is charged and does not run"))
            .collect();
        if !queue.is_timed() && queue.times.lines(name).next().is_some() {
            wrong.push(format!("run time is kept of {name}, where turns are counted"));
        }
        wrong
    }
}

impl Times {
    /// Nothing of a user is known any more.
    pub(super) fn forget(&mut self, user: &UserId) {
        self.shares.remove(user);
        self.charged.retain(|(of, _), _| of != user);
    }

    /// Somebody may not start now, whoever else does.
    pub(super) fn leave(&mut self, user: &UserId) {
        if let Some(share) = self.shares.get_mut(user) {
            share.is_away = true;
        }
    }

    /// Its lines of a dump.
    pub(super) fn lines(&self, name: &Name) -> impl Iterator<Item = String> {
        let meter = (self.meter != Meter::default()).then(|| meter_line(name, &self.meter));
        let shares = self.shares.iter().map(|(user, share)| share_line(name, user, share));
        let charged = self.charged.iter();
        let charged = charged.map(|((user, task), of)| charged_line(name, user, *task, of));
        meter.into_iter().chain(shares).chain(charged)
    }
}

/// The line of a dump about the time of a queue.
#[must_use]
pub fn meter_line(name: &Name, meter: &Meter) -> String {
    format!("time {name} = {} turn {}", meter.at_us, meter.turn_ms)
}

/// The line of a dump about what a user has had.
#[must_use]
pub fn share_line(name: &Name, user: &UserId, share: &Share) -> String {
    let Share { due_us, mean_ms, is_away } = share;
    format!("share {name} {user} due {due_us} mean {mean_ms} away {is_away}")
}

/// The line of a dump about what was charged for a task.
#[must_use]
pub fn charged_line(name: &Name, user: &UserId, task: TaskId, charged: &Charged) -> String {
    let Charged { since_lt, ms, weight } = charged;
    format!("charged {name} {user} {task} since {since_lt} for {ms} weight {weight}")
}
