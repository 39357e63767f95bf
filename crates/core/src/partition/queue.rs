//! What a partition knows of one queue: turns, parked workers, weights. Knows users by their ids
//! and no task.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::ids::{UserId, WorkerId};

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Users whose lane is not empty, in the order of their turns.
    pub(super) ring: VecDeque<UserId>,
    /// Parked workers, by the lease time at which they parked.
    pub(super) idle: BTreeMap<WorkerId, i64>,
    /// Turns for one of the others, where not 1.
    pub(super) weights: HashMap<UserId, u32>,
    /// What is left of a turn that was cut short; only while weights exist.
    pub(super) credit: HashMap<UserId, u32>,
}

impl Queue {
    /// Whether users have turns of different sizes.
    pub(super) fn is_weighted(&self) -> bool {
        !self.weights.is_empty()
    }

    /// A user's turns for one of the others.
    pub(super) fn weight(&self, user: &UserId) -> u32 {
        self.weights.get(user).copied().unwrap_or(1)
    }

    /// Sets a user's weight; 1 is the default and is not kept.
    pub(super) fn weigh(&mut self, user: UserId, weight: u32) {
        if weight != 1 {
            self.weights.insert(user, weight);
            return;
        }
        self.weights.remove(&user);
        if !self.is_weighted() {
            self.credit.clear();
        }
    }

    /// Takes out the worker that has been parked for longest.
    pub(super) fn pop_idle(&mut self) -> Option<WorkerId> {
        let longest = self.idle.iter().min_by_key(|(id, lt)| (**lt, *id));
        let worker = longest.map(|(id, _)| id.clone())?;
        self.idle.remove(&worker);
        Some(worker)
    }
}
