//! Many tasks by what they have in common, ended tasks removed, and dead letters corrected.

use serde_json::{Value, json};
use tasktonic_each_store::{On, on_each_store};
use tasktonic_protocol::http::BULK_KIND;
use tasktonic_protocol::worker::KindRecord;
use tasktonic_store::clock::Clock;
use tasktonic_store::{Expect, Table};

use crate::support::{Site, ack, bury};

on_each_store! {
    a_dry_run_counts_what_matches_and_changes_nothing
    an_operation_is_a_task_of_its_user_and_a_repetition_finds_it
    an_order_that_makes_no_sense_is_refused_with_what_to_do
    the_products_own_kinds_are_nobodys_to_submit_or_to_serve
    an_ended_task_is_removed_at_once_and_one_that_lives_is_not
    a_dead_letter_is_corrected_and_sent_back_in_one_step
}

/// A server beside which the product's own worker has announced itself.
async fn site(on: On) -> Site {
    let (clock, hand) = Clock::manual(1_700_000_000_000);
    let under = on.open_at(clock.clone(), crate::PARTITIONS).await;
    let record = serde_json::to_string(&KindRecord::new(BULK_KIND)).unwrap();
    under.store.registry().put(Table::Kinds, BULK_KIND, record, Expect::Any).await.unwrap();
    Site::standing(under, clock, hand).await
}

/// A dead letter of `ana`.
async fn dead(site: &Site) -> String {
    let id = site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    assert!(site.report("w-1", &lease, bury(n)).await);
    id
}

async fn a_dry_run_counts_what_matches_and_changes_nothing(on: On) {
    let site = site(on).await;
    for _ in 0..3 {
        dead(&site).await;
    }
    for _ in 0..250 {
        site.echo("ana").await;
    }
    site.echo("ben").await;
    site.hand.advance(5);
    let count = async |verb: &str, filter: Value| {
        let order = json!({ "verb": verb, "filter": filter, "dry_run": true });
        site.post("ana", "/api/v1/tasks/bulk", order).await.expect(200)["tasks"].clone()
    };
    assert_eq!(count("cancel", json!({ "all": true })).await, 250);
    assert_eq!(count("cancel", json!({ "queue": "mail" })).await, 0);
    assert_eq!(count("retry", json!({ "kind": "echo" })).await, 3);
    assert_eq!(count("purge", json!({ "status": ["failed", "completed"] })).await, 3);
    let counts = site.get("ana", "/api/v1/tasks/counts").await.expect(200);
    assert_eq!((&counts["queued"], &counts["failed"]), (&json!(250), &json!(3)));
}

async fn an_operation_is_a_task_of_its_user_and_a_repetition_finds_it(on: On) {
    let site = site(on).await;
    let order = json!({
        "verb": "retry", "filter": { "status": ["failed"] }, "idempotency_key": "once",
    });
    let post = async || site.post("ana", "/api/v1/tasks/bulk", order.clone()).await;
    let answer = post().await;
    let place = answer.header("location").to_owned();
    let task = answer.expect(202);
    assert_eq!(task["kind"], BULK_KIND);
    assert_eq!(place, format!("/api/v1/tasks/{}", task["id"].as_str().unwrap()));
    assert_eq!(post().await.expect(202)["id"], task["id"]);
    assert_eq!(site.get("ana", &place).await.expect(200)["payload"]["verb"], "retry");
    site.get("ben", &place).await.refused(404, "not_found");
    let aborted = site.post("ana", &format!("{place}/cancel"), "").await.expect(200);
    assert_eq!(aborted["status"], "cancelled");
}

async fn an_order_that_makes_no_sense_is_refused_with_what_to_do(on: On) {
    let site = site(on).await;
    for (order, word) in [
        (json!({ "verb": "purge", "filter": {} }), "`all`"),
        (json!({ "verb": "purge", "filter": { "all": true, "kind": "x" } }), "`all`"),
        (json!({ "verb": "purge", "filter": { "status": ["running"] } }), "ended"),
        (json!({ "verb": "retry", "filter": { "status": ["completed"] } }), "tried again"),
        (json!({ "verb": "cancel", "filter": { "status": ["failed"] } }), "cancelled"),
        (json!({ "verb": "cancel", "filter": { "since": "monday" } }), "since"),
    ] {
        let refusal =
            site.post("ana", "/api/v1/tasks/bulk", order).await.refused(400, "bad_request");
        assert!(refusal["detail"].as_str().unwrap().contains(word), "{refusal}");
    }
    let unknown = json!({ "verb": "cancel", "filter": { "kid": "x" } });
    site.post("ana", "/api/v1/tasks/bulk", unknown).await.refused(400, "bad_request");
}

async fn the_products_own_kinds_are_nobodys_to_submit_or_to_serve(on: On) {
    let site = site(on).await;
    let payload = json!({ "verb": "purge", "filter": { "all": true } });
    for task in [
        json!({ "kind": BULK_KIND, "payload": payload }),
        json!({ "kind": "echo", "queue": BULK_KIND, "payload": {} }),
    ] {
        site.post("ana", "/api/v1/tasks", task.clone()).await.refused(400, "bad_request");
        let schedule = json!({ "name": "sweep", "every_ms": 60_000, "task": task });
        let answer = site.post("ana", "/api/v1/schedules", schedule).await;
        assert!(matches!(answer.status.as_u16(), 400 | 422), "{}", answer.status);
    }
    let none = site.get("ana", "/api/v1/schedules").await.expect(200);
    assert_eq!(none["schedules"], json!([]));
    let kinds = site.get("ana", "/api/v1/kinds").await.expect(200);
    let is_ours = |kind: &Value| kind["kind"].as_str().unwrap().starts_with("tasktonic.");
    assert!(!kinds["kinds"].as_array().unwrap().iter().any(is_ours), "{kinds}");
    for (kind, queue) in [(BULK_KIND, "x"), ("x", BULK_KIND)] {
        let worker =
            json!({ "id": "w", "host": "h", "version": "1", "kinds": [kind], "concurrency": 1 });
        let kinds = json!([{ "kind": kind, "queue": queue, "attempts_max": 1, "schema": true }]);
        let body = json!({ "v": 1, "worker": worker, "kinds": kinds });
        let role = tasktonic_auth::Role::Worker;
        let answer = site.post_as(role, "crew", "/api/v1/worker/announce", body).await;
        answer.refused(400, "bad_request");
    }
}

async fn an_ended_task_is_removed_at_once_and_one_that_lives_is_not(on: On) {
    let site = site(on).await;
    let id = site.echo("ana").await;
    let path = format!("/api/v1/tasks/{id}");
    let purge = format!("{path}/purge");
    site.post("ana", &purge, "").await.refused(409, "not_ended");
    site.post("ben", &purge, "").await.refused(404, "not_found");
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    site.post("ana", &purge, "").await.refused(409, "not_ended");
    assert!(site.report("w-1", &lease, ack(n)).await);
    assert_eq!(site.post("ana", &purge, "").await.status, 204);
    site.get("ana", &path).await.refused(404, "not_found");
    site.get("ana", &format!("{path}/logs")).await.refused(404, "not_found");
    site.post("ana", &purge, "").await.refused(404, "not_found");
    // The key of a removed task is free: its place is not held by what is gone.
    let keyed = json!({ "kind": "echo", "payload": 1, "idempotency_key": "k" });
    let first = site.submit("ana", keyed.clone()).await["id"].as_str().unwrap().to_owned();
    site.post("ana", &format!("/api/v1/tasks/{first}/cancel"), "").await.expect(200);
    let living = site.echo("ana").await;
    let ids = json!({ "ids": [first, living, "no id"] });
    let reply = site.post("ana", "/api/v1/tasks/purge", ids).await.expect(200);
    let codes: Vec<_> =
        reply["results"].as_array().unwrap().iter().map(|one| &one["error"]["code"]).collect();
    assert_eq!(codes, [&Value::Null, &json!("not_ended"), &json!("not_found")]);
    let again = site.submit("ana", keyed).await;
    assert_ne!(again["id"], first.as_str());
}

async fn a_dead_letter_is_corrected_and_sent_back_in_one_step(on: On) {
    let site = site(on).await;
    let mail = json!({ "kind": "mail", "payload": { "to": [] } });
    let task = site.submit("ana", mail).await;
    let path = format!("/api/v1/tasks/{}", task["id"].as_str().unwrap());
    let retry = format!("{path}/retry");
    let mended = json!({ "payload": { "to": ["ben"] }, "tags": ["mended"] });
    site.post("ana", &retry, mended.clone()).await.refused(409, "not_retryable");
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    assert!(site.report("w-1", &lease, bury(n)).await);
    site.post("ben", &retry, mended.clone()).await.refused(404, "not_found");
    let wrong = json!({ "payload": { "to": "ben" } });
    let refusal = site.post("ana", &retry, wrong).await.refused(422, "payload_invalid");
    assert_eq!(refusal["errors"][0]["pointer"], "/to");
    let many = json!({ "tags": vec!["x"; 33] });
    site.post("ana", &retry, many).await.refused(400, "bad_request");
    assert_eq!(site.get("ana", &path).await.expect(200)["status"], "failed", "nothing was changed");
    let task = site.post("ana", &retry, mended).await.expect(200);
    assert_eq!(task["status"], "queued");
    assert_eq!(task["payload"], json!({ "to": ["ben"] }));
    assert_eq!(task["tags"], json!(["mended"]));
    let attempts = site.get("ana", &format!("{path}/attempts")).await.expect(200);
    assert_eq!(attempts["attempts"][0]["outcome"], "failed", "its first life is on record");
    let list = site.get("ana", "/api/v1/tasks?queue=mail").await.expect(200);
    assert_eq!(list["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(site.get("ana", "/api/v1/tasks?queue=x").await.expect(200)["tasks"], json!([]));
}
