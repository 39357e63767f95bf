//! What `meta` says of priorities: in which queues tasks have some. Knows no task.

use std::collections::BTreeSet;

use tasktonic_core::{Name, Priority};

/// Queues in which lanes may be of more than one list.
#[derive(Debug, Default)]
pub(crate) struct Priorities {
    all: bool,
    queues: BTreeSet<Name>,
}

impl Priorities {
    /// As `meta` says it.
    pub(crate) fn of(said: &str) -> Self {
        let queues = said.split(' ').filter_map(|name| name.parse().ok()).collect();
        Self { all: said == "*", queues }
    }

    /// The lists of a lane of `queue`.
    pub(crate) fn lists(&self, queue: &Name) -> &'static [Priority] {
        let mixed = self.all || self.queues.contains(queue);
        if mixed { &Priority::ALL } else { &[Priority::Normal] }
    }

    /// A task of `queue` has a priority. Whether that is news.
    pub(crate) fn learn(&mut self, queue: &Name) -> bool {
        !self.all && self.queues.insert(queue.clone())
    }
}
