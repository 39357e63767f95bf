//! What can be asked of a partition. Every value that needs a clock, chance or a calculation is
//! already in the command; the partition moves, checks and counts.

mod claim;
mod key;

pub use claim::Claim;
pub use key::{Idempotency, KeyMode, Replaced};

use crate::Text;
use crate::ids::{Lease, Name, TaskId, UserId, WorkerId};
use crate::limits::LANE_MAX_DEFAULT;
use crate::links::OnFailure;
use crate::priority::Priority;
use crate::schedule::{Schedule, Tick};
use crate::settings::{By, QueueSettings, UserSettings};

/// One step of a partition.
#[derive(Debug, Clone)]
pub enum Command {
    /// Accept tasks.
    Submit(Submit),
    /// Everything a worker has to say, and its next claim.
    Sync(Sync),
    /// What people and operators ask for.
    Control(Control),
}

/// Accept up to [`SUBMIT_TASKS_MAX`](crate::limits::SUBMIT_TASKS_MAX) tasks, each for itself.
#[derive(Debug, Clone, Default)]
pub struct Submit {
    /// The server's wall clock: `created` of the tasks and `at` of their events, in ms.
    pub created_ms: i64,
    /// The tasks.
    pub tasks: Vec<NewTask>,
}

/// One task to accept.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Its owner.
    pub user: UserId,
    /// Its id, made before the call, so that a repeated call is recognised.
    pub task: TaskId,
    /// Where it waits.
    pub queue: Name,
    /// Which of its user's tasks go first there.
    pub priority: Priority,
    /// Not before this wall-clock time in ms; at once if absent or past.
    pub due_ms: Option<i64>,
    /// The immutable descriptor (JSON text).
    pub descriptor: Text,
    /// Members that only the submit event carries (JSON members without braces, or empty).
    pub event: Text,
    /// When it ends if nobody has taken it.
    pub expires: Option<Expiry>,
    /// The key under which a repetition finds this task.
    pub idempotency: Option<Idempotency>,
    /// The tasks it may not run beside.
    pub serial: Option<NewSerial>,
    /// The most tasks this user may have waiting in this queue, scheduled ones included.
    pub lane_max: u32,
    /// The most bytes that tasks of this user may hold, where nothing is set of the user.
    pub bytes_max: u64,
}

impl NewTask {
    /// One that is due at once, without a key, among at most
    /// [`LANE_MAX_DEFAULT`] waiting ones.
    #[must_use]
    pub fn new(user: UserId, task: TaskId, queue: Name, descriptor: impl Into<Text>) -> Self {
        Self {
            user,
            task,
            queue,
            priority: Priority::Normal,
            due_ms: None,
            descriptor: descriptor.into(),
            event: Text::default(),
            expires: None,
            idempotency: None,
            serial: None,
            lane_max: LANE_MAX_DEFAULT,
            bytes_max: u64::MAX,
        }
    }
}

/// Of the tasks of one user and one of these keys, one at a time is taken, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewSerial {
    /// The key: a number that stands for the user's own.
    pub key: u128,
    /// Whether the one that runs is asked to stop.
    pub stops_running: bool,
}

/// The end of a task that nobody has ever taken: from its time on it is cancelled and never runs.
/// The first claim does away with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// From this wall-clock time on, ms.
    pub at_ms: i64,
    /// Kept for this long then, in seconds.
    pub keep_s: u32,
}

/// The members of the state of a task that nobody took in time.
pub const EXPIRED: &str = r#""why":"expired""#;

/// The only call a worker makes.
#[derive(Debug, Clone)]
pub struct Sync {
    /// Who speaks.
    pub worker: WorkerId,
    /// A number that rises with every claiming call of this worker.
    pub call: u64,
    /// How long new and renewed leases last, in ms.
    pub lease_ms: u32,
    /// Reports on leases, in order.
    pub ops: Vec<Op>,
    /// What it has room for.
    pub claim: Option<Claim>,
    /// Queues for which it was woken since its last call.
    pub woken: Vec<Name>,
    /// Register as idle on the claim's queues if nothing was claimed.
    pub park: bool,
}

/// One report on one lease. A lease that is not held any more refuses it whole.
#[derive(Debug, Clone)]
pub struct Op {
    /// The acquisition this report is about.
    pub lease: Lease,
    /// What is reported.
    pub report: Report,
}

/// What a holder may say.
#[derive(Debug, Clone)]
pub enum Report {
    /// Still at work.
    Heartbeat,
    /// How far along; also renews. Latest wins, not logged.
    Progress {
        /// The new state.
        write: Write,
    },
    /// Lines for the task's own log.
    Log {
        /// JSON texts, one per line.
        lines: Vec<Text>,
    },
    /// Done.
    Ack {
        /// The final state.
        write: Write,
        /// Kept for this long, in seconds.
        keep_s: u32,
    },
    /// The attempt failed and there will be another.
    Nack {
        /// The new state.
        write: Write,
        /// When: a wall-clock time in ms, or at once and before the user's other tasks.
        again: Again,
        /// The ended attempt for the history (JSON text).
        attempt: Text,
        /// Kept for this long should a cancellation have come first, in seconds.
        keep_s: u32,
    },
    /// The attempt failed and was the last.
    Bury {
        /// The final state.
        write: Write,
        /// Kept for this long, in seconds.
        keep_s: u32,
    },
    /// Stopped as asked.
    Cancelled {
        /// The final state.
        write: Write,
        /// Kept for this long, in seconds.
        keep_s: u32,
    },
    /// Call again at a wall-clock time in ms; not counted.
    Snooze {
        /// The new state.
        write: Write,
        /// When, in ms.
        due_ms: i64,
        /// The ended execution for the history (JSON text).
        attempt: Text,
    },
    /// Given back unharmed, before the user's other tasks; not counted.
    Release {
        /// The new state.
        write: Write,
        /// The ended execution for the history, if it had started (JSON text).
        attempt: Option<Text>,
    },
}

impl Report {
    /// Whether it says that its holder is still at work.
    pub(crate) fn renews(&self) -> bool {
        matches!(self, Self::Heartbeat | Self::Progress { .. })
    }
}

/// When a failed task is attempted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// At this wall-clock time in ms.
    At(i64),
    /// At once, at the front of its lane.
    Now,
}

/// A write of the holder: its own count of writes on this claim, and the members it adds to the
/// state. The engine puts state, claim, count, time and attempt before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The holder's count: above every earlier one on this claim.
    pub n: u32,
    /// JSON members without braces, or empty.
    pub body: Text,
    /// What the event says instead of `body`, where that would be too long.
    pub event: Option<Text>,
}

/// What people and operators ask for.
#[derive(Debug, Clone)]
pub enum Control {
    /// Stop tasks: waiting ones at once, running ones by asking their holder.
    Cancel {
        /// The server's wall clock in ms.
        at_ms: i64,
        /// The owner.
        user: UserId,
        /// The tasks.
        tasks: Vec<TaskId>,
        /// Members of the state of those stopped at once (JSON members without braces).
        body: Text,
        /// Kept for this long, in seconds.
        keep_s: u32,
    },
    /// Send dead letters and cancelled tasks back to their queue, attempts counted anew.
    Redrive {
        /// The server's wall clock in ms.
        at_ms: i64,
        /// The owner.
        user: UserId,
        /// The tasks, each with the claim number its asker saw and the record of its last attempt.
        tasks: Vec<Redrive>,
    },
    /// Give waiting tasks another time, or another place in their line.
    Reschedule {
        /// The server's wall clock in ms.
        at_ms: i64,
        /// The owner.
        user: UserId,
        /// The tasks.
        tasks: Vec<Reschedule>,
    },
    /// Change what waiting tasks are to do. Each keeps its place.
    Edit {
        /// The server's wall clock in ms.
        at_ms: i64,
        /// The owner.
        user: UserId,
        /// The tasks.
        tasks: Vec<Edit>,
    },
    /// Accept tasks that wait for each other, all of them or none.
    Flow {
        /// The server's wall clock in ms.
        at_ms: i64,
        /// The owner of all of them.
        user: UserId,
        /// The tasks; each waits for earlier ones only, or for tasks that are there already.
        nodes: Vec<Node>,
    },
    /// Say that a batch has all its parts.
    Seal {
        /// The server's wall clock in ms.
        at_ms: i64,
        /// The owner.
        user: UserId,
        /// The batch.
        task: TaskId,
    },
    /// Remove ended tasks now, with all that is kept of them.
    Purge {
        /// The server's wall clock in ms.
        at_ms: i64,
        /// The owner.
        user: UserId,
        /// The tasks.
        tasks: Vec<Purge>,
    },
    /// Remove everything of a user, whatever state it is in: up to
    /// [`ERASE_MAX`](crate::limits::ERASE_MAX) tasks with one command, and with the last of them all
    /// the rest. Answers `Changed` while there is more, then `Done`.
    Erase {
        /// The user.
        user: UserId,
    },
    /// Make, change or remove one of a user's schedules.
    Schedule {
        /// The owner.
        user: UserId,
        /// Its name.
        name: Name,
        /// Its version when the asker looked; absent if there was none of this name.
        seen: Option<u64>,
        /// What it is from now on; absent to remove it.
        becomes: Option<Schedule>,
    },
    /// Take a schedule on by one tick, with the task that it makes.
    Tick(Box<Tick>),
    /// Set what holds for everybody in queues. Answered by `Done`, or by `Changed` where the
    /// partition has a newer version, and then nothing is set.
    Queues {
        /// The version of these settings as a whole.
        version: u64,
        /// Every queue of which anything is set, each once; nothing is set of the others any more.
        queues: Vec<(Name, QueueSettings)>,
    },
    /// Set what holds for one user in a queue. Answered by `Done`.
    User {
        /// The queue.
        queue: Name,
        /// The user.
        user: UserId,
        /// What is set of them; all defaults are not kept.
        settings: UserSettings,
    },
    /// Stop or go on handing out tasks of a user, in whatever queue. Answered by `Done`.
    Pause {
        /// The user.
        user: UserId,
        /// Who says so. The other's word stays.
        by: By,
        /// Whether to stop.
        paused: bool,
    },
    /// Set how many bytes the tasks of a user may hold, before what submissions say. Answered by `Done`.
    Bytes {
        /// The user.
        user: UserId,
        /// The most; absent: what submissions say.
        bytes_max: Option<u64>,
    },
}

/// One task to send back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// The task.
    pub task: TaskId,
    /// Its claim number when the asker looked.
    pub claim: u32,
    /// Its last attempt for the history, if it had one (JSON text).
    pub attempt: Option<Text>,
    /// Another payload or other labels for its new life.
    pub change: Option<Rewrite>,
}

impl Redrive {
    /// One that stays as it is.
    #[must_use]
    pub fn new(task: TaskId, claim: u32, attempt: Option<Text>) -> Self {
        Self { task, claim, attempt, change: None }
    }
}

/// What a task is to do from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// Its descriptor from now on (JSON text). It names the same queue.
    pub descriptor: Text,
    /// The most bytes that tasks of this user may hold, where nothing is set of the user.
    pub bytes_max: u64,
    /// Members that only the event of it carries (JSON members without braces, or empty).
    pub event: Text,
}

/// One ended task to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purge {
    /// The task.
    pub task: TaskId,
    /// Its claim number when the asker looked.
    pub claim: u32,
    /// The idempotency key of its submission, if it had one: forgotten too while it stands for this
    /// task.
    pub key: Option<Text>,
}

/// One waiting task to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reschedule {
    /// The task.
    pub task: TaskId,
    /// Its claim number when the asker looked.
    pub claim: u32,
    /// Where to.
    pub to: MoveTo,
}

/// Where a task waits from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveTo {
    /// Not before this wall-clock time in ms; at the back of its lane if that has passed.
    Due(i64),
    /// Before the user's other tasks of its queue.
    Front,
    /// After them.
    Back,
}

/// One waiting task to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The task.
    pub task: TaskId,
    /// Its claim number when the asker looked.
    pub claim: u32,
    /// The count of writes on that claim, so that of two who looked at once one is refused.
    pub n: u32,
    /// Its descriptor from now on (JSON text). It names the same queue.
    pub descriptor: Text,
    /// The most bytes that tasks of this user may hold, where nothing is set of the user.
    pub bytes_max: u64,
    /// Members that only the event of it carries (JSON members without braces, or empty).
    pub event: Text,
}

/// One task of a flow. Its owner is that of the call, and it has no key.
#[derive(Debug, Clone)]
pub struct Node {
    /// The task. It may be due at a time only if it waits for nothing.
    pub new: NewTask,
    /// The flow or batch that it is a part of.
    pub part_of: Option<TaskId>,
    /// What it is, where it gathers parts; then it waits for nothing else.
    pub gathers: Option<Gathers>,
    /// The tasks it waits for, none of them twice.
    pub after: Vec<After>,
}

/// A task that gathers parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gathers {
    /// A flow: ends with its parts, and may grow until then.
    Flow,
    /// A batch: open until it is sealed.
    Batch {
        /// Whether it runs once its parts have ended; otherwise it ends with them.
        runs: bool,
    },
}

/// A task that a new one waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// The older task.
    pub task: TaskId,
    /// What follows if it does not complete.
    pub on_failure: OnFailure,
}
