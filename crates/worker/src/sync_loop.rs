//! The loop of a worker: one sync in flight per partition, everything that is said meanwhile rides
//! in the next. It runs on a thread of its own, which handlers cannot starve.

mod answers;
mod partition;
mod places;
mod rounds;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tasktonic_core::{Name, WorkerId};
use tasktonic_store::{Store, Wake, WakeStream};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::AnyHandler;
use crate::announce::Runs;
use crate::attempt::{Attempt, Shop};
use crate::conclude::Cause;
use crate::limits::{HELD_AT_MOST, LEAVE_WITHIN, STORE_WAIT_FIRST};
use answers::Answer;
use partition::Partition;
use places::Saving;

/// What a loop is made of.
pub(crate) struct Setup {
    pub(crate) id: WorkerId,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) handlers: HashMap<String, Arc<dyn AnyHandler>>,
    /// The queues it serves, each with how many places a task of it takes.
    pub(crate) queues: Vec<(Name, u32)>,
    /// How many places it has.
    pub(crate) concurrency: u32,
    pub(crate) lease: Duration,
    pub(crate) drain: Duration,
    pub(crate) shop: Shop,
    /// What runs, for whoever announces the worker.
    pub(crate) runs: Arc<Runs>,
}

type InFlight = FuturesUnordered<Pin<Box<dyn Future<Output = Answer> + Send>>>;

pub(crate) struct SyncLoop {
    setup: Setup,
    partitions: Vec<Partition>,
    attempts: BTreeMap<u64, Attempt>,
    in_flight: InFlight,
    next_key: u64,
    /// Claiming calls so far.
    calls: u64,
    /// Places asked for by syncs in flight.
    reserved: u32,
    /// The partition that was last asked for work, and how often in a row.
    asked_last: Option<(usize, u32)>,
    /// Whether the last attempt that ended was over before a call would be held back for it.
    is_quick: bool,
    /// Places that are kept free for a task that takes several.
    saving: Option<Saving>,
    /// Since when the worker drains.
    draining: Option<Instant>,
    drain_is_over: bool,
}

impl SyncLoop {
    pub(crate) fn new(setup: Setup) -> Self {
        let now = Instant::now();
        let partitions = (0..setup.store.partitions()).map(|p| Partition::new(p, now)).collect();
        Self {
            setup,
            partitions,
            attempts: BTreeMap::new(),
            in_flight: FuturesUnordered::new(),
            next_key: 0,
            calls: 0,
            reserved: 0,
            asked_last: None,
            is_quick: false,
            saving: None,
            draining: None,
            drain_is_over: false,
        }
    }

    /// Works until `stop`, then drains.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let store = self.setup.store.clone();
        let id = self.setup.id.clone();
        let mailbox = self.setup.shop.mailbox.clone();
        // Subscribed before the first call parks, so that no wake falls in between.
        let mut wakes = store.wakes(&id);
        let mut wakes_from = None;
        loop {
            let now = Instant::now();
            self.read_mailbox();
            self.look_at_clocks(now);
            if self.is_finished(now) {
                break;
            }
            let next = self.send_what_is_due(now);
            tokio::select! {
                () = stop.cancelled(), if self.draining.is_none() => self.begin_drain(),
                Some(answer) = self.in_flight.next() => self.take_answer(answer),
                wake = next_wake(&mut wakes, wakes_from) => match wake {
                    Some(wake) => self.take_wake(wake),
                    None => {
                        // The stream broke off; what it would have said is looked for.
                        wakes = store.wakes(&id);
                        wakes_from = Some(Instant::now() + STORE_WAIT_FIRST);
                        self.take_wake(Wake::Lagged);
                    }
                },
                () = mailbox.news.notified() => {}
                () = sleep_until(next.into()) => {}
            }
        }
        for attempt in self.attempts.values() {
            attempt.abort();
        }
    }

    fn read_mailbox(&mut self) {
        for key in self.setup.shop.mailbox.take() {
            if let Some(attempt) = self.attempts.get_mut(&key) {
                attempt.read_desk(&self.setup.shop);
                if attempt.has_end() {
                    self.is_quick = attempt.since.elapsed() < HELD_AT_MOST;
                }
            }
        }
        self.attempts.retain(|_, attempt| !attempt.is_done());
        let running = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        let taken = self.attempts.values().map(|attempt| attempt.places).sum();
        self.setup.runs.attempts.store(running, Ordering::Relaxed);
        self.setup.runs.places.store(taken, Ordering::Relaxed);
    }

    fn look_at_clocks(&mut self, now: Instant) {
        if !self.drain_is_over && self.draining.is_some_and(|since| now >= since + self.setup.drain)
        {
            self.drain_is_over = true;
            for attempt in self.attempts.values_mut() {
                attempt.ask_to_stop(Cause::Drain, now);
            }
        }
        self.look_at_silence(now);
        for attempt in self.attempts.values_mut() {
            if attempt.look_at_clock(&self.setup.shop, now) {
                let task = attempt.lease.task;
                tracing::warn!(%task, kind = attempt.kind(), "the lease could not be renewed in time; the handler is stopped and nothing more is reported");
            }
        }
    }

    /// Ends that cannot be said, because their partition is silent, keep no place from the others. They
    /// are no more than there were places when it fell silent: nothing is claimed there meanwhile.
    fn look_at_silence(&mut self, now: Instant) {
        if !self.partitions.iter().any(|partition| partition.is_silent(now)) {
            return;
        }
        let count = self.partition_count();
        for attempt in self.attempts.values_mut().filter(|attempt| attempt.has_end()) {
            if self.partitions[attempt.partition(count)].is_silent(now) {
                attempt.give_places_up();
            }
        }
    }

    fn begin_drain(&mut self) {
        let running = self.attempts.len();
        tracing::info!(running, "draining: nothing more is claimed");
        self.draining = Some(Instant::now());
    }

    /// When the loop ends in any case.
    fn leave_at(&self) -> Option<Instant> {
        Some(self.draining? + self.setup.drain + LEAVE_WITHIN)
    }

    fn is_finished(&self, now: Instant) -> bool {
        let Some(leave_at) = self.leave_at() else { return false };
        let said = self.in_flight.is_empty()
            && self.attempts.values().all(Attempt::is_over)
            && self.partitions.iter().all(Partition::has_nothing_to_settle);
        said || now >= leave_at
    }

    fn take_wake(&mut self, wake: Wake) {
        match wake {
            Wake::Work(p, queue) => {
                if let Some(partition) = self.partitions.get_mut(usize::from(p.0)) {
                    partition.woken(queue);
                }
            }
            Wake::Cancel(lease) => {
                let mut attempts = self.attempts.values_mut();
                if let Some(attempt) = attempts.find(|attempt| attempt.lease == lease) {
                    attempt.ask_to_stop(Cause::Asked, Instant::now());
                }
            }
            Wake::Lagged => self.partitions.iter_mut().for_each(Partition::look_again),
        }
    }

    fn partition_count(&self) -> u16 {
        u16::try_from(self.partitions.len()).unwrap_or(u16::MAX).max(1)
    }

    /// Leases that are known here.
    fn known(&self) -> BTreeSet<tasktonic_core::Lease> {
        self.attempts.values().map(|attempt| attempt.lease.clone()).collect()
    }
}

async fn next_wake(wakes: &mut WakeStream, from: Option<Instant>) -> Option<Wake> {
    if let Some(from) = from {
        sleep_until(from.into()).await;
    }
    wakes.next().await
}
