//! Where a task stands in its line, and when it will probably start.

use serde_json::{Value, json};

use crate::support::{Site, ack};

const TASKS: &str = "/api/v1/tasks";

async fn position(site: &Site, user: &str, id: &str) -> Value {
    site.get(user, &format!("{TASKS}/{id}/position")).await.expect(200)
}

#[tokio::test]
async fn a_queued_task_tells_its_place_and_why_its_time_is_not_known() {
    let site = Site::open().await;
    let first = site.echo("ana").await;
    let second = site.echo("ana").await;
    site.echo("ben").await;
    let of_second = position(&site, "ana", &second).await;
    assert_eq!(of_second["ahead"], json!({ "least": 1, "most": 1, "more": false }));
    assert_eq!((&of_second["users"], &of_second["queue"]), (&json!(2), &json!("echo")));
    assert_eq!((&of_second["status"], &of_second["id"]), (&json!("queued"), &json!(second)));
    let few = json!({ "is": "few_starts", "starts": 0, "starts_min": 8 });
    assert_eq!(of_second["start"], few);
    assert!(of_second["at"].is_string());

    site.claim("w-1", 1).await;
    let of_first = position(&site, "ana", &first).await;
    assert_eq!((&of_first["status"], &of_first["ahead"]), (&json!("running"), &Value::Null));
    assert_eq!(of_first["start"], json!({ "is": "not_queued" }));
    assert_eq!(position(&site, "ana", &second).await["ahead"]["most"], 0);
}

#[tokio::test]
async fn a_scheduled_task_starts_not_before_its_time_and_has_no_place() {
    let site = Site::open().await;
    let body = json!({ "kind": "echo", "payload": {}, "delay_ms": 60_000 });
    let task = site.submit("ana", body).await;
    let id = task["id"].as_str().unwrap().to_owned();
    let found = position(&site, "ana", &id).await;
    assert_eq!(found["ahead"], Value::Null);
    assert_eq!(found["start"], json!({ "is": "not_before", "at": task["run_at"] }));
}

#[tokio::test]
async fn nobody_learns_of_anothers_place() {
    let site = Site::open().await;
    let id = site.echo("ana").await;
    let path = |id: &str| format!("{TASKS}/{id}/position");
    site.get("ben", &path(&id)).await.refused(404, "not_found");
    site.get("ana", &path("nothing")).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_line_that_moves_gives_a_range_and_one_that_stands_says_so() {
    let site = Site::open().await;
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(site.echo("ana").await);
    }
    for _ in 0..12 {
        site.hand.advance(2_000);
        let held = site.claim("w-1", 1).await;
        assert!(site.report("w-1", &held[0].0, ack(held[0].1)).await);
    }
    let last = ids.last().unwrap();
    let found = position(&site, "ana", last).await;
    assert_eq!(found["ahead"]["least"], 17);
    let (from, to) = (found["start"]["from_ms"].as_u64(), found["start"]["to_ms"].as_u64());
    let (from, to) = (from.expect("a range"), to.expect("a range"));
    assert!(from < 36_000 && to > 36_000 && to < 72_000, "18 starts, 2 s each: {from} to {to}");
    assert_eq!(found["start"]["probability"], 0.8);
    site.hand.advance(60_000);
    let found = position(&site, "ana", last).await;
    assert_eq!(found["start"], json!({ "is": "still", "for_ms": 60_000 }));
}
