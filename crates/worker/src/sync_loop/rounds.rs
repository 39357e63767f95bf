//! What is sent, and when: for each partition without a request in flight, everything that is due
//! in one sync.

use std::time::{Duration, Instant};

use tasktonic_core::Text;
use tasktonic_core::command::{Op, Report, Sync as SyncCommand};
use tasktonic_core::limits::{CLAIM_MAX, PLACES_MAX, SYNC_OPS_MAX};
use tasktonic_core::routing::PartitionId;
use tasktonic_store::{Error, Held, Losses, Query, QueryReply, Store};

use super::SyncLoop;
use super::answers::{Answer, Carried};
use super::partition::Partition;
use crate::attempt::{Attempt, bytes_of};
use crate::limits::{
    CALLS_OF_ALL_PLACES, FULL_CALL, IN_A_ROW_MAX, LOOK_EVERY, REPORT_EVERY, SYNC_BYTES_MAX, TURN,
    answer_within,
};

/// What makes a sync of one partition due.
#[derive(Debug, Clone, Copy, Default)]
struct Due {
    /// Now, whatever else there is.
    now: bool,
    /// There is progress or a line.
    news: bool,
    /// Places that are free once what is to be said there is on its way.
    frees: u32,
    /// When something becomes due by itself.
    at: Option<Instant>,
}

impl Due {
    fn by(&mut self, at: Instant) {
        self.at = Some(self.at.map_or(at, |known| known.min(at)));
    }
}

impl SyncLoop {
    /// Sends a sync to each partition where one is due. Answers when to look again.
    pub(super) fn send_what_is_due(&mut self, now: Instant) -> Instant {
        let mut next = now + LOOK_EVERY;
        let mut dues = vec![Due::default(); self.partitions.len()];
        let mut any_runs = false;
        let count = self.partition_count();
        for attempt in self.attempts.values() {
            let due = &mut dues[attempt.partition(count)];
            due.now |= attempt.has_end() || attempt.has_mark();
            due.news |= attempt.has_news(now);
            if let Some(at) = attempt.progress_at().filter(|at| *at > now) {
                due.by(at);
            }
            if attempt.has_end() {
                due.frees += attempt.takes();
            }
            if attempt.renews() {
                any_runs = true;
                due.now |= attempt.renew_at <= now;
                due.by(attempt.renew_at);
            }
            next = next.min(attempt.next_look().unwrap_or(next));
        }
        next = next.min(self.leave_at().unwrap_or(next));
        if let Some(since) = self.draining.filter(|_| !self.drain_is_over) {
            next = next.min(since + self.setup.drain);
        }

        let saved_until = self.look_at_saving();
        let mut free = self.free_places();
        if free > 0 {
            let until = saved_until.filter(|until| *until > now);
            next = next.min(until.unwrap_or(next));
        }
        // A place is free once the end of its task is on its way. The claim that rides with the end takes
        // it, unless it is the turn of another partition: that one is looked at again after the end.
        let (order, first) = self.in_turn(&dues, now);
        let first = &order[..first];
        let more_may_come = any_runs && self.is_quick;
        for index in order.iter().chain(&order).copied() {
            let asks = |p: &usize| self.partitions[*p].may_be_asked_for_work(now, free.max(1));
            let before = || first.iter().take_while(|p| **p != index);
            let has_had_its_turn =
                self.asked_last.is_some_and(|(last, times)| last == index && times >= IN_A_ROW_MAX)
                    && order.iter().any(|p| *p != index && asks(p));
            let is_turn_of_others =
                self.saving.is_none() && (has_had_its_turn || before().any(asks));
            let free_here = free + if is_turn_of_others { 0 } else { dues[index].frees };
            let may_claim = (first.contains(&index) || !is_turn_of_others)
                && self.may_claim(index, free_here, now);
            let partition = &self.partitions[index];
            let asked_for_work = partition.may_be_asked_for_work(now, free_here);
            let mut due = dues[index];
            due.now |= !partition.has_nothing_to_settle() || !partition.woken.is_empty();
            due.now |= due.news && partition.report_from <= now;
            if due.news {
                due.by(partition.report_from);
            }
            // Where more waits than there are places, few full calls do more than many small ones: of
            // those that say what has ended, the last takes all the places.
            let is_full = asked_for_work && partition.has_backlog && self.takes_one_each();
            let frees_more = |(p, due): (usize, &Due)| {
                p != index && due.frees > 0 && self.partitions[p].hears(now)
            };
            let leaves_it =
                is_full && self.is_small(free_here) && dues.iter().enumerate().any(frees_more);
            let wants_work = may_claim && !leaves_it && partition.wants_a_look(now, free_here);
            // One that did not answer is asked without a claim first: places must not wait there.
            let claims = wants_work && asked_for_work;
            due.now |= wants_work;
            if may_claim {
                due.by(partition.look_at);
            }
            // An answer that is awaited wakes the loop by itself; if it does not come, what ended
            // meanwhile gives its places up.
            if partition.is_in_flight() {
                let silent_from = partition.silent_from().filter(|_| dues[index].frees > 0);
                next = next.min(silent_from.unwrap_or(next));
                continue;
            }
            let wait_until = partition.wait_until;
            let full = self.full_call(free_here);
            let waits_for_more = if is_full {
                (self.reserved > 0 || more_may_come) && self.is_small(free + due.frees)
            } else {
                due.frees < FULL_CALL && self.is_heard_soon(now)
            };
            if due.now
                && waits_for_more
                && let Some(until) = self.partitions[index].held_until(now)
            {
                next = next.min(until);
                continue;
            }
            if due.now && wait_until <= now {
                let share = if is_full {
                    full
                } else {
                    self.share(free_here, self.askable(free_here, now))
                };
                self.send(index, if claims { share } else { 0 }, now);
                free = self.free_places();
                dues[index].frees = 0;
            } else if due.now {
                next = next.min(wait_until);
            } else if let Some(at) = due.at {
                next = next.min(at.max(wait_until));
            }
        }
        next
    }

    /// How many partitions may be asked for work. All of them are asked at once, each for its share of
    /// the places, so that one that is slow to answer keeps no more than its share from the others.
    fn askable(&self, free: u32, now: Instant) -> usize {
        let may_be_asked = |p: &&Partition| p.may_be_asked_for_work(now, free);
        self.partitions.iter().filter(may_be_asked).count()
    }

    /// The partitions in the order in which places are given to them: first those without a backlog and
    /// those that were not asked for [`TURN`]; then those that have something to say, for which a
    /// claim is no call of its own; each time who was asked longest ago first. And how many are of the
    /// first sort.
    fn in_turn(&self, dues: &[Due], now: Instant) -> (Vec<usize>, usize) {
        let class = |index: usize| {
            let partition = &self.partitions[index];
            match () {
                () if !partition.has_backlog || partition.asked_at + TURN <= now => 0,
                () if dues[index].now => 1,
                () => 2,
            }
        };
        let mut order: Vec<usize> = (0..self.partitions.len()).collect();
        order.sort_by_key(|index| (class(*index), self.partitions[*index].asked_at));
        let first = order.iter().filter(|index| class(**index) == 0).count();
        (order, first)
    }

    /// How many of the places that are free a call asks for where more waits. Only a call that is no larger
    /// than the share of one partition takes the last of them, so that two that are slow to answer
    /// leave some to the others.
    fn full_call(&self, free: u32) -> u32 {
        let all = self.setup.concurrency;
        let share = all / u32::try_from(self.partitions.len().max(1)).unwrap_or(u32::MAX);
        let full = all.div_ceil(CALLS_OF_ALL_PLACES);
        full.min(free.saturating_sub(share)).max(share.max(1)).min(free)
    }

    /// Whether a call that fills so many places is a small one. It waits for more, if more of them may
    /// soon be free: places that fall free one by one make small calls, and small calls cost the store
    /// more for each task.
    fn is_small(&self, free: u32) -> bool {
        free < self.setup.concurrency.div_ceil(CALLS_OF_ALL_PLACES).min(FULL_CALL)
    }

    /// Whether a call is on its way that is soon answered. A small call waits for it, where no more waits
    /// than there are places: the busier the store, the more each call says.
    fn is_heard_soon(&self, now: Instant) -> bool {
        self.partitions.iter().any(|partition| partition.is_heard_soon(now))
    }

    /// Sends a sync that asks for tasks for up to `places` places.
    fn send(&mut self, index: usize, places: u32, now: Instant) {
        if self.partitions[index].ask_held {
            self.ask_what_is_held(index);
            return;
        }
        let (ops, carried) = self.gather(index, now);
        // Ends that did not fit keep their places.
        let most = if self.takes_one_each() { CLAIM_MAX } else { PLACES_MAX };
        let limit = places.min(self.free_places()).min(most);
        let (claim, saved) = match limit {
            0 => (None, None),
            _ => {
                let (claim, saved) = self.claim(index, limit);
                (Some(claim), saved)
            }
        };
        let partition = &mut self.partitions[index];
        let request = SyncCommand {
            worker: self.setup.id.clone(),
            // Also a call that claims nothing may adopt, and what it takes must have a name of its own.
            call: self.calls + 1,
            lease_ms: u32::try_from(self.setup.lease.as_millis()).unwrap_or(u32::MAX),
            ops,
            claim,
            woken: std::mem::take(&mut partition.woken).into_iter().collect(),
            park: limit > 0,
        };
        self.calls += 1;
        self.reserved += limit;
        if limit > 0 {
            (partition.asked_at, partition.hot) = (now, false);
            let in_a_row = self.asked_last.filter(|(last, _)| *last == index);
            self.asked_last = Some((index, in_a_row.map_or(1, |(_, times)| times + 1)));
        }
        partition.is_sent(now);
        partition.report_from = now + REPORT_EVERY;
        let (p, store) = (partition.id, self.setup.store.clone());
        let within = answer_within(self.setup.lease);
        self.in_flight.push(Box::pin(async move {
            let sent = Instant::now();
            let woken = request.woken.clone();
            let reply = timed(within, store.sync(p, request)).await;
            let adopted = reply.as_ref().map_or(&[][..], |reply| &reply.adopted);
            let losses = losses(&*store, p, adopted, within).await;
            Answer::Sync { index, sent, limit, saved, carried, woken, reply, losses }
        }));
    }

    fn ask_what_is_held(&mut self, index: usize) {
        let partition = &mut self.partitions[index];
        partition.is_sent(Instant::now());
        let (p, store) = (partition.id, self.setup.store.clone());
        let query = Query::Held { worker: self.setup.id.clone() };
        let within = answer_within(self.setup.lease);
        self.in_flight.push(Box::pin(async move {
            let reply = timed(within, store.read(p, query)).await;
            let held = match &reply {
                Ok(QueryReply::Held(held)) => &held[..],
                _ => &[],
            };
            let losses = losses(&*store, p, held, within).await;
            Answer::Held { index, reply, losses }
        }));
    }

    /// All that is to be said in this partition, what is urgent first, within the limits of one
    /// sync. What does not fit is due at once when the answer is there.
    fn gather(&mut self, index: usize, now: Instant) -> (Vec<Op>, Vec<Carried>) {
        let mut load = Load::default();
        let settling = &mut self.partitions[index].settling;
        let first = settling.len().min(SYNC_OPS_MAX / 2);
        for op in settling.drain(..first) {
            load.add(op.clone(), Carried::Settled(op));
        }
        let count = self.partition_count();
        let shop = &self.setup.shop;
        let mut attempts: Vec<(u64, &mut Attempt)> = self
            .attempts
            .iter_mut()
            .filter(|(_, attempt)| !attempt.is_over() && attempt.partition(count) == index)
            .map(|(key, attempt)| (*key, attempt))
            .collect();
        // Those that wait longest come first, so that none is left out for ever.
        attempts.sort_by_key(|(_, attempt)| attempt.renew_at);

        // A lease that is soon to be renewed is renewed with the others: fewer syncs.
        let soon = now + shop.heartbeat / 3;
        let any_due = attempts.iter().any(|(_, a)| a.renews() && a.renew_at <= now);
        for (key, attempt) in &mut attempts {
            let renew = any_due && attempt.renew_at <= soon;
            if attempt.renews() && (renew || attempt.has_mark()) && !load.is_full() {
                load.renew(*key, attempt.renewal(shop, now));
            }
        }
        for (key, attempt) in &mut attempts {
            if attempt.has_end() && !load.is_full() {
                // Its last lines come before its end; if they do not fit, both wait.
                load.lines(*key, attempt);
                if !load.is_full()
                    && attempt.desk.lines(|lines| lines.is_empty())
                    && let Some(op) = attempt.take_end()
                {
                    load.add(op, Carried::End(*key));
                }
            }
        }
        for (key, attempt) in &mut attempts {
            if attempt.has_news(now) && !load.is_full() {
                let progress = attempt.renewal_if_new(shop, now);
                if let Some(op) = progress {
                    load.renew(*key, op);
                }
                load.lines(*key, attempt);
            }
        }
        (load.ops, load.carried)
    }
}

/// One sync while it is filled.
#[derive(Default)]
struct Load {
    ops: Vec<Op>,
    carried: Vec<Carried>,
    bytes: usize,
}

impl Load {
    /// Whether there is no room for another attempt's lines and end.
    fn is_full(&self) -> bool {
        self.ops.len() + 2 > SYNC_OPS_MAX || self.bytes >= SYNC_BYTES_MAX
    }

    fn add(&mut self, op: Op, carried: Carried) {
        self.bytes += bytes_of(&op);
        self.ops.push(op);
        self.carried.push(carried);
    }

    fn renew(&mut self, key: u64, op: Op) {
        let with_state = matches!(op.report, Report::Progress { .. });
        self.add(op, Carried::Renewal { key, with_state });
    }

    fn lines(&mut self, key: u64, attempt: &Attempt) {
        if self.is_full() {
            return;
        }
        let room = SYNC_BYTES_MAX.saturating_sub(self.bytes);
        let lines: Vec<Text> = attempt.desk.lines(|lines| lines.take(room));
        if !lines.is_empty() {
            let report = Report::Log { lines: lines.clone() };
            self.add(Op { lease: attempt.lease.clone(), report }, Carried::Lines { key, lines });
        }
    }
}

async fn timed<T>(
    within: Duration,
    call: impl Future<Output = tasktonic_store::Result<T>>,
) -> tasktonic_store::Result<T> {
    tokio::time::timeout(within, call).await.unwrap_or(Err(Error::OutcomeUnknown))
}

/// The crashes so far of the tasks of these leases; a store that does not answer in time says nothing
/// of any.
async fn losses(store: &dyn Store, p: PartitionId, held: &[Held], within: Duration) -> Losses {
    tokio::time::timeout(within, Losses::read(store, p, held)).await.unwrap_or_default()
}
