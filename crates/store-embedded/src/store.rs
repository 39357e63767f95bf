//! The store as its users see it.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use parking_lot::Mutex;
use tasktonic_core::command::{Control, Submit, Sync as SyncCommand};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{UserId, WorkerId};
use tasktonic_store::limits::{check_control, check_submit, check_sync};
use tasktonic_store::{
    Durability, Entry, Error, EventStream, Expect, Query, QueryReply, Registry, Result, Store,
    SyncReply, Table, WakeStream,
};

use crate::open::open;
use crate::options::{OpenError, Options};
use crate::read;
use crate::shared::{Mail, Shared, closed};

/// A store in one folder, with one partition. Dropping it writes everything back, as
/// [`EmbeddedStore::close`] does.
#[derive(Debug)]
pub struct EmbeddedStore {
    pub(crate) shared: Arc<Shared>,
    owner: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedStore {
    /// Opens the store in the folder `dir`, or makes it (0700, its files 0600). Blocks while what a
    /// crash has left behind is brought in order: about a second per hundred thousand tasks.
    ///
    /// # Errors
    /// When the folder is not ours alone, cannot be written, was written by a newer version, or
    /// does not hold all that was acknowledged.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> std::result::Result<Self, OpenError> {
        let (shared, owner) = open(dir.as_ref(), options)?;
        Ok(Self { shared, owner: Mutex::new(Some(owner)) })
    }

    /// Ends it: everything is written to the tables and the folder is free. Requests that are
    /// still waiting are refused. A second call does nothing.
    pub async fn close(&self) {
        let Some(owner) = self.owner.lock().take() else { return };
        let shared = Arc::clone(&self.shared);
        // The owner thread ends by itself even if this is not waited for.
        let _ = tokio::task::spawn_blocking(move || end(&shared, owner, Mail::Close)).await;
    }

    /// Ends it as a crash would: what is in the journal stays there. For tests of recovery.
    pub fn abandon(&self) {
        if let Some(owner) = self.owner.lock().take() {
            end(&self.shared, owner, Mail::Abandon);
        }
    }

    /// Waits until the store has stopped because its files could not be written, and answers why.
    /// The process should then end with a failure and be started again: only a start finds out
    /// what a failed write has left.
    pub fn failed(&self) -> impl Future<Output = String> + Send + 'static {
        let mut failed = self.shared.failed.subscribe();
        async move {
            let why = failed.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
            match why {
                Some(why) => why,
                // Closed without a failure.
                None => std::future::pending().await,
            }
        }
    }

    /// The whole state as text, in the form of
    /// [`ModelStore::dump`](tasktonic_store::model::ModelStore::dump). For comparisons.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn dump(&self) -> Result<String> {
        self.shared.ask(Mail::Dump).await
    }

    /// Estimated bytes of memory that it takes, to be compared with
    /// [`Options::memory_bytes_max`].
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.shared.state.lock().bytes()
    }

    /// Broken invariants of the partition, in words; empty when all is well.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        self.shared.state.lock().partition.check()
    }
}

fn end(shared: &Shared, owner: JoinHandle<()>, mail: Mail) {
    // It fails only if the thread has ended already.
    let _ = shared.mail.send(mail);
    if owner.join().is_err() {
        tracing::error!("the store's thread has panicked; the next start brings it in order");
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.get_mut().take() {
            end(&self.shared, owner, Mail::Close);
        }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn submit(&self, _: PartitionId, batch: Submit) -> Result<Vec<Submitted>> {
        check_submit(&batch)?;
        self.shared.ask(|to| Mail::Submit(batch, to)).await
    }

    async fn sync(&self, _: PartitionId, request: SyncCommand) -> Result<SyncReply> {
        check_sync(&request)?;
        self.shared.ask(|to| Mail::Sync(request, to)).await
    }

    async fn control(&self, _: PartitionId, control: Control) -> Result<Vec<Controlled>> {
        check_control(&control)?;
        self.shared.ask(|to| Mail::Control(control, to)).await
    }

    async fn read(&self, _: PartitionId, query: Query) -> Result<QueryReply> {
        if let Some(why) = self.shared.failure() {
            return Err(Error::Unavailable(why));
        }
        if !read::may_need_tables(&query) {
            return read::answer(&self.shared, query);
        }
        let shared = Arc::clone(&self.shared);
        let answer = tokio::task::spawn_blocking(move || read::answer(&shared, query)).await;
        answer.unwrap_or_else(|_| Err(closed()))
    }

    fn wakes(&self, worker: &WorkerId) -> WakeStream {
        self.shared.hub.wakes(worker)
    }

    fn events(&self, user: &UserId) -> EventStream {
        self.shared.hub.events(user)
    }

    fn partitions(&self) -> u16 {
        1
    }

    fn durability(&self) -> Durability {
        self.shared.options.durability
    }

    fn name(&self) -> &'static str {
        "embedded"
    }

    async fn compact(&self) -> Result<()> {
        self.shared.ask(Mail::Compact).await
    }

    fn registry(&self) -> &dyn Registry {
        self
    }
}

#[async_trait]
impl Registry for EmbeddedStore {
    async fn get(&self, table: Table, key: &str) -> Result<Option<Entry>> {
        let state = self.shared.state.lock();
        let slot = (table, key.to_owned());
        Ok(state.registry.get_key_value(&slot).map(entry))
    }

    async fn list(&self, table: Table) -> Result<Vec<Entry>> {
        let state = self.shared.state.lock();
        let of = state.registry.range((table, String::new())..);
        Ok(of.take_while(|((of, _), _)| *of == table).map(entry).collect())
    }

    async fn put(
        &self,
        table: Table,
        key: &str,
        value: String,
        expect: Expect,
    ) -> Result<Option<u64>> {
        let key = key.to_owned();
        self.shared.ask(|to| Mail::Put { table, key, value, expect, to }).await
    }

    async fn delete(&self, table: Table, key: &str) -> Result<bool> {
        let key = key.to_owned();
        self.shared.ask(|to| Mail::Delete { table, key, to }).await
    }
}

fn entry(((_, key), (version, value)): (&(Table, String), &(u64, String))) -> Entry {
    Entry { key: key.clone(), version: *version, value: value.clone() }
}
