//! Somebody else's task or file looks exactly like one that does not exist: for every operation
//! with an id in its address, taken from the OpenAPI document.

use std::collections::BTreeMap;

use axum::body::Body;
use serde_json::{Value, json};
use tasktonic_auth::Role;

use crate::access::guarded;
use crate::support::{Answer, Site, ack, bury};

/// An answer without what differs between any two: dates and the ids of request and object.
fn face(answer: &Answer, id: &str) -> (u16, BTreeMap<String, String>, String) {
    let request = answer.header("x-request-id").to_owned();
    let plain = |text: &str| text.replace(&request, "<request>").replace(id, "<id>");
    let headers = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| (name.to_string(), plain(value.to_str().unwrap())))
        .collect();
    (answer.status.as_u16(), headers, plain(&String::from_utf8_lossy(&answer.body)))
}

async fn ask(site: &Site, user: &str, method: &str, path: &str) -> Answer {
    let token = site.token(user, Role::User);
    let request = site
        .request(Some(&token), method, path)
        .header("content-type", "application/json")
        .body(Body::empty())
        .unwrap();
    site.send(request).await
}

#[tokio::test]
async fn a_strangers_id_is_answered_like_one_that_does_not_exist() {
    let site = Site::open().await;
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(site.echo("ana").await);
        site.hand.advance(1);
    }
    let held = site.claim("w-1", 2).await;
    let completed = held[0].0.split('|').nth(2).unwrap().to_owned();
    assert!(site.report("w-1", &held[0].0, ack(held[0].1)).await);
    assert!(site.report("w-1", &held[1].0, bury(held[1].1)).await);
    let later = json!({ "kind": "echo", "payload": 1, "delay_ms": 60_000 });
    tasks.push(site.submit("ana", later).await["id"].as_str().unwrap().to_owned());
    let file = site.upload("ana", "secret.txt", b"ana's secret").await;

    let body =
        json!({ "tasks": [{ "task": { "kind": "echo", "payload": 1, "delay_ms": 60_000 } }] });
    let flow = site.post("ana", "/api/v1/flows", body).await.expect(202);
    let flow = flow["task"]["id"].as_str().unwrap().to_owned();

    let mut asked = 0;
    for (method, path) in guarded() {
        // Queues and users are named by operators and administrators only: see `access`.
        let is_of_all = ["/api/v1/users/", "/api/v1/queues/"].iter().any(|at| path.starts_with(at));
        if !path.contains("{id}") || is_of_all {
            continue;
        }
        let (ids, none) = if path.contains("/files/") {
            (vec![file.clone()], "A".repeat(22))
        } else if path.contains("/flows/") || path.contains("/batches/") {
            (vec![flow.clone()], "A".repeat(16))
        } else {
            assert!(path.contains("/tasks/"), "a new sort of id wants a case here: {path}");
            (tasks.clone(), "A".repeat(16))
        };
        for id in ids {
            let stranger = ask(&site, "ben", &method, &path.replace("{id}", &id)).await;
            let nothing = ask(&site, "ben", &method, &path.replace("{id}", &none)).await;
            assert_eq!(nothing.status, 404, "{method} {path}");
            assert_eq!(face(&stranger, &id), face(&nothing, &none), "{method} {path} {id}");
            if method == "GET" && !path.ends_with("/wait") {
                let owner = ask(&site, "ana", &method, &path.replace("{id}", &id)).await;
                // Only what has completed has an output.
                let is_there = !path.ends_with("/output") || id == completed;
                assert_eq!(owner.status, if is_there { 200 } else { 404 }, "{method} {path}");
            }
            let malformed = ask(&site, "ben", &method, &path.replace("{id}", "%00")).await;
            assert!(matches!(malformed.status.as_u16(), 400 | 404), "{method} {path}");
            asked += 1;
        }
    }
    assert!(asked >= 6 * tasks.len(), "only {asked}");

    let untouched = site.get("ana", &format!("/api/v1/tasks/{}", tasks[3])).await.expect(200);
    assert_eq!(untouched["status"], "scheduled");
    let list = site.get("ben", "/api/v1/tasks").await.expect(200);
    assert_eq!(list, json!({ "tasks": [], "next_cursor": null }));
    let page = site.get("ben", &format!("/api/v1/tasks?cursor={}", tasks[2])).await.expect(200);
    assert_eq!(page["tasks"], json!([]), "a cursor of somebody else opens nothing");
}

#[tokio::test]
async fn the_owner_gets_every_verb_that_a_stranger_does_not() {
    let site = Site::open().await;
    let id = site.echo("ana").await;
    let path = |verb: &str| format!("/api/v1/tasks/{id}{verb}");
    for role in [Role::User, Role::Operator, Role::Admin, Role::Service] {
        let answer = site.post_as(role, "ben", &path("/cancel"), "").await;
        answer.refused(404, "not_found");
    }
    let task: Value = site.post("ana", &path("/cancel"), "").await.expect(200);
    assert_eq!(task["status"], "cancelled");
}
