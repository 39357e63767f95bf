//! What a worker says of itself and of its kinds, in the registry of the store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tasktonic_protocol::worker::{KindRecord, WorkerRecord};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Expect, Result, Store, Table};
use tokio_util::sync::CancellationToken;

use crate::RunError;
use crate::limits::{ANNOUNCE_EVERY, LEAVE_WITHIN, STORE_WAIT_FIRST, STORE_WAIT_MAX};

/// A worker's entry in the registry.
pub(crate) struct Announcer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) kinds: Vec<KindRecord>,
    /// The entry, but for what changes.
    pub(crate) worker: WorkerRecord,
    pub(crate) runs: Arc<Runs>,
}

/// What runs in a worker now, for whoever announces it.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// Attempts.
    pub(crate) attempts: AtomicU32,
    /// Places that they take.
    pub(crate) places: AtomicU32,
}

impl Announcer {
    /// Announces kinds and worker for the first time, however long the store takes to answer.
    /// Whether it did before `stop`.
    ///
    /// # Errors
    /// [`RunError::KindMissing`] if one of the worker's queues holds a kind it has no handler for.
    pub(crate) async fn begin(
        &self,
        stop: &CancellationToken,
    ) -> std::result::Result<bool, RunError> {
        let mut wait = STORE_WAIT_FIRST;
        loop {
            let tried = async {
                let missing = self.missing().await?;
                if missing.is_none() {
                    self.announce().await?;
                }
                Ok::<_, tasktonic_store::Error>(missing)
            };
            let error = tokio::select! {
                () = stop.cancelled() => return Ok(false),
                done = tried => match done {
                    Ok(None) => return Ok(true),
                    Ok(Some(missing)) => return Err(missing),
                    Err(error) => error,
                },
            };
            if wait == STORE_WAIT_FIRST {
                tracing::warn!(%error, "the store did not take the announcement of this worker; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(false),
                () = tokio::time::sleep(jittered(wait)) => {}
            }
            wait = (wait * 2).min(STORE_WAIT_MAX);
        }
    }

    /// A worker serves a queue only if it knows all its kinds: it cannot choose among the tasks
    /// it is handed.
    async fn missing(&self) -> Result<Option<RunError>> {
        let ours: BTreeSet<&str> = self.kinds.iter().map(|kind| kind.kind.as_str()).collect();
        let queues: BTreeSet<&str> = self.kinds.iter().map(|kind| kind.queue.as_str()).collect();
        for entry in self.store.registry().list(Table::Kinds).await? {
            let Ok(known) = serde_json::from_str::<KindRecord>(&entry.value) else { continue };
            if queues.contains(known.queue.as_str()) && !ours.contains(known.kind.as_str()) {
                let KindRecord { kind, queue, .. } = known;
                return Ok(Some(RunError::KindMissing { kind, queue }));
            }
        }
        Ok(None)
    }

    async fn announce(&self) -> Result<()> {
        let registry = self.store.registry();
        for kind in &self.kinds {
            let value = serde_json::to_string(kind).expect("strings and JSON values serialise");
            let known = registry.get(Table::Kinds, &kind.kind).await?;
            // Written only when it changes: every write is one to disk.
            if known.is_none_or(|known| known.value != value) {
                registry.put(Table::Kinds, &kind.kind, value, Expect::Any).await?;
            }
        }
        let running = self.runs.attempts.load(Ordering::Relaxed);
        let taken = self.runs.places.load(Ordering::Relaxed);
        let record = WorkerRecord {
            running,
            taken: (taken != running).then_some(taken),
            seen_ms: self.clock.now_ms(),
            ..self.worker.clone()
        };
        let value = serde_json::to_string(&record).expect("strings and numbers serialise");
        registry.put(Table::Workers, &record.id, value, Expect::Any).await?;
        Ok(())
    }

    /// Announces once a minute until `done`, then takes the worker out.
    pub(crate) async fn go_on(self, done: CancellationToken) {
        loop {
            tokio::select! {
                () = done.cancelled() => break,
                () = tokio::time::sleep(jittered(ANNOUNCE_EVERY)) => {}
            }
            if let Some(Err(error)) = done.run_until_cancelled(self.announce()).await {
                tracing::warn!(%error, "the store did not take the announcement of this worker");
            }
        }
        let leave = self.store.registry().delete(Table::Workers, &self.worker.id);
        // If it cannot leave, it is forgotten after three minutes of silence.
        let _ = tokio::time::timeout(LEAVE_WITHIN, leave).await;
    }
}

/// Between 80 and 100 % of `wait`, so that workers that start together do not stay together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.8 + 0.2 * rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use tasktonic_store::clock::Clock;
    use tasktonic_store::model::ModelStore;

    use super::*;

    fn announcer(store: Arc<ModelStore>) -> Announcer {
        let kind = KindRecord {
            schema: serde_json::json!({}),
            attempts_max: 3,
            ..KindRecord::new("mail")
        };
        let worker = WorkerRecord {
            id: "w-1".into(),
            host: "vm".into(),
            version: "1".into(),
            kinds: vec!["mail".into()],
            labels: Vec::new(),
            concurrency: 1,
            running: 0,
            taken: None,
            seen_ms: 0,
        };
        let (clock, kinds) = (Clock::system(), vec![kind]);
        Announcer { store, clock, kinds, worker, runs: Arc::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_whose_entry_vanished_is_there_again_a_minute_later_and_leaves_at_the_end() {
        let store = Arc::new(ModelStore::new(Clock::system()));
        let first = announcer(store.clone());
        assert!(first.begin(&CancellationToken::new()).await.unwrap());
        let done = CancellationToken::new();
        let announcing = tokio::spawn(first.go_on(done.clone()));
        let registry = store.registry();
        for _ in 0..3 {
            assert!(registry.delete(Table::Workers, "w-1").await.unwrap());
            assert!(registry.delete(Table::Kinds, "mail").await.unwrap());
            tokio::time::sleep(ANNOUNCE_EVERY + Duration::from_secs(1)).await;
            assert!(registry.get(Table::Workers, "w-1").await.unwrap().is_some());
            assert!(registry.get(Table::Kinds, "mail").await.unwrap().is_some());
        }
        done.cancel();
        announcing.await.unwrap();
        assert!(registry.get(Table::Workers, "w-1").await.unwrap().is_none());
    }
}
