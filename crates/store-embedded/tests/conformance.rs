//! The suite every store passes, and a random walk beside the model through clean stops and
//! crashes.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::sync::Arc;

use async_trait::async_trait;
use tasktonic_core::command::{Control, Submit, Sync};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{UserId, WorkerId};
use tasktonic_store::clock::Clock;
use tasktonic_store::conformance::{Subject, differential, seeds};
use tasktonic_store::{
    Durability, EventStream, Query, QueryReply, Registry, Result, Store, SyncReply, WakeStream,
};
use tasktonic_store_embedded::{EmbeddedStore, Options};
use tasktonic_testkit::Scratch;

/// A store and the folder it is in.
struct Housed {
    store: EmbeddedStore,
    _scratch: Scratch,
}

fn fresh(clock: Clock, fold_window_ms: u64) -> Arc<dyn Store> {
    let scratch = Scratch::new();
    let options = Options { fold_window_ms, ..Options::new(clock) };
    let store = EmbeddedStore::open(scratch.path(), options).unwrap();
    Arc::new(Housed { store, _scratch: scratch })
}

#[async_trait]
impl Store for Housed {
    async fn submit(&self, p: PartitionId, batch: Submit) -> Result<Vec<Submitted>> {
        self.store.submit(p, batch).await
    }
    async fn sync(&self, p: PartitionId, request: Sync) -> Result<SyncReply> {
        self.store.sync(p, request).await
    }
    async fn control(&self, p: PartitionId, control: Control) -> Result<Vec<Controlled>> {
        self.store.control(p, control).await
    }
    async fn read(&self, p: PartitionId, query: Query) -> Result<QueryReply> {
        self.store.read(p, query).await
    }
    fn wakes(&self, worker: &WorkerId) -> WakeStream {
        self.store.wakes(worker)
    }
    fn events(&self, user: &UserId) -> EventStream {
        self.store.events(user)
    }
    fn partitions(&self) -> u16 {
        self.store.partitions()
    }
    fn durability(&self) -> Durability {
        self.store.durability()
    }
    fn registry(&self) -> &dyn Registry {
        self.store.registry()
    }
}

mod from_memory {
    //! Nothing reaches the tables before the test is over.
    tasktonic_store::conformance!(|clock| async move { super::fresh(clock, 60_000) });
}

mod from_tables {
    //! Every round is in the tables at once.
    tasktonic_store::conformance!(|clock| async move { super::fresh(clock, 0) });
}

struct Walker {
    scratch: Scratch,
    clock: Clock,
    fold_window_ms: u64,
    texts_bytes_max: u64,
    store: Option<Arc<EmbeddedStore>>,
}

impl Walker {
    fn open(&mut self) {
        let options = Options {
            fold_window_ms: self.fold_window_ms,
            texts_bytes_max: self.texts_bytes_max,
            ..Options::new(self.clock.clone())
        };
        self.store = Some(Arc::new(EmbeddedStore::open(self.scratch.path(), options).unwrap()));
    }
}

#[async_trait]
impl Subject for Walker {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone().unwrap()
    }
    async fn restart(&mut self, crash: bool) {
        let store = self.store.take().unwrap();
        if crash {
            store.abandon();
        } else {
            store.close().await;
        }
        drop(store);
        self.open();
    }
    async fn dump(&self) -> String {
        let store = self.store.as_ref().unwrap();
        let broken = store.check();
        assert!(broken.is_empty(), "{broken:?}");
        store.dump().await.unwrap()
    }
}

async fn walk(usual: std::ops::Range<u64>, fold_window_ms: u64, texts_bytes_max: u64) {
    for seed in seeds(usual) {
        let (clock, hand) = Clock::manual(1_700_000_000_000);
        let scratch = Scratch::new();
        let clock_of_it = clock.clone();
        let mut walker =
            Walker { scratch, clock: clock_of_it, fold_window_ms, texts_bytes_max, store: None };
        walker.open();
        differential(seed, 300, clock, hand, &mut walker).await.unwrap();
    }
}

#[tokio::test]
async fn it_walks_like_the_model_when_every_round_is_folded_at_once() {
    walk(0..10, 0, u64::MAX).await;
}

#[tokio::test]
async fn it_walks_like_the_model_when_a_few_rounds_are_folded_together() {
    walk(10..20, 20, 2_000).await;
}

#[tokio::test]
async fn it_walks_like_the_model_when_no_text_stays_in_memory() {
    walk(30..36, 0, 0).await;
}

#[tokio::test]
async fn it_walks_like_the_model_when_only_restarts_fold() {
    walk(20..30, 1_000, u64::MAX).await;
}
