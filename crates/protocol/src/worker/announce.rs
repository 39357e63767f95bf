//! Who works, and on what: records of the registry.

use serde::{Deserialize, Serialize};
use tasktonic_core::Labels;
use tasktonic_core::limits::PLACES_MAX;

use crate::http;
use crate::policy::{Asked, Backoff, Keep, Rule};
use crate::time::rfc3339;

/// A worker not heard of for this long is not shown, and its kinds are not served by it.
pub const WORKER_SEEN_MS_MAX: i64 = 180_000;

/// A kind as it stands in the registry's table of kinds, under its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KindRecord {
    /// The stable string that picks the handler.
    pub kind: String,
    /// The line its tasks wait in.
    pub queue: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema (2020-12) of the payload.
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    /// How many places of a worker one of its tasks takes while it runs.
    #[serde(default = "http::one_place", skip_serializing_if = "http::is_one_place")]
    pub places: u32,
    /// A payload to begin from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<serde_json::Value>,
}

impl KindRecord {
    /// A kind whose queue is named like it, that takes any object, with 5 attempts, no time limit and
    /// tasks that take one place of a worker.
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        let kind = kind.into();
        Self {
            queue: kind.clone(),
            kind,
            title: None,
            description: None,
            schema: serde_json::json!({ "type": "object" }),
            attempts_max: 5,
            crashes_max: None,
            backoff: None,
            rules: None,
            timeout_ms: None,
            soft_timeout_ms: None,
            keep: None,
            rewinds: false,
            needs: Vec::new(),
            places: 1,
            example: None,
        }
    }

    /// What it says of attempts.
    #[must_use]
    pub fn policy(&self) -> Asked {
        Asked {
            attempts_max: Some(self.attempts_max),
            crashes_max: self.crashes_max,
            backoff: self.backoff.clone(),
            rules: self.rules.clone(),
            soft_timeout_ms: self.soft_timeout_ms,
            timeout_ms: self.timeout_ms,
            keep: self.keep,
        }
    }

    /// What is wrong with how many places its tasks take.
    #[must_use]
    pub fn fault_of_places(&self) -> Option<String> {
        let fits = (1..=PLACES_MAX).contains(&self.places);
        (!fits).then(|| format!("is 1 to {PLACES_MAX}"))
    }

    /// The kind as the API shows it.
    #[must_use]
    pub fn shown(self, served: bool) -> http::Kind {
        http::Kind {
            kind: self.kind,
            queue: self.queue,
            title: self.title,
            description: self.description,
            schema: self.schema,
            attempts_max: self.attempts_max,
            crashes_max: self.crashes_max,
            backoff: self.backoff,
            rules: self.rules,
            timeout_ms: self.timeout_ms,
            soft_timeout_ms: self.soft_timeout_ms,
            keep: self.keep,
            rewinds: self.rewinds,
            needs: self.needs,
            places: self.places,
            served,
            example: self.example,
        }
    }
}

/// A worker as it stands in the registry's table of workers, under its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRecord {
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
    #[serde(default)]
    pub running: u32,
    /// Places that those take; absent where each takes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<u32>,
    /// When it was last heard of, wall clock, ms. The server sets it for a remote worker.
    #[serde(default)]
    pub seen_ms: i64,
}

impl WorkerRecord {
    /// Whether it was heard of lately.
    #[must_use]
    pub fn is_alive(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.seen_ms) < WORKER_SEEN_MS_MAX
    }

    /// What it has. Labels that are none, which no worker of this release announces, are left out.
    #[must_use]
    pub fn has(&self) -> Labels {
        Labels::new(&self.labels).unwrap_or_default()
    }

    /// Whether it takes tasks of `kind` that need `labels`.
    #[must_use]
    pub fn takes(&self, kind: &str, labels: &Labels) -> bool {
        self.kinds.iter().any(|known| known == kind) && self.has().have(labels)
    }

    /// The worker as the API shows it.
    #[must_use]
    pub fn shown(self) -> http::Worker {
        http::Worker {
            id: self.id,
            host: self.host,
            version: self.version,
            kinds: self.kinds,
            labels: self.labels,
            concurrency: self.concurrency,
            running: self.running,
            taken: self.taken,
            seen_at: rfc3339(self.seen_ms),
        }
    }
}

/// `POST /api/v1/worker/announce`: at start, once a minute, and with `leaving` at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announce {
    /// The version of the worker protocol.
    pub v: u8,
    /// Who speaks.
    pub worker: WorkerRecord,
    /// Its kinds; empty if they have not changed since the last call.
    #[serde(default)]
    pub kinds: Vec<KindRecord>,
    /// It stops now: forget it.
    #[serde(default)]
    pub leaving: bool,
}
