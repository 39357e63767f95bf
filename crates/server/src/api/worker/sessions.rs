//! Wakes and cancellations for remote workers, collected from a worker's first contact until it
//! has been silent for a while, so that nothing that happens between two waits is missed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tasktonic_core::{Lease, Name, UserId, WorkerId};
use tasktonic_protocol::problem::Code;
use tasktonic_store::{Store, Wake, WakeStream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::problem::Refusal;

/// How long wakes are collected for a worker that is not heard of.
pub(super) const KEPT: Duration = Duration::from_secs(60);
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
}

#[derive(Debug, Default)]
struct Inbox {
    heard: Heard,
    /// Wakes may have been missed: all queues the worker parked on count as woken.
    lagged: bool,
    parked: Vec<Name>,
}

/// One remote worker.
#[derive(Debug)]
pub(super) struct Session {
    worker: WorkerId,
    owner: UserId,
    inbox: Mutex<Inbox>,
    ready: Notify,
    seen: Mutex<Instant>,
    /// Cancelled when the worker has left: what would wake it has to wake another one.
    left: CancellationToken,
}

impl Session {
    fn hear(&self, wake: Wake) {
        let mut inbox = self.inbox.lock();
        let Heard { woken, cancelled } = &mut inbox.heard;
        let full = woken.len() + cancelled.len() >= HEARD_MAX;
        match wake {
            _ if full => inbox.lagged = true,
            Wake::Work(_, queue) => drop(woken.insert(queue)),
            Wake::Cancel(lease) if cancelled.contains(&lease) => {}
            Wake::Cancel(lease) => cancelled.push(lease),
            Wake::Lagged => inbox.lagged = true,
        }
        drop(inbox);
        self.ready.notify_one();
    }

    fn take(&self) -> Option<Heard> {
        let mut inbox = self.inbox.lock();
        let mut heard = std::mem::take(&mut inbox.heard);
        if std::mem::take(&mut inbox.lagged) {
            heard.woken.extend(inbox.parked.iter().cloned());
        }
        (heard != Heard::default()).then_some(heard)
    }

    /// Notes the queues on which the worker is idle.
    pub(super) fn parks(&self, queues: &[Name]) {
        self.inbox.lock().parked = queues.to_vec();
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

/// All remote workers that are alive.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<HashMap<WorkerId, Arc<Session>>>>);

impl Sessions {
    /// The session of a worker, made at its first contact: from then on nothing is missed.
    ///
    /// # Errors
    /// `forbidden` for an id of another kind of worker or of somebody else's.
    pub(super) fn contact(
        &self,
        store: &dyn Store,
        stop: &CancellationToken,
        worker: &WorkerId,
        owner: &UserId,
    ) -> Result<Arc<Session>, Refusal> {
        check_remote(worker)?;
        let mut all = self.0.lock();
        if let Some(session) = all.get(worker) {
            if session.owner != *owner {
                return Err(somebody_elses());
            }
            session.see();
            return Ok(Arc::clone(session));
        }
        if all.len() >= WORKERS_MAX {
            let detail = "Too many workers are connected. Give each more concurrency instead.";
            return Err(Refusal::new(Code::TooManyRequests, detail).retry_after(FULL_RETRY_S));
        }
        let session = Arc::new(Session {
            worker: worker.clone(),
            owner: owner.clone(),
            inbox: Mutex::default(),
            ready: Notify::new(),
            seen: Mutex::new(Instant::now()),
            left: CancellationToken::new(),
        });
        all.insert(worker.clone(), Arc::clone(&session));
        let listen = listen(self.clone(), Arc::clone(&session), store.wakes(worker), stop.clone());
        tokio::spawn(listen);
        Ok(session)
    }

    /// Whether a worker may be spoke for by `owner`.
    ///
    /// # Errors
    /// `forbidden` if another credential speaks for it, or none may from outside.
    pub(crate) fn belongs(&self, worker: &WorkerId, owner: &UserId) -> Result<(), Refusal> {
        check_remote(worker)?;
        match self.0.lock().get(worker) {
            Some(session) if session.owner != *owner => Err(somebody_elses()),
            _ => Ok(()),
        }
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

fn check_remote(worker: &WorkerId) -> Result<(), Refusal> {
    if !worker.is_in_process() {
        return Ok(());
    }
    // Such a worker is taken for dead when the store's process starts anew.
    let prefix = WorkerId::IN_PROCESS;
    let detail = format!("Choose a worker id that does not begin with `{prefix}`.");
    Err(Refusal::new(Code::Forbidden, detail))
}

fn somebody_elses() -> Refusal {
    Refusal::new(
        Code::Forbidden,
        "This worker id belongs to another credential. Choose a fresh one.",
    )
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

    async fn contact(all: &Sessions, worker: &str, owner: &str) -> Result<Arc<Session>, Refusal> {
        let store = ModelStore::new(Clock::system());
        let (worker, owner) = (worker.parse().unwrap(), UserId::encode(owner));
        all.contact(&store, &CancellationToken::new(), &worker, &owner)
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_between_two_waits_is_told_by_the_next() {
        let all = Sessions::default();
        let stop = CancellationToken::new();
        let store = ModelStore::new(Clock::system());
        let session =
            all.contact(&store, &stop, &"w-1".parse().unwrap(), &UserId::encode("crew")).unwrap();
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
        let session = contact(&all, "w-1", "crew").await.unwrap();
        session.parks(&["mail".parse().unwrap(), "thumbs".parse().unwrap()]);
        session.hear(Wake::Lagged);
        assert_eq!(session.take().unwrap().woken.len(), 2);
        for n in 0..HEARD_MAX + 10 {
            session.hear(work(&format!("q{n}")));
        }
        assert!(session.inbox.lock().heard.woken.len() <= HEARD_MAX);
        assert!(session.inbox.lock().lagged);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_worker_is_forgotten_after_a_minute_and_not_before() {
        let all = Sessions::default();
        let store = ModelStore::new(Clock::system());
        let stop = CancellationToken::new();
        let (worker, owner) = ("w-1".parse().unwrap(), UserId::encode("crew"));
        all.contact(&store, &stop, &worker, &owner).unwrap();
        tokio::time::sleep(KEPT - Duration::from_secs(1)).await;
        all.contact(&store, &stop, &worker, &owner).unwrap();
        tokio::time::sleep(KEPT - Duration::from_secs(1)).await;
        assert_eq!(all.0.lock().len(), 1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(all.0.lock().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_leaves_is_neither_waited_nor_listened_for() {
        let all = Sessions::default();
        let session = contact(&all, "w-1", "crew").await.unwrap();
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

    #[tokio::test]
    async fn a_worker_id_belongs_to_the_credential_that_used_it_first() {
        let all = Sessions::default();
        contact(&all, "w-1", "crew").await.unwrap();
        assert_eq!(contact(&all, "w-1", "other").await.unwrap_err().code, Code::Forbidden);
        assert_eq!(contact(&all, "in-7", "crew").await.unwrap_err().code, Code::Forbidden);
        let (near, crew) = ("in-7".parse().unwrap(), UserId::encode("crew"));
        assert_eq!(all.belongs(&near, &crew).unwrap_err().code, Code::Forbidden);
        contact(&all, "w-1", "crew").await.unwrap();
    }
}
