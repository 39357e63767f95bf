//! Submitting, reading and changing tasks.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::KeyMode;
use crate::policy::{Asked, Backoff, Keep, Rule};
use crate::priority::Priority;
use crate::problem::Problem;
use crate::stored::{LogLevel, TaskError};
use crate::task::Task;

/// Tasks in one batch.
pub const BATCH_TASKS_MAX: usize = 1_000;
/// Ids in one bulk request.
pub const IDS_MAX: usize = 1_000;

/// `POST /api/v1/tasks`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// What to do.
    #[schema(example = "images.resize")]
    pub kind: String,
    /// With what; checked against the kind's schema, kept byte for byte.
    #[schema(value_type = Object)]
    pub payload: Box<RawValue>,
    /// Another line than the kind's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Only workers that have all of these labels take it; as its kind says, unless said. At most
    /// 3, each 1 to 32 characters of a-z 0-9 _ -.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["gpu"]))]
    pub needs: Option<Vec<String>>,
    /// Which of the user's own tasks of its queue go first; `normal` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Makes a repetition find this task instead of making another; as the header
    /// `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// What it makes of the task that has the key already; `ttl` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_mode: Option<KeyMode>,
    /// How long, ms: for `ttl` and `throttle` how long the key stands for its task, for `debounce` how
    /// long nobody may submit before it runs, for all others the most that the key is remembered
    /// after the task was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_window_ms: Option<u64>,
    /// Tasks of one serial key run one at a time, in order; another key of the user's own than
    /// `idempotency_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_key: Option<String>,
    /// Not before this time; RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<String>,
    /// Not before this long from now, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Cancelled if nobody has taken it by this time; RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Cancelled if nobody has taken it this long from now, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_after_ms: Option<u64>,
    /// Attempts in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_max: Option<u32>,
    /// Attempts that may end with the loss of their worker: with this many the task has failed; 3
    /// unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crashes_max: Option<u32>,
    /// The wait between attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// What follows an error of certain codes; the first rule that fits decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<Rule>>,
    /// Longest run of one attempt, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The handler is told to stop after this long, ms; below `timeout_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_timeout_ms: Option<u64>,
    /// How long the task is kept after its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    /// Labels for filtering.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl SubmitRequest {
    /// A submission of `kind` with nothing else said.
    #[must_use]
    pub fn new(kind: impl Into<String>, payload: Box<RawValue>) -> Self {
        Self {
            kind: kind.into(),
            payload,
            queue: None,
            needs: None,
            priority: None,
            idempotency_key: None,
            key_mode: None,
            key_window_ms: None,
            serial_key: None,
            run_at: None,
            delay_ms: None,
            expires_at: None,
            expire_after_ms: None,
            attempts_max: None,
            crashes_max: None,
            backoff: None,
            rules: None,
            timeout_ms: None,
            soft_timeout_ms: None,
            keep: None,
            tags: Vec::new(),
        }
    }

    /// What it says of attempts.
    #[must_use]
    pub fn policy(&self) -> Asked {
        Asked {
            attempts_max: self.attempts_max,
            crashes_max: self.crashes_max,
            backoff: self.backoff.clone(),
            rules: self.rules.clone(),
            soft_timeout_ms: self.soft_timeout_ms,
            timeout_ms: self.timeout_ms,
            keep: self.keep,
        }
    }
}

/// `POST /api/v1/tasks/batch`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// At most [`BATCH_TASKS_MAX`].
    pub tasks: Vec<SubmitRequest>,
}

/// What became of one task of a batch.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BatchItem {
    /// Its place in the request, from 0.
    pub index: u32,
    /// The task that was accepted, or existed already under its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// The answer to a batch: one result per task, in order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BatchReply {
    /// In the order of the request.
    pub results: Vec<BatchItem>,
}

/// `GET /api/v1/tasks`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskPage {
    /// Newest first, without payload and output.
    pub tasks: Vec<Task>,
    /// Where the next page starts; null on the last one.
    pub next_cursor: Option<String>,
}

/// `GET /api/v1/tasks/counts`: tasks by state, exact at any number. `scheduled` includes those that wait for their next
/// attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// In any state.
    pub all: u64,
    /// Due in the future.
    pub scheduled: u64,
    /// Waiting for other tasks.
    pub waiting: u64,
    /// In line.
    pub queued: u64,
    /// A worker is at it.
    pub running: u64,
    /// Done.
    pub completed: u64,
    /// Ended without success.
    pub failed: u64,
    /// Stopped on request.
    pub cancelled: u64,
    /// What they hold, in bytes: what was submitted, and of each that has ended also what came of it.
    #[serde(default)]
    pub bytes: u64,
}

/// One execution of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// Which counted attempt.
    pub number: u32,
    /// `running`, `succeeded`, `failed`, `lost`, `released`, `snoozed`, `cancelled`.
    #[schema(example = "succeeded")]
    pub outcome: String,
    /// Who ran it.
    pub worker: Option<String>,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339; null while it runs.
    pub ended_at: Option<String>,
    /// How long it ran, ms.
    pub duration_ms: Option<u64>,
    /// Why it failed.
    pub error: Option<TaskError>,
}

/// `GET /api/v1/tasks/{id}/attempts`: oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AttemptList {
    /// Oldest first.
    pub attempts: Vec<Attempt>,
}

/// One line of a task's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Its number, from 1.
    pub n: u32,
    /// RFC 3339.
    pub at: String,
    /// How grave.
    pub level: LogLevel,
    /// The line.
    pub text: String,
}

/// `GET /api/v1/tasks/{id}/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// In order.
    pub lines: Vec<LogLine>,
    /// The oldest number still kept; 0 when there is none.
    pub first: u32,
    /// The newest number; 0 when there is none.
    pub last: u32,
    /// Whether older lines have fallen out.
    pub capped: bool,
}

/// `POST /api/v1/tasks/cancel`, `POST /api/v1/tasks/retry`, `POST /api/v1/tasks/purge`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    /// Task ids, at most [`IDS_MAX`].
    pub ids: Vec<String>,
}

/// What became of one id.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BulkItem {
    /// The id as it was asked for.
    pub id: String,
    /// The task as it is now; absent once it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// The answer to a bulk request: one result per id, in order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BulkReply {
    /// In the order of the request.
    pub results: Vec<BulkItem>,
}
