//! A whole store out into lines and in from lines: between any two stores, in constant memory but
//! for one user's waiting tasks.
//!
//! What is carried over: the registry, every task with its texts, history, log and place, the order
//! of lanes, idempotency keys, schedules, what is set of queues and users. What is not: users' files
//! (they are no part of a store),
//! the log of events (cursors of the old store get a snapshot from the new one, whose epoch is
//! above), and who holds what: a running task goes to the front of its lane under the next claim
//! number, or is cancelled if that was asked.

mod read;
mod write;

use async_trait::async_trait;
use tasktonic_core::changes::Record;
use tasktonic_core::partition::{InQueue, KeptSchedule, Key, Row};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::settings::{Pauses, QueueSettings};
use tasktonic_core::{Name, Partition, TaskId, UserId};
pub use tasktonic_protocol::transfer::Totals;

use crate::{Entry, Error, Result, Store, Table};

pub use read::import;
pub use write::{export, export_user};

/// Tasks of one page of [`Source::rows`].
pub const ROWS_MAX: usize = 200;
/// Bytes of the longest line: a task with the largest payload and output.
pub const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why a store was not written out or read in.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The store did not answer.
    #[error("{0}")]
    Store(#[from] Error),
    /// The text cannot be read or written.
    #[error("the lines cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// Not an export, a damaged one, or one that was cut short.
    #[error("line {line} of the export: {what}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The store to read into.
    #[error("{0}")]
    Target(String),
}

/// A store that can be written out. Nobody should change it meanwhile: each task is whole by
/// itself, but what changes may be written as it was, as it is, or twice.
#[async_trait]
pub trait Source: Store {
    /// The newest epoch of any partition.
    async fn epoch(&self) -> Result<u32>;

    /// Users of a partition, by id.
    async fn users(&self, p: PartitionId) -> Result<Vec<UserId>>;

    /// Up to [`ROWS_MAX`] tasks of a user with their places, by id, after one.
    async fn rows(&self, p: PartitionId, user: &UserId, after: Option<TaskId>) -> Result<Vec<Row>>;

    /// Idempotency keys of a partition that are not yet forgotten.
    async fn keys(&self, p: PartitionId) -> Result<Vec<Key>>;

    /// What is set in a partition.
    async fn settings(&self, p: PartitionId) -> Result<Settings>;

    /// Schedules of a partition, by user and name.
    async fn schedules(&self, p: PartitionId) -> Result<Vec<KeptSchedule>>;
}

/// What is set of queues and users in a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Of queues, by name.
    pub queues: Vec<(Name, QueueSettings)>,
    /// The version of that.
    pub queues_version: u64,
    /// Of users in queues, by queue and user.
    pub in_queues: Vec<InQueue>,
    /// Users whose work is paused, by id, and by whom.
    pub paused: Vec<(UserId, Pauses)>,
    /// How many bytes the tasks of users may hold, where it is set, by id.
    pub bytes_max: Vec<(UserId, u64)>,
}

impl Settings {
    /// Those of a partition in memory.
    #[must_use]
    pub fn of(partition: &Partition) -> Self {
        let mut in_queues = partition.kept_in_queues();
        in_queues.sort_by(|a, b| (&a.queue, &a.user).cmp(&(&b.queue, &b.user)));
        Self {
            queues: partition.kept_queues(),
            queues_version: partition.queues_version(),
            in_queues,
            paused: partition.kept_pauses(),
            bytes_max: partition.kept_bytes_max(),
        }
    }
}

/// An empty store that is being read into.
#[async_trait]
pub trait Target: Send {
    /// Makes sure that nothing is there, and that nobody uses it before [`Target::finish`]. Its
    /// epoch will be above `epoch`.
    ///
    /// # Errors
    /// [`TransferError::Target`] when something is there already.
    async fn begin(&mut self, epoch: u32) -> std::result::Result<(), TransferError>;

    /// Keeps records of the registry and of tasks. Those of a task begin with its descriptor;
    /// positions in lanes rise.
    ///
    /// # Errors
    /// When the store does not take them; then it stays unfinished.
    async fn put(
        &mut self,
        registry: Vec<(Table, Entry)>,
        records: Vec<Record>,
    ) -> std::result::Result<(), TransferError>;

    /// Everything is there: from now on it is a store like any other.
    ///
    /// # Errors
    /// As for put.
    async fn finish(&mut self) -> std::result::Result<(), TransferError>;
}
