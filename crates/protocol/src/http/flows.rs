//! Flows, batches, and what ties tasks to each other.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::SubmitRequest;
use crate::status::TaskStatus;
use crate::task::Task;

/// Tasks in one request that adds to a flow or batch, the first included.
pub const FLOW_TASKS_MAX: usize = 127;
/// Longest name of a task in its flow, in characters.
pub const FLOW_NAME_CHARS_MAX: usize = 64;
/// Parts on one page of a flow.
pub const FLOW_PAGE_MAX: u32 = 1_000;
/// Kind and queue of a flow itself, and of a batch that nothing runs after. No worker takes it.
pub const FLOW_KIND: &str = "tasktonic.flow";

/// `POST /api/v1/flows`: tasks that wait for each other, accepted all or none.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowRequest {
    /// The id that the flow is to have: a fresh one, made by whoever asks. The same request under the
    /// same id is the same flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Labels of the flow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The tasks, in any order; at most [`FLOW_TASKS_MAX`].
    pub tasks: Vec<FlowTask>,
}

/// `POST /api/v1/flows/{id}/tasks` and `POST /api/v1/batches/{id}/tasks`: more parts.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowAddRequest {
    /// The tasks, in any order; at most [`FLOW_TASKS_MAX`].
    pub tasks: Vec<FlowTask>,
}

/// `POST /api/v1/batches`: an empty batch. Add tasks, then seal it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchOpenRequest {
    /// The id that the batch is to have, as for a flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Labels of the batch, where nothing runs after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What runs, once, when the batch is sealed and all its tasks have ended. The batch is this very
    /// task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<SubmitRequest>,
}

/// A task of a flow.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowTask {
    /// Its name in the flow, by which others name it. The same name in the same flow is the same
    /// task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tasks it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<After>,
    /// The task, as for `POST /api/v1/tasks`, but without a key.
    pub task: SubmitRequest,
}

/// A task that another one waits for: its name, or with what follows if it does not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum After {
    /// Its name in this request, or its id.
    Name(String),
    /// The same, and what follows.
    With(AfterWith),
}

/// See [`After`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AfterWith {
    /// Its name in this request, or its id.
    pub task: String,
    /// What follows if it does not complete; `fail` unless said.
    #[serde(default)]
    pub on_failure: OnFailure,
}

impl After {
    /// The name or id.
    #[must_use]
    pub fn task(&self) -> &str {
        match self {
            Self::Name(task) => task,
            Self::With(with) => &with.task,
        }
    }

    /// What follows if it does not complete.
    #[must_use]
    pub fn on_failure(&self) -> OnFailure {
        match self {
            Self::Name(_) => OnFailure::Fail,
            Self::With(with) => with.on_failure,
        }
    }
}

/// What becomes of a task when one that it waits for does not complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is cancelled too, and those behind it.
    #[default]
    Fail,
    /// It runs as if it had not waited for that one.
    Ignore,
    /// It runs, and is told of the failure.
    Continue,
}

impl From<OnFailure> for tasktonic_core::links::OnFailure {
    fn from(one: OnFailure) -> Self {
        match one {
            OnFailure::Fail => Self::Fail,
            OnFailure::Ignore => Self::Ignore,
            OnFailure::Continue => Self::Continue,
        }
    }
}

impl From<tasktonic_core::links::OnFailure> for OnFailure {
    fn from(one: tasktonic_core::links::OnFailure) -> Self {
        use tasktonic_core::links::OnFailure as Core;
        match one {
            Core::Fail => Self::Fail,
            Core::Ignore => Self::Ignore,
            Core::Continue => Self::Continue,
        }
    }
}

/// Whether it is a flow or a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowSort {
    /// Tasks that wait for each other; ends with them.
    Flow,
    /// Tasks beside each other; ends, or runs, once it is sealed and they have ended.
    Batch,
}

/// How far a flow or batch is. Kept up with every end, so that reading it costs the same however many
/// tasks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RollUp {
    /// Its tasks.
    pub total: u32,
    /// Of these, completed.
    pub completed: u32,
    /// Of these, failed.
    pub failed: u32,
    /// Of these, cancelled.
    pub cancelled: u32,
}

/// A flow or batch with its tasks.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Flow {
    /// It is a task itself: this one.
    pub task: Task,
    /// What it is.
    pub sort: FlowSort,
    /// Whether all its tasks are there. A flow may still grow, until it ends.
    pub sealed: bool,
    /// How far it is.
    pub roll_up: RollUp,
    /// Its tasks, in the order of their ids.
    pub tasks: Vec<FlowNode>,
    /// Where the next page of tasks starts; null on the last one.
    pub next_cursor: Option<String>,
}

/// A task of a flow, as its graph shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlowNode {
    /// Its id.
    pub id: String,
    /// Its name in the flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Kind.
    pub kind: String,
    /// Where it is.
    pub status: TaskStatus,
    /// The tasks it waits for, or waited for.
    pub after: Vec<Tie>,
}

/// A tie to an older task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tie {
    /// The older task's id.
    pub id: String,
    /// What follows if it does not complete.
    pub on_failure: OnFailure,
    /// Whether it has ended, so that nobody waits for it any more.
    pub ended: bool,
}

/// `GET /api/v1/tasks/{id}/links`: what ties a task to others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskLinks {
    /// The flow or batch that it is a part of.
    pub part_of: Option<PartOf>,
    /// Whether it is a flow or batch itself, and how far it is then.
    pub gathers: Option<PartOf>,
    /// The tasks it waits for, or waited for.
    pub waits_for: Vec<LinkedTask>,
    /// The tasks that wait for it, or waited.
    pub leads_to: Vec<LinkedTask>,
}

/// A flow or batch in a few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartOf {
    /// Its id.
    pub id: String,
    /// What it is.
    pub sort: FlowSort,
    /// Whether all its tasks are there.
    pub sealed: bool,
    /// How far it is.
    pub roll_up: RollUp,
}

/// A task at the other end of a tie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkedTask {
    /// Its id.
    pub id: String,
    /// Its name in the flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Kind; absent once it is gone after its retention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Where it is; absent once it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<TaskStatus>,
    /// What follows if the older one does not complete.
    pub on_failure: OnFailure,
}

/// `POST /api/v1/flows/{id}/retry`: what was sent back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FlowRetried {
    /// How many tasks wait again.
    pub sent_back: u32,
    /// The flow or batch as a task, as it is now.
    pub task: Task,
}
