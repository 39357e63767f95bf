//! Tests with one body, which run on the model, the embedded store, a Redis and a Redis Cluster.
//!
//! The suite in `tasktonic_store::conformance` holds the stores to the state machine. What stands
//! above a store (the worker, the server, operations on many tasks) promises the same on each of
//! them, and its tests say so with [`on_each_store!`].
//!
//! A dev-dependency. What cannot be started fails the test.

#![expect(clippy::unwrap_used, reason = "what only tests use may panic")]

use std::sync::Arc;

use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tasktonic_store::model::ModelStore;
use tasktonic_store_embedded::EmbeddedStore;
use tasktonic_store_redis::RedisStore;
pub use tasktonic_testkit::traces;
use tasktonic_testkit::{Cluster, Redis, redis};
use tempfile::TempDir;
use traces::{Found, Texts};

/// What a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The state machine and nothing else.
    Model,
    /// The store in one process, in a folder of its own.
    Embedded,
    /// A Redis of its own.
    Redis,
    /// A cluster of its own.
    Cluster,
}

/// A store that is new, and what it lives on, which ends with this.
pub struct Opened {
    /// The store.
    pub store: Arc<dyn Store>,
    under: Under,
}

/// What a store lives on.
enum Under {
    Nothing,
    Folder(TempDir),
    Redis(Box<Redis>),
    Cluster(Cluster),
}

impl Opened {
    fn new(store: impl Store + 'static, under: Under) -> Self {
        Self { store: Arc::new(store), under }
    }

    /// Where under the store there is one of these texts: in files of its folder, in keys and values
    /// of every server. The model has nothing under it.
    #[must_use]
    pub fn traces(&self, of: &Texts) -> Vec<Found> {
        match &self.under {
            Under::Nothing => Vec::new(),
            Under::Folder(folder) => of.in_files(folder.path()),
            Under::Redis(redis) => of.in_keys(redis),
            Under::Cluster(cluster) => {
                cluster.nodes().iter().flat_map(|node| of.in_keys(node)).collect()
            }
        }
    }
}

impl On {
    /// What it promises of a task that it has accepted, as an answer of the API says it.
    #[must_use]
    pub const fn durability(self) -> &'static str {
        match self {
            Self::Model => "memory",
            Self::Embedded => "disk",
            Self::Redis | Self::Cluster => "fast",
        }
    }

    /// A new store of so many partitions (the embedded one says itself how many), with the time of
    /// the machine.
    pub async fn open(self, partitions: u16) -> Opened {
        self.open_with(Clock::system(), false, partitions).await
    }

    /// The same with a time that the test sets by hand.
    pub async fn open_at(self, clock: Clock, partitions: u16) -> Opened {
        self.open_with(clock, true, partitions).await
    }

    async fn open_with(self, clock: Clock, by_hand: bool, partitions: u16) -> Opened {
        let redis = |clock| tasktonic_store_redis::Options {
            clock_is_of_scripts: by_hand,
            partitions,
            ..tasktonic_store_redis::Options::new(clock)
        };
        match self {
            Self::Model => {
                Opened::new(ModelStore::with_partitions(clock, partitions), Under::Nothing)
            }
            Self::Embedded => {
                let folder = tempfile::tempdir().unwrap();
                let options = tasktonic_store_embedded::Options::new(clock);
                let store = EmbeddedStore::open(folder.path(), options).unwrap();
                Opened::new(store, Under::Folder(folder))
            }
            Self::Redis => {
                let server = Redis::start(redis::Options::default());
                let url = server.url().parse().unwrap();
                let store = RedisStore::open(&url, redis(clock)).await.unwrap();
                Opened::new(store, Under::Redis(Box::new(server)))
            }
            Self::Cluster => {
                let cluster = Cluster::start();
                let url = cluster.url().parse().unwrap();
                let store = RedisStore::open(&url, redis(clock)).await.unwrap();
                Opened::new(store, Under::Cluster(cluster))
            }
        }
    }
}

/// Makes of each function named, `async fn name(on: On)`, a test for each store.
#[macro_export]
macro_rules! on_each_store {
    ($($name:ident)*) => {
        $crate::on_each_store!(@model Model: $($name)*);
        $crate::on_each_store!(@embedded Embedded: $($name)*);
        $crate::on_each_store!(@redis Redis: $($name)*);
        $crate::on_each_store!(@cluster Cluster: $($name)*);
    };
    (@$module:ident $on:ident: $($name:ident)*) => {
        mod $module { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::On::$on).await;
            }
        )* }
    };
}
