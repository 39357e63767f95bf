//! Submitting, one and many.

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Body;
use serde_json::{Value, json};
use tasktonic_auth::Role;
use tasktonic_each_store::{On, on_each_store};
use tasktonic_server::Limits;

use crate::support::{Site, UNLIMITED};

const TASKS: &str = "/api/v1/tasks";

async fn count(site: &Site, user: &str) -> u64 {
    site.get(user, "/api/v1/tasks/counts").await.expect(200)["all"].as_u64().unwrap()
}

on_each_store! {
    an_accepted_task_is_answered_whole_and_can_be_read
    a_payload_that_does_not_fit_is_refused_with_its_places_and_nothing_is_stored
    a_key_finds_its_task_and_refuses_another_body
    of_a_thousand_with_ten_bad_ones_the_others_are_accepted_once
    a_full_line_refuses_one_more_and_says_when_to_come_back
    a_thousand_submissions_at_once_do_not_go_above_the_limit
}

async fn an_accepted_task_is_answered_whole_and_can_be_read(on: On) {
    let site = Site::over(on).await;
    let body = json!({ "kind": "mail", "payload": { "to": ["a"] }, "tags": ["x"], "idempotency_key": "k" });
    let answer = site.post("ana", TASKS, body).await;
    let place = answer.header("location").to_owned();
    let task = answer.expect(202);
    assert_eq!(place, format!("{TASKS}/{}", task["id"].as_str().unwrap()));
    assert_eq!(task["status"], "queued");
    assert_eq!(task["durability"], on.durability());
    assert_eq!((&task["attempts_max"], &task["timeout_ms"]), (&json!(2), &json!(60_000)));
    let read = site.get("ana", &place).await.expect(200);
    assert_eq!(read, task);
}

#[tokio::test]
async fn a_payload_is_kept_byte_for_byte() {
    let site = Site::open().await;
    let payload =
        r#"{"n":12345678901234567890.000, "b":[ 1,2 ],"\u00e9":"\u0000\ud83d\ude00" ,"z":-0.0}"#;
    let body = format!(r#" {{"kind":"echo" ,"payload":  {payload} }} "#);
    let task = site.post("ana", TASKS, body).await.expect(202);
    let place = format!("{TASKS}/{}", task["id"].as_str().unwrap());
    let text = site.get("ana", &place).await.body;
    assert!(String::from_utf8_lossy(&text).contains(payload), "{text:?}");
    let body = json!({ "v": 1, "worker": "w", "call": 1, "lease_ms": 10_000,
        "claim": { "queues": ["echo"], "limit": 1 } });
    let claimed = site.sync(body).await.expect(200);
    let descriptor = claimed["claimed"][0]["descriptor"].as_str().unwrap();
    assert!(descriptor.contains(payload), "{descriptor}");
}

async fn a_payload_that_does_not_fit_is_refused_with_its_places_and_nothing_is_stored(on: On) {
    let site = Site::over(on).await;
    let body = json!({ "kind": "mail", "payload": { "to": ["a", 7], "secret": "hunter2" } });
    let refused = site.post("ana", TASKS, body).await.refused(422, "payload_invalid");
    let mut places: Vec<_> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    places.sort_unstable();
    assert_eq!(places, ["", "/to/1"]);
    assert!(!refused.to_string().contains("hunter2"));
    let twice = r#"{"kind":"echo","payload":{"a":1,"a":2}}"#;
    site.post("ana", TASKS, twice).await.refused(422, "payload_invalid");
    let unknown = json!({ "kind": "nobody.knows", "payload": {} });
    site.post("ana", TASKS, unknown).await.refused(422, "kind_unknown");
    assert_eq!(count(&site, "ana").await, 0);
}

#[tokio::test]
async fn a_kind_announced_anew_is_checked_by_its_new_schema() {
    let site = Site::open().await;
    site.submit("ana", json!({ "kind": "echo", "payload": 1 })).await;
    let record =
        json!({ "id": "w-2", "host": "h", "version": "1", "kinds": ["echo"], "concurrency": 1 });
    let kinds = json!([{ "kind": "echo", "queue": "echo", "attempts_max": 3, "schema": { "type": "string" } }]);
    let body = json!({ "v": 1, "worker": record, "kinds": kinds });
    site.post_as(Role::Worker, "crew", "/api/v1/worker/announce", body).await.expect(204);
    let body = json!({ "kind": "echo", "payload": 1 });
    site.post("ana", TASKS, body).await.refused(422, "payload_invalid");
}

async fn a_key_finds_its_task_and_refuses_another_body(on: On) {
    let site = Site::over(on).await;
    let body = json!({ "kind": "echo", "payload": { "n": 1 }, "idempotency_key": "k" });
    let task = site.post("ana", TASKS, &body).await.expect(202);
    assert_eq!(site.post("ana", TASKS, &body).await.expect(200)["id"], task["id"]);
    for other in [
        json!({ "kind": "echo", "payload": { "n": 2 }, "idempotency_key": "k" }),
        json!({ "kind": "echo", "payload": { "n": 1 }, "idempotency_key": "k", "delay_ms": 5 }),
        json!({ "kind": "echo", "payload": { "n": 1 }, "idempotency_key": "k", "queue": "other" }),
    ] {
        site.post("ana", TASKS, other).await.refused(409, "idempotency_conflict");
    }
    let bens = site.post("ben", TASKS, &body).await.expect(202);
    assert_ne!(bens["id"], task["id"], "keys are per user");
    assert_eq!(count(&site, "ana").await, 1);
}

#[tokio::test]
async fn the_header_is_the_member_and_they_may_not_differ() {
    let site = Site::open().await;
    let token = site.token("ana", Role::User);
    let send = async |header: &str, member: Option<&str>| {
        let mut body = json!({ "kind": "echo", "payload": {} });
        if let Some(member) = member {
            body["idempotency_key"] = member.into();
        }
        let request = site
            .request(Some(&token), "POST", TASKS)
            .header("content-type", "application/json; charset=UTF-8")
            .header("idempotency-key", header)
            .body(Body::from(body.to_string()))
            .unwrap();
        site.send(request).await
    };
    let task = send("k", None).await.expect(202);
    assert_eq!(task["idempotency_key"], "k");
    assert_eq!(send("k", Some("k")).await.expect(200)["id"], task["id"]);
    send("k", Some("other")).await.refused(400, "bad_request");
}

#[tokio::test]
async fn every_limit_of_a_submission_holds_at_n_and_refuses_n_plus_one() {
    let site = Site::open().await;
    let now = "2023-11-14T22:13:20Z";
    let year_ms: u64 = 366 * 24 * 3_600 * 1_000;
    let tags = |count: usize| json!(vec!["t"; count]);
    let table: Vec<(&str, Value, Value)> = vec![
        ("tags", tags(32), tags(33)),
        ("tags", json!(["é".repeat(64)]), json!(["é".repeat(65)])),
        ("tags", json!(["a"]), json!([""])),
        ("tags", json!(["a b"]), json!(["a\nb"])),
        ("queue", json!("q".repeat(64)), json!("q".repeat(65))),
        ("queue", json!("a.b-c_D"), json!("a b")),
        ("delay_ms", json!(year_ms), json!(year_ms + 1)),
        ("run_at", json!(now), json!("tomorrow")),
        ("run_at", json!("2024-11-14T22:13:20Z"), json!("2024-11-15T22:13:21Z")),
    ];
    for (member, good, bad) in table {
        let body = |value: Value| {
            let mut body = json!({ "kind": "echo", "payload": {} });
            body[member] = value;
            body
        };
        let answer = site.post("ana", TASKS, body(good.clone())).await;
        assert_eq!(answer.status, 202, "{member} {good}: {answer:?}");
        let refused = site.post("ana", TASKS, body(bad)).await.refused(400, "bad_request");
        assert!(!refused["detail"].as_str().unwrap().is_empty());
    }
    let both = json!({ "kind": "echo", "payload": {}, "run_at": now, "delay_ms": 1 });
    site.post("ana", TASKS, both).await.refused(400, "bad_request");
    let misspelt = json!({ "kind": "echo", "payload": {}, "delay": 1 });
    site.post("ana", TASKS, misspelt).await.refused(400, "bad_request");
}

#[tokio::test]
async fn every_bound_of_a_policy_is_refused_with_its_place_and_stores_nothing() {
    let site = Site::open().await;
    let backoff = |form: &str, member: &str, value: Value| {
        let mut backoff = json!({ "form": form, "wait_ms": 1, "waits_ms": [1] });
        let other = if form == "fixed" { "waits_ms" } else { "wait_ms" };
        backoff.as_object_mut().unwrap().remove(other);
        if form == "exponential" {
            backoff.as_object_mut().unwrap().remove("waits_ms");
        }
        backoff[member] = value;
        backoff
    };
    let month_ms: u64 = 30 * 86_400 * 1_000;
    let rules = |count: usize| json!(vec![json!({ "code": "c", "action": "bury" }); count]);
    let table: Vec<(&str, Value, Value, &str)> = vec![
        ("attempts_max", json!(1_000), json!(1_001), "/attempts_max"),
        ("attempts_max", json!(1), json!(0), "/attempts_max"),
        ("crashes_max", json!(50), json!(51), "/crashes_max"),
        ("crashes_max", json!(1), json!(0), "/crashes_max"),
        ("timeout_ms", json!(604_800_000), json!(604_800_001), "/timeout_ms"),
        ("timeout_ms", json!(1), json!(0), "/timeout_ms"),
        ("soft_timeout_ms", json!(604_800_000), json!(604_800_001), "/soft_timeout_ms"),
        (
            "backoff",
            backoff("fixed", "wait_ms", json!(month_ms)),
            backoff("fixed", "wait_ms", json!(month_ms + 1)),
            "/backoff/wait_ms",
        ),
        (
            "backoff",
            backoff("exponential", "factor", json!(100)),
            backoff("exponential", "factor", json!(100.5)),
            "/backoff/factor",
        ),
        (
            "backoff",
            backoff("list", "waits_ms", json!(vec![0; 32])),
            backoff("list", "waits_ms", json!(vec![0; 33])),
            "/backoff/waits_ms",
        ),
        (
            "backoff",
            backoff("fixed", "jitter", json!(1)),
            backoff("fixed", "jitter", json!(1.01)),
            "/backoff/jitter",
        ),
        ("rules", rules(32), rules(33), "/rules"),
        (
            "rules",
            json!([{ "code": "a*", "action": "again_after", "after_ms": month_ms }]),
            json!([{ "code": "a*", "action": "again_after" }]),
            "/rules/0/after_ms",
        ),
        (
            "keep",
            json!({ "completed_s": 60, "failed_s": 31_622_400 }),
            json!({ "completed_s": 59 }),
            "/keep/completed_s",
        ),
    ];
    for (member, good, bad, place) in table {
        let body = |value: Value| {
            let mut body = json!({ "kind": "echo", "payload": {} });
            body[member] = value;
            body
        };
        let answer = site.post("ana", TASKS, body(good.clone())).await;
        assert_eq!(answer.status, 202, "{member} {good}: {answer:?}");
        let before = count(&site, "ana").await;
        let refused = site.post("ana", TASKS, body(bad)).await.refused(422, "submission_invalid");
        assert_eq!(refused["errors"][0]["pointer"], place, "{refused}");
        assert_eq!(count(&site, "ana").await, before, "nothing was stored");
    }
    let odd = json!({ "kind": "echo", "payload": {}, "backoff": { "form": "sometimes" } });
    site.post("ana", TASKS, odd).await.refused(400, "bad_request");
    // In a batch each has its own answer.
    let batch = json!({ "tasks": [
        { "kind": "echo", "payload": {} },
        { "kind": "echo", "payload": {}, "crashes_max": 0 },
    ] });
    let results = site.post("ana", "/api/v1/tasks/batch", batch).await.expect(200);
    assert_eq!(results["results"][1]["error"]["errors"][0]["pointer"], "/crashes_max");
    assert!(results["results"][0]["task"].is_object());
}

#[tokio::test]
async fn a_policy_is_the_kinds_and_then_the_submissions() {
    let site = Site::open().await;
    let record =
        json!({ "id": "w-1", "host": "h", "version": "1", "kinds": ["echo"], "concurrency": 1 });
    let kinds = json!([{
        "kind": "echo", "queue": "echo", "schema": true,
        "attempts_max": 4, "crashes_max": 2, "soft_timeout_ms": 5_000, "timeout_ms": 9_000,
        "backoff": { "form": "fixed", "wait_ms": 70, "jitter": 0.0 },
        "rules": [{ "code": "bad_*", "action": "bury" }],
        "keep": { "completed_s": 3_600 },
    }]);
    let body = json!({ "v": 1, "worker": record, "kinds": kinds });
    let announce = "/api/v1/worker/announce";
    site.post_as(Role::Worker, "crew", announce, body).await.expect(204);

    let plain = json!({ "kind": "echo", "payload": {} });
    let task = site.post("ana", TASKS, plain).await.expect(202);
    assert_eq!((&task["attempts_max"], &task["timeout_ms"]), (&json!(4), &json!(9_000)));
    let policy = json!({
        "crashes_max": 2,
        "backoff": { "form": "fixed", "wait_ms": 70, "jitter": 0.0 },
        "rules": [{ "code": "bad_*", "action": "bury" }],
        "soft_timeout_ms": 5_000,
        "keep": { "completed_s": 3_600, "cancelled_s": 86_400, "failed_s": 1_209_600 },
    });
    assert_eq!(task["policy"], policy);
    let path = format!("{TASKS}/{}", task["id"].as_str().unwrap());
    assert_eq!(site.get("ana", &path).await.expect(200)["policy"], policy, "as it was answered");
    let page = site.get("ana", TASKS).await.expect(200);
    assert!(page["tasks"][0].get("policy").is_none(), "lists leave it out");

    let says = json!({
        "kind": "echo", "payload": {}, "attempts_max": 1, "timeout_ms": 3_000, "rules": [],
        "backoff": { "form": "list", "waits_ms": [1, 2], "jitter": 0.5 },
        "keep": { "failed_s": 7_200 },
    });
    let task = site.post("ana", TASKS, says).await.expect(202);
    let policy = json!({
        "crashes_max": 2,
        "backoff": { "form": "list", "waits_ms": [1, 2], "jitter": 0.5 },
        "rules": [],
        "soft_timeout_ms": null,
        "keep": { "completed_s": 3_600, "cancelled_s": 86_400, "failed_s": 21_600 },
    });
    assert_eq!(task["policy"], policy, "a soft limit above the limit goes, times are rounded up");
    let soft = json!({ "kind": "echo", "payload": {}, "soft_timeout_ms": 9_000 });
    let refused = site.post("ana", TASKS, soft).await.refused(422, "submission_invalid");
    assert_eq!(refused["errors"][0]["pointer"], "/soft_timeout_ms", "the kind's limit is known");

    let kinds = site.get("ana", "/api/v1/kinds").await.expect(200);
    let echo = kinds["kinds"].as_array().unwrap().iter().find(|kind| kind["kind"] == "echo");
    assert_eq!(echo.unwrap()["backoff"]["wait_ms"], 70);
}

#[tokio::test]
async fn a_payload_at_the_limit_is_taken_and_one_byte_more_is_not() {
    let site = Site::open().await;
    let max = Limits::default().payload_bytes_max;
    let body = |bytes: usize| format!(r#"{{"kind":"echo","payload":"{}"}}"#, "x".repeat(bytes - 2));
    site.post("ana", TASKS, body(max)).await.expect(202);
    site.post("ana", TASKS, body(max + 1)).await.refused(413, "payload_too_large");
    let padded = format!("{}{}", " ".repeat(2 * max + 1), body(10));
    site.post("ana", TASKS, padded).await.refused(413, "payload_too_large");
    let nested = |depth: usize| {
        // The body itself is one level.
        let payload = format!("{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        format!(r#"{{"kind":"echo","payload":{payload}}}"#)
    };
    site.post("ana", TASKS, nested(64)).await.expect(202);
    site.post("ana", TASKS, nested(65)).await.refused(400, "bad_request");
}

async fn a_full_line_refuses_one_more_and_says_when_to_come_back(on: On) {
    let limits = Limits { lane_max: 3, ..Limits::default() };
    let site = Site::over_with(on, limits).await;
    for _ in 0..3 {
        site.echo("ana").await;
    }
    let body = json!({ "kind": "echo", "payload": {} });
    let answer = site.post("ana", TASKS, &body).await;
    assert_eq!(answer.header("retry-after"), "10");
    answer.refused(429, "quota_exceeded");
    site.post("ben", TASKS, &body).await.expect(202);
}

async fn a_thousand_submissions_at_once_do_not_go_above_the_limit(on: On) {
    const LANE_MAX: u32 = 100;
    let limits = Limits { lane_max: LANE_MAX, requests: UNLIMITED, ..Limits::default() };
    let site = Arc::new(Site::over_with(on, limits).await);
    let echo = json!({ "kind": "echo", "payload": {} });
    let answers = site.submit_at_once(vec![("ana", echo); 1_000]).await;
    let (taken, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 202);
    assert_eq!(taken.len(), LANE_MAX as usize);
    for answer in refused {
        assert_eq!(answer.header("retry-after"), "10");
        answer.refused(429, "quota_exceeded");
    }
    assert_eq!(count(&site, "ana").await, u64::from(LANE_MAX));
}

#[tokio::test]
async fn only_plain_json_is_read() {
    let site = Site::open().await;
    let token = site.token("ana", Role::User);
    let body = r#"{"kind":"echo","payload":{}}"#;
    for (headers, status) in [
        (vec![("content-type", "application/json")], 202),
        (vec![("content-type", "Application/JSON; charset=utf-8")], 202),
        (vec![("content-type", "text/plain")], 415),
        (vec![("content-type", "application/json; charset=latin-1")], 415),
        (vec![("content-type", "application/x-www-form-urlencoded")], 415),
        (vec![], 415),
        (vec![("content-type", "application/json"), ("content-encoding", "gzip")], 415),
        (vec![("content-type", "application/json"), ("content-type", "text/plain")], 415),
    ] {
        let mut request = site.request(Some(&token), "POST", TASKS);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let answer = site.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn a_task_for_later_is_scheduled_and_one_for_the_past_is_queued() {
    let site = Site::open().await;
    let task =
        site.submit("ana", json!({ "kind": "echo", "payload": {}, "delay_ms": 1_500 })).await;
    assert_eq!(task["status"], "scheduled");
    assert_eq!(task["run_at"], "2023-11-14T22:13:21.500Z");
    let place = format!("{TASKS}/{}", task["id"].as_str().unwrap());
    assert_eq!(site.get("ana", &place).await.expect(200), task);
    let past = json!({ "kind": "echo", "payload": {}, "run_at": "2020-01-01T00:00:00Z" });
    assert_eq!(site.submit("ana", past).await["status"], "queued");
}

#[tokio::test]
async fn a_batch_answers_each_task_for_itself() {
    let site = Site::open().await;
    let body = r#"{"tasks":[
        {"kind":"echo","payload":1,"idempotency_key":"a"},
        {"kind":"echo","payload":2,"tags":[""]},
        {"kind":"nobody.knows","payload":3},
        {"kind":"mail","payload":{"to":[1]}},
        {"kind":"echo","payload":5,"colour":"red"},
        {"kind":"echo","payload":1,"idempotency_key":"a"},
        {"kind":"echo","payload":2,"idempotency_key":"a"},
        7
    ]}"#;
    let reply = site.post("ana", "/api/v1/tasks/batch", body).await.expect(200);
    let results = reply["results"].as_array().unwrap();
    let codes: Vec<_> =
        results.iter().map(|r| r["error"]["code"].as_str().unwrap_or("accepted")).collect();
    assert_eq!(
        codes,
        [
            "accepted",
            "bad_request",
            "kind_unknown",
            "payload_invalid",
            "bad_request",
            "accepted",
            "idempotency_conflict",
            "bad_request",
        ]
    );
    assert_eq!(results[0]["task"]["id"], results[5]["task"]["id"]);
    assert_eq!(results[3]["error"]["errors"][0]["pointer"], "/to/0");
    assert!(results.iter().enumerate().all(|(n, r)| r["index"] == n));
    assert_eq!(count(&site, "ana").await, 1);
}

#[tokio::test]
async fn a_batch_of_a_thousand_is_taken_whole_and_one_more_is_refused() {
    let site = Site::open().await;
    let body =
        |count: usize| json!({ "tasks": vec![json!({ "kind": "echo", "payload": 1 }); count] });
    let reply = site.post("ana", "/api/v1/tasks/batch", body(1_000)).await.expect(200);
    let ids: HashSet<_> = reply["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["task"]["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 1_000);
    assert_eq!(count(&site, "ana").await, 1_000);
    site.post("ana", "/api/v1/tasks/batch", body(1_001)).await.refused(400, "bad_request");
    site.post("ana", "/api/v1/tasks/batch", body(0)).await.refused(400, "bad_request");
}

async fn of_a_thousand_with_ten_bad_ones_the_others_are_accepted_once(on: On) {
    let site = Site::over(on).await;
    let task = |n: usize| match n % 100 {
        7 => json!({ "kind": "mail", "payload": { "to": [n] }, "idempotency_key": n.to_string() }),
        _ => json!({ "kind": "echo", "payload": n, "idempotency_key": n.to_string() }),
    };
    let body = json!({ "tasks": (0..1_000).map(task).collect::<Vec<_>>() });
    let mut before = None;
    for _ in 0..2 {
        let reply = site.post("ana", "/api/v1/tasks/batch", body.clone()).await.expect(200);
        let (bad, good): (Vec<_>, Vec<_>) =
            reply["results"].as_array().unwrap().iter().partition(|one| one["task"].is_null());
        let places: Vec<_> =
            bad.iter().map(|one| (&one["index"], &one["error"]["errors"][0]["pointer"])).collect();
        let place = json!("/to/0");
        let expected: Vec<_> = (0..10).map(|n| json!(n * 100 + 7)).collect();
        assert_eq!(places, expected.iter().map(|n| (n, &place)).collect::<Vec<_>>());
        let ids: Vec<_> = good.iter().map(|one| one["task"]["id"].clone()).collect();
        assert_eq!(ids.len(), 990);
        assert_eq!(before.get_or_insert_with(|| ids.clone()), &ids, "the same again");
        assert_eq!(count(&site, "ana").await, 990);
    }
}

#[tokio::test]
async fn a_file_in_a_payload_has_to_be_the_submitters_own() {
    let site = Site::open().await;
    let anas = site.upload("ana", "a.txt", b"hello").await;
    let bens = site.upload("ben", "b.txt", b"hello").await;
    let body =
        |file: &str| json!({ "kind": "mail", "payload": { "to": [], "photos": [anas, file] } });
    site.post("ana", TASKS, body(&anas)).await.expect(202);
    let foreign = site.post("ana", TASKS, body(&bens)).await.refused(422, "payload_invalid");
    let none = site.post("ana", TASKS, body(&"A".repeat(22))).await.refused(422, "payload_invalid");
    assert_eq!(foreign["errors"][0]["pointer"], "/photos/1");
    assert_eq!(foreign["errors"], none["errors"], "somebody else's file is no file");
    assert_eq!(count(&site, "ana").await, 1);
}
