//! What can be submitted, and who works on it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::policy::{Backoff, Keep, Rule};

/// A kind that a worker has announced.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Kind {
    /// The stable string that picks the handler.
    pub kind: String,
    /// The line its tasks wait in.
    pub queue: String,
    /// What people call it.
    pub title: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// JSON Schema (2020-12) of the payload.
    #[schema(value_type = Object)]
    pub schema: serde_json::Value,
    /// Attempts unless a submission says otherwise.
    pub attempts_max: u32,
    /// Attempts that may end with the loss of their worker, unless a submission says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crashes_max: Option<u32>,
    /// The wait between attempts, unless a submission says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// What follows an error of certain codes, unless a submission says otherwise; the first rule
    /// that fits decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<Rule>>,
    /// Longest run of one attempt unless a submission says otherwise, ms.
    pub timeout_ms: Option<u64>,
    /// The handler is told to stop after this long unless a submission says otherwise, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_timeout_ms: Option<u64>,
    /// How long its tasks are kept after their end, unless a submission says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    /// Whether its progress may go back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rewinds: bool,
    /// What a worker has to have to take its tasks, unless a submission says otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// How many places of a worker one of its tasks takes while it runs; absent for one.
    #[serde(default = "one_place", skip_serializing_if = "is_one_place")]
    pub places: u32,
    /// Whether a worker that is alive now knows it, and has what it needs.
    pub served: bool,
    /// A payload to begin from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub example: Option<serde_json::Value>,
}

pub(crate) const fn one_place() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
pub(crate) const fn is_one_place(places: &u32) -> bool {
    *places == 1
}

/// `GET /api/v1/kinds`: by name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KindList {
    /// By name.
    pub kinds: Vec<Kind>,
}

/// A worker that was heard of lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    /// New at every start.
    pub id: String,
    /// The machine.
    pub host: String,
    /// Its release.
    pub version: String,
    /// What it handles.
    pub kinds: Vec<String>,
    /// What it has: it takes tasks that need some of these too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// How many places it has: attempts it may run at once, where each takes one.
    pub concurrency: u32,
    /// Attempts it runs.
    pub running: u32,
    /// Places that those take; absent where each takes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<u32>,
    /// When it was last heard of; RFC 3339.
    pub seen_at: String,
}

/// `GET /api/v1/workers`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WorkerList {
    /// By id.
    pub workers: Vec<Worker>,
}
