//! Flows and batches through the API.

use serde_json::{Value, json};
use tasktonic_auth::Role;

use crate::support::Site;

fn task(name: &str, after: Value) -> Value {
    let payload = json!({ "kind": "echo", "payload": { "text": name } });
    json!({ "name": name, "after": after, "task": payload })
}

fn id(value: &Value) -> &str {
    value["task"]["id"].as_str().unwrap()
}

fn node<'a>(flow: &'a Value, name: &str) -> &'a Value {
    flow["tasks"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap()
}

#[tokio::test]
async fn a_flow_is_accepted_whole_and_shown_with_its_graph() {
    let site = Site::open().await;
    let body = json!({ "tags": ["nightly"], "tasks": [
        task("report", json!(["left", { "task": "right", "on_failure": "continue" }])),
        task("left", json!(["fetch"])),
        task("right", json!(["fetch"])),
        task("fetch", json!([])),
    ] });
    let flow = site.post("ana", "/api/v1/flows", body).await.expect(202);
    assert_eq!((&flow["sort"], &flow["sealed"]), (&json!("flow"), &json!(true)));
    assert_eq!(flow["roll_up"], json!({ "total": 4, "completed": 0, "failed": 0, "cancelled": 0 }));
    assert_eq!(flow["task"]["status"], "waiting");
    assert_eq!(flow["task"]["tags"], json!(["nightly"]));
    assert_eq!(flow["task"]["progress"]["total"], 4);
    let status = |name: &str| node(&flow, name)["status"].clone();
    assert_eq!((status("fetch"), status("left")), (json!("queued"), json!("waiting")));
    let report = node(&flow, "report");
    assert_eq!(report["after"][1]["id"], node(&flow, "right")["id"]);
    assert_eq!(report["after"][1]["on_failure"], "continue");
    let at = format!("/api/v1/flows/{}", id(&flow));
    assert_eq!(site.get("ana", &at).await.expect(200), flow);
    site.get("ben", &at).await.refused(404, "not_found");

    let left = node(&flow, "left")["id"].as_str().unwrap();
    let links = site.get("ana", &format!("/api/v1/tasks/{left}/links")).await.expect(200);
    assert_eq!(links["part_of"]["id"], id(&flow));
    assert_eq!(links["waits_for"][0]["name"], "fetch");
    assert_eq!(links["waits_for"][0]["status"], "queued");
    assert_eq!(links["leads_to"][0]["name"], "report");
    site.get("ben", &format!("/api/v1/tasks/{left}/links")).await.refused(404, "not_found");
    let why = site.get("ana", &format!("/api/v1/tasks/{left}/why")).await.expect(200);
    assert_eq!(
        (&why["reason"], &why["waits_for"][0]["name"]),
        (&json!("waiting"), &json!("fetch"))
    );
    let alone = json!({ "kind": "echo", "payload": { "text": "alone" } });
    let alone = site.post("ana", "/api/v1/tasks", alone).await.expect(202);
    let links = format!("/api/v1/tasks/{}/links", alone["id"].as_str().unwrap());
    let none = json!({ "part_of": null, "gathers": null, "waits_for": [], "leads_to": [] });
    assert_eq!(site.get("ana", &links).await.expect(200), none);
}

#[tokio::test]
async fn a_flow_with_more_tasks_than_are_set_to_wait_is_refused_whole_and_told_no_other_limit() {
    let site = Site::open().await;
    let (path, at_most) = ("/api/v1/queues/echo/settings", json!({ "waiting_max": 1 }));
    site.post_as(Role::Operator, "olga", path, at_most).await.expect(200);
    let body = json!({ "tasks": [task("one", json!([])), task("two", json!([]))] });
    let answer = site.post("ana", "/api/v1/flows", body).await;
    assert_eq!(answer.header("retry-after"), "10");
    let refused = answer.refused(429, "quota_exceeded");
    assert!(!refused["detail"].as_str().unwrap().contains(char::is_numeric), "{refused}");
    let tasks = site.get("ana", "/api/v1/tasks").await.expect(200);
    assert_eq!(tasks["tasks"], json!([]));
}

#[tokio::test]
async fn a_flow_that_does_not_go_together_leaves_nothing() {
    let site = Site::open().await;
    let circle = json!({ "tasks": [
        task("a", json!(["c"])), task("b", json!(["a"])), task("c", json!(["b"])),
        task("d", json!([])),
    ] });
    let told = site.post("ana", "/api/v1/flows", circle).await.refused(422, "flow_invalid");
    let places: Vec<_> =
        told["errors"].as_array().unwrap().iter().map(|e| e["pointer"].clone()).collect();
    assert_eq!(places, ["/tasks/0/after", "/tasks/1/after", "/tasks/2/after"]);
    for (body, status, code) in [
        (json!([]), 400, "bad_request"),
        (json!([task("a", json!([])), task("a", json!([]))]), 422, "flow_invalid"),
        (json!([task("a", json!(["nobody"]))]), 422, "flow_invalid"),
        (json!([task("a", json!(["a"]))]), 422, "flow_invalid"),
        (json!([task("a", json!([])), task("b", json!(["a", "a"]))]), 422, "flow_invalid"),
        (json!([{ "task": { "kind": "nobody.does", "payload": {} } }]), 422, "kind_unknown"),
        (json!([{ "task": { "kind": "mail", "payload": {} } }]), 422, "payload_invalid"),
    ] {
        let body = json!({ "tasks": body });
        site.post("ana", "/api/v1/flows", body).await.refused(status, code);
    }
    let counts = site.get("ana", "/api/v1/tasks/counts").await.expect(200);
    assert_eq!(counts["all"], 0);
}

#[tokio::test]
async fn the_same_flow_under_the_same_id_is_one_flow_and_it_may_grow() {
    let site = Site::open().await;
    let first = json!({ "tasks": [task("a", json!([]))] });
    let flow = site.post("ana", "/api/v1/flows", first.clone()).await.expect(202);
    let mut again = first;
    again["id"] = flow["task"]["id"].clone();
    let same = site.post("ana", "/api/v1/flows", again).await.expect(202);
    assert_eq!(same["tasks"], flow["tasks"]);
    let at = format!("/api/v1/flows/{}", id(&flow));
    let more = json!({ "tasks": [task("b", json!(["a"])), task("c", json!(["b"]))] });
    let grown = site.post("ana", &format!("{at}/tasks"), more.clone()).await.expect(202);
    assert_eq!(grown["roll_up"]["total"], 3);
    let grown = site.post("ana", &format!("{at}/tasks"), more.clone()).await.expect(202);
    assert_eq!(grown["roll_up"]["total"], 3, "named tasks are the same tasks");
    site.post("ben", &format!("{at}/tasks"), more).await.refused(404, "not_found");
    let cancelled = site.post("ana", &format!("{at}/cancel"), json!({})).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    let after = site.get("ana", &at).await.expect(200);
    for node in after["tasks"].as_array().unwrap() {
        assert_eq!(node["status"], "cancelled", "{node}");
    }
    let late = json!({ "tasks": [task("d", json!([]))] });
    site.post("ana", &format!("{at}/tasks"), late).await.refused(409, "flow_closed");
    let retried = site.post("ana", &format!("{at}/retry"), json!({})).await.expect(200);
    assert_eq!((&retried["sent_back"], &retried["task"]["status"]), (&json!(3), &json!("waiting")));
    let after = site.get("ana", &at).await.expect(200);
    assert_eq!(node(&after, "a")["status"], "queued");
    assert_eq!(node(&after, "c")["status"], "waiting");
}

#[tokio::test]
async fn a_batch_is_opened_filled_and_sealed() {
    let site = Site::open().await;
    let then = json!({ "then": { "kind": "echo", "payload": { "text": "all done" } } });
    let batch = site.post("ana", "/api/v1/batches", then).await.expect(202);
    assert_eq!((&batch["sort"], &batch["sealed"]), (&json!("batch"), &json!(false)));
    let at = format!("/api/v1/batches/{}", id(&batch));
    let one = json!({ "kind": "echo", "payload": { "text": "one of many" } });
    let many: Vec<Value> = (0..100).map(|_| json!({ "task": one })).collect();
    for _ in 0..3 {
        let body = json!({ "tasks": many });
        site.post("ana", &format!("{at}/tasks"), body).await.expect(202);
    }
    let read = site.get("ana", &at).await.expect(200);
    assert_eq!(read["roll_up"]["total"], 300);
    assert_eq!(read["tasks"].as_array().unwrap().len(), 300);
    site.post("ben", &format!("{at}/seal"), json!({})).await.refused(404, "not_found");
    let sealed = site.post("ana", &format!("{at}/seal"), json!({})).await.expect(200);
    assert_eq!(sealed["sealed"], true);
    let more = json!({ "tasks": [{ "task": one }] });
    site.post("ana", &format!("{at}/tasks"), more).await.refused(409, "flow_closed");
    let flow = json!({ "tasks": [task("a", json!([]))] });
    let flow = site.post("ana", "/api/v1/flows", flow).await.expect(202);
    let seal = format!("/api/v1/batches/{}/seal", id(&flow));
    site.post("ana", &seal, json!({})).await.refused(409, "flow_closed");
}

#[tokio::test]
async fn a_flow_is_tried_again_like_any_task_and_says_why_it_ended() {
    let site = Site::open().await;
    let body = json!({ "tasks": [task("a", json!([])), task("b", json!(["a"]))] });
    let flow = site.post("ana", "/api/v1/flows", body).await.expect(202);
    let first = node(&flow, "a")["id"].as_str().unwrap();
    site.post("ana", &format!("/api/v1/tasks/{first}/cancel"), json!({})).await.expect(200);
    let at = format!("/api/v1/tasks/{}", id(&flow));
    let over = site.get("ana", &at).await.expect(200);
    assert_eq!((&over["status"], &over["reason"]), (&json!("cancelled"), &json!("parts")));
    let second = node(&flow, "b")["id"].as_str().unwrap();
    let behind = site.get("ana", &format!("/api/v1/tasks/{second}")).await.expect(200);
    assert_eq!(behind["reason"], "upstream");
    let alone = format!("/api/v1/tasks/{second}/retry");
    site.post("ana", &alone, json!({})).await.refused(409, "not_retryable");
    let again = site.post("ana", &format!("{at}/retry"), json!({})).await.expect(200);
    assert_eq!(again["status"], "waiting");
    let flow = site.get("ana", &format!("/api/v1/flows/{}", id(&flow))).await.expect(200);
    assert_eq!(node(&flow, "a")["status"], "queued");
    assert_eq!(node(&flow, "b")["status"], "waiting");
}
