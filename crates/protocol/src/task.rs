//! A task as the API and the sockets show it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tasktonic_core::labels::LABEL_MARK;
use tasktonic_core::{TaskState, limits};
use utoipa::ToSchema;

use crate::policy::TaskPolicy;
use crate::priority::Priority;
use crate::status::TaskStatus;
use crate::stored::{Descriptor, Progress, StoredState, TaskError, output_of, rev};
use crate::time::rfc3339;

/// A task. In lists and socket frames it comes without `payload`, `output` and `policy`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// 16 characters of base64url.
    pub id: String,
    /// Picks the handler.
    pub kind: String,
    /// The line it waits in.
    pub queue: String,
    /// What a worker has to have to take it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Which of its user's own tasks go first there; absent for `normal`.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    /// What people see.
    pub status: TaskStatus,
    /// The engine's state.
    #[schema(example = "running")]
    pub state: String,
    /// Counted attempts that have started.
    pub attempt: u32,
    /// Attempts in all.
    pub attempts_max: u32,
    /// Rises with every change of this task.
    pub rev: u64,
    /// How far along.
    pub progress: Option<Progress>,
    /// What went in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Box<RawValue>>,
    /// What came out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub output: Option<Box<RawValue>>,
    /// The last error.
    pub error: Option<TaskError>,
    /// Why it ended, where there is more to say.
    pub reason: Option<String>,
    /// The user's labels.
    pub tags: Vec<String>,
    /// The user's key, if one was given.
    pub idempotency_key: Option<String>,
    /// The key of the tasks it may not run beside, where the task is read whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_key: Option<String>,
    /// The schedule that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<MadeBy>,
    /// Who runs it or ran it last.
    pub worker: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// Not before; RFC 3339. Nothing for one that was moved and got on earlier.
    pub run_at: Option<String>,
    /// When it is cancelled if nobody takes it, as long as nobody has; RFC 3339.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// Start of the present or last attempt; RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub ended_at: Option<String>,
    /// RFC 3339.
    pub updated_at: String,
    /// Longest run of one attempt, ms.
    pub timeout_ms: Option<u64>,
    /// How it is attempted and kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<TaskPolicy>,
    /// How sure its acceptance is.
    pub durability: String,
    /// Whether it has an output (lists leave the output itself out).
    pub has_output: bool,
    /// Whether the output is too long to stand here: then `output` names the file that it is the
    /// content of, and `/api/v1/tasks/{id}/output` gives it whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub output_in_file: bool,
}

/// The schedule that made a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MadeBy {
    /// Its name.
    pub name: String,
    /// Its tick; RFC 3339. Nothing where somebody had it run at once.
    pub at: Option<String>,
}

/// A stored record that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a stored record of this task cannot be read: {0}")]
pub struct Unreadable(#[from] serde_json::Error);

impl Task {
    /// The task behind two stored texts. `whole` adds payload, output and policy.
    ///
    /// # Errors
    /// If a text is not what this version or an earlier one wrote.
    pub fn from_stored(
        id: &str,
        descriptor: &str,
        state: Option<&str>,
        cancel_asked: bool,
        durability: &str,
        whole: bool,
    ) -> Result<Self, Unreadable> {
        let d = Descriptor::parse(descriptor)?;
        let untouched;
        let stored = match state {
            Some(text) => serde_json::from_str::<StoredState>(text)?,
            None => {
                untouched = format!(r#"{{"s":"queued","c":1,"n":0,"at":{},"a":1}}"#, d.created_ms);
                serde_json::from_str(&untouched)?
            }
        };
        let engine = TaskState::from_name(&stored.s).unwrap_or(TaskState::Queued);
        // One that got on before its time was moved since, and that time is no longer said.
        let planned = d.due_ms.filter(|due| engine == TaskState::Cancelled || *due <= stored.at);
        let patch = Patch::of(id, &stored, cancel_asked);
        let policy = whole.then(|| d.shown_policy());
        Ok(Self {
            id: id.to_owned(),
            kind: d.kind,
            needs: needs_of(&d.queue),
            queue: d.queue,
            priority: d.priority,
            status: patch.status,
            state: stored.s.clone(),
            attempt: patch.attempt,
            attempts_max: d.attempts_max,
            rev: patch.rev,
            progress: patch.progress,
            payload: whole.then_some(d.payload),
            output: if whole { state.and_then(output_of) } else { None },
            error: patch.error,
            reason: patch.reason,
            tags: d.tags,
            idempotency_key: d.key.map(|(key, _)| key),
            serial_key: d.serial_key.filter(|_| whole),
            schedule: d.schedule.map(|(name, at_ms)| MadeBy { name, at: at_ms.map(rfc3339) }),
            worker: patch.worker,
            created_at: rfc3339(d.created_ms),
            run_at: (engine == TaskState::Scheduled)
                .then_some(stored.due)
                .flatten()
                .or(planned)
                .map(rfc3339),
            expires_at: patch.expires_at,
            started_at: patch.started_at,
            ended_at: patch.ended_at,
            updated_at: patch.updated_at,
            timeout_ms: d.timeout_ms,
            policy,
            durability: durability.to_owned(),
            has_output: patch.has_output,
            output_in_file: stored.body.fo,
        })
    }
}

/// The labels that a worker has to have to claim from this queue.
#[must_use]
pub fn needs_of(queue: &str) -> Vec<String> {
    queue.split(LABEL_MARK).skip(1).map(ToOwned::to_owned).collect()
}

/// What changes about a task: the members of [`Task`] that a state determines.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Patch {
    /// Which task.
    pub id: String,
    /// Apply only if above the rev already known.
    pub rev: u64,
    /// What people see.
    pub status: TaskStatus,
    /// The engine's state.
    pub state: String,
    /// Counted attempts that have started.
    pub attempt: u32,
    /// How far along.
    pub progress: Option<Progress>,
    /// The last error.
    pub error: Option<TaskError>,
    /// Why it ended.
    pub reason: Option<String>,
    /// Who runs it or ran it last.
    pub worker: Option<String>,
    /// Not before; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run_at: Option<String>,
    /// When it is cancelled if nobody takes it, as long as nobody has; RFC 3339.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// The labels, where they were changed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tags: Option<Vec<String>>,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub ended_at: Option<String>,
    /// RFC 3339.
    pub updated_at: String,
    /// Whether there is an output.
    pub has_output: bool,
}

impl Patch {
    /// What `state` says of task `id`.
    #[must_use]
    pub fn of(id: &str, state: &StoredState, cancel_asked: bool) -> Self {
        let engine = TaskState::from_name(&state.s).unwrap_or(TaskState::Queued);
        // While a task waits, `a` is the attempt it would run next.
        let attempt = match engine {
            TaskState::Running | TaskState::Completed | TaskState::Dead => state.a,
            TaskState::Cancelled if state.body.st.is_some() => state.a,
            _ => state.a.saturating_sub(1),
        };
        let asked = cancel_asked || state.body.x;
        Self {
            id: id.to_owned(),
            rev: rev(state.c, state.n),
            status: TaskStatus::of(engine, attempt, asked),
            state: state.s.clone(),
            attempt,
            progress: state.body.p.clone(),
            error: state.body.err.clone(),
            reason: state.body.why.clone(),
            worker: state.worker(),
            run_at: state.due.map(rfc3339),
            expires_at: state.exp.map(rfc3339),
            tags: None,
            started_at: match engine {
                TaskState::Running => state.body.st.or(Some(state.at)).map(rfc3339),
                _ => state.body.st.map(rfc3339),
            },
            ended_at: engine.is_terminal().then(|| rfc3339(state.at)),
            updated_at: rfc3339(state.at),
            has_output: state.body.ho,
        }
    }
}

/// The first rev of any task.
pub const FIRST_REV: u64 = limits::REV_PER_CLAIM;
