//! Who listens: wakes per worker and events per user, inside one process. Bounded; a listener that
//! falls behind is told so and reads.

use std::collections::HashMap;
use std::hash::Hash;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Changes, Name, Signal, UserId, WorkerId};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use crate::{EventStream, UserEvent, Wake, WakeStream};

/// Signals that may wait for one listener before it is told that it lags.
const SIGNALS_WAITING_MAX: usize = 64;

/// Delivers signals to the listeners of this process.
#[derive(Debug, Default)]
pub struct Hub {
    wakes: Channels<WorkerId, Wake>,
    events: Channels<UserId, UserEvent>,
}

impl Hub {
    /// Wakes for `worker`, from now on.
    pub fn wakes(&self, worker: &WorkerId) -> WakeStream {
        let stream = BroadcastStream::new(self.wakes.subscribe(worker));
        Box::pin(stream.map(|wake| wake.unwrap_or(Wake::Lagged)))
    }

    /// Events of `user`, from now on.
    pub fn events(&self, user: &UserId) -> EventStream {
        let stream = BroadcastStream::new(self.events.subscribe(user));
        Box::pin(stream.map(|event| event.unwrap_or(UserEvent::Lagged)))
    }

    /// Tells one worker; whether somebody listens.
    pub fn tell_worker(&self, worker: &WorkerId, wake: Wake) -> bool {
        self.wakes.send(worker, wake)
    }

    /// Tells the listeners of one user; whether there are any.
    pub fn tell_user(&self, user: &UserId, event: UserEvent) -> bool {
        self.events.send(user, event)
    }

    /// Tells what a step of partition `p` changed. Answers the wakes that reached nobody: their
    /// queues still have work, and the next idle worker should be woken instead.
    #[must_use]
    pub fn tell(&self, p: PartitionId, changes: &Changes) -> Vec<Name> {
        for entry in &changes.events {
            let (epoch, seq, text) = (entry.epoch, entry.seq, entry.text.clone());
            self.events.send(&entry.user, UserEvent::Logged { epoch, seq, text });
        }
        let mut missed = Vec::new();
        for signal in &changes.signals {
            match signal {
                Signal::Publish { user, text } => {
                    self.events.send(user, UserEvent::Passing(text.clone()));
                }
                Signal::Wake { worker, queue } => {
                    if !self.wakes.send(worker, Wake::Work(p, queue.clone())) {
                        missed.push(queue.clone());
                    }
                }
                Signal::Cancel { lease } => {
                    // If it is lost, the holder's next report tells it.
                    self.wakes.send(&lease.worker, Wake::Cancel(lease.clone()));
                }
            }
        }
        missed
    }
}

/// One channel per key somebody listens to.
#[derive(Debug)]
struct Channels<K, T>(Mutex<HashMap<K, broadcast::Sender<T>>>);

impl<K, T> Default for Channels<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone, T: Clone> Channels<K, T> {
    fn subscribe(&self, key: &K) -> broadcast::Receiver<T> {
        let mut channels = self.0.lock();
        // Keys whose listeners have gone are dropped here, so the map follows the listeners.
        if channels.len().is_power_of_two() {
            channels.retain(|_, channel| channel.receiver_count() > 0);
        }
        match channels.get(key) {
            Some(channel) => channel.subscribe(),
            None => {
                let (channel, receiver) = broadcast::channel(SIGNALS_WAITING_MAX);
                channels.insert(key.clone(), channel);
                receiver
            }
        }
    }

    /// Whether anybody listens.
    fn send(&self, key: &K, signal: T) -> bool {
        let mut channels = self.0.lock();
        let Some(channel) = channels.get(key) else { return false };
        if channel.send(signal).is_ok() {
            return true;
        }
        channels.remove(key);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wake(worker: &WorkerId) -> Changes {
        let queue = "mail".parse().unwrap();
        let signals = vec![Signal::Wake { worker: worker.clone(), queue }];
        Changes { signals, ..Changes::default() }
    }

    #[tokio::test]
    async fn a_wake_reaches_its_worker_and_a_missed_one_is_reported() {
        let hub = Hub::default();
        let worker: WorkerId = "w-1".parse().unwrap();
        assert_eq!(hub.tell(PartitionId(0), &wake(&worker)).len(), 1);
        let mut stream = hub.wakes(&worker);
        assert_eq!(hub.tell(PartitionId(0), &wake(&worker)).len(), 0);
        assert!(matches!(stream.next().await, Some(Wake::Work(..))));
        drop(stream);
        assert_eq!(hub.tell(PartitionId(0), &wake(&worker)).len(), 1);
    }

    #[tokio::test]
    async fn a_listener_that_falls_behind_is_told() {
        let hub = Hub::default();
        let worker: WorkerId = "w-1".parse().unwrap();
        let mut stream = hub.wakes(&worker);
        for _ in 0..=SIGNALS_WAITING_MAX {
            let _ = hub.tell(PartitionId(0), &wake(&worker));
        }
        assert_eq!(stream.next().await, Some(Wake::Lagged));
    }
}
