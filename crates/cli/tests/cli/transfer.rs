//! A whole store from an embedded one to Redis and back: what comes out of each is the same.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Output, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tasktonic_core::WorkerId;
use tasktonic_store::clock::Clock;
use tasktonic_store::conformance::{Subject, differential};
use tasktonic_store::{Expect, Registry as _, Store, Table};
use tasktonic_store_embedded::{EmbeddedStore, Options};
use tasktonic_store_redis::RedisStore;
use tasktonic_testkit::{Redis, Scratch, redis};

use crate::support::tasktonic;

struct Walker(Arc<EmbeddedStore>);

#[async_trait]
impl Subject for Walker {
    fn store(&self) -> Arc<dyn Store> {
        self.0.clone()
    }
    fn restarts(&self) -> bool {
        false
    }
    async fn restart(&mut self, _: bool) {}
    async fn dump(&self) -> String {
        self.0.dump().await.unwrap()
    }
}

/// A closed store after a random walk, with some records.
async fn walked(seed: u64) -> Scratch {
    let (clock, hand) = Clock::manual(Clock::system().now_ms());
    let scratch = Scratch::new();
    let store = EmbeddedStore::open(scratch.path(), Options::new(clock.clone())).unwrap();
    let store = Arc::new(store);
    differential(seed, 250, clock, hand, &mut Walker(store.clone())).await.unwrap();
    for n in 0..3 {
        let value = format!("{{\"n\":{n}}}");
        store.put(Table::Accounts, &format!("a{n}"), value, Expect::Any).await.unwrap();
    }
    store.close().await;
    scratch
}

fn export(store: &str) -> Output {
    tasktonic().args(["export", "--json"]).env("TASKTONIC_STORE", store).output().unwrap()
}

fn import(store: &str, lines: &[u8]) -> Output {
    let scratch = Scratch::new();
    let file = scratch.join("lines");
    std::fs::write(&file, lines).unwrap();
    let stdin = Stdio::from(std::fs::File::open(&file).unwrap());
    tasktonic()
        .args(["import", "--json"])
        .env("TASKTONIC_STORE", store)
        .stdin(stdin)
        .output()
        .unwrap()
}

fn good(output: Output) -> Vec<u8> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Lines by what their order means: those of a user in order, all others in none.
fn sorted(lines: &[u8]) -> (BTreeMap<String, Vec<String>>, BTreeSet<String>) {
    let (mut users, mut others) = (BTreeMap::<String, Vec<String>>::new(), BTreeSet::new());
    let mut user = String::new();
    for line in std::str::from_utf8(lines).unwrap().lines() {
        let parsed: Value = serde_json::from_str(line).unwrap();
        match parsed["line"].as_str().unwrap() {
            "head" | "end" => {}
            "task" => {
                user = parsed["user"].as_str().unwrap().to_owned();
                users.entry(user.clone()).or_default().push(line.to_owned());
            }
            "attempts" | "log" => users.get_mut(&user).unwrap().push(line.to_owned()),
            _ => {
                others.insert(line.to_owned());
            }
        }
    }
    (users, others)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_moves_to_redis_and_back_and_stays_the_same() {
    for seed in 0..4 {
        let first = walked(seed).await;
        let redis = Redis::start(redis::Options::default());
        let back = Scratch::new();
        let embedded = |scratch: &Scratch| format!("embedded:{}", scratch.path().display());

        let one = good(export(&embedded(&first)));
        good(import(&redis.url(), &one));
        let two = good(export(&redis.url()));
        good(import(&embedded(&back), &two));
        let three = good(export(&embedded(&back)));

        let (users, others) = sorted(&one);
        assert!(!users.is_empty() && others.len() >= 3, "seed {seed}: {others:?}");
        assert_eq!(sorted(&two), (users.clone(), others.clone()), "seed {seed}, from Redis");
        assert_eq!(sorted(&three), (users, others), "seed {seed}, from the last");

        // What is there now is a store in order, whose work can be done.
        let options = tasktonic_store_redis::Options {
            reconcile_every: None,
            ..tasktonic_store_redis::Options::new(Clock::system())
        };
        let store = RedisStore::open(&redis.url().parse().unwrap(), options).await.unwrap();
        for p in (0..store.partitions()).map(tasktonic_core::routing::PartitionId) {
            let wrong = store.check(p).await.unwrap();
            assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
            assert_eq!(store.reconcile(p).await.unwrap(), 0, "{:?}", store.repairs());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_overwritten_or_half_there_is_refused() {
    let first = walked(9).await;
    let one = good(export(&format!("embedded:{}", first.path().display())));
    let redis = Redis::start(redis::Options::default());

    // Cut short: the store does not open, and the import can be run again.
    let short = &one[..one.len() / 2];
    let refused = import(&redis.url(), short);
    assert_eq!(refused.status.code(), Some(1));
    let refused = export(&redis.url());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("cut short") && refused.status.code() == Some(1), "{said}");
    good(import(&redis.url(), &one));
    assert_eq!(sorted(&good(export(&redis.url()))), sorted(&one));

    // Over something.
    let refused = import(&redis.url(), &one);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("already"), "{said}");

    // Used by somebody.
    let options = tasktonic_store_redis::Options::new(Clock::system());
    let store = RedisStore::open(&redis.url().parse().unwrap(), options).await.unwrap();
    let worker: WorkerId = "w-1".parse().unwrap();
    let wakes = store.wakes(&worker);
    let since = std::time::Instant::now();
    while store.listeners().await.unwrap() == 0 {
        assert!(since.elapsed().as_secs() < 20, "nobody is seen listening");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let refused = export(&redis.url());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("--while-running") && refused.stdout.is_empty(), "{said}");
    let forced = tasktonic()
        .args(["export", "--while-running"])
        .env("TASKTONIC_STORE", redis.url())
        .output()
        .unwrap();
    assert_eq!(sorted(&good(forced)), sorted(&one));
    drop(wakes);

    // Nothing there, and nothing named.
    let nowhere = Scratch::new();
    let refused = export(&format!("embedded:{}", nowhere.path().display()));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no store"));
    assert!(!nowhere.join("tasks.db").exists());
    let refused = tasktonic().arg("export").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}
