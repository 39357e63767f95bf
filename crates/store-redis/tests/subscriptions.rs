//! Subscriptions come back, whatever happens to their connections; and who may have missed
//! something is told.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod load;

use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _};
use tasktonic_core::command::{Claim, Submit, Sync};
use tasktonic_core::routing::{PartitionId, partition_of, slot, tag};
use tasktonic_core::{UserId, WorkerId};
use tasktonic_store::{EventStream, Store, UserEvent, Wake, WakeStream};
use tasktonic_store_redis::{Class, RedisStore};
use tasktonic_testkit::cluster::Cluster;
use tasktonic_testkit::redis::{Options, Redis};

const PARTITIONS: u16 = 8;
/// How long a subscription may be gone.
const WITHIN: Duration = Duration::from_secs(5);

fn user(number: u32) -> UserId {
    format!("user-{number}").parse().unwrap()
}

/// Submits one task of `user`, which is an event on their channel.
async fn happen(store: &RedisStore, user: &UserId) {
    let batch = Submit { created_ms: 1, tasks: vec![load::draft(user, rand::random())] };
    store.submit(partition_of(user, store.partitions()), batch).await.unwrap();
}

async fn next<T>(what: &str, stream: &mut (impl Stream<Item = T> + Unpin)) -> T {
    match tokio::time::timeout(WITHIN, stream.next()).await {
        Ok(Some(item)) => item,
        Ok(None) => panic!("{what}: the stream ended"),
        Err(_) => panic!("{what}: nothing for {WITHIN:?}"),
    }
}

/// Waits until an event of `user` comes through, submitting tasks until one does; whether its
/// listener was told that it may have missed some.
async fn hears(store: &RedisStore, user: &UserId, stream: &mut EventStream) -> bool {
    let (since, mut lagged) = (Instant::now(), false);
    loop {
        happen(store, user).await;
        let wait = Duration::from_millis(100);
        while let Ok(Some(event)) = tokio::time::timeout(wait, stream.next()).await {
            match event {
                UserEvent::Logged { .. } => return lagged,
                UserEvent::Lagged => lagged = true,
                UserEvent::Passing(_) => {}
            }
        }
        assert!(since.elapsed() < WITHIN, "{user} hears nothing for {WITHIN:?}");
    }
}

/// Listeners of 30 users over all partitions, each of whom has heard something.
async fn thirty(store: &RedisStore) -> Vec<(UserId, EventStream)> {
    let mut listeners: Vec<_> =
        (0..30).map(user).map(|user| (user.clone(), store.events(&user))).collect();
    for (user, stream) in &mut listeners {
        assert_eq!(next("the first confirmation", stream).await, UserEvent::Lagged);
        hears(store, user, stream).await;
    }
    listeners
}

#[test]
fn all_channels_come_back_when_connections_are_killed_and_slots_move() {
    let cluster = Cluster::start();
    load::block_on(async {
        let store = load::open(&cluster.url(), Class::Fast, PARTITIONS).await;
        let mut listeners = thirty(&store).await;

        for node in 0..3 {
            let since = Instant::now();
            let killed = cluster.node(node).cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
            assert_eq!(killed, "1", "one connection for signals per server");
            for (user, stream) in &mut listeners {
                hears(&store, user, stream).await;
            }
            eprintln!("connection killed: all 30 hear again after {:?}", since.elapsed());
        }

        // A slot moves live: the server takes its channels away unasked.
        let p = partition_of(&listeners[0].0, PARTITIONS);
        let moving = slot(&tag(p, PARTITIONS));
        let to = (cluster.master_of(moving) + 1) % 3;
        let since = Instant::now();
        cluster.migrate_slot(moving, to);
        let moved = since.elapsed();
        for (user, stream) in &mut listeners {
            let lagged = hears(&store, user, stream).await;
            assert!(lagged || partition_of(user, PARTITIONS) != p, "{user} was not told to read");
        }
        let whole = since.elapsed();
        eprintln!("slot moved in {moved:?}: all 30 hear again after {whole:?}");
    });
}

#[test]
fn a_call_about_many_users_tells_those_who_listen_and_asks_once_about_the_others() {
    let redis = Redis::start(Options::default());
    load::block_on(async {
        let store = load::open(&redis.url(), Class::Fast, 1).await;
        let mut listener = store.events(&user(3));
        assert_eq!(next("the first confirmation", &mut listener).await, UserEvent::Lagged);

        let calls = |command: &str| {
            let stats = redis.info("commandstats");
            let said = stats.get(&format!("cmdstat_{command}")).cloned().unwrap_or_default();
            let calls = said.split(',').next().and_then(|said| said.strip_prefix("calls="));
            calls.map_or(0, |calls| calls.parse::<u32>().unwrap())
        };
        let before = (calls("spublish"), calls("pubsub|shardnumsub"));
        let tasks = (0..6).map(|number| load::draft(&user(number), u64::from(number))).collect();
        store.submit(PartitionId(0), Submit { created_ms: 1, tasks }).await.unwrap();
        let event = next("what happened to one of them", &mut listener).await;
        assert!(matches!(event, UserEvent::Logged { .. }), "{event:?}");
        let after = (calls("spublish"), calls("pubsub|shardnumsub"));
        assert_eq!(after.1 - before.1, 1);
        // One to who listens; the store sometimes says something to itself, and hears whether it can.
        assert!(after.0 - before.0 < 4, "{} were told", after.0 - before.0);
    });
}

#[test]
fn a_dead_connection_that_nobody_closes_is_noticed_by_its_silence() {
    use tasktonic_testkit::fault_proxy::{Fault, FaultProxy};

    let redis = Redis::start(Options::default());
    let proxy = FaultProxy::start(redis.port());
    load::block_on(async {
        let store = load::open(&proxy.url(), Class::Fast, PARTITIONS).await;
        let ana = user(1);
        let mut stream = store.events(&ana);
        assert_eq!(next("the first confirmation", &mut stream).await, UserEvent::Lagged);
        hears(&store, &ana, &mut stream).await;
        let since = Instant::now();
        assert_eq!(proxy.hush_listeners(), 1);
        assert_eq!(next("being told after the silence", &mut stream).await, UserEvent::Lagged);
        eprintln!("silence is noticed and mended after {:?}", since.elapsed());
        hears(&store, &ana, &mut stream).await;
        // So is an echo of ours that cannot be sent.
        proxy.plan(&["SPUBLISH"], 0, u64::from(PARTITIONS), Fault::Refuse("BUSY".into()));
        assert_eq!(next("being told after the gap", &mut stream).await, UserEvent::Lagged);
        hears(&store, &ana, &mut stream).await;
    });
}

#[test]
fn a_stream_is_there_at_once_and_its_confirmation_comes_once() {
    let redis = Redis::start(Options::default());
    load::block_on(async {
        let store = load::open(&redis.url(), Class::Fast, PARTITIONS).await;
        let worker: WorkerId = "w-1".parse().unwrap();
        let mut wakes: WakeStream = store.wakes(&worker);
        assert_eq!(next("the confirmation of 8 channels", &mut wakes).await, Wake::Lagged);
        // A second listener of a channel that is subscribed needs none.
        let mut second = store.wakes(&worker);
        let ana = user(1);
        let p = partition_of(&ana, PARTITIONS);
        let park = |call| Sync {
            worker: worker.clone(),
            call,
            lease_ms: 10_000,
            ops: Vec::new(),
            claim: Some(Claim::new(vec!["mail".parse().unwrap()], 1)),
            woken: Vec::new(),
            park: true,
        };
        store.sync(p, park(1)).await.unwrap();
        happen(&store, &ana).await;
        let work = Wake::Work(p, "mail".parse().unwrap());
        assert_eq!(next("a wake", &mut wakes).await, work);
        assert_eq!(next("the same wake", &mut second).await, work);
    });
}

#[test]
fn channels_follow_their_listeners() {
    let redis = Redis::start(Options::default());
    load::block_on(async {
        let store = load::open(&redis.url(), Class::Fast, PARTITIONS).await;
        let channels = || {
            let count = redis.cli(&["PUBSUB", "SHARDCHANNELS", "tt:*:u:*"]);
            count.lines().filter(|line| !line.is_empty()).count()
        };
        let mut kept = store.events(&user(1));
        let mut gone = store.events(&user(2));
        next("a confirmation", &mut kept).await;
        next("a confirmation", &mut gone).await;
        assert_eq!(channels(), 2);
        drop(gone);
        let since = Instant::now();
        while channels() != 1 {
            assert!(since.elapsed() < Duration::from_secs(8), "the channel stays");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Who comes back hears again, and who stayed never stopped.
        let mut back = store.events(&user(2));
        next("a confirmation", &mut back).await;
        for (number, stream) in [(1, &mut kept), (2, &mut back)] {
            assert!(!hears(&store, &user(number), stream).await, "user-{number} was disturbed");
        }
    });
}

#[test]
fn unreadable_signals_are_dropped_and_counted() {
    let redis = Redis::start(Options::default());
    load::block_on(async {
        let store = load::open(&redis.url(), Class::Fast, PARTITIONS).await;
        let ana = user(1);
        let mut stream = store.events(&ana);
        next("a confirmation", &mut stream).await;
        let channel = format!("tt:{{{}}}:u:{ana}", tag(partition_of(&ana, PARTITIONS), PARTITIONS));
        for nonsense in ["", "nonsense", "1-[", "{", "\u{0}"] {
            assert_eq!(redis.cli(&["SPUBLISH", &channel, nonsense]), "1");
        }
        assert!(!hears(&store, &ana, &mut stream).await);
        assert_eq!(store.unread_signals(), 5);
    });
}

#[test]
fn an_idle_worker_is_woken_within_milliseconds() {
    let redis = Redis::start(Options::default());
    load::block_on(async {
        let store = load::open(&redis.url(), Class::Fast, PARTITIONS).await;
        let worker: WorkerId = "w-1".parse().unwrap();
        let mut wakes = store.wakes(&worker);
        next("the confirmation", &mut wakes).await;
        let ana = user(1);
        let p = partition_of(&ana, PARTITIONS);
        let mut call = 0;
        let mut sync = async |park: bool, limit| {
            call += 1;
            let request = Sync {
                worker: worker.clone(),
                call,
                lease_ms: 10_000,
                ops: Vec::new(),
                claim: Some(Claim::new(vec!["mail".parse().unwrap()], limit)),
                woken: Vec::new(),
                park,
            };
            store.sync(p, request).await.unwrap().claimed.len()
        };
        let mut took = Vec::new();
        for _ in 0..200 {
            assert_eq!(sync(true, 1).await, 0);
            let since = Instant::now();
            happen(&store, &ana).await;
            assert!(matches!(next("a wake", &mut wakes).await, Wake::Work(..)));
            assert_eq!(sync(false, 1).await, 1);
            took.push(since.elapsed());
        }
        took.sort_unstable();
        eprintln!("submit to claim, idle: p50 {:?}, p99 {:?}", took[100], took[198]);
        assert!(took[100] < Duration::from_secs(1));
    });
}

#[test]
fn partitions_of_the_cluster_are_spread() {
    let of = |p| slot(&tag(PartitionId(p), PARTITIONS)) / 5_462;
    let counts: Vec<usize> =
        (0..3).map(|node| (0..PARTITIONS).filter(|p| of(*p) == node).count()).collect();
    assert_eq!(counts, [3, 3, 2]);
}
