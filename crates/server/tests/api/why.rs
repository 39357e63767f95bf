//! Why a task does not run.

use serde_json::{Value, json};
use tasktonic_auth::Role;

use crate::support::{Site, ack};

async fn why(site: &Site, task: &str) -> Value {
    let answer = site.get("ana", &format!("/api/v1/tasks/{task}/why")).await.expect(200);
    assert!(answer["text"].as_str().unwrap().ends_with('.'), "{answer}");
    answer
}

#[tokio::test]
async fn a_task_that_does_not_run_says_what_is_in_its_way() {
    let site = Site::open().await;
    let task = site.echo("ana").await;
    let says = async |reason: &str| {
        let answer = why(&site, &task).await;
        assert_eq!(answer["reason"], reason, "{answer}");
        answer
    };
    let operator = async |path: &str, body: Value| {
        site.post_as(Role::Operator, "olga", path, body).await.expect(200);
    };
    assert_eq!(says("turn").await["users_waiting"], 1);
    site.post("ana", "/api/v1/me/pause", json!({ "paused": true })).await.expect(200);
    says("user_paused").await;
    operator("/api/v1/users/ana/pause", json!({ "paused": true })).await;
    says("operator_paused").await;
    operator("/api/v1/queues/echo/settings", json!({ "paused": true })).await;
    says("queue_paused").await;
    operator("/api/v1/queues/echo/settings", json!({ "paused": false })).await;
    operator("/api/v1/users/ana/pause", json!({ "paused": false })).await;
    site.post("ana", "/api/v1/me/pause", json!({ "paused": false })).await.expect(200);
    operator("/api/v1/queues/echo/users", json!({ "user": "ana", "paused": true })).await;
    says("user_paused_in_queue").await;
    // A claim that sets the lane aside changes nothing about the reason.
    assert_eq!(site.claim("w-1", 1).await, []);
    says("user_paused_in_queue").await;
    operator("/api/v1/queues/echo/users", json!({ "user": "ana", "paused": false })).await;
    site.hand.advance(3_600_000);
    says("no_worker").await;
    site.announce("crew").await;
    says("turn").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    says("running").await;
    assert!(site.report("w-1", &lease, ack(n)).await);
    says("ended").await;

    let body = json!({ "kind": "echo", "payload": {}, "delay_ms": 60_000 });
    let later = site.submit("ana", body).await;
    let answer = why(&site, later["id"].as_str().unwrap()).await;
    assert_eq!((&answer["reason"], &answer["run_at"]), (&json!("scheduled"), &later["run_at"]));
    let foreign = format!("/api/v1/tasks/{task}/why");
    site.get("ben", &foreign).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_task_behind_another_of_its_serial_key_says_which() {
    let site = Site::open().await;
    site.announce("crew").await;
    let body = json!({ "kind": "echo", "payload": {}, "serial_key": "orders" });
    let first = site.submit("ana", body.clone()).await["id"].clone();
    let second = site.submit("ana", body).await["id"].as_str().unwrap().to_owned();
    let answer = why(&site, &second).await;
    assert_eq!((&answer["reason"], &answer["behind"]), (&json!("serial_key"), &first));
    let place = site.get("ana", &format!("/api/v1/tasks/{second}/position")).await.expect(200);
    assert_eq!(place["start"], json!({ "is": "behind", "task": first }));
    assert_eq!((&place["ahead"], &place["status"]), (&json!(null), &json!("queued")));
    let (lease, n) = site.claim("w-1", 9).await.remove(0);
    assert_eq!(why(&site, &second).await["behind"], first);
    assert!(site.report("w-1", &lease, ack(n)).await);
    assert_eq!(why(&site, &second).await["reason"], "turn");
}
