//! Taking a body in: its type, its size, and only then its content.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tasktonic_protocol::problem::Code;

use super::json;
use crate::problem::Refusal;

/// A JSON body of at most `bytes_max` bytes.
pub(super) async fn read<T: DeserializeOwned>(
    parts: &Parts,
    body: Body,
    bytes_max: usize,
) -> Result<T, Refusal> {
    json::parse(&take(parts, body, bytes_max).await?)
}

/// The bytes of a JSON body of at most `bytes_max` bytes.
pub(super) async fn take(parts: &Parts, body: Body, bytes_max: usize) -> Result<Bytes, Refusal> {
    check_type(&parts.headers)?;
    let said = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if said.and_then(|text| text.parse::<u64>().ok()).is_some_and(|n| n > bytes_max as u64) {
        return Err(too_large(bytes_max));
    }
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
