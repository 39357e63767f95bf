//! One user out of any store and into any other: what is there then is what was there, member by
//! member, and nothing of anybody else.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::Value;
use tasktonic_core::TaskState::{Cancelled, Queued, Running};
use tasktonic_core::command::{Idempotency, NewTask, Submit};
use tasktonic_core::reply::Submitted;
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{Lease, TaskId, Text, UserId};
use tasktonic_protocol::stored::StoredState;
use tasktonic_store::clock::{Clock, ManualClock};
use tasktonic_store::conformance::{Person, Scene, Whole, everything, whole};
use tasktonic_store::{Store, Table};
use tasktonic_store_embedded::EmbeddedStore;
use tasktonic_store_redis::RedisStore;
use tasktonic_testkit::{Cluster, Redis, Scratch, redis};

use crate::support::{said, tasktonic, write};

/// Partitions of the store that is written out, where it has several; the others have the usual ones,
/// so that whoever is moved comes into another partition.
const PARTITIONS: u16 = 3;
const MASTERS: usize = 3;
/// How long ago the store was worked on, in ms.
const AGO_MS: i64 = 120_000;

/// What a store is on.
enum Form {
    Embedded(Scratch),
    Redis(Box<Redis>),
    Cluster(Cluster),
}

/// A store that is open.
enum Opened {
    Embedded(Arc<EmbeddedStore>),
    Redis(RedisStore),
}

impl Form {
    /// One of each.
    fn all() -> [Self; 3] {
        [Self::embedded(), Self::redis(), Self::cluster()]
    }

    fn embedded() -> Self {
        Self::Embedded(Scratch::new())
    }

    fn redis() -> Self {
        Self::Redis(Box::new(Redis::start(redis::Options::default())))
    }

    fn cluster() -> Self {
        Self::Cluster(Cluster::start_with(MASTERS, 0, &redis::Options::default()))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
            Self::Redis(_) => "Redis",
            Self::Cluster(_) => "cluster",
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Embedded(folder) => format!("embedded:{}", folder.path().display()),
            Self::Redis(redis) => redis.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    async fn open(&self, clock: &Clock) -> Opened {
        let clock = clock.clone();
        if let Self::Embedded(folder) = self {
            let options = tasktonic_store_embedded::Options::new(clock);
            return Opened::Embedded(Arc::new(
                EmbeddedStore::open(folder.path(), options).unwrap(),
            ));
        }
        let options = tasktonic_store_redis::Options {
            clock_is_of_scripts: true,
            partitions: PARTITIONS,
            reconcile_every: None,
            ..tasktonic_store_redis::Options::new(clock)
        };
        Opened::Redis(RedisStore::open(&self.url().parse().unwrap(), options).await.unwrap())
    }
}

impl Opened {
    fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Redis(store) => Arc::new(store.clone()),
        }
    }

    /// What contradicts itself.
    async fn wrong(&self) -> Vec<String> {
        match self {
            Self::Embedded(store) => store.check(),
            Self::Redis(store) => {
                let mut wrong = Vec::new();
                for p in (0..store.partitions()).map(PartitionId) {
                    wrong.extend(store.check(p).await.unwrap());
                }
                wrong
            }
        }
    }

    async fn close(self) {
        match self {
            Self::Embedded(store) => store.close().await,
            Self::Redis(store) => store.close().await,
        }
    }
}

fn export(form: &Form, user: &UserId) -> String {
    said(tasktonic().args(["export", "--json", "--store", &form.url(), "--user", user.as_str()]))
}

fn import(lines: &str, into: &Form) {
    let scratch = Scratch::new();
    let file = scratch.join("lines");
    write(&file, lines);
    let stdin = Stdio::from(std::fs::File::open(&file).unwrap());
    said(tasktonic().args(["import", "--json", "--store", &into.url()]).stdin(stdin));
}

/// Lines by what their order means: queued tasks of one priority in a queue in theirs, all others as
/// they come. Without what says which store it was, and how many ran there.
fn by_order(lines: &str) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::<String, Vec<String>>::new();
    let mut place = String::new();
    for line in lines.lines() {
        let parsed: Value = serde_json::from_str(line).unwrap();
        match parsed["line"].as_str().unwrap() {
            "head" | "end" => continue,
            "task" if parsed["place"] == "queued" => {
                place = format!("{} {}", parsed["queue"], parsed["priority"]);
            }
            "attempts" | "log" => {}
            _ => place.clear(),
        }
        all.entry(place.clone()).or_default().push(line.to_owned());
    }
    all
}

/// Takes out of `copy` what became of those that ran, and out of `had` that they did: what is left of
/// both is to be the same. Nobody runs what is moved: it waits for its next claim, or has ended if that
/// was asked.
fn of_those_that_ran(had: &mut Whole, copy: &mut Whole, person: &Person) {
    let mut ran = |lease: &Lease, becomes: &str, claim: u32| {
        let before = &mut had.tasks.get_mut(&lease.task).expect("it was there").stored;
        let after = &mut copy.tasks.get_mut(&lease.task).expect("it is there").stored;
        let text = after.state.take().expect("a state");
        let state: StoredState = serde_json::from_str(&text).unwrap();
        assert_eq!((state.s.as_str(), state.c, state.a), (becomes, claim, lease.attempt), "{text}");
        assert!(!after.cancel_asked, "{lease}");
        (before.state, before.cancel_asked) = (None, false);
        text.len() as u64
    };
    for lease in &person.running {
        ran(lease, "queued", lease.claim + 1);
    }
    let ended: u64 = person.asked.iter().map(|lease| ran(lease, "cancelled", lease.claim)).sum();
    let ids = |leases: &[Lease]| leases.iter().map(|lease| lease.task).collect::<Vec<TaskId>>();
    let (running, asked) = (ids(&person.running), ids(&person.asked));
    assert_eq!(had.in_state(Running).len(), running.len() + asked.len());
    for (state, tasks) in [(Queued, &running), (Cancelled, &asked)] {
        had.in_state(state).extend(tasks);
        had.in_state(state).sort_by(|a, b| b.cmp(a));
        *had.counts.get_mut(state.name()).unwrap() += tasks.len() as u64;
    }
    had.in_state(Running).clear();
    had.counts.insert(Running.name(), 0);
    // Of one that has ended the state is counted too.
    had.bytes += ended;
}

/// A store with everything of two people.
async fn filled(form: &Form, clock: &Clock, hand: ManualClock) -> (Opened, Vec<Person>) {
    let opened = form.open(clock).await;
    let scene = Scene::at(clock.now_ms(), opened.store(), hand);
    let people = [("ben", "others-text"), ("ana", "own-text")];
    (opened, everything(&scene, &people).await)
}

/// Whether keys still stand for the tasks that they stood for.
async fn keys_are_kept(store: &dyn Store, person: &Person) {
    let again = |key: &Text, number| NewTask {
        idempotency: Some(Idempotency::new(key.clone(), 7, 60_000)),
        ..NewTask::new(
            person.user.clone(),
            TaskId::new(1, number),
            "mail".parse().unwrap(),
            r#"{"v":1,"k":"mail","q":"mail","at":1,"max":2,"p":{}}"#,
        )
    };
    let p = partition_of(&person.user, store.partitions());
    for (number, (key, task)) in (1..).zip(&person.keys) {
        let batch = Submit { created_ms: 1, tasks: vec![again(key, number)] };
        assert_eq!(store.submit(p, batch).await.unwrap(), [Submitted::Existing(*task)]);
    }
}

async fn is_imported_everywhere(source: Form) {
    // A while ago: nobody is to think that somebody works on the store now.
    let (clock, hand) = Clock::manual(Clock::system().now_ms() - AGO_MS);
    let (opened, people) = filled(&source, &clock, hand).await;
    let [ben, ana] = &people[..] else { panic!("two people") };
    let had = whole(&*opened.store(), &ana.user).await;
    assert!(had.tasks.len() > 200 && had.counts.values().all(|count| *count > 0));
    opened.close().await;
    let lines = export(&source, &ana.user);
    for text in [ben.user.as_str(), &ben.mark, "\"line\":\"record\"", "\"line\":\"queues\""] {
        assert!(!lines.contains(text), "nothing of anybody else: {text}");
    }

    for target in Form::all() {
        let way = format!("{} to {}", source.name(), target.name());
        import(&lines, &target);
        // By the time of the machine, as the import was made: how long keys are kept depends on it.
        let opened = target.open(&Clock::system()).await;
        let store = opened.store();
        let mut copy = whole(&*store, &ana.user).await;
        let mut had = had.clone();
        of_those_that_ran(&mut had, &mut copy, ana);
        assert_eq!(had.differences(&copy), Vec::<String>::new(), "{way}");
        assert_eq!(whole(&*store, &ben.user).await.tasks.len(), 0, "{way}");
        for table in Table::ALL {
            assert_eq!(store.registry().list(*table).await.unwrap(), Vec::new(), "{way}");
        }
        assert_eq!(opened.wrong().await, Vec::<String>::new(), "{way}");
        keys_are_kept(&*store, ana).await;
        drop(store);
        opened.close().await;
        // And out again, in the same order.
        let again = by_order(&export(&target, &ana.user));
        assert_eq!(by_order(&lines), again, "{way}");
    }
    // It was a copy: both are where they were.
    let opened = source.open(&clock).await;
    let still = whole(&*opened.store(), &ana.user).await;
    assert_eq!(had.differences(&still), Vec::<String>::new());
    assert!(whole(&*opened.store(), &ben.user).await.tasks.len() > 200);
    opened.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_user_of_an_embedded_store_is_imported_into_every_other_whole() {
    is_imported_everywhere(Form::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_user_of_a_redis_is_imported_into_every_other_whole() {
    is_imported_everywhere(Form::redis()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_user_of_a_cluster_is_imported_into_every_other_whole() {
    is_imported_everywhere(Form::cluster()).await;
}
