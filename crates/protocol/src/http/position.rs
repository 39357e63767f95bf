//! Where a task stands in its line, and when it will probably start.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::status::TaskStatus;

/// Where a task stands and when it will start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskPosition {
    /// The task.
    pub id: String,
    /// What people see.
    pub status: TaskStatus,
    /// Its queue.
    pub queue: String,
    /// Your own tasks that go before it; absent unless it is queued.
    pub ahead: Option<Ahead>,
    /// People whose tasks wait in this queue, you among them: they take turns. Absent unless it is
    /// queued.
    pub users: Option<u64>,
    /// When it will start.
    pub start: StartEstimate,
    /// When all this was true; RFC 3339.
    pub at: String,
}

/// How many tasks go before one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ahead {
    /// At least so many.
    pub least: u32,
    /// At most so many: places of tasks that were just cancelled may be counted.
    pub most: u32,
    /// Whether there are more still: so far back nobody counts.
    pub more: bool,
}

/// When a task will start, or why that cannot be said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum StartEstimate {
    /// Probably between these many ms from `at`.
    Range {
        /// At least.
        from_ms: u64,
        /// At most.
        to_ms: u64,
        /// How often a true start lies inside, 0 to 1.
        probability: f64,
    },
    /// Not known yet: too few of your tasks of this queue started lately.
    FewStarts {
        /// So many.
        starts: u32,
        /// So many it takes.
        starts_min: u32,
    },
    /// Not known: nothing of this line has started for much longer than usual.
    Still {
        /// For so many ms.
        for_ms: u64,
    },
    /// Not known: too far back.
    FarBack,
    /// Not before this time.
    NotBefore {
        /// RFC 3339.
        at: String,
    },
    /// Not before this task has ended: it has the same serial key, and its turn.
    Behind {
        /// The task.
        task: String,
    },
    /// It is not in a line.
    NotQueued,
}
