//! What waits to be sent to one socket. Bounded: where a socket does not follow, entries are given
//! up and it is told to read from its cursor, so that nothing is lost in silence.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tasktonic_core::TaskId;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Bytes of numbered entries that may wait for one socket.
pub(super) const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// Numbered entries that may wait for one socket.
pub(super) const WAITING_ENTRIES_MAX: usize = 1_000;
/// Tasks whose newest progress may wait for one socket.
const WAITING_PROGRESS_MAX: usize = 4_096;

/// A numbered entry, spelled once for all sockets of the user.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) epoch: u32,
    pub(super) seq: u64,
    pub(super) frame: Utf8Bytes,
}

/// What waits for one socket.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

/// See [`Outbox`].
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// In order.
    pub(super) entries: VecDeque<Entry>,
    bytes: usize,
    /// Entries were given up: read from the cursor.
    pub(super) look: bool,
    /// The newest of each task.
    pub(super) progress: HashMap<TaskId, Arc<str>>,
    /// The newest.
    pub(super) counts: Option<Utf8Bytes>,
    /// Logs this socket watches.
    pub(super) watched: BTreeSet<TaskId>,
    /// Those of them that grew.
    pub(super) grown: BTreeSet<TaskId>,
    /// The stream of events has ended.
    pub(super) over: bool,
}

impl Outbox {
    /// Returns when there may be something to send.
    pub(super) async fn changed(&self) {
        self.wake.notified().await;
    }

    /// Everything that waits; what is watched stays.
    pub(super) fn take(&self) -> Waiting {
        let mut waiting = self.waiting.lock();
        let watched = std::mem::take(&mut waiting.watched);
        let taken = std::mem::take(&mut *waiting);
        waiting.watched = watched;
        taken
    }

    /// Watches these logs from now on and no others.
    pub(super) fn watch(&self, logs: BTreeSet<TaskId>) {
        self.waiting.lock().watched = logs;
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut self.waiting.lock());
        self.wake.notify_one();
    }

    pub(super) fn entry(&self, entry: &Entry) {
        self.change(|waiting| {
            if waiting.look {
                return;
            }
            waiting.bytes += entry.frame.len();
            if waiting.bytes > WAITING_BYTES_MAX || waiting.entries.len() >= WAITING_ENTRIES_MAX {
                waiting.give_up();
            } else {
                waiting.entries.push_back(entry.clone());
            }
        });
    }

    /// Something may have been missed.
    pub(super) fn look(&self) {
        self.change(|waiting| {
            waiting.give_up();
            waiting.grown = waiting.watched.clone();
        });
    }

    pub(super) fn progress(&self, patches: &HashMap<TaskId, Arc<str>>) {
        self.change(|waiting| {
            for (task, patch) in patches {
                if waiting.progress.len() < WAITING_PROGRESS_MAX
                    || waiting.progress.contains_key(task)
                {
                    waiting.progress.insert(*task, patch.clone());
                }
            }
        });
    }

    pub(super) fn counts(&self, frame: &Utf8Bytes) {
        self.change(|waiting| waiting.counts = Some(frame.clone()));
    }

    /// These logs grew.
    pub(super) fn grown(&self, logs: &BTreeSet<TaskId>) {
        let mut waiting = self.waiting.lock();
        let Waiting { watched, grown, .. } = &mut *waiting;
        let before = grown.len();
        grown.extend(logs.intersection(watched));
        if grown.len() > before {
            self.wake.notify_one();
        }
    }

    pub(super) fn over(&self) {
        self.change(|waiting| waiting.over = true);
    }
}

impl Waiting {
    fn give_up(&mut self) {
        self.entries = VecDeque::new();
        self.bytes = 0;
        self.look = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_waits_is_bounded_and_a_given_up_entry_is_never_silent(sizes in prop::collection::vec(1..200_000usize, 0..60)) {
            let outbox = Outbox::default();
            for (at, size) in sizes.iter().enumerate() {
                let frame = Utf8Bytes::from("x".repeat(*size));
                outbox.entry(&Entry { epoch: 1, seq: at as u64 + 1, frame });
                prop_assert!(outbox.waiting.lock().bytes <= WAITING_BYTES_MAX);
            }
            let taken = outbox.take();
            let seqs: Vec<u64> = taken.entries.iter().map(|entry| entry.seq).collect();
            if taken.look {
                prop_assert!(seqs.is_empty());
            } else {
                prop_assert_eq!(seqs, (1..=sizes.len() as u64).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn only_watched_logs_wake_a_socket() {
        let outbox = Outbox::default();
        let (mine, other) = (TaskId::new(1, 1), TaskId::new(1, 2));
        outbox.watch([mine].into());
        outbox.grown(&[other].into());
        assert!(outbox.take().grown.is_empty());
        outbox.grown(&[mine, other].into());
        assert_eq!(outbox.take().grown, [mine].into());
        outbox.grown(&[mine].into());
        assert_eq!(outbox.take().grown, [mine].into(), "watching goes on after a turn");
    }
}
