//! Figures: what a task costs the embedded store as more of them wait and more users take turns, and
//! with each class of durability; a line of JSON for each point. Read by
//! `cargo xtask bench -- curves`. `cargo run --release -p tasktonic-store-embedded --example curves
//! <folder> [most waiting] [ms of each point] [seconds that filling may take]`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tasktonic_core::command::{Claim, NewTask, Op, Report, Submit, Sync, Write};
use tasktonic_core::limits::SUBMIT_TASKS_MAX;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{TaskId, Text, UserId};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Durability, Held, Store};
use tasktonic_store_embedded::{EmbeddedStore, Options};

const P: PartitionId = PartitionId(0);
/// Users, where their number does not change.
const USERS: u64 = 100;
/// Tasks that wait where their number does not change.
const WAITING: u64 = 100_000;
/// Callers at once, and tasks of one submit and one claim.
const CALLERS: usize = 4;
const BATCH: usize = 64;
/// Producers of single tasks.
const PRODUCERS: usize = 256;
/// Claims that are timed one after the other.
const CLAIMS: usize = 1_000;
/// Bytes of a payload.
const PAYLOAD_BYTES: usize = 120;
/// Memory and disk that a waiting task takes at most, with what is done meanwhile, bytes.
const TASK_BYTES_MAX: u64 = 1_000;
const TASK_DISK_BYTES_MAX: u64 = 1_500;
const REST_BYTES: u64 = 2 << 30;

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// How long things take at most.
#[derive(Clone, Copy)]
struct Limits {
    waiting: u64,
    point: Duration,
    fill: Duration,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let mut number = |usual| args.next().map_or(usual, |text| text.parse().expect("a number"));
    let limits = Limits {
        waiting: number(1_000_000),
        point: Duration::from_millis(number(2_500)),
        fill: Duration::from_secs(number(90)),
    };
    let dir = dir.join(format!("curves-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("the folder can be made");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        classes(&dir, limits).await;
        for users in [1, 10, 100, 1_000, 10_000, 100_000] {
            if users <= limits.waiting {
                of_users(&dir, users, limits).await;
            }
        }
        waiting(&dir, limits).await;
    });
    let _ = std::fs::remove_dir_all(&dir);
}

/// Prints a point: `x` and its values.
fn point(group: &str, x: &str, values: &[(&str, f64)]) {
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

fn open(dir: &Path, name: &str, durability: Durability) -> Arc<EmbeddedStore> {
    let options =
        Options { memory_bytes_max: u64::MAX, durability, ..Options::new(Clock::system()) };
    Arc::new(EmbeddedStore::open(dir.join(name), options).expect("it opens"))
}

async fn close(store: &EmbeddedStore, dir: &Path, name: &str) {
    store.close().await;
    let _ = std::fs::remove_dir_all(dir.join(name));
}

fn draft(user: u64, now_ms: i64) -> NewTask {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let pad = "x".repeat(PAYLOAD_BYTES);
    NewTask {
        event: Text::from(r#""k":"noop","max":3"#),
        lane_max: u32::MAX,
        ..NewTask::new(
            UserId::encode(&format!("user-{user}")),
            TaskId::new(now_ms, number),
            "noop".parse().expect("a name"),
            format!(r#"{{"k":"noop","at":{now_ms},"max":3,"p":"{pad}"}}"#),
        )
    }
}

/// Acks what is `held` and claims up to `batch`; none if that is 0.
fn sync(caller: usize, call: u64, held: &[Held], batch: usize) -> Sync {
    let ack = |held: &Held| Op {
        lease: held.lease.clone(),
        report: Report::Ack {
            write: Write { n: held.n + 1, body: Text::from(r#""st":1,"ho":true"#), event: None },
            keep_s: 3_600,
        },
    };
    let limit = u32::try_from(batch).expect("a small batch");
    let queues = vec!["noop".parse().expect("a name")];
    Sync {
        worker: format!("w-{caller}").parse().expect("a worker id"),
        call,
        lease_ms: 30_000,
        ops: held.iter().map(ack).collect(),
        claim: (batch > 0).then_some(Claim::new(queues, limit)),
        woken: Vec::new(),
        park: false,
    }
}

/// Submits `count` more tasks, evenly to `users`, until `until`; how many.
async fn fill(store: &Arc<EmbeddedStore>, users: u64, count: u64, until: Instant) -> u64 {
    let callers: Vec<_> = (0..CALLERS as u64)
        .map(|n| {
            let store = Arc::clone(store);
            let all = CALLERS as u64;
            let mine = count / all + u64::from(n < count % all);
            tokio::spawn(async move {
                let clock = Clock::system();
                let (mut left, mut user) = (mine, n);
                while left > 0 && Instant::now() < until {
                    let now_ms = clock.now_ms();
                    let size = left.min(SUBMIT_TASKS_MAX as u64);
                    let tasks = (0..size)
                        .map(|_| {
                            user += all;
                            draft(user % users, now_ms)
                        })
                        .collect();
                    let batch = Submit { created_ms: now_ms, tasks };
                    store.submit(P, batch).await.expect("accepted");
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

/// Lifecycles by callers with batches, for a while; how many per second.
async fn rounds(store: &Arc<EmbeddedStore>, users: u64, length: Duration) -> (u64, f64) {
    let since = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let clock = Clock::system();
                let (mut done, mut held) = (0_u64, Vec::<Held>::new());
                let mut call = 0;
                while since.elapsed() < length {
                    call += 1;
                    let now_ms = clock.now_ms();
                    let user = (call * CALLERS as u64 + caller as u64) % users;
                    let tasks = (0..BATCH).map(|_| draft(user, now_ms)).collect();
                    let submit = store.submit(P, Submit { created_ms: now_ms, tasks });
                    let sync = store.sync(P, sync(caller, call, &held, BATCH));
                    let (submitted, synced) = tokio::join!(submit, sync);
                    submitted.expect("accepted");
                    let synced = synced.expect("answered");
                    assert!(synced.refused.is_empty(), "every lease is held");
                    done += held.len() as u64;
                    held = synced.claimed;
                }
                done += held.len() as u64;
                store.sync(P, sync(caller, call + 1, &held, 0)).await.expect("answered");
                done
            })
        })
        .collect();
    let mut done = 0;
    for caller in callers {
        done += caller.await.expect("a caller ends");
    }
    (done, done as f64 / since.elapsed().as_secs_f64())
}

/// One claim after the other, each with its ack, and one submit before it; sorted.
async fn claims(store: &Arc<EmbeddedStore>, users: u64, count: usize) -> Vec<Duration> {
    let clock = Clock::system();
    let (mut held, mut times) = (Vec::new(), Vec::with_capacity(count));
    for call in 1..=count as u64 {
        let now_ms = clock.now_ms();
        let batch = Submit { created_ms: now_ms, tasks: vec![draft(call % users, now_ms)] };
        store.submit(P, batch).await.expect("accepted");
        let request = sync(CALLERS, call, &held, 1);
        let since = Instant::now();
        held = store.sync(P, request).await.expect("answered").claimed;
        times.push(since.elapsed());
        assert_eq!(held.len(), 1, "there is always more");
    }
    store.sync(P, sync(CALLERS, 0, &held, 0)).await.expect("answered");
    times.sort_unstable();
    times
}

/// Submits of one task by so many producers at once, for a while; sorted.
async fn submits(store: &Arc<EmbeddedStore>, producers: usize, length: Duration) -> Vec<Duration> {
    let since = Instant::now();
    let callers: Vec<_> = (0..producers as u64)
        .map(|producer| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let clock = Clock::system();
                let mut times = Vec::new();
                while since.elapsed() < length {
                    let now_ms = clock.now_ms();
                    let tasks = vec![draft(producer % USERS, now_ms)];
                    let at = Instant::now();
                    let batch = Submit { created_ms: now_ms, tasks };
                    store.submit(P, batch).await.expect("accepted");
                    times.push(at.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for caller in callers {
        times.extend(caller.await.expect("a producer ends"));
    }
    times.sort_unstable();
    times
}

/// A share of 100 took no longer, µs.
fn at(times: &[Duration], share: usize) -> f64 {
    times.get(times.len() * share / 100).map_or(0.0, |time| time.as_nanos() as f64 / 1e3)
}

async fn measured(
    store: &Arc<EmbeddedStore>,
    users: u64,
    limits: Limits,
) -> Vec<(&'static str, f64)> {
    rounds(store, users, limits.point / 10).await;
    let (_, per_s) = rounds(store, users, limits.point).await;
    let count = CLAIMS.min(usize::try_from(limits.point.as_millis()).unwrap_or(CLAIMS));
    let times = claims(store, users, count).await;
    vec![("per_s", per_s), ("claim_p50_us", at(&times, 50)), ("claim_p99_us", at(&times, 99))]
}

/// More and more tasks wait.
async fn waiting(dir: &Path, limits: Limits) {
    let store = open(dir, "waiting", Durability::Disk);
    fill(&store, USERS, USERS, far()).await;
    rounds(&store, USERS, limits.point / 5).await;
    let (mut waiting, mut asked) = (0, 10_u64);
    let until = Instant::now() + limits.fill;
    while asked <= limits.waiting {
        let more = asked - waiting;
        if more * TASK_BYTES_MAX + REST_BYTES > free_bytes() {
            note("embedded.waiting", &format!("{asked} waiting tasks do not fit into memory"));
            break;
        }
        if more * TASK_DISK_BYTES_MAX + REST_BYTES > free_disk_bytes(dir) {
            note("embedded.waiting", &format!("{asked} waiting tasks do not fit on the disk"));
            break;
        }
        let (before, since) = (resident_bytes(), Instant::now());
        let filled = fill(&store, USERS, more, until).await;
        let took = since.elapsed().as_secs_f64();
        let bytes = resident_bytes().saturating_sub(before) as f64 / filled.max(1) as f64;
        waiting += filled;
        let mut values = measured(&store, USERS, limits).await;
        // Of fewer the pages of memory show nothing.
        if filled >= 10_000 {
            values.extend([("bytes", bytes), ("submit_per_s", filled as f64 / took)]);
        }
        point("embedded.waiting", &waiting.to_string(), &values);
        if waiting < asked {
            let seconds = limits.fill.as_secs();
            note("embedded.waiting", &format!("ended after {seconds} s of submitting"));
            break;
        }
        asked *= 10;
    }
    close(&store, dir, "waiting").await;
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3_600)
}

/// The same tasks wait, of `users` users.
async fn of_users(dir: &Path, users: u64, limits: Limits) {
    let store = open(dir, "users", Durability::Disk);
    fill(&store, users, WAITING.min(limits.waiting), far()).await;
    point("embedded.users", &users.to_string(), &measured(&store, users, limits).await);
    close(&store, dir, "users").await;
}

/// Each class of durability.
async fn classes(dir: &Path, limits: Limits) {
    for class in [Durability::Memory, Durability::Disk] {
        let store = open(dir, class.name(), class);
        let before = flushes();
        let (done, per_s) = rounds(&store, USERS, limits.point * 2).await;
        let flushed = flushes() - before;
        let one = submits(&store, 1, limits.point).await;
        let before = flushes();
        let many = submits(&store, PRODUCERS, limits.point).await;
        let flushed_by_many = flushes() - before;
        point(
            "embedded.classes",
            &format!("\"{}\"", class.name()),
            &[
                ("per_s", per_s),
                ("flushes", flushed as f64 / done.max(1) as f64),
                ("submit_p50_us", at(&one, 50)),
                ("submit_p99_us", at(&one, 99)),
                ("many_per_s", many.len() as f64 / limits.point.as_secs_f64()),
                ("many_p50_us", at(&many, 50)),
                ("many_p99_us", at(&many, 99)),
                ("many_flushes", flushed_by_many as f64 / many.len().max(1) as f64),
            ],
        );
        close(&store, dir, class.name()).await;
    }
}

/// Caches of the machine's disks written back since its start: every fsync is at least one.
fn flushes() -> u64 {
    let disks = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let stats = disks.filter_map(|disk| std::fs::read_to_string(disk.path().join("stat")).ok());
    stats.filter_map(|stat| stat.split_whitespace().nth(15)?.parse::<u64>().ok()).sum()
}

fn kib(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}

fn resident_bytes() -> u64 {
    kib("/proc/self/status", "VmRSS:")
}

fn free_bytes() -> u64 {
    kib("/proc/meminfo", "MemAvailable:")
}

fn free_disk_bytes(dir: &Path) -> u64 {
    let free = nix::sys::statvfs::statvfs(dir);
    free.map_or(0, |free| free.blocks_available() * free.fragment_size())
}
