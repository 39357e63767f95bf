//! Lists of a user with very many tasks: what is looked at for a page, and, printed only, how long it
//! takes.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::search::Search;
use tasktonic_store::clock::Clock;
use tasktonic_store::conformance::{RARE, crowd, first_pages};
use tasktonic_store::{Query, QueryReply, Store as _, TaskFilter};
use tasktonic_store_redis::RedisStore;
use tasktonic_testkit::redis::{Redis, Server};

const TASKS: u64 = 100_000;

/// How often each of some commands was called so far.
fn counted(redis: &Redis, names: &[&str]) -> Vec<u64> {
    let stats = redis.info("commandstats");
    let of = |name: &&str| {
        let said = stats.get(&format!("cmdstat_{name}"));
        let calls = said.and_then(|said| said.split(',').next()?.strip_prefix("calls="));
        calls.map_or(0, |calls| calls.parse().unwrap())
    };
    names.iter().map(of).collect()
}

async fn page(store: &RedisStore, filter: TaskFilter) -> usize {
    let user = "crowd".parse().unwrap();
    let p = partition_of(&user, store.partitions());
    let query = Query::List { user, filter, cursor: None, limit: 50 };
    let QueryReply::List(page) = store.read(p, query).await.unwrap() else { panic!() };
    assert_eq!(page.next, None);
    page.tasks.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_rare_among_100_000_is_found_without_a_look_at_the_others() {
    let redis = common::server(Server::Redis);
    let store = common::open(&redis, Clock::system(), 1).await;
    assert_eq!(store.partitions(), 1);
    let user = crowd(&store, TASKS).await;
    for (filter, found, slices) in [
        (TaskFilter { tag: Some("Rare one".into()), ..TaskFilter::default() }, RARE, 30),
        (TaskFilter { search: Search::of("rare").unwrap(), ..TaskFilter::default() }, RARE, 60),
        (TaskFilter { search: Search::of("middle").unwrap(), ..TaskFilter::default() }, 8, 60),
    ] {
        let names = ["zrange", "mget", "getrange"];
        let before = counted(&redis, &names);
        assert_eq!(page(&store, filter.clone()).await as u64, found);
        let after = counted(&redis, &names);
        let [ranges, records, states] = [0, 1, 2].map(|at| after[at] - before[at]);
        println!("{filter:?}: {ranges} slices, {records} records, {states} states");
        assert!(ranges <= slices, "{ranges} slices of 4,000 for {TASKS} entries");
        assert_eq!((records, states), (found, 0), "only what is meant is looked at");
    }
    for page in first_pages(&store, &user, 20).await {
        println!("{TASKS} tasks, {page}");
    }
    assert_eq!(store.reconcile(PartitionId(0)).await.unwrap(), 0);
}

/// A task of a store of before entries said anything, and lists of states that were removed by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_says_nothing_is_looked_at_and_repaired() {
    let redis = common::server(Server::Redis);
    let store = common::open(&redis, Clock::system(), 1).await;
    let user = crowd(&store, 300).await;
    let rare = || TaskFilter { tag: Some("Rare one".into()), ..TaskFilter::default() };
    let failed = || TaskFilter { search: Search::of("middle").unwrap(), ..TaskFilter::default() };
    let index = redis.cli(&["KEYS", "tt:*:u:crowd:i"]).trim().to_owned();
    let good = redis.cli(&["ZRANGE", &index, "0", "-1"]);
    let mut entries: Vec<&str> = good.lines().collect();
    // Each is of several lines; the first of each is its id.
    entries.retain(|line| line.parse::<tasktonic_core::TaskId>().is_ok());
    assert_eq!(entries.len(), 300);
    redis.cli(&["DEL", &index]);
    for id in &entries {
        redis.cli(&["ZADD", &index, "0", id]);
    }
    let dead = redis.cli(&["KEYS", "tt:*:u:crowd:s:dead"]).trim().to_owned();
    assert_eq!(redis.cli(&["ZCARD", &dead]).trim(), "8");
    assert_eq!(page(&store, rare()).await as u64, RARE);
    assert_eq!(page(&store, failed()).await, 8);
    redis.cli(&["DEL", &dead]);
    let p = partition_of(&user, store.partitions());
    assert_eq!(store.reconcile(p).await.unwrap(), 308);
    assert_eq!(redis.cli(&["ZRANGE", &index, "0", "-1"]), good);
    assert_eq!(page(&store, rare()).await as u64, RARE);
    assert_eq!(page(&store, failed()).await, 8);
    assert_eq!(store.reconcile(p).await.unwrap(), 0);
    assert!(store.dump(p).await.unwrap().starts_with("epoch"));
}
