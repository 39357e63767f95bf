//! What a worker knows of one partition: whether to look there, and when.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tasktonic_core::Name;
use tasktonic_core::command::Op;
use tasktonic_core::limits::MAINTENANCE_MS;
use tasktonic_core::routing::PartitionId;

use crate::limits::{LOOK_EVERY, STORE_WAIT_FIRST, STORE_WAIT_MAX};

#[derive(Debug)]
pub(crate) struct Partition {
    pub(super) id: PartitionId,
    /// Whether a request is on its way: there is one at most.
    pub(super) in_flight: bool,
    /// Whether there may be work.
    pub(super) hot: bool,
    /// Whether it gave all that it was last asked for: more may wait there.
    pub(super) has_backlog: bool,
    /// When it was last asked for work.
    pub(super) asked_at: Instant,
    /// How often it was asked for work since another one was.
    pub(super) in_a_row: u32,
    /// Since when what is to be said there is held back, to be said together with more.
    pub(super) held_since: Option<Instant>,
    /// Queues for which it was woken since the last call.
    pub(super) woken: BTreeSet<Name>,
    /// When to look though nobody woke it.
    pub(super) look_at: Instant,
    /// Not before this, because the store did not answer.
    pub(super) wait_until: Instant,
    /// Progress and lines alone are not sent before this.
    pub(super) report_from: Instant,
    /// Operations on leases without an attempt: adopted ones, and claims that are not started.
    pub(super) settling: Vec<Op>,
    /// An answer was lost: ask what is held before anything is claimed.
    pub(super) ask_held: bool,
    /// How often it was asked for work.
    pub(super) claims: u64,
    /// The fewest places that a task takes of a queue which the last claim did not name, if it left one
    /// out.
    pub(super) left_out: Option<u32>,
    failures: u32,
}

impl Partition {
    pub(super) fn new(p: u16, now: Instant) -> Self {
        Self {
            id: PartitionId(p),
            in_flight: false,
            hot: true,
            has_backlog: false,
            asked_at: now,
            in_a_row: 0,
            held_since: None,
            woken: BTreeSet::new(),
            look_at: now + LOOK_EVERY,
            wait_until: now,
            report_from: now,
            settling: Vec::new(),
            ask_held: false,
            claims: 0,
            left_out: None,
            failures: 0,
        }
    }

    pub(super) fn woken(&mut self, queue: Name) {
        self.woken.insert(queue);
        self.hot = true;
    }

    pub(super) fn look_again(&mut self) {
        self.hot = true;
    }

    pub(super) fn has_nothing_to_settle(&self) -> bool {
        self.settling.is_empty() && !self.ask_held
    }

    /// Whether there may be work for one of `free` places, or it is time to see.
    pub(super) fn wants_a_look(&self, now: Instant, free: u32) -> bool {
        let has_room = self.left_out.is_some_and(|places| places <= free);
        self.hot || self.look_at <= now || has_room
    }

    /// Whether it answers, as far as is known.
    pub(super) fn answers(&self) -> bool {
        self.failures == 0 && !self.ask_held
    }

    /// Whether something may be said to it now.
    pub(super) fn hears(&self, now: Instant) -> bool {
        !self.in_flight && self.wait_until <= now
    }

    /// Whether it would be asked for work now, if there are places: `free` of them.
    pub(super) fn may_be_asked_for_work(&self, now: Instant, free: u32) -> bool {
        self.answers() && self.hears(now) && self.wants_a_look(now, free)
    }

    /// A part of what was said was not heard: it is said again in a moment.
    pub(super) fn pause(&mut self, now: Instant, chance: f64) {
        self.wait_until = now + STORE_WAIT_FIRST.mul_f64(0.5 + chance);
    }

    /// The store answered.
    pub(super) fn answered(&mut self) {
        if self.failures > 1 {
            tracing::info!(partition = self.id.0, "the store answers again");
        }
        self.failures = 0;
    }

    /// The store did not answer: wait, longer each time, and not all workers equally long.
    pub(super) fn failed(&mut self, now: Instant, chance: f64) -> u32 {
        self.failures = self.failures.saturating_add(1);
        let wait = STORE_WAIT_FIRST.saturating_mul(1 << (self.failures - 1).min(10));
        self.wait_until = now + wait.min(STORE_WAIT_MAX).mul_f64(0.5 + chance);
        self.failures
    }

    /// When to look next though nobody wakes it, from what the store said.
    pub(super) fn set_next_look(&mut self, now: Instant, next_in_ms: Option<u64>, chance: f64) {
        // A little late, so that a server that looks too comes first; not before maintenance is
        // due, since it would find nothing.
        let least_ms = MAINTENANCE_MS.unsigned_abs();
        let next = next_in_ms.map_or(LOOK_EVERY, |ms| Duration::from_millis(ms.max(least_ms)));
        self.look_at = now + next.min(LOOK_EVERY) + Duration::from_millis(100).mul_f64(chance);
    }

    /// The same from an answer to a call that claimed nothing: sooner perhaps, later never.
    pub(super) fn look_by(&mut self, now: Instant, next_in_ms: Option<u64>, chance: f64) {
        let before = self.look_at;
        self.set_next_look(now, next_in_ms, chance);
        self.look_at = self.look_at.min(before.max(now));
    }
}
