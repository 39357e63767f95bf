//! Room: how many tasks run in a queue, of a user and of all, and in which time they start; and lanes
//! that get in again when one of them is over, or when it is time for another. Knows not whose turn it
//! is.
//!
//! moves: nothing

use super::Partition;
use super::step::Step;
use crate::gate::{Gate, user_gate};
use crate::ids::{Name, TaskId, UserId};
use crate::limits::{THROTTLED_MAX, WAKES_MAX};
use crate::settings::rate;

impl Partition {
    /// Tasks of a user that run in a queue.
    pub(super) fn running(&self, name: &Name, user: &UserId) -> u32 {
        self.users.get(user).and_then(|user| user.running.get(name)).copied().unwrap_or(0)
    }

    /// A task of the user starts.
    pub(super) fn starts(&mut self, name: &Name, user: &UserId, task: TaskId, lt_ms: i64) {
        self.charge(name, user, task, lt_ms);
        if let Some(queue) = self.queues.get_mut(name)
            && let Some(rate) = queue.settings.rate_total
        {
            queue.total_full_us = rate.spent(queue.total_full_us, lt_ms, 1);
        }
        if !self.queues.get(name).is_some_and(super::Queue::is_paced) {
            return;
        }
        let facts = self.facts_at(name, user, lt_ms);
        if let Some(rate) = rate(&facts.queue, &facts.user) {
            let full_us = rate.spent(facts.full_us, lt_ms, 1);
            self.queue(name).full_us.insert(user.clone(), full_us);
        }
    }

    /// Looks at a lane again that was set aside, after a time.
    pub(super) fn look_again(&mut self, name: &Name, user: &UserId, lt_ms: i64, in_ms: u64) {
        // What was kept may be of another rate: from now on it is of this one.
        let facts = self.facts_at(name, user, lt_ms);
        if let Some(rate) = rate(&facts.queue, &facts.user) {
            let full_us = rate.counted_us(facts.full_us, lt_ms);
            self.queue(name).full_us.insert(user.clone(), full_us);
        }
        let at = lt_ms.saturating_add_unsigned(in_ms);
        let lane = (name.clone(), user.clone());
        if let Some(before) = self.throttled.insert(lane, at) {
            self.good.remove(&(before, name.clone(), user.clone()));
        }
        self.good.insert((at, name.clone(), user.clone()));
    }

    /// Looks at the lanes whose time has come. What is over [`THROTTLED_MAX`] is the next sync's, at
    /// once.
    pub(super) fn let_through(&mut self, step: &mut Step) {
        let lt_ms = self.lease_time(step.now_ms);
        let due = self.good.iter().take_while(|(at, ..)| *at <= lt_ms).take(THROTTLED_MAX);
        for (at, name, user) in due.cloned().collect::<Vec<_>>() {
            self.throttled.remove(&(name.clone(), user.clone()));
            self.good.remove(&(at, name.clone(), user.clone()));
            self.readmit(step, &name, &user, lt_ms);
        }
        let over: Vec<Name> = self
            .resting
            .iter()
            .filter(|(_, at)| **at <= lt_ms)
            .map(|(name, _)| name.clone())
            .collect();
        for name in over {
            self.resting.remove(&name);
            if self.queue(&name).starts_in_ms(lt_ms) == 0 {
                step.roomy.insert(name);
            } else {
                self.rest(&name, lt_ms);
            }
        }
    }

    /// A queue with work is looked at again when the next task may start, where it may not now because of
    /// what has started over all users.
    pub(super) fn rest(&mut self, name: &Name, lt_ms: i64) {
        let Some(queue) = self.queues.get_mut(name).filter(|queue| !queue.ring.is_empty()) else {
            return;
        };
        let Some(rate) = queue.settings.rate_total else { return };
        let in_ms = queue.starts_in_ms(lt_ms);
        if in_ms > 0 {
            // What was kept may be of another rate: from now on it is of this one.
            queue.total_full_us = rate.counted_us(queue.total_full_us, lt_ms);
            self.resting.insert(name.clone(), lt_ms.saturating_add_unsigned(in_ms));
        }
    }

    /// Lets a lane in again if it was set aside and nothing is in its way any more.
    fn readmit(&mut self, step: &mut Step, name: &Name, user: &UserId, lt_ms: i64) {
        if !self.queues.get(name).is_some_and(|queue| queue.full.contains(user)) {
            return;
        }
        match user_gate(&self.facts_at(name, user, lt_ms)) {
            Gate::Open => {
                let mut ringed = Vec::new();
                self.let_in(name, user, &mut ringed);
                step.roomy.extend(ringed);
            }
            Gate::Rate { good_in_ms } => self.look_again(name, user, lt_ms, good_in_ms),
            Gate::Paused(_)
            | Gate::UserLimit { .. }
            | Gate::QueueLimit { .. }
            | Gate::QueueRate { .. } => {}
        }
    }

    /// A task of the user is about to run no more.
    pub(super) fn leaves(&mut self, step: &mut Step, name: &Name, user: &UserId) {
        let queue = self.queue(name);
        queue.running -= 1;
        if queue.total().is_some() {
            step.freed.insert(name.clone());
        }
        if queue.is_counted() {
            step.leaves(name, user);
        }
    }

    /// Lets lanes in again whose users have had tasks that run no more, and who may start others.
    pub(super) fn make_room(&mut self, step: &mut Step) {
        let lt_ms = self.lease_time(step.now_ms);
        for (name, user) in step.take_left() {
            self.readmit(step, &name, &user, lt_ms);
        }
    }

    /// Wakes workers where lanes got in or a queue has room again, and somebody is still to be served,
    /// when the claim is over: who made the room has taken from it first.
    pub(super) fn wake_for_room(&mut self, step: &mut Step) {
        let lt_ms = self.lease_time(step.now_ms);
        let mut left = WAKES_MAX;
        let mut roomy = std::mem::take(&mut step.roomy);
        roomy.append(&mut step.freed);
        for name in roomy {
            if left == 0 {
                break;
            }
            if self.queues.get(&name).is_some_and(|queue| queue.has_turns(lt_ms)) {
                left -= self.wake(step, &name, 1);
            }
        }
    }

    /// Lets all lanes of a queue in again that were set aside there: each is looked at when its turn
    /// comes.
    pub(super) fn let_all_in(&mut self, name: &Name) {
        let queue = self.queue(name);
        let full = std::mem::take(&mut queue.full);
        queue.ring.extend(full);
    }
}
