//! One subscription per user with a socket open, shared by all sockets of that user: an event is
//! read and spelled once, however many tabs show it.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tasktonic_core::routing::partition_of;
use tasktonic_core::{TaskId, UserId};
use tasktonic_protocol::frames::ServerFrame;
use tasktonic_store::{EventStream, Query, QueryReply, Store, UserEvent};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;

use super::convert::{self, Converter, Passing};
use super::outbox::{Entry, Outbox};

/// Progress and grown logs go out at most this often.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// Counts are read at most this often.
const COUNT_EVERY: Duration = Duration::from_millis(250);
/// Counts are looked at this often though nothing happened: old tasks are removed in silence.
const RECOUNT_EVERY: Duration = Duration::from_secs(10);
/// After the store was away all users' sockets look at their records again, spread over this long.
const LOOK_SPREAD: Duration = Duration::from_secs(1);
/// Tasks whose newest progress waits for the next flush.
const PENDING_MAX: usize = 4_096;

/// All sockets that are open.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    feeds: Mutex<HashMap<UserId, Arc<Feed>>>,
    open: AtomicUsize,
}

/// The sockets of one user.
#[derive(Debug)]
struct Feed {
    user: UserId,
    sockets: Mutex<Vec<Arc<Outbox>>>,
    empty: CancellationToken,
}

/// A user has as many sockets open as one may have.
#[derive(Debug)]
pub(super) struct TooMany;

/// A socket's place in the hub; given up when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    hub: Arc<Hub>,
    feed: Arc<Feed>,
    outbox: Arc<Outbox>,
}

impl Hub {
    /// Sockets that are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Subscribes to `user`'s events. From now on they wait in the seat's outbox.
    pub(super) fn join(
        self: &Arc<Self>,
        store: &Arc<dyn Store>,
        user: &UserId,
        per_user_max: usize,
    ) -> Result<Seat, TooMany> {
        let outbox = Arc::new(Outbox::default());
        let mut feeds = self.feeds.lock();
        // One whose stream has ended tells nobody anything: the next socket begins anew.
        let living = feeds.get(user).filter(|feed| !feed.empty.is_cancelled());
        let feed = match living {
            Some(feed) => {
                let mut sockets = feed.sockets.lock();
                if sockets.len() >= per_user_max {
                    return Err(TooMany);
                }
                sockets.push(outbox.clone());
                drop(sockets);
                feed.clone()
            }
            None => {
                let feed = Arc::new(Feed {
                    user: user.clone(),
                    sockets: Mutex::new(vec![outbox.clone()]),
                    empty: CancellationToken::new(),
                });
                feeds.insert(user.clone(), feed.clone());
                // Subscribed before this returns: whatever the socket reads is not older.
                tokio::spawn(feed.clone().run(store.clone(), store.events(user)));
                feed
            }
        };
        drop(feeds);
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Seat { hub: self.clone(), feed, outbox })
    }
}

impl Seat {
    pub(super) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut feeds = self.hub.feeds.lock();
        let mut sockets = self.feed.sockets.lock();
        sockets.retain(|other| !Arc::ptr_eq(other, &self.outbox));
        if sockets.is_empty() {
            self.feed.empty.cancel();
            // A feed that ended by itself may have been replaced.
            if feeds.get(&self.feed.user).is_some_and(|feed| Arc::ptr_eq(feed, &self.feed)) {
                feeds.remove(&self.feed.user);
            }
        }
        self.hub.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What waits for the next flush, and what is known.
struct Pending {
    converter: Converter,
    progress: HashMap<TaskId, Arc<str>>,
    grown: BTreeSet<TaskId>,
    uncounted: bool,
    last_counts: Option<Utf8Bytes>,
}

type Counting = Pin<Box<dyn Future<Output = Option<Utf8Bytes>> + Send>>;

impl Feed {
    fn each(&self, mut tell: impl FnMut(&Outbox)) {
        for outbox in self.sockets.lock().iter() {
            tell(outbox);
        }
    }

    async fn run(self: Arc<Self>, store: Arc<dyn Store>, mut events: EventStream) {
        let durability = store.durability().name();
        let mut pending = Pending {
            converter: Converter::default(),
            progress: HashMap::new(),
            grown: BTreeSet::new(),
            uncounted: false,
            last_counts: None,
        };
        let started = Instant::now();
        let (mut flush_at, mut count_at) = (started, started + COUNT_EVERY);
        let mut recount_at = started + RECOUNT_EVERY;
        let mut counting: Option<Counting> = None;
        // A subscription that begins says so once; only this user's sockets look then.
        let (mut has_begun, mut look_at) = (false, None);
        loop {
            let passing = !pending.progress.is_empty() || !pending.grown.is_empty();
            tokio::select! {
                () = self.empty.cancelled() => return,
                event = events.next() => match event {
                    Some(UserEvent::Lagged) => {
                        let wait = if has_begun { LOOK_SPREAD.mul_f64(rand::random()) } else { Duration::ZERO };
                        has_begun = true;
                        look_at.get_or_insert(Instant::now() + wait);
                    }
                    Some(event) => self.take(&mut pending, event, durability),
                    None => {
                        self.empty.cancel();
                        self.each(Outbox::over);
                        return;
                    }
                },
                () = at(look_at) => {
                    look_at = None;
                    self.each(Outbox::look);
                    pending.uncounted = true;
                }
                () = tokio::time::sleep_until(flush_at), if passing => {
                    self.flush(&mut pending);
                    flush_at = Instant::now() + FLUSH_EVERY;
                }
                () = tokio::time::sleep_until(count_at), if pending.uncounted && counting.is_none() => {
                    pending.uncounted = false;
                    counting = Some(Box::pin(count(store.clone(), self.user.clone())));
                }
                frame = poll(&mut counting), if counting.is_some() => {
                    counting = None;
                    count_at = Instant::now() + COUNT_EVERY;
                    if let Some(frame) = frame && pending.last_counts.as_ref() != Some(&frame) {
                        self.each(|outbox| outbox.counts(&frame));
                        pending.last_counts = Some(frame);
                    }
                }
                () = tokio::time::sleep_until(recount_at) => {
                    pending.uncounted = true;
                    recount_at = Instant::now() + RECOUNT_EVERY;
                }
            }
        }
    }

    fn take(&self, pending: &mut Pending, event: UserEvent, durability: &str) {
        match event {
            UserEvent::Logged { epoch, seq, text } => {
                let frame = pending.converter.logged(epoch, seq, &text, durability);
                let entry = Entry { epoch, seq, frame };
                self.each(|outbox| outbox.entry(&entry));
                pending.uncounted = true;
            }
            UserEvent::Passing(text) => match pending.converter.passing(&text) {
                Some(Passing::Progress(task, patch))
                    if pending.progress.len() < PENDING_MAX
                        || pending.progress.contains_key(&task) =>
                {
                    pending.progress.insert(task, patch.into());
                }
                Some(Passing::Log(task)) if pending.grown.len() < PENDING_MAX => {
                    pending.grown.insert(task);
                }
                _ => {}
            },
            // See where events are heard.
            UserEvent::Lagged => {}
        }
    }

    fn flush(&self, pending: &mut Pending) {
        if !pending.progress.is_empty() {
            let patches = std::mem::take(&mut pending.progress);
            self.each(|outbox| outbox.progress(&patches));
        }
        if !pending.grown.is_empty() {
            let grown = std::mem::take(&mut pending.grown);
            self.each(|outbox| outbox.grown(&grown));
        }
    }
}

/// Until then; for ever if there is no such time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn poll(counting: &mut Option<Counting>) -> Option<Utf8Bytes> {
    match counting {
        Some(counting) => counting.await,
        None => std::future::pending().await,
    }
}

async fn count(store: Arc<dyn Store>, user: UserId) -> Option<Utf8Bytes> {
    let p = partition_of(&user, store.partitions());
    match store.read(p, Query::Counts { user }).await {
        Ok(QueryReply::Counts(counts)) => {
            Some(convert::encode(&ServerFrame::Counts { counts: convert::counts(&counts) }))
        }
        // The next change counts again.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tasktonic_store::clock::Clock;
    use tasktonic_store::model::ModelStore;

    use super::*;

    #[tokio::test]
    async fn a_feed_that_has_ended_is_not_joined_again() {
        let hub = Arc::new(Hub::default());
        let store: Arc<dyn Store> = Arc::new(ModelStore::new(Clock::system()));
        let user = UserId::encode("ana");
        let first = hub.join(&store, &user, 5).unwrap();
        first.feed.clone().run(store.clone(), Box::pin(futures_util::stream::empty())).await;
        assert!(first.outbox.take().over);
        let second = hub.join(&store, &user, 5).unwrap();
        assert!(!Arc::ptr_eq(&first.feed, &second.feed));
        drop(first);
        assert!(hub.feeds.lock().contains_key(&user), "the end of the old leaves the new");
        drop(second);
        assert_eq!((hub.feeds.lock().len(), hub.open()), (0, 0));
    }
}
