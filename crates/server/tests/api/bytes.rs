//! How many bytes the tasks of a user may hold, over HTTP.

use std::sync::Arc;

use serde_json::{Value, json};
use tasktonic_auth::Role;
use tasktonic_each_store::{On, on_each_store};
use tasktonic_server::Limits;

use crate::support::{Answer, Site, UNLIMITED};

on_each_store! {
    what_tasks_hold_is_limited_for_everybody_and_for_one_user
    a_thousand_submissions_at_once_hold_no_more_bytes_than_they_may
}

async fn set(site: &Site, path: &str, bytes_max: Value) -> Answer {
    site.post_as(Role::Operator, "olga", path, json!({ "bytes_max": bytes_max })).await
}

fn echo(size: usize) -> Value {
    json!({ "kind": "echo", "payload": { "text": "x".repeat(size) } })
}

async fn what_tasks_hold_is_limited_for_everybody_and_for_one_user(on: On) {
    let site = Site::over(on).await;
    let held = site.get("ana", "/api/v1/me/bytes").await.expect(200);
    assert_eq!(held, json!({ "bytes": 0, "bytes_max": null, "own_max": null }));
    let limit = set(&site, "/api/v1/bytes", json!(2_000)).await.expect(200);
    assert_eq!(limit, json!({ "bytes_max": 2_000 }));
    site.post("ana", "/api/v1/tasks", echo(1_000)).await.expect(202);
    let answer = site.post("ana", "/api/v1/tasks", echo(1_000)).await;
    assert_eq!(answer.header("retry-after"), "60");
    answer.refused(429, "bytes_exceeded");
    let held = site.get("ana", "/api/v1/me/bytes").await.expect(200);
    assert!((1_000..2_000).contains(&held["bytes"].as_u64().unwrap()), "{held}");
    assert_eq!((&held["bytes_max"], &held["own_max"]), (&json!(2_000), &Value::Null));
    let counts = site.get("ana", "/api/v1/tasks/counts").await.expect(200);
    assert_eq!((&counts["all"], &counts["bytes"]), (&json!(1), &held["bytes"]));

    // Of a batch only what does not fit is refused.
    let batch = json!({ "tasks": [echo(1_500), echo(10)] });
    let items = site.post("ana", "/api/v1/tasks/batch", batch).await.expect(200);
    assert_eq!(items["results"][0]["error"]["code"], "bytes_exceeded", "{items}");
    assert_eq!(items["results"][1]["task"]["status"], "queued", "{items}");
    // Nor is there a way around it by an edit.
    let id = items["results"][1]["task"]["id"].as_str().unwrap().to_owned();
    let edit = json!({ "payload": { "text": "y".repeat(1_500) } });
    let path = format!("/api/v1/tasks/{id}/edit");
    site.post("ana", &path, edit).await.refused(429, "bytes_exceeded");

    // What is set of one user goes before what holds for everybody.
    let own = set(&site, "/api/v1/users/ana/bytes", json!(9_000)).await.expect(200);
    assert_eq!((&own["bytes_max"], &own["own_max"]), (&json!(9_000), &json!(9_000)));
    site.post("ana", "/api/v1/tasks", echo(1_000)).await.expect(202);
    site.post("ben", "/api/v1/tasks", echo(3_000)).await.refused(429, "bytes_exceeded");
    set(&site, "/api/v1/users/ana/bytes", Value::Null).await.expect(200);
    site.post("ana", "/api/v1/tasks", echo(10)).await.refused(429, "bytes_exceeded");
    set(&site, "/api/v1/bytes", Value::Null).await.expect(200);
    site.post("ana", "/api/v1/tasks", echo(3_000)).await.expect(202);
}

async fn a_thousand_submissions_at_once_hold_no_more_bytes_than_they_may(on: On) {
    const BYTES_MAX: u64 = 50_000;
    const PAYLOAD: usize = 1_000;
    let limits = Limits { requests: UNLIMITED, ..Limits::default() };
    let site = Arc::new(Site::over_with(on, limits).await);
    set(&site, "/api/v1/bytes", json!(BYTES_MAX)).await.expect(200);
    let answers = site.submit_at_once(vec![("ana", echo(PAYLOAD)); 1_000]).await;
    let (taken, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 202);
    for answer in refused {
        assert_eq!(answer.header("retry-after"), "60");
        answer.refused(429, "bytes_exceeded");
    }
    let held = site.get("ana", "/api/v1/me/bytes").await.expect(200)["bytes"].as_u64().unwrap();
    assert!(held <= BYTES_MAX, "{held} bytes");
    let one = held / taken.len() as u64;
    assert!(held + one > BYTES_MAX, "one more had fitted: {held} bytes in {}", taken.len());
}

#[tokio::test]
async fn only_operators_set_it_and_only_what_makes_sense() {
    let site = Site::open().await;
    for path in ["/api/v1/bytes", "/api/v1/users/ana/bytes"] {
        site.get("ana", path).await.refused(403, "forbidden");
        site.post("ana", path, json!({ "bytes_max": 1 })).await.refused(403, "forbidden");
        set(&site, path, json!(1_u64 << 51)).await.refused(400, "bad_request");
        let nothing = site.post_as(Role::Operator, "olga", path, json!({})).await;
        assert!(matches!(nothing.status.as_u16(), 400 | 422), "{}", nothing.status);
    }
}
