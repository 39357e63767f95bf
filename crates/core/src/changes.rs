//! What a step of the partition wrote, removed and has to tell: whole records, so that a journal
//! of changes needs no replay of rules.

use crate::Text;
use crate::command::Expiry;
use crate::ids::{Lease, Name, TaskId, UserId, WorkerId};
use crate::lease_time::LeaseTime;
use crate::links::Links;
use crate::priority::Priority;
use crate::schedule::Schedule;
use crate::settings::{Pauses, QueueSettings, UserSettings};
use crate::transitions::TaskState;

/// Everything one command changed, in order.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// What must be kept.
    pub records: Vec<Record>,
    /// Logged events, one entry per user, numbered.
    pub events: Vec<EventEntry>,
    /// What should be told to whoever listens; never stored, may be lost.
    pub signals: Vec<Signal>,
}

impl Changes {
    /// Whether nothing has to be kept.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.records.is_empty()
    }
}

/// One stored record, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A task was accepted: its descriptor, and the beginning of a life of this id.
    Descriptor {
        /// The owner.
        user: UserId,
        /// The task.
        task: TaskId,
        /// JSON text.
        text: Text,
    },
    /// What a task is to do was changed while it waited.
    Edited {
        /// The owner.
        user: UserId,
        /// The task.
        task: TaskId,
        /// Its descriptor from now on, JSON text.
        text: Text,
    },
    /// A task's state and place.
    Task {
        /// The owner.
        user: UserId,
        /// The task.
        task: TaskId,
        /// What the engine needs to go on from here.
        control: TaskControl,
        /// The state as it is read (JSON text); absent while the task is queued and untouched.
        text: Option<Text>,
    },
    /// A task's place changed and its text did not: it was adopted, or its cancellation was asked.
    Control {
        /// The owner.
        user: UserId,
        /// The task.
        task: TaskId,
        /// What the engine needs to go on from here.
        control: TaskControl,
    },
    /// An attempt that ended without ending its task, for the history. Numbers at or below
    /// `number - ATTEMPTS_KEPT_MAX` fall out.
    Attempt {
        /// The owner.
        user: UserId,
        /// The task.
        task: TaskId,
        /// Its place in the history, from 1.
        number: u32,
        /// JSON text.
        text: Text,
    },
    /// Lines of a task's log, numbered from `first`; its `log_lines` is now the last number.
    /// Numbers at or below that less `LOG_LINES_MAX` fall out.
    Log {
        /// The owner.
        user: UserId,
        /// The task.
        task: TaskId,
        /// Number of the first of these lines; the task's first is 1.
        first: u32,
        /// JSON texts.
        lines: Vec<Text>,
    },
    /// An idempotency key and what it stands for.
    Key {
        /// The owner.
        user: UserId,
        /// The key.
        key: Text,
        /// The task that holds it.
        task: TaskId,
        /// Hash of the body submitted under it.
        body_hash: u128,
        /// Forgotten from this wall-clock time on, in ms.
        expires_ms: i64,
    },
    /// What ties a task to others.
    Links {
        /// The owner.
        user: UserId,
        /// The task.
        task: TaskId,
        /// All of it; absent when the task is gone.
        links: Option<Links>,
    },
    /// Lease time, and until when workers of other processes were heard.
    LeaseTime(LeaseTime),
    /// What is set of a queue; all defaults remove the record.
    Queue {
        /// The queue.
        queue: Name,
        /// What is set of it.
        settings: QueueSettings,
    },
    /// The version of what is set of queues.
    QueuesVersion(u64),
    /// What is set of a user in a queue; all defaults remove the record.
    User {
        /// The queue.
        queue: Name,
        /// The user.
        user: UserId,
        /// What is set of them.
        settings: UserSettings,
    },
    /// By whom all work of a user is paused; by nobody removes the record.
    Pause {
        /// The user.
        user: UserId,
        /// By whom.
        pauses: Pauses,
    },
    /// How many bytes the tasks of a user may hold; absent where nothing is set any more.
    BytesMax {
        /// The user.
        user: UserId,
        /// The most.
        bytes_max: Option<u64>,
    },
    /// One of a user's schedules.
    Schedule {
        /// The owner.
        user: UserId,
        /// Its name.
        name: Name,
        /// What it is from now on; absent if it was removed.
        schedule: Option<Schedule>,
    },
    /// A key was forgotten.
    KeyGone {
        /// The owner.
        user: UserId,
        /// The key.
        key: Text,
    },
    /// Nothing of a user is left, not even the events.
    UserGone {
        /// The user.
        user: UserId,
    },
    /// A task and everything kept of it is gone.
    TaskGone {
        /// The owner.
        user: UserId,
        /// The task.
        task: TaskId,
    },
}

/// What the engine knows of a task: small, always in memory, enough to restore it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskControl {
    /// The queue it belongs to.
    pub queue: Name,
    /// The claim number of the present or, while waiting, the next holder.
    pub claim: u32,
    /// Count of writes on this claim.
    pub n: u32,
    /// The attempt that runs, ran last, or would run next.
    pub attempt: u32,
    /// Attempts in the history.
    pub attempts_kept: u32,
    /// Lines in the log.
    pub log_lines: u32,
    /// Bytes of its descriptor. Not kept: whoever restores a partition counts them in the texts.
    pub bytes: u32,
    /// When it ends if nobody takes it; only while it waits and nobody ever has. Few have one.
    pub expires: Option<Box<Expiry>>,
    /// The key of the tasks it may not run beside. Few have one.
    pub serial: Option<Box<Serial>>,
    /// Which list of its lane it waits in.
    pub priority: Priority,
    /// Where it is.
    pub place: Place,
}

/// The key of tasks that run one at a time, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serial {
    /// The key.
    pub key: u128,
    /// Whether it is this task's turn: from when it may be taken until it ends.
    pub holds: bool,
}

impl TaskControl {
    /// What is counted of a task, in bytes: its descriptor, and how it ended once it has.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        u64::from(self.bytes) + u64::from(self.place.bytes())
    }

    /// That of a task that nobody has claimed or written to yet.
    #[must_use]
    pub fn new(queue: Name, place: Place) -> Self {
        Self {
            queue,
            claim: 1,
            n: 0,
            attempt: 1,
            attempts_kept: 0,
            log_lines: 0,
            bytes: 0,
            expires: None,
            serial: None,
            priority: Priority::Normal,
            place,
        }
    }

    /// Whether nothing has to be said of it while it is queued and untouched.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.expires.is_none() && self.serial.is_none() && self.priority == Priority::Normal
    }
}

/// Where a task is; each state has one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Due in the future.
    Scheduled {
        /// Wall-clock time in ms.
        due_ms: i64,
    },
    /// Until others have ended.
    Waiting {
        /// How many ends it waits for.
        pending: u32,
    },
    /// In its lane.
    Queued {
        /// Its order there: smaller goes first.
        position: i64,
    },
    /// Held by a worker.
    Running {
        /// Who holds it.
        worker: WorkerId,
        /// Which call of that worker took it.
        call: u64,
        /// End of the lease in lease time, ms.
        deadline_lt: i64,
        /// Whether its cancellation was asked.
        cancel_asked: bool,
    },
    /// Ended.
    Ended {
        /// How.
        state: TaskState,
        /// When, wall clock, ms.
        at_ms: i64,
        /// Kept for this long, in seconds.
        keep_s: u32,
        /// Bytes of its state as it is read. Not kept, as [`TaskControl::bytes`].
        bytes: u32,
    },
}

impl Place {
    /// What is counted of a task's state: that of one that has ended, with what came of it.
    #[must_use]
    pub fn bytes(&self) -> u32 {
        if let Self::Ended { bytes, .. } = self { *bytes } else { 0 }
    }

    /// The state that goes with this place.
    #[must_use]
    pub fn state(&self) -> TaskState {
        match self {
            Self::Scheduled { .. } => TaskState::Scheduled,
            Self::Waiting { .. } => TaskState::Waiting,
            Self::Queued { .. } => TaskState::Queued,
            Self::Running { .. } => TaskState::Running,
            Self::Ended { state, .. } => *state,
        }
    }

    /// Whether the task waits for a worker or for its time.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self, Self::Scheduled { .. } | Self::Queued { .. })
    }

    /// Whether an attempt of the task is to come and none runs: it waits for a worker, for its time,
    /// or for other tasks.
    #[must_use]
    pub fn is_to_come(&self) -> bool {
        self.is_waiting() || matches!(self, Self::Waiting { .. })
    }
}

/// One numbered entry of a user's event log: the events of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventEntry {
    /// The owner.
    pub user: UserId,
    /// The epoch the number counts in.
    pub epoch: u32,
    /// Gap-free within the epoch, from 1.
    pub seq: u64,
    /// A JSON array.
    pub text: Text,
}

/// What should be told at once. A lost signal delays; it never loses anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Something unlogged for a user's sockets: progress or log lines (JSON text).
    Publish {
        /// The owner.
        user: UserId,
        /// A JSON object.
        text: Text,
    },
    /// There is work in a queue for this worker.
    Wake {
        /// The worker, no longer registered as idle on that queue.
        worker: WorkerId,
        /// The queue.
        queue: Name,
    },
    /// The holder of this lease should stop.
    Cancel {
        /// The lease.
        lease: Lease,
    },
}
