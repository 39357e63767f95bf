//! Tasks that need a worker of a certain sort, and what is said of them.

use serde_json::{Value, json};
use tasktonic_auth::Role;

use crate::support::{Site, bury};

/// A worker that has these labels, in place of the one that was there under this id.
async fn announce(site: &Site, worker: &str, labels: Value) -> crate::support::Answer {
    let record = json!({
        "id": worker, "host": "h", "version": "1", "kinds": ["echo", "mail"], "labels": labels,
        "concurrency": 2,
    });
    let body = json!({ "v": 1, "worker": record });
    site.post_as(Role::Worker, "crew", "/api/v1/worker/announce", body).await
}

/// Claims from these queues: leases with their counts of writes.
async fn claim(site: &Site, queues: &[&str]) -> Vec<(String, u64)> {
    let claim = json!({ "queues": queues, "limit": 50 });
    let body = json!({ "v": 1, "worker": "w-1", "call": 1, "lease_ms": 10_000, "claim": claim });
    let answer = site.sync(body).await.expect(200);
    let claimed = answer["claimed"].as_array().cloned().unwrap_or_default();
    let held =
        |held: &Value| (held["lease"].as_str().unwrap().to_owned(), held["n"].as_u64().unwrap());
    claimed.iter().map(held).collect()
}

fn needing(needs: Value) -> Value {
    json!({ "kind": "echo", "payload": {}, "needs": needs })
}

async fn operator(site: &Site, method: &str, path: &str, body: Value) -> Value {
    let token = site.token("olga", Role::Operator);
    let request = site.request(Some(&token), method, path);
    let request = request.header("content-type", "application/json");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    site.send(request.body(body.into()).unwrap()).await.expect(200)
}

#[tokio::test]
async fn what_a_task_needs_is_shown_and_chooses_its_queue() {
    let site = Site::open().await;
    let task = site.submit("ana", needing(json!(["gpu", "eu", "gpu"]))).await;
    let id = task["id"].as_str().unwrap();
    let one = format!("/api/v1/tasks/{id}");
    let listed = site.get("ana", "/api/v1/tasks?queue=echo%2Beu%2Bgpu").await.expect(200);
    for shown in [&task, &site.get("ana", &one).await.expect(200), &listed["tasks"][0]] {
        assert_eq!(shown["needs"], json!(["eu", "gpu"]), "{shown}");
        assert_eq!(shown["queue"], "echo+eu+gpu", "{shown}");
    }
    let plain = site.submit("ana", json!({ "kind": "echo", "payload": {} })).await;
    assert_eq!((plain.get("needs"), &plain["queue"]), (None, &json!("echo")));
    // Nobody without the labels is handed it, whatever else they have.
    for queues in [&["echo"][..], &["echo+eu", "echo+gpu", "mail"], &["echo+big+eu+gpu"]] {
        let claimed = claim(&site, queues).await;
        assert!(claimed.iter().all(|(lease, _)| !lease.contains(id)), "{claimed:?}");
    }
    let (lease, n) = claim(&site, &["echo+eu+gpu"]).await.remove(0);
    assert!(lease.starts_with(&format!("echo+eu+gpu|ana|{id}|")), "{lease}");
    // Sent back, it needs the same.
    assert!(site.report("w-1", &lease, bury(n)).await);
    let again = site.post("ana", &format!("{one}/retry"), json!({})).await.expect(200);
    assert_eq!((&again["status"], &again["needs"]), (&json!("queued"), &json!(["eu", "gpu"])));
    assert_eq!(claim(&site, &["echo"]).await, []);
    assert_eq!(claim(&site, &["echo+eu+gpu"]).await.len(), 1);
}

#[tokio::test]
async fn a_kind_says_what_its_tasks_need_and_a_submission_otherwise() {
    let site = Site::open().await;
    let kinds = json!([{
        "kind": "render", "queue": "slow", "schema": true, "attempts_max": 2, "needs": ["gpu"],
    }]);
    let record = |labels: Value| {
        json!({
            "id": "crew", "host": "h", "version": "1", "kinds": ["echo", "mail", "render"],
            "labels": labels, "concurrency": 2,
        })
    };
    let announce = async |labels| {
        let body = json!({ "v": 1, "worker": record(labels), "kinds": kinds });
        site.post_as(Role::Worker, "crew", "/api/v1/worker/announce", body).await.expect(204);
        let kinds = site.get("ana", "/api/v1/kinds").await.expect(200);
        kinds["kinds"].as_array().unwrap().iter().find(|k| k["kind"] == "render").unwrap().clone()
    };
    let kind = announce(json!([])).await;
    assert_eq!((&kind["needs"], &kind["served"]), (&json!(["gpu"]), &json!(false)), "{kind}");
    assert_eq!(announce(json!(["gpu"])).await["served"], true);
    let of = async |mut body: Value| {
        body["kind"] = "render".into();
        body["payload"] = json!({});
        site.submit("ana", body).await["queue"].clone()
    };
    assert_eq!(of(json!({})).await, "slow+gpu");
    assert_eq!(of(json!({ "needs": [] })).await, "slow");
    assert_eq!(of(json!({ "needs": ["eu"], "queue": "fast" })).await, "fast+eu");
    let workers = site.get("ana", "/api/v1/workers").await.expect(200);
    assert_eq!(workers["workers"][0]["labels"], json!(["gpu"]));
}

#[tokio::test]
async fn needs_that_are_none_and_queues_written_by_hand_are_refused_with_what_to_do() {
    let site = Site::open().await;
    for bad in [json!(["GPU"]), json!([""]), json!(["a+b"]), json!(["a", "b", "c", "d"])] {
        let answer = site.post("ana", "/api/v1/tasks", needing(bad)).await;
        let problem = answer.refused(422, "submission_invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/needs", "{problem}");
    }
    for needs in [json!("gpu"), json!([7])] {
        site.post("ana", "/api/v1/tasks", needing(needs)).await.refused(400, "bad_request");
    }
    let joined = json!({ "kind": "echo", "payload": {}, "queue": "echo+gpu" });
    let problem = site.post("ana", "/api/v1/tasks", joined).await.refused(400, "bad_request");
    assert!(problem["detail"].as_str().unwrap().contains("`needs`"), "{problem}");
    let kind = json!({ "kind": "echo+gpu", "payload": {} });
    site.post("ana", "/api/v1/tasks", kind).await.refused(422, "kind_unknown");
    let schedule = |name: &str| json!({ "name": name, "every_ms": 60_000, "task": { "kind": "echo", "payload": {} } });
    site.post("ana", "/api/v1/schedules", schedule("a+gpu")).await.refused(422, "schedule_invalid");
    // Nor does a worker bring such names in.
    announce(&site, "w-2", json!(["gpu", "eu", "big"])).await.expect(204);
    for bad in [json!(["GPU"]), json!(["a", "b", "c", "d"])] {
        announce(&site, "w-2", bad).await.refused(400, "bad_request");
    }
    let record = json!({ "id": "w-2", "host": "h", "version": "1", "kinds": [], "concurrency": 1 });
    for kind in [
        json!({ "kind": "a+gpu", "queue": "a", "schema": true, "attempts_max": 1 }),
        json!({ "kind": "a", "queue": "a+gpu", "schema": true, "attempts_max": 1 }),
        json!({ "kind": "a", "queue": "a", "schema": true, "attempts_max": 1, "needs": ["A"] }),
    ] {
        let body = json!({ "v": 1, "worker": record, "kinds": [kind] });
        let path = "/api/v1/worker/announce";
        site.post_as(Role::Worker, "crew", path, body).await.refused(400, "bad_request");
    }
}

#[tokio::test]
async fn a_key_batch_and_schedule_keep_what_is_needed() {
    let site = Site::open().await;
    let keyed = |needs: Value| {
        let mut body = needing(needs);
        body["idempotency_key"] = "k".into();
        site.post("ana", "/api/v1/tasks", body)
    };
    let first = keyed(json!(["gpu", "eu"])).await.expect(202);
    assert_eq!(keyed(json!(["eu", "gpu"])).await.expect(200)["id"], first["id"]);
    keyed(json!(["gpu"])).await.refused(409, "idempotency_conflict");
    let tasks = json!({ "tasks": [
        needing(json!(["gpu"])), needing(json!(["GPU"])), needing(json!([])),
    ] });
    let batch = site.post("ana", "/api/v1/tasks/batch", tasks).await.expect(200);
    assert_eq!(batch["results"][0]["task"]["queue"], "echo+gpu");
    assert_eq!(batch["results"][1]["error"]["code"], "submission_invalid");
    assert_eq!(batch["results"][2]["task"]["queue"], "echo");
    let schedule =
        json!({ "name": "nightly", "every_ms": 60_000, "task": needing(json!(["gpu"])) });
    let made = site.post("ana", "/api/v1/schedules", schedule).await.expect(201);
    assert_eq!(made["task"]["needs"], json!(["gpu"]));
    let run = site.post("ana", "/api/v1/schedules/nightly/run", json!({})).await.expect(202);
    assert_eq!(run["queue"], "echo+gpu");
    site.hand.advance(61_000);
    site.ticks().await;
    let listed = site.get("ana", "/api/v1/tasks?queue=echo%2Bgpu").await.expect(200);
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 3, "{listed}");
}

#[tokio::test]
async fn a_task_whose_label_nobody_has_says_which() {
    let site = Site::open().await;
    let task = site.submit("ana", needing(json!(["eu", "gpu"]))).await;
    let why = async || {
        let path = format!("/api/v1/tasks/{}/why", task["id"].as_str().unwrap());
        site.get("ana", &path).await.expect(200)
    };
    let says = async |labels: Value, text: &str| {
        let why = why().await;
        assert_eq!((&why["reason"], &why["labels"]), (&json!("no_worker_with_label"), &labels));
        assert!(why["text"].as_str().unwrap().contains(text), "{why}");
    };
    says(json!(["eu", "gpu"]), "labels `eu`, `gpu` together").await;
    announce(&site, "w-2", json!(["eu"])).await.expect(204);
    says(json!(["gpu"]), "the label `gpu`.").await;
    announce(&site, "w-3", json!(["gpu"])).await.expect(204);
    says(json!(["eu", "gpu"]), "together").await;
    announce(&site, "w-3", json!(["big", "eu", "gpu"])).await.expect(204);
    let turn = why().await;
    assert_eq!((&turn["reason"], turn.get("labels")), (&json!("turn"), None));
    assert_eq!(turn["users_waiting"], 1, "in a line of its own");
    site.hand.advance(3_600_000);
    assert_eq!(why().await["reason"], "no_worker");
}

#[tokio::test]
async fn a_queue_with_labels_is_one_of_its_own_to_operators() {
    let site = Site::open().await;
    let names = async || {
        let list = operator(&site, "GET", "/api/v1/queues", Value::Null).await;
        let queues = list["queues"].as_array().unwrap().clone();
        queues.iter().map(|q| q["queue"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    announce(&site, "w-2", json!(["gpu", "eu"])).await.expect(204);
    assert_eq!(names().await, ["echo", "mail"], "what nobody waits in is not listed");
    site.submit("ana", needing(json!(["gpu"]))).await;
    assert_eq!(names().await, ["echo", "echo+gpu", "mail"]);
    for path in ["/api/v1/queues/echo+gpu", "/api/v1/queues/echo%2Bgpu"] {
        let one = operator(&site, "GET", path, Value::Null).await;
        assert_eq!((&one["kinds"], &one["users_waiting"]), (&json!(["echo"]), &json!(1)), "{one}");
    }
    let paused = json!({ "paused": true });
    operator(&site, "POST", "/api/v1/queues/echo+gpu/settings", paused).await;
    site.echo("ana").await;
    assert_eq!(claim(&site, &["echo+gpu"]).await, []);
    assert_eq!(claim(&site, &["echo"]).await.len(), 1, "the others go on");
    operator(&site, "POST", "/api/v1/queues/echo+gpu/settings", json!({ "paused": false })).await;
    assert_eq!(claim(&site, &["echo+gpu"]).await.len(), 1);
    let own = site.get("ana", "/api/v1/me/queues?queue=echo%2Bgpu,echo%2Bfpga").await.expect(200);
    let served = |name: &str| {
        let of = own["queues"].as_array().unwrap().iter().find(|of| of["queue"] == name).unwrap();
        (of["served"].as_bool().unwrap(), of["kinds"] == json!(["echo"]))
    };
    assert_eq!([served("echo+gpu"), served("echo+fpga")], [(true, true), (false, true)], "{own}");
    // One that is written otherwise than it is made is none.
    let token = site.token("olga", Role::Operator);
    for name in ["echo+", "echo+gpu+eu", "echo+gpu+gpu", "+gpu"] {
        let request = site.request(Some(&token), "GET", &format!("/api/v1/queues/{name}"));
        let answer = site.send(request.body(axum::body::Body::empty()).unwrap()).await;
        answer.refused(404, "not_found");
    }
}
