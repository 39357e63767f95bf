//! What this process listens to: the desired set of channels, and who is told what comes in on
//! them. The set is ours; connections come and go and are given it again, partition by partition.
//!
//! A signal is a hint. Whenever one may have been missed, listeners are told to read.

mod listen;
mod signal;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::Stream;
use parking_lot::Mutex;
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{UserId, WorkerId};
use tasktonic_store::hub::Hub;
use tasktonic_store::{EventStream, UserEvent, Wake, WakeStream};
use tokio::sync::watch;

use crate::keys::Keys;
use crate::store::RedisStore;

pub(crate) use listen::keep;

/// A channel without listeners is given up after this time; people reload pages.
const UNWANTED_MS: u64 = 2_000;

/// The desired set.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    hub: Hub,
    parts: Vec<Part>,
    /// Rises when a part has news.
    news: watch::Sender<u64>,
    /// Signals that could not be read.
    unread: AtomicU64,
}

/// The channels of one partition.
#[derive(Debug)]
struct Part {
    keys: Keys,
    echo: String,
    wanted: Mutex<Wanted>,
}

#[derive(Debug, Default)]
struct Wanted {
    channels: HashMap<String, Want>,
    /// Channels that are wanted and not asked for yet.
    news: Vec<String>,
}

#[derive(Debug)]
struct Want {
    listener: Listener,
    listeners: usize,
    /// Since when there are none.
    unwanted: Option<Instant>,
    /// Counts down to the first moment at which nothing is missed any more.
    first: Option<Arc<AtomicUsize>>,
}

/// Whom a channel is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Listener {
    User(UserId),
    Worker(WorkerId),
}

impl Subscriptions {
    /// None yet, for a store of so many partitions; `process` tells this process from others.
    pub(crate) fn new(partitions: u16, process: &str) -> Self {
        let part = |p| {
            let keys = Keys::of(PartitionId(p), partitions);
            let echo = keys.echo(process);
            Part { keys, echo, wanted: Mutex::default() }
        };
        Self {
            hub: Hub::default(),
            parts: (0..partitions).map(part).collect(),
            news: watch::Sender::new(0),
            unread: AtomicU64::new(0),
        }
    }

    /// Signals that could not be read, since the start.
    pub(crate) fn unread(&self) -> u64 {
        self.unread.load(Ordering::Relaxed)
    }

    /// Wakes for `worker`: at once, with [`Wake::Lagged`] when all its channels are subscribed.
    pub(crate) fn wakes(self: &Arc<Self>, worker: &WorkerId) -> WakeStream {
        let stream = self.hub.wakes(worker);
        let listener = Listener::Worker(worker.clone());
        let ids = (0..self.parts.len()).collect();
        Box::pin(Counted { stream, _guard: self.want(listener, ids) })
    }

    /// Events of `user`: at once, with [`UserEvent::Lagged`] when the channel is subscribed.
    pub(crate) fn events(self: &Arc<Self>, user: &UserId) -> EventStream {
        let stream = self.hub.events(user);
        let partitions = u16::try_from(self.parts.len()).expect("as many as were made");
        let p = usize::from(partition_of(user, partitions).0);
        Box::pin(Counted { stream, _guard: self.want(Listener::User(user.clone()), vec![p]) })
    }

    fn want(self: &Arc<Self>, listener: Listener, parts: Vec<usize>) -> Guard {
        // One more than there are, so that nobody is told before all are in.
        let first = Arc::new(AtomicUsize::new(1));
        for part in parts.iter().map(|p| &self.parts[*p]) {
            let channel = part.channel(&listener);
            let mut wanted = part.wanted.lock();
            match wanted.channels.get_mut(&channel) {
                Some(want) => {
                    want.listeners += 1;
                    want.unwanted = None;
                }
                None => {
                    first.fetch_add(1, Ordering::AcqRel);
                    let (listener, first) = (listener.clone(), Some(first.clone()));
                    let want = Want { listener, listeners: 1, unwanted: None, first };
                    wanted.channels.insert(channel.clone(), want);
                    wanted.news.push(channel);
                }
            }
        }
        if first.fetch_sub(1, Ordering::AcqRel) > 1 {
            self.news.send_modify(|version| *version += 1);
        }
        Guard { subscriptions: self.clone(), listener, parts }
    }

    /// Tells a listener to read.
    fn lagged(&self, listener: &Listener) {
        match listener {
            Listener::User(user) => self.hub.tell_user(user, UserEvent::Lagged),
            Listener::Worker(worker) => self.hub.tell_worker(worker, Wake::Lagged),
        };
    }

    /// A channel of partition `p` is subscribed. A listener that is new is told when this was
    /// the last of its channels; it answers the others, which lost signals if there was a gap.
    fn confirmed(&self, p: usize, channel: &str) -> Option<Listener> {
        let mut wanted = self.parts[p].wanted.lock();
        let want = wanted.channels.get_mut(channel)?;
        let listener = want.listener.clone();
        let Some(first) = want.first.take() else { return Some(listener) };
        drop(wanted);
        if first.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.lagged(&listener);
        }
        None
    }

    /// Hands on what came in on a channel of partition `p`.
    fn deliver(&self, p: usize, channel: &str, payload: &[u8]) {
        let listener = {
            let wanted = self.parts[p].wanted.lock();
            wanted.channels.get(channel).map(|want| want.listener.clone())
        };
        let id = PartitionId(u16::try_from(p).expect("as many as were made"));
        let read = match listener {
            // Somebody who has left a moment ago.
            None => true,
            Some(Listener::User(user)) => {
                signal::event(payload).map(|event| self.hub.tell_user(&user, event)).is_some()
            }
            Some(Listener::Worker(worker)) => {
                signal::wake(id, payload).map(|wake| self.hub.tell_worker(&worker, wake)).is_some()
            }
        };
        if !read {
            self.unread.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Part {
    fn channel(&self, listener: &Listener) -> String {
        match listener {
            Listener::User(user) => self.keys.events_channel(user),
            Listener::Worker(worker) => self.keys.wake(worker),
        }
    }

    /// All channels, the echo among them; news are among them too and need no asking any more.
    fn all(&self) -> Vec<String> {
        let mut wanted = self.wanted.lock();
        wanted.news.clear();
        wanted.channels.keys().cloned().chain([self.echo.clone()]).collect()
    }

    /// Channels to ask for since the last time.
    fn news(&self) -> Vec<String> {
        std::mem::take(&mut self.wanted.lock().news)
    }

    /// Channels that were never confirmed. Whoever asked for one may have been on its way out:
    /// the session with the former owner of its slot.
    fn unconfirmed(&self) -> Vec<String> {
        let wanted = self.wanted.lock();
        let unconfirmed = wanted.channels.iter().filter(|(_, want)| want.first.is_some());
        unconfirmed.map(|(channel, _)| channel.clone()).collect()
    }

    /// Takes out the channels that nobody has wanted for a while.
    fn unwanted(&self) -> Vec<String> {
        let mut gone = Vec::new();
        let mut wanted = self.wanted.lock();
        wanted.channels.retain(|channel, want| {
            let old = Duration::from_millis(UNWANTED_MS);
            let keep = want.unwanted.is_none_or(|since| since.elapsed() < old);
            if !keep {
                gone.push(channel.clone());
            }
            keep
        });
        // One that was never asked for needs no taking back.
        wanted.news.retain(|channel| !gone.contains(channel));
        gone
    }

    fn is_wanted(&self) -> bool {
        !self.wanted.lock().channels.is_empty()
    }
}

impl RedisStore {
    /// Signals on channels that came in since the store was opened and could not be read. Other
    /// than 0 only if something else writes into our channels.
    #[must_use]
    pub fn unread_signals(&self) -> u64 {
        self.shared.router.unread_signals()
    }
}

/// A place among the listeners of some channels.
#[derive(Debug)]
struct Guard {
    subscriptions: Arc<Subscriptions>,
    listener: Listener,
    parts: Vec<usize>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        for part in self.parts.iter().map(|p| &self.subscriptions.parts[*p]) {
            let channel = part.channel(&self.listener);
            if let Some(want) = part.wanted.lock().channels.get_mut(&channel) {
                want.listeners -= 1;
                if want.listeners == 0 {
                    want.unwanted = Some(Instant::now());
                }
            }
        }
    }
}

/// A stream that keeps its place among the listeners.
struct Counted<S> {
    stream: S,
    _guard: Guard,
}

impl<S: Stream + Unpin> Stream for Counted<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        Pin::new(&mut self.stream).poll_next(context)
    }
}
