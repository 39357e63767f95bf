//! The text of a schedule as every store keeps it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tasktonic_core::Text;

use crate::http::{CatchUp, PassedReason};

/// What a user wants of a schedule, and what was last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScheduleText {
    /// Version of this form.
    pub v: u8,
    /// A cron expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The time zone of the expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// An interval, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    /// Not before this wall-clock time, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_ms: Option<i64>,
    /// No more from this wall-clock time on, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_ms: Option<i64>,
    /// What becomes of missed ticks.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// Whether somebody lets it rest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// The set it was declared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// When it was made, wall clock, ms; intervals without a start count from then.
    pub created_ms: i64,
    /// When somebody changed it last, wall clock, ms.
    pub updated_ms: i64,
    /// The last tick that made a task, wall clock, ms, and that task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<(i64, String)>,
    /// The last tick that made none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<PassedTick>,
    /// The submission of each tick's task, byte for byte as it came.
    pub task: Box<RawValue>,
}

/// A tick that made no task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedTick {
    /// Its time, wall clock, ms.
    pub at: i64,
    /// Why.
    pub why: PassedReason,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub say: Option<String>,
}

impl ScheduleText {
    /// The version written today.
    pub const V: u8 = 1;

    /// Reads a stored text.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The text to store.
    #[must_use]
    pub fn text(&self) -> Text {
        serde_json::to_string(self).expect("strings and numbers serialise").into()
    }

    /// Whether it asks the same as `other`, whatever was last and whoever wrote it.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let plain = |of: &Self| {
            let (last, passed) = (None, None);
            Self { created_ms: 0, updated_ms: 0, last, passed, ..of.clone() }.text()
        };
        plain(self) == plain(other)
    }
}
