//! Room: how many tasks of a user run in a queue, and lanes that get in again when one of them is
//! over. Knows neither why there is a limit nor whose turn it is.
//!
//! moves: nothing

use super::Partition;
use super::step::Step;
use crate::gate::{Gate, user_gate};
use crate::ids::{Name, UserId};
use crate::limits::WAKES_MAX;

impl Partition {
    /// Tasks of a user that run in a queue.
    pub(super) fn running(&self, name: &Name, user: &UserId) -> u32 {
        self.users.get(user).and_then(|user| user.running.get(name)).copied().unwrap_or(0)
    }

    /// Whether anything set of a user or the queue keeps their lane out of the ring.
    pub(super) fn is_held_back(&self, name: &Name, user: &UserId) -> bool {
        user_gate(&self.facts(name, user)) != Gate::Open
    }

    /// A task of the user is about to run no more.
    pub(super) fn leaves(&self, step: &mut Step, name: &Name, user: &UserId) {
        if self.queues.get(name).is_some_and(super::Queue::is_counted) {
            step.leaves(name, user);
        }
    }

    /// Lets lanes in again whose users have had tasks that run no more, and who may start others.
    pub(super) fn make_room(&mut self, step: &mut Step) {
        for (name, user) in step.take_left() {
            let is_full = self.queues.get(&name).is_some_and(|queue| queue.full.contains(&user));
            if is_full && !self.is_held_back(&name, &user) {
                let mut ringed = Vec::new();
                self.let_in(&name, &user, &mut ringed);
                step.roomy.extend(ringed);
            }
        }
    }

    /// Wakes workers where lanes got in and are still to be served, when the claim is over: who
    /// made the room has taken from it first.
    pub(super) fn wake_for_room(&mut self, step: &mut Step) {
        let mut left = WAKES_MAX;
        for name in std::mem::take(&mut step.roomy) {
            if left == 0 {
                break;
            }
            if self.queues.get(&name).is_some_and(super::Queue::has_turns) {
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
