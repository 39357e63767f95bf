//! Figures: what a task costs Redis as more of them wait and more users take turns, and as masters
//! are added; a line of JSON for each point. Read by `cargo xtask bench -- curves`.
//! `cargo run --release -p tasktonic-store-redis --example curves [most waiting] [ms of each point]
//! [seconds that filling may take]`.

mod rounds;

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rounds::Spent;
use tasktonic_core::UserId;
use tasktonic_core::command::Submit;
use tasktonic_core::limits::SUBMIT_TASKS_MAX;
use tasktonic_core::routing::PartitionId;
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tasktonic_store_redis::RedisStore;
use tasktonic_testkit::cluster::Cluster;
use tasktonic_testkit::redis::{self, Redis};

/// Partitions of a store.
const PARTITIONS: u16 = 8;
/// Partitions where masters are compared: as many for each of three.
const PARTITIONS_OF_THREE: u16 = 24;
/// Users of each partition, where their number does not change.
const USERS: usize = 12;
/// Tasks that wait where their number does not change.
const WAITING: u64 = 100_000;
/// Tasks of one submit and of one claim.
const BATCH: usize = 16;
/// Claims that are timed one after the other.
const CLAIMS: usize = 1_000;
/// Memory that a waiting task and the machine's other needs take at most, with what is done
/// meanwhile, bytes: more is not begun.
const TASK_BYTES_MAX: u64 = 900;
const REST_BYTES: u64 = 2 << 30;

/// How long things take at most.
#[derive(Clone, Copy)]
struct Limits {
    waiting: u64,
    point: Duration,
    fill: Duration,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |usual| args.next().map_or(usual, |text| text.parse().expect("a number"));
    let limits = Limits {
        waiting: number(1_000_000),
        point: Duration::from_millis(number(2_500)),
        fill: Duration::from_secs(number(90)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        waiting(limits).await;
        for users in [1, 10, 100, 1_000, 10_000, 100_000] {
            if users <= limits.waiting {
                of_users(users, limits).await;
            }
        }
        masters(limits).await;
    });
}

/// Prints a point: `x` and its values.
fn point(group: &str, x: u64, values: &[(&str, f64)]) {
    let values: Vec<String> =
        values.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
    let line = format!(r#"{{"group":"{group}","x":{x},"values":{{{}}}}}"#, values.join(","));
    // Whoever reads it may have gone.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Says on one line why a curve ends.
fn note(group: &str, text: &str) {
    let _ = writeln!(std::io::stdout(), r#"{{"group":"{group}","note":"{text}"}}"#);
}

fn free_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}

fn server() -> Redis {
    Redis::start(redis::Options::default())
}

/// Submits `count` more tasks, evenly to all users, until `until`; how many.
async fn fill(store: &Arc<RedisStore>, users: &[Vec<UserId>], count: u64, until: Instant) -> u64 {
    let some: Vec<_> = (0_u16..).zip(users).filter(|(_, users)| !users.is_empty()).collect();
    let callers: Vec<_> = (0_u64..)
        .zip(&some)
        .map(|(n, (p, users))| {
            let (store, users, p) = (Arc::clone(store), (*users).clone(), *p);
            let all = some.len() as u64;
            let mine = count / all + u64::from(n < count % all);
            tokio::spawn(async move {
                let clock = Clock::system();
                let mut next = users.iter().cycle();
                let mut left = mine;
                while left > 0 && Instant::now() < until {
                    let now_ms = clock.now_ms();
                    let size = left.min(SUBMIT_TASKS_MAX as u64);
                    let tasks = next
                        .by_ref()
                        .take(usize::try_from(size).expect("a small batch"))
                        .map(|user| rounds::draft(user, now_ms))
                        .collect();
                    let batch = Submit { created_ms: now_ms, tasks };
                    store.submit(PartitionId(p), batch).await.expect("accepted");
                    left -= size;
                }
                mine - left
            })
        })
        .collect();
    let mut filled = 0;
    for caller in callers {
        filled += caller.await.expect("a caller ends");
    }
    filled
}

/// One claim after the other by one caller, each with its ack and one submit before it; sorted.
async fn claims(store: &Arc<RedisStore>, users: &[Vec<UserId>], count: usize) -> Vec<Duration> {
    let clock = Clock::system();
    let (p, of) = users.iter().enumerate().find(|(_, of)| !of.is_empty()).expect("users");
    let p = u16::try_from(p).expect("a partition");
    let (mut held, mut times) = (Vec::new(), Vec::with_capacity(count));
    for call in 1..=count {
        let now_ms = clock.now_ms();
        let tasks = vec![rounds::draft(&of[call % of.len()], now_ms)];
        let batch = Submit { created_ms: now_ms, tasks };
        store.submit(PartitionId(p), batch).await.expect("accepted");
        let request = rounds::sync(p, call as u64, &held, 1);
        let since = Instant::now();
        held = store.sync(PartitionId(p), request).await.expect("answered").claimed;
        times.push(since.elapsed());
        assert_eq!(held.len(), 1, "there is always more");
    }
    let last = rounds::sync(p, 0, &held, 0);
    store.sync(PartitionId(p), last).await.expect("answered");
    times.sort_unstable();
    times
}

/// What a lifecycle costs now, and how long a claim takes.
async fn measured(
    server: &Redis,
    store: &Arc<RedisStore>,
    users: &[Vec<UserId>],
    limits: Limits,
) -> Vec<(&'static str, f64)> {
    // What a long-lived server has warm.
    rounds::rounds(store, users, BATCH, limits.point / 10).await;
    let before = Spent::of(server);
    let done = rounds::rounds(store, users, BATCH, limits.point).await;
    let each = Spent::of(server).since(&before, done.tasks);
    let times = claims(store, users, CLAIMS.min(limits.point.as_millis() as usize)).await;
    let at = |share: usize| times[times.len() * share / 100].as_nanos() as f64 / 1e3;
    vec![
        ("per_s", done.per_s()),
        ("redis_cpu_us", each.micros),
        ("commands", each.commands),
        ("scripts", each.scripts),
        ("claim_p50_us", at(50)),
        ("claim_p99_us", at(99)),
    ]
}

/// More and more tasks wait.
async fn waiting(limits: Limits) {
    let (server, users) = (server(), rounds::users(PARTITIONS, USERS));
    let store = rounds::open(&server.url(), PARTITIONS).await;
    // The first submit of every user leaves what is theirs for good.
    fill(&store, &users, users.iter().map(Vec::len).sum::<usize>() as u64, far()).await;
    rounds::rounds(&store, &users, BATCH, limits.point / 5).await;
    let (mut waiting, mut asked) = (0, 10_u64);
    let until = Instant::now() + limits.fill;
    while asked <= limits.waiting {
        let more = asked - waiting;
        if more * TASK_BYTES_MAX + REST_BYTES > free_bytes() {
            note("redis.waiting", &format!("{asked} waiting tasks do not fit into memory"));
            break;
        }
        let (before, since) = (Spent::of(&server).memory, Instant::now());
        let filled = fill(&store, &users, more, until).await;
        let took = since.elapsed().as_secs_f64();
        let bytes = (Spent::of(&server).memory - before) / filled.max(1) as f64;
        waiting += filled;
        let mut values = measured(&server, &store, &users, limits).await;
        if filled >= 10_000 {
            values.extend([("bytes", bytes), ("submit_per_s", filled as f64 / took)]);
        }
        point("redis.waiting", waiting, &values);
        if waiting < asked {
            let seconds = limits.fill.as_secs();
            note("redis.waiting", &format!("ended after {seconds} s of submitting"));
            break;
        }
        asked *= 10;
    }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3_600)
}

/// The same tasks wait, of `count` users.
async fn of_users(count: u64, limits: Limits) {
    let mut users = vec![Vec::new(); usize::from(PARTITIONS)];
    for number in 0..count {
        let user = UserId::encode(&format!("user-{number}"));
        let PartitionId(p) = tasktonic_core::routing::partition_of(&user, PARTITIONS);
        users[usize::from(p)].push(user);
    }
    let server = server();
    let store = rounds::open(&server.url(), PARTITIONS).await;
    let before = Spent::of(&server).memory;
    let filled = fill(&store, &users, WAITING.min(limits.waiting), far()).await;
    let bytes = (Spent::of(&server).memory - before) / filled as f64;
    let mut values = measured(&server, &store, &users, limits).await;
    values.push(("bytes", bytes));
    point("redis.users", count, &values);
}

/// The same load on one master and on three.
async fn masters(limits: Limits) {
    let alone = server();
    of_masters(&alone.url(), &[&alone], limits).await;
    drop(alone);
    let cluster = Cluster::start_with(3, 0, &redis::Options::default());
    let servers: Vec<&Redis> = cluster.nodes().iter().collect();
    of_masters(&cluster.url(), &servers, limits).await;
}

async fn of_masters(url: &str, servers: &[&Redis], limits: Limits) {
    let users = rounds::users(PARTITIONS_OF_THREE, USERS / 2);
    let store = rounds::open(url, PARTITIONS_OF_THREE).await;
    rounds::rounds(&store, &users, BATCH, limits.point / 5).await;
    let before: Vec<Spent> = servers.iter().map(|of| Spent::of(of)).collect();
    let done = rounds::rounds(&store, &users, BATCH, limits.point * 2).await;
    let after = servers.iter().map(|of| Spent::of(of));
    let each: Vec<f64> =
        after.zip(&before).map(|(after, before)| after.since(before, done.tasks).micros).collect();
    let values = [
        ("per_s", done.per_s()),
        ("round_p50_us", done.wait_us(50) as f64),
        ("redis_cpu_us", each.iter().sum()),
        ("redis_cpu_us_most", each.iter().copied().fold(0.0, f64::max)),
    ];
    point("redis.masters", servers.len() as u64, &values);
}
