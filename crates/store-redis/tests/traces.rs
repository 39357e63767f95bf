//! After a user of whom there was everything is erased, nothing that any server has holds a trace of
//! them: no name of a key, no value, and once the servers have written their files anew, no byte of
//! these. Whoever is beside them is whole. On a Redis with several partitions, and on every node of a
//! cluster.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tasktonic_core::command::{Control, Idempotency, NewTask, Submit};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{TaskId, UserId};
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tasktonic_store::conformance::{Person, Scene, Whole, everything, whole};
use tasktonic_store::transfer::Source as _;
use tasktonic_store_redis::RedisStore;
use tasktonic_testkit::cluster::Cluster;
use tasktonic_testkit::redis::{self, Aof, Redis, Server};
use tasktonic_testkit::traces::{Found, Texts};
use tasktonic_testkit::wait;

/// Two of each master of a cluster.
const PARTITIONS: u16 = 6;
const NOW_MS: i64 = 1_700_000_000_000;
const WHO: &str = "erasable-person";
/// How long servers may take to write their files anew and to remove the old ones, and replicas to
/// follow.
const SETTLED: Duration = Duration::from_secs(30);

/// Keys of a user's own by their letters, and those of all users by their names, in which the user
/// has to have been for the scan to say anything.
const PLACES: &str = "a cancels credit d due e f full h i k l leads leases m meta n nodes o overrides \
                      pace paused q ring running s sc schedules sweep t throttled times unstarted \
                      users w z";

fn options(server: Server) -> redis::Options {
    // What is compressed is not found.
    let lines = vec!["rdbcompression no".to_owned()];
    redis::Options { server, aof: Aof::EverySecond, lines, ..redis::Options::default() }
}

/// Somebody in the same partition as the one who is to be erased, and somebody in another.
fn others() -> [String; 2] {
    let home = |user: &str| partition_of(&user.parse().unwrap(), PARTITIONS);
    [true, false].map(|same| {
        let mut names = (0..).map(|number| format!("beside-{number}"));
        names.find(|name| (home(name) == home(WHO)) == same).unwrap()
    })
}

/// Where the user is named, by sort of key.
fn sorts(nodes: &[Redis], user: &UserId) -> BTreeSet<String> {
    let texts = Texts::new([user.as_str()]);
    let own = format!("u:{user}:");
    let sort = |Found { place, .. }: Found| {
        // `tt:{tag}:sort…`, or `tt:{tag}:u:user:letter…`.
        let rest = place.splitn(3, ':').last().unwrap_or_default().to_owned();
        let rest = rest.strip_prefix(&own).unwrap_or(&rest);
        rest.split(':').next().unwrap_or_default().to_owned()
    };
    nodes.iter().flat_map(|node| texts.in_keys(node)).map(sort).collect()
}

/// Has every server write its file anew, and waits for that.
fn write_anew(nodes: &[Redis]) {
    for node in nodes {
        node.cli(&["BGREWRITEAOF"]);
        wait::until("the file to be written anew", SETTLED, || {
            let info = node.info("persistence");
            let is = |name: &str, value: &str| info.get(name).is_some_and(|said| said == value);
            is("aof_rewrite_in_progress", "0")
                && is("aof_rewrite_scheduled", "0")
                && is("aof_last_bgrewrite_status", "ok")
        });
    }
}

/// What there is once `found` says nothing, or time is up: servers remove old files, and replicas what
/// is gone, a moment later.
fn at_last(found: impl Fn() -> Vec<Found>) -> Vec<Found> {
    let since = std::time::Instant::now();
    loop {
        let left = found();
        if left.is_empty() || since.elapsed() > SETTLED {
            return left;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

struct Erasing<'a> {
    store: RedisStore,
    scene: Scene,
    nodes: &'a [Redis],
    person: Person,
    others: Vec<(UserId, Whole)>,
}

impl<'a> Erasing<'a> {
    /// A store with everything of three people on it.
    async fn prepare(url: &str, nodes: &'a [Redis]) -> Self {
        let (clock, hand) = Clock::manual(NOW_MS);
        let store = common::open_at(url, clock, PARTITIONS).await;
        let scene = Scene::new(Arc::new(store.clone()), hand);
        let [same, other] = others();
        let people = [
            (same.as_str(), "others-text"),
            (other.as_str(), "strangers-text"),
            (WHO, "erasable-text"),
        ];
        let mut made = everything(&scene, &people).await;
        let person = made.pop().unwrap();
        let mut others = Vec::new();
        for Person { user, .. } in made {
            let all = whole(&store, &user).await;
            assert!(all.tasks.len() > 200 && all.counts.values().all(|count| *count > 0));
            others.push((user, all));
        }
        Self { store, scene, nodes, person, others }
    }

    fn in_keys(&self, texts: &Texts) -> Vec<Found> {
        self.nodes.iter().flat_map(|node| texts.in_keys(node)).collect()
    }

    fn in_files(&self, texts: &Texts) -> Vec<Found> {
        self.nodes.iter().flat_map(|node| texts.in_files(node.dir())).collect()
    }

    async fn erase(&self) {
        let user = &self.person.user;
        let p = partition_of(user, PARTITIONS);
        let mut steps = 1;
        while self.store.control(p, Control::Erase { user: user.clone() }).await.unwrap()
            != [Controlled::Done]
        {
            steps += 1;
        }
        assert!(steps > 2, "in steps: {steps}");
    }

    async fn the_others_are_whole(&self) {
        for (user, before) in &self.others {
            let after = whole(&self.store, user).await;
            assert_eq!(before.differences(&after), Vec::<String>::new(), "{user}");
        }
        for p in (0..PARTITIONS).map(PartitionId) {
            assert_eq!(self.store.check(p).await.unwrap(), Vec::<String>::new());
        }
    }

    async fn nothing_is_to_be_repaired(&self) {
        for p in (0..PARTITIONS).map(PartitionId) {
            assert_eq!(self.store.reconcile(p).await.unwrap(), 0, "{:?}", self.store.repairs());
        }
    }

    /// Who was erased has no key that stands for a task, and is told of nothing that was.
    async fn who_comes_back_is_like_anybody(&self) {
        let user = &self.person.user;
        assert_eq!(whole(&self.store, user).await.tasks.len(), 0);
        for (key, task) in &self.person.keys {
            let again = NewTask {
                idempotency: Some(Idempotency::new(key.clone(), 7, 60_000)),
                ..self.scene.draft(user.as_str())
            };
            assert_eq!(self.scene.submit_as(again).await, Submitted::Accepted, "{task}");
        }
        let back = whole(&self.store, user).await;
        assert_eq!(back.tasks.len(), self.person.keys.len());
        let none = (back.schedules.is_empty(), back.bytes_max, back.pauses.contains("true"));
        assert_eq!(none, (true, None, false));
    }
}

/// Erases one of three people of whom there is everything, and looks everywhere.
async fn no_trace_is_left(url: &str, nodes: &[Redis]) {
    let erasing = Erasing::prepare(url, nodes).await;
    let had = whole(&erasing.store, &erasing.person.user).await;
    let traces = erasing.person.traces(&had);
    let texts = Texts::new(traces.clone());
    let found = sorts(nodes, &erasing.person.user);
    let missing: Vec<_> = PLACES.split(' ').filter(|sort| !found.contains(*sort)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "the user was there before: {found:?}");
    // Name, mark and serial key; the others are ids, with which most of these places are found too.
    for text in &traces[..3] {
        assert!(!erasing.in_keys(&Texts::new([text])).is_empty(), "the scan finds {text}");
    }
    wait::until("the files to have it", SETTLED, || !erasing.in_files(&texts).is_empty());

    erasing.erase().await;
    assert_eq!(at_last(|| erasing.in_keys(&texts)), Vec::<Found>::new());
    erasing.the_others_are_whole().await;
    erasing.nothing_is_to_be_repaired().await;
    write_anew(nodes);
    assert_eq!(at_last(|| erasing.in_files(&texts)), Vec::<Found>::new());
    assert_eq!(erasing.in_keys(&texts), Vec::<Found>::new());
    for (user, _) in &erasing.others {
        let is_there = !erasing.in_files(&Texts::new([user.as_str()])).is_empty();
        assert!(is_there, "the files are looked at, and have {user}");
    }
    erasing.who_comes_back_is_like_anybody().await;
    erasing.the_others_are_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_partition_of_a_redis_holds_a_trace_of_an_erased_user() {
    for server in Server::installed() {
        let redis = Redis::start(options(server));
        no_trace_is_left(&redis.url(), std::slice::from_ref(&redis)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_of_a_cluster_holds_a_trace_of_an_erased_user() {
    // Each with a replica, which has a copy of everything.
    let cluster = Cluster::start_with(3, 1, &options(Server::Redis));
    no_trace_is_left(&cluster.url(), cluster.nodes()).await;
}

/// An export of everybody, and whoever repairs, go by the users that a partition knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_after_an_erasure_is_known_to_the_partition_again() {
    let redis = common::server(Server::Redis);
    let (clock, hand) = Clock::manual(NOW_MS);
    let store = common::open(&redis, clock, PARTITIONS).await;
    let scene = Scene::new(Arc::new(store.clone()), hand);
    let user: UserId = WHO.parse().unwrap();
    let p = partition_of(&user, PARTITIONS);
    // In each of the ways in which a user comes to be: a task that is usual and one that is not, and a
    // limit that is set before there is any.
    for way in 0..3 {
        match way {
            0 => drop(scene.submit(WHO).await),
            1 => {
                let task = TaskId::new(NOW_MS, 1);
                let due_ms = Some(NOW_MS + 60_000);
                let new = NewTask::new(user.clone(), task, "mail".parse().unwrap(), "{}");
                let tasks = vec![NewTask { due_ms, ..new }];
                let batch = Submit { created_ms: NOW_MS, tasks };
                assert_eq!(store.submit(p, batch).await.unwrap(), [Submitted::Accepted]);
            }
            _ => {
                let limit = Control::Bytes { user: user.clone(), bytes_max: Some(1_000_000) };
                assert_eq!(store.control(p, limit).await.unwrap(), [Controlled::Done]);
            }
        }
        assert_eq!(store.users(p).await.unwrap(), std::slice::from_ref(&user), "way {way}");
        let erased = store.control(p, Control::Erase { user: user.clone() }).await.unwrap();
        assert_eq!(erased, [Controlled::Done]);
        assert_eq!(store.users(p).await.unwrap(), Vec::<UserId>::new());
    }
    scene.submit(WHO).await;
    assert_eq!(store.users(p).await.unwrap(), [user]);
}
