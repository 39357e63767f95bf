//! What a worker knows of one partition: whether to look there, and when.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tasktonic_core::Name;
use tasktonic_core::command::Op;
use tasktonic_core::limits::MAINTENANCE_MS;
use tasktonic_core::routing::PartitionId;

use crate::limits::{
    HELD_AT_MOST, LATE_AT_MOST, LOOK_AGAIN, LOOK_EVERY, SILENT_AFTER, STORE_WAIT_FIRST,
    STORE_WAIT_MAX,
};

#[derive(Debug)]
pub(crate) struct Partition {
    pub(super) id: PartitionId,
    /// Since when a request is on its way: there is one at most.
    in_flight_since: Option<Instant>,
    /// Whether there may be work.
    pub(super) hot: bool,
    /// Whether it gave all that it was last asked for: more may wait there.
    pub(super) has_backlog: bool,
    /// When it was last asked for work.
    pub(super) asked_at: Instant,
    /// Since when what is to be said there is held back, to be said together with more.
    held_since: Option<Instant>,
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
            in_flight_since: None,
            hot: true,
            has_backlog: false,
            asked_at: now,
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

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight_since.is_some()
    }

    /// Whether a request is on its way that went out a moment ago. One that hangs keeps nobody waiting.
    pub(super) fn is_heard_soon(&self, now: Instant) -> bool {
        self.in_flight_since.is_some_and(|since| now < since + HELD_AT_MOST)
    }

    /// From when on it is silent, unless the request that is on its way is answered before.
    pub(super) fn silent_from(&self) -> Option<Instant> {
        self.in_flight_since.map(|since| since + SILENT_AFTER)
    }

    /// Whether a request is on its way that should have been answered by now.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.silent_from().is_some_and(|at| at <= now)
    }

    /// Until when what is to be said there is held back from now on; `None` if it was for long enough.
    pub(super) fn held_until(&mut self, now: Instant) -> Option<Instant> {
        let since = *self.held_since.get_or_insert(now);
        Some(since + HELD_AT_MOST).filter(|until| now < *until)
    }

    /// A request with all that is to be said is on its way.
    pub(super) fn is_sent(&mut self, now: Instant) {
        self.in_flight_since = Some(now);
        self.held_since = None;
    }

    /// There is an answer, or there will be none.
    pub(super) fn is_back(&mut self) {
        self.in_flight_since = None;
    }

    /// Whether something may be said to it now.
    pub(super) fn hears(&self, now: Instant) -> bool {
        !self.is_in_flight() && self.wait_until <= now
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
        let next = match next_in_ms {
            None => LOOK_EVERY,
            // What is left of maintenance goes on at its pace: it is not to keep a store busy.
            Some(0) => Duration::from_millis(MAINTENANCE_MS.unsigned_abs()),
            Some(ms) => Duration::from_millis(ms).clamp(LOOK_AGAIN, LOOK_EVERY),
        };
        // A little late, so that a server that looks too comes first. What is limited by a rate of one
        // at a time loses what is late, so it is a part of the wait.
        self.look_at = now + next + (next / 10).min(LATE_AT_MOST).mul_f64(chance);
    }

    /// The same from an answer to a call that claimed nothing: sooner perhaps, later never.
    pub(super) fn look_by(&mut self, now: Instant, next_in_ms: Option<u64>, chance: f64) {
        let before = self.look_at;
        self.set_next_look(now, next_in_ms, chance);
        self.look_at = self.look_at.min(before.max(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_is_said_in_time_whatever_else_is_on_its_way() {
        let begun = Instant::now();
        let mut partition = Partition::new(0, begun);
        let until = partition.held_until(begun).unwrap();
        assert_eq!(until, begun + HELD_AT_MOST);
        let later = begun + HELD_AT_MOST / 2;
        assert_eq!(partition.held_until(later), Some(until), "looking again adds nothing");
        assert_eq!(partition.held_until(until), None);
        partition.is_sent(until);
        assert_eq!(partition.held_until(until), Some(until + HELD_AT_MOST), "the next begins anew");
    }

    #[test]
    fn a_look_is_late_by_a_part_of_its_wait() {
        let (now, mut partition) = (Instant::now(), Partition::new(0, Instant::now()));
        let mut look = |next_in_ms, chance| {
            partition.set_next_look(now, next_in_ms, chance);
            (partition.look_at - now).as_millis()
        };
        assert_eq!((look(Some(20), 0.0), look(Some(20), 1.0)), (20, 22), "the next of a rate");
        assert_eq!((look(Some(5_000), 0.0), look(Some(5_000), 1.0)), (5_000, 5_100));
        assert_eq!((look(Some(1), 0.0), look(None, 1.0)), (5, 60_100));
        assert_eq!(look(Some(0), 0.0), 200, "what is left of maintenance goes on at its pace");
    }

    #[test]
    fn a_request_is_waited_for_while_it_is_young() {
        let begun = Instant::now();
        let mut partition = Partition::new(0, begun);
        assert!(!partition.is_heard_soon(begun) && partition.hears(begun));
        partition.is_sent(begun);
        assert!(partition.is_heard_soon(begun) && !partition.hears(begun));
        assert!(!partition.is_heard_soon(begun + HELD_AT_MOST), "it hangs: others go on");
        let silent_from = begun + SILENT_AFTER;
        assert!(!partition.is_silent(silent_from - Duration::from_nanos(1)));
        assert!(partition.is_silent(silent_from), "what ended waits without its places");
        partition.is_back();
        assert!(!partition.is_heard_soon(begun) && partition.hears(begun));
        assert!(!partition.is_silent(silent_from), "it has answered");
    }
}
