//! Wakes and cancellations for remote workers, collected from a worker's first contact with this
//! server until it has been silent for a while, so that nothing that happens between two waits is
//! missed. Behind a load balancer each server that a worker meets listens for it; one that has not
//! listened so far says so, and the worker looks for itself.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tasktonic_core::{Lease, Name, WorkerId};
use tasktonic_protocol::problem::Code;
use tasktonic_store::{Store, Wake, WakeStream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::problem::Refusal;

/// How long wakes are collected for a worker that is not heard of here. Its calls go round among the
/// servers, and a wait alone takes up to twenty seconds.
pub(super) const KEPT: Duration = Duration::from_secs(180);
/// Remote workers at once.
const WORKERS_MAX: usize = 10_000;
/// Queues and cancellations that wait for one worker; above it the worker looks everywhere.
const HEARD_MAX: usize = 1_024;
/// When to come back to a server that has too many workers, in seconds.
const FULL_RETRY_S: u64 = 10;

/// What happened for one worker since it last asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Queues with work.
    pub(super) woken: BTreeSet<Name>,
    /// Leases to stop.
    pub(super) cancelled: Vec<Lease>,
    /// Wakes may have been missed: it has to look everywhere.
    pub(super) lagged: bool,
}

#[derive(Debug, Default)]
struct Inbox {
    heard: Heard,
    /// Queues on which the worker is idle: all count as woken when wakes may have been missed.
    parked: Vec<Name>,
}

/// One remote worker.
#[derive(Debug)]
pub(super) struct Session {
    worker: WorkerId,
    inbox: Mutex<Inbox>,
    ready: Notify,
    seen: Mutex<Instant>,
    /// Cancelled when the worker has left: what would wake it has to wake another one.
    left: CancellationToken,
}

impl Session {
    fn hear(&self, wake: Wake) {
        let mut inbox = self.inbox.lock();
        let Heard { woken, cancelled, lagged } = &mut inbox.heard;
        let full = woken.len() + cancelled.len() >= HEARD_MAX;
        match wake {
            _ if full => *lagged = true,
            Wake::Work(_, queue) => drop(woken.insert(queue)),
            Wake::Cancel(lease) if cancelled.contains(&lease) => {}
            Wake::Cancel(lease) => cancelled.push(lease),
            Wake::Lagged => *lagged = true,
        }
        drop(inbox);
        self.ready.notify_one();
    }

    fn take(&self) -> Option<Heard> {
        let mut inbox = self.inbox.lock();
        let mut heard = std::mem::take(&mut inbox.heard);
        if heard.lagged {
            heard.woken.extend(inbox.parked.iter().cloned());
        }
        (heard != Heard::default()).then_some(heard)
    }

    /// The worker looks for work in these queues, everywhere, and parks where there is none: wakes
    /// heard so far are answered by that, unless the look ends otherwise.
    pub(super) fn looks(&self, queues: &[Name]) -> Looking<'_> {
        let mut inbox = self.inbox.lock();
        inbox.parked = queues.to_vec();
        let woken = std::mem::take(&mut inbox.heard.woken);
        let lagged = std::mem::take(&mut inbox.heard.lagged);
        Looking { session: self, woken, lagged }
    }

    /// What happened since the last call; waits for it until the time is over or the server stops.
    pub(super) async fn wait(&self, wait: Duration, stop: &CancellationToken) -> Heard {
        let until = Instant::now() + wait;
        loop {
            if let Some(heard) = self.take() {
                return heard;
            }
            tokio::select! {
                () = self.ready.notified() => {}
                () = sleep_until(until) => return self.take().unwrap_or_default(),
                () = stop.cancelled() => return Heard::default(),
                () = self.left.cancelled() => return Heard::default(),
            }
        }
    }

    fn see(&self) {
        *self.seen.lock() = Instant::now();
    }

    fn silent_at(&self) -> Instant {
        *self.seen.lock() + KEPT
    }
}

/// A worker's look for work. What was heard before it is heard again, unless it found nothing.
pub(super) struct Looking<'a> {
    session: &'a Session,
    woken: BTreeSet<Name>,
    lagged: bool,
}

impl Looking<'_> {
    /// There was no work anywhere: the worker is parked.
    pub(super) fn found_nothing(mut self) {
        self.woken.clear();
        self.lagged = false;
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        if self.lagged || !self.woken.is_empty() {
            let heard = &mut self.session.inbox.lock().heard;
            heard.woken.append(&mut self.woken);
            heard.lagged |= self.lagged;
            self.session.ready.notify_one();
        }
    }
}

/// All remote workers that are alive.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<HashMap<WorkerId, Arc<Session>>>>);

impl Sessions {
    /// The session of a worker, made at its first contact: from then on nothing is missed.
    ///
    /// # Errors
    /// `too_many_requests` when there are as many as there may be.
    pub(super) fn contact(
        &self,
        store: &dyn Store,
        stop: &CancellationToken,
        worker: &WorkerId,
    ) -> Result<Arc<Session>, Refusal> {
        let mut all = self.0.lock();
        if let Some(session) = all.get(worker) {
            session.see();
            return Ok(Arc::clone(session));
        }
        if all.len() >= WORKERS_MAX {
            let detail = "Too many workers are connected. Give each more concurrency instead.";
            return Err(Refusal::new(Code::TooManyRequests, detail).retry_after(FULL_RETRY_S));
        }
        let session = Arc::new(Session {
            worker: worker.clone(),
            // What happened while another server took its calls is not known here.
            inbox: Mutex::new(Inbox {
                heard: Heard { lagged: true, ..Heard::default() },
                parked: Vec::new(),
            }),
            ready: Notify::new(),
            seen: Mutex::new(Instant::now()),
            left: CancellationToken::new(),
        });
        all.insert(worker.clone(), Arc::clone(&session));
        let listen = listen(self.clone(), Arc::clone(&session), store.wakes(worker), stop.clone());
        tokio::spawn(listen);
        Ok(session)
    }

    /// Forgets a worker that leaves.
    pub(super) fn leave(&self, worker: &WorkerId) {
        if let Some(session) = self.0.lock().remove(worker) {
            session.left.cancel();
        }
    }

    /// Whether the session is still the worker's; removes one that has been silent for too long.
    fn keeps(&self, session: &Arc<Session>) -> bool {
        let mut all = self.0.lock();
        let known = all.get(&session.worker).is_some_and(|known| Arc::ptr_eq(known, session));
        if known && session.silent_at() <= Instant::now() {
            all.remove(&session.worker);
            return false;
        }
        known
    }
}

async fn listen(
    all: Sessions,
    session: Arc<Session>,
    mut wakes: WakeStream,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            wake = wakes.next() => match wake {
                Some(wake) => session.hear(wake),
                // The store has gone; the next contact subscribes anew.
                None => return all.leave(&session.worker),
            },
            () = sleep_until(session.silent_at()) => if !all.keeps(&session) { return },
            () = stop.cancelled() => return,
            () = session.left.cancelled() => return,
        }
        // A worker that left and came back has a session and a listener of its own.
        if !all.keeps(&session) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tasktonic_core::routing::PartitionId;
    use tasktonic_store::clock::Clock;
    use tasktonic_store::model::ModelStore;

    use super::*;

    fn work(queue: &str) -> Wake {
        Wake::Work(PartitionId(0), queue.parse().unwrap())
    }

    fn contact(all: &Sessions, worker: &str) -> Arc<Session> {
        let store = ModelStore::new(Clock::system());
        all.contact(&store, &CancellationToken::new(), &worker.parse().unwrap()).unwrap()
    }

    fn mail() -> Vec<Name> {
        vec!["mail".parse().unwrap()]
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_between_two_waits_is_told_by_the_next() {
        let all = Sessions::default();
        let stop = CancellationToken::new();
        let store = ModelStore::new(Clock::system());
        let session = all.contact(&store, &stop, &"w-1".parse().unwrap()).unwrap();
        session.take();
        session.hear(work("mail"));
        session.hear(work("mail"));
        session.hear(work("thumbs"));
        let heard = session.wait(Duration::from_secs(20), &stop).await;
        assert_eq!(heard.woken.len(), 2);
        let before = Instant::now();
        assert_eq!(session.wait(Duration::from_secs(20), &stop).await, Heard::default());
        assert_eq!(before.elapsed(), Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_missed_wakes_looks_at_every_queue_it_parked_on() {
        let all = Sessions::default();
        let session = contact(&all, "w-1");
        session.looks(&["mail".parse().unwrap(), "thumbs".parse().unwrap()]).found_nothing();
        session.hear(Wake::Lagged);
        let heard = session.take().unwrap();
        assert_eq!((heard.woken.len(), heard.lagged), (2, true));
        for n in 0..HEARD_MAX + 10 {
            session.hear(work(&format!("q{n}")));
        }
        assert!(session.inbox.lock().heard.woken.len() <= HEARD_MAX);
        assert!(session.inbox.lock().heard.lagged);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_worker_is_forgotten_after_a_while_and_not_before() {
        let all = Sessions::default();
        let store = ModelStore::new(Clock::system());
        let stop = CancellationToken::new();
        let worker = "w-1".parse().unwrap();
        all.contact(&store, &stop, &worker).unwrap();
        tokio::time::sleep(KEPT - Duration::from_secs(1)).await;
        all.contact(&store, &stop, &worker).unwrap();
        tokio::time::sleep(KEPT - Duration::from_secs(1)).await;
        assert_eq!(all.0.lock().len(), 1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(all.0.lock().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_leaves_is_neither_waited_nor_listened_for() {
        let all = Sessions::default();
        let session = contact(&all, "w-1");
        session.take();
        let before = Instant::now();
        let waiting = tokio::spawn({
            let session = session.clone();
            async move { session.wait(Duration::from_secs(20), &CancellationToken::new()).await }
        });
        tokio::task::yield_now().await;
        all.leave(&session.worker);
        assert_eq!(waiting.await.unwrap(), Heard::default());
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(Arc::strong_count(&session), 1, "its listener has gone");
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[test]
    fn a_server_that_has_not_listened_so_far_says_so_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _here = runtime.enter();
        let all = Sessions::default();
        let session = contact(&all, "w-1");
        assert!(session.take().unwrap().lagged, "another server may have heard a wake");
        assert_eq!(contact(&all, "w-1").take(), None);
    }

    #[test]
    fn a_look_that_finds_nothing_answers_earlier_wakes_and_any_other_does_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _here = runtime.enter();
        let all = Sessions::default();
        let session = contact(&all, "w-1");
        session.hear(work("mail"));
        drop(session.looks(&mail()));
        let heard = session.inbox.lock().heard.woken.len();
        assert_eq!(heard, 1, "it found work, or failed: the wake is for the next look");
        let looking = session.looks(&mail());
        session.hear(work("thumbs"));
        looking.found_nothing();
        let heard = session.take().unwrap();
        assert_eq!(heard.woken, ["thumbs".parse().unwrap()].into(), "woken while it looked");
        assert!(!heard.lagged);
    }
}
