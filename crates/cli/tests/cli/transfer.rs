//! A whole store from an embedded one to Redis, to another Redis and back: what comes out of each is
//! the same.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Output, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tasktonic_core::command::{
    After, Again, Claim, Control, NewSerial, NewTask, Node, Op, Report, Submit, Sync, Write,
};
use tasktonic_core::links::OnFailure;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::settings::{QueueSettings, Rate, Turns, UserSettings};
use tasktonic_core::{Name, TaskId, UserId, WorkerId};
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

/// What a walk may not come to: a turn that is kept until a later attempt, a task of that key which
/// waits for another, a turn whose holder is to stop, and what is set of queues.
async fn add_what_is_rare(store: &EmbeddedStore, now_ms: i64) {
    let p = PartitionId(0);
    let (user, queue): (UserId, Name) = ("dora".parse().unwrap(), "late".parse().unwrap());
    let other: UserId = "eli".parse().unwrap();
    let new = |user: &UserId, number| {
        let task = TaskId::new(now_ms, number);
        let descriptor = format!(r#"{{"v":1,"k":"late","q":"late","at":{now_ms},"max":3}}"#);
        let serial = Some(NewSerial { key: 5, stops_running: false });
        NewTask { serial, ..NewTask::new(user.clone(), task, queue.clone(), descriptor) }
    };
    let tasks = vec![new(&user, 1), new(&user, 2), new(&user, 3)];
    store.submit(p, Submit { created_ms: now_ms, tasks }).await.unwrap();
    let call = |call, ops, limit| Sync {
        worker: "w-9".parse().unwrap(),
        call,
        lease_ms: 10_000,
        ops,
        claim: Some(Claim::new(vec![queue.clone()], limit)),
        woken: Vec::new(),
        park: false,
    };
    let held = store.sync(p, call(1, Vec::new(), 1)).await.unwrap().claimed.remove(0);
    let write = Write { n: held.n + 1, body: r#""err":{"code":"e"}"#.into(), event: None };
    let (again, attempt) = (Again::At(now_ms + 3_600_000), r#"{"a":1,"o":"failed"}"#.into());
    let report = Report::Nack { write, again, attempt, keep_s: 60 };
    let ops = vec![Op { lease: held.lease, report }];
    store.sync(p, call(2, ops, 0)).await.unwrap();
    let after = vec![After { task: new(&user, 1).task, on_failure: OnFailure::ALL[0] }];
    let node = Node { new: new(&user, 4), part_of: None, gathers: None, after };
    let flow = Control::Flow { at_ms: now_ms, user: user.clone(), nodes: vec![node] };
    store.control(p, flow).await.unwrap();
    let tasks: Vec<NewTask> = (5..8).map(|number| new(&other, number)).collect();
    let (stopped, created_ms) = (tasks[0].task, now_ms);
    store.submit(p, Submit { created_ms, tasks }).await.unwrap();
    assert_eq!(store.sync(p, call(3, Vec::new(), 1)).await.unwrap().claimed.len(), 1);
    let after = vec![After { task: stopped, on_failure: OnFailure::ALL[0] }];
    let node = Node { new: new(&other, 8), part_of: None, gathers: None, after };
    let flow = Control::Flow { at_ms: now_ms, user: other.clone(), nodes: vec![node] };
    store.control(p, flow).await.unwrap();
    let (tasks, body) = (vec![stopped], r#""why":"asked""#.into());
    let stop = Control::Cancel { at_ms: now_ms, user: other, tasks, body, keep_s: 60 };
    store.control(p, stop).await.unwrap();
    let rate = Some(Rate { tasks: 2, per_ms: 1_000, burst: 3 });
    let (running_max, running_total_max) = (Some(4), Some(6));
    let turns = Turns::RunTime;
    let limited = QueueSettings {
        running_max,
        rate,
        turns,
        running_total_max,
        rate_total: rate,
        ..QueueSettings::default()
    };
    let (running_max, weight, paused, waiting_max) = (Some(3), 2, false, None);
    let settings = UserSettings { weight, paused, waiting_max, running_max, rate };
    let queue_of = queue.clone();
    store.control(p, Control::User { queue: queue_of, user, settings }).await.unwrap();
    let queues = vec![(queue, limited), ("mail".parse().unwrap(), limited)];
    store.control(p, Control::Queues { version: 1_000, queues }).await.unwrap();
}

/// A closed store after a random walk, with what is rare there and some records.
async fn walked(seed: u64) -> Scratch {
    let (clock, hand) = Clock::manual(Clock::system().now_ms());
    let scratch = Scratch::new();
    let store = EmbeddedStore::open(scratch.path(), Options::new(clock.clone())).unwrap();
    let store = Arc::new(store);
    differential(seed, 250, clock.clone(), hand, &mut Walker(store.clone())).await.unwrap();
    add_what_is_rare(&store, clock.now_ms()).await;
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
    let mut place = String::new();
    for line in std::str::from_utf8(lines).unwrap().lines() {
        let parsed: Value = serde_json::from_str(line).unwrap();
        match parsed["line"].as_str().unwrap() {
            "head" | "end" => {}
            "task" => {
                place = parsed["user"].as_str().unwrap().to_owned();
                // Of tasks of another priority none is before or behind it.
                if parsed["place"] == "queued" {
                    place = format!("{place} {} {}", parsed["queue"], parsed["priority"]);
                }
                users.entry(place.clone()).or_default().push(line.to_owned());
            }
            "attempts" | "log" => users.get_mut(&place).unwrap().push(line.to_owned()),
            _ => {
                others.insert(line.to_owned());
            }
        }
    }
    (users, others)
}

/// What is hard to carry over, of what is in the lines.
fn hard(lines: &[u8]) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let mut meet = |there: bool, what: &'static str| {
        if there {
            found.insert(what);
        }
    };
    for line in std::str::from_utf8(lines).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        match line["line"].as_str().unwrap() {
            "task" => {
                let (holds, place) = (&line["serial"]["holds"], &line["place"]);
                meet(*holds == true && place == "queued" && line["claim"] == 2, "a released turn");
                meet(*holds == true && place["scheduled"].is_object(), "a turn kept for later");
                let untouched = line["claim"] == 1 && line["user"] == "eli";
                meet(*holds == true && untouched, "a turn handed on");
                meet(*holds == false && place == "queued", "a place in a line");
                meet(*holds == false && place["waiting"].is_object(), "a line to be joined");
                meet(*holds == false && place["ended"].is_object(), "a turn that is over");
                meet(place["waiting"].is_object(), "a task that waits for others");
                meet(line["links"].is_string() && place["ended"].is_object(), "ties to an end");
            }
            "queues" => {
                for of in line["queues"].as_array().unwrap() {
                    let set: QueueSettings = of[1].as_str().unwrap().parse().unwrap();
                    meet(set.running_max.is_some(), "a limit of a queue");
                    meet(set.rate.is_some(), "a rate of a queue");
                    meet(set.turns == Turns::RunTime, "turns by run time");
                }
            }
            "user" => {
                let set: UserSettings = line["settings"].as_str().unwrap().parse().unwrap();
                meet(set.running_max.is_some(), "a limit of a user");
                meet(set.rate.is_some(), "a rate of a user");
            }
            _ => {}
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_moves_to_redis_and_back_and_stays_the_same() {
    let mut met = BTreeSet::new();
    for seed in 0..4 {
        let first = walked(seed).await;
        let redis = Redis::start(redis::Options::default());
        let other = Redis::start(redis::Options::default());
        let back = Scratch::new();
        let embedded = |scratch: &Scratch| format!("embedded:{}", scratch.path().display());

        let one = good(export(&embedded(&first)));
        good(import(&redis.url(), &one));
        let two = good(export(&redis.url()));
        good(import(&other.url(), &two));
        let three = good(export(&other.url()));
        good(import(&embedded(&back), &three));
        let four = good(export(&embedded(&back)));

        let (users, others) = sorted(&one);
        assert!(!users.is_empty() && others.len() >= 3, "seed {seed}: {others:?}");
        assert_eq!(sorted(&two), (users.clone(), others.clone()), "seed {seed}, from Redis");
        assert_eq!(sorted(&three), (users.clone(), others.clone()), "seed {seed}, from another");
        assert_eq!(sorted(&four), (users, others), "seed {seed}, from the last");
        met.extend(hard(&one));

        // What is there now is a store in order, whose work can be done.
        let options = tasktonic_store_redis::Options {
            reconcile_every: None,
            ..tasktonic_store_redis::Options::new(Clock::system())
        };
        for of in [&redis, &other] {
            let options = options.clone();
            let store = RedisStore::open(&of.url().parse().unwrap(), options).await.unwrap();
            for p in (0..store.partitions()).map(PartitionId) {
                let wrong = store.check(p).await.unwrap();
                assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
                assert_eq!(store.reconcile(p).await.unwrap(), 0, "{:?}", store.repairs());
            }
        }
    }
    assert_eq!(met.len(), 13, "what is hard to carry over was there: {met:#?}");
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
