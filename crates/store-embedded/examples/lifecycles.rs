//! Figures: durable lifecycles per second and what a submit waits, beside one fdatasync of the same
//! disk. `cargo run --release -p tasktonic-store-embedded --example lifecycles [folder] [seconds]`.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tasktonic_core::command::{Claim, NewTask, Op, Report, Submit, Sync, Write};
use tasktonic_core::limits::SUBMIT_TASKS_MAX;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{TaskId, Text, UserId};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Held, Store};
use tasktonic_store_embedded::{EmbeddedStore, Options};

const P: PartitionId = PartitionId(0);
/// Users that the tasks belong to.
const USERS: u64 = 100;
/// Bytes of a payload.
const PAYLOAD_BYTES: usize = 200;

static NUMBER: AtomicU64 = AtomicU64::new(1);

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = args.next().map_or(5, |seconds| seconds.parse().expect("a number of seconds"));
    let length = Duration::from_secs(seconds);
    let dir = dir.join(format!("lifecycles-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("the folder can be made");
    println!("{} s each, {USERS} users, {PAYLOAD_BYTES} bytes of payload", length.as_secs());
    println!("fdatasync of 4 KiB: p50 {} µs", fdatasync_p50(&dir));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        for batch in [1, 16, 64, 256, 1_024] {
            lifecycles(&dir, batch, length).await;
        }
        for producers in [1, 256] {
            submits(&dir, producers, length).await;
        }
    });
    println!("fdatasync of 4 KiB: p50 {} µs", fdatasync_p50(&dir));
    let _ = std::fs::remove_dir_all(&dir);
}

fn p(samples: &mut [u64], share: usize) -> u64 {
    samples.sort_unstable();
    samples.get(samples.len() * share / 100).copied().unwrap_or(0)
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// One write of 4 KiB at the end of a file, synced, as a commit of one row is.
fn fdatasync_p50(dir: &Path) -> u64 {
    let path = dir.join("sync");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(path);
    let file = file.expect("a file can be made");
    let mut samples = Vec::new();
    for at in 0..2_000 {
        let since = Instant::now();
        file.write_all_at(&[7; 4_120], at * 4_120).expect("it can be written");
        file.sync_data().expect("it can be synced");
        samples.push(micros(since));
    }
    p(&mut samples, 50)
}

fn open(dir: &Path, name: &str) -> Arc<EmbeddedStore> {
    let options = Options { memory_bytes_max: u64::MAX, ..Options::new(Clock::system()) };
    Arc::new(EmbeddedStore::open(dir.join(name), options).expect("it opens"))
}

fn draft(now_ms: i64) -> NewTask {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let pad = "x".repeat(PAYLOAD_BYTES);
    NewTask {
        event: Text::from(r#""k":"mail","q":"mail","max":3"#),
        lane_max: u32::MAX,
        ..NewTask::new(
            UserId::encode(&format!("user-{}", number % USERS)),
            TaskId::new(now_ms, number),
            "mail".parse().expect("a name"),
            format!(r#"{{"v":1,"k":"mail","q":"mail","at":{now_ms},"max":3,"p":"{pad}"}}"#),
        )
    }
}

/// Rounds of `batch` submits, claims and acks each, on two lanes of callers so that one prepares
/// while the other waits for its commit.
async fn lifecycles(dir: &Path, batch: usize, length: Duration) {
    let store = open(dir, &format!("batch-{batch}"));
    let calls = batch.div_ceil(SUBMIT_TASKS_MAX);
    let size = batch / calls;
    let since = Instant::now();
    let mut callers = Vec::new();
    for caller in 0..calls {
        let store = Arc::clone(&store);
        callers.push(tokio::spawn(async move {
            let clock = Clock::system();
            let (mut done, mut held, mut waits) = (0_u64, Vec::<Held>::new(), Vec::new());
            for call in 1.. {
                if since.elapsed() >= length {
                    break;
                }
                let now_ms = clock.now_ms();
                let tasks = (0..size).map(|_| draft(now_ms)).collect();
                let at = Instant::now();
                let sync = sync(caller, call, &held, size);
                let submit = store.submit(P, Submit { created_ms: now_ms, tasks });
                let (submitted, synced) = tokio::join!(submit, store.sync(P, sync));
                waits.push(micros(at));
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
    let seconds = since.elapsed().as_secs_f64();
    let closing = Instant::now();
    store.close().await;
    println!(
        "batch {batch:>4}: {:>7.0} lifecycles/s, a round p50 {} µs, p99 {} µs; closed in {} ms",
        done as f64 / seconds,
        p(&mut waits, 50),
        p(&mut waits, 99),
        closing.elapsed().as_millis(),
    );
    let since = Instant::now();
    let again = open(dir, &format!("batch-{batch}"));
    println!("            {done} tasks opened in {} ms", since.elapsed().as_millis());
    again.close().await;
    let _ = std::fs::remove_dir_all(dir.join(format!("batch-{batch}")));
}

fn sync(caller: usize, call: u64, held: &[Held], size: usize) -> Sync {
    let ack = |held: &Held| Op {
        lease: held.lease.clone(),
        report: Report::Ack {
            write: Write { n: held.n + 1, body: Text::from(r#""st":1,"ho":true"#), event: None },
            keep_s: 3_600,
        },
    };
    let limit = u32::try_from(size).expect("a small batch");
    Sync {
        worker: format!("w-{caller}").parse().expect("a worker id"),
        call,
        lease_ms: 30_000,
        ops: held.iter().map(ack).collect(),
        claim: Some(Claim::new(vec!["mail".parse().expect("a name")], limit)),
        woken: Vec::new(),
        park: false,
    }
}

/// Submits of one task by `producers` callers at once.
async fn submits(dir: &Path, producers: usize, length: Duration) {
    let store = open(dir, &format!("producers-{producers}"));
    let since = Instant::now();
    let mut callers = Vec::new();
    for _ in 0..producers {
        let store = Arc::clone(&store);
        callers.push(tokio::spawn(async move {
            let clock = Clock::system();
            let mut waits = Vec::new();
            while since.elapsed() < length {
                let now_ms = clock.now_ms();
                let batch = Submit { created_ms: now_ms, tasks: vec![draft(now_ms)] };
                let at = Instant::now();
                store.submit(P, batch).await.expect("accepted");
                waits.push(micros(at));
            }
            waits
        }));
    }
    let mut waits = Vec::new();
    for caller in callers {
        waits.extend(caller.await.expect("a producer ends"));
    }
    let seconds = since.elapsed().as_secs_f64();
    println!(
        "{producers:>3} producers: {:>7.0} submits/s, p50 {} µs, p99 {} µs",
        waits.len() as f64 / seconds,
        p(&mut waits, 50),
        p(&mut waits, 99),
    );
    store.close().await;
    let _ = std::fs::remove_dir_all(dir.join(format!("producers-{producers}")));
}
