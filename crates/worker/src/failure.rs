//! The ways an attempt can end.

use std::time::Duration;

use serde_json::value::RawValue;
use tasktonic_protocol::stored::TaskError;

/// Why a handler has no output.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// This attempt failed; there may be another, after the backoff or after `wait` if given.
    Attempt {
        /// Why.
        error: TaskError,
        /// Wait at least this long before the next attempt, e.g. what `Retry-After` said.
        wait: Option<Duration>,
    },
    /// No attempt can succeed: the task ends as a dead letter now.
    Final(TaskError),
    /// Nothing failed: call again after this long; not counted as an attempt.
    Snooze(Duration),
    /// The handler stopped because [`Context::is_cancelled`](crate::Context::is_cancelled) said so.
    Cancelled,
}

/// How an attempt ended, as the loop sees it.
#[derive(Debug)]
pub enum Outcome {
    /// With an output (JSON text).
    Completed(Box<RawValue>),
    /// Without.
    Failed(Failure),
}

impl Failure {
    /// A failed attempt, with a stable `code` and a sentence for people.
    pub fn attempt(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Attempt { error: error(code, message), wait: None }
    }

    /// A failed attempt after which to wait at least `wait`.
    pub fn attempt_after(
        wait: Duration,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::Attempt { error: error(code, message), wait: Some(wait) }
    }

    /// A failure that no further attempt can mend.
    pub fn fatal(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Final(error(code, message))
    }
}

fn error(code: impl Into<String>, message: impl Into<String>) -> TaskError {
    TaskError { code: code.into(), message: message.into() }
}

/// Any error is a failed attempt; its text and those of its causes are what people see.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            message.push_str(": ");
            message.push_str(&next.to_string());
            cause = next.source();
        }
        Self::attempt("handler_error", message)
    }
}
