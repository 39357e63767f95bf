//! What a partition knows of one queue: turns, parked workers, settings. Knows users by their ids
//! and no task.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::gate::{Gate, Total, queue_gate};
use crate::ids::{TaskId, UserId, WorkerId};
use crate::policy::turns::{Charged, Meter, Share};
use crate::settings::{QueueSettings, Rate, Turns, UserSettings};

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Users whose lane is not empty, in the order of their turns.
    pub(super) ring: VecDeque<UserId>,
    /// Users whose lane is not empty and who get no turn because of what is set of them here.
    pub(super) full: BTreeSet<UserId>,
    /// Parked workers, by the lease time at which they parked.
    pub(super) idle: BTreeMap<WorkerId, i64>,
    /// What holds for everybody.
    pub(super) settings: QueueSettings,
    /// What holds for one user, where that is anything.
    pub(super) users: HashMap<UserId, UserSettings>,
    /// How many of them have limits on what starts.
    limited: usize,
    /// When all that started of a user is made up for, in µs of lease time; only while anything has a
    /// rate here. Not kept over a restart.
    pub(super) full_us: HashMap<UserId, i64>,
    /// What is left of a turn that was cut short; only while anything is set of users.
    pub(super) credit: HashMap<UserId, u32>,
    /// Tasks that run, over all users.
    pub(super) running: u32,
    /// Tasks that run in other partitions, as far as this one was told. Not kept over a restart.
    pub(super) elsewhere: u32,
    /// When all that started is made up for, over all users, in µs of lease time; only while there is a
    /// rate over all of them. Not kept over a restart.
    pub(super) total_full_us: i64,
    /// What users have had of the workers' time; only where turns are by run time. Not kept over a
    /// restart.
    pub(super) times: Times,
}

/// What users have had of the workers' time.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub(super) meter: Meter,
    pub(super) shares: HashMap<UserId, Share>,
    /// What was charged for each task that runs.
    pub(super) charged: BTreeMap<(UserId, TaskId), Charged>,
}

impl Queue {
    /// Whether users may have turns of different sizes.
    pub(super) fn is_weighted(&self) -> bool {
        !self.users.is_empty()
    }

    /// What holds for a user.
    pub(super) fn user(&self, user: &UserId) -> UserSettings {
        self.users.get(user).copied().unwrap_or_default()
    }

    /// Sets what holds for a user; all defaults are not kept.
    pub(super) fn set_user(&mut self, user: UserId, settings: UserSettings) {
        self.limited += usize::from(settings.limits_starts());
        let before = if settings.is_default() {
            self.users.remove(&user)
        } else {
            self.users.insert(user, settings)
        };
        self.limited -= usize::from(before.is_some_and(|before| before.limits_starts()));
        if !self.is_weighted() {
            self.credit.clear();
        }
        self.drop_pace();
    }

    /// Whether anything may limit how many tasks of a user run, so that they are counted.
    pub(super) fn is_counted(&self) -> bool {
        self.settings.running_max.is_some() || self.limited > 0
    }

    /// Whether anything may limit in which time tasks of a user start.
    pub(super) fn is_paced(&self) -> bool {
        self.settings.rate.is_some() || self.limited > 0
    }

    /// Whether turns are by run time.
    pub(super) fn is_timed(&self) -> bool {
        self.settings.turns == Turns::RunTime
    }

    /// Forgets what goes with turns of the other sort.
    pub(super) fn drop_turns(&mut self) {
        if self.is_timed() {
            self.credit.clear();
        } else {
            self.times = Times::default();
        }
    }

    /// Forgets what has started where nothing limits that any more.
    pub(super) fn drop_pace(&mut self) {
        if !self.is_paced() {
            self.full_us.clear();
        }
        if self.settings.rate_total.is_none() {
            self.total_full_us = 0;
        }
    }

    /// What runs over all users, where something limits that.
    pub(super) fn total(&self) -> Option<Total> {
        let max = self.settings.running_total_max?;
        Some(Total { running: self.running.saturating_add(self.elsewhere), max })
    }

    /// How many tasks may start, whose they are.
    pub(super) fn room(&self, lt_ms: i64) -> u32 {
        let running = self.total().map_or(u32::MAX, Total::room);
        let allowed = |rate: Rate| rate.allowed(self.total_full_us, lt_ms);
        self.settings.rate_total.map_or(running, |rate| running.min(allowed(rate)))
    }

    /// In how many ms the next may start by what has started over all users; 0 where it may now.
    pub(super) fn starts_in_ms(&self, lt_ms: i64) -> u64 {
        let good_ms = |rate: Rate| rate.good_at_ms(self.total_full_us, lt_ms);
        let good_ms = self.settings.rate_total.map_or(lt_ms, good_ms);
        good_ms.saturating_sub(lt_ms).unsigned_abs()
    }

    /// Whether anything in it may be handed out, but for what is set of its users and for the time.
    pub(super) fn is_open(&self) -> bool {
        queue_gate(&self.settings) == Gate::Open && self.total().is_none_or(|of| of.room() > 0)
    }

    /// Whether there is somebody whose turn it is.
    pub(super) fn has_turns(&self, lt_ms: i64) -> bool {
        !self.ring.is_empty() && self.is_open() && self.room(lt_ms) > 0
    }

    /// Takes out the worker that has been parked for longest.
    pub(super) fn pop_idle(&mut self) -> Option<WorkerId> {
        let longest = self.idle.iter().min_by_key(|(id, lt)| (**lt, *id));
        let worker = longest.map(|(id, _)| id.clone())?;
        self.idle.remove(&worker);
        Some(worker)
    }
}
