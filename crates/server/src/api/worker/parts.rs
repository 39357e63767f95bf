//! What this server remembers of each partition between the syncs of remote workers: its epoch, and
//! whether it answered the last call.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tasktonic_core::routing::PartitionId;
use tokio::time::Instant;

/// A partition that did not answer is asked for no work for this long.
pub(super) const AWAY: Duration = Duration::from_secs(1);

/// Every partition.
#[derive(Debug)]
pub(crate) struct Parts(Vec<Part>);

#[derive(Debug, Default)]
struct Part {
    epoch: AtomicU32,
    away_until: Mutex<Option<Instant>>,
}

impl Parts {
    /// So many partitions, of which nothing is known.
    pub(crate) fn new(partitions: u16) -> Self {
        Self((0..partitions).map(|_| Part::default()).collect())
    }

    fn part(&self, p: PartitionId) -> Option<&Part> {
        self.0.get(usize::from(p.0))
    }

    /// It answered, in this epoch.
    pub(crate) fn answered(&self, p: PartitionId, epoch: u32) {
        if let Some(part) = self.part(p) {
            part.epoch.store(epoch, Ordering::Relaxed);
            *part.away_until.lock() = None;
        }
    }

    /// It did not answer.
    pub(super) fn silent(&self, p: PartitionId) {
        if let Some(part) = self.part(p) {
            *part.away_until.lock() = Some(Instant::now() + AWAY);
        }
    }

    /// Whether it may be asked for work.
    pub(super) fn is_there(&self, p: PartitionId) -> bool {
        let away = self.part(p).and_then(|part| *part.away_until.lock());
        away.is_none_or(|until| until <= Instant::now())
    }

    /// The epoch of its last answer; 0 before the first.
    pub(super) fn epoch(&self, p: PartitionId) -> u32 {
        self.part(p).map_or(0, |part| part.epoch.load(Ordering::Relaxed))
    }
}
