//! Queues as one user sees them: what holds there for that user.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Pause, Rate, Turns};

/// `GET /api/v1/me/queues`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnQueueList {
    /// Queues of kinds, and those that were asked about, by name.
    pub queues: Vec<OwnQueue>,
    /// Whether all your work is paused, in whatever queue.
    pub pause: Pause,
}

/// A queue, and what holds for you there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnQueue {
    /// Its name.
    pub queue: String,
    /// Kinds whose tasks wait there unless a submission says otherwise, by name.
    pub kinds: Vec<String>,
    /// Whether a worker that is at work knows one of these kinds, and has the labels of the queue.
    pub served: bool,
    /// It is paused for everybody.
    pub paused: bool,
    /// You are paused there, by whoever runs the installation.
    pub paused_for_you: bool,
    /// Your turns, or your time, for one of the others.
    pub weight: u32,
    /// How many of your tasks may wait there, scheduled ones included.
    pub waiting_max: u32,
    /// How many of your tasks may run there at once; absent: as many as workers have room for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_max: Option<u32>,
    /// How many of your tasks start there in which time; absent: as many as workers take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// What users share there: turns of so many tasks, or run time; absent for `count`.
    #[serde(default, skip_serializing_if = "Turns::is_count")]
    pub turns: Turns,
}
