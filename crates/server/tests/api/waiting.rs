//! Moving and changing tasks that wait, and those that nobody takes in time.

use std::time::Duration;

use serde_json::{Value, json};
use tasktonic_auth::Role;
use tasktonic_each_store::{On, on_each_store};
use tasktonic_protocol::time::parse_rfc3339;

use crate::support::Site;

const TASKS: &str = "/api/v1/tasks";

on_each_store! {
    a_task_that_expires_is_cancelled_within_two_seconds_where_no_worker_is
}

fn path(task: &Value) -> String {
    format!("{TASKS}/{}", task["id"].as_str().unwrap())
}

async fn echo(site: &Site, more: Value) -> Value {
    let mut body = json!({ "kind": "echo", "payload": { "text": "first" } });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    site.post("ana", TASKS, body).await.expect(202)
}

#[tokio::test]
async fn a_waiting_task_is_moved_to_another_time_and_to_an_end_of_its_line() {
    let site = Site::open().await;
    let (a, b) = (echo(&site, json!({})).await, echo(&site, json!({})).await);
    let later = echo(&site, json!({ "delay_ms": 3_600_000 })).await;
    let moved = |task: &Value, body: Value| {
        let path = format!("{}/reschedule", path(task));
        let site = &site;
        async move { site.post("ana", &path, body).await }
    };
    let first = moved(&later, json!({ "place": "front" })).await.expect(200);
    assert_eq!((&first["status"], &first["id"]), (&json!("queued"), &later["id"]));
    assert!(first["rev"].as_u64() > later["rev"].as_u64());
    assert_eq!(first["run_at"], Value::Null, "what it waited for before is no longer said");
    let delayed = moved(&a, json!({ "delay_ms": 60_000 })).await.expect(200);
    assert_eq!(delayed["status"], "scheduled");
    assert!(delayed["run_at"].is_string());

    for body in [
        json!({}),
        json!({ "place": "front", "delay_ms": 5 }),
        json!({ "run_at": "2030-01-01T00:00:00Z", "delay_ms": 5 }),
        json!({ "run_at": "soon" }),
        json!({ "delay_ms": 367_u64 * 86_400_000 }),
        json!({ "place": "middle" }),
    ] {
        moved(&b, body).await.refused(400, "bad_request");
    }
    let foreign = format!("{}/reschedule", path(&b));
    let body = json!({ "place": "front" });
    site.post("ben", &foreign, body).await.refused(404, "not_found");

    let claimed = site.claim("w-1", 5).await;
    assert_eq!(claimed.len(), 2, "the one that was delayed is not among them");
    let names = |lease: &str, task: &Value| lease.contains(task["id"].as_str().unwrap());
    assert!(names(&claimed[0].0, &later) && names(&claimed[1].0, &b), "{claimed:?}");
    moved(&b, json!({ "delay_ms": 5 })).await.refused(409, "not_waiting");
}

#[tokio::test]
async fn a_waiting_task_is_edited_and_the_run_sees_it() {
    let site = Site::open().await;
    let task = echo(&site, json!({ "tags": ["old"] })).await;
    let edit = |body: Value| {
        let path = format!("{}/edit", path(&task));
        let site = &site;
        async move { site.post("ana", &path, body).await }
    };
    let rev = task["rev"].as_u64().unwrap();
    let body = json!({ "payload": { "text": "second" }, "rev": rev });
    let edited = edit(body.clone()).await.expect(200);
    assert_eq!(edited["payload"], json!({ "text": "second" }));
    assert_eq!((&edited["tags"], &edited["status"]), (&json!(["old"]), &json!("queued")));
    edit(body).await.refused(409, "changed_meanwhile");
    let tagged = edit(json!({ "tags": ["new"] })).await.expect(200);
    assert_eq!(
        (&tagged["payload"], &tagged["tags"]),
        (&json!({ "text": "second" }), &json!(["new"]))
    );
    edit(json!({})).await.refused(400, "bad_request");
    edit(json!({ "tags": [""] })).await.refused(400, "bad_request");
    edit(json!({ "kind": "mail" })).await.refused(400, "bad_request");

    let body = json!({ "v": 1, "worker": "w", "call": 1, "lease_ms": 10_000,
        "claim": { "queues": ["echo"], "limit": 1 } });
    let claimed = site.sync(body).await.expect(200);
    let descriptor = claimed["claimed"][0]["descriptor"].as_str().unwrap();
    assert!(descriptor.contains(r#""p":{"text":"second"}"#), "{descriptor}");
    edit(json!({ "payload": 1 })).await.refused(409, "not_waiting");
}

#[tokio::test]
async fn an_edit_is_checked_as_a_submission_is() {
    let site = Site::open().await;
    let body = json!({ "kind": "mail", "payload": { "to": ["a"] } });
    let task = site.post("ana", TASKS, body).await.expect(202);
    let edit = format!("{}/edit", path(&task));
    let wrong = json!({ "payload": { "to": ["a", 7] } });
    let refused = site.post("ana", &edit, wrong).await.refused(422, "payload_invalid");
    assert_eq!(refused["errors"][0]["pointer"], "/to/1");
    let read = site.get("ana", &path(&task)).await.expect(200);
    assert_eq!(read, task, "nothing of it was stored");
}

#[tokio::test]
async fn a_task_that_nobody_takes_in_time_is_cancelled_and_says_why() {
    let site = Site::open().await;
    for body in [
        json!({ "expire_after_ms": 0 }),
        json!({ "expires_at": "2001-01-01T00:00:00Z" }),
        json!({ "expires_at": "tomorrow" }),
        json!({ "expire_after_ms": 5, "expires_at": "2030-01-01T00:00:00Z" }),
        json!({ "expire_after_ms": 1_000, "delay_ms": 1_000 }),
        json!({ "expire_after_ms": 367_u64 * 86_400_000 }),
    ] {
        let mut whole = json!({ "kind": "echo", "payload": 1 });
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        site.post("ana", TASKS, whole).await.refused(400, "bad_request");
    }
    let taken = echo(&site, json!({ "expire_after_ms": 60_000 })).await;
    assert!(taken["expires_at"].is_string());
    assert_eq!(site.get("ana", &path(&taken)).await.expect(200), taken);
    assert_eq!(site.claim("w-1", 1).await.len(), 1);
    let running = site.get("ana", &path(&taken)).await.expect(200);
    assert_eq!((&running["status"], &running["expires_at"]), (&json!("running"), &Value::Null));

    let late = echo(&site, json!({ "expire_after_ms": 300 })).await;
    site.hand.advance(300);
    assert!(site.claim("w-1", 1).await.is_empty());
    let ended = site.get("ana", &path(&late)).await.expect(200);
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("cancelled"), &json!("expired")));
}

async fn a_task_that_expires_is_cancelled_within_two_seconds_where_no_worker_is(on: On) {
    const WITHIN_MS: i64 = 2_000;
    let site = Site::serving(on).await;
    // Once nothing comes due a server looks less often, and has to notice what came then.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let pause = json!({ "paused": true });
    let operator = |path: &'static str| site.post_as(Role::Operator, "olga", path, pause.clone());
    operator("/api/v1/queues/mail/settings").await.expect(200);
    operator("/api/v1/users/cem/pause").await.expect(200);
    let mut tasks = Vec::new();
    for (user, kind, payload, after_ms) in [
        ("ana", "echo", json!(1), 1),
        ("ana", "echo", json!(1), 700),
        ("ben", "echo", json!(1), 1_300),
        ("ben", "mail", json!({ "to": [] }), 1_600),
        ("cem", "echo", json!(1), 2_900),
        ("dee", "echo", json!(1), 4_100),
    ] {
        let body = json!({ "kind": kind, "payload": payload, "expire_after_ms": after_ms });
        let task = site.submit(user, body).await;
        tasks.push((
            user,
            path(&task),
            parse_rfc3339(task["expires_at"].as_str().unwrap()).unwrap(),
        ));
    }
    // One that waits for its time first, and one that is not to expire.
    let body = json!({ "kind": "echo", "payload": 1, "delay_ms": 500, "expire_after_ms": 1_900 });
    let task = site.submit("dee", body).await;
    tasks.push(("dee", path(&task), parse_rfc3339(task["expires_at"].as_str().unwrap()).unwrap()));
    let stays = site.submit("ana", json!({ "kind": "echo", "payload": 1 })).await;
    tasks.sort_by_key(|(_, _, at_ms)| *at_ms);
    for (user, path, at_ms) in tasks {
        let ended = loop {
            let asked_ms = site.clock.now_ms();
            let task = site.get(user, &path).await.expect(200);
            if task["status"] == "cancelled" {
                break task;
            }
            let late_ms = asked_ms - at_ms;
            assert!(late_ms <= WITHIN_MS, "{late_ms} ms after its time it is {task}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert_eq!(
            (&ended["reason"], &ended["attempt"]),
            (&json!("expired"), &json!(0)),
            "{ended}"
        );
        let late_ms = parse_rfc3339(ended["ended_at"].as_str().unwrap()).unwrap() - at_ms;
        assert!((0..=WITHIN_MS).contains(&late_ms), "{late_ms} ms: {ended}");
    }
    let read = site.get("ana", &path(&stays)).await.expect(200);
    assert_eq!(read["status"], "queued");
}
