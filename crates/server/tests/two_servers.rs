//! Two servers over one store, as behind a load balancer that sends each call somewhere else.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Answer, PARTITIONS, Running, SOON, config, start, user};
use tasktonic_auth::Role;
use tasktonic_core::command::Control;
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::settings::QueueSettings;
use tasktonic_server::{Config, Limits};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Expect, Store as _, Table};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SYNC: &str = "/api/v1/worker/sync";

async fn post(server: &Running, credential: &str, path: &str, body: &Value) -> Answer {
    let token = server.identity.mint(credential, Role::Worker, 600).unwrap();
    let bearer = format!("Bearer {token}");
    server.ask("POST", path, &[("Authorization", &bearer)], &body.to_string()).await
}

async fn sync(server: &Running, body: Value) -> Value {
    let answer = post(server, "crew", SYNC, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn waits(wait_ms: u32) -> Value {
    json!({ "v": 1, "worker": "w-1", "call": 0, "lease_ms": 10_000, "wait_ms": wait_ms })
}

fn looks(call: u64) -> Value {
    let claim = json!({ "queues": ["noop"], "limit": 1 });
    json!({ "v": 1, "worker": "w-1", "call": call, "lease_ms": 10_000, "claim": claim, "park": true })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_parked_through_one_server_is_woken_through_the_other() {
    let a = start().await;
    let b = Arc::new(a.beside().await);
    // The first wait at a server says that it has not listened so far.
    assert_eq!(sync(&b, waits(20_000)).await["lagged"], true);
    assert!(sync(&a, looks(1)).await.get("claimed").is_none());
    let waiting = tokio::spawn({
        let b = b.clone();
        async move { sync(&b, waits(20_000)).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    a.submit("ana").await;
    let woken = tokio::time::timeout(SOON, waiting).await.expect("it is woken").unwrap();
    assert_eq!(woken["woken"], json!(["noop"]));
    let claimed = sync(&b, looks(2)).await;
    let lease = claimed["claimed"][0]["lease"].as_str().unwrap().to_owned();

    // Its cancellation is told wherever it waits, and its reports are taken anywhere.
    let task = lease.parse::<tasktonic_core::Lease>().unwrap().task;
    let ask = Control::Cancel {
        at_ms: Clock::system().now_ms(),
        user: user("ana"),
        tasks: vec![task],
        body: "".into(),
        keep_s: 60,
    };
    a.store.control(partition_of(&user("ana"), PARTITIONS), ask).await.unwrap();
    for server in [&a, &*b] {
        let mut told = sync(server, waits(20_000)).await;
        // Both heard of the task too. Where nobody waited then, that may be told alone first.
        if told.get("cancelled").is_none() && told.get("woken").is_some() {
            told = sync(server, waits(20_000)).await;
        }
        assert_eq!(told["cancelled"], json!([lease]), "{told}");
    }
    let beat = json!([{ "lease": lease, "report": "heartbeat" }]);
    for server in [&a, &*b] {
        let mut report = looks(3);
        report["claim"] = Value::Null;
        report["ops"] = beat.clone();
        assert!(sync(server, report).await.get("refused").is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_is_lost_though_every_call_goes_to_another_server() {
    let a = start().await;
    let servers = [&a, &a.beside().await];
    let mut call = 0;
    let mut took = Vec::new();
    for round in 0..24 {
        // Parked through one; the wait that hears of the task is at the other.
        let began = Instant::now();
        let mut submitted = None;
        loop {
            call += 1;
            let at = servers[call as usize % 2];
            let found = sync(at, looks(call)).await;
            if let Some(held) = found["claimed"].as_array().and_then(|all| all.first()) {
                let lease: tasktonic_core::Lease = held["lease"].as_str().unwrap().parse().unwrap();
                let n = u32::try_from(held["n"].as_u64().unwrap()).unwrap();
                a.ack(&lease, n + 1).await;
                break;
            }
            if submitted.is_none() {
                let owner = format!("user-{round}");
                a.submit(&owner).await;
                submitted = Some(Instant::now());
            }
            let at = servers[(call as usize + round) % 2];
            sync(at, waits(10_000)).await;
        }
        let since = submitted.map_or(began, |at| at).elapsed();
        took.push(since);
    }
    let worst = took.iter().max().unwrap();
    assert!(*worst < Duration::from_secs(3), "a wake was lost: {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_worker_that_goes_round_is_not_sent_looking_again_and_again() {
    let a = start().await;
    let b = a.beside().await;
    for server in [&a, &b] {
        sync(server, waits(1)).await;
    }
    sync(&a, looks(1)).await;
    sync(&b, looks(2)).await;
    for server in [&a, &b, &a, &b] {
        let told = sync(server, waits(20)).await;
        assert!(told.get("woken").is_none() && told.get("lagged").is_none(), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_speaks_for_anothers_worker_at_any_server() {
    let a = start().await;
    let b = a.beside().await;
    a.submit("ana").await;
    let lease = sync(&a, looks(1)).await["claimed"][0]["lease"].as_str().unwrap().to_owned();
    let stolen = json!({ "v": 1, "worker": "w-1", "call": 1, "lease_ms": 10_000,
        "ops": [{ "lease": lease, "report": "heartbeat" }] });
    for server in [&a, &b] {
        assert_eq!(post(server, "thief", SYNC, &stolen).await.status, 403);
        let asked = json!({ "v": 1, "worker": "w-1" });
        let held = post(server, "thief", "/api/v1/worker/held", &asked).await.json();
        assert_eq!(held["held"], json!([]));
        let held = post(server, "crew", "/api/v1/worker/held", &asked).await.json();
        assert_eq!(held["held"][0]["lease"], lease.as_str());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_of_a_server_that_is_drained_go_on_at_another_without_loss_or_repeat() {
    let limits = Limits { drain_notice: Duration::from_secs(3), ..Limits::default() };
    let a = start().await;
    let b = a.beside_with(Config { limits, ..config() }).await;
    let mut socket = b.open(&b.token("ana")).await;
    socket.hello(None).await;
    let snapshot = socket.next_of("snapshot").await;
    let mut seen = snapshot["seq"].as_u64().unwrap();
    let mut cursor = snapshot["cursor"].as_str().unwrap().to_owned();
    let mut tasks = std::collections::BTreeSet::new();
    let load = async {
        let mut submitted = std::collections::BTreeSet::new();
        for n in 0..60 {
            submitted.insert(a.submit("ana").await.to_string());
            if n == 20 {
                b.stop.cancel();
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        submitted
    };
    let read = async {
        let mut closes = 0;
        while seen < snapshot["seq"].as_u64().unwrap() + 60 {
            let frame = match socket.next().await {
                Ok(frame) => frame,
                Err(code) => {
                    assert_eq!(code, 1012, "told to come back");
                    closes += 1;
                    socket = a.open(&a.token("ana")).await;
                    socket.hello(Some(&cursor)).await;
                    continue;
                }
            };
            assert_ne!(frame["t"], "reset", "the cursor is good at the other server");
            if frame["t"] == "events" {
                seen += 1;
                assert_eq!(frame["seq"], seen, "neither a gap nor a repeat");
                cursor = frame["cursor"].as_str().unwrap().to_owned();
                for event in frame["events"].as_array().unwrap() {
                    tasks.insert(event["task"]["id"].as_str().unwrap().to_owned());
                }
            }
        }
        closes
    };
    let (submitted, closes) = tokio::join!(load, read);
    assert_eq!(closes, 1);
    assert_eq!(tasks, submitted);

    // It still says that it is not ready, until the notice is over.
    let ready = b.ask("GET", "/readyz", &[], "").await;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert_eq!(ready.json()["accepting"], false);
    assert_eq!(ready.json()["reasons"], json!(["the server stops"]));
    assert_eq!(a.ask("GET", "/readyz", &[], "").await.status, 200);
    tokio::time::timeout(SOON, b.ended).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parked_calls_are_answered_at_once_and_requests_under_way_end() {
    let a = start().await;
    let b = Arc::new(a.beside().await);
    sync(&b, waits(1)).await;
    let parked = tokio::spawn({
        let b = b.clone();
        async move { sync(&b, waits(20_000)).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    b.stop.cancel();
    let answer = tokio::time::timeout(SOON, parked).await.expect("answered").unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(answer["v"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_made_just_before_a_stop_is_answered_until_the_notice_is_over() {
    let limits = Limits { drain_notice: Duration::from_secs(3), ..Limits::default() };
    let server = support::start_with(Config { limits, ..config() }).await;
    let mut speaks = TcpStream::connect(server.addr).await.unwrap();
    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    // Later connections are taken later: when one of them is answered, these have been taken.
    assert_eq!(server.ask("GET", "/healthz", &[], "").await.status, 200);
    server.stop.cancel();
    while server.ask("GET", "/readyz", &[], "").await.status != 503 {}
    let request =
        format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.addr);
    speaks.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    speaks.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    // One that never says anything is not waited for.
    let began = Instant::now();
    tokio::time::timeout(SOON, server.ended).await.expect("it ends").unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
}

async fn set(server: &Running, queue: &str, body: Value) -> Answer {
    let token = server.identity.mint("olga", Role::Operator, 600).unwrap();
    let bearer = format!("Bearer {token}");
    let path = format!("/api/v1/queues/{queue}/settings");
    server.ask("POST", &path, &[("Authorization", &bearer)], &body.to_string()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_holds_in_every_partition_before_it_is_answered() {
    let a = start().await;
    let b = a.beside().await;
    for round in 0..10 {
        for number in 0..6 {
            a.submit(&format!("user-{number}")).await;
        }
        let (by, other) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
        assert_eq!(set(by, "noop", json!({ "paused": true })).await.status, 200);
        assert_eq!(other.claim(50).await, [], "round {round}");
        assert_eq!(set(other, "noop", json!({ "paused": false })).await.status, 200);
        assert_eq!(by.claim(50).await.len(), 6, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_a_server_that_died_half_way_arrive() {
    let a = start().await;
    for number in 0..12 {
        a.submit(&format!("user-{number}")).await;
    }
    // It had written what is wanted, and come to the first partition.
    let wanted = json!({ "version": 1, "queues": { "noop": { "paused": true } } }).to_string();
    a.store.registry().put(Table::Settings, "queues", wanted, Expect::Absent).await.unwrap();
    let paused = QueueSettings { paused: true, ..QueueSettings::default() };
    let queues = vec![("noop".parse().unwrap(), paused)];
    let control = Control::Queues { version: 1, queues };
    a.store.control(PartitionId(0), control).await.unwrap();
    settled(&a, 1).await;
    assert_eq!(a.claim(50).await, []);

    // And where the registry has gone back behind the partitions, what it says holds.
    let older = json!({ "version": 0, "queues": {} }).to_string();
    a.store.registry().put(Table::Settings, "queues", older, Expect::Any).await.unwrap();
    settled(&a, 2).await;
    assert_eq!(a.claim(50).await.len(), 12);
}

/// Waits until every partition has this version.
async fn settled(server: &Running, version: u64) {
    let began = Instant::now();
    loop {
        let mut versions = Vec::new();
        for p in (0..PARTITIONS).map(PartitionId) {
            versions.push(server.look(p).await.queues_version);
        }
        if versions.iter().all(|known| *known == version) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{versions:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The times of the ticks that made tasks, in order.
async fn ticks(server: &Running) -> Vec<i64> {
    let token = server.token("ana");
    let bearer = format!("Bearer {token}");
    let answer =
        server.ask("GET", "/api/v1/tasks?limit=200", &[("Authorization", &bearer)], "").await;
    let tasks = answer.json()["tasks"].as_array().unwrap().clone();
    let at = |task: &Value| {
        let at = task["schedule"]["at"].as_str().unwrap();
        tasktonic_protocol::time::parse_rfc3339(at).unwrap()
    };
    let mut ticks: Vec<i64> = tasks.iter().map(at).collect();
    ticks.sort_unstable();
    ticks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_that_look_each_tick_is_taken_by_one_and_goes_on_without_the_other() {
    let a = start().await;
    let b = a.beside().await;
    let announced = json!({ "v": 1, "worker": { "id": "w", "host": "h", "version": "1",
        "kinds": ["noop"], "concurrency": 1 },
        "kinds": [{ "kind": "noop", "queue": "noop", "schema": true, "attempts_max": 3 }] });
    assert_eq!(post(&a, "crew", "/api/v1/worker/announce", &announced).await.status, 204);
    let schedule = json!({ "name": "often", "every_ms": 1_000, "catch_up": "all",
        "task": { "kind": "noop", "payload": {} } });
    let bearer = format!("Bearer {}", a.token("ana"));
    let made = a
        .ask("POST", "/api/v1/schedules", &[("Authorization", &bearer)], &schedule.to_string())
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let reach = async |server: &Running, count: usize| {
        let began = Instant::now();
        loop {
            let now = ticks(server).await;
            if now.len() >= count {
                return now;
            }
            assert!(began.elapsed() < 3 * SOON, "{now:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    reach(&a, 3).await;
    a.stop.cancel();
    let all = reach(&b, 6).await;
    for pair in all.windows(2) {
        assert_eq!(pair[1] - pair[0], 1_000, "each tick once, and none left out: {all:?}");
    }
}
