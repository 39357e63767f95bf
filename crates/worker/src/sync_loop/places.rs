//! Places: how many are free, what a claim asks for, and saving up, where tasks of some kinds take
//! several. Knows no store.
//!
//! A claim takes tasks in their order while they fit, and stops at a queue whose next task does not.
//! From then on nothing is claimed anywhere until as many places are free as that one takes, and then
//! it is asked for first: small tasks would otherwise take each place as it becomes free. Now and then
//! the worker asks though they are not free, because another one may have taken it.

use std::time::Instant;

use tasktonic_core::Name;
use tasktonic_core::command::Claim;

use super::SyncLoop;
use crate::attempt::Attempt;
use crate::limits::SAVE_FOR;

/// Places that are kept free for the next task of a queue.
#[derive(Debug, Clone)]
pub(super) struct Saving {
    /// The partition in which it waits.
    index: usize,
    queue: Name,
    /// How many it takes.
    places: u32,
    /// When to ask though there are fewer.
    until: Instant,
}

impl SyncLoop {
    /// Places for which nobody is found yet.
    pub(super) fn free_places(&self) -> u32 {
        let taken: u32 = self.attempts.values().map(Attempt::takes).sum();
        self.setup.concurrency.saturating_sub(taken.saturating_add(self.reserved))
    }

    /// Whether a task that takes so many can run beside those that do.
    pub(super) fn has_place_for(&self, places: u32) -> bool {
        let taken: u32 = self.attempts.values().map(Attempt::works_in).sum();
        taken.saturating_add(places) <= self.setup.concurrency
    }

    /// How many places a task of a queue takes.
    pub(super) fn places_of(&self, queue: &Name) -> u32 {
        let known = self.setup.queues.iter().find(|(name, _)| name == queue);
        known.map_or(1, |(_, places)| *places)
    }

    /// How many the largest task takes.
    fn most_places(&self) -> u32 {
        self.setup.queues.iter().map(|(_, places)| *places).max().unwrap_or(1)
    }

    /// Whether no task takes more than one.
    pub(super) fn takes_one_each(&self) -> bool {
        self.most_places() == 1
    }

    /// Whether a claim that has `free` places should name a queue. What does not fit is named so that it
    /// has its turn: but not where even all places that others take would be too few, because a task of
    /// the same queue is at work in the rest.
    fn names(&self, (queue, places): (&Name, u32), free: u32) -> bool {
        let of_queue = self.attempts.values().filter(|attempt| attempt.lease.queue == *queue);
        let taken: u32 = of_queue.map(Attempt::takes).sum();
        places <= free || places <= self.setup.concurrency.saturating_sub(taken)
    }

    /// Whether one partition may be asked for work now, with so many places.
    pub(super) fn may_claim(&self, index: usize, free: u32, now: Instant) -> bool {
        if self.draining.is_some() || free == 0 {
            return false;
        }
        let is_its_turn = |saving: &Saving| {
            saving.index == index && (free >= saving.places || now >= saving.until)
        };
        self.saving.as_ref().is_none_or(is_its_turn)
            && self.setup.queues.iter().any(|(queue, places)| self.names((queue, *places), free))
    }

    /// How many of the places that are free one of `askable` partitions is asked to fill. Never fewer
    /// than the largest task takes, if there are as many: a share would stop at it.
    pub(super) fn share(&self, free: u32, askable: usize) -> u32 {
        let saved = self.saving.as_ref().map(|saving| saving.places);
        let share = || free.div_ceil(u32::try_from(askable.max(1)).unwrap_or(1));
        saved.unwrap_or_else(|| share().max(self.most_places())).min(free)
    }

    /// What one partition is asked for: queues in the order of this call, each first in its turn, but
    /// before all others the one for which places were saved.
    pub(super) fn claim(&mut self, index: usize, limit: u32) -> (Claim, Option<Saving>) {
        let saved = self.saving.take_if(|saving| saving.index == index);
        let mut queues = self.setup.queues.clone();
        let place = saved
            .as_ref()
            .and_then(|saved| queues.iter().position(|(queue, _)| *queue == saved.queue));
        let count = queues.len().max(1) as u64;
        let partition = &mut self.partitions[index];
        let first = place.unwrap_or_else(|| {
            partition.claims += 1;
            usize::try_from(partition.claims % count).unwrap_or(0)
        });
        queues.rotate_left(first);
        if let (Some(saved), Some((_, places))) = (&saved, queues.first_mut()) {
            *places = saved.places.max(*places);
        }
        let (named, left_out): (Vec<_>, Vec<_>) =
            queues.into_iter().partition(|(queue, places)| self.names((queue, *places), limit));
        self.partitions[index].left_out = left_out.iter().map(|(_, places)| *places).min();
        let (queues, places): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        let places = if self.takes_one_each() { Vec::new() } else { places };
        (Claim { queues, limit, places }, saved)
    }

    /// A claim stopped at a queue, or brought a task for which there are too few places. Who else is
    /// stopped meanwhile has their turn after that.
    pub(super) fn save_up(&mut self, index: usize, queue: Name, places: u32) {
        self.partitions[index].look_again();
        let until = Instant::now() + SAVE_FOR;
        self.saving.get_or_insert(Saving { index, queue, places, until });
    }

    /// Saves for nobody whose partition does not answer. Answers when to ask in any case.
    pub(super) fn look_at_saving(&mut self) -> Option<Instant> {
        let answers = |saving: &Saving| self.partitions[saving.index].answers();
        self.saving = self.saving.take().filter(answers);
        self.saving.as_ref().map(|saving| saving.until)
    }
}

impl Saving {
    /// How many places were saved, if it was for this queue.
    pub(super) fn places_for(&self, queue: &Name) -> Option<u32> {
        (self.queue == *queue).then_some(self.places)
    }
}
