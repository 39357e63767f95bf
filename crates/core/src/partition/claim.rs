//! claim: hand out work. Whose turn it is, `pick` says.
//!
//! Where tasks take several places of the worker, a queue whose next task takes more than are left
//! stops the claim: going on would give the places to smaller ones for ever.
//!
//! moves: queued -> running, queued -> cancelled

use super::maintain::Caller;
use super::step::{StateText, Step};
use super::{Entry, Partition, lease_of};
use crate::changes::Place;
use crate::command::Claim;
use crate::ids::UserId;
use crate::limits::{CLAIM_LOOKS_MAX, CLAIM_MAX};
use crate::reply::{Claimed, Synced};

impl Partition {
    pub(super) fn claim(
        &mut self,
        step: &mut Step,
        caller: Caller<'_>,
        claim: &Claim,
        reply: &mut Synced,
    ) {
        let mut looks = CLAIM_LOOKS_MAX;
        let lt_ms = self.lease_time(step.now_ms);
        let mut left = claim.limit;
        for (name, each) in claim.each() {
            let before = reply.claimed.len();
            loop {
                let tasks = CLAIM_MAX - u32::try_from(reply.claimed.len()).unwrap_or(CLAIM_MAX);
                let need = (left / each).min(tasks).min(looks);
                let Some(picked) = self.pick(name, need, lt_ms) else { break };
                let looked = picked.aside + u32::try_from(picked.entries.len()).unwrap_or(looks);
                looks -= looked.min(looks);
                for (user, entry) in picked.entries {
                    if let Some(claimed) = self.start(step, caller, &user, entry) {
                        reply.claimed.push(claimed);
                        left -= each;
                    }
                }
            }
            // A queue that has had something had its turn: what is left is for the others.
            let had_turn = reply.claimed.len() > before;
            if left > 0 && left < each && !had_turn && self.is_next(name, &mut looks, lt_ms) {
                reply.stopped_at = Some(name.clone());
                return;
            }
        }
        if looks == 0 && left > 0 {
            let open = |name| self.queues.get(name).filter(|queue| queue.has_turns(lt_ms));
            let left = |name| open(name).map_or(0, |queue| queue.ring.len());
            let more = claim.queues.iter().map(left).sum::<usize>();
            reply.more = more.try_into().unwrap_or(u32::MAX);
        }
    }

    /// Gives the task behind a lane entry to the caller, unless the entry is a dead reference or the
    /// task's time is over.
    fn start(
        &mut self,
        step: &mut Step,
        caller: Caller<'_>,
        user: &UserId,
        entry: Entry,
    ) -> Option<Claimed> {
        let known = self.task(user, &entry.task)?;
        if !entry.is_of(known) {
            return None;
        }
        if let Some(expiry) = known.expires.as_deref().copied()
            && expiry.at_ms <= step.now_ms
        {
            self.expire_one(step, user, entry.task, expiry.keep_s);
            return None;
        }
        let deadline_lt = self.lease_time(step.now_ms) + i64::from(caller.lease_ms);
        let mut control = known.clone();
        control.n += 1;
        control.expires = None;
        control.place = Place::Running {
            worker: caller.worker.clone(),
            call: caller.call,
            deadline_lt,
            cancel_asked: false,
        };
        self.leases.insert((deadline_lt, user.clone(), entry.task));
        self.queue(&control.queue).running += 1;
        let text = StateText { at_ms: step.now_ms, body: "", event: None, logged: true };
        step.write(user, entry.task, &control, &text);
        let lease = lease_of(user, entry.task, &control).expect("it is running");
        self.starts(&control.queue, user, entry.task, self.lease_time(step.now_ms));
        let n = control.n;
        self.put(user, entry.task, control);
        Some(Claimed { lease, n })
    }
}
