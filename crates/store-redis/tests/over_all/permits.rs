//! A limit on what runs at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tasktonic_core::UserId;
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::settings::QueueSettings;
use tasktonic_store_redis::RedisStore;
use tasktonic_testkit::redis::{Options as OfServer, Redis};

use super::{ALL_DONE, PARTITIONS, USERS, meta, open, submit, sync};

/// Each user's.
const TASKS: u64 = 12;
const LIMIT: u32 = 5;
const POOL: &str = "tt:{lim:mail}:permits";

async fn set(store: &RedisStore, version: u64, running_total_max: Option<u32>) {
    super::set(store, version, QueueSettings { running_total_max, ..QueueSettings::default() })
        .await;
}

/// What runs at this moment, and the most that ever did.
#[derive(Default)]
struct Watch {
    running: AtomicU32,
    most: AtomicU32,
    done: AtomicU32,
    ends: AtomicBool,
}

/// Works as long as anything is left: what it holds it holds for a moment.
async fn work(store: RedisStore, name: String, watch: Arc<Watch>) {
    let mut call = 0;
    while !watch.ends.load(Ordering::SeqCst) {
        for p in (0..PARTITIONS).map(PartitionId) {
            let mut held = sync(&store, &name, &mut call, p, Vec::new(), 2).await.claimed;
            while let Some(over) = held.pop() {
                let now = watch.running.fetch_add(1, Ordering::SeqCst) + 1;
                watch.most.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(3)).await;
                // It ends in the store a moment after this, never before.
                watch.running.fetch_sub(1, Ordering::SeqCst);
                sync(&store, &name, &mut call, p, vec![over], 0).await;
                watch.done.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_share_a_limit_and_never_pass_it_whatever_is_lost() {
    let redis = Redis::start(OfServer::default());
    let store = open(&redis).await;
    set(&store, 1, Some(LIMIT)).await;
    submit(&store, 0..USERS, TASKS, 0).await;
    let watch = Arc::new(Watch::default());
    let mut workers = Vec::new();
    for number in 0..4 {
        let store = open(&redis).await;
        workers.push(tokio::spawn(work(store, format!("w-{number}"), watch.clone())));
    }
    let (began, all) = (Instant::now(), u32::try_from(USERS * TASKS).unwrap());
    let mut lost = 0;
    while watch.done.load(Ordering::SeqCst) < all {
        let done = watch.done.load(Ordering::SeqCst);
        assert!(began.elapsed() < ALL_DONE, "{done} of {all} are done");
        tokio::time::sleep(Duration::from_millis(150)).await;
        if lost < PARTITIONS {
            // The pool, or what a partition knows of itself.
            if lost % 2 == 0 {
                redis.cli(&["DEL", POOL]);
            } else {
                redis.cli(&["HDEL", &meta(lost), "t:mail"]);
            }
            lost += 1;
        }
    }
    watch.ends.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.await.unwrap();
    }
    let most = watch.most.load(Ordering::SeqCst);
    assert!(most <= LIMIT && most > 1, "{most} ran at once");
    for p in (0..PARTITIONS).map(PartitionId) {
        assert_eq!(store.check(p).await.unwrap(), Vec::<String>::new());
    }
    println!("{all} tasks in {:?}, at most {most} at once", began.elapsed());
}

/// What is said of permits moves nothing else: no key of it is left when the limit is taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_is_taken_back_leaves_nothing_behind() {
    let redis = Redis::start(OfServer::default());
    let store = open(&redis).await;
    assert_eq!(redis.cli(&["KEYS", "*lim:*"]), "", "what nobody uses costs nothing");
    set(&store, 1, Some(LIMIT)).await;
    assert_eq!(redis.cli(&["HGET", POOL, "version"]), "1");
    set(&store, 2, None).await;
    assert_eq!(redis.cli(&["KEYS", "*:permits"]), "");
    for of in redis.cli(&["KEYS", "*:meta"]).lines() {
        assert_eq!(redis.cli(&["HGET", of, "t:mail"]), "", "{of}");
        assert_eq!(redis.cli(&["HGET", of, "closed"]), "0", "{of}");
    }
}

/// The first task of any partition starts with the first claim where there are idle permits, and one that
/// balances and is gone holds up nobody: a partition that was never told of its grant is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_permits_are_spread_and_a_grant_that_was_never_told_is() {
    let redis = Redis::start(OfServer::default());
    let store = open(&redis).await;
    set(&store, 1, Some(u32::from(PARTITIONS))).await;
    let grants = redis.cli(&["HGETALL", POOL]);
    for p in 0..PARTITIONS {
        assert!(grants.contains(&format!("p{p}\n1,")), "{grants}");
    }
    let mut call = 0;
    for p in (0..PARTITIONS).map(PartitionId) {
        let lives =
            |user: &u64| partition_of(&UserId::encode(&format!("user-{user}")), PARTITIONS) == p;
        let user = (0..).find(lives).unwrap();
        submit(&store, user..user + 1, 1, 500).await;
        let taken = sync(&store, "w-1", &mut call, p, Vec::new(), 9).await.claimed;
        assert_eq!(taken.len(), 1, "{p:?}");
        sync(&store, "w-1", &mut call, p, taken, 0).await;
    }
    submit(&store, 0..USERS, 1, 0).await;
    // As if somebody had granted all to one partition, and died.
    for p in 0..PARTITIONS {
        let (n, v) = if p == 3 { (8, 9_000_000_000_000_000_u64) } else { (0, 1) };
        redis.cli(&["HSET", POOL, &format!("p{p}"), &format!("{n},{v}")]);
        redis.cli(&["HSET", &meta(p), "t:mail", "0,0,1,0"]);
    }
    let began = Instant::now();
    let mut started = 0;
    while started < USERS {
        assert!(began.elapsed() < ALL_DONE, "{started} have started");
        for p in (0..PARTITIONS).map(PartitionId) {
            for held in sync(&store, "w-1", &mut call, p, Vec::new(), 2).await.claimed {
                started += 1;
                sync(&store, "w-1", &mut call, p, vec![held], 0).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
