//! A rate: in which time tasks start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::settings::{QueueSettings, Rate};
use tasktonic_store_redis::RedisStore;
use tasktonic_testkit::redis::{Options as OfServer, Redis};

use super::{ALL_DONE, PARTITIONS, USERS, meta, open, submit, sync};

/// Each user's.
const TASKS: u64 = 8;
const RATE: Rate = Rate { tasks: 40, per_ms: 1_000, burst: 10 };
const POOL: &str = "tt:{lim:mail}:starts";

async fn set(store: &RedisStore, version: u64, rate_total: Option<Rate>) {
    super::set(store, version, QueueSettings { rate_total, ..QueueSettings::default() }).await;
}

/// One start: not before the call was sent, and not after it was answered.
struct Start {
    sent: Instant,
    heard: Instant,
    p: u16,
}

/// Works as long as anything is left: what it takes is over at once.
async fn work(
    store: RedisStore,
    name: String,
    starts: Arc<Mutex<Vec<Start>>>,
    ends: Arc<AtomicBool>,
) {
    let mut call = 0;
    while !ends.load(Ordering::SeqCst) {
        for p in (0..PARTITIONS).map(PartitionId) {
            let sent = Instant::now();
            let taken = sync(&store, &name, &mut call, p, Vec::new(), 4).await.claimed;
            let heard = Instant::now();
            starts.lock().extend(taken.iter().map(|_| Start { sent, heard, p: p.0 }));
            if !taken.is_empty() {
                sync(&store, &name, &mut call, p, taken, 0).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The most that any stretch of time had above the rate: what surely started inside of it, from the first
/// call that was sent in it to the last that was answered.
fn most_above(starts: &[Start], rate: Rate) -> i64 {
    let mut most = i64::MIN;
    for from in starts {
        let inside = starts.iter().filter(|one| one.sent >= from.sent);
        let mut heard: Vec<Instant> = inside.map(|one| one.heard).collect();
        heard.sort();
        for (count, until) in (1_i64..).zip(&heard) {
            let long_us = i64::try_from(until.duration_since(from.sent).as_micros()).unwrap();
            let made = long_us * i64::from(rate.tasks) / (i64::from(rate.per_ms) * 1_000);
            most = most.max(count - made);
        }
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_share_a_rate_and_never_pass_it_whatever_is_lost() {
    let redis = Redis::start(OfServer::default());
    let store = open(&redis).await;
    set(&store, 1, Some(RATE)).await;
    submit(&store, 0..USERS, TASKS, 0).await;
    let (starts, ends) = (Arc::default(), Arc::<AtomicBool>::default());
    let mut workers = Vec::new();
    for number in 0..4 {
        let store = open(&redis).await;
        let name = format!("w-{number}");
        workers.push(tokio::spawn(work(store, name, Arc::clone(&starts), ends.clone())));
    }
    let (began, all) = (Instant::now(), usize::try_from(USERS * TASKS).unwrap());
    let mut lost = 0;
    while starts.lock().len() < all {
        let done = starts.lock().len();
        assert!(began.elapsed() < ALL_DONE, "{done} of {all} have started");
        tokio::time::sleep(Duration::from_millis(400)).await;
        if lost < 6 {
            // The pool, or what a partition knows of itself.
            if lost % 2 == 0 {
                redis.cli(&["DEL", POOL]);
            } else {
                redis.cli(&["HDEL", &meta(lost), "r:mail"]);
            }
            lost += 1;
        }
    }
    let took = began.elapsed();
    ends.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.await.unwrap();
    }
    let starts = std::mem::take(&mut *starts.lock());
    let above = most_above(&starts, RATE);
    assert!(above <= i64::from(RATE.burst), "{above} started above the rate");
    let mut by_partition = BTreeMap::new();
    for start in &starts {
        *by_partition.entry(start.p).or_insert(0) += 1;
    }
    for p in (0..PARTITIONS).map(PartitionId) {
        assert_eq!(store.check(p).await.unwrap(), Vec::<String>::new());
    }
    println!("{all} tasks in {took:?}, at most {above} above the rate, {by_partition:?}");
}

/// How often somebody has balanced: nobody else reads a whole HASH, and each does so once or twice.
fn balances(redis: &Redis) -> u64 {
    let stats = redis.info("commandstats");
    let of = stats.get("cmdstat_hgetall");
    let calls = of.and_then(|of| of.strip_prefix("calls=")?.split(',').next()?.parse().ok());
    calls.unwrap_or(0) / 2
}

/// A rate that is left alone is used: many processes, and all of a burst is there for one partition.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_rate_gives_is_used() {
    let redis = Redis::start(OfServer::default());
    let store = open(&redis).await;
    let rate = Rate { tasks: 100, per_ms: 1_000, burst: 20 };
    set(&store, 1, Some(rate)).await;
    submit(&store, 0..USERS, 6, 0).await;
    let (starts, ends) = (Arc::default(), Arc::<AtomicBool>::default());
    let mut workers = Vec::new();
    for number in 0..3 {
        let store = open(&redis).await;
        let name = format!("w-{number}");
        workers.push(tokio::spawn(work(store, name, Arc::clone(&starts), ends.clone())));
    }
    let (began, all) = (Instant::now(), usize::try_from(USERS * 6).unwrap());
    let before = balances(&redis);
    while starts.lock().len() < all {
        assert!(began.elapsed() < ALL_DONE, "{} of {all} have started", starts.lock().len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    let balanced = balances(&redis) - before;
    ends.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.await.unwrap();
    }
    assert!(balanced < all as u64, "{balanced} times balanced for {all} tasks");
    let starts = std::mem::take(&mut *starts.lock());
    let above = most_above(&starts, rate);
    assert!(above <= i64::from(rate.burst), "{above} started above the rate");
    println!(
        "{all} tasks in {took:?} where the rate allows them in 2.2 s, at most {above} above it, {balanced} times balanced"
    );
}

/// What is said of starts moves nothing else: no key of it is left when the rate is taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_that_is_taken_back_leaves_nothing_behind() {
    let redis = Redis::start(OfServer::default());
    let store = open(&redis).await;
    assert_eq!(redis.cli(&["KEYS", "*lim:*"]), "", "what nobody uses costs nothing");
    set(&store, 1, Some(RATE)).await;
    assert_eq!(redis.cli(&["HGET", POOL, "version"]), "1");
    set(&store, 2, None).await;
    assert_eq!(redis.cli(&["KEYS", "*:starts"]), "");
    for of in redis.cli(&["KEYS", "*:meta"]).lines() {
        assert_eq!(redis.cli(&["HGET", of, "r:mail"]), "", "{of}");
        assert_eq!(redis.cli(&["HGET", of, "closed"]), "0", "{of}");
    }
}

/// One that balances and is gone after it has granted, and before it could tell, holds up nobody: who was
/// never told is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_was_never_told_is() {
    let redis = Redis::start(OfServer::default());
    let store = open(&redis).await;
    let rate = Rate { tasks: 1_000, per_ms: 1_000, burst: 30 };
    set(&store, 1, Some(rate)).await;
    submit(&store, 0..USERS, 1, 0).await;
    // As if somebody had granted all to one partition, and died.
    for p in 0..PARTITIONS {
        let (n, v) = if p == 3 { (30, 9_000_000_000_000_000_u64) } else { (0, 1) };
        redis.cli(&["HSET", POOL, &format!("p{p}"), &format!("{n},{v},0,1")]);
        redis.cli(&["HSET", &meta(p), "r:mail", "0,0,1,0,,"]);
    }
    let (began, mut started, mut call) = (Instant::now(), 0, 0);
    while started < USERS {
        assert!(began.elapsed() < ALL_DONE, "{started} have started");
        for p in (0..PARTITIONS).map(PartitionId) {
            let taken = sync(&store, "w-1", &mut call, p, Vec::new(), 2).await.claimed;
            started += taken.len() as u64;
            sync(&store, "w-1", &mut call, p, taken, 0).await;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
