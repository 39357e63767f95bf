//! Redis and the model walk together, and a cluster and the model: equal answers and equal dumps
//! after every step.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use tasktonic_core::command::{
    After, Claim, Control, Gathers, NewTask, Node, Op, Report, Submit, Sync, Write,
};
use tasktonic_core::limits::{CLAIM_MAX, PROMOTE_MAX};
use tasktonic_core::links::OnFailure;
use tasktonic_core::reply::Controlled;
use tasktonic_core::routing::{PartitionId, slot, tag};
use tasktonic_core::{TaskId, Text, UserId};
use tasktonic_store::clock::Clock;
use tasktonic_store::conformance::{
    Subject, differential, differential_apart, plain_differential, seeds,
};
use tasktonic_store::model::ModelStore;
use tasktonic_store::{Held, Store, SyncReply};
use tasktonic_store_redis::RedisStore;
use tasktonic_testkit::cluster::Cluster;
use tasktonic_testkit::redis::{self, Redis, Server};

/// Walks of one run of the tests.
const SEEDS: u64 = 30;
/// Steps of each.
const STEPS: u32 = 300;
/// Walks in one slot of a cluster, one on each master.
const SLOT_WALKS: u64 = 3;
/// Walks over all masters at once, and steps of each: more, for every partition has its share.
const CLUSTER_WALKS: u64 = 2;
const CLUSTER_STEPS: u32 = 450;
const P: PartitionId = PartitionId(0);
const NOW_MS: i64 = 1_700_000_000_000;

/// Masters of a cluster.
const MASTERS: usize = 3;
/// Partitions of a walk over all of them: one of each.
const PARTITIONS: u16 = 3;

struct OnRedis<'a> {
    store: RedisStore,
    /// One, or the masters of a cluster.
    nodes: &'a [Redis],
}

impl<'a> OnRedis<'a> {
    fn new(store: RedisStore, redis: &'a Redis) -> Self {
        Self { store, nodes: std::slice::from_ref(redis) }
    }
}

#[async_trait]
impl Subject for OnRedis<'_> {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }
    fn restarts(&self) -> bool {
        false
    }
    async fn restart(&mut self, _crash: bool) {
        // The nearest thing that Redis has: it forgets the scripts.
        self.nodes.iter().for_each(Redis::forget_scripts);
    }
    async fn dump(&self) -> String {
        let mut text = String::new();
        for p in (0..self.store.partitions()).map(PartitionId) {
            text.push_str(&self.store.dump(p).await.unwrap());
        }
        text
    }
}

async fn walk(redis: &Redis, seed: u64, steps: u32) {
    let (clock, hand) = Clock::manual(NOW_MS);
    redis.cli(&["FLUSHALL"]);
    let store = common::open(redis, clock.clone(), 1).await;
    let mut subject = OnRedis::new(store, redis);
    differential(seed, steps, clock, hand, &mut subject).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_and_the_model_walk_the_same_way() {
    let redis = common::server(Server::Redis);
    for seed in seeds(0..SEEDS) {
        walk(&redis, seed, STEPS).await;
    }
}

/// Plain calls have scripts of their own, which leave whatever is unusual to the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_calls_and_the_model_walk_the_same_way() {
    for sort in Server::installed() {
        let redis = common::server(sort);
        let walks = if sort == Server::Redis { 20 } else { 3 };
        for seed in seeds(2_000..2_000 + walks) {
            let (clock, hand) = Clock::manual(NOW_MS);
            redis.cli(&["FLUSHALL"]);
            let store = common::open(&redis, clock.clone(), 1).await;
            let mut subject = OnRedis::new(store, &redis);
            plain_differential(seed, STEPS, clock, hand, &mut subject).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_functions_and_the_model_walk_the_same_way() {
    // Who opens a store here is the user of this name.
    let lines = vec!["user default on nopass ~* &* +@all -function|load -fcall".to_owned()];
    let redis = Redis::start(redis::Options { lines, ..redis::Options::default() });
    for seed in seeds(700..702) {
        walk(&redis, seed, STEPS).await;
    }
    let stats = redis.info("commandstats");
    assert!(stats.contains_key("cmdstat_evalsha"));
    let refused = stats.get("cmdstat_fcall").is_none_or(|line| line.starts_with("calls=0,"));
    assert!(refused, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valkey_and_the_model_walk_the_same_way() {
    for sort in Server::installed().into_iter().filter(|sort| *sort == Server::Valkey) {
        let valkey = common::server(sort);
        for seed in seeds(500..504) {
            walk(&valkey, seed, STEPS).await;
        }
    }
}

fn empty(cluster: &Cluster) {
    for node in cluster.nodes() {
        node.cli(&["FLUSHALL"]);
    }
}

/// All of it is in one slot, which is another master's from walk to walk; what belongs to the
/// installation stays where it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_of_a_cluster_and_the_model_walk_the_same_way() {
    let cluster = Cluster::start_with(MASTERS, 0, &redis::Options::default());
    let slot = slot(&tag(P, 1));
    for (at, seed) in seeds(3_000..3_000 + SLOT_WALKS).enumerate() {
        let (clock, hand) = Clock::manual(NOW_MS);
        empty(&cluster);
        cluster.migrate_slot(slot, at % MASTERS);
        let store = common::open_at(&cluster.url(), clock.clone(), 1).await;
        let mut subject = OnRedis { store, nodes: cluster.nodes() };
        differential(seed, STEPS, clock, hand, &mut subject).await.unwrap();
    }
}

/// Every step is of one partition, on whichever master that is, and leaves all the others alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_masters_of_a_cluster_and_the_model_walk_the_same_way() {
    let cluster = Cluster::start_with(MASTERS, 0, &redis::Options::default());
    let homes = (0..PARTITIONS).map(|p| cluster.master_of(slot(&tag(PartitionId(p), PARTITIONS))));
    assert_eq!(homes.collect::<Vec<_>>(), [0, 1, 2]);
    for seed in seeds(4_000..4_000 + CLUSTER_WALKS) {
        let (clock, hand) = Clock::manual(NOW_MS);
        empty(&cluster);
        let store = common::open_at(&cluster.url(), clock.clone(), PARTITIONS).await;
        let mut subject = OnRedis { store, nodes: cluster.nodes() };
        let steps = CLUSTER_STEPS;
        differential_apart(PARTITIONS, seed, steps, clock, hand, &mut subject).await.unwrap();
    }
}

/// One command to both, and both compared.
async fn both(model: &ModelStore, store: &RedisStore, clock: &Clock, request: Sync) -> SyncReply {
    let expected = model.sync(P, request.clone()).await.unwrap();
    let mut reply = store.sync(P, request).await.unwrap();
    // Tokens and tasks that tie may come in another order here; what they are is the same.
    reply.claimed.sort_by_key(|held| held.lease.task);
    let mut sorted = expected.clone();
    sorted.claimed.sort_by_key(|held| held.lease.task);
    assert_eq!(reply, sorted, "at {}", clock.now_ms());
    assert_eq!(store.dump(P).await.unwrap(), model.dump());
    expected
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_reaches_its_limits_leaves_the_rest_to_the_next_as_in_the_model() {
    let (clock, hand) = Clock::manual(NOW_MS);
    let redis = common::server(Server::Redis);
    let store = common::open(&redis, clock.clone(), 1).await;
    let model = ModelStore::new(clock.clone());
    // More than one turn takes, of each sort: due tasks, lost leases, tasks over their retention.
    let many = 2 * PROMOTE_MAX as u64 + 9;
    for (first, due_ms, queue) in
        [(0, Some(NOW_MS + 5_000), "later"), (1_000, None, "held"), (2_000, None, "ended")]
    {
        for from in (0..many).step_by(PROMOTE_MAX) {
            let draft = |number: u64| NewTask {
                due_ms,
                ..NewTask::new(
                    ["ana", "ben"][usize::try_from(number % 2).unwrap()].parse().unwrap(),
                    TaskId::new(NOW_MS, first + number),
                    queue.parse().unwrap(),
                    format!(r#"{{"v":1,"k":"k","q":"{queue}"}}"#),
                )
            };
            let to = many.min(from + PROMOTE_MAX as u64);
            let batch = Submit { created_ms: NOW_MS, tasks: (from..to).map(draft).collect() };
            let expected = model.submit(P, batch.clone()).await.unwrap();
            assert_eq!(store.submit(P, batch).await.unwrap(), expected);
        }
    }
    let request = |call, ops, queue: &str, limit| Sync {
        worker: "w-1".parse().unwrap(),
        call,
        lease_ms: 5_000,
        ops,
        claim: Some(Claim::new(vec![queue.parse().unwrap()], limit)),
        woken: Vec::new(),
        park: false,
    };
    let mut call = 0;
    for queue in ["held", "ended"] {
        loop {
            call += 1;
            let reply =
                both(&model, &store, &clock, request(call, Vec::new(), queue, CLAIM_MAX)).await;
            if reply.claimed.is_empty() {
                break;
            }
            if queue == "ended" {
                let ack = |held: &Held| {
                    let write = Write { n: 2, body: Text::default(), event: None };
                    Op { lease: held.lease.clone(), report: Report::Ack { write, keep_s: 3 } }
                };
                let ops = reply.claimed.iter().map(ack).collect();
                call += 1;
                both(&model, &store, &clock, request(call, ops, "none", 0)).await;
            }
        }
    }
    let mut adopted = 0;
    for _ in 0..12 {
        hand.advance(900);
        for _ in 0..2 {
            call += 1;
            adopted += both(&model, &store, &clock, request(call, Vec::new(), "none", 0))
                .await
                .adopted
                .len();
        }
    }
    assert!(adopted as u64 >= many, "{adopted} adopted");
    // What was due is in its lane, in order, and turns are taken many at a time.
    loop {
        call += 1;
        let reply = both(&model, &store, &clock, request(call, Vec::new(), "later", 100)).await;
        if reply.claimed.is_empty() {
            break;
        }
    }
}

/// A flow whose ends take more than one call to tell, and one that is cancelled with all its parts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_ends_longer_than_one_call_is_told_as_in_the_model() {
    let (clock, hand) = Clock::manual(NOW_MS);
    let redis = common::server(Server::Redis);
    let store = common::open(&redis, clock.clone(), 1).await;
    let model = ModelStore::new(clock.clone());
    let ana: UserId = "ana".parse().unwrap();
    let id = |number: u64| TaskId::new(NOW_MS, number);
    let node = |number: u64, part_of: Option<u64>, after: Option<u64>| Node {
        new: NewTask::new(
            "ana".parse().unwrap(),
            id(number),
            "mail".parse().unwrap(),
            r#"{"v":1,"k":"k","q":"mail"}"#,
        ),
        part_of: part_of.map(id),
        gathers: None,
        after: after
            .map(|task| After { task: id(task), on_failure: OnFailure::Fail })
            .into_iter()
            .collect(),
    };
    let control = async |control: Control| {
        let expected = model.control(P, control.clone()).await.unwrap();
        assert_eq!(store.control(P, control).await.unwrap(), expected);
        assert_eq!(store.dump(P).await.unwrap(), model.dump());
        expected
    };
    let flow = async |nodes: Vec<Node>| {
        let count = nodes.len();
        let asked = Control::Flow { at_ms: NOW_MS, user: ana.clone(), nodes };
        assert_eq!(control(asked).await, vec![Controlled::Done; count]);
    };
    for root in [1, 50_000] {
        let gathers = Some(Gathers::Flow);
        let first = root + 1;
        flow(vec![Node { gathers, ..node(root, None, None) }, node(first, Some(root), None)]).await;
        let (tens, ones) = (root + 100, root + 1_000);
        flow((0..60).map(|n| node(tens + n, Some(root), Some(first))).collect()).await;
        for n in 0..30 {
            let behind = (0..10).map(|m| node(ones + n * 10 + m, Some(root), Some(tens + n)));
            flow(behind.collect()).await;
        }
    }
    let request = |call, ops, limit| Sync {
        worker: "w-1".parse().unwrap(),
        call,
        lease_ms: 10_000,
        ops,
        claim: Some(Claim::new(vec!["mail".parse().unwrap()], limit)),
        woken: Vec::new(),
        park: false,
    };
    let held = both(&model, &store, &clock, request(1, Vec::new(), 2)).await.claimed;
    let write = || Write { n: 2, body: Text::default(), event: None };
    let bury = Report::Bury { write: write(), keep_s: 1 };
    let op = Op { lease: held[0].lease.clone(), report: bury };
    let mut call = 2;
    let mut reply = both(&model, &store, &clock, request(call, vec![op], 5)).await;
    assert!(model.dump().contains("leads = "), "one call does not tell them all");
    let body = Text::default();
    let tasks = vec![id(50_000)];
    let user = ana.clone();
    control(Control::Cancel { at_ms: NOW_MS, user, tasks, body, keep_s: 3 }).await;
    let mut calls = 0;
    while model.dump().contains("leads = ") {
        hand.advance(10);
        call += 1;
        calls += 1;
        reply = both(&model, &store, &clock, request(call, Vec::new(), 5)).await;
        assert!(calls < 60, "it never comes to rest");
    }
    assert!(calls > 5 && reply.next_in_ms != Some(0), "{calls} calls, {reply:?}");
    let op = Op {
        lease: held[1].lease.clone(),
        report: Report::Cancelled { write: write(), keep_s: 1 },
    };
    call += 1;
    both(&model, &store, &clock, request(call, vec![op], 5)).await;
    let dump = model.dump();
    assert!(dump.contains("count ana dead = 2\n"), "the first part, and its flow");
    assert!(!dump.contains(" waiting = ") && !dump.contains(" queued = "), "{dump}");
    for _ in 0..10 {
        hand.advance(100_000_000);
        call += 1;
        both(&model, &store, &clock, request(call, Vec::new(), 5)).await;
    }
}
