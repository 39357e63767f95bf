//! What the log says of a request: its id, its method, its path and its client's address, on every
//! line that is written while it is handled. Never its query, its headers or its body.

use std::borrow::Cow;
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use tracing::{Span, debug, error_span, warn};

use crate::problem::RequestId;

/// Longest part of a path that is logged as it is, in bytes. Ids and names of routes are shorter,
/// tokens are longer.
const SEGMENT_BYTES_MAX: usize = 40;
/// Longest path that is logged, in bytes.
const PATH_BYTES_MAX: usize = 256;

/// The span of one request. As loud as any line, so that no choice of levels takes the id away
/// from a line that is shown.
pub(crate) fn span(id: &RequestId, request: &Request) -> Span {
    let method = part(request.method().as_str());
    let path = path(request.uri().path());
    // The door fills in the client: it knows which proxies are believed.
    error_span!("request", id = id.0, %method, %path, client = tracing::field::Empty)
}

/// One line about a request whose answer has begun, inside its span.
pub(crate) fn answered(status: StatusCode, took: Duration) {
    let (status, ms) = (status.as_u16(), u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    if status >= 500 {
        warn!(status, ms, "answered a request");
    } else {
        debug!(status, ms, "answered a request");
    }
}

fn part(text: &str) -> &str {
    if text.len() > SEGMENT_BYTES_MAX { "…" } else { text }
}

/// The path without what could be a secret that somebody put there.
fn path(whole: &str) -> Cow<'_, str> {
    if whole.len() <= SEGMENT_BYTES_MAX {
        return whole.into();
    }
    let mut shown = whole.split('/').map(part).collect::<Vec<_>>().join("/");
    if shown.len() > PATH_BYTES_MAX {
        shown.truncate(shown.floor_char_boundary(PATH_BYTES_MAX));
        shown.push('…');
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_logged_without_what_could_be_a_token_and_never_at_length() {
        let task = "/api/v1/tasks/AZrPAAAAAAAAAAAA/attempts/and/then/some";
        assert_eq!(path(task), task);
        let token = "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl";
        assert_eq!(path(&format!("/login/{token}/x")), "/login/…/x");
        assert_eq!(part(token), "…");
        assert!(path(&"/é".repeat(1_000)).len() <= PATH_BYTES_MAX + "…".len());
    }
}
