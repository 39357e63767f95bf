//! The model passes the suite it is the measure of, and agrees with itself.

use std::sync::Arc;

use async_trait::async_trait;
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tasktonic_store::conformance::{Subject, differential};
use tasktonic_store::model::ModelStore;

tasktonic_store::conformance!(
    |clock| async move { Arc::new(ModelStore::new(clock)) as Arc<dyn Store> }
);

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
    for seed in 0..20 {
        let (clock, hand) = Clock::manual(1_700_000_000_000);
        let mut other = Other(Arc::new(ModelStore::new(clock.clone())));
        differential(seed, 400, clock, hand, &mut other).await.unwrap();
    }
}
