//! The suite that every store passes, on one partition and on several, on Redis and on Valkey.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use tasktonic_core::command::{Control, Submit, Sync};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{UserId, WorkerId};
use tasktonic_store::clock::Clock;
use tasktonic_store::{
    Durability, EventStream, Query, QueryReply, Registry, Result, Store, SyncReply, WakeStream,
};
use tasktonic_store_redis::RedisStore;
use tasktonic_testkit::redis::{Redis, Server};

/// A store, and the server it is on, which lives as long.
struct Kept {
    store: RedisStore,
    _redis: Redis,
}

/// A store of `partitions` on a fresh server.
async fn fresh(sort: Server, clock: Clock, partitions: u16) -> Arc<dyn Store> {
    let redis = common::server(sort);
    let store = common::open(&redis, clock, partitions).await;
    Arc::new(Kept { store, _redis: redis })
}

mod one_partition {
    use super::*;

    tasktonic_store::conformance!(|clock| async move { fresh(Server::Redis, clock, 1).await });
}

mod three_partitions {
    use super::*;

    tasktonic_store::conformance!(|clock| async move { fresh(Server::Redis, clock, 3).await });
}

/// Where the machine has no Valkey, these run on Redis once more.
mod valkey {
    use super::*;

    tasktonic_store::conformance!(|clock| async move {
        let sort = *Server::installed().last().unwrap();
        fresh(sort, clock, 1).await
    });
}

#[async_trait]
impl Store for Kept {
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
