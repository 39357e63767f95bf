//! Files: stored, read in whole and in part, and how little a browser may do with them.

use std::sync::Arc;

use axum::body::Body;
use serde_json::json;
use tasktonic_auth::Role;
use tasktonic_server::Limits;
use tasktonic_store::clock::Clock;
use tasktonic_store::model::ModelStore;

use crate::support::{Answer, FILE_BYTES_MAX, Site};

async fn send(
    site: &Site,
    (user, role): (&str, Role),
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let token = site.token(user, role);
    let mut request = site.request(Some(&token), method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    site.send(request.body(Body::from(body.to_vec())).unwrap()).await
}

const ANA: (&str, Role) = ("ana", Role::User);

#[tokio::test]
async fn a_file_comes_back_as_it_was_sent() {
    let site = Site::open().await;
    let answer = send(
        &site,
        ANA,
        "POST",
        "/api/v1/files?name=notes.txt",
        &[("content-type", "text/plain")],
        b"hello",
    )
    .await;
    let place = answer.header("location").to_owned();
    let stored = answer.expect(201);
    assert_eq!((&stored["name"], &stored["size"]), (&json!("notes.txt"), &json!(5)));
    let got = send(&site, ANA, "GET", &place, &[], b"").await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (200, &b"hello"[..]));
    assert_eq!(got.header("content-length"), "5");
    assert_eq!(got.header("etag"), format!("\"{}\"", stored["sha256"].as_str().unwrap()));
    let head = send(&site, ANA, "HEAD", &place, &[], b"").await;
    assert_eq!(
        (head.status.as_u16(), head.body.len(), head.header("content-length")),
        (200, 0, "5")
    );
}

#[tokio::test]
async fn a_range_is_answered_with_its_bytes_and_an_impossible_one_with_the_size() {
    let site = Site::open().await;
    let id = site.upload("ana", "a.bin", b"0123456789").await;
    let path = format!("/api/v1/files/{id}");
    let get = async |range: &str| send(&site, ANA, "GET", &path, &[("range", range)], b"").await;
    for (range, body, says) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=3-", "3456789", "bytes 3-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
    ] {
        let part = get(range).await;
        assert_eq!((part.status.as_u16(), &part.body[..]), (206, body.as_bytes()), "{range}");
        assert_eq!(part.header("content-range"), says);
        assert_eq!(part.header("content-length"), body.len().to_string());
    }
    let nowhere = get("bytes=10-").await;
    assert_eq!((nowhere.status.as_u16(), nowhere.header("content-range")), (416, "bytes */10"));
    assert_eq!(get("bytes=0-1,4-5").await.status, 200);
    let etag = get("bytes=0-0").await.header("etag").to_owned();
    let again = send(&site, ANA, "GET", &path, &[("if-none-match", &etag)], b"").await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    let head = send(&site, ANA, "HEAD", &path, &[("range", "bytes=2-3")], b"").await;
    assert_eq!(
        (head.status.as_u16(), head.body.len(), head.header("content-length")),
        (206, 0, "2")
    );
}

#[tokio::test]
async fn nothing_in_a_file_can_run_in_the_page() {
    let site = Site::open().await;
    let html = site.upload("ana", "a.html", b"<!doctype html><script>alert(1)</script>").await;
    let png = site.upload("ana", "p.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").await;
    let svg = send(
        &site,
        ANA,
        "POST",
        "/api/v1/files?name=a.svg",
        &[("content-type", "image/svg+xml")],
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    )
    .await
    .expect(201);
    let svg = svg["id"].as_str().unwrap().to_owned();
    for (id, inline, shown) in [
        (&html, "", false),
        // Text that looks like a page is shown as the text it is.
        (&html, "?inline=1", true),
        (&svg, "?inline=1", true),
        (&svg, "", false),
        (&png, "", false),
        (&png, "?inline=1", true),
    ] {
        let got = send(&site, ANA, "GET", &format!("/api/v1/files/{id}{inline}"), &[], b"").await;
        let disposition = got.header("content-disposition");
        assert_eq!(disposition.starts_with("inline"), shown, "{inline} {disposition}");
        assert_eq!(disposition.starts_with("attachment"), !shown);
        let media = got.header("content-type");
        assert!(!shown || ["text/plain", "image/png"].contains(&media), "{media}");
        assert_eq!(got.header("x-content-type-options"), "nosniff");
        assert!(got.header("content-security-policy").contains("sandbox"), "{got:?}");
        assert_eq!(got.header("cache-control"), "private, no-cache");
    }
}

#[tokio::test]
async fn a_name_is_data_and_never_a_path_or_a_header() {
    let site = Site::open().await;
    for (name, plain) in [
        ("..%2F..%2Fetc%2Fpasswd", ".._.._etc_passwd"),
        ("a%22%3B%20x%3D%22b", "a_; x=_b"),
        ("%E2%98%83.txt", "_.txt"),
    ] {
        let id = site.upload("ana", name, b"x").await;
        let got = send(&site, ANA, "GET", &format!("/api/v1/files/{id}"), &[], b"").await;
        let disposition = got.header("content-disposition");
        assert!(disposition.contains(&format!("filename=\"{plain}\"")), "{disposition}");
    }
    for bad in ["", "a%0d%0ab", &"x".repeat(256)] {
        let path = format!("/api/v1/files?name={bad}");
        send(&site, ANA, "POST", &path, &[], b"x").await.refused(400, "bad_request");
    }
    send(&site, ANA, "POST", "/api/v1/files", &[], b"x").await.refused(400, "bad_request");
    send(&site, ANA, "POST", &format!("/api/v1/files?name={}", "x".repeat(255)), &[], b"x")
        .await
        .expect(201);
}

#[tokio::test]
async fn a_file_and_all_files_of_a_user_have_their_limits() {
    let site = Site::open().await;
    let max = usize::try_from(FILE_BYTES_MAX).unwrap();
    let path = "/api/v1/files?name=big.bin";
    send(&site, ANA, "POST", path, &[], &vec![7; max]).await.expect(201);
    send(&site, ANA, "POST", path, &[], &vec![7; max + 1]).await.refused(413, "payload_too_large");
    for _ in 0..2 {
        send(&site, ANA, "POST", path, &[], &vec![7; max]).await.expect(201);
    }
    send(&site, ANA, "POST", path, &[], b"x").await.refused(429, "quota_exceeded");
    send(&site, ("ben", Role::User), "POST", path, &[], b"x").await.expect(201);
}

#[tokio::test]
async fn forms_and_packed_bodies_are_not_taken_for_files() {
    let site = Site::open().await;
    for header in
        [("content-type", "multipart/form-data; boundary=x"), ("content-encoding", "gzip")]
    {
        let path = "/api/v1/files?name=a";
        send(&site, ANA, "POST", path, &[header], b"x")
            .await
            .refused(415, "media_type_unsupported");
    }
}

#[tokio::test]
async fn a_worker_reaches_the_files_of_the_lease_it_holds_and_of_no_other() {
    let site = Site::open().await;
    let crew = ("crew", Role::Worker);
    let anas = site.upload("ana", "a.txt", b"anas").await;
    let bens = site.upload("ben", "b.txt", b"bens").await;
    site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    let held = [("tasktonic-lease", lease.as_str())];
    let path = |id: &str| format!("/api/v1/files/{id}");
    let got = send(&site, crew, "GET", &path(&anas), &held, b"").await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (200, &b"anas"[..]));
    send(&site, crew, "GET", &path(&bens), &held, b"").await.refused(404, "not_found");
    send(&site, crew, "GET", &path(&anas), &[], b"").await.refused(403, "forbidden");
    send(&site, ANA, "GET", &path(&anas), &held, b"").await.refused(403, "forbidden");
    send(&site, ("other", Role::Worker), "GET", &path(&anas), &held, b"")
        .await
        .refused(403, "forbidden");

    let made =
        send(&site, crew, "POST", "/api/v1/files?name=out.txt", &held, b"made").await.expect(201);
    let made = path(made["id"].as_str().unwrap());
    assert_eq!(send(&site, ANA, "GET", &made, &[], b"").await.body, "made");
    send(&site, ("ben", Role::User), "GET", &made, &[], b"").await.refused(404, "not_found");

    assert!(site.report("w-1", &lease, crate::support::ack(n)).await);
    send(&site, crew, "GET", &path(&anas), &held, b"").await.refused(409, "lost_lease");
    send(&site, crew, "POST", "/api/v1/files?name=late", &held, b"x")
        .await
        .refused(409, "lost_lease");
    send(&site, crew, "GET", &path(&anas), &[("tasktonic-lease", "x")], b"")
        .await
        .refused(400, "bad_request");
}

#[tokio::test]
async fn a_file_is_removed_with_its_tasks_retention_and_not_before() {
    // Objects of the folder have the machine's times, so the clock begins there.
    let (clock, hand) = Clock::manual(Clock::system().now_ms());
    let store = Arc::new(ModelStore::new(clock.clone()));
    let site = Site::on(store, clock, hand, Limits::default()).await;
    let used = site.upload("ana", "used.txt", b"used").await;
    let unused = site.upload("ana", "unused.txt", b"unused").await;
    let there = async |file: &str| {
        let answer = send(&site, ANA, "GET", &format!("/api/v1/files/{file}"), &[], b"").await;
        answer.status == 200
    };
    let payload = json!({ "to": [], "photos": [used] });
    site.submit("ana", json!({ "kind": "mail", "payload": payload })).await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    let held = [("tasktonic-lease", lease.as_str())];
    let crew = ("crew", Role::Worker);
    let made = send(&site, crew, "POST", "/api/v1/files?name=out.txt", &held, b"made").await;
    let made = made.expect(201)["id"].as_str().unwrap().to_owned();
    let kept = json!({
        "report": "ack", "keep_s": 4 * 3_600,
        "write": { "n": n + 1, "body": r#""st":5,"ho":true,"out":null"# },
    });
    assert!(site.report("w-1", &lease, kept).await);

    site.hand.advance(3 * 3_600_000);
    site.claim("w-1", 1).await;
    site.clean().await;
    assert!(there(&used).await && there(&made).await, "the task is still kept");
    assert!(!there(&unused).await, "an upload that nothing uses has had its day");

    site.hand.advance(2 * 3_600_000);
    // Maintenance comes with every sync; the one of housekeeping runs in a bound server only.
    site.claim("w-1", 1).await;
    assert_eq!(site.get("ana", "/api/v1/tasks/counts").await.expect(200)["all"], 0);
    site.clean().await;
    assert!(!there(&used).await && !there(&made).await, "its files go with it");
}
