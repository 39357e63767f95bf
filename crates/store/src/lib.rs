//! What a store of tasks must do: the [`Store`] and [`Registry`] traits, the in-memory
//! [`model::ModelStore`], and the conformance suite every store passes.
//!
//! A store never knows HTTP, sockets, handlers or files. Whoever uses one never knows which.

pub mod bulk;
pub mod change;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod filter;
pub mod hub;
pub mod inputs;
pub mod kill_point;
pub mod limits;
pub mod model;
pub mod position;
mod query;
mod registry;
pub mod settings;
mod settle;
pub mod transfer;

use std::pin::Pin;

use async_trait::async_trait;
use futures_util::Stream;
use tasktonic_core::command::{Control, Submit, Sync as SyncCommand};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Lease, Name, Text, UserId, WorkerId};

pub use kill_point::KillPoint;
pub use query::{
    AttemptRow, Counts, Cursor, DueSchedules, EventsSince, LogLines, LogRow, Position, Query,
    QueryReply, StoredTask, TaskFilter, TaskPage, Turns, UserView, UsersIn,
};
pub use registry::{Entry, Expect, Registry, Table};
pub use settle::{Losses, WORKER_LOST, settle, settle_after};

/// Why a store could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Above its limit in bytes: submits are refused, everything else goes on.
    #[error("the store is full; try again when tasks have been worked off")]
    Full,
    /// The disk is full: submits are refused until there is space again.
    #[error("the disk of the store is full; free some space")]
    DiskFull,
    /// Too many requests are waiting for it.
    #[error("the store is busy; try again in a moment")]
    Busy,
    /// It could not be reached, or is shutting down.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// The request was sent and no answer came: it may have been carried out. Send it again;
    /// every request may be repeated.
    #[error("no answer from the store; the request may have been carried out, send it again")]
    OutcomeUnknown,
    /// The request breaks a named limit of the store.
    #[error("{0}")]
    Invalid(String),
}

/// What a store returns.
pub type Result<T> = std::result::Result<T, Error>;

/// How sure an acknowledged submit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// In memory only.
    Memory,
    /// In the memory of a server that writes to disk a moment later.
    Fast,
    /// On disk.
    Disk,
    /// On more than one node.
    Replicated,
}

impl Durability {
    /// The word in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Fast => "fast",
            Self::Disk => "disk",
            Self::Replicated => "replicated",
        }
    }
}

/// How a store is: what `/readyz` shows and operators watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether requests should be sent to who uses it.
    pub ready: bool,
    /// Why not, and what endangers it though it is ready: sentences for operators, without
    /// passwords or addresses.
    pub reasons: Vec<String>,
    /// What it takes, bytes, of that which has a limit; absent where it is not known.
    pub bytes: Option<u64>,
    /// Above this many bytes submits are refused; absent where it is not known.
    pub bytes_max: Option<u64>,
}

/// A lease together with what is needed to work on it or to settle it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The right to report.
    pub lease: Lease,
    /// Count of writes on this claim so far.
    pub n: u32,
    /// The descriptor (JSON text, see `protocol::stored::Descriptor`).
    pub descriptor: Text,
    /// The state as it was stored (JSON text), if it was ever written: of adopted leases it says
    /// how far the lost attempt had come.
    pub state: Option<Text>,
}

/// The answer to a sync.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncReply {
    /// Indexes of the operations that were refused because their lease is not held.
    pub refused: Vec<u32>,
    /// Indexes of the operations of which nobody knows what became, to be said again. Only a store
    /// that is reached through a server answers so, when one partition did not answer it and
    /// others did; elsewhere such a sync fails as a whole.
    pub unheard: Vec<u32>,
    /// Leases whose cancellation was asked.
    pub cancelled: Vec<Lease>,
    /// Lost leases that are now the caller's: send [`settle`]d operations in the next sync.
    pub adopted: Vec<Held>,
    /// New work.
    pub claimed: Vec<Held>,
    /// The queue of the claim at which it stopped, though places were left: its next task takes more
    /// of them. Its turn comes once they are free and the claim begins with it; behind it nothing was
    /// looked at.
    pub stopped_at: Option<Name>,
    /// Lanes left in the claim's queues, where it looked at as many entries as one call may before
    /// it had all it asked for; 0 otherwise.
    pub more: u32,
    /// When a sync would next find something due, in ms: told by a sync that maintained, and by
    /// one that claimed nothing.
    pub next_in_ms: Option<u64>,
    /// When the next schedule comes, in ms; 0 if one is due, absent if there is none. Who fires them
    /// asks [`Query::DueSchedules`] then.
    pub schedule_in_ms: Option<u64>,
    /// The partition's epoch, for fences.
    pub epoch: u32,
    /// The version of what is set of queues in the partition; a store that is reached through a
    /// server does not tell it.
    pub queues_version: u64,
}

/// Something for one worker to look at now. A lost one costs a maintenance tick, no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// There is work in this queue of this partition.
    Work(PartitionId, Name),
    /// The holder of this lease should stop.
    Cancel(Lease),
    /// Signals may have been missed: look everywhere.
    Lagged,
}

/// Something that happened to a user's tasks, as it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserEvent {
    /// An entry of the user's event log: a JSON array of events.
    Logged {
        /// The epoch the number counts in.
        epoch: u32,
        /// Gap-free within the epoch.
        seq: u64,
        /// A JSON array.
        text: Text,
    },
    /// Progress or log lines: latest wins, not numbered (a JSON object).
    Passing(Text),
    /// Entries may have been missed: read from the cursor.
    Lagged,
}

/// Wakes for one worker.
pub type WakeStream = Pin<Box<dyn Stream<Item = Wake> + Send>>;
/// Events of one user.
pub type EventStream = Pin<Box<dyn Stream<Item = UserEvent> + Send>>;

/// Where tasks live. All that crosses between the engine and the rest of the system.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Accepts tasks, each for itself; all users of one call belong to partition `p`. Answers
    /// when the accepted ones are as durable as [`Store::durability`] says.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::DiskFull`], [`Error::Busy`]: nothing was accepted.
    /// [`Error::OutcomeUnknown`]: send the same batch again.
    async fn submit(&self, p: PartitionId, batch: Submit) -> Result<Vec<Submitted>>;

    /// Takes a worker's reports and hands out work.
    ///
    /// # Errors
    /// As for submit, but never refused for lack of space.
    async fn sync(&self, p: PartitionId, request: SyncCommand) -> Result<SyncReply>;

    /// Whether nothing in partition `p` comes due by itself or waits for a worker that is parked,
    /// so that a sync without reports and claim would find nothing to do but remove what was kept
    /// long enough. Cheaper than such a sync where the store can tell; false where it cannot.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn rests(&self, p: PartitionId) -> Result<bool> {
        let _ = p;
        Ok(false)
    }

    /// Does what people and operators ask.
    ///
    /// # Errors
    /// As for submit.
    async fn control(&self, p: PartitionId, control: Control) -> Result<Vec<Controlled>>;

    /// Answers from the record.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Invalid`].
    async fn read(&self, p: PartitionId, query: Query) -> Result<QueryReply>;

    /// Wakes for `worker`, from now on. Subscribe before parking.
    fn wakes(&self, worker: &WorkerId) -> WakeStream;

    /// Events of `user`, from now on. Subscribe before reading.
    fn events(&self, user: &UserId) -> EventStream;

    /// How many partitions there are.
    fn partitions(&self) -> u16;

    /// How sure an accepted submit is.
    fn durability(&self) -> Durability;

    /// What sort of store it is, in one word for operators: `memory`, `embedded`, `redis`.
    fn name(&self) -> &'static str {
        "memory"
    }

    /// Whether several processes may use it at once: what they count, they must count in it.
    fn is_shared(&self) -> bool {
        false
    }

    /// How it is. Cheap: it is asked every few seconds, and must answer within two, also when the
    /// store does not. Unless a store knows better, it is ready when every partition answers.
    async fn health(&self) -> Health {
        let mut reasons = Vec::new();
        for p in (0..self.partitions()).map(PartitionId) {
            let probe = Query::Exist { tasks: Vec::new() };
            if let Err(error) = self.read(p, probe).await {
                reasons.push(format!("partition {}: {error}", p.0));
            }
        }
        Health { ready: reasons.is_empty(), reasons, ..Health::default() }
    }

    /// Writes what is kept anew, so that the raw bytes of what was removed before this call are in no
    /// file of the store any more. It may take as long as copying the store. A store whose files are
    /// another program's leaves it to that.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::Busy`], [`Error::Unavailable`]: the bytes may still be there.
    async fn compact(&self) -> Result<()> {
        Ok(())
    }

    /// What is not a task: accounts, keys, kinds, workers.
    fn registry(&self) -> &dyn Registry;
}
