//! What is kept of leases over a restart: lease time, and until when workers of other processes were
//! heard. Not every heartbeat is written: a restart may forget those of the last second, but never
//! the first of a worker after a restart, so that however often it happens only one is forgotten.

use super::Partition;
use super::step::Step;
use crate::changes::Record;
use crate::ids::WorkerId;
use crate::lease_time::LeaseTime;
use crate::limits::{LEASE_MS_DEFAULT, LEASE_TIME_KEPT_EVERY_MS};

impl Partition {
    /// A worker was heard, and holds what it has until then, in lease time. Whether it is back: heard
    /// for the first time since a restart.
    pub(super) fn hear(&mut self, worker: &WorkerId, until_lt: i64) -> bool {
        // What shares our process ends with it, whenever it was heard.
        if worker.is_in_process() {
            return false;
        }
        match self.heard.get_mut(worker) {
            Some(known) => *known = until_lt.max(*known),
            None => {
                self.heard.insert(worker.clone(), until_lt);
            }
        }
        self.silent.remove(worker)
    }

    /// Writes lease time down now and then, while anybody elsewhere holds anything; in the round of a
    /// sync in which a worker `took` something, if it is not known there until when; and in that of
    /// one who `is_back`. So on the disk no worker's leases end more than a moment too early, and none
    /// is of a lease time that is not there.
    pub(super) fn keep_lease_time(
        &mut self,
        step: &mut Step,
        took: Option<(&WorkerId, i64)>,
        is_back: bool,
    ) {
        if self.heard.is_empty() {
            return;
        }
        if self.leases.is_empty() {
            self.heard.clear();
            self.silent.clear();
            return;
        }
        let lt = self.lease_time(step.now_ms);
        let is_fresh = |kept: &LeaseTime| {
            let knows = |(worker, until_lt): (&WorkerId, i64)| {
                worker.is_in_process()
                    || kept.of(worker).is_some_and(|k| until_lt < k + LEASE_TIME_KEPT_EVERY_MS)
            };
            lt < kept.lt + LEASE_TIME_KEPT_EVERY_MS && took.is_none_or(knows)
        };
        if !is_back && self.kept_lt.as_ref().is_some_and(is_fresh) {
            return;
        }
        self.heard.retain(|_, until_lt| *until_lt > lt);
        self.silent.retain(|worker| self.heard.contains_key(worker));
        let until = self.heard.iter().map(|(worker, until)| (worker.clone(), *until)).collect();
        let kept = LeaseTime { lt, at_ms: step.now_ms, until };
        step.record(Record::LeaseTime(kept.clone()));
        self.kept_lt = Some(kept);
    }

    /// Lease time goes on from where it was written down.
    pub(super) fn resume_lease_time(&mut self, now_ms: i64, kept: Option<LeaseTime>) {
        (self.lt, self.mt) = kept.as_ref().map_or((0, now_ms), |kept| (kept.lt, kept.at_ms));
        self.heard = kept.iter().flat_map(|kept| kept.until.iter().cloned()).collect();
        self.silent = self.heard.keys().cloned().collect();
        self.kept_lt = kept;
    }

    /// The end of what `worker` held before a restart. Where that was never written down it gets a
    /// fresh lease.
    pub(super) fn resumed(&mut self, worker: &WorkerId, now_ms: i64) -> i64 {
        if worker.is_in_process() {
            return 0;
        }
        let Some(kept) = &self.kept_lt else {
            let until_lt = self.lease_time(now_ms) + i64::from(LEASE_MS_DEFAULT);
            self.heard.insert(worker.clone(), until_lt);
            return until_lt;
        };
        kept.of(worker).unwrap_or(kept.lt)
    }
}
