//! Answers of the store that get lost: the command comes there a second time, and who asked hears
//! what became of the first.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::parts::open;
use crate::support::{Site, ack};

async fn change(site: &Site, id: &str, verb: &str, body: &str) -> crate::support::Answer {
    site.post("ana", &format!("/api/v1/tasks/{id}/{verb}"), body).await
}

#[tokio::test]
async fn what_was_done_is_not_told_as_refused() {
    let (site, store) = open().await;
    let id = site.echo("ana").await;
    store.twice.store(true, Ordering::SeqCst);
    assert_eq!(change(&site, &id, "cancel", "").await.expect(200)["status"], "cancelled");
    let task = change(&site, &id, "retry", "").await.expect(200);
    assert_eq!(task["status"], "queued");
    let edit = json!({ "payload": 2, "rev": task["rev"] }).to_string();
    let edited = change(&site, &id, "edit", &edit).await.expect(200);
    assert_eq!(edited["payload"], 2);
    assert_eq!(change(&site, &id, "cancel", "").await.expect(200)["status"], "cancelled");
    let other = json!({ "payload": 3 }).to_string();
    let task = change(&site, &id, "retry", &other).await.expect(200);
    assert_eq!((&task["status"], &task["payload"]), (&json!("queued"), &json!(3)));
    assert_eq!(change(&site, &id, "cancel", "").await.expect(200)["status"], "cancelled");
    assert_eq!(change(&site, &id, "purge", "").await.expect(204), Value::Null);
    site.get("ana", &format!("/api/v1/tasks/{id}")).await.refused(404, "not_found");
}

#[tokio::test]
async fn what_could_not_be_done_is_still_refused() {
    let (site, store) = open().await;
    let id = site.echo("ana").await;
    store.twice.store(true, Ordering::SeqCst);
    change(&site, &id, "retry", "").await.refused(409, "not_retryable");
    change(&site, &id, "purge", "").await.refused(409, "not_ended");
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    assert!(site.report("w-1", &lease, ack(n)).await);
    change(&site, &id, "cancel", "").await.refused(409, "already_ended");
    change(&site, &id, "retry", "").await.refused(409, "not_retryable");
    let edit = json!({ "payload": 2 }).to_string();
    change(&site, &id, "edit", &edit).await.refused(409, "not_waiting");
}
