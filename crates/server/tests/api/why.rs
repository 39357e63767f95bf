//! Why a task does not run, on each store.

use serde_json::{Value, json};
use tasktonic_auth::Role;
use tasktonic_each_store::{On, on_each_store};

use crate::support::{Site, ack};

async fn why(site: &Site, task: &str) -> Value {
    let answer = site.get("ana", &format!("/api/v1/tasks/{task}/why")).await.expect(200);
    assert!(answer["text"].as_str().unwrap().ends_with('.'), "{answer}");
    answer
}

on_each_store! {
    a_task_that_does_not_run_says_what_is_in_its_way
    a_task_behind_another_of_its_serial_key_says_which
    a_low_task_says_that_the_others_of_its_user_go_first
}

async fn a_task_that_does_not_run_says_what_is_in_its_way(on: On) {
    let site = Site::over(on).await;
    let task = site.echo("ana").await;
    let says = async |reason: &str| {
        let answer = why(&site, &task).await;
        assert_eq!(answer["reason"], reason, "{answer}");
        answer
    };
    let operator = async |path: &str, body: Value| {
        site.post_as(Role::Operator, "olga", path, body).await.expect(200);
    };
    assert_eq!(says("turn").await["users_waiting"], 1);
    site.post("ana", "/api/v1/me/pause", json!({ "paused": true })).await.expect(200);
    says("user_paused").await;
    operator("/api/v1/users/ana/pause", json!({ "paused": true })).await;
    says("operator_paused").await;
    operator("/api/v1/queues/echo/settings", json!({ "paused": true })).await;
    says("queue_paused").await;
    operator("/api/v1/queues/echo/settings", json!({ "paused": false })).await;
    operator("/api/v1/users/ana/pause", json!({ "paused": false })).await;
    site.post("ana", "/api/v1/me/pause", json!({ "paused": false })).await.expect(200);
    operator("/api/v1/queues/echo/users", json!({ "user": "ana", "paused": true })).await;
    says("user_paused_in_queue").await;
    // A claim that sets the lane aside changes nothing about the reason.
    assert_eq!(site.claim("w-1", 1).await, []);
    says("user_paused_in_queue").await;
    operator("/api/v1/queues/echo/users", json!({ "user": "ana", "paused": false })).await;
    site.hand.advance(3_600_000);
    says("no_worker").await;
    site.announce("crew").await;
    says("turn").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    says("running").await;
    assert!(site.report("w-1", &lease, ack(n)).await);
    says("ended").await;

    let body = json!({ "kind": "echo", "payload": {}, "delay_ms": 60_000 });
    let later = site.submit("ana", body).await;
    let answer = why(&site, later["id"].as_str().unwrap()).await;
    assert_eq!((&answer["reason"], &answer["run_at"]), (&json!("scheduled"), &later["run_at"]));
    let foreign = format!("/api/v1/tasks/{task}/why");
    site.get("ben", &foreign).await.refused(404, "not_found");
}

async fn a_task_behind_another_of_its_serial_key_says_which(on: On) {
    let site = Site::over(on).await;
    site.announce("crew").await;
    let body = json!({ "kind": "echo", "payload": {}, "serial_key": "orders" });
    let first = site.submit("ana", body.clone()).await["id"].clone();
    let second = site.submit("ana", body).await["id"].as_str().unwrap().to_owned();
    let answer = why(&site, &second).await;
    assert_eq!((&answer["reason"], &answer["behind"]), (&json!("serial_key"), &first));
    let place = site.get("ana", &format!("/api/v1/tasks/{second}/position")).await.expect(200);
    assert_eq!(place["start"], json!({ "is": "behind", "task": first }));
    assert_eq!((&place["ahead"], &place["status"]), (&json!(null), &json!("queued")));
    let (lease, n) = site.claim("w-1", 9).await.remove(0);
    assert_eq!(why(&site, &second).await["behind"], first);
    assert!(site.report("w-1", &lease, ack(n)).await);
    assert_eq!(why(&site, &second).await["reason"], "turn");
}

async fn a_low_task_says_that_the_others_of_its_user_go_first(on: On) {
    let site = Site::over(on).await;
    site.announce("crew").await;
    let mut tasks = Vec::new();
    for priority in ["low", "normal", "high"] {
        let body = json!({ "kind": "echo", "payload": {}, "priority": priority });
        let task = site.submit("ana", body).await;
        let said = (priority != "normal").then_some(priority);
        assert_eq!(task.get("priority").and_then(Value::as_str), said, "{task}");
        tasks.push(task["id"].as_str().unwrap().to_owned());
    }
    let answer = why(&site, &tasks[0]).await;
    assert_eq!(answer["reason"], "turn");
    assert!(answer["text"].as_str().unwrap().contains("low priority"), "{answer}");
    assert!(!why(&site, &tasks[2]).await["text"].as_str().unwrap().contains("priority"));
    for (ahead, task) in [2, 1, 0].into_iter().zip(&tasks) {
        let place = site.get("ana", &format!("/api/v1/tasks/{task}/position")).await.expect(200);
        assert_eq!(place["ahead"]["most"], ahead, "{place}");
    }
    let claimed = site.claim("w-1", 9).await;
    let order: Vec<_> = claimed.iter().map(|(lease, _)| lease.split('|').nth(2).unwrap()).collect();
    assert_eq!(order, [&*tasks[2], &*tasks[1], &*tasks[0]]);
    let list = site.get("ana", "/api/v1/tasks").await.expect(200);
    let listed = list["tasks"].as_array().unwrap();
    let high = listed.iter().find(|task| task["priority"] == "high").expect("it is listed");
    assert_eq!(high["id"], *tasks[2], "{list}");
    let wrong = json!({ "kind": "echo", "payload": {}, "priority": "urgent" });
    site.post("ana", "/api/v1/tasks", wrong).await.refused(400, "bad_request");
}
