//! What a worker is told of the tasks that its own waited for.

use serde_json::{Value, json};
use tasktonic_auth::Role;
use tasktonic_each_store::{On, on_each_store};

use crate::support::{Site, ack};

const INPUTS: &str = "/api/v1/worker/inputs";

fn task(name: &str, after: Value) -> Value {
    json!({ "name": name, "after": after, "task": { "kind": "echo", "payload": { "secret": name } } })
}

fn ask(lease: &str) -> Value {
    json!({ "v": 1, "lease": lease })
}

on_each_store! {
    a_worker_reads_the_outputs_its_own_task_waited_for_and_no_others
    a_stale_worker_is_told_nothing_more
}

async fn a_worker_reads_the_outputs_its_own_task_waited_for_and_no_others(on: On) {
    let site = Site::over(on).await;
    let body = json!({ "tasks": [
        task("fetch", json!([])),
        task("report", json!([{ "task": "fetch", "on_failure": "continue" }])),
    ] });
    site.post("ana", "/api/v1/flows", body).await.expect(202);
    let other = site.echo("ana").await;
    site.echo("ben").await;
    let held = site.claim("w-1", 10).await;
    assert_eq!(held.len(), 3);
    for (lease, n) in &held {
        let told = site.post_as(Role::Worker, "crew", INPUTS, ask(lease)).await.expect(200);
        assert_eq!(told, json!({ "v": 1, "inputs": [] }), "it waited for nobody");
        assert!(site.report("w-1", lease, ack(*n)).await);
    }
    let (lease, n) = site.claim("w-1", 10).await.remove(0);
    let told = site.post_as(Role::Worker, "crew", INPUTS, ask(&lease)).await.expect(200);
    let inputs = told["inputs"].as_array().unwrap();
    assert_eq!(inputs.len(), 1, "{told}");
    assert_eq!(
        (&inputs[0]["name"], &inputs[0]["kind"], &inputs[0]["status"], &inputs[0]["on_failure"]),
        (&json!("fetch"), &json!("echo"), &json!("completed"), &json!("continue"))
    );
    assert_eq!(inputs[0]["output"], json!({ "a": 1.5 }));
    assert!(!told.to_string().contains("secret"), "payloads are not told: {told}");
    assert!(!told.to_string().contains(&other), "nor tasks it is not tied to: {told}");

    // Nobody else's lease, no person, and no word of what is there.
    site.post_as(Role::Worker, "other", INPUTS, ask(&lease)).await.refused(403, "forbidden");
    site.post_as(Role::User, "ana", INPUTS, ask(&lease)).await.refused(403, "forbidden");
    let forged = lease.replacen("|ana|", "|ben|", 1);
    site.post_as(Role::Worker, "crew", INPUTS, ask(&forged)).await.refused(409, "lost_lease");
    site.post_as(Role::Worker, "crew", INPUTS, ask("x")).await.refused(400, "bad_request");
    let after = json!({ "v": 1, "lease": lease, "after": "?" });
    site.post_as(Role::Worker, "crew", INPUTS, after).await.refused(400, "bad_request");
    let newer = json!({ "v": 2, "lease": lease });
    site.post_as(Role::Worker, "crew", INPUTS, newer).await.refused(400, "bad_request");
    assert!(site.report("w-1", &lease, ack(n)).await);
    site.post_as(Role::Worker, "crew", INPUTS, ask(&lease)).await.refused(409, "lost_lease");
}

async fn a_stale_worker_is_told_nothing_more(on: On) {
    let site = Site::over(on).await;
    let body = json!({ "tasks": [task("fetch", json!([])), task("report", json!(["fetch"]))] });
    site.post("ana", "/api/v1/flows", body).await.expect(202);
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    assert!(site.report("w-1", &lease, ack(n)).await);
    let (stale, _) = site.claim("w-1", 1).await.remove(0);
    for _ in 0..12 {
        site.hand.advance(1_000);
        let body = json!({ "v": 1, "worker": "w-2", "call": 1, "lease_ms": 10_000 });
        site.sync(body).await.expect(200);
    }
    site.post_as(Role::Worker, "crew", INPUTS, ask(&stale)).await.refused(409, "lost_lease");
    let (lease, _) = site.claim("w-2", 1).await.remove(0);
    let told = site.post_as(Role::Worker, "crew", INPUTS, ask(&lease)).await.expect(200);
    assert_eq!(told["inputs"][0]["name"], "fetch");
}
