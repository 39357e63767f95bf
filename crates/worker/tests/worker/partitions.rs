//! A store of several partitions: each is served, and each has its own sync in flight.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tasktonic_core::command::{Control, Submit, Sync as SyncCommand};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{UserId, WorkerId};
use tasktonic_store::clock::Clock;
use tasktonic_store::model::ModelStore;
use tasktonic_store::{
    Durability, EventStream, Query, QueryReply, Registry, Result, Store, SyncReply, Wake,
    WakeStream,
};
use tasktonic_worker::Settings;

use super::stage::{Draft, Stage, draft, handler, settings, start, worker};

/// One model per partition.
struct Split(Vec<ModelStore>);

impl Split {
    fn of(&self, p: PartitionId) -> &ModelStore {
        &self.0[usize::from(p.0)]
    }
}

#[async_trait]
impl Store for Split {
    async fn submit(&self, p: PartitionId, batch: Submit) -> Result<Vec<Submitted>> {
        self.of(p).submit(p, batch).await
    }

    async fn sync(&self, p: PartitionId, request: SyncCommand) -> Result<SyncReply> {
        for op in &request.ops {
            assert_eq!(partition_of(&op.lease.user, self.partitions()), p, "sent to its partition");
        }
        self.of(p).sync(p, request).await
    }

    async fn control(&self, p: PartitionId, control: Control) -> Result<Vec<Controlled>> {
        self.of(p).control(p, control).await
    }

    async fn read(&self, p: PartitionId, query: Query) -> Result<QueryReply> {
        self.of(p).read(p, query).await
    }

    fn wakes(&self, worker: &WorkerId) -> WakeStream {
        let all = (0_u16..).zip(&self.0).map(|(p, model)| {
            let own = move |wake| match wake {
                Wake::Work(_, queue) => Wake::Work(PartitionId(p), queue),
                other => other,
            };
            model.wakes(worker).map(own)
        });
        Box::pin(stream::select_all(all.collect::<Vec<_>>()))
    }

    fn events(&self, user: &UserId) -> EventStream {
        self.of(partition_of(user, self.partitions())).events(user)
    }

    fn partitions(&self) -> u16 {
        u16::try_from(self.0.len()).unwrap()
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }

    fn registry(&self) -> &dyn Registry {
        self.0[0].registry()
    }
}

#[tokio::test]
async fn every_partition_is_served_and_never_more_runs_than_the_worker_may() {
    const USERS: [&str; 6] = ["ana", "ben", "cem", "dee", "eva", "flo"];
    let split = Split((0..3).map(|_| ModelStore::new(Clock::system())).collect());
    let stage = Stage::on(Arc::new(split));
    let places = Arc::new(tokio::sync::Semaphore::new(2));
    let work = handler("work", move |_, _| {
        let free = places.clone().try_acquire_owned().expect("at most two at once");
        async move {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            drop(free);
            Ok(json!(0))
        }
    });
    let two = Settings { concurrency: 2, ..settings() };
    let _running = start(worker(stage.store.clone(), "w-1", two, vec![work]));
    // Twice: the second time it is idle and must be woken, whichever partition it is.
    for _ in 0..2 {
        let mut tasks = Vec::new();
        for user in USERS.into_iter().cycle().take(30) {
            tasks.push(stage.submit(Draft { user, attempts_max: 1, ..draft("work") }).await);
        }
        for task in &tasks {
            stage.wait(task, "completed").await;
        }
    }
}
