//! What a partition answers.

use crate::ids::{Lease, TaskId};
use crate::transitions::TaskState;

/// The answer to a [`Command`](crate::Command), of the same kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To a submit: one outcome per task, in order.
    Submit(Vec<Submitted>),
    /// To a sync.
    Sync(Synced),
    /// To a control command: one outcome per task, in order, or one for the settings in it.
    Control(Vec<Controlled>),
}

/// What became of one submitted task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// It is accepted.
    Accepted,
    /// The same key and body (or the same id) came before: this is the task that exists.
    Existing(TaskId),
    /// The same key came before with another body: this is the task that holds it.
    Conflict(TaskId),
    /// The user has too many tasks waiting in this queue.
    LaneFull,
}

/// The answer to a sync.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Synced {
    /// Indexes of the operations whose lease is not held: they changed nothing.
    pub refused: Vec<u32>,
    /// Leases among those named, or adopted here, whose cancellation was asked.
    pub cancelled: Vec<Lease>,
    /// Lost leases that are now the caller's to settle.
    pub adopted: Vec<Lease>,
    /// New work.
    pub claimed: Vec<Claimed>,
    /// Lanes left in the claim's queues, where it looked at as many entries as one call may before
    /// it had all it asked for; 0 otherwise.
    pub more: u32,
    /// When a sync would next find something due, in ms from now. Told by a sync that maintained,
    /// and by one that claimed nothing; absent otherwise, and when nothing will be due.
    pub next_in_ms: Option<u64>,
    /// When the next schedule comes, in ms from now; 0 if one is due. Only who fires them cares.
    pub schedule_in_ms: Option<u64>,
    /// The partition's epoch, for fences.
    pub epoch: u32,
    /// The version of what is set of queues here.
    pub queues_version: u64,
}

/// One task handed to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The right to report on it.
    pub lease: Lease,
    /// Count of writes on this claim so far: the holder counts on from here.
    pub n: u32,
}

/// What became of one task named by a control command, or of the settings in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controlled {
    /// It was changed as asked.
    Done,
    /// It is running: its holder has been asked to stop.
    Asked,
    /// It is in a state this verb does not apply to.
    Unfit(TaskState),
    /// It changed since the asker looked: look again.
    Changed,
    /// There is no room: the user's line is full, or they have all the schedules they may have.
    Full,
    /// There is no such task, or schedule, of this user.
    Absent,
}
