//! What operators set of queues and users, and how lanes that were set aside get in again. Knows
//! settings as values: whose they are and who may change them is decided elsewhere.
//!
//! moves: nothing

use std::collections::BTreeMap;

use super::Partition;
use super::step::Step;
use crate::changes::Record;
use crate::ids::{Name, UserId};
use crate::limits::WAKES_MAX;
use crate::reply::Controlled;
use crate::settings::{By, QueueSettings, Rate, UserSettings};

impl Partition {
    /// Everything set of queues, at once. An older version than the one that is there changes
    /// nothing, so that of two servers the one that read earlier cannot undo the other's.
    pub(super) fn set_queues(
        &mut self,
        step: &mut Step,
        version: u64,
        queues: Vec<(Name, QueueSettings)>,
    ) -> Controlled {
        if version <= self.queues_version {
            let same = version == self.queues_version;
            return if same { Controlled::Done } else { Controlled::Changed };
        }
        let mut wanted: BTreeMap<Name, QueueSettings> = queues.into_iter().collect();
        for (name, queue) in &self.queues {
            if !queue.settings.is_default() && !wanted.contains_key(name) {
                wanted.insert(name.clone(), QueueSettings::default());
            }
        }
        for (name, settings) in wanted {
            let settings = settings.bounded();
            let lt_ms = self.lease_time(step.now_ms);
            let queue = self.queue(&name);
            if queue.settings == settings {
                continue;
            }
            let was_open = queue.is_open() && queue.room(lt_ms) > 0;
            let before = queue.settings;
            queue.settings = settings;
            queue.drop_pace();
            queue.drop_turns();
            let limits = |of: &QueueSettings| (of.running_max, of.rate);
            if before.rate_total != settings.rate_total {
                self.resting.remove(&name);
                // What has started by another rate counts as if by this one.
                let queue = self.queue(&name);
                let counted = |rate: Rate| rate.counted_us(queue.total_full_us, lt_ms);
                queue.total_full_us = settings.rate_total.map_or(0, counted);
            }
            let queue = self.queue(&name);
            let lets_in = limits(&before) != limits(&settings) && !queue.full.is_empty();
            if lets_in {
                self.let_all_in(&name);
            }
            let opens = (lets_in || !was_open) && self.queue(&name).has_turns(lt_ms);
            step.record(Record::Queue { queue: name.clone(), settings });
            if opens {
                self.wake(step, &name, WAKES_MAX);
            }
        }
        self.queues_version = version;
        step.record(Record::QueuesVersion(version));
        Controlled::Done
    }

    /// What holds for one user in a queue. A lane that was set aside gets in again, and is looked
    /// at when its turn comes.
    pub(super) fn set_user(
        &mut self,
        step: &mut Step,
        name: Name,
        user: UserId,
        settings: UserSettings,
    ) -> Controlled {
        let settings = settings.bounded();
        if self.queues.get(&name).map(|queue| queue.user(&user)).unwrap_or_default() == settings {
            return Controlled::Done;
        }
        self.queue(&name).set_user(user.clone(), settings);
        let mut ringed = Vec::new();
        self.let_in(&name, &user, &mut ringed);
        self.wake_for(step, ringed);
        step.record(Record::User { queue: name, user, settings });
        Controlled::Done
    }

    /// All work of a user.
    pub(super) fn pause(
        &mut self,
        step: &mut Step,
        user: UserId,
        by: By,
        paused: bool,
    ) -> Controlled {
        let before = self.pauses(&user);
        let pauses = before.with(by, paused);
        if pauses == before {
            return Controlled::Done;
        }
        if pauses.any() {
            self.paused.insert(user.clone(), pauses);
        } else {
            self.paused.remove(&user);
            let aside = self.users.get_mut(&user).map(|user| std::mem::take(&mut user.aside));
            let ringed: Vec<Name> = aside.unwrap_or_default().into_iter().collect();
            for name in &ringed {
                self.queue(name).ring.push_back(user.clone());
            }
            self.wake_for(step, ringed);
        }
        step.record(Record::Pause { user, pauses });
        Controlled::Done
    }
}
