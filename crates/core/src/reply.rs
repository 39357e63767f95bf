//! What a partition answers.

use crate::ids::{Lease, Name, TaskId};
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
    /// With it the user's tasks would hold more bytes than they may.
    BytesFull,
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
    /// The queue of the claim at which it stopped, though places were left: it was its turn, and its
    /// next task takes more of them. Nothing was looked at behind it.
    pub stopped_at: Option<Name>,
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
    /// It was not accepted into its flow, and neither was any other task of the call; or what it was to
    /// become does not fit.
    Refused(Refusal),
}

/// Why a task of a flow was not accepted, or a task not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is a task of this id already.
    Exists,
    /// A task that it waits for is not there.
    NoTask,
    /// A task that it waits for is not a part of the same flow.
    Outside,
    /// The flow or batch that it is to be a part of is not there, or is none.
    NoFlow,
    /// That flow or batch takes no more parts: it is sealed, or has ended, or is full.
    Closed,
    /// Too many tasks wait for one of those that it waits for.
    LinksFull,
    /// The user has too many tasks waiting in this queue.
    LaneFull,
    /// With it the user's tasks would hold more bytes than they may.
    BytesFull,
    /// Nothing is wrong with this one; another one of the call was refused.
    Withheld,
}

impl Refusal {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Exists,
        Self::NoTask,
        Self::Outside,
        Self::NoFlow,
        Self::Closed,
        Self::LinksFull,
        Self::LaneFull,
        Self::BytesFull,
        Self::Withheld,
    ];

    /// The word that scripts and logs use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::NoTask => "no_task",
            Self::Outside => "outside",
            Self::NoFlow => "no_flow",
            Self::Closed => "closed",
            Self::LinksFull => "links_full",
            Self::LaneFull => "lane_full",
            Self::BytesFull => "bytes_full",
            Self::Withheld => "withheld",
        }
    }
}
