//! What a store finds when it opens, what it refuses, and what it looks after.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::time::Duration;

use tasktonic_core::command::Submit;
use tasktonic_store::clock::Clock;
use tasktonic_store::conformance::Scene;
use tasktonic_store::{Durability, Error, Expect, Store, Table};
use tasktonic_store_redis::{Class, OpenError, Options, RedisStore};
use tasktonic_testkit::cluster::Cluster;
use tasktonic_testkit::redis::{self, Aof, Redis, Server};
use tasktonic_testkit::wait;

/// Health is asked once a second, classes every ten.
const SOON: Duration = Duration::from_secs(20);

fn options() -> Options {
    Options::new(Clock::system())
}

async fn open(redis: &Redis, options: Options) -> Result<RedisStore, OpenError> {
    RedisStore::open(&redis.url().parse().unwrap(), options).await
}

fn with_lines(lines: &[&str]) -> Redis {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    Redis::start(redis::Options { lines, ..redis::Options::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_keeps_its_partitions_whatever_a_later_process_asks_for() {
    for server in Server::installed() {
        let redis = Redis::start(redis::Options { server, ..redis::Options::default() });
        let first = open(&redis, Options { partitions: 3, ..options() }).await.unwrap();
        assert_eq!(first.partitions(), 3);
        let second = open(&redis, Options { partitions: 8, ..options() }).await.unwrap();
        assert_eq!(second.partitions(), 3);
        // Also when nothing but the partitions themselves still says so.
        first.close().await;
        second.close().await;
        redis.cli(&["DEL", "tt:{sys}:config"]);
        let third = open(&redis, Options { partitions: 8, ..options() }).await.unwrap();
        assert_eq!(third.partitions(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_facts_are_made_again_under_an_epoch_that_was_never_used() {
    let redis = with_lines(&[]);
    let store = open(&redis, Options { partitions: 1, ..options() }).await.unwrap();
    let meta = redis
        .cli(&["KEYS", "tt:{00*}:meta"])
        .lines()
        .next()
        .map(ToOwned::to_owned)
        .expect("a partition has facts");
    redis.cli(&["HSET", &meta, "epoch", "41"]);
    wait::until("the epoch to be written down", SOON, || {
        redis.cli(&["HGET", "tt:{sys}:config", "epoch"]) == "41"
    });
    redis.cli(&["DEL", &meta]);
    wait::until("the facts to be there again", SOON, || {
        redis.cli(&["HGET", &meta, "epoch"]).parse::<u32>().is_ok_and(|epoch| epoch > 41)
    });
    // Both at once: this process still knows.
    let before: u32 = redis.cli(&["HGET", &meta, "epoch"]).parse().unwrap();
    redis.cli(&["DEL", &meta, "tt:{sys}:config"]);
    wait::until("both to be there again", SOON, || {
        redis.cli(&["HGET", &meta, "epoch"]).parse::<u32>().is_ok_and(|epoch| epoch > before)
            && redis.cli(&["HGET", "tt:{sys}:config", "partitions"]) == "1"
    });
    drop(store);
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_lost_together_with_the_configuration_go_on_above_those_that_are_left() {
    for lost in 0..3 {
        let redis = with_lines(&[]);
        let asked = Options { partitions: 3, ..options() };
        let store = open(&redis, asked.clone()).await.unwrap();
        store.close().await;
        let metas = redis.cli(&["KEYS", "tt:{*}:meta"]);
        let mut metas: Vec<&str> = metas.lines().collect();
        metas.sort_unstable();
        assert_eq!(metas.len(), 3);
        for meta in &metas {
            redis.cli(&["HSET", meta, "epoch", "7"]);
        }
        redis.cli(&["DEL", "tt:{sys}:config", metas[lost]]);
        let _again = open(&redis, asked).await.unwrap();
        let epoch: u32 = redis.cli(&["HGET", metas[lost], "epoch"]).parse().unwrap();
        assert!(epoch > 7, "partition {lost} goes on in epoch {epoch}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_refused_with_what_to_do() {
    // Nobody there.
    let port = tasktonic_testkit::ports::free();
    let url = format!("redis://ana:hush@127.0.0.1:{port}").parse().unwrap();
    let error = RedisStore::open(&url, options()).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("hush"));

    // The wrong password.
    let redis =
        Redis::start(redis::Options { password: Some("rose".into()), ..redis::Options::default() });
    let url = format!("redis://:thorn@127.0.0.1:{}", redis.port()).parse().unwrap();
    let error = RedisStore::open(&url, options()).await.unwrap_err();
    assert!(matches!(error, OpenError::Refused { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("thorn"));
    open(&redis, options()).await.unwrap();

    // A newer form, of the whole and of one partition.
    let redis = with_lines(&[]);
    drop(open(&redis, options()).await.unwrap());
    redis.cli(&["HSET", "tt:{sys}:config", "schema", "2"]);
    let error = open(&redis, options()).await.unwrap_err();
    assert_eq!(error, OpenError::Newer { found: 2, known: 1 });
    redis.cli(&["HSET", "tt:{sys}:config", "schema", "1"]);
    let meta = redis.cli(&["KEYS", "tt:{03*}:meta"]);
    redis.cli(&["HSET", &meta, "schema", "2"]);
    let error = open(&redis, options()).await.unwrap_err();
    assert_eq!(error, OpenError::Newer { found: 2, known: 1 });

    // A replica.
    let master = with_lines(&[]);
    let replica = with_lines(&[&format!("replicaof 127.0.0.1 {}", master.port())]);
    let error = open(&replica, options()).await.unwrap_err();
    assert!(
        matches!(&error, OpenError::Replica { master: m, .. } if m.ends_with(&master.port().to_string())),
        "{error}"
    );

    let error = open(&master, Options { partitions: 0, ..options() }).await.unwrap_err();
    assert_eq!(error, OpenError::Partitions { asked: 0, max: 256 });
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_are_named() {
    let redis = with_lines(&[
        "user ana on >rose ~tt:* &tt:* +@all -@dangerous +info +cluster|slots +config|get",
        "user bob on >rose ~tt:* &tt:* +@all -@dangerous +info -xadd -lpop",
        "user eve on >rose ~tt:* &tt:* +@all -@dangerous +info -eval -evalsha -script",
    ]);
    let url = |user: &str| format!("redis://{user}:rose@127.0.0.1:{}", redis.port());
    let open = |user: &str| {
        let url = url(user).parse().unwrap();
        async move { RedisStore::open(&url, options()).await }
    };
    open("ana").await.unwrap();
    let error = open("bob").await.unwrap_err().to_string();
    assert!(error.contains("XADD") && error.contains("LPOP") && !error.contains("RPOP"), "{error}");
    let error = open("eve").await.unwrap_err();
    assert!(matches!(error, OpenError::Rights { .. } | OpenError::Refused { .. }), "{error}");
    assert!(!error.to_string().contains("rose"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_the_servers_contradict_is_refused() {
    let asked = |class| Options { class, ..options() };
    for (aof, policy, class, kept) in [
        (Aof::Off, "noeviction", Class::Fast, true),
        (Aof::Off, "allkeys-lru", Class::Fast, true),
        (Aof::Off, "noeviction", Class::Disk, false),
        (Aof::EverySecond, "noeviction", Class::Disk, false),
        (Aof::Always, "noeviction", Class::Disk, true),
        (Aof::Always, "allkeys-lru", Class::Disk, false),
        (Aof::Always, "noeviction", Class::Replicated, false),
    ] {
        let lines = vec![format!("maxmemory-policy {policy}")];
        let redis = Redis::start(redis::Options { aof, lines, ..redis::Options::default() });
        let opened = open(&redis, asked(class)).await;
        assert_eq!(opened.is_ok(), kept, "{aof:?} {policy} {class:?}: {opened:?}");
        match opened {
            Ok(store) => {
                let health = store.health().await;
                assert!(health.ready, "{health:?}");
                assert_eq!(health.reasons.is_empty(), policy == "noeviction", "{health:?}");
            }
            Err(error) => assert!(matches!(error, OpenError::Durability { .. }), "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_is_no_longer_kept_is_not_promised_any_more() {
    let redis = Redis::start(redis::Options { aof: Aof::Always, ..redis::Options::default() });
    let store = open(&redis, Options { class: Class::Disk, ..options() }).await.unwrap();
    assert_eq!(store.durability(), Durability::Disk);
    redis.cli(&["CONFIG", "SET", "appendfsync", "everysec"]);
    wait::until("the class to be given up", SOON, || store.durability() == Durability::Fast);
    let health = store.health().await;
    assert!(health.reasons.iter().any(|why| why.contains("appendfsync")), "{health:?}");
    redis.cli(&["CONFIG", "SET", "appendfsync", "always"]);
    wait::until("the class to be kept again", SOON, || store.durability() == Durability::Disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicated_needs_a_replica_of_every_master() {
    let cluster = Cluster::start();
    let url = cluster.url().parse().unwrap();
    let asked = Options { class: Class::Replicated, ..options() };
    let store = RedisStore::open(&url, asked.clone()).await.unwrap();
    assert_eq!(store.durability(), Durability::Replicated);
    assert!(store.health().await.ready);
    drop(store);
    let mut cluster = cluster;
    cluster.kill(4);
    wait::until("the loss to be noticed", SOON, || {
        !cluster.node(1).cli(&["INFO", "replication"]).contains("state=online")
    });
    let error = RedisStore::open(&url, asked).await.unwrap_err();
    assert!(matches!(error, OpenError::Durability { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn submits_are_refused_before_redis_refuses_anything_and_come_back() {
    let memory_max = Some(32 * 1024 * 1024);
    let redis = Redis::start(redis::Options { memory_max, ..redis::Options::default() });
    let (clock, hand) = Clock::manual(1_700_000_000_000);
    let store = open(&redis, Options::new(clock)).await.unwrap();
    let store = std::sync::Arc::new(store);
    let scene = Scene::new(store.clone(), hand);
    let used = || redis.info("memory")["used_memory"].parse::<u64>().unwrap();
    while used() < 28 * 1024 * 1024 {
        redis.cli(&["RPUSH", "ballast", &"x".repeat(256 * 1024)]);
    }
    let submit = || {
        let (store, new) = (store.clone(), scene.draft("ana"));
        async move {
            let p = tasktonic_core::routing::partition_of(&new.user, store.partitions());
            store.submit(p, Submit { created_ms: 5, tasks: vec![new] }).await
        }
    };
    let since = std::time::Instant::now();
    while submit().await != Err(Error::Full) {
        assert!(since.elapsed() < SOON, "never refused");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let health = store.health().await;
    assert!(health.bytes > health.bytes_max && !health.reasons.is_empty(), "{health:?}");
    // What workers say goes on.
    assert_eq!(scene.claim("w", 1).await.len(), 1);
    redis.cli(&["DEL", "ballast"]);
    while submit().await.is_err() {
        assert!(since.elapsed() < 2 * SOON, "never accepted again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_shows_in_health_and_so_does_its_return() {
    let mut redis = Redis::start(redis::Options { aof: Aof::Always, ..redis::Options::default() });
    let store = open(&redis, Options { partitions: 2, ..options() }).await.unwrap();
    redis.crash();
    let since = std::time::Instant::now();
    while store.health().await.ready {
        assert!(since.elapsed() < SOON, "nobody noticed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let reasons = store.health().await.reasons;
    assert!(reasons.iter().any(|why| why.contains("partition 0")), "{reasons:?}");
    redis.restart();
    while !store.health().await.ready {
        assert!(since.elapsed() < 2 * SOON, "nobody noticed its return");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_never_both_win_a_comparison_in_the_registry() {
    let redis = with_lines(&[]);
    let first = open(&redis, options()).await.unwrap();
    let second = open(&redis, options()).await.unwrap();
    for round in 0..50_u64 {
        let expect = if round == 0 { Expect::Absent } else { Expect::Version(round) };
        let put = |store: &RedisStore, value: &str| {
            let (store, value) = (store.clone(), value.to_owned());
            async move { store.registry().put(Table::Settings, "race", value, expect).await }
        };
        let (a, b) = tokio::join!(put(&first, "a"), put(&second, "b"));
        assert_eq!(
            [a.unwrap(), b.unwrap()].iter().filter(|won| won.is_some()).count(),
            1,
            "round {round}"
        );
    }
    let known = first.registry().get(Table::Settings, "race").await.unwrap().unwrap();
    assert_eq!(known.version, 50);
    // Many records, strange keys and values.
    for n in 0..1_500 {
        let key = format!("k|{n}\n");
        let value = format!("v|{n}\u{0}");
        first.registry().put(Table::Files, &key, value, Expect::Any).await.unwrap();
    }
    let all = second.registry().list(Table::Files).await.unwrap();
    assert_eq!(all.len(), 1_500);
    assert!(all.is_sorted_by(|a, b| a.key < b.key));
    assert!(all.iter().all(|entry| entry.value.ends_with('\u{0}') && entry.version == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_keeps_its_records_and_nothing_else_under_the_class_replicated() {
    let master = with_lines(&[]);
    let _replica = with_lines(&[&format!("replicaof 127.0.0.1 {}", master.port())]);
    wait::until("the replica to read along", SOON, || {
        master.cli(&["INFO", "replication"]).contains("state=online")
    });
    let store = open(&master, Options { class: Class::Replicated, ..options() }).await.unwrap();
    assert_eq!(store.durability(), Durability::Replicated);
    let (registry, table) = (store.registry(), Table::Settings);
    let put = |key: &'static str, expect| registry.put(table, key, "one".into(), expect);
    // A replica that has only just come confirms late; from the first one on it is prompt.
    let since = std::time::Instant::now();
    while put("first", Expect::Any).await.is_err() {
        assert!(since.elapsed() < SOON, "the replica confirms nothing");
    }
    assert!(registry.delete(table, "first").await.unwrap());
    assert_eq!(put("ana", Expect::Absent).await.unwrap(), Some(1));
    assert_eq!(put("ana", Expect::Absent).await.unwrap(), None);
    assert_eq!(put("ana", Expect::Version(1)).await.unwrap(), Some(2));
    assert_eq!(put("bob", Expect::Any).await.unwrap(), Some(1));
    let listed = registry.list(table).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|e| (e.key.as_str(), e.version)).collect();
    assert_eq!(listed, [("ana", 2), ("bob", 1)]);
    let found = registry.get(table, "ana").await.unwrap().unwrap();
    assert_eq!((found.version, found.value.as_str()), (2, "one"));
    assert!(registry.delete(table, "bob").await.unwrap());
    // In Redis itself: the write that a wait counts from goes elsewhere.
    assert_eq!(redis_fields(&master, table), ["ana"]);
}

fn redis_fields(redis: &Redis, table: Table) -> Vec<String> {
    let fields = redis.cli(&["HKEYS", &format!("tt:{{sys}}:{}", table.name())]);
    fields.lines().map(ToOwned::to_owned).collect()
}
