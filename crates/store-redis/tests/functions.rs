//! The scripts as a library of functions: that none of them remembers the call before, and what
//! becomes of the libraries of a server.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::time::{Duration, Instant};

use tasktonic_core::command::{
    Claim, Control, Idempotency, NewTask, Op, Report, Submit, Sync, Write,
};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Lease, TaskId, Text, UserId};
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tasktonic_store_redis::{Options, RedisStore};
use tasktonic_testkit::redis::{self, Redis, Server};
use tasktonic_testkit::wait;

const P: PartitionId = PartitionId(0);
const NOW_MS: i64 = 1_700_000_000_000;
/// A user of Redis who may do all but functions.
const WITHOUT: &str = "user plain on >rose ~* &* +@all -function -fcall";
/// How long a server may take to be given the library.
const PATIENCE: Duration = Duration::from_secs(20);

fn ana() -> UserId {
    UserId::encode("ana")
}

fn with_lines(server: Server, lines: &[&str]) -> Redis {
    let lines = lines.iter().map(|&line| line.to_owned()).collect();
    Redis::start(redis::Options { server, lines, ..redis::Options::default() })
}

/// Opens a store of one partition; `user` is '' or `name:password@`.
async fn open_as(redis: &Redis, user: &str, clock: Clock) -> RedisStore {
    let options = Options {
        clock_is_of_scripts: true,
        partitions: 1,
        reconcile_every: None,
        ..Options::new(clock)
    };
    let url = format!("redis://{user}127.0.0.1:{}", redis.port());
    RedisStore::open(&url.parse().unwrap(), options).await.unwrap()
}

/// Calls of a command so far, those that were refused left out.
fn calls(redis: &Redis, name: &str) -> u64 {
    let stats = redis.info("commandstats");
    let line = stats.get(&format!("cmdstat_{name}")).map(String::as_str).unwrap_or_default();
    let calls = line.split(',').find_map(|part| part.strip_prefix("calls="));
    calls.map_or(0, |calls| calls.parse().unwrap())
}

/// Names of the libraries that a server has.
fn libraries(redis: &Redis) -> Vec<String> {
    let listed = redis.ask(&["FUNCTION", "LIST", "LIBRARYNAME", "tasktonic_*"]);
    let of = |library: &redis::Reply| library.items()[1].text();
    let mut names: Vec<_> = listed.items().iter().map(of).collect();
    names.sort();
    names
}

/// What the calls of a tour share.
struct Tour<'a> {
    redis: &'a Redis,
    store: RedisStore,
    held: Vec<Lease>,
    number: u64,
    call: u64,
    said: Vec<String>,
}

/// The calls that are broken off.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Submit,
    /// Of tasks that may start at once, each with a key of its own.
    Keyed,
    Sync,
    Cancel,
}

impl Tour<'_> {
    fn draft(&mut self, due_ms: Option<i64>) -> NewTask {
        self.number += 1;
        NewTask {
            due_ms,
            ..NewTask::new(
                ana(),
                TaskId::new(NOW_MS, self.number),
                "mail".parse().unwrap(),
                r#"{"v":1,"k":"mail","at":1,"max":3,"p":{}}"#,
            )
        }
    }

    async fn submit(&mut self) -> Result<String, String> {
        let tasks = vec![self.draft(None), self.draft(Some(NOW_MS + 5_000)), self.draft(None)];
        self.submit_all(tasks).await
    }

    async fn submit_keyed(&mut self) -> Result<String, String> {
        let mut tasks = vec![self.draft(None), self.draft(None)];
        for new in &mut tasks {
            let key = format!("once-{}", new.task);
            new.idempotency = Some(Idempotency::new(key, 7, 60_000));
        }
        self.submit_all(tasks).await
    }

    async fn submit_all(&self, tasks: Vec<NewTask>) -> Result<String, String> {
        let answer = self.store.submit(P, Submit { created_ms: NOW_MS, tasks }).await;
        answer.map(|answer| format!("{answer:?}")).map_err(|error| error.to_string())
    }

    /// Ends what is held, and takes `limit`.
    async fn sync(&mut self, limit: u32) -> Result<String, String> {
        self.call += 1;
        let write = Write { n: 9, body: Text::from(r#""st":5"#), event: None };
        let report = |lease| Op { lease, report: Report::Ack { write: write.clone(), keep_s: 60 } };
        let claim = Claim::new(vec!["mail".parse().unwrap()], limit);
        let request = Sync {
            worker: "w-1".parse().unwrap(),
            call: self.call,
            lease_ms: 10_000,
            ops: std::mem::take(&mut self.held).into_iter().map(report).collect(),
            claim: Some(claim),
            woken: Vec::new(),
            park: false,
        };
        let reply = self.store.sync(P, request).await.map_err(|error| error.to_string())?;
        let said = format!("{reply:?}");
        self.held = reply.claimed.into_iter().map(|held| held.lease).collect();
        Ok(said)
    }

    async fn cancel(&mut self) -> Result<String, String> {
        let tasks = [self.number, self.number - 1].map(|number| TaskId::new(NOW_MS, number));
        let cancel = Control::Cancel {
            at_ms: NOW_MS,
            user: ana(),
            tasks: tasks.to_vec(),
            body: Text::default(),
            keep_s: 60,
        };
        let answer = self.store.control(P, cancel).await;
        answer.map(|answer| format!("{answer:?}")).map_err(|error| error.to_string())
    }

    /// Makes a call of `kind` while the key is of another kind than it should be, and then all is
    /// as before. Whether the call broke off.
    async fn break_off(&mut self, kind: Kind, key: &str) -> bool {
        let aside = format!("{key}-aside");
        let was_there = self.redis.cli(&["EXISTS", key]) == "1";
        if was_there {
            self.redis.cli(&["RENAME", key, &aside]);
        }
        self.redis.cli(&["SET", key, "broken"]);
        let answer = match kind {
            Kind::Submit => self.submit().await,
            Kind::Keyed => self.submit_keyed().await,
            Kind::Sync => self.sync(2).await,
            Kind::Cancel => self.cancel().await,
        };
        self.redis.cli(&["DEL", key]);
        if was_there {
            self.redis.cli(&["RENAME", &aside, key]);
        }
        answer.is_err()
    }
}

/// Calls of all sorts, each broken off at each sort of key and followed by calls that are not; what
/// they said, and what was kept after each.
async fn tour(redis: &Redis, user: &str) -> (u32, Vec<String>) {
    redis.cli(&["FLUSHALL"]);
    let (clock, hand) = Clock::manual(NOW_MS);
    let store = open_as(redis, user, clock).await;
    let meta = redis.cli(&["KEYS", "tt:*:meta"]);
    let base = meta.strip_suffix("meta").unwrap().to_owned();
    let mut tour = Tour { redis, store, held: Vec::new(), number: 0, call: 0, said: Vec::new() };
    let mut broken = 0;
    // With maintenance in the call that breaks off, and without.
    let keys = ["ring:mail", "leases", "due", "u:ana:i", "u:ana:q:mail", "sweep:60"];
    for (key, ms) in keys.into_iter().flat_map(|key| [(key, 0), (key, 700)]) {
        for kind in [Kind::Submit, Kind::Keyed, Kind::Sync, Kind::Cancel] {
            for made in [tour.submit().await, tour.sync(1).await] {
                tour.said.push(made.unwrap());
            }
            hand.advance(ms);
            broken += u32::from(tour.break_off(kind, &format!("{base}{key}")).await);
            // A call that has nothing to write shows best what was left by another.
            for made in [
                tour.sync(0).await,
                tour.submit_keyed().await,
                tour.submit().await,
                tour.sync(1).await,
            ] {
                tour.said.push(format!("{key} {kind:?}: {}", made.unwrap()));
            }
            let dump = tour.store.dump(P).await.unwrap();
            tour.said.push(dump);
        }
    }
    (broken, tour.said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_call_had_begun_when_it_broke_off_is_not_seen_by_the_next() {
    for server in Server::installed() {
        let redis = with_lines(server, &[WITHOUT]);
        let (broken, by_sha) = tour(&redis, "plain:rose@").await;
        assert_eq!(calls(&redis, "fcall"), 0);
        let (as_often, functions) = tour(&redis, "").await;
        assert!(calls(&redis, "fcall") > 200);
        assert!(broken >= 10, "only {broken} calls broke off");
        assert_eq!(broken, as_often);
        // A script by its SHA is made anew at each call and cannot remember anything.
        for (nth, (function, script)) in functions.iter().zip(&by_sha).enumerate() {
            assert_eq!(function, script, "step {nth}");
        }
        assert_eq!(functions.len(), by_sha.len());
    }
}

fn library(name: &str) -> String {
    format!(
        "#!lua name={name}\nredis.register_function('{name}_f', function() return '{name}' end)"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn releases_side_by_side_have_their_libraries_and_many_old_ones_are_removed() {
    for server in Server::installed() {
        let redis = with_lines(server, &[]);
        let load = |name: &str| redis.cli(&["FUNCTION", "LOAD", &library(name)]);
        for name in ["tasktonic_a", "tasktonic_b", "tasktonic_c", "shop"] {
            load(name);
        }
        let (clock, _) = Clock::manual(NOW_MS);
        let store = open_as(&redis, "", clock.clone()).await;
        let with_ours = libraries(&redis);
        assert_eq!(with_ours.len(), 4, "{with_ours:?}");
        let mut tour =
            Tour { redis: &redis, store, held: Vec::new(), number: 0, call: 0, said: Vec::new() };
        tour.submit().await.unwrap();
        assert_eq!(redis.cli(&["FCALL", "tasktonic_a_f", "0"]), "tasktonic_a");

        // Who opens where ours is removes nothing.
        load("tasktonic_d");
        let other = open_as(&redis, "", clock.clone()).await;
        assert_eq!(libraries(&redis).len(), 5);
        drop(other);

        // Another release finds many: it removes ours too, and the next call of ours brings it back,
        // without those that nobody calls.
        let ours = with_ours.iter().find(|name| name.len() > "tasktonic_a".len()).unwrap();
        redis.cli(&["FUNCTION", "DELETE", ours]);
        tour.submit().await.unwrap();
        assert_eq!(libraries(&redis), std::slice::from_ref(ours));
        assert_eq!(redis.cli(&["FCALL", "shop_f", "0"]), "shop");
        tour.sync(2).await.unwrap();
        assert_eq!(tour.held.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_memory_is_full_is_given_the_library_later() {
    for server in Server::installed() {
        let redis = with_lines(server, &[]);
        let (clock, _) = Clock::manual(NOW_MS);
        let store = open_as(&redis, "", clock.clone()).await;
        let mut tour =
            Tour { redis: &redis, store, held: Vec::new(), number: 0, call: 0, said: Vec::new() };
        tour.submit().await.unwrap();
        redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
        redis.forget_scripts();
        // What is there goes on.
        tour.sync(2).await.unwrap();
        tour.sync(0).await.unwrap();
        assert!(calls(&redis, "evalsha") >= 2);
        assert_eq!(libraries(&redis), Vec::<String>::new());
        redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
        wait::until("the library", PATIENCE, || !libraries(&redis).is_empty());
        // Told so a moment later, the store calls functions.
        let since = Instant::now();
        let before = calls(&redis, "fcall");
        while calls(&redis, "fcall") == before {
            assert!(since.elapsed() < PATIENCE, "the library is not used");
            tour.submit().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_has_the_library_before_it_is_asked_to_be_the_master() {
    for server in Server::installed() {
        let master = with_lines(server, &[]);
        let lines = vec![format!("replicaof 127.0.0.1 {}", master.port())];
        let replica = Redis::start(redis::Options { server, lines, ..redis::Options::default() });
        let (clock, _) = Clock::manual(NOW_MS);
        let store = open_as(&master, "", clock.clone()).await;
        wait::until("the library", PATIENCE, || libraries(&replica) == libraries(&master));
        assert_eq!(libraries(&replica).len(), 1);
        drop(store);
        replica.cli(&["REPLICAOF", "NO", "ONE"]);
        replica.cli(&["CONFIG", "RESETSTAT"]);
        let store = open_as(&replica, "", clock).await;
        let mut tour =
            Tour { redis: &replica, store, held: Vec::new(), number: 0, call: 0, said: Vec::new() };
        tour.submit().await.unwrap();
        assert_eq!(calls(&replica, "function|load"), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_knows_no_functions_at_all_is_called_by_sha() {
    for server in Server::installed() {
        let redis = with_lines(server, &["rename-command FUNCTION \"\""]);
        let (clock, _) = Clock::manual(NOW_MS);
        let store = open_as(&redis, "", clock).await;
        let mut tour =
            Tour { redis: &redis, store, held: Vec::new(), number: 0, call: 0, said: Vec::new() };
        tour.submit().await.unwrap();
        redis.cli(&["SCRIPT", "FLUSH"]);
        tour.sync(2).await.unwrap();
        assert_eq!(tour.held.len(), 2);
        assert!(calls(&redis, "evalsha") >= 2);
    }
}
