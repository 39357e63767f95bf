//! Files up and down against a small server.

#![expect(clippy::unwrap_used, reason = "a test fails by it, helpers included")]

mod common;

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use common::{Fake, Say, json, problem};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tasktonic_client::{Error, RemoteFiles};
use tasktonic_core::{Lease, TaskId};
use tasktonic_files::{Content, Error as FileError, FileId, TaskFiles as _};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::worker::LEASE_HEADER;

fn lease() -> Lease {
    Lease {
        queue: "mail".parse().unwrap(),
        user: "ana".parse().unwrap(),
        task: TaskId::new(1, 2),
        attempt: 1,
        claim: 2,
        worker: "w-1".parse().unwrap(),
        call: 3,
    }
}

fn content(parts: Vec<io::Result<&'static str>>) -> Content {
    Box::pin(stream::iter(parts).map_ok(Into::into))
}

fn stored(id: &FileId) -> String {
    format!(
        r#"{{"id":"{id}","name":"a.txt","size":4,"type":"text/plain","sha256":"ab","created_at":"1970-01-01T00:00:01.000Z"}}"#
    )
}

#[tokio::test]
async fn a_worker_keeps_a_file_by_its_lease() {
    let id = FileId::from_bytes([7; 16]);
    let fake = Fake::start(move |_, _| json(201, stored(&id))).await;
    let files = RemoteFiles::new(fake.client());
    let parts = content(vec![Ok("ab"), Ok("cd")]);
    let meta = files.keep(&lease(), "a b/ü.txt", parts).await.unwrap();
    assert_eq!((meta.id, meta.size, meta.created_ms), (id, 4, 1_000));
    let seen = &fake.seen()[0];
    assert_eq!(&seen.body[..], b"abcd");
    assert_eq!(seen.headers[LEASE_HEADER], lease().to_string().as_str());
    assert_eq!(seen.target, "/api/v1/files?name=a+b%2F%C3%BC.txt");
}

#[tokio::test]
async fn a_worker_reads_a_file_by_its_lease() {
    let fake = Fake::start(|_, _| {
        let response = Response::builder()
            .header("content-type", "text/plain")
            .header("etag", "\"abcd\"")
            .header(
                "content-disposition",
                "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt",
            );
        Say::This(response.body(Body::from("hello")).unwrap())
    })
    .await;
    let id = FileId::from_bytes([7; 16]);
    let (meta, content) = RemoteFiles::new(fake.client()).read(&lease(), &id).await.unwrap();
    assert_eq!((meta.name.as_str(), meta.media_type.as_str()), ("ü.txt", "text/plain"));
    assert_eq!((meta.size, meta.sha256.as_str()), (5, "abcd"));
    let parts: Vec<_> = content.try_collect().await.unwrap();
    assert_eq!(parts.concat(), b"hello");
    assert_eq!(fake.seen()[0].headers[LEASE_HEADER], lease().to_string().as_str());
}

#[tokio::test]
async fn refusals_mean_to_a_handler_what_they_mean_in_the_servers_process() {
    type Is = fn(&FileError) -> bool;
    let meanings: [(Code, &str, Is); 6] = [
        (Code::NotFound, "", |e| matches!(e, FileError::NotFound)),
        (Code::LostLease, "", |e| matches!(e, FileError::LostLease)),
        (Code::PayloadTooLarge, "a file may have at most 12 bytes", |e| {
            matches!(e, FileError::TooLarge { limit_bytes: 12 })
        }),
        (Code::QuotaExceeded, "your files may have at most 34 bytes together", |e| {
            matches!(e, FileError::Quota { limit_bytes: 34 })
        }),
        (Code::QuotaExceeded, "You may have at most 56 files; remove tasks.", |e| {
            matches!(e, FileError::TooMany { limit_files: 56 })
        }),
        (Code::Internal, "", |e| matches!(e, FileError::Unavailable(_))),
    ];
    for (code, detail, is) in meanings {
        let fake = Fake::start(move |_, _| problem(code, detail, None)).await;
        let files = RemoteFiles::new(fake.client());
        let error = files.keep(&lease(), "a", content(vec![Ok("ab")])).await.unwrap_err();
        assert!(is(&error), "{code:?}: {error}");
        let read = files.read(&lease(), &FileId::from_bytes([7; 16])).await;
        let error = read.err().expect("a refusal");
        assert!(is(&error), "{code:?}: {error}");
    }
}

#[tokio::test]
async fn content_that_breaks_off_on_this_side_is_told_as_such() {
    let fake = Fake::start(|_, _| json(201, "{}")).await;
    let parts = vec![Ok("ab"), Err(io::Error::other("the disk is gone"))];
    let error = fake.client().upload("a", None, content(parts)).await.unwrap_err();
    assert!(matches!(&error, Error::Content(_)), "{error}");
    assert!(error.to_string().contains("the disk is gone"), "{error}");
}

#[tokio::test]
async fn an_upload_that_stalls_is_given_up() {
    let fake = Fake::start(|_, _| json(201, "{}")).await;
    let mut short = common::waits();
    short.part = Duration::from_millis(200);
    let token = std::sync::Arc::new(tasktonic_client::Token::new("t"));
    let client = tasktonic_client::Client::with(&fake.url(), token, short).unwrap();
    let stalled: Content = Box::pin(content(vec![Ok("ab")]).chain(stream::pending()));
    let error = client.upload("a", None, stalled).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn a_download_that_stalls_or_breaks_is_an_error_in_its_content() {
    let fake = Fake::start(|n, _| {
        let first = stream::iter([Ok::<_, io::Error>("ab")]);
        let body = match n {
            0 => Body::from_stream(first.chain(stream::pending())),
            _ => Body::from_stream(first.chain(stream::once(async {
                // A body that pauses is sent as far as it is.
                tokio::task::yield_now().await;
                Err(io::Error::other("gone"))
            }))),
        };
        Say::This(Response::builder().header("content-length", 10).body(body).unwrap())
    })
    .await;
    let mut short = common::waits();
    short.part = Duration::from_millis(200);
    let token = std::sync::Arc::new(tasktonic_client::Token::new("t"));
    let client = tasktonic_client::Client::with(&fake.url(), token, short).unwrap();
    let id = FileId::from_bytes([7; 16]).to_string();
    for what in ["stalls", "breaks"] {
        let content = client.download(&id).await.unwrap().content;
        let parts: Vec<_> = content.collect().await;
        let (last, before) = parts.split_last().unwrap();
        assert!(last.is_err(), "{what}: {parts:?}");
        assert!(before.iter().all(Result::is_ok), "{what}: {parts:?}");
    }
}
