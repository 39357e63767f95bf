//! A whole store as lines of text, one JSON object each: what `tasktonic export` writes and
//! `tasktonic import` reads. The form only grows; a reader refuses a newer version.
//!
//! The first line is [`Line::Head`], the last [`Line::End`]: a file that was cut short is told from
//! a whole one. Lines of one user follow each other, queued tasks in the order of their lanes, and
//! after these those that wait for a turn.

use serde::{Deserialize, Serialize};

/// The version written today.
pub const V: u32 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// What this is.
    Head {
        /// [`V`].
        v: u32,
        /// The sort of store it came from, for people.
        from: String,
        /// The newest epoch there: the new store goes on above it, so that no cursor and no fence
        /// of the old one is taken for one of the new.
        epoch: u32,
        /// When, wall clock, ms.
        at_ms: i64,
    },
    /// A record of the registry.
    Record {
        /// Name of the table.
        table: String,
        /// Key.
        key: String,
        /// Version.
        version: u64,
        /// JSON text.
        value: String,
    },
    /// A task.
    Task(TaskLine),
    /// Ended attempts of the task before, numbered from `first`.
    Attempts {
        /// Number of the first.
        first: u32,
        /// JSON texts.
        rows: Vec<String>,
    },
    /// Log lines of the task before, numbered from `first`.
    Log {
        /// Number of the first.
        first: u32,
        /// JSON texts.
        rows: Vec<String>,
    },
    /// An idempotency key.
    Key {
        /// Its owner.
        user: String,
        /// The key.
        key: String,
        /// The task that holds it.
        task: String,
        /// Hash of the body submitted under it, 32 hexadecimal digits.
        hash: String,
        /// Forgotten from this wall-clock time on, ms.
        expires_ms: i64,
    },
    /// What is set of a user in a queue.
    User {
        /// The queue.
        queue: String,
        /// The user.
        user: String,
        /// As it is stored: numbers between commas.
        settings: String,
    },
    /// A user all of whose work is paused.
    Paused {
        /// The user.
        user: String,
        /// By whom: `u` the user, `o` whoever runs the installation.
        by: String,
    },
    /// How many bytes the tasks of a user may hold.
    BytesMax {
        /// The user.
        user: String,
        /// The most.
        bytes_max: u64,
    },
    /// What is set of queues.
    Queues {
        /// Its version.
        version: u64,
        /// Queues, and what is set of each, as it is stored: numbers between commas.
        queues: Vec<(String, String)>,
    },
    /// A user's schedule.
    Schedule {
        /// Its owner.
        user: String,
        /// Its name.
        name: String,
        /// Its version.
        version: u64,
        /// When its next tick comes, wall clock, ms; absent while it rests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_ms: Option<i64>,
        /// JSON text.
        text: String,
    },
    /// The end, with what went before.
    End(Totals),
}

/// A task as it is carried over. None runs: whoever held it has lost it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLine {
    /// Its owner.
    pub user: String,
    /// Its id.
    pub task: String,
    /// Its queue.
    pub queue: String,
    /// Claim number of the next holder, or of the last.
    pub claim: u32,
    /// Writes on it.
    pub n: u32,
    /// The attempt that would run next, or ran last.
    pub attempt: u32,
    /// Where it is.
    pub place: PlaceLine,
    /// Number of the last attempt in its history.
    pub attempts_kept: u32,
    /// Number of the last line of its log.
    pub log_lines: u32,
    /// When it ends if nobody takes it, for one that waits and nobody ever took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<ExpiryLine>,
    /// The key of the tasks it may not run beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<SerialLine>,
    /// `high` or `low`; absent for `normal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// What ties it to others, as the engine writes it; absent where it has no ties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<String>,
    /// JSON text.
    pub descriptor: String,
    /// JSON text; absent while it is queued and untouched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// A task's place among those it may not run beside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SerialLine {
    /// The key, 32 hexadecimal digits.
    pub key: String,
    /// Whether it is its turn.
    pub holds: bool,
    /// Its place among those that wait for their turn: smaller goes first. 0 for all others.
    #[serde(default)]
    pub at: i64,
}

/// The end of a task that nobody took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryLine {
    /// From this wall-clock time on, ms.
    pub at_ms: i64,
    /// Kept for this long then, s.
    pub keep_s: u32,
}

/// Where a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceLine {
    /// At the end of its lane, as far as the lane was written.
    Queued,
    /// Until others have ended.
    Waiting {
        /// How many ends it waits for.
        pending: u32,
    },
    /// Due in the future.
    Scheduled {
        /// Wall clock, ms.
        due_ms: i64,
    },
    /// Ended.
    Ended {
        /// Name of the state.
        state: String,
        /// When, wall clock, ms.
        at_ms: i64,
        /// Kept for this long, s.
        keep_s: u32,
    },
}

/// How much of everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Records of the registry.
    pub records: u64,
    /// Users with tasks.
    pub users: u64,
    /// Tasks.
    pub tasks: u64,
    /// Of these, tasks that were running and wait again.
    pub released: u64,
    /// Idempotency keys.
    pub keys: u64,
    /// Queues and users in them of whom anything is set, and users whose work is paused.
    pub settings: u64,
    /// Schedules.
    #[serde(default)]
    pub schedules: u64,
}
