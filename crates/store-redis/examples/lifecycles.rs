//! Figures: full lifecycles per second over one private Redis, and what each costs that server by
//! its own counters. `cargo run --release -p tasktonic-store-redis --example lifecycles [seconds]`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tasktonic_core::command::{Claim, NewTask, Op, Report, Submit, Sync, Write};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{TaskId, Text, UserId};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Held, Store};
use tasktonic_store_redis::{Options, RedisStore};
use tasktonic_testkit::redis::{self, Aof, Redis};

/// Partitions of the store.
const PARTITIONS: u16 = 8;
/// Users of each partition.
const USERS: usize = 12;
/// Callers at once, each on a partition of its own.
const CALLERS: u16 = PARTITIONS;
/// Bytes of a payload.
const PAYLOAD_BYTES: usize = 120;

static NUMBER: AtomicU64 = AtomicU64::new(1);

fn main() {
    let seconds = std::env::args().nth(1).map_or(5, |text| text.parse().expect("seconds"));
    let length = Duration::from_secs(seconds);
    println!("{seconds} s each, {PARTITIONS} partitions, {} users", USERS * 8);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        for aof in [Aof::Off, Aof::EverySecond, Aof::Always] {
            for batch in [1, 16, 64] {
                lifecycles(aof, batch, length).await;
            }
        }
    });
}

/// Users of every partition.
fn users() -> Vec<Vec<UserId>> {
    let mut users = vec![Vec::new(); usize::from(PARTITIONS)];
    for number in 0.. {
        let user = UserId::encode(&format!("user-{number}"));
        let PartitionId(p) = partition_of(&user, PARTITIONS);
        let of_p = &mut users[usize::from(p)];
        if of_p.len() < USERS {
            of_p.push(user);
        }
        if users.iter().all(|of_p| of_p.len() == USERS) {
            break;
        }
    }
    users
}

fn draft(user: &UserId, now_ms: i64) -> NewTask {
    let pad = "x".repeat(PAYLOAD_BYTES);
    NewTask {
        event: Text::from(r#""k":"noop","q":"noop","max":3"#),
        lane_max: u32::MAX,
        ..NewTask::new(
            user.clone(),
            TaskId::new(now_ms, NUMBER.fetch_add(1, Ordering::Relaxed)),
            "noop".parse().expect("a name"),
            format!(r#"{{"v":1,"k":"noop","q":"noop","at":{now_ms},"max":3,"p":"{pad}"}}"#),
        )
    }
}

/// Submits and syncs at the same time, `batch` tasks of one user each, by a caller per partition.
async fn lifecycles(aof: Aof, batch: usize, length: Duration) {
    let server = Redis::start(redis::Options { aof, ..redis::Options::default() });
    let options = Options { partitions: PARTITIONS, ..Options::new(Clock::system()) };
    let url = server.url().parse().expect("a URL");
    let store = Arc::new(RedisStore::open(&url, options).await.expect("it opens"));
    let before = Spent::of(&server);
    let since = Instant::now();
    let mut callers = Vec::new();
    for (p, users) in (0..CALLERS).zip(users()) {
        let store = Arc::clone(&store);
        callers.push(tokio::spawn(async move {
            let clock = Clock::system();
            let (mut done, mut held, mut waits) = (0_u64, Vec::<Held>::new(), Vec::new());
            for call in 1.. {
                if since.elapsed() >= length {
                    break;
                }
                let now_ms = clock.now_ms();
                let user = &users[usize::try_from(call).unwrap_or(0) % USERS];
                let tasks = (0..batch).map(|_| draft(user, now_ms)).collect();
                let at = Instant::now();
                let submit = store.submit(PartitionId(p), Submit { created_ms: now_ms, tasks });
                let sync = store.sync(PartitionId(p), sync(p, call, &held, batch));
                let (submitted, synced) = tokio::join!(submit, sync);
                waits.push(at.elapsed());
                submitted.expect("accepted");
                let synced = synced.expect("answered");
                assert!(synced.refused.is_empty(), "every lease is held");
                done += held.len() as u64;
                held = synced.claimed;
            }
            (done, waits)
        }));
    }
    let (mut done, mut waits) = (0, Vec::new());
    for caller in callers {
        let (more, some) = caller.await.expect("a caller ends");
        done += more;
        waits.extend(some);
    }
    let took = since.elapsed();
    let spent = Spent::of(&server);
    waits.sort_unstable();
    let wait = |share: usize| waits[waits.len() * share / 100].as_micros();
    let each = |total: f64| total / done as f64;
    println!(
        "AOF {aof:?}, batch {batch:>2}: {:>6.0} lifecycles/s, a round p50 {} µs p99 {} µs; Redis \
         per task: {:.2} scripts, {:.2} commands in them, {:.1} µs, {:.0} B in, {:.0} B out",
        done as f64 / took.as_secs_f64(),
        wait(50),
        wait(99),
        each(spent.scripts - before.scripts),
        each(spent.commands - before.commands),
        each(spent.micros - before.micros),
        each(spent.bytes_in - before.bytes_in),
        each(spent.bytes_out - before.bytes_out),
    );
}

fn sync(p: u16, call: u64, held: &[Held], batch: usize) -> Sync {
    let ack = |held: &Held| Op {
        lease: held.lease.clone(),
        report: Report::Ack {
            write: Write { n: held.n + 1, body: Text::from(r#""st":1,"ho":true"#), event: None },
            keep_s: 3_600,
        },
    };
    let limit = u32::try_from(batch).expect("a small batch");
    Sync {
        worker: format!("w-{p}").parse().expect("a worker id"),
        call,
        lease_ms: 30_000,
        ops: held.iter().map(ack).collect(),
        claim: Some(Claim { queues: vec!["noop".parse().expect("a name")], limit }),
        woken: Vec::new(),
        park: false,
    }
}

/// What the server says it has done since its start.
struct Spent {
    scripts: f64,
    commands: f64,
    micros: f64,
    bytes_in: f64,
    bytes_out: f64,
}

impl Spent {
    fn of(server: &Redis) -> Self {
        let (mut scripts, mut commands) = (0.0, 0.0);
        for (name, value) in server.info("commandstats") {
            let calls = value.split(',').next().and_then(|part| part.strip_prefix("calls="));
            let calls: f64 = calls.and_then(|text| text.parse().ok()).unwrap_or(0.0);
            let name = name.trim_start_matches("cmdstat_");
            match name.split('|').next().unwrap_or(name) {
                "evalsha" => scripts += calls,
                // Not called by scripts.
                "info" | "config" | "client" | "hello" | "script" | "cluster" | "command"
                | "ssubscribe" | "ping" | "auth" => {}
                _ => commands += calls,
            }
        }
        let number = |section: &str, name: &str| {
            let found = server.info(section).get(name).and_then(|text| text.parse().ok());
            found.unwrap_or(0.0_f64)
        };
        let seconds =
            number("cpu", "used_cpu_user_main_thread") + number("cpu", "used_cpu_sys_main_thread");
        Self {
            scripts,
            commands,
            micros: seconds * 1e6,
            bytes_in: number("stats", "total_net_input_bytes"),
            bytes_out: number("stats", "total_net_output_bytes"),
        }
    }
}
