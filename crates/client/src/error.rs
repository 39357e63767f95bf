//! Why a call has no answer, in words that say what to do. Tokens, passwords and payloads never
//! appear here.

use std::time::Duration;

use tasktonic_protocol::problem::{Code, Problem};

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused, and says why.
    #[error("{}", said(problem))]
    Problem {
        /// What it said.
        problem: Box<Problem>,
        /// When it asks to try again.
        retry_after: Option<Duration>,
    },
    /// The request did not reach a server: nothing was changed.
    #[error(
        "the server at {origin} cannot be reached ({cause}); check the address and that the server is running"
    )]
    Unreachable {
        /// Where it was looked for.
        origin: String,
        /// What the network said.
        cause: String,
    },
    /// No answer came in time. What was asked for may have been done.
    #[error(
        "no answer came within {after:?}; what was asked for may have been done, look before you ask again"
    )]
    Timeout {
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke before the answer was whole. What was asked for may have been done.
    #[error(
        "the connection broke before the answer came ({cause}); what was asked for may have been done, look before you ask again"
    )]
    Broken {
        /// What the network said.
        cause: String,
    },
    /// An answer that no server of this product gives.
    #[error(
        "{origin} answered with status {status}, and not as a Task Tonic server would ({what}); check the address"
    )]
    BadAnswer {
        /// Who answered.
        origin: String,
        /// The HTTP status.
        status: u16,
        /// What is wrong with it.
        what: String,
    },
    /// The caller asked for something that cannot be sent.
    #[error("{0}")]
    Invalid(String),
    /// There is no token to send, or no new one to be had.
    #[error("{0}")]
    Token(String),
    /// The content of an upload broke off on this side; nothing was kept.
    #[error("the content could not be read: {0}")]
    Content(std::io::Error),
}

impl Error {
    /// The code of a refusal.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Problem { problem, .. } => Code::from_name(&problem.code),
            _ => None,
        }
    }

    /// Whether the request may have been carried out although there is no answer.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Broken { .. } => true,
            // A gateway between here and the server speaks for itself, not for the server.
            Self::BadAnswer { status, .. } => matches!(status, 502 | 504),
            // The front door answers so too when a server broke off.
            _ => matches!(self.code(), Some(Code::OutcomeUnknown | Code::ServerUnavailable)),
        }
    }

    /// Whether the same request may well succeed in a moment.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::BadAnswer { status, .. } => matches!(status, 502..=504),
            Self::Problem { .. } => matches!(
                self.code(),
                Some(
                    Code::TooManyRequests
                        | Code::StoreFull
                        | Code::StoreUnavailable
                        | Code::ServerUnavailable
                        | Code::OutcomeUnknown
                )
            ),
            _ => self.is_outcome_unknown(),
        }
    }

    /// Whether another token could help.
    pub(crate) fn wants_token(&self) -> bool {
        matches!(self.code(), Some(Code::TokenMissing | Code::TokenInvalid | Code::TokenExpired))
    }
}

fn said(problem: &Problem) -> String {
    let mut text = match (problem.title.trim_end_matches('.'), problem.detail.as_str()) {
        (title, "") => title.to_owned(),
        ("", detail) => detail.to_owned(),
        (title, detail) if detail.starts_with(title) => detail.to_owned(),
        (title, detail) => format!("{title}: {detail}"),
    };
    for fault in &problem.errors {
        text.push_str(&format!("\n  {}: {}", fault.pointer, fault.detail));
    }
    text
}
