//! Taking a body in: its type, its size, and only then its content.

use std::collections::HashMap;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tasktonic_auth::Role;
use tasktonic_core::UserId;
use tasktonic_protocol::problem::Code;

use super::json;
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

/// Bytes of bodies of one user that may be on their way in at once: many large bodies that come
/// slowly would otherwise hold as much memory as their sender likes.
pub(super) const COMING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A worker's credential speaks for many workers: so many times what a user may.
const WORKER_FACTOR: usize = 8;
/// When to come back with one body too many, in seconds.
const COMING_RETRY_S: u64 = 2;

/// The bytes of bodies that are on their way in, by user.
#[derive(Debug, Default)]
pub(crate) struct Coming(Mutex<HashMap<UserId, usize>>);

/// One body on its way in; counted until it is dropped.
struct Counted<'a> {
    coming: &'a Coming,
    user: &'a UserId,
    bytes: usize,
}

impl Coming {
    fn begin<'a>(
        &'a self,
        user: &'a UserId,
        bytes: usize,
        bytes_max: usize,
    ) -> Option<Counted<'a>> {
        let mut coming = self.0.lock();
        let sum = coming.get(user).copied().unwrap_or_default() + bytes;
        if sum > bytes_max {
            return None;
        }
        coming.insert(user.clone(), sum);
        Some(Counted { coming: self, user, bytes })
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut coming = self.coming.0.lock();
        if let Some(sum) = coming.get_mut(self.user) {
            *sum -= self.bytes;
            if *sum == 0 {
                coming.remove(self.user);
            }
        }
    }
}

/// A JSON body of at most `bytes_max` bytes.
pub(super) async fn read<T: DeserializeOwned>(
    app: &App,
    Caller(claims): &Caller,
    parts: &Parts,
    body: Body,
    bytes_max: usize,
) -> Result<T, Refusal> {
    check_type(&parts.headers)?;
    let said = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let said = said.and_then(|text| text.parse::<usize>().ok());
    if said.is_some_and(|bytes| bytes > bytes_max) {
        return Err(too_large(bytes_max));
    }
    let factor = match claims.role {
        Role::Worker | Role::Service => WORKER_FACTOR,
        _ => 1,
    };
    // A body of a length that nobody said may become the longest.
    let coming =
        app.api.coming.begin(&claims.user, said.unwrap_or(bytes_max), COMING_BYTES_MAX * factor);
    let Some(_counted) = coming else {
        let detail = "Too many large bodies at once. Send one after the other.";
        return Err(Refusal::new(Code::TooManyRequests, detail).retry_after(COMING_RETRY_S));
    };
    json::parse(&take(body, bytes_max).await?)
}

/// The bytes of a body of at most `bytes_max` bytes.
async fn take(body: Body, bytes_max: usize) -> Result<Bytes, Refusal> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
        Err(_) => Err(Refusal::bad_request("The body broke off. Send it again.")),
    }
}

fn too_large(bytes_max: usize) -> Refusal {
    Refusal::new(
        Code::PayloadTooLarge,
        format!(
            "A body here has at most {bytes_max} bytes. Send less at once, or store it as a file."
        ),
    )
}

/// Only JSON, and not packed: what is unpacked has no size that could be known beforehand.
fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let unsupported = |detail| Err(Refusal::new(Code::MediaTypeUnsupported, detail));
    let packed = |value: &axum::http::HeaderValue| value.as_bytes() != b"identity";
    if headers.get(CONTENT_ENCODING).is_some_and(packed) {
        return unsupported("Send the body as it is, without a Content-Encoding.");
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(one), None) = (types.next(), types.next()) else {
        return unsupported("Say `Content-Type: application/json`, once.");
    };
    let text = one.to_str().unwrap_or_default();
    let (media, parameters) = text.split_once(';').unwrap_or((text, ""));
    let charset = parameters.trim().to_ascii_lowercase();
    let utf8 = charset.is_empty() || matches!(&*charset, "charset=utf-8" | "charset=\"utf-8\"");
    if media.trim().eq_ignore_ascii_case("application/json") && utf8 {
        return Ok(());
    }
    unsupported("Send JSON in UTF-8 with `Content-Type: application/json`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_is_counted_per_user_and_given_back() {
        let coming = Coming::default();
        let (ana, ben) = (UserId::encode("ana"), UserId::encode("ben"));
        let first = coming.begin(&ana, 6, 10).unwrap();
        let second = coming.begin(&ana, 4, 10).unwrap();
        assert!(coming.begin(&ana, 1, 10).is_none());
        let other = coming.begin(&ben, 10, 10).unwrap();
        drop(first);
        let third = coming.begin(&ana, 6, 10).unwrap();
        drop((second, third, other));
        assert!(coming.0.lock().is_empty(), "nobody is remembered for ever");
    }
}
