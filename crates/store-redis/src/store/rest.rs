//! What is remembered from one question whether a partition rests to the next: the queues for which
//! workers are parked there. Asks nobody itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tasktonic_core::Name;
use tasktonic_core::routing::PartitionId;

/// How long the queues are taken to be the same, in ms. A wake that is lost for one parked later is
/// healed by the next sync without a claim, as any is.
const QUEUES_MS: u64 = 10_000;

/// Queues, and when they were learnt.
type Learnt = (Instant, Arc<[Name]>);

/// See the module.
#[derive(Debug)]
pub(super) struct Rest {
    parts: Vec<Mutex<Option<Learnt>>>,
}

impl Rest {
    /// Knows nothing yet of so many partitions.
    pub(super) fn new(partitions: u16) -> Self {
        Self { parts: (0..partitions).map(|_| Mutex::default()).collect() }
    }

    /// The queues for which workers are parked; absent where they have to be asked for.
    pub(super) fn parked(&self, p: PartitionId) -> Option<Arc<[Name]>> {
        let (since, queues) = self.parts.get(usize::from(p.0))?.lock().clone()?;
        (since.elapsed() < Duration::from_millis(QUEUES_MS)).then_some(queues)
    }

    /// Keeps what was asked for.
    pub(super) fn learn(&self, p: PartitionId, queues: Vec<Name>) -> Arc<[Name]> {
        let queues: Arc<[Name]> = queues.into();
        if let Some(part) = self.parts.get(usize::from(p.0)) {
            *part.lock() = Some((Instant::now(), queues.clone()));
        }
        queues
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_remembered_for_each_partition_by_itself() {
        let rest = Rest::new(2);
        let (p, other) = (PartitionId(1), PartitionId(0));
        assert_eq!(rest.parked(p), None);
        rest.learn(p, vec!["mail".parse().expect("a name")]);
        assert_eq!(rest.parked(p).as_deref().map(<[Name]>::len), Some(1));
        assert_eq!(rest.parked(other), None);
        assert_eq!(rest.parked(PartitionId(2)), None, "there is none");
    }
}
