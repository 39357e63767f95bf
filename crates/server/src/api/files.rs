//! Files over HTTP: storing and reading them. Whose file it is decides the token, or, for a
//! worker, the lease it holds in this moment. Files go with the tasks that use them; there is no
//! call that removes one.

mod head;

use std::sync::Arc;

use axum::Json;
use axum::body::Body as Content;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use tasktonic_core::{Lease, TaskId, UserId};
use tasktonic_files::{FileId, FileMeta, NewFile};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::worker::LEASE_HEADER;
use tasktonic_store::{Query, QueryReply};

use self::head::{Wanted, disposition, wanted};
use super::access::{Need, check};
use super::operation::{Body, Operation};
use super::read::{Named, out_of_kind, query};
use super::submit::partition;
use super::worker::known_as;
use crate::App;
use crate::door::{CORP, Caller};
use crate::problem::{Refusal, lost_lease};

/// Nothing in a file may run, load or be framed as a page of this origin.
const SANDBOX: &str =
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'";
/// A browser may keep its copy, and asks before each use whether the caller may still see it.
const CACHE: &str = "private, no-cache";
/// The type of a file of which none is known.
const ANY_TYPE: &str = "application/octet-stream";

pub(super) fn operations() -> Vec<Operation> {
    let lease = "From a worker: the lease under which it reads or makes the file.";
    vec![
        Operation::post("/api/v1/files", "files", upload)
            .about("Stores a file. The body is its content.")
            .query("name", "string", "Its name, 1 to 255 bytes.")
            .query("output", "string", "`1` from a worker: it is the output of its task.")
            .header("Tasktonic-Lease", lease)
            .takes(Body::Bytes)
            .answers(201, "It is stored.", Body::Json("StoredFile"))
            .refuses(&[
                Code::PayloadTooLarge,
                Code::MediaTypeUnsupported,
                Code::QuotaExceeded,
                Code::LostLease,
            ]),
        Operation::get("/api/v1/files/{id}", "files", download)
            .about("The content of a file, whole or a range of it.")
            .query("inline", "string", "`1` to show it in the page, for types that are safe there.")
            .header("Tasktonic-Lease", lease)
            .header("Range", "One range of bytes.")
            .answers(200, "The content.", Body::Bytes)
            .answers(206, "The range.", Body::Bytes)
            .answers(304, "The copy named in `If-None-Match` is still good.", Body::Nothing)
            .answers(412, "It is not the version named in `If-Match`.", Body::Nothing)
            .answers(416, "It does not have these bytes.", Body::Nothing)
            .refuses(&[Code::NotFound, Code::LostLease]),
    ]
}

/// Whose files a request is about, and the task that makes one with the claim under which it is held.
struct Access {
    user: UserId,
    task: Option<(TaskId, u32)>,
}

/// A person reaches their own files; a worker those of the user whose lease it holds now.
async fn access(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    need: Need,
) -> Result<Access, Refusal> {
    let Some(token) = headers.get(LEASE_HEADER) else {
        check(caller, need)?;
        return Ok(Access { user: caller.0.user.clone(), task: None });
    };
    check(caller, Need::Work)?;
    let lease: Option<Lease> = token.to_str().ok().and_then(|text| text.parse().ok());
    let Some(lease) = lease else {
        return Err(Refusal::bad_request("`Tasktonic-Lease` is the token of a lease, as claimed."));
    };
    if !known_as::is_of(&caller.0.user, &lease.worker) {
        let detail = "This lease belongs to a worker of another credential.";
        return Err(Refusal::new(Code::Forbidden, detail));
    }
    let ask = Query::Held { worker: lease.worker.clone() };
    let QueryReply::Held(held) = app.store.read(partition(app, &lease.user), ask).await? else {
        return Err(out_of_kind());
    };
    if held.iter().any(|held| held.lease == lease) {
        Ok(Access { user: lease.user, task: Some((lease.task, lease.claim)) })
    } else {
        Err(lost_lease())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UploadQuery {
    name: String,
    #[serde(default)]
    output: Option<String>,
}

async fn upload(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, content) = request.into_parts();
    let Access { user, task } = access(&app, &caller, &parts.headers, Need::WriteFiles).await?;
    let UploadQuery { name, output } = query(&parts.uri)?;
    let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if text(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Refusal::new(
            Code::MediaTypeUnsupported,
            "Send the file as it is, without a Content-Encoding.",
        ));
    }
    let media_type = text(CONTENT_TYPE).map(ToOwned::to_owned);
    if media_type.as_ref().is_some_and(|text| text.starts_with("multipart/")) {
        return Err(Refusal::new(
            Code::MediaTypeUnsupported,
            "Send the content of the file itself as the body, and its name as `?name=`.",
        ));
    }
    let content = content.into_data_stream().map_err(std::io::Error::other).boxed();
    let kept = match (output.as_deref(), task) {
        (Some("1"), Some((task, claim))) => {
            app.files.keep_output(&user, task, claim, content).await?
        }
        (Some(_), _) => {
            let detail = "`output=1` is a worker's word, with the lease of the task.";
            return Err(Refusal::bad_request(detail));
        }
        (None, task) => {
            let new = NewFile { name, media_type, task: task.map(|(task, _)| task) };
            app.files.keep(&user, new, content).await?
        }
    };
    let kept = kept.shown();
    let place = format!("/api/v1/files/{}", kept.id);
    let mut response = (StatusCode::CREATED, Json(kept)).into_response();
    let place = place.parse().map_err(|error| Refusal::internal(&error))?;
    response.headers_mut().insert(LOCATION, place);
    Ok(response)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DownloadQuery {
    inline: Option<String>,
}

async fn download(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(file): Named,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Access { user, .. } = access(&app, &caller, &headers, Need::ReadFiles).await?;
    let inline = query::<DownloadQuery>(&uri)?.inline.is_some_and(|value| value == "1");
    let file: FileId = file.parse().map_err(|_| Refusal::not_found())?;
    content(&app, &user, &file, (&method, &headers), inline).await
}

/// The content of a file, whole or a range of it, as its `(method, headers)` ask.
pub(super) async fn content(
    app: &App,
    user: &UserId,
    file: &FileId,
    (method, headers): (&Method, &HeaderMap),
    inline: bool,
) -> Result<Response, Refusal> {
    let meta = app.files.meta(user, file).await?;
    let etag = format!("\"{}\"", meta.sha256);
    let want = wanted(headers, meta.size, &etag);
    let mut response = match &want {
        Wanted::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Wanted::Changed => StatusCode::PRECONDITION_FAILED.into_response(),
        Wanted::Nowhere => StatusCode::RANGE_NOT_SATISFIABLE.into_response(),
        Wanted::Whole if *method == Method::HEAD => ().into_response(),
        Wanted::Whole => body(app, user, file, None).await?,
        Wanted::Part(part) => {
            let part = (*method != Method::HEAD).then(|| part.clone());
            let mut response = match part {
                Some(part) => body(app, user, file, Some(part)).await?,
                None => ().into_response(),
            };
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            response
        }
    };
    describe(response.headers_mut(), &meta, &want, inline, &etag);
    Ok(response)
}

async fn body(
    app: &App,
    user: &UserId,
    file: &FileId,
    part: Option<std::ops::Range<u64>>,
) -> Result<Response, Refusal> {
    let (_, content) = app.files.read(user, file, part).await?;
    Ok(Response::new(Content::from_stream(content)))
}

/// Headers of what is nobody else's to see and never runs in a page.
pub(super) fn seal(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(CACHE));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    headers.insert(CORP, HeaderValue::from_static("same-origin"));
}

fn describe(headers: &mut HeaderMap, meta: &FileMeta, want: &Wanted, inline: bool, etag: &str) {
    seal(headers);
    let mut set = |name: HeaderName, text: &str| {
        // Every text here is printable ASCII but the type, which came from outside.
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    set(ETAG, etag);
    let size = meta.size;
    let length = match want {
        Wanted::Whole => size,
        Wanted::Part(part) => {
            set(CONTENT_RANGE, &format!("bytes {}-{}/{size}", part.start, part.end - 1));
            part.end - part.start
        }
        Wanted::Nowhere => return set(CONTENT_RANGE, &format!("bytes */{size}")),
        Wanted::NotModified | Wanted::Changed => return,
    };
    set(ACCEPT_RANGES, "bytes");
    set(CONTENT_TYPE, ANY_TYPE);
    set(CONTENT_TYPE, &meta.media_type);
    set(CONTENT_LENGTH, &length.to_string());
    headers.insert(CONTENT_DISPOSITION, disposition(inline && meta.is_inline_safe(), &meta.name));
}
