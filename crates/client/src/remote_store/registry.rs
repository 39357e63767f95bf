//! The registry of a remote store: a worker's announcements, and what the API shows of kinds and
//! workers. Everything else is the server's own.

use async_trait::async_trait;
use parking_lot::Mutex;
use tasktonic_protocol::http::{Kind, Worker};
use tasktonic_protocol::time::parse_rfc3339;
use tasktonic_protocol::worker::{Announce, KindRecord, V, WorkerRecord};
use tasktonic_store::{Entry, Error as StoreError, Expect, Registry, Result, Table};

use super::engine::Engine;
use super::{not_here, store_error};

/// The version of every record: the API shows none.
const VERSION: u64 = 1;

#[derive(Debug)]
pub(super) struct RemoteRegistry {
    engine: Engine,
    known: Mutex<Known>,
}

/// What was put so far. An announcement names a worker, so kinds go with their worker's next one:
/// a worker puts them first and itself after them, every time.
#[derive(Debug, Default)]
struct Known {
    waiting: Vec<KindRecord>,
    worker: Option<WorkerRecord>,
}

impl RemoteRegistry {
    pub(super) fn new(engine: Engine) -> Self {
        Self { engine, known: Mutex::default() }
    }

    async fn announce(&self, worker: WorkerRecord, leaving: bool) -> Result<()> {
        let kinds = std::mem::take(&mut self.known.lock().waiting);
        let announce = Announce { v: V, worker, kinds: kinds.clone(), leaving };
        let sent = self.engine.run(|client| async move { client.worker_announce(&announce).await });
        if let Err(error) = sent.await.and_then(|sent| sent.map_err(store_error)) {
            // They go with the next announcement, unless newer ones came meanwhile.
            let mut known = self.known.lock();
            for kind in kinds {
                if known.waiting.iter().all(|newer| newer.kind != kind.kind) {
                    known.waiting.push(kind);
                }
            }
            return Err(error);
        }
        Ok(())
    }
}

fn unreadable(error: &serde_json::Error) -> StoreError {
    StoreError::Invalid(format!("this record cannot be announced: {error}"))
}

fn entry<T: serde::Serialize>(key: String, record: &T) -> Result<Entry> {
    let value = serde_json::to_string(record).map_err(|error| unreadable(&error))?;
    Ok(Entry { key, version: VERSION, value })
}

#[async_trait]
impl Registry for RemoteRegistry {
    async fn get(&self, table: Table, key: &str) -> Result<Option<Entry>> {
        Ok(self.list(table).await?.into_iter().find(|entry| entry.key == key))
    }

    async fn list(&self, table: Table) -> Result<Vec<Entry>> {
        match table {
            Table::Kinds => {
                let kinds = self.engine.run(|client| async move { client.kinds().await });
                let kinds = kinds.await?.map_err(store_error)?;
                kinds.into_iter().map(|kind| entry(kind.kind.clone(), &record(kind))).collect()
            }
            Table::Workers => {
                let workers = self.engine.run(|client| async move { client.workers().await });
                let workers = workers.await?.map_err(store_error)?;
                let records = workers.into_iter().map(worker_record);
                records.map(|worker| entry(worker.id.clone(), &worker)).collect()
            }
            _ => Err(not_here("read accounts, sessions or settings")),
        }
    }

    async fn put(
        &self,
        table: Table,
        _key: &str,
        value: String,
        _expect: Expect,
    ) -> Result<Option<u64>> {
        // `expect` guards records that several write; these are the announcing worker's own, and
        // the server decides what becomes of them.
        match table {
            Table::Kinds => {
                let kind: KindRecord =
                    serde_json::from_str(&value).map_err(|error| unreadable(&error))?;
                let mut known = self.known.lock();
                known.waiting.retain(|waiting| waiting.kind != kind.kind);
                known.waiting.push(kind);
            }
            Table::Workers => {
                let worker: WorkerRecord =
                    serde_json::from_str(&value).map_err(|error| unreadable(&error))?;
                self.announce(worker.clone(), false).await?;
                self.known.lock().worker = Some(worker);
            }
            _ => return Err(not_here("write accounts, sessions or settings")),
        }
        Ok(Some(VERSION))
    }

    async fn delete(&self, table: Table, key: &str) -> Result<bool> {
        if table != Table::Workers {
            return Err(not_here("remove anything but itself"));
        }
        let worker = self.known.lock().worker.take_if(|worker| worker.id == key);
        let Some(worker) = worker else { return Ok(false) };
        self.announce(worker, true).await?;
        Ok(true)
    }
}

fn record(kind: Kind) -> KindRecord {
    KindRecord {
        kind: kind.kind,
        queue: kind.queue,
        title: kind.title,
        description: kind.description,
        schema: kind.schema,
        attempts_max: kind.attempts_max,
        crashes_max: kind.crashes_max,
        backoff: kind.backoff,
        rules: kind.rules,
        timeout_ms: kind.timeout_ms,
        soft_timeout_ms: kind.soft_timeout_ms,
        keep: kind.keep,
        rewinds: kind.rewinds,
        needs: kind.needs,
        places: kind.places,
        example: kind.example,
    }
}

fn worker_record(worker: Worker) -> WorkerRecord {
    WorkerRecord {
        id: worker.id,
        host: worker.host,
        version: worker.version,
        kinds: worker.kinds,
        labels: worker.labels,
        concurrency: worker.concurrency,
        running: worker.running,
        taken: worker.taken,
        seen_ms: parse_rfc3339(&worker.seen_at).unwrap_or_default(),
    }
}
