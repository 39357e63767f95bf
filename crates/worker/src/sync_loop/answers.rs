//! What the store answered, and what follows.

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use tasktonic_core::command::Op;
use tasktonic_core::{Lease, Name, Text};
use tasktonic_protocol::stored::{Descriptor, StoredState};
use tasktonic_store::{
    Error, Held, KillPoint, Losses, QueryReply, SyncReply, settle, settle_after,
};

use super::SyncLoop;
use super::places::Saving;
use crate::Failure;
use crate::attempt::{Attempt, refused, unstarted};
use crate::conclude::Cause;
use crate::limits::{UNKNOWN_KIND_SNOOZE, trust};

/// What an operation of a sync was about.
#[derive(Debug)]
pub(super) enum Carried {
    /// A renewal, perhaps with the newest state.
    Renewal { key: u64, with_state: bool },
    /// Lines of a log.
    Lines { key: u64, lines: Vec<Text> },
    /// The last report of an attempt.
    End(u64),
    /// An operation on a lease without an attempt.
    Settled(Op),
}

/// The answer to a request of one partition.
pub(super) enum Answer {
    Sync {
        index: usize,
        sent: Instant,
        limit: u32,
        /// For whom places were saved before it.
        saved: Option<Saving>,
        carried: Vec<Carried>,
        woken: Vec<Name>,
        reply: tasktonic_store::Result<SyncReply>,
        /// Of what the reply adopted.
        losses: Losses,
    },
    Held {
        index: usize,
        reply: tasktonic_store::Result<QueryReply>,
        /// Of what is held.
        losses: Losses,
    },
}

impl SyncLoop {
    pub(super) fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Sync { index, sent, limit, saved, carried, woken, reply, losses } => {
                self.reserved -= limit;
                self.partitions[index].is_back();
                match reply {
                    Ok(reply) => {
                        let stopped_at = reply.stopped_at.clone();
                        self.take_reply(index, sent, limit, carried, reply, &losses);
                        if let Some(queue) = stopped_at {
                            let known = saved.and_then(|saved| saved.places_for(&queue));
                            let places = known.unwrap_or_else(|| self.places_of(&queue));
                            self.save_up(index, queue, places);
                        }
                    }
                    Err(error) => {
                        self.put_back(index, carried, woken, limit);
                        // Without an answer nobody knows what was claimed or adopted.
                        self.partitions[index].ask_held |= error == Error::OutcomeUnknown;
                        self.wait_for_store(index, &error);
                    }
                }
            }
            Answer::Held { index, reply, losses } => {
                self.partitions[index].is_back();
                match reply {
                    Ok(QueryReply::Held(held)) => {
                        self.partitions[index].answered();
                        self.partitions[index].ask_held = false;
                        self.give_back_unknown(index, held, &losses);
                    }
                    // It cannot be asked here: what was not seen lapses and is adopted.
                    Ok(_) | Err(Error::Invalid(_)) => self.partitions[index].ask_held = false,
                    Err(error) => self.wait_for_store(index, &error),
                }
            }
        }
    }

    fn take_reply(
        &mut self,
        index: usize,
        sent: Instant,
        limit: u32,
        carried: Vec<Carried>,
        reply: SyncReply,
        losses: &Losses,
    ) {
        let now = Instant::now();
        self.partitions[index].answered();
        let refused: HashSet<u32> = reply.refused.iter().copied().collect();
        let trusted_until = sent + trust(self.setup.lease);
        let mut unheard = Vec::new();
        for (op, carried) in (0..).zip(carried) {
            if reply.unheard.contains(&op) {
                unheard.push(carried);
            } else {
                self.take_verdict(carried, !refused.contains(&op), sent, trusted_until);
            }
        }
        if !unheard.is_empty() {
            self.put_back(index, unheard, Vec::new(), 0);
            self.partitions[index].pause(now, rand::random());
        }
        for lease in &reply.cancelled {
            let mut attempts = self.attempts.values_mut();
            if let Some(attempt) = attempts.find(|attempt| attempt.lease == *lease) {
                attempt.ask_to_stop(Cause::Asked, now);
            }
        }

        let now_ms = self.setup.shop.clock.now_ms();
        for held in &reply.adopted {
            self.newer_claim_wins(&held.lease, now);
        }
        if let Some(error) = losses.unread() {
            // Their leases run out again, and they are adopted again.
            let p = self.partitions[index].id.0;
            tracing::warn!(partition = p, %error, "the history of a task whose worker was lost could not be read; it is settled later");
        }
        let settled = settle_after(losses, &reply.adopted, &reply.cancelled, now_ms, rand::random);
        self.partitions[index].settling.extend(settled);

        let claimed = reply.claimed.len();
        if claimed > 0 {
            KillPoint::WorkerAfterClaim.pass();
        }
        for held in reply.claimed {
            self.newer_claim_wins(&held.lease, now);
            self.take_claim(index, held, reply.epoch, (sent, trusted_until));
        }
        let partition = &mut self.partitions[index];
        // Only a call that found nothing has parked; any other is followed by one.
        partition.hot |= limit > 0 && (claimed > 0 || reply.more > 0);
        if limit > 0 {
            partition.has_backlog = claimed >= usize::try_from(limit).unwrap_or(usize::MAX);
            partition.set_next_look(now, reply.next_in_ms, rand::random());
        } else {
            partition.look_by(now, reply.next_in_ms, rand::random());
        }
    }

    fn take_verdict(
        &mut self,
        carried: Carried,
        taken: bool,
        sent: Instant,
        trusted_until: Instant,
    ) {
        let (Carried::Renewal { key, .. } | Carried::Lines { key, .. } | Carried::End(key)) =
            carried
        else {
            return;
        };
        let Some(attempt) = self.attempts.get_mut(&key) else { return };
        match carried {
            Carried::End(_) => {
                if taken {
                    KillPoint::WorkerAfterAck.pass();
                } else {
                    let task = attempt.lease.task;
                    tracing::info!(%task, kind = attempt.kind(), "the end of an attempt was not taken: its lease was lost, or an earlier sync had said it");
                }
                attempt.ended();
            }
            _ if !taken => {
                if !attempt.is_over() {
                    let task = attempt.lease.task;
                    tracing::warn!(%task, kind = attempt.kind(), "the lease is lost; the handler is stopped and nothing more is reported");
                }
                attempt.lose(Instant::now());
            }
            Carried::Renewal { with_state, .. } => {
                attempt.renewed(sent, trusted_until, self.setup.shop.heartbeat);
                if with_state {
                    KillPoint::WorkerMidRun.pass();
                }
            }
            _ => {}
        }
    }

    /// A sync was not carried out, or nobody knows: all of it is said again.
    fn put_back(&mut self, index: usize, carried: Vec<Carried>, woken: Vec<Name>, limit: u32) {
        let now = Instant::now();
        let mut settling = Vec::new();
        for carried in carried {
            match carried {
                Carried::Settled(op) => settling.push(op),
                Carried::Renewal { key, with_state } => {
                    if let Some(attempt) = self.attempts.get_mut(&key) {
                        attempt.renewal_failed(with_state, now);
                    }
                }
                Carried::Lines { key, lines } => {
                    if let Some(attempt) = self.attempts.get_mut(&key) {
                        attempt.desk.lines(|waiting| waiting.put_back(lines));
                    }
                }
                Carried::End(key) => {
                    if let Some(attempt) = self.attempts.get_mut(&key) {
                        attempt.end_failed();
                    }
                }
            }
        }
        let partition = &mut self.partitions[index];
        settling.append(&mut partition.settling);
        partition.settling = settling;
        partition.woken.extend(woken);
        partition.hot |= limit > 0;
    }

    fn wait_for_store(&mut self, index: usize, error: &Error) {
        let partition = &mut self.partitions[index];
        let failures = partition.failed(Instant::now(), rand::random());
        // Once in a while is enough for the same trouble.
        if failures.is_power_of_two() {
            let p = partition.id.0;
            tracing::warn!(partition = p, failures, %error, "the store did not answer; trying again");
        }
    }

    /// Two attempts of one task in one process: the newer claim is the valid one.
    fn newer_claim_wins(&mut self, lease: &Lease, now: Instant) {
        for attempt in self.attempts.values_mut() {
            let known = &attempt.lease;
            if known.task == lease.task && known.user == lease.user && known.claim < lease.claim {
                attempt.lose(now);
            }
        }
    }

    fn take_claim(&mut self, index: usize, held: Held, epoch: u32, times: (Instant, Instant)) {
        let Held { lease, n, descriptor, .. } = held;
        let Ok(descriptor) = Descriptor::parse(&descriptor) else {
            // Settled like a lost lease, which knows what to do with such a record.
            let held = Held { lease, n, descriptor, state: None };
            let now_ms = self.setup.shop.clock.now_ms();
            let ops = settle(&[held], &[], now_ms, rand::random);
            self.partitions[index].settling.extend(ops);
            return;
        };
        let shop = &self.setup.shop;
        if self.draining.is_some() {
            let op = unstarted(shop, &lease, n, &descriptor, |c| c.release(false));
            self.partitions[index].settling.push(op);
            return;
        }
        // One that was submitted to a queue of smaller ones.
        let places = shop.places_of(&descriptor.kind);
        if !self.has_place_for(places) {
            let op = unstarted(shop, &lease, n, &descriptor, |c| c.release(false));
            self.partitions[index].settling.push(op);
            return self.save_up(index, lease.queue, places);
        }
        let Some(handler) = self.setup.handlers.get(&descriptor.kind) else {
            let (task, kind) = (lease.task, &descriptor.kind);
            tracing::warn!(%task, kind, queue = %lease.queue, "no handler for this kind; looked at again in 30 s. Register a handler for it, or give its queue to workers that have one");
            let snooze = Failure::Snooze(UNKNOWN_KIND_SNOOZE);
            let op = unstarted(shop, &lease, n, &descriptor, |c| refused(c, snooze));
            self.partitions[index].settling.push(op);
            return;
        };
        let key = self.next_key;
        self.next_key += 1;
        let attempt =
            Attempt::start(shop, key, lease, n, epoch, descriptor, handler.clone(), times);
        self.attempts.insert(key, attempt);
    }

    /// Leases that came with a lost answer: claims are given back unharmed, since nobody knows
    /// how old they are; adopted ones are settled.
    fn give_back_unknown(&mut self, index: usize, held: Vec<Held>, losses: &Losses) {
        let settling = &self.partitions[index].settling;
        let mut known: BTreeSet<Lease> = settling.iter().map(|op| op.lease.clone()).collect();
        known.extend(self.known());
        let now_ms = self.setup.shop.clock.now_ms();
        for held in held.into_iter().filter(|held| !known.contains(&held.lease)) {
            let state: Option<StoredState> =
                held.state.as_deref().and_then(|text| serde_json::from_str(text).ok());
            let was_claimed = state.is_some_and(|state| state.c == held.lease.claim);
            let op = match Descriptor::parse(&held.descriptor) {
                Ok(descriptor) if was_claimed => {
                    let shop = &self.setup.shop;
                    vec![unstarted(shop, &held.lease, held.n, &descriptor, |c| c.release(false))]
                }
                _ => settle_after(losses, &[held], &[], now_ms, rand::random),
            };
            self.partitions[index].settling.extend(op);
        }
    }
}
