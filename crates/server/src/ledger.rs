//! The ledger of files in the registry of the store: what several servers and workers count
//! together.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tasktonic_core::UserId;
use tasktonic_files::{Error, Ledger};
use tasktonic_store::{Expect, Store, Table};

/// One record per user in the registry's table of files.
pub struct FileLedger(Arc<dyn Store>);

impl FileLedger {
    /// In the registry of this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }
}

impl fmt::Debug for FileLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileLedger").field(&self.0.name()).finish()
    }
}

fn unavailable(error: tasktonic_store::Error) -> Error {
    Error::Unavailable(error.to_string())
}

#[async_trait]
impl Ledger for FileLedger {
    async fn read(&self, user: &UserId) -> Result<Option<(u64, String)>, Error> {
        let found = self.0.registry().get(Table::Files, user.as_str()).await;
        Ok(found.map_err(unavailable)?.map(|entry| (entry.version, entry.value)))
    }

    async fn write(&self, user: &UserId, seen: Option<u64>, record: String) -> Result<bool, Error> {
        let expect = seen.map_or(Expect::Absent, Expect::Version);
        let put = self.0.registry().put(Table::Files, user.as_str(), record, expect).await;
        Ok(put.map_err(unavailable)?.is_some())
    }
}
