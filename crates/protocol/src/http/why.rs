//! Why a task does not run.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::flows::LinkedTask;

/// `GET /api/v1/tasks/{id}/why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// What stands first in its way.
    pub reason: WhyReason,
    /// The same in a sentence.
    pub text: String,
    /// When its time comes; RFC 3339. Only for one that is scheduled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<String>,
    /// The task whose turn it is. Only for one that waits for another of its serial key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
    /// Users who take turns where it waits, its own among them. Only for one whose turn it is not
    /// yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users_waiting: Option<u64>,
    /// Tasks that have to end first, some of them if they are many. Only for one that waits for others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<LinkedTask>,
    /// The labels that no worker has that knows its kind; where each is had, but never all by one,
    /// all that it needs. Only for one whose reason this is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// How many places of a worker it takes while it runs. Only where that is more than one and it may be
    /// why it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places: Option<u32>,
    /// How many places the largest worker has that takes tasks of its kind. Only with `places`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places_max: Option<u32>,
    /// Tasks of its user that run in its queue; where it is a matter of all users, those of all. Only
    /// where those are as many as may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<u32>,
    /// How many may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_max: Option<u32>,
    /// When the next task of its user may start, in ms from now; where it is a matter of all users, the
    /// next of whomever. Only where as many have started as may in so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good_in_ms: Option<u64>,
}

/// What stands in a task's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhyReason {
    /// It has ended.
    Ended,
    /// A worker has it.
    Running,
    /// Its time has not come.
    Scheduled,
    /// It waits for other tasks.
    Waiting,
    /// Another task of its serial key has not ended.
    SerialKey,
    /// Its queue is paused.
    QueuePaused,
    /// Whoever runs the installation has paused all work of its user.
    OperatorPaused,
    /// Its user has paused all their own work.
    UserPaused,
    /// Its user is paused in its queue.
    UserPausedInQueue,
    /// As many tasks of its user run in its queue as may at once.
    UserLimit,
    /// As many tasks of its user have started in its queue as may in so long.
    Rate,
    /// As many tasks of all users run in its queue as may at once.
    QueueLimit,
    /// As many tasks of all users have started in its queue as may in so long.
    QueueRate,
    /// No worker that is at work knows its kind.
    NoWorker,
    /// Workers know its kind, and none of them has the labels that it needs.
    NoWorkerWithLabel,
    /// Workers take tasks of its kind, and none of them has as many places as it takes.
    NoWorkerWithPlaces,
    /// Nothing: it is a matter of its turn, and of a worker with room.
    Turn,
}

impl WhyReason {
    /// The word on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Running => "running",
            Self::Scheduled => "scheduled",
            Self::Waiting => "waiting",
            Self::SerialKey => "serial_key",
            Self::QueuePaused => "queue_paused",
            Self::OperatorPaused => "operator_paused",
            Self::UserPaused => "user_paused",
            Self::UserPausedInQueue => "user_paused_in_queue",
            Self::UserLimit => "user_limit",
            Self::Rate => "rate",
            Self::QueueLimit => "queue_limit",
            Self::QueueRate => "queue_rate",
            Self::NoWorker => "no_worker",
            Self::NoWorkerWithLabel => "no_worker_with_label",
            Self::NoWorkerWithPlaces => "no_worker_with_places",
            Self::Turn => "turn",
        }
    }

    /// The same in a sentence.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Ended => "It has ended.",
            Self::Running => "A worker has it.",
            Self::Scheduled => "Its time has not come.",
            Self::Waiting => "It waits for other tasks.",
            Self::SerialKey => "It waits for another task of the same serial key to end.",
            Self::QueuePaused => "Its queue is paused. It starts when an operator lets it go on.",
            Self::OperatorPaused => "Whoever runs this installation has paused all your work.",
            Self::UserPaused => "You have paused all your work. It starts after you resume.",
            Self::UserPausedInQueue => {
                "You are paused in its queue, by whoever runs this installation."
            }
            Self::UserLimit => {
                "As many of your tasks run in its queue as may at once. It starts when one of them \
                 is over and it is its turn."
            }
            Self::Rate => {
                "As many of your tasks have started in its queue as may in so long. It starts when the \
                 next may and it is its turn."
            }
            Self::QueueLimit => {
                "As many tasks of all users run in its queue as may at once. It starts when one of them \
                 is over and it is its turn."
            }
            Self::QueueRate => {
                "As many tasks of all users have started in its queue as may in so long. It starts when \
                 the next may and it is its turn."
            }
            Self::NoWorker => "No worker that is at work now knows its kind.",
            Self::NoWorkerWithLabel => {
                "No worker that is at work now and knows its kind has the labels that it needs."
            }
            Self::NoWorkerWithPlaces => {
                "No worker that is at work now and knows its kind has as many places as it takes."
            }
            Self::Turn => {
                "Nothing is in its way: it starts when its turn comes and a worker has room."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_spelled_as_its_name() {
        for reason in [
            WhyReason::QueuePaused,
            WhyReason::SerialKey,
            WhyReason::UserLimit,
            WhyReason::Rate,
            WhyReason::QueueLimit,
            WhyReason::QueueRate,
            WhyReason::UserPausedInQueue,
            WhyReason::NoWorkerWithLabel,
            WhyReason::NoWorkerWithPlaces,
            WhyReason::Turn,
        ] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
        }
    }
}
