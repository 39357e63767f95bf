//! The model passes the suite it is the measure of, and agrees with itself.

use std::sync::Arc;

use async_trait::async_trait;
use tasktonic_core::routing::PartitionId;
use tasktonic_store::clock::Clock;
use tasktonic_store::conformance::{Subject, differential, seeds};
use tasktonic_store::model::ModelStore;
use tasktonic_store::{Error, Query, Store};

tasktonic_store::conformance!(
    |clock| async move { Arc::new(ModelStore::new(clock)) as Arc<dyn Store> }
);

/// Users of three partitions, one store.
mod of_three_partitions {
    use super::*;

    tasktonic_store::conformance!(|clock| async move {
        Arc::new(ModelStore::with_partitions(clock, 3)) as Arc<dyn Store>
    });
}

struct Other(Arc<ModelStore>);

#[async_trait]
impl Subject for Other {
    fn store(&self) -> Arc<dyn Store> {
        self.0.clone()
    }
    async fn restart(&mut self, _crash: bool) {
        self.0.restart();
    }
    async fn dump(&self) -> String {
        self.0.dump()
    }
}

#[tokio::test]
async fn two_models_walk_the_same_way() {
    for seed in seeds(0..20) {
        let (clock, hand) = Clock::manual(1_700_000_000_000);
        let mut other = Other(Arc::new(ModelStore::new(clock.clone())));
        differential(seed, 400, clock, hand, &mut other).await.unwrap();
    }
}

#[tokio::test]
async fn a_store_is_ready_when_every_partition_answers_and_knows_no_other() {
    let store = ModelStore::with_partitions(Clock::system(), 3);
    let health = store.health().await;
    assert!(health.ready && health.reasons.is_empty(), "{health:?}");
    let beyond = store.read(PartitionId(3), Query::Exist { tasks: Vec::new() }).await;
    assert!(matches!(beyond, Err(Error::Invalid(_))), "{beyond:?}");
}
