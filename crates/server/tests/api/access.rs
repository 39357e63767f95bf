//! Who may do what, and what every answer has.

use axum::body::Body;
use serde_json::{Value, json};
use tasktonic_auth::Role;
use tasktonic_server::{Limits, RequestLimit, openapi};

use crate::support::Site;

/// Every operation under `/api/v1` that wants a token: method and path with a random id.
pub(crate) fn guarded() -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&openapi::document()).unwrap();
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if path.starts_with("/api/v1/") && operation.get("security").is_none() {
                found.push((method.to_uppercase(), path.clone()));
            }
        }
    }
    found
}

/// A path as it is asked for: with an id or a name of nobody's.
fn filled(path: &str) -> String {
    path.replace("{id}", "AAAAAAAAAAAAAAAA").replace("{name}", "nightly")
}

#[tokio::test]
async fn no_operation_answers_without_a_token() {
    let site = Site::open().await;
    let operations = guarded();
    assert!(operations.len() >= 18, "{operations:?}");
    for (method, path) in operations {
        let path = filled(&path);
        let answer =
            site.send(site.request(None, &method, &path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{method} {path}");
        answer.refused(401, "token_missing");
        let bad = site.request(Some("a.b.c"), &method, &path).body(Body::empty()).unwrap();
        assert_eq!(site.send(bad).await.status, 401, "{method} {path}");
    }
}

#[tokio::test]
async fn every_described_operation_exists_and_every_role_gets_what_it_may() {
    let site = Site::open().await;
    for (method, path) in guarded() {
        for role in Role::ALL {
            let token = site.token("cast", *role);
            let at = filled(&path);
            let request = site.request(Some(&token), &method, &at).body(Body::empty()).unwrap();
            let status = site.send(request).await.status.as_u16();
            assert_ne!(status, 405, "{method} {path} is described and not there");
            let open = ["/api/v1/me", "/api/v1/auth/verify"].contains(&&*path);
            let work = path.starts_with("/api/v1/worker/");
            let kinds = path == "/api/v1/kinds";
            let admin = path.starts_with("/api/v1/users/") && path.ends_with("/data");
            let limits = path.starts_with("/api/v1/queues")
                || path == "/api/v1/bytes"
                || path.starts_with("/api/v1/users/") && !admin;
            let allowed = match role {
                Role::Worker => work || kinds || open,
                Role::Admin => true,
                Role::Service => !limits && !admin,
                Role::User => !work && !limits && !admin,
                Role::Operator => !work && !admin,
            };
            assert_eq!(status != 403, allowed, "{role} {method} {path} {status}");
        }
    }
}

#[tokio::test]
async fn an_address_that_is_none_and_a_method_that_is_wrong_say_so() {
    let site = Site::open().await;
    for path in [
        "/api/v1/auth/nothing",
        "/api/v1/nothing",
        "/api/v2/tasks",
        "/api/v1/tasks/AAAAAAAAAAAAAAAA/nothing",
    ] {
        site.get("ana", path).await.refused(404, "not_found");
    }
    for path in ["/api/v1/tasks/%FF", "/api/v1/tasks/%FF/logs", "/api/v1/files/%FF"] {
        site.get("ana", path).await.refused(404, "not_found");
    }
    let token = site.token("ana", Role::User);
    let request =
        site.request(Some(&token), "DELETE", "/api/v1/tasks").body(Body::empty()).unwrap();
    let answer = site.send(request).await;
    let allowed = answer.header("allow").to_owned();
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
    answer.refused(405, "method_not_allowed");
}

#[tokio::test]
async fn me_is_who_the_token_says() {
    let site = Site::open().await;
    let me = site.get("ana", "/api/v1/me").await.expect(200);
    let want = json!({
        "user": "ana", "role": "user", "name": null, "issuer": "tasktonic",
        "expires_at": "2023-11-15T22:13:20.000Z", "scopes": [],
    });
    assert_eq!(me, want);
}

#[tokio::test]
async fn the_document_is_served_to_everybody() {
    let site = Site::open().await;
    let answer =
        site.send(site.request(None, "GET", "/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(!answer.header("x-request-id").is_empty());
    assert_eq!(String::from_utf8_lossy(&answer.body), openapi::document());
}

#[tokio::test]
async fn one_user_may_make_a_burst_of_requests_and_then_has_to_wait() {
    let requests = RequestLimit { per_s: 1, burst: 5 };
    let site = Site::open_with(Limits { requests, ..Limits::default() }).await;
    for _ in 0..5 {
        site.get("ana", "/api/v1/me").await.expect(200);
    }
    let mut refused = 0;
    for _ in 0..3 {
        let answer = site.get("ana", "/api/v1/me").await;
        if answer.status == 429 {
            refused += 1;
            assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
            answer.refused(429, "too_many_requests");
        }
    }
    assert!(refused >= 1, "a slow machine may earn one more, not three");
    site.get("ben", "/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn requests_of_one_user_without_end_are_no_error_when_there_is_no_limit() {
    let requests = RequestLimit { per_s: 0, burst: 0 };
    let site = Site::open_with(Limits { requests, ..Limits::default() }).await;
    for _ in 0..50 {
        site.get("ana", "/api/v1/me").await.expect(200);
    }
}
