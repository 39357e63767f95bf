//! Maintenance: nobody's duty in particular. Any sync that finds it due adopts lost leases, ends
//! what nobody took in time, promotes due tasks, sweeps what has been kept long enough, and heals
//! lost wakes.
//!
//! moves: scheduled -> queued, terminal -> gone; see also `waiting`

use super::step::{StateText, Step};
use super::submit::End;
use super::{Ended, Partition, lease_of};
use crate::changes::{Place, Record};
use crate::ids::WorkerId;
use crate::limits::{
    ADOPT_MAX, FORGET_MAX, FORGET_PARKED_MS, KEY_SLACK_MS, MAINTENANCE_MS, PARKED_MS_MAX,
    PROMOTE_MAX, SWEEP_MAX, WAKES_MAX,
};
use crate::reply::Synced;

/// Whose sync it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) worker: &'a WorkerId,
    pub(super) call: u64,
    pub(super) lease_ms: u32,
}

impl Partition {
    /// Answers whether it was due.
    pub(super) fn maintain(
        &mut self,
        step: &mut Step,
        caller: Caller<'_>,
        reply: &mut Synced,
    ) -> bool {
        let since = step.now_ms.saturating_sub(self.mt);
        let behind = self.behind || !self.leads.is_empty();
        if !behind && (0..MAINTENANCE_MS).contains(&since) {
            return false;
        }
        let before_lt = self.lt;
        self.lt = self.lease_time(step.now_ms);
        self.mt = step.now_ms;
        self.adopt(step, caller, reply);
        // What a turn leaves over is the next sync's, at once: a limit per turn of so many
        // milliseconds would be a rate, and below that of completions nothing would ever shrink.
        let expiring = self.expire(step);
        self.lead_on(step);
        let left = [expiring, self.promote(step), self.sweep(step), self.forget(step)];
        self.behind = left.contains(&true);
        self.heal_wakes(step, before_lt);
        true
    }

    /// Leases past their end change hands: the caller settles them by policy. A crash of the
    /// caller only repeats this.
    fn adopt(&mut self, step: &mut Step, caller: Caller<'_>, reply: &mut Synced) {
        let lt = self.lt;
        let lost: Vec<_> = self
            .leases
            .iter()
            .take_while(|(end, ..)| *end <= lt)
            .take(ADOPT_MAX)
            .cloned()
            .collect();
        for key in lost {
            self.leases.remove(&key);
            let (_, user, task) = key;
            let control = self.control_mut(&user, task);
            let Place::Running { worker, call, deadline_lt, cancel_asked } = &mut control.place
            else {
                continue;
            };
            *worker = caller.worker.clone();
            *call = caller.call;
            *deadline_lt = lt + i64::from(caller.lease_ms);
            let (deadline_lt, cancel_asked) = (*deadline_lt, *cancel_asked);
            control.claim += 1;
            control.n = 0;
            let control = control.clone();
            let lease = lease_of(&user, task, &control).expect("it is running");
            self.leases.insert((deadline_lt, user.clone(), task));
            if cancel_asked {
                reply.cancelled.push(lease.clone());
            }
            reply.adopted.push(lease);
            step.record(Record::Control { user, task, control });
        }
    }

    /// Answers whether it reached its limit; so do the next two.
    fn promote(&mut self, step: &mut Step) -> bool {
        let now_ms = step.now_ms;
        let due: Vec<_> = self
            .due
            .iter()
            .take_while(|(at, ..)| *at <= now_ms)
            .take(PROMOTE_MAX)
            .cloned()
            .collect();
        let full = due.len() == PROMOTE_MAX;
        let mut ringed = Vec::new();
        for key in due {
            self.due.remove(&key);
            let (_, user, task) = key;
            let mut control = self.control_mut(&user, task).clone();
            control.n += 1;
            control.place = Place::Queued { position: 0 };
            let queue = control.queue.clone();
            let in_line = Self::must_stand_in_line(&control);
            self.put(&user, task, control);
            let control = if in_line {
                self.enter_line(step, &user, task, End::Back)
            } else {
                self.enter_lane(&user, task, End::Back, &mut ringed, queue)
            };
            let text = StateText { at_ms: now_ms, body: "", event: None, logged: true };
            step.write(&user, task, &control, &text);
        }
        self.wake_for(step, ringed);
        full
    }

    fn sweep(&mut self, step: &mut Step) -> bool {
        // What has ended must not be gone before those who wait for it were told.
        if !self.leads.is_empty() {
            return false;
        }
        let now_ms = step.now_ms;
        let mut full = false;
        let mut over = Vec::new();
        for (keep_s, list) in &mut self.sweeps {
            let keep_ms = i64::from(*keep_s) * 1_000;
            let is_over = |head: &Ended| head.at_ms.saturating_add(keep_ms) <= now_ms;
            for _ in 0..SWEEP_MAX {
                if !list.front().is_some_and(is_over) {
                    break;
                }
                over.extend(list.pop_front());
            }
            full |= list.front().is_some_and(is_over);
        }
        self.sweeps.retain(|_, list| !list.is_empty());
        for ended in over {
            let user = self.user(&ended.user);
            // A task that was redriven since is none of this entry's business.
            let Some(control) = user.tasks.get(&ended.task) else { continue };
            if control.claim != ended.claim || !control.place.state().is_terminal() {
                continue;
            }
            user.forget(ended.task);
            self.drop_links(step, &ended.user, ended.task);
            step.record(Record::TaskGone { user: ended.user, task: ended.task });
        }
        full
    }

    fn forget(&mut self, step: &mut Step) -> bool {
        let expired_ms = step.now_ms.saturating_sub(KEY_SLACK_MS);
        let over: Vec<_> = self
            .expiring
            .iter()
            .take_while(|(at, ..)| *at <= expired_ms)
            .take(FORGET_MAX)
            .cloned()
            .collect();
        let full = over.len() == FORGET_MAX;
        for entry in over {
            self.expiring.remove(&entry);
            let (_, user, key) = entry;
            self.user(&user).keys.remove(&key);
            step.record(Record::KeyGone { user, key });
        }
        full
    }

    /// Work in a ring while somebody is idle means that a wake was lost. Workers that are gone
    /// without a word must not swallow wakes meant for others: now and then they are forgotten.
    fn heal_wakes(&mut self, step: &mut Step, before_lt: i64) {
        if before_lt / FORGET_PARKED_MS != self.lt / FORGET_PARKED_MS {
            let parked_after_lt = self.lt - PARKED_MS_MAX;
            let made_up_us = self.lt * 1_000;
            for queue in self.queues.values_mut() {
                queue.full_us.retain(|_, full_us| *full_us > made_up_us);
                queue.idle.retain(|_, parked_lt| *parked_lt >= parked_after_lt);
            }
        }
        let lt_ms = self.lease_time(step.now_ms);
        let names: Vec<_> = self
            .queues
            .iter()
            .filter(|(_, queue)| queue.has_turns(lt_ms) && !queue.idle.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.wake(step, &name, WAKES_MAX);
        }
    }
}
