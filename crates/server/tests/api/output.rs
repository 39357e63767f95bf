//! Outputs, in the record and in files: who reads them, byte for byte, and what becomes of one that its
//! task did not end with.

use axum::body::Body;
use serde_json::{Value, json};
use tasktonic_auth::Role;
use tasktonic_each_store::{On, on_each_store};
use tasktonic_store::clock::Clock;

use crate::support::{Answer, Site, ack};

async fn send(site: &Site, method: &str, path: &str, header: (&str, &str), body: &[u8]) -> Answer {
    let token = match header.0 {
        "tasktonic-lease" => site.token("crew", Role::Worker),
        _ => site.token("ana", Role::User),
    };
    let request = site.request(Some(&token), method, path).header(header.0, header.1);
    site.send(request.body(Body::from(body.to_vec())).unwrap()).await
}

/// Keeps this as the output of the task that is held under the lease.
async fn keep(site: &Site, lease: &str, content: &[u8]) -> Value {
    let path = "/api/v1/files?name=output.json&output=1";
    send(site, "POST", path, ("tasktonic-lease", lease), content).await.expect(201)
}

/// A report that a task ended with the output in this file.
fn ends_with(file: &Value, n: u64) -> Value {
    let named = json!({
        "file": file["id"], "name": file["name"], "type": file["type"], "size": file["size"],
    });
    let body = format!(r#""st":5,"ho":true,"fo":true,"out":{named}"#);
    json!({ "report": "ack", "keep_s": 9 * 3_600, "write": { "n": n + 1, "body": body } })
}

async fn on_time(on: On) -> Site {
    // Objects of the folder have the machine's times, so the clock begins there.
    let (clock, hand) = Clock::manual(Clock::system().now_ms());
    Site::standing(on.open_at(clock.clone(), crate::PARTITIONS).await, clock, hand).await
}

on_each_store! {
    an_output_is_read_byte_for_byte_wherever_it_is
    an_output_of_a_stale_worker_is_never_shown_and_swept_and_that_of_the_task_goes_with_it
    what_a_task_ends_with_later_is_kept_while_it_may
    an_output_whose_retention_is_over_says_so
}

async fn an_output_is_read_byte_for_byte_wherever_it_is(on: On) {
    let site = Site::over(on).await;
    let short = site.echo("ana").await;
    let path = |id: &str| format!("/api/v1/tasks/{id}/output");
    site.get("ana", &path(&short)).await.refused(404, "not_found");
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    assert!(site.report("w-1", &lease, ack(n)).await);
    let got = site.get("ana", &path(&short)).await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (200, &br#"{"a":1.50}"#[..]));
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    assert_eq!(got.header("cache-control"), "private, no-cache");

    let long = site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    let text = format!(r#"{{ "rows": "{}", "n": 1.50 }}"#, "é".repeat(40_000));
    let file = keep(&site, &lease, text.as_bytes()).await;
    assert_eq!((&file["name"], &file["type"]), (&json!("output.json"), &json!("application/json")));
    assert!(site.report("w-1", &lease, ends_with(&file, n)).await);
    let task = site.get("ana", &format!("/api/v1/tasks/{long}")).await.expect(200);
    assert_eq!((&task["has_output"], &task["output_in_file"]), (&json!(true), &json!(true)));
    assert_eq!(
        (&task["output"]["file"], &task["output"]["size"]),
        (&file["id"], &json!(text.len()))
    );
    let listed = site.get("ana", "/api/v1/tasks").await.expect(200);
    for task in listed["tasks"].as_array().unwrap() {
        // A list says so, without the output, and of no other.
        let says_so = task.get("output_in_file").is_some();
        assert_eq!(says_so, task["id"] == long.as_str(), "{task}");
    }
    let got = site.get("ana", &path(&long)).await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (200, text.as_bytes()));
    assert_eq!(got.header("content-type"), "application/json");
    let part = send(&site, "GET", &path(&long), ("range", "bytes=0-9"), b"").await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &text.as_bytes()[..10]));
    for id in [&short, &long] {
        site.get("ben", &path(id)).await.refused(404, "not_found");
    }
    // A handler's own file in an output is no output in a file.
    site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    let body = format!(r#""ho":true,"out":{{"file":{}}}"#, file["id"]);
    let own = json!({ "report": "ack", "keep_s": 60, "write": { "n": n + 1, "body": body } });
    let id = lease.split('|').nth(2).unwrap().to_owned();
    assert!(site.report("w-1", &lease, own).await);
    let got = site.get("ana", &path(&id)).await;
    assert_eq!(got.json(), json!({ "file": file["id"] }));
}

async fn an_output_whose_retention_is_over_says_so(on: On) {
    let site = Site::over(on).await;
    let task = site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    let kept = json!({
        "report": "ack", "keep_s": 60,
        "write": { "n": n + 1, "body": r#""st":5,"ho":true,"out":[1]"# },
    });
    assert!(site.report("w-1", &lease, kept).await);
    let task = format!("/api/v1/tasks/{task}");
    let output = format!("{task}/output");
    assert_eq!(site.get("ana", &output).await.expect(200), json!([1]));
    site.hand.advance(62_000);
    // Maintenance comes with every sync.
    site.claim("w-1", 1).await;
    for path in [&task, &output] {
        let gone = site.get("ana", path).await.refused(404, "not_found");
        let detail = gone["detail"].as_str().unwrap();
        assert!(detail.contains("retention"), "{detail}");
        // Nobody learns by it what others had.
        let others = site.get("ben", path).await.refused(404, "not_found");
        assert_eq!(others["detail"], gone["detail"]);
    }
}

#[tokio::test]
async fn only_the_holder_of_a_task_keeps_its_output() {
    let site = Site::open().await;
    site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    let path = "/api/v1/files?name=output.json&output=1";
    send(&site, "POST", path, ("x-nothing", "1"), b"[]").await.refused(400, "bad_request");
    // A report that says that its output is in a file names the file.
    let body = r#""ho":true,"fo":true,"out":[1]"#;
    let op = json!({ "lease": lease, "report": "ack", "keep_s": 60, "write": { "n": n + 1, "body": body } });
    let sync = json!({ "v": 1, "worker": "w-1", "call": 2, "lease_ms": 10_000, "ops": [op] });
    site.sync(sync).await.refused(400, "bad_request");
    assert!(site.report("w-1", &lease, ack(n)).await);
    send(&site, "POST", path, ("tasktonic-lease", &lease), b"[]").await.refused(409, "lost_lease");
}

async fn an_output_of_a_stale_worker_is_never_shown_and_swept_and_that_of_the_task_goes_with_it(
    on: On,
) {
    let site = on_time(on).await;
    let id = site.echo("ana").await;
    let (stale, n) = site.claim("w-1", 1).await.remove(0);
    let lost = keep(&site, &stale, br#""stale""#).await;
    for _ in 0..12 {
        site.hand.advance(1_000);
        let body = json!({ "v": 1, "worker": "w-2", "call": 1, "lease_ms": 10_000 });
        site.sync(body).await.expect(200);
    }
    assert!(!site.report("w-1", &stale, ends_with(&lost, n)).await, "its lease is lost");
    let (lease, n) = site.claim("w-2", 1).await.remove(0);
    let kept = keep(&site, &lease, br#""whole""#).await;
    let held = [("tasktonic-lease", lease.as_str())];
    let own = send(&site, "POST", "/api/v1/files?name=output.json", held[0], b"own").await;
    let own = own.expect(201);
    assert!(site.report("w-2", &lease, ends_with(&kept, n)).await);
    let output = format!("/api/v1/tasks/{id}/output");
    assert_eq!(site.get("ana", &output).await.body, r#""whole""#);
    let there = async |file: &Value| {
        let path = format!("/api/v1/files/{}", file["id"].as_str().unwrap());
        site.get("ana", &path).await.status == 200
    };
    site.clean().await;
    assert!(there(&lost).await, "its end might still be on its way");
    site.hand.advance(2 * 3_600_000);
    site.claim("w-1", 1).await;
    site.clean().await;
    assert!(!there(&lost).await, "nobody ends with it any more");
    assert!(there(&kept).await && there(&own).await, "the output and a file of its handler stay");
    assert_eq!(site.get("ana", &output).await.body, r#""whole""#);
    // With the task they go.
    site.hand.advance(8 * 3_600_000);
    site.claim("w-1", 1).await;
    site.clean().await;
    assert!(!there(&kept).await && !there(&own).await);
}

async fn what_a_task_ends_with_later_is_kept_while_it_may(on: On) {
    let site = on_time(on).await;
    let id = site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    let kept = keep(&site, &lease, br#""late""#).await;
    // Two hours, in which it holds its lease and could not say that it has ended.
    for _ in 0..2 * 3_600 / 5 {
        site.hand.advance(5_000);
        assert!(site.report("w-1", &lease, json!({ "report": "heartbeat" })).await);
    }
    site.clean().await;
    assert!(site.report("w-1", &lease, ends_with(&kept, n)).await);
    assert_eq!(site.get("ana", &format!("/api/v1/tasks/{id}/output")).await.body, r#""late""#);
}
