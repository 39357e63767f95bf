//! What a key of a submission means, by its mode.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tasktonic_each_store::{On, on_each_store};
use tasktonic_server::Limits;

use crate::support::{Site, UNLIMITED};

const TASKS: &str = "/api/v1/tasks";

/// A submission of ana's under the key `k`, its payload `n`.
fn keyed(mode: &str, n: u32) -> Value {
    let mut body = json!({
        "kind": "echo", "payload": { "n": n }, "idempotency_key": "k", "key_mode": mode,
    });
    if matches!(mode, "throttle" | "debounce") {
        body["key_window_ms"] = 5_000.into();
    }
    body
}

fn id(task: &Value) -> String {
    task["id"].as_str().unwrap().to_owned()
}

async fn task(site: &Site, id: &str) -> Value {
    site.get("ana", &format!("{TASKS}/{id}")).await.expect(200)
}

on_each_store! {
    of_a_thousand_submissions_of_one_key_at_once_one_makes_the_task
}

async fn of_a_thousand_submissions_of_one_key_at_once_one_makes_the_task(on: On) {
    const OF_ANA: usize = 1_000;
    const OF_BEN: usize = 100;
    let limits = Limits { requests: UNLIMITED, ..Limits::default() };
    let site = Arc::new(Site::over_with(on, limits).await);
    let body = |n: u32| json!({ "kind": "echo", "payload": { "n": n }, "idempotency_key": "once" });
    // Ben's come in the middle of ana's.
    let user = |n: usize| if n % 11 == 10 { "ben" } else { "ana" };
    let crowd = (0..OF_ANA + OF_BEN).map(|n| (user(n), body(1))).collect();
    let answers = site.submit_at_once(crowd).await;
    let mut made = Vec::new();
    for (name, count) in [("ana", OF_ANA), ("ben", OF_BEN)] {
        let of = |(n, answer)| (user(n) == name).then_some(answer);
        let own: Vec<_> = answers.iter().enumerate().filter_map(of).collect();
        assert_eq!(own.len(), count);
        let new = own.iter().filter(|answer| answer.status == 202).count();
        let known = own.iter().filter(|answer| answer.status == 200).count();
        assert_eq!((new, known), (1, count - 1), "of {name}");
        let ids: HashSet<_> = own.iter().map(|answer| id(&answer.json())).collect();
        assert_eq!(ids.len(), 1, "{name} has one task: {ids:?}");
        let counts = site.get(name, "/api/v1/tasks/counts").await.expect(200);
        assert_eq!(counts["all"], 1, "of {name}");
        made.extend(ids);
    }
    assert_ne!(made[0], made[1], "keys are per user");

    for answer in site.submit_at_once(vec![("ana", body(2)); 100]).await {
        answer.refused(409, "idempotency_conflict");
    }
    let task = task(&site, &made[0]).await;
    assert_eq!(task["payload"], json!({ "n": 1 }), "it is the one of the first body");
    assert_eq!(site.get("ana", "/api/v1/tasks/counts").await.expect(200)["all"], 1);
}

#[tokio::test]
async fn a_key_until_its_task_is_done_or_started_is_free_then() {
    for (mode, while_it_runs) in [("until_done", 200), ("until_started", 202), ("unique", 200)] {
        let site = Site::open().await;
        let first = site.post("ana", TASKS, keyed(mode, 1)).await.expect(202);
        let again = site.post("ana", TASKS, keyed(mode, 1)).await.expect(200);
        assert_eq!(again["id"], first["id"], "{mode}");
        let other = site.post("ana", TASKS, keyed(mode, 2)).await;
        if mode == "unique" {
            assert_eq!(other.expect(200)["id"], first["id"]);
        } else {
            other.refused(409, "idempotency_conflict");
        }
        site.post("ben", TASKS, keyed(mode, 3)).await.expect(202);
        assert_eq!(site.claim("w-1", 5).await.len(), 2);
        let answer = site.post("ana", TASKS, keyed(mode, 1)).await;
        assert_eq!(answer.status, while_it_runs, "{mode}: {answer:?}");
    }
}

#[tokio::test]
async fn a_throttled_key_answers_with_the_task_of_its_window() {
    let site = Site::open().await;
    let mut made = HashSet::new();
    for n in 0..20 {
        let answer = site.post("ana", TASKS, keyed("throttle", n)).await;
        let is_new = answer.status == 202;
        assert_eq!(is_new, made.insert(id(&answer.json())), "{answer:?}");
        site.hand.advance(1_000);
    }
    assert_eq!(made.len(), 4, "20 s in windows of 5 s");
}

#[tokio::test]
async fn a_debounced_key_runs_after_the_window_with_what_came_last() {
    let site = Site::open().await;
    let first = site.post("ana", TASKS, keyed("debounce", 1)).await.expect(202);
    assert_eq!(first["status"], "scheduled");
    site.hand.advance(4_000);
    let last = site.post("ana", TASKS, keyed("debounce", 2)).await.expect(202);
    assert_eq!(last["run_at"], "2023-11-14T22:13:29.000Z", "5 s after the last submission");
    let gone = task(&site, &id(&first)).await;
    let why = format!("replaced by {}", id(&last));
    assert_eq!((&gone["status"], &gone["reason"]), (&json!("cancelled"), &json!(why)));
    site.hand.advance(4_000);
    assert_eq!(site.claim("w-1", 5).await.len(), 0, "the window began anew");
    site.hand.advance(1_500);
    let claimed = site.claim("w-1", 5).await;
    assert_eq!(claimed.len(), 1);
    assert!(claimed[0].0.contains(&id(&last)));
}

#[tokio::test]
async fn a_replacing_key_ends_what_waits_and_leaves_what_runs() {
    let site = Site::open().await;
    let first = site.post("ana", TASKS, keyed("replace", 1)).await.expect(202);
    let second = site.post("ana", TASKS, keyed("replace", 2)).await.expect(202);
    assert_eq!(task(&site, &id(&first)).await["status"], "cancelled");
    assert_eq!(site.claim("w-1", 5).await.len(), 1);
    let third = site.post("ana", TASKS, keyed("replace", 3)).await.expect(202);
    assert_eq!(task(&site, &id(&second)).await["status"], "running");
    assert_eq!(task(&site, &id(&third)).await["status"], "queued");
}

#[tokio::test]
async fn tasks_of_one_serial_key_are_handed_out_one_at_a_time() {
    let site = Site::open().await;
    let body =
        |n: u32| json!({ "kind": "echo", "payload": { "n": n }, "serial_key": "customer-7" });
    let first = site.post("ana", TASKS, body(1)).await.expect(202);
    let second = site.post("ana", TASKS, body(2)).await.expect(202);
    assert_eq!(task(&site, &id(&second)).await["serial_key"], "customer-7");
    let claimed = site.claim("w-1", 5).await;
    assert_eq!(claimed.len(), 1);
    assert!(claimed[0].0.contains(&id(&first)));
    assert_eq!(site.claim("w-1", 5).await.len(), 0);
    assert_eq!(task(&site, &id(&second)).await["status"], "queued");
}

#[tokio::test]
async fn a_restarting_key_asks_the_one_that_runs_to_stop() {
    let site = Site::open().await;
    let first = site.post("ana", TASKS, keyed("restart", 1)).await.expect(202);
    assert_eq!(site.claim("w-1", 5).await.len(), 1);
    let second = site.post("ana", TASKS, keyed("restart", 2)).await.expect(202);
    assert_eq!(task(&site, &id(&first)).await["status"], "cancelling");
    let third = site.post("ana", TASKS, keyed("restart", 3)).await.expect(202);
    assert_eq!(task(&site, &id(&second)).await["status"], "cancelled");
    assert_eq!(site.claim("w-1", 5).await.len(), 0, "not before the first has ended");
    assert_eq!(task(&site, &id(&third)).await["status"], "queued");
    let latest = site.post("ben", TASKS, keyed("latest", 1)).await.expect(202);
    assert_eq!(site.claim("w-1", 5).await.len(), 1);
    site.post("ben", TASKS, keyed("latest", 2)).await.expect(202);
    let path = format!("{TASKS}/{}", id(&latest));
    assert_eq!(site.get("ben", &path).await.expect(200)["status"], "running");
    assert_eq!(site.claim("w-1", 5).await.len(), 0);
}

#[tokio::test]
async fn in_a_batch_the_last_of_a_key_replaces_the_others() {
    let site = Site::open().await;
    let mut tasks: Vec<_> = (0..200).map(|n| keyed("replace", n)).collect();
    tasks.push(json!({ "kind": "echo", "payload": 1 }));
    let reply = site.post("ana", "/api/v1/tasks/batch", json!({ "tasks": tasks })).await;
    let reply = reply.expect(200);
    let ids: Vec<_> =
        reply["results"].as_array().unwrap().iter().map(|result| id(&result["task"])).collect();
    for id in &ids[..199] {
        assert_eq!(task(&site, id).await["status"], "cancelled");
    }
    assert_eq!(site.claim("w-1", 9).await.len(), 2);
}

#[tokio::test]
async fn what_a_key_cannot_mean_is_refused_with_its_place_and_stores_nothing() {
    let site = Site::open().await;
    let year_ms: u64 = 366 * 24 * 3_600 * 1_000;
    let with = |mode: &str, member: &str, value: Value| {
        let mut body = keyed(mode, 1);
        body[member] = value;
        body
    };
    let table: Vec<(Value, Value, &str)> = vec![
        (
            with("ttl", "idempotency_key", json!("k".repeat(255))),
            with("ttl", "idempotency_key", json!("k".repeat(256))),
            "/idempotency_key",
        ),
        (
            with("ttl", "idempotency_key", json!("k2")),
            with("ttl", "idempotency_key", json!("")),
            "/idempotency_key",
        ),
        (
            with("unique", "key_window_ms", json!(year_ms)),
            with("unique", "key_window_ms", json!(year_ms + 1)),
            "/key_window_ms",
        ),
        (
            with("throttle", "key_window_ms", json!(1)),
            with("throttle", "key_window_ms", json!(0)),
            "/key_window_ms",
        ),
        (
            with("replace", "delay_ms", json!(5)),
            with("debounce", "delay_ms", json!(5)),
            "/key_mode",
        ),
    ];
    for (n, (good, bad, place)) in table.into_iter().enumerate() {
        let user = format!("user-{n}");
        site.post(&user, TASKS, good).await.expect(202);
        let refused = site.post("ana", TASKS, bad).await.refused(422, "submission_invalid");
        assert_eq!(refused["errors"][0]["pointer"], place);
    }
    let keyless = json!({ "kind": "echo", "payload": 1, "key_mode": "unique" });
    let refused = site.post("ana", TASKS, keyless).await.refused(422, "submission_invalid");
    assert_eq!(refused["errors"][0]["pointer"], "/key_mode");
    let unknown = with("ttl", "key_mode", json!("always"));
    site.post("ana", TASKS, unknown).await.refused(400, "bad_request");
    let counts = site.get("ana", "/api/v1/tasks/counts").await.expect(200);
    assert_eq!(counts["all"], 0);
}
