//! The same API on the store that keeps its tasks on disk.

use std::sync::Arc;

use serde_json::json;
use tasktonic_server::Limits;
use tasktonic_store::clock::Clock;
use tasktonic_store_embedded::{EmbeddedStore, Options};

use crate::support::{Site, ack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_task_its_key_and_its_output_outlive_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual(1_700_000_000_000);
    let open =
        || Arc::new(EmbeddedStore::open(folder.path(), Options::new(clock.clone())).unwrap());
    let store = open();
    let site = Site::on(store.clone(), clock.clone(), hand.clone(), Limits::default()).await;
    let body = json!({ "kind": "echo", "payload": { "n": 1 }, "idempotency_key": "k" });
    let task = site.submit("ana", body.clone()).await;
    assert_eq!(task["durability"], "disk");
    let other = site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    assert!(site.report("w-1", &lease, ack(n)).await);
    drop(site);
    store.abandon();
    drop(store);

    let site = Site::on(open(), clock, hand, Limits::default()).await;
    let again = site.post("ana", "/api/v1/tasks", body).await.expect(200);
    assert_eq!((&again["id"], &again["status"]), (&task["id"], &json!("completed")));
    assert_eq!(again["output"], json!({ "a": 1.50 }));
    let other = site.get("ana", &format!("/api/v1/tasks/{other}")).await.expect(200);
    assert_eq!(other["status"], "queued");
    assert_eq!(site.get("ana", "/api/v1/tasks/counts").await.expect(200)["all"], 2);
}
