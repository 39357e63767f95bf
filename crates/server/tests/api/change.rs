//! Cancelling and sending back.

use serde_json::{Value, json};
use tasktonic_each_store::{On, on_each_store};

use crate::support::{Site, ack, bury};

async fn change(site: &Site, user: &str, id: &str, verb: &str) -> crate::support::Answer {
    site.post(user, &format!("/api/v1/tasks/{id}/{verb}"), "").await
}

on_each_store! {
    a_waiting_task_is_cancelled_at_once_and_can_be_sent_back
    a_running_task_is_asked_to_stop_and_its_worker_is_told
    a_failed_task_is_tried_again_and_keeps_its_history
    a_failure_that_was_named_is_tried_again_once_however_often_it_is_asked
    many_are_changed_at_once_and_each_says_what_became_of_it
}

async fn a_waiting_task_is_cancelled_at_once_and_can_be_sent_back(on: On) {
    let site = Site::over(on).await;
    let id = site.echo("ana").await;
    let task = change(&site, "ana", &id, "cancel").await.expect(200);
    assert_eq!(
        (&task["status"], &task["reason"]),
        (&json!("cancelled"), &json!("cancelled by user"))
    );
    change(&site, "ana", &id, "cancel").await.refused(409, "already_ended");
    assert!(site.claim("w-1", 9).await.is_empty());
    let task = change(&site, "ana", &id, "retry").await.expect(200);
    assert_eq!((&task["status"], &task["attempt"]), (&json!("queued"), &json!(0)));
    change(&site, "ana", &id, "retry").await.refused(409, "not_retryable");
    let attempts = site.get("ana", &format!("/api/v1/tasks/{id}/attempts")).await.expect(200);
    assert_eq!(attempts["attempts"], json!([]), "what never ran was no attempt");
}

async fn a_running_task_is_asked_to_stop_and_its_worker_is_told(on: On) {
    let site = Site::over(on).await;
    let id = site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    let task = change(&site, "ana", &id, "cancel").await.expect(200);
    assert_eq!(task["status"], "cancelling");
    assert_eq!(change(&site, "ana", &id, "cancel").await.expect(200)["status"], "cancelling");
    let heartbeat = json!({ "report": "heartbeat", "lease": lease });
    let body =
        json!({ "v": 1, "worker": "w-1", "call": 2, "lease_ms": 10_000, "ops": [heartbeat] });
    assert_eq!(site.sync(body).await.expect(200)["cancelled"], json!([lease]));
    let stopped = json!({ "report": "cancelled", "keep_s": 60, "write": { "n": n + 1, "body": r#""st":5"# } });
    assert!(site.report("w-1", &lease, stopped).await);
    let attempts = site.get("ana", &format!("/api/v1/tasks/{id}/attempts")).await.expect(200);
    assert_eq!(attempts["attempts"][0]["outcome"], "cancelled");
}

async fn a_failed_task_is_tried_again_and_keeps_its_history(on: On) {
    let site = Site::over(on).await;
    let id = site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    change(&site, "ana", &id, "retry").await.refused(409, "not_retryable");
    assert!(site.report("w-1", &lease, bury(n)).await);
    let path = format!("/api/v1/tasks/{id}");
    let failed = site.get("ana", &path).await.expect(200);
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("boom")));
    let task = change(&site, "ana", &id, "retry").await.expect(200);
    assert_eq!(task["status"], "queued");
    assert!(task["rev"].as_u64() > failed["rev"].as_u64());
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    assert!(site.report("w-1", &lease, ack(n)).await);
    let attempts = site.get("ana", &format!("{path}/attempts")).await.expect(200);
    let outcomes: Vec<_> = attempts["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["failed", "succeeded"]);
    change(&site, "ana", &id, "retry").await.refused(409, "not_retryable");
}

async fn a_failure_that_was_named_is_tried_again_once_however_often_it_is_asked(on: On) {
    let site = Site::over(on).await;
    let id = site.echo("ana").await;
    let path = format!("/api/v1/tasks/{id}");
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    assert!(site.report("w-1", &lease, bury(n)).await);
    let rev = site.get("ana", &path).await.expect(200)["rev"].clone();
    let again = async |body: Value| site.post("ana", &format!("{path}/retry"), body).await;
    again(json!({ "rev": 1 })).await.refused(409, "changed_meanwhile");
    assert_eq!(again(json!({ "rev": rev })).await.expect(200)["status"], "queued");
    again(json!({ "rev": rev })).await.refused(409, "changed_meanwhile");

    // It fails anew before the same request comes once more, with other labels or without.
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    assert!(site.report("w-1", &lease, bury(n)).await);
    again(json!({ "rev": rev })).await.refused(409, "changed_meanwhile");
    again(json!({ "rev": rev, "tags": ["late"] })).await.refused(409, "changed_meanwhile");
    let failed = site.get("ana", &path).await.expect(200);
    assert_eq!((&failed["status"], &failed["tags"]), (&json!("failed"), &json!([])));
    let sent = again(json!({ "rev": failed["rev"], "tags": ["seen"] })).await.expect(200);
    assert_eq!((&sent["status"], &sent["tags"]), (&json!("queued"), &json!(["seen"])));
}

async fn many_are_changed_at_once_and_each_says_what_became_of_it(on: On) {
    let site = Site::over(on).await;
    let mut ids = Vec::new();
    for _ in 0..300 {
        ids.push(site.echo("ana").await);
    }
    let keyed = json!({ "kind": "echo", "payload": 1, "idempotency_key": "k" });
    ids.push(site.submit("ana", keyed).await["id"].as_str().unwrap().to_owned());
    let bens = site.echo("ben").await;
    let mut asked = ids.clone();
    asked.extend([bens.clone(), "no id".into(), "A".repeat(16), ids[0].clone()]);
    let reply = site.post("ana", "/api/v1/tasks/cancel", json!({ "ids": asked })).await.expect(200);
    let results = reply["results"].as_array().unwrap();
    assert_eq!(results.len(), asked.len());
    for (result, id) in results.iter().zip(&asked) {
        assert_eq!(result["id"], id.as_str());
        let mine = ids.contains(id);
        assert_eq!(result["task"]["status"] == "cancelled", mine, "{result}");
        assert_eq!(result["error"]["code"] == "not_found", !mine, "{result}");
    }
    assert_eq!(results[301]["error"], results[303]["error"], "somebody else's looks like none");
    let bens = site.get("ben", &format!("/api/v1/tasks/{bens}")).await.expect(200);
    assert_eq!(bens["status"], "queued");
    let reply = site.post("ana", "/api/v1/tasks/retry", json!({ "ids": ids })).await.expect(200);
    let queued = |result: &&Value| result["task"]["status"] == "queued";
    assert_eq!(reply["results"].as_array().unwrap().iter().filter(queued).count(), 301);
}

#[tokio::test]
async fn a_bulk_request_takes_a_thousand_ids_and_not_one_more() {
    let site = Site::open().await;
    let ids = |count: usize| json!({ "ids": vec!["A".repeat(16); count] });
    for verb in ["cancel", "retry"] {
        let path = format!("/api/v1/tasks/{verb}");
        let reply = site.post("ana", &path, ids(1_000)).await.expect(200);
        assert_eq!(reply["results"].as_array().unwrap().len(), 1_000);
        site.post("ana", &path, ids(1_001)).await.refused(400, "bad_request");
        site.post("ana", &path, ids(0)).await.refused(400, "bad_request");
        site.post("ana", &path, json!({ "ids": [1] })).await.refused(400, "bad_request");
    }
}
