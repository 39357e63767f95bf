//! The pages' immutable files from disk: `/_next/static/`. Their names carry their content's hash,
//! so they may be kept for ever and need no token.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio_util::io::ReaderStream;

use crate::App;
use crate::problem::Refusal;

/// Where these files are in the address.
const PREFIX: &str = "/_next/static/";
/// A year, the longest that caches agree on.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// `GET` and `HEAD` of `/_next/static/…`.
pub(crate) async fn immutable(State(app): State<Arc<App>>, request: Request) -> Response {
    let found = match (&app.pages_static, request.uri().path().strip_prefix(PREFIX)) {
        (Some(root), Some(rest)) => open(root, rest).await,
        _ => None,
    };
    let Some((file, length, kind)) = found else { return Refusal::not_found().into_response() };
    let headers = [
        (CONTENT_TYPE, kind.to_owned()),
        (CONTENT_LENGTH, length.to_string()),
        (CACHE_CONTROL, FOR_EVER.to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    let body = if request.method() == Method::HEAD {
        Body::empty()
    } else {
        Body::from_stream(ReaderStream::new(file))
    };
    (StatusCode::OK, headers, body).into_response()
}

async fn open(root: &Path, rest: &str) -> Option<(tokio::fs::File, u64, &'static str)> {
    let path = inside(root, rest)?;
    let kind = kind_of(&path);
    // Links that lead out of the folder are not followed.
    let (root, path) =
        (tokio::fs::canonicalize(root).await.ok()?, tokio::fs::canonicalize(path).await.ok()?);
    if !path.starts_with(&root) {
        return None;
    }
    let file = tokio::fs::File::open(path).await.ok()?;
    let known = file.metadata().await.ok()?;
    known.is_file().then_some((file, known.len(), kind))
}

/// The file under `root` that an address names; `None` if it could name anything else.
fn inside(root: &Path, rest: &str) -> Option<PathBuf> {
    let decoded = decode(rest)?;
    let mut path = root.to_owned();
    for part in decoded.split('/') {
        let plain = !part.is_empty()
            && !part.starts_with('.')
            && !part.contains(['\\', ':'])
            && !part.contains(char::is_control);
        if !plain {
            return None;
        }
        path.push(part);
    }
    Some(path)
}

/// Percent-decodes once; `None` for an escaped slash, or what is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        let byte = u8::try_from(high * 16 + low).ok()?;
        if matches!(byte, b'/' | b'\\' | b'%' | 0) {
            return None;
        }
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

fn kind_of(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("woff2") => "font/woff2",
        Some("woff") => "font/woff",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("avif") => "image/avif",
        Some("ico") => "image/x-icon",
        Some("txt") => "text/plain; charset=utf-8",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_address_leads_out_of_the_folder(rest in "[./%2ef5cA\\\\-]{0,30}") {
            let root = Path::new("/srv/static");
            if let Some(path) = inside(root, &rest) {
                prop_assert!(path.starts_with(root));
                prop_assert!(!path.components().any(|part| part == std::path::Component::ParentDir));
            }
        }
    }

    #[test]
    fn names_with_brackets_are_found_and_hidden_ones_are_not() {
        let root = Path::new("/s");
        assert_eq!(inside(root, "app/%5Bid%5D/page.js"), Some("/s/app/[id]/page.js".into()));
        for bad in ["", "a//b", "../x", "%2e%2e/x", "a/%2fetc", "a%5cb", ".env", "a/", "%zz", "%2"]
        {
            assert_eq!(inside(root, bad), None, "{bad}");
        }
    }
}
