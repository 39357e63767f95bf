//! What is made of an answer.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use tasktonic_worker::{Context, Failure};

use super::{ANSWER_BYTES_MAX, ANSWER_INLINE_BYTES_MAX, Output, retry_after, why};
use crate::file::{fitting, keep_stream};

/// Headers that stand in the output. None of them can hold a credential.
const SHOWN: [&str; 10] = [
    "content-type",
    "content-length",
    "content-language",
    "etag",
    "last-modified",
    "location",
    "retry-after",
    "date",
    "x-request-id",
    "allow",
];
/// Longest value of one of them, in bytes.
const VALUE_BYTES_MAX: usize = 500;

type Parts = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Whether a status is success, a failed attempt, or a failure for good.
pub(super) fn judge(response: &Response, host: &str, expected: &[u16]) -> Result<(), Failure> {
    let status = response.status();
    let good =
        if expected.is_empty() { status.is_success() } else { expected.contains(&status.as_u16()) };
    if good {
        return Ok(());
    }
    let message = format!("{host} answered {status}");
    let again = status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY
        );
    let code = format!("http_{}", status.as_u16());
    Err(match retry_after::wait(response.headers()) {
        _ if !again => Failure::fatal(code, message),
        Some(wait) => Failure::attempt_after(wait, code, message),
        None => Failure::attempt(code, message),
    })
}

/// Reads the body: a short text into the output, anything else into a file.
pub(super) async fn read(response: Response, host: &str, cx: &Context) -> Result<Output, Failure> {
    let status = response.status().as_u16();
    let headers = shown(response.headers());
    let media_type = headers.get("content-type").cloned().unwrap_or_default();
    if response.content_length().is_some_and(|length| length > ANSWER_BYTES_MAX) {
        return Err(too_large());
    }
    let broke = Arc::new(AtomicBool::new(false));
    let mut parts: Parts = Box::pin(response.bytes_stream().map({
        let (broke, host, cx) = (broke.clone(), host.to_owned(), cx.clone());
        move |part| {
            part.map_err(|error| {
                broke.store(true, Ordering::Relaxed);
                why::note(&error.without_url(), &host, &cx);
                io::Error::other("the answer broke off")
            })
        }
    }));
    let mut output = Output {
        status,
        host: String::new(),
        redirects: 0,
        headers,
        bytes: 0,
        took_ms: 0,
        body: None,
        file: None,
    };
    let mut start = Vec::new();
    while start.len() <= ANSWER_INLINE_BYTES_MAX {
        match parts.next().await {
            Some(part) => start.extend_from_slice(&part.map_err(|_| why::broke_off(host))?),
            None => {
                output.bytes = start.len() as u64;
                match text(start) {
                    Ok(body) => output.body = Some(body),
                    Err(bytes) => {
                        let all = Box::pin(stream::once(async { Ok(Bytes::from(bytes)) }));
                        output.file = Some(keep_stream(cx, name(&media_type), all).await?);
                    }
                }
                return Ok(output);
            }
        }
    }
    let (all, over) = limited(start.into(), parts);
    match keep_stream(cx, name(&media_type), all).await {
        Ok(file) => {
            output.bytes = file.size;
            output.file = Some(file);
            Ok(output)
        }
        Err(_) if over.load(Ordering::Relaxed) => Err(too_large()),
        Err(_) if broke.load(Ordering::Relaxed) => Err(why::broke_off(host)),
        Err(failure) => Err(failure),
    }
}

/// The body as it stands in an output, if it can.
fn text(bytes: Vec<u8>) -> Result<String, Vec<u8>> {
    let text = String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes)?;
    let written = serde_json::to_string(&text).map_or(usize::MAX, |json| json.len());
    if written <= ANSWER_INLINE_BYTES_MAX { Ok(text) } else { Err(text.into_bytes()) }
}

/// Ends with an error, and says so, where the whole is longer than an answer may be.
fn limited(start: Bytes, parts: Parts) -> (Parts, Arc<AtomicBool>) {
    let over = Arc::new(AtomicBool::new(false));
    let mut left = ANSWER_BYTES_MAX;
    let all = stream::once(async { Ok(start) }).chain(parts).map({
        let over = over.clone();
        move |part| {
            let part = part?;
            match left.checked_sub(part.len() as u64) {
                Some(rest) => {
                    left = rest;
                    Ok(part)
                }
                None => {
                    over.store(true, Ordering::Relaxed);
                    Err(io::Error::other("longer than an answer may be"))
                }
            }
        }
    });
    (Box::pin(all), over)
}

fn too_large() -> Failure {
    Failure::fatal(
        "answer_too_large",
        format!("The answer has more than {ANSWER_BYTES_MAX} bytes."),
    )
}

fn shown(headers: &HeaderMap) -> BTreeMap<&'static str, String> {
    SHOWN
        .into_iter()
        .filter_map(|name| {
            let value = String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned();
            Some((name, fitting(&value, VALUE_BYTES_MAX).to_owned()))
        })
        .collect()
}

/// A name for the file; its ending says what is in it.
fn name(media_type: &str) -> &'static str {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => "response.json",
        "text/csv" => "response.csv",
        "text/html" => "response.html",
        "application/pdf" => "response.pdf",
        "application/zip" => "response.zip",
        "application/gzip" => "response.gz",
        "application/xml" | "text/xml" => "response.xml",
        "image/jpeg" => "response.jpg",
        "image/png" => "response.png",
        "image/webp" => "response.webp",
        essence if essence.starts_with("text/") => "response.txt",
        _ => "response.bin",
    }
}
