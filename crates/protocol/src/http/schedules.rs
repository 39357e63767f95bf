//! Schedules: tasks that the clock makes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::SubmitRequest;

/// Ticks that one preview may ask for.
pub const PREVIEW_MAX: usize = 50;
/// Ticks of a preview that does not say how many.
pub const PREVIEW_DEFAULT: usize = 5;

/// What becomes of ticks at which nobody was there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are passed over.
    Skip,
    /// The last of them is made up for.
    #[default]
    One,
    /// Each is made up for, in order; of more than 100 the newest.
    All,
}

/// When a schedule comes: `cron` or `every_ms`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timing {
    /// Five fields (minute, hour, day of the month, month, day of the week), or `@daily` and the like.
    pub cron: Option<String>,
    /// The IANA time zone whose clocks `cron` speaks of; `UTC` unless said.
    pub zone: Option<String>,
    /// Every so many ms, from `starts_at` on or from when the schedule was made.
    pub every_ms: Option<u64>,
    /// Not before; RFC 3339.
    pub starts_at: Option<String>,
    /// No more from then on; RFC 3339.
    pub ends_at: Option<String>,
}

/// A schedule as its owner wants it: `POST /api/v1/schedules`, `PUT /api/v1/schedules/{name}`, and
/// one of a set.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRequest {
    /// Its name among the user's: 1 to 64 characters of A-Z a-z 0-9 _ . - In an address that names
    /// it already it may be left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(example = "nightly-report")]
    pub name: String,
    /// See [`Timing`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0 9 * * 1-5")]
    pub cron: Option<String>,
    /// See [`Timing`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Europe/Berlin")]
    pub zone: Option<String>,
    /// See [`Timing`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    /// Not before; RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// No more from then on; RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
    /// What becomes of missed ticks; `one` unless said.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// Whether it rests. What is not said stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Only if this is still its `version`, so that nobody's change is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The task of each tick, as it would be submitted; without times of its own, without a key,
    /// and without files.
    pub task: SubmitRequest,
}

impl ScheduleRequest {
    /// When it comes.
    #[must_use]
    pub fn timing(&self) -> Timing {
        Timing {
            cron: self.cron.clone(),
            zone: self.zone.clone(),
            every_ms: self.every_ms,
            starts_at: self.starts_at.clone(),
            ends_at: self.ends_at.clone(),
        }
    }
}

/// `PUT /api/v1/schedules`: all schedules of a set. Those that are in the set and not here are
/// removed; schedules of no set or another one are left alone.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSet {
    /// Its name, of the same characters as that of a schedule.
    pub set: String,
    /// All of it.
    pub schedules: Vec<ScheduleRequest>,
}

/// What a declaration of a set came to, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleSetReply {
    /// Made.
    pub added: Vec<String>,
    /// Changed.
    pub changed: Vec<String>,
    /// As they were.
    pub unchanged: Vec<String>,
    /// Removed.
    pub removed: Vec<String>,
}

/// How a schedule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleStatus {
    /// It comes at `next_at`.
    Active,
    /// Somebody lets it rest.
    Paused,
    /// It comes no more.
    Ended,
}

/// Why a tick made no task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PassedReason {
    /// Nobody was there at its time, and `catch_up` did not make up for it.
    Missed,
    /// The user's line was full.
    LineFull,
    /// The task would be refused: its kind or the kind's schema has changed.
    Refused,
}

/// A tick that made no task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Passed {
    /// Its time; RFC 3339. Of several, that of the newest.
    pub at: String,
    /// Why.
    pub reason: PassedReason,
    /// What to do, where something has to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A schedule as it is shown.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    /// Its name among the user's.
    pub name: String,
    /// Another one after every change and every tick.
    pub version: String,
    /// The set it was declared with.
    pub set: Option<String>,
    /// When it comes, in plain words, such as `at 09:00 on Monday to Friday`.
    pub words: String,
    /// See [`Timing`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// See [`Timing`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// See [`Timing`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    /// Not before; RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// No more from then on; RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
    /// What becomes of missed ticks.
    pub catch_up: CatchUp,
    /// How it stands.
    pub status: ScheduleStatus,
    /// Its next tick; RFC 3339.
    pub next_at: Option<String>,
    /// The last tick that made a task; RFC 3339.
    pub last_at: Option<String>,
    /// That task. It may be gone by now.
    pub last_task: Option<String>,
    /// The last tick that made none.
    pub passed: Option<Passed>,
    /// RFC 3339.
    pub created_at: String,
    /// When somebody changed it last; RFC 3339.
    pub updated_at: String,
    /// The task of each tick.
    pub task: SubmitRequest,
}

/// `GET /api/v1/schedules`: by name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ScheduleList {
    /// By name.
    pub schedules: Vec<Schedule>,
}

/// `POST /api/v1/schedule-preview`: when a schedule would come.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    /// See [`Timing`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// See [`Timing`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// See [`Timing`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    /// Not before; RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// No more from then on; RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
    /// How many ticks; 5 unless said, 50 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
}

impl PreviewRequest {
    /// When it comes.
    #[must_use]
    pub fn timing(&self) -> Timing {
        Timing {
            cron: self.cron.clone(),
            zone: self.zone.clone(),
            every_ms: self.every_ms,
            starts_at: self.starts_at.clone(),
            ends_at: self.ends_at.clone(),
        }
    }
}

/// When a schedule comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Preview {
    /// In plain words.
    pub words: String,
    /// The time zone that the words speak of, as the database spells it; absent with `every_ms`.
    pub zone: Option<String>,
    /// The next ticks; RFC 3339.
    pub next: Vec<String>,
}
