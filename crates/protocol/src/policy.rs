//! How tasks are attempted, as a kind declares it and a submission may say otherwise: words, bounds,
//! and what both come to. It never knows what becomes of an attempt; `core` decides that.

mod check;
mod words;

use serde::{Deserialize, Serialize};
use tasktonic_core::policy::{self as core, CRASHES_MAX_DEFAULT, Retention, rounded_s};
use utoipa::ToSchema;

/// Most attempts one may ask for.
pub const ATTEMPTS_MAX: u32 = 1_000;
/// Most crashes one may allow: as many attempts as the history keeps, by which they are counted.
pub const CRASHES_MAX: u32 = tasktonic_core::limits::ATTEMPTS_KEPT_MAX;
/// Longest run of one attempt one may ask for: 7 days.
pub const TIMEOUT_MS_MAX: u64 = 7 * 24 * 3_600 * 1_000;
/// Longest wait between attempts one may ask for: 30 days.
pub const WAIT_MS_MAX: u64 = 30 * 24 * 3_600 * 1_000;
/// Largest growth from one wait to the next.
pub const FACTOR_MAX: f64 = 100.0;
/// Waits in one list.
pub const WAITS_MAX: usize = 32;
/// Rules of one task.
pub const RULES_MAX: usize = 32;
/// Longest code in a rule, in bytes.
pub const CODE_BYTES_MAX: usize = 64;
/// Shortest time one may have a task kept after its end, in seconds.
pub const KEEP_S_MIN: u32 = 60;
/// Longest time one may have a task kept after its end, in seconds: 366 days.
pub const KEEP_S_MAX: u32 = 366 * 86_400;

/// The wait between attempts. In each form a wait `w` becomes `w · (1 ± jitter)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "form", rename_all = "lowercase", deny_unknown_fields)]
pub enum Backoff {
    /// The same wait every time.
    Fixed {
        /// The wait, ms; 0 to 30 days.
        wait_ms: u64,
        /// Share of the wait that is spread at random, 0 to 1; 0.2 unless said.
        #[serde(default = "jitter")]
        jitter: f64,
    },
    /// `base · factor^(attempt − 1)`, at most `max`.
    Exponential {
        /// Wait after the first failed attempt, ms; 2,000 unless said.
        #[serde(default = "base_ms")]
        base_ms: u64,
        /// Growth per attempt, 1 to 100; 2 unless said.
        #[serde(default = "factor")]
        factor: f64,
        /// Longest wait before the spread, ms; 600,000 unless said.
        #[serde(default = "max_ms")]
        max_ms: u64,
        /// Share of the wait that is spread at random, 0 to 1; 0.2 unless said.
        #[serde(default = "jitter")]
        jitter: f64,
    },
    /// One wait per failed attempt; the last one is used from then on.
    List {
        /// The waits, ms; 1 to 32 of them.
        waits_ms: Vec<u64>,
        /// Share of the wait that is spread at random, 0 to 1; 0.2 unless said.
        #[serde(default = "jitter")]
        jitter: f64,
    },
}

const fn jitter() -> f64 {
    core::Backoff::JITTER_DEFAULT
}

const fn base_ms() -> u64 {
    2_000
}

const fn factor() -> f64 {
    2.0
}

const fn max_ms() -> u64 {
    600_000
}

impl From<Backoff> for core::Backoff {
    fn from(backoff: Backoff) -> Self {
        match backoff {
            Backoff::Fixed { wait_ms, jitter } => Self::Fixed { wait_ms, jitter },
            Backoff::Exponential { base_ms, factor, max_ms, jitter } => {
                Self::Exponential { base_ms, factor, max_ms, jitter }
            }
            Backoff::List { waits_ms, jitter } => Self::List { waits_ms, jitter },
        }
    }
}

impl From<core::Backoff> for Backoff {
    fn from(backoff: core::Backoff) -> Self {
        match backoff {
            core::Backoff::Fixed { wait_ms, jitter } => Self::Fixed { wait_ms, jitter },
            core::Backoff::Exponential { base_ms, factor, max_ms, jitter } => {
                Self::Exponential { base_ms, factor, max_ms, jitter }
            }
            core::Backoff::List { waits_ms, jitter } => Self::List { waits_ms, jitter },
        }
    }
}

/// What follows an attempt that failed with an error of certain codes. The first rule that fits
/// decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The code of the error; with `*` at its end all codes that begin like it.
    #[schema(example = "http_4*")]
    pub code: String,
    /// What follows.
    pub action: Action,
    /// With `again_after`: the wait, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
    /// With `again`: another backoff than the task's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Another attempt after the backoff.
    Again,
    /// Another attempt after `after_ms`.
    AgainAfter,
    /// No further attempt: the task has failed.
    Bury,
}

impl Rule {
    /// A rule for errors of `code`.
    #[must_use]
    pub fn new(code: impl Into<String>, action: Action) -> Self {
        Self { code: code.into(), action, after_ms: None, backoff: None }
    }

    /// The same rule for `core`.
    #[must_use]
    pub fn decided(&self) -> core::Rule {
        let action = match self.action {
            Action::Again => core::Action::Again(self.backoff.clone().map(Into::into)),
            Action::AgainAfter => core::Action::AgainAfter(self.after_ms.unwrap_or_default()),
            Action::Bury => core::Action::Bury,
        };
        core::Rule { code: self.code.clone(), action }
    }
}

/// How long a task is kept after its end, by how it ended, in seconds. Each is rounded up to one of
/// 1 min, 10 min, 1 h, 6 h, 1 d, 7 d, 14 d, 30 d, 90 d and 366 d.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// After it was completed; a day unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_s: Option<u32>,
    /// After it was cancelled; a day unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_s: Option<u32>,
    /// After it failed; a fortnight unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_s: Option<u32>,
}

/// What a kind or a submission says of attempts; what it does not say is said elsewhere.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    /// Attempts in all.
    pub attempts_max: Option<u32>,
    /// Attempts that may end with the loss of their worker.
    pub crashes_max: Option<u32>,
    /// The wait between attempts.
    pub backoff: Option<Backoff>,
    /// Rules by the code of an error.
    pub rules: Option<Vec<Rule>>,
    /// The handler is told to stop after this long, ms.
    pub soft_timeout_ms: Option<u64>,
    /// An attempt is cut off after this long, ms.
    pub timeout_ms: Option<u64>,
    /// How long the task is kept after its end.
    pub keep: Option<Keep>,
}

impl Asked {
    /// What holds where a submission says this and its kind says `kind`: member by member, what the
    /// submission says. A soft limit of the kind that is not below the submission's own limit is
    /// left out.
    #[must_use]
    pub fn or(self, kind: Self) -> Self {
        let timeout_ms = self.timeout_ms.or(kind.timeout_ms);
        let of_kind = kind.soft_timeout_ms.filter(|soft| timeout_ms.is_none_or(|ms| *soft < ms));
        let keep = match (self.keep, kind.keep) {
            (Some(said), Some(kind)) => Some(Keep {
                completed_s: said.completed_s.or(kind.completed_s),
                cancelled_s: said.cancelled_s.or(kind.cancelled_s),
                failed_s: said.failed_s.or(kind.failed_s),
            }),
            (said, kind) => said.or(kind),
        };
        Self {
            attempts_max: self.attempts_max.or(kind.attempts_max),
            crashes_max: self.crashes_max.or(kind.crashes_max),
            backoff: self.backoff.or(kind.backoff),
            rules: self.rules.or(kind.rules),
            soft_timeout_ms: self.soft_timeout_ms.or(of_kind),
            timeout_ms,
            keep,
        }
    }

    /// How long it is kept, as it is stored: seconds after completion, cancellation, failure.
    /// Nothing if nothing is said.
    #[must_use]
    pub fn keep_s(&self) -> Option<[u32; 3]> {
        let Keep { completed_s, cancelled_s, failed_s } = self.keep?;
        let default = Retention::DEFAULT;
        Some([
            rounded_s(completed_s.unwrap_or(default.completed_s)),
            rounded_s(cancelled_s.unwrap_or(default.cancelled_s)),
            rounded_s(failed_s.unwrap_or(default.dead_s)),
        ])
    }
}

/// How a task is attempted beside `attempts_max` and `timeout_ms`, as it stands: nothing is left to
/// be looked up elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskPolicy {
    /// With this many attempts that lost their worker it has failed.
    pub crashes_max: u32,
    /// The wait between attempts.
    pub backoff: Backoff,
    /// Rules by the code of an error; the first that fits decides.
    pub rules: Vec<Rule>,
    /// The handler is told to stop after this long, ms.
    pub soft_timeout_ms: Option<u64>,
    /// How long it is kept after its end.
    pub keep: Keep,
}

impl Default for TaskPolicy {
    fn default() -> Self {
        Self {
            crashes_max: CRASHES_MAX_DEFAULT,
            backoff: core::Backoff::DEFAULT.into(),
            rules: Vec::new(),
            soft_timeout_ms: None,
            keep: Retention::DEFAULT.into(),
        }
    }
}

impl From<Retention> for Keep {
    fn from(kept: Retention) -> Self {
        Self {
            completed_s: Some(kept.completed_s),
            cancelled_s: Some(kept.cancelled_s),
            failed_s: Some(kept.dead_s),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_says_otherwise_than_its_kind_member_by_member() {
        let kind = Asked {
            attempts_max: Some(7),
            crashes_max: Some(2),
            rules: Some(vec![Rule::new("busy", Action::Again)]),
            soft_timeout_ms: Some(5_000),
            timeout_ms: Some(9_000),
            keep: Some(Keep { completed_s: Some(60), failed_s: Some(600), ..Keep::default() }),
            ..Asked::default()
        };
        assert_eq!(Asked::default().or(kind.clone()), kind);
        let said = Asked {
            attempts_max: Some(1),
            rules: Some(Vec::new()),
            timeout_ms: Some(4_000),
            keep: Some(Keep { failed_s: Some(3_600), ..Keep::default() }),
            ..Asked::default()
        };
        let both = said.or(kind);
        assert_eq!((both.attempts_max, both.crashes_max), (Some(1), Some(2)));
        assert_eq!(both.rules, Some(Vec::new()), "no rules is something said");
        assert_eq!((both.soft_timeout_ms, both.timeout_ms), (None, Some(4_000)));
        assert_eq!(both.keep_s(), Some([60, 86_400, 3_600]));
    }

    #[test]
    fn a_form_of_backoff_is_read_with_what_is_left_out() {
        let read = |json: &str| serde_json::from_str::<Backoff>(json);
        let default: Backoff = core::Backoff::DEFAULT.into();
        assert_eq!(read(r#"{"form":"exponential"}"#).unwrap(), default);
        let fixed = Backoff::Fixed { wait_ms: 5, jitter: 0.2 };
        assert_eq!(read(r#"{"form":"fixed","wait_ms":5}"#).unwrap(), fixed);
        let list = Backoff::List { waits_ms: vec![1, 2], jitter: 0.0 };
        assert_eq!(read(r#"{"form":"list","waits_ms":[1,2],"jitter":0}"#).unwrap(), list);
        for wrong in
            [r#"{"form":"fixed"}"#, r#"{"wait_ms":5}"#, r#"{"form":"fixed","wait_ms":5,"x":1}"#]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
