//! Workers in other processes: syncs, stale leases, waits, announcements.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tasktonic_auth::Role;

use crate::support::{Site, ack, bury};

const SYNC: &str = "/api/v1/worker/sync";
const HELD: &str = "/api/v1/worker/held";
const ANNOUNCE: &str = "/api/v1/worker/announce";

fn body(worker: &str) -> Value {
    json!({ "v": 1, "worker": worker, "call": 1, "lease_ms": 10_000 })
}

#[tokio::test]
async fn a_task_goes_from_claim_to_end_over_http() {
    let site = Site::open().await;
    let id = site.echo("ana").await;
    let mut held = site.claim("w-1", 4).await;
    assert_eq!(held.len(), 1);
    let (lease, n) = held.remove(0);
    assert!(lease.contains(&format!("|ana|{id}|1|1|r-")), "{lease}");
    assert!(lease.ends_with("-w-1.1"), "{lease}");
    let progress = json!({ "report": "progress", "write": { "n": n + 1, "body": r#""p":{"done":1,"total":4}"# } });
    assert!(site.report("w-1", &lease, progress).await);
    let task = site.get("ana", &format!("/api/v1/tasks/{id}")).await.expect(200);
    assert_eq!(task["progress"], json!({ "done": 1, "total": 4 }));
    assert!(site.report("w-1", &lease, ack(n + 1)).await);
    assert!(!site.report("w-1", &lease, ack(n + 2)).await, "an ended attempt reports no more");
}

#[tokio::test]
async fn a_stale_lease_is_refused_and_what_was_lost_is_settled_by_the_server() {
    let site = Site::open().await;
    let id = site.echo("ana").await;
    let (stale, n) = site.claim("w-1", 1).await.remove(0);
    for _ in 0..12 {
        site.hand.advance(1_000);
        let answer = site.sync(body("w-2")).await.expect(200);
        assert!(
            answer.get("adopted").is_none(),
            "a remote worker is not troubled with lost leases"
        );
    }
    assert!(!site.report("w-1", &stale, ack(n)).await);
    let late = json!({ "report": "log", "lines": [r#"{"at":1,"l":"info","x":"late"}"#] });
    assert!(!site.report("w-1", &stale, late).await);
    let task = site.get("ana", &format!("/api/v1/tasks/{id}")).await.expect(200);
    assert_eq!(
        (&task["status"], &task["has_output"]),
        (&json!("queued"), &json!(false)),
        "the first lost worker is forgiven at once"
    );
    let logs = site.get("ana", &format!("/api/v1/tasks/{id}/logs")).await.expect(200);
    assert_eq!(logs["last"], 0);
    let attempts = site.get("ana", &format!("/api/v1/tasks/{id}/attempts")).await.expect(200);
    assert_eq!(attempts["attempts"][0]["outcome"], "lost");
    let (lease, n) = site.claim("w-2", 1).await.remove(0);
    assert!(lease.contains(&format!("|{id}|2|")), "{lease}");
    assert!(site.report("w-2", &lease, ack(n)).await);
}

#[tokio::test]
async fn refusals_name_the_reports_they_are_about() {
    let site = Site::with_partitions(3).await;
    let users: Vec<String> = (0..8).map(|n| format!("user-{n}")).collect();
    for user in &users {
        site.echo(user).await;
    }
    let held = site.claim("w-1", 100).await;
    assert_eq!(held.len(), users.len(), "a claim is filled from every partition");
    let ended = &held[2];
    assert!(site.report("w-1", &ended.0, bury(ended.1)).await);
    let ops: Vec<_> = held
        .iter()
        .map(|(lease, n)| {
            let mut op = ack(*n);
            op["lease"] = lease.as_str().into();
            op
        })
        .collect();
    let mut request = body("w-1");
    request["ops"] = ops.into();
    assert_eq!(site.sync(request).await.expect(200)["refused"], json!([2]));
    for user in &users {
        let counts = site.get(user, "/api/v1/tasks/counts").await.expect(200);
        assert_eq!(counts["completed"].as_u64().unwrap() + counts["failed"].as_u64().unwrap(), 1);
    }
}

#[tokio::test]
async fn a_claim_over_partitions_keeps_to_its_limit() {
    let site = Site::with_partitions(4).await;
    for n in 0..12 {
        site.echo(&format!("user-{n}")).await;
    }
    assert_eq!(site.claim("w-1", 5).await.len(), 5);
    assert_eq!(site.claim("w-1", 100).await.len(), 7);
}

#[tokio::test]
async fn a_worker_reports_on_its_own_leases_only() {
    let site = Site::open().await;
    site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    let mut op = ack(n);
    op["lease"] = lease.as_str().into();
    let mut request = body("w-2");
    request["ops"] = json!([op]);
    site.sync(request.clone()).await.refused(403, "forbidden");
    request["worker"] = "w-1".into();
    // The same id under another credential is another worker.
    site.post_as(Role::Worker, "other", SYNC, &request).await.refused(403, "forbidden");
    assert!(site.report("w-1", &lease, ack(n)).await);
}

#[tokio::test]
async fn a_worker_is_told_all_that_it_holds_and_nothing_of_others() {
    let site = Site::with_partitions(3).await;
    for n in 0..8 {
        site.echo(&format!("user-{n}")).await;
    }
    let ask = |worker: &str| json!({ "v": 1, "worker": worker });
    let leases = |answer: &Value| -> BTreeSet<String> {
        let held = answer["held"].as_array().unwrap().iter();
        held.map(|held| held["lease"].as_str().unwrap().to_owned()).collect()
    };
    let mine = site.claim("w-1", 6).await;
    let others = site.claim("w-2", 100).await;
    assert_eq!((mine.len(), others.len()), (6, 2));
    let told = site.post_as(Role::Worker, "crew", HELD, ask("w-1")).await.expect(200);
    assert_eq!(leases(&told), mine.iter().map(|(lease, _)| lease.clone()).collect());
    assert!(told["held"][0]["descriptor"].as_str().is_some_and(|text| text.contains("echo")));

    assert!(site.report("w-1", &mine[0].0, ack(mine[0].1)).await);
    let told = site.post_as(Role::Worker, "crew", HELD, ask("w-1")).await.expect(200);
    assert_eq!(leases(&told), mine[1..].iter().map(|(lease, _)| lease.clone()).collect());
    let told = site.post_as(Role::Worker, "crew", HELD, ask("w-new")).await.expect(200);
    assert_eq!(told["held"], json!([]));

    let told = site.post_as(Role::Worker, "other", HELD, ask("w-1")).await.expect(200);
    assert_eq!(told["held"], json!([]), "another credential's w-1 is another worker");
    site.post_as(Role::User, "user-0", HELD, ask("w-1")).await.refused(403, "forbidden");
    site.post_as(Role::Worker, "crew", HELD, ask("in-1")).await.refused(403, "forbidden");
    site.post_as(Role::Worker, "crew", HELD, ask("a|b")).await.refused(400, "bad_request");
    let newer = json!({ "v": 99, "worker": "w-1" });
    site.post_as(Role::Worker, "crew", HELD, newer).await.refused(400, "bad_request");
}

#[tokio::test]
async fn texts_that_would_spoil_a_record_are_refused_before_they_are_stored() {
    let site = Site::open().await;
    let id = site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    for (report, what) in [
        (
            json!({ "report": "ack", "keep_s": 1, "write": { "n": n + 1, "body": r#""s":"dead""# } }),
            "the engine's members",
        ),
        (
            json!({ "report": "ack", "keep_s": 1, "write": { "n": n + 1, "body": "}," } }),
            "no members",
        ),
        (json!({ "report": "log", "lines": ["hello"] }), "no line"),
        (
            json!({ "report": "snooze", "due_ms": 1, "attempt": "[]", "write": { "n": n + 1 } }),
            "no attempt",
        ),
        (json!({ "report": "steal" }), "no report"),
    ] {
        let mut op = report;
        op["lease"] = lease.as_str().into();
        let mut request = body("w-1");
        request["ops"] = json!([op]);
        let answer = site.sync(request).await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
    }
    let task = site.get("ana", &format!("/api/v1/tasks/{id}")).await.expect(200);
    assert_eq!(task["status"], "running");
}

#[tokio::test]
async fn limits_of_a_sync_hold_at_n_and_refuse_n_plus_one() {
    let site = Site::open().await;
    site.echo("ana").await;
    let (lease, _) = site.claim("w-1", 1).await.remove(0);
    let ops = |count: usize| json!(vec![json!({ "report": "heartbeat", "lease": lease }); count]);
    let queues = |count: usize| json!({ "queues": vec!["q"; count], "limit": 1 });
    for (member, good, bad) in [
        ("ops", ops(128), ops(129)),
        ("lease_ms", json!(5_000), json!(4_999)),
        ("lease_ms", json!(3_600_000), json!(3_600_001)),
        ("claim", queues(32), queues(33)),
        (
            "claim",
            json!({ "queues": ["q"], "limit": 128 }),
            json!({ "queues": ["q"], "limit": 129 }),
        ),
        ("v", json!(1), json!(2)),
        ("v", json!(1), json!(0)),
        ("worker", json!("w-1"), json!("w 1")),
        ("woken", json!(["echo"]), json!(["a|b"])),
    ] {
        let mut request = body("w-1");
        request[member] = good;
        site.sync(request.clone()).await.expect(200);
        request[member] = bad;
        site.sync(request).await.refused(400, "bad_request");
    }
}

fn waiting(worker: &str, wait_ms: u32) -> Value {
    let mut request = body(worker);
    request["wait_ms"] = wait_ms.into();
    request
}

async fn park(site: &Site, worker: &str) {
    let mut request = body(worker);
    request["claim"] = json!({ "queues": ["echo"], "limit": 1 });
    request["park"] = true.into();
    request["wait_ms"] = 20_000.into();
    let before = std::time::Instant::now();
    assert!(site.sync(request).await.expect(200).get("claimed").is_none());
    assert!(before.elapsed() < Duration::from_secs(10), "a request with a claim never waits");
}

#[tokio::test]
async fn a_parked_worker_is_woken_by_work_and_by_a_cancellation() {
    let site = Arc::new(Site::open().await);
    park(&site, "w-1").await;
    let wait = tokio::spawn({
        let site = site.clone();
        async move { site.sync(waiting("w-1", 20_000)).await.expect(200) }
    });
    tokio::task::yield_now().await;
    let id = site.echo("ana").await;
    let answer =
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("it is woken").unwrap();
    assert_eq!(answer["woken"], json!(["echo"]));

    let (lease, _) = site.claim("w-1", 1).await.remove(0);
    let wait = tokio::spawn({
        let site = site.clone();
        async move { site.sync(waiting("w-1", 20_000)).await.expect(200) }
    });
    tokio::task::yield_now().await;
    site.post("ana", &format!("/api/v1/tasks/{id}/cancel"), "").await.expect(200);
    let answer =
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("it is told").unwrap();
    assert_eq!(answer["cancelled"], json!([lease]));
}

#[tokio::test]
async fn what_happens_between_two_waits_is_in_the_next_one() {
    let site = Site::with_partitions(2).await;
    park(&site, "w-1").await;
    site.echo("ana").await;
    let answer = site.sync(waiting("w-1", 20_000)).await.expect(200);
    assert_eq!(answer["woken"], json!(["echo"]));
    let empty = site.sync(waiting("w-1", 20)).await.expect(200);
    assert!(empty.get("woken").is_none() && empty.get("cancelled").is_none(), "{empty}");
}

#[tokio::test]
async fn waits_end_when_the_server_stops() {
    let site = Arc::new(Site::open().await);
    park(&site, "w-1").await;
    let id = site.echo("ben").await;
    site.claim("w-2", 1).await;
    site.sync(waiting("w-1", 20_000)).await.expect(200);
    let mut waits = tokio::task::JoinSet::new();
    let of_worker = site.clone();
    waits.spawn(async move { of_worker.sync(waiting("w-1", 20_000)).await.status });
    let of_user = site.clone();
    let path = format!("/api/v1/tasks/{id}/wait?timeout_ms=60000");
    waits.spawn(async move { of_user.get("ben", &path).await.status });
    tokio::task::yield_now().await;
    site.stop();
    let ended = tokio::time::timeout(Duration::from_secs(10), waits.join_all()).await;
    assert!(ended.expect("they end").iter().all(|status| *status == 200));
}

#[tokio::test]
async fn announced_kinds_and_workers_are_shown_until_they_are_silent_or_leave() {
    let site = Site::open().await;
    let served = async || {
        let kinds = site.get("ana", "/api/v1/kinds").await.expect(200);
        let kinds = kinds["kinds"].as_array().unwrap().clone();
        let names: Vec<_> = kinds.iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
        assert_eq!(names, ["echo", "mail"]);
        kinds.iter().all(|kind| kind["served"] == true)
    };
    let workers = async || {
        let list = site.get("ana", "/api/v1/workers").await.expect(200);
        list["workers"].as_array().unwrap().clone()
    };
    assert!(served().await);
    assert_eq!(workers().await[0]["seen_at"], "2023-11-14T22:13:20.000Z");
    site.hand.advance(179_999);
    assert!(served().await);
    site.hand.advance(1);
    assert!(!served().await);
    assert!(workers().await.is_empty());
    let waits = json!({ "kind": "echo", "payload": 1 });
    site.submit("ana", waits).await;
    site.announce("w-9").await;
    assert!(served().await);
    let record = json!({ "id": "w-9", "host": "h", "version": "1", "kinds": [], "concurrency": 1 });
    let leaving = json!({ "v": 1, "worker": record, "leaving": true });
    site.post_as(Role::Worker, "crew", ANNOUNCE, leaving).await.expect(204);
    assert!(!served().await);
}

#[tokio::test]
async fn an_announcement_that_cannot_be_used_changes_nothing() {
    let site = Site::open().await;
    let record = |id: &str| json!({ "id": id, "host": "h", "version": "1", "kinds": ["x"], "concurrency": 1 });
    let kind = |name: &str, attempts: u32, schema: Value| json!([{ "kind": name, "queue": "x", "attempts_max": attempts, "schema": schema }]);
    for (worker, kinds) in [
        (record("w-1"), kind("x", 3, json!({ "type": "strange" }))),
        (record("w-1"), kind("x", 3, json!({ "$ref": "https://example.com/x.json" }))),
        (record("w-1"), kind("x", 0, json!(true))),
        (record("w-1"), kind("x", 1_001, json!(true))),
        (record("w-1"), kind("a b", 3, json!(true))),
        (record("w 1"), kind("x", 3, json!(true))),
        (record("w-1"), json!(vec![kind("x", 3, json!(true))[0].clone(); 257])),
    ] {
        let body = json!({ "v": 1, "worker": worker, "kinds": kinds });
        site.post_as(Role::Worker, "crew", ANNOUNCE, body).await.refused(400, "bad_request");
    }
    let body = json!({ "v": 1, "worker": record("in-1"), "kinds": [] });
    site.post_as(Role::Worker, "crew", ANNOUNCE, body).await.refused(403, "forbidden");
    let kinds = site.get("ana", "/api/v1/kinds").await.expect(200);
    assert_eq!(kinds["kinds"].as_array().unwrap().len(), 2);
    let workers = site.get("ana", "/api/v1/workers").await.expect(200);
    assert_eq!(workers["workers"].as_array().unwrap().len(), 1);
}
