//! claim: hand out work, users taking turns.
//!
//! Weighted deficit round robin over the ring: with `need` tasks wanted and Σw the weights of the
//! lanes looked at, a turn is `weight · max(1, ⌊need / Σw⌋)` tasks. A turn cut short keeps the rest
//! as credit and the lane stays in front; a served lane goes to the back.
//!
//! moves: queued -> running

use super::maintain::Caller;
use super::step::{StateText, Step};
use super::{Entry, Partition, lease_of};
use crate::changes::Place;
use crate::command::Claim;
use crate::ids::{Name, UserId};
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
        let limit = claim.limit.min(CLAIM_MAX);
        let mut looks = CLAIM_LOOKS_MAX;
        for name in &claim.queues {
            loop {
                let need = limit - u32::try_from(reply.claimed.len()).unwrap_or(limit);
                let picked = self.pick(name, need.min(looks));
                if picked.is_empty() {
                    break;
                }
                looks -= u32::try_from(picked.len()).unwrap_or(looks).min(looks);
                for (user, entry) in picked {
                    reply.claimed.extend(self.start(step, caller, &user, entry));
                }
            }
        }
        if reply.claimed.len() < limit as usize {
            let left = |name| self.queues.get(name).map_or(0, |queue| queue.ring.len());
            let more = claim.queues.iter().map(left).sum::<usize>();
            reply.more = more.try_into().unwrap_or(u32::MAX);
        }
    }

    /// Takes up to `need` entries from the lanes whose turn it is. Entries may be dead references.
    fn pick(&mut self, name: &Name, need: u32) -> Vec<(UserId, Entry)> {
        let mut picked = Vec::new();
        let Some(queue) = self.queues.get_mut(name) else { return picked };
        if need == 0 {
            return picked;
        }
        let turns = queue.ring.len().min(need as usize);
        let users: Vec<UserId> = queue.ring.drain(..turns).collect();
        let weighted = !queue.weights.is_empty();
        let weight =
            |user| if weighted { queue.weights.get(user).copied().unwrap_or(1) } else { 1 };
        let weights: Vec<u32> = users.iter().map(weight).collect();
        let turn = (need / weights.iter().sum::<u32>().max(1)).max(1);

        let (mut front, mut back) = (Vec::new(), Vec::new());
        for (user, weight) in users.into_iter().zip(weights) {
            let left = need - u32::try_from(picked.len()).unwrap_or(need);
            if left == 0 {
                front.push(user);
                continue;
            }
            let credit = queue.credit.remove(&user).unwrap_or(weight * turn);
            let lanes = &mut self.users.get_mut(&user).expect("the ring names known users").lanes;
            let lane = lanes.get_mut(name).expect("the ring names lanes that are not empty");
            let take = credit.min(left).min(u32::try_from(lane.len()).unwrap_or(u32::MAX));
            picked.extend(lane.drain(..take as usize).map(|entry| (user.clone(), entry)));
            if lane.is_empty() {
                lanes.remove(name);
            } else if weighted && credit > take {
                queue.credit.insert(user.clone(), credit - take);
                front.push(user);
            } else {
                back.push(user);
            }
        }
        for user in front.into_iter().rev() {
            queue.ring.push_front(user);
        }
        queue.ring.extend(back);
        picked
    }

    /// Gives the task behind a lane entry to the caller, unless the entry is a dead reference.
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
        let deadline_lt = self.lease_time(step.now_ms) + i64::from(caller.lease_ms);
        let mut control = known.clone();
        control.n += 1;
        control.place = Place::Running {
            worker: caller.worker.clone(),
            call: caller.call,
            deadline_lt,
            cancel_asked: false,
        };
        self.leases.insert((deadline_lt, user.clone(), entry.task));
        let text = StateText { at_ms: step.now_ms, body: "", event: None, logged: true };
        step.write(user, entry.task, &control, &text);
        let lease = lease_of(user, entry.task, &control).expect("it is running");
        let n = control.n;
        self.put(user, entry.task, control);
        Some(Claimed { lease, n })
    }
}
