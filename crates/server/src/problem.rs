//! Refusals as they are sent (RFC 9457), and the id that ties an answer to the log. Never knows
//! what was asked, and never repeats it.

use std::time::Instant;

use axum::Json;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tasktonic_protocol::problem::{Code, FieldError, PROBLEM_JSON, Problem};
use tasktonic_store::Error as StoreError;
use tracing::Instrument as _;

use crate::request_log;

/// The header with the id of a request, in both directions.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id taken from outside, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;
/// When to come back to a store that is full, in seconds.
const FULL_RETRY_S: u64 = 30;
/// When to come back to a store that is busy or away, in seconds.
const AWAY_RETRY_S: u64 = 2;

/// Why a request was refused, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The stable word.
    pub(crate) code: Code,
    /// What to do, for people.
    pub(crate) detail: String,
    /// Each fault of a payload, with its place.
    pub(crate) errors: Vec<FieldError>,
    /// When it is worth trying again, in seconds.
    pub(crate) retry_after_s: Option<u64>,
}

impl Refusal {
    /// A refusal by `code`.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after_s: None }
    }

    /// A request that cannot be understood.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, detail)
    }

    /// The one answer for what is not there and for what belongs to somebody else.
    pub(crate) fn not_found() -> Self {
        Self::new(Code::NotFound, "Check the address. It may belong to somebody else, or be gone.")
    }

    /// The same for a task, whose retention may be over.
    pub(crate) fn no_task() -> Self {
        let detail = "Check the id. The task may belong to somebody else, have been removed, or \
                      have gone with its output when its retention was over.";
        Self::new(Code::NotFound, detail)
    }

    /// Something that should not happen; the cause is in the log and nowhere else.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed inside the server");
        Self::new(
            Code::Internal,
            "Try again. If it stays, give the request id to whoever runs this installation.",
        )
    }

    /// A request without a caller.
    pub(crate) fn unsigned() -> Self {
        Self::new(Code::TokenMissing, "Sign in, and send the access token with the request.")
    }

    /// The same with faults of the payload.
    pub(crate) fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// The same with the time after which to try again, in seconds.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The body of the answer to request `instance`.
    pub(crate) fn problem(&self, instance: Option<&str>) -> Problem {
        let mut problem =
            Problem::new(self.code, self.detail.clone()).with_errors(self.errors.clone());
        problem.instance = instance.map(ToOwned::to_owned);
        problem
    }

    fn response(self, instance: Option<&str>) -> Response {
        let status = StatusCode::from_u16(self.code.status()).expect("codes have real statuses");
        let mut response = (status, Json(self.problem(instance))).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::UPGRADE_REQUIRED {
            // RFC 9110, section 15.5.22, and RFC 6455, section 4.4.
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade, close"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.response(None)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::new(
                Code::StoreFull,
                "Nothing was stored. Try again when tasks have been worked off.",
            )
            .retry_after(FULL_RETRY_S),
            StoreError::DiskFull => Self::new(
                Code::StoreDiskFull,
                "Nothing was stored. Whoever runs this installation has to free space on its disk.",
            )
            .retry_after(FULL_RETRY_S),
            StoreError::Busy => {
                Self::new(Code::StoreUnavailable, "The store is busy. Try again in a moment.")
                    .retry_after(AWAY_RETRY_S)
            }
            StoreError::Unavailable(cause) => {
                tracing::warn!(%cause, "the store cannot be reached");
                Self::new(Code::StoreUnavailable, "Try again in a moment.")
                    .retry_after(AWAY_RETRY_S)
            }
            StoreError::OutcomeUnknown => Self::new(
                Code::OutcomeUnknown,
                "Send it again with the same idempotency key; it will not run twice because of that.",
            )
            .retry_after(AWAY_RETRY_S),
            StoreError::Invalid(what) => Self::bad_request(what),
        }
    }
}

impl From<tasktonic_store::change::Unreadable> for Refusal {
    fn from(error: tasktonic_store::change::Unreadable) -> Self {
        Self::internal(&error)
    }
}

impl From<tasktonic_files::Error> for Refusal {
    fn from(error: tasktonic_files::Error) -> Self {
        use tasktonic_files::Error;
        match error {
            Error::NotFound => Self::not_found(),
            Error::TooLarge { .. } => Self::new(Code::PayloadTooLarge, sentence(&error)),
            Error::Quota { .. } | Error::TooMany { .. } => {
                Self::new(Code::QuotaExceeded, sentence(&error))
            }
            Error::Name { .. } => Self::bad_request(sentence(&error)),
            Error::LostLease => lost_lease(),
            Error::Content(_) => {
                Self::bad_request("The content broke off and nothing was kept. Send it again.")
            }
            Error::Unavailable(cause) => {
                tracing::warn!(%cause, "the files cannot be reached");
                Self::new(
                    Code::StoreUnavailable,
                    "The files cannot be reached. Try again in a moment.",
                )
                .retry_after(AWAY_RETRY_S)
            }
        }
    }
}

/// The answer to a holder that holds no more.
pub(crate) fn lost_lease() -> Refusal {
    Refusal::new(
        Code::LostLease,
        "Stop working on this attempt: its lease is over, and somebody else may have the task.",
    )
}

fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

/// The id of a request, as in the log and in every answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(pub(crate) String);

impl RequestId {
    /// The id a trusted front door gave, if it is well formed, else a fresh one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok());
        let fits = |id: &&str| {
            (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        match given.filter(fits) {
            Some(id) => Self(id.to_owned()),
            None => Self(format!("{:016x}", rand::random::<u64>())),
        }
    }
}

/// Gives every request an id and every answer the same one: in its header, and in the `instance`
/// of a refusal. What is logged meanwhile carries it too. Applied once around everything; a second
/// application changes nothing.
pub(crate) async fn with_request_id(mut request: Request, next: Next) -> Response {
    if request.extensions().get::<RequestId>().is_some() {
        return next.run(request).await;
    }
    let began = Instant::now();
    let id = RequestId::of(request.headers());
    let span = request_log::span(&id, &request);
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).instrument(span.clone()).await;
    span.in_scope(|| request_log::answered(response.status(), began.elapsed()));
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        // Headers that were added on the way (`Allow`, security headers) stay.
        let (mut parts, _) = response.into_parts();
        let (fresh, body) = refusal.response(Some(&id.0)).into_parts();
        parts.headers.remove(axum::http::header::CONTENT_LENGTH);
        for (name, value) in &fresh.headers {
            parts.headers.insert(name, value.clone());
        }
        parts.extensions.extend(fresh.extensions);
        response = Response::from_parts(parts, body);
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_from_outside_is_taken_only_if_it_is_well_formed() {
        let of = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
            RequestId::of(&headers).0
        };
        assert_eq!(of(b"3f6c-0d.8_E"), "3f6c-0d.8_E");
        let long = "a".repeat(REQUEST_ID_BYTES_MAX + 1);
        assert_eq!(of(&long.as_bytes()[1..]), long[1..]);
        for bad in [&b""[..], b"a b", b"<x>", b"a\tb", "é".as_bytes(), long.as_bytes()] {
            assert_eq!(of(bad).len(), 16, "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_never_repeats_the_cause_of_a_failure() {
        let refusals = [
            Refusal::from(StoreError::Unavailable("/var/lib/secret.db: I/O error".into())),
            Refusal::from(tasktonic_files::Error::Unavailable("/var/lib/secret".into())),
            Refusal::internal(&"/var/lib/secret"),
        ];
        for refusal in refusals {
            assert!(!serde_json::to_string(&refusal.problem(None)).unwrap().contains("secret"));
        }
    }

    #[test]
    fn a_401_says_how_to_sign_in_and_a_busy_store_says_when() {
        let response = Refusal::unsigned().into_response();
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        let response = Refusal::from(StoreError::Busy).into_response();
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
    }
}
