//! Refusals: every code the API can answer with, and the `application/problem+json` body.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The content type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $name:literal, $status:literal, $title:literal;)*) => {
        /// A stable word for a refusal. Programs compare it; each has a page under `/docs/errors`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $code,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$code),*];

            /// The word on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)* }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$code => $status,)* }
            }

            /// What it means, in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$code => $title,)* }
            }
        }
    };
}

codes! {
    /// The request carries no access token.
    TokenMissing = "token_missing", 401, "The request carries no access token";
    /// The access token cannot be trusted.
    TokenInvalid = "token_invalid", 401, "The access token cannot be trusted";
    /// The access token was good, but its time is over.
    TokenExpired = "token_expired", 401, "The access token has expired";
    /// The token is signed in a way that is not accepted.
    TokenAlgorithm = "token_algorithm", 401, "The token is signed in a way that is not accepted";
    /// The name or the password is wrong.
    CredentialsInvalid = "credentials_invalid", 401, "The name or the password is wrong";
    /// A browser sent this from another site.
    ForeignOrigin = "foreign_origin", 403, "A browser sent this from another site";
    /// The caller is known, but may not do this.
    Forbidden = "forbidden", 403, "You may not do this";
    /// There is nothing here that the caller may see.
    NotFound = "not_found", 404, "There is nothing here that you may see";
    /// The address exists, but not for this method.
    MethodNotAllowed = "method_not_allowed", 405, "This address exists, but not for this method";
    /// The same idempotency key came with another body.
    IdempotencyConflict = "idempotency_conflict", 409,
        "The same idempotency key came with another body";
    /// Only a task that failed or was cancelled can be tried again.
    NotRetryable = "not_retryable", 409,
        "Only a task that failed or was cancelled can be tried again";
    /// Only a task that has ended can be removed.
    NotEnded = "not_ended", 409, "Only a task that has ended can be removed";
    /// Only a task that waits can be moved or changed.
    NotWaiting = "not_waiting", 409, "Only a task that waits can be moved or changed";
    /// The task or schedule changed since the caller looked.
    ChangedMeanwhile = "changed_meanwhile", 409, "It changed since you looked";
    /// The task has ended; there is nothing left to stop.
    AlreadyEnded = "already_ended", 409, "The task has ended";
    /// The flow or batch takes no more tasks.
    FlowClosed = "flow_closed", 409, "The flow or batch takes no more tasks";
    /// A worker's report came from an attempt that no longer holds its task.
    LostLease = "lost_lease", 409, "This attempt no longer holds its task";
    /// The body is larger than the limit.
    PayloadTooLarge = "payload_too_large", 413, "The body is larger than the limit";
    /// The body is not of a type this address reads.
    MediaTypeUnsupported = "media_type_unsupported", 415,
        "The body is not of a type this address reads";
    /// This installation does not answer under that name.
    UnknownHost = "unknown_host", 421, "This installation does not answer under that name";
    /// The payload does not fit its kind.
    PayloadInvalid = "payload_invalid", 422, "The payload does not fit its kind";
    /// A schedule of this name is there already.
    ScheduleExists = "schedule_exists", 409, "A schedule of this name is there already";
    /// A schedule cannot be as it is asked for.
    ScheduleInvalid = "schedule_invalid", 422, "The schedule cannot be as it is asked for";
    /// A member of the submission beside its payload is out of bounds.
    SubmissionInvalid = "submission_invalid", 422,
        "A member of the submission is out of bounds";
    /// The tasks of the flow do not go together.
    FlowInvalid = "flow_invalid", 422, "The tasks of the flow do not go together";
    /// No worker has ever announced this kind.
    KindUnknown = "kind_unknown", 422, "No worker has ever announced this kind";
    /// This address speaks WebSocket only.
    UpgradeRequired = "upgrade_required", 426, "This address speaks WebSocket only";
    /// Too many requests in a short time.
    TooManyRequests = "too_many_requests", 429, "Too many requests in a short time";
    /// The user has as much waiting or stored as one may have.
    QuotaExceeded = "quota_exceeded", 429, "You have as much waiting or stored as you may have";
    /// With it the tasks of the user would hold more bytes than they may.
    BytesExceeded = "bytes_exceeded", 429, "Your tasks hold as much as they may";
    /// The request line or the headers are too large.
    HeadersTooLarge = "headers_too_large", 431, "The request line or the headers are too large";
    /// The address can be read in two ways.
    AmbiguousTarget = "ambiguous_target", 400, "The address can be read in two ways";
    /// The request cannot be understood.
    BadRequest = "bad_request", 400, "The request cannot be understood";
    /// Something went wrong here.
    Internal = "internal", 500, "Something went wrong here, and it is our fault";
    /// The server that renders the pages does not answer.
    PagesUnavailable = "pages_unavailable", 502, "The server that renders the pages is not up";
    /// No server answers behind the front door.
    ServerUnavailable = "server_unavailable", 503, "No server answers behind the front door";
    /// The store has reached its limit of memory.
    StoreFull = "store_full", 503, "The store has reached its limit of memory";
    /// The store does not answer.
    StoreUnavailable = "store_unavailable", 503, "The store does not answer";
    /// The submission may or may not have been stored.
    OutcomeUnknown = "outcome_unknown", 503, "Your submission may or may not have been stored";
    /// The disk of the store is full.
    StoreDiskFull = "store_disk_full", 507, "The disk of the store is full";
}

impl Code {
    /// The code of this word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

/// A refusal as it is sent (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Where the page about the code is.
    #[serde(rename = "type")]
    #[schema(example = "/docs/errors/not_found")]
    pub kind: String,
    /// What the code means.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable: compare this.
    #[schema(example = "not_found")]
    pub code: String,
    /// What to do, for people.
    pub detail: String,
    /// The request's id, as in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Each fault of a body, with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One fault of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// A JSON Pointer (RFC 6901) into the payload, or with `submission_invalid` and `bad_request` into
    /// what was sent; empty for the whole.
    #[schema(example = "/photos/0")]
    pub pointer: String,
    /// What is wrong there.
    pub detail: String,
}

impl Problem {
    /// A refusal by `code`, with what to do about it.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/docs/errors/{}", code.name()),
            title: code.title().to_owned(),
            status: code.status(),
            code: code.name().to_owned(),
            detail: detail.into(),
            instance: None,
            errors: Vec::new(),
        }
    }

    /// The same with faults of the body.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// The code, if this version knows it.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        Code::from_name(&self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_by_its_name_and_names_are_unique() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.name()), Some(*code));
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn a_problem_has_the_members_of_rfc_9457() {
        let problem = Problem::new(Code::NotFound, "Look at the list of your tasks.");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["type"], "/docs/errors/not_found");
        assert_eq!(json["status"], 404);
        assert_eq!(json["code"], "not_found");
        assert!(json["title"].is_string() && json["detail"].is_string());
        assert!(json.get("errors").is_none() && json.get("instance").is_none());
        assert_eq!(serde_json::from_value::<Problem>(json).unwrap(), problem);
    }
}
