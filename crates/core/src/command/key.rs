//! Keys of submissions: what a task that has the key already means to the next one that names it.
//! Knows places of tasks, not where keys are kept.

use crate::Text;
use crate::changes::Place;

/// A key that makes submission idempotent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The user's own key.
    pub key: Text,
    /// Hash of what was submitted under it.
    pub body_hash: u128,
    /// How long the key is remembered, in ms from submission.
    pub ttl_ms: i64,
    /// What this submission makes of the task that has the key already.
    pub mode: KeyMode,
}

impl Idempotency {
    /// A key that is one submission for `ttl_ms`.
    #[must_use]
    pub fn new(key: impl Into<Text>, body_hash: u128, ttl_ms: i64) -> Self {
        Self { key: key.into(), body_hash, ttl_ms, mode: KeyMode::Ttl }
    }
}

/// What a submission makes of the task that has its key already. The mode of the newer one decides,
/// from the present place of the older; so nothing has to be kept of a mode, and nothing written when
/// a task ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KeyMode {
    /// It is the same submission until the key is forgotten; another body is a conflict.
    #[default]
    Ttl,
    /// The same, but only while that task has not ended.
    UntilDone,
    /// The same, but only while that task waits.
    UntilStarted,
    /// That task does for this one while it has not ended, whatever the body.
    Unique,
    /// That task does for this one until the key is forgotten, whatever the body.
    Throttle,
    /// A task that waits is cancelled, and this one takes the key.
    Replace(Replaced),
}

/// How a task that waited ends when another takes its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Members of its state (JSON members without braces).
    pub body: Text,
    /// Kept for this long then, in seconds.
    pub keep_s: u32,
}

impl KeyMode {
    /// Whether the key still stands for its task, which is at `place`; absent if it is gone.
    #[must_use]
    pub fn holds(&self, place: Option<&Place>) -> bool {
        match self {
            Self::Ttl | Self::Throttle => true,
            Self::UntilDone | Self::Unique => place.is_some_and(|p| !p.state().is_terminal()),
            Self::UntilStarted | Self::Replace(_) => place.is_some_and(Place::is_waiting),
        }
    }

    /// Whether two submissions may differ and still be one.
    #[must_use]
    pub fn takes_any_body(&self) -> bool {
        matches!(self, Self::Unique | Self::Throttle)
    }

    /// Whether a task that waits gives way.
    #[must_use]
    pub fn replaces(&self) -> bool {
        matches!(self, Self::Replace(_))
    }
}
