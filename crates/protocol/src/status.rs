//! The public faces of the engine's states.

use serde::{Deserialize, Serialize};
use tasktonic_core::TaskState;
use utoipa::ToSchema;

/// What people see of a task's state.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum TaskStatus {
    /// Due in the future.
    Scheduled,
    /// An attempt failed; another is due.
    Retrying,
    /// Waits for other tasks.
    Waiting,
    /// In line.
    Queued,
    /// A worker is at it.
    Running,
    /// A worker is at it and was asked to stop.
    Cancelling,
    /// Done.
    Completed,
    /// Ended without success; can be tried again.
    Failed,
    /// Stopped on request.
    Cancelled,
}

/// Every status.
pub const STATUSES: &[TaskStatus] = &[
    TaskStatus::Scheduled,
    TaskStatus::Retrying,
    TaskStatus::Waiting,
    TaskStatus::Queued,
    TaskStatus::Running,
    TaskStatus::Cancelling,
    TaskStatus::Completed,
    TaskStatus::Failed,
    TaskStatus::Cancelled,
];

impl TaskStatus {
    /// The word on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Retrying => "retrying",
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of this word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        STATUSES.iter().copied().find(|status| status.name() == name)
    }

    /// The engine's state behind it.
    #[must_use]
    pub const fn state(self) -> TaskState {
        match self {
            Self::Scheduled | Self::Retrying => TaskState::Scheduled,
            Self::Waiting => TaskState::Waiting,
            Self::Queued => TaskState::Queued,
            Self::Running | Self::Cancelling => TaskState::Running,
            Self::Completed => TaskState::Completed,
            Self::Failed => TaskState::Dead,
            Self::Cancelled => TaskState::Cancelled,
        }
    }

    /// The face of `state` for a task with `attempts_failed` counted attempts behind it.
    #[must_use]
    pub const fn of(state: TaskState, attempts_failed: u32, cancel_asked: bool) -> Self {
        match state {
            TaskState::Scheduled if attempts_failed > 0 => Self::Retrying,
            TaskState::Scheduled => Self::Scheduled,
            TaskState::Waiting => Self::Waiting,
            TaskState::Queued => Self::Queued,
            TaskState::Running if cancel_asked => Self::Cancelling,
            TaskState::Running => Self::Running,
            TaskState::Completed => Self::Completed,
            TaskState::Cancelled => Self::Cancelled,
            TaskState::Dead => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use tasktonic_core::transitions::STATES;

    use super::*;

    #[test]
    fn every_state_has_a_face_and_every_face_its_state() {
        for state in STATES {
            assert_eq!(TaskStatus::of(*state, 0, false).state(), *state);
        }
        for status in STATUSES {
            assert_eq!(TaskStatus::from_name(status.name()), Some(*status));
            assert_eq!(serde_json::to_string(status).unwrap(), format!("\"{}\"", status.name()));
        }
    }
}
