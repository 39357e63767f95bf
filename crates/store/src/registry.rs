//! What is not a task: accounts, refresh families, signing keys, kinds, workers. Small versioned
//! records in named tables, changed by compare-and-set.

use async_trait::async_trait;

use crate::Result;

/// The tables of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Built-in accounts, by user name.
    Accounts,
    /// Refresh token families, by family id.
    Refresh,
    /// Announced kinds with queue and schema, by kind.
    Kinds,
    /// Announced workers, by worker id.
    Workers,
    /// Settings of the installation, by name.
    Settings,
    /// Tries to sign in, by the place that a name falls on.
    SignIns,
    /// What users' files take and which of them are on the move, by user.
    Files,
    /// Users who are being erased or were, by a digest of who.
    Erasures,
}

impl Table {
    /// Every table.
    pub const ALL: &'static [Self] = &[
        Self::Accounts,
        Self::Refresh,
        Self::Kinds,
        Self::Workers,
        Self::Settings,
        Self::SignIns,
        Self::Files,
        Self::Erasures,
    ];

    /// The table's name in a store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Refresh => "refresh",
            Self::Kinds => "kinds",
            Self::Workers => "workers",
            Self::Settings => "settings",
            Self::SignIns => "sign_ins",
            Self::Files => "files",
            Self::Erasures => "erasures",
        }
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key in the table.
    pub key: String,
    /// Rises with every change, from 1.
    pub version: u64,
    /// The record (JSON text).
    pub value: String,
}

/// What must hold for a put to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Whatever is there.
    Any,
    /// Nothing is there.
    Absent,
    /// This version is there.
    Version(u64),
}

/// Keeps records that are not tasks. Every successful change is durable when it answers.
#[async_trait]
pub trait Registry: Send + Sync {
    /// The record under `key`.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::Error::Unavailable).
    async fn get(&self, table: Table, key: &str) -> Result<Option<Entry>>;

    /// All records of a table, by key.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::Error::Unavailable).
    async fn list(&self, table: Table) -> Result<Vec<Entry>>;

    /// Writes a record if `expect` holds, and answers its new version; `None` if it does not hold.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::Error::Unavailable), [`Error::DiskFull`](crate::Error::DiskFull).
    async fn put(
        &self,
        table: Table,
        key: &str,
        value: String,
        expect: Expect,
    ) -> Result<Option<u64>>;

    /// Removes a record; whether there was one.
    ///
    /// # Errors
    /// As for put.
    async fn delete(&self, table: Table, key: &str) -> Result<bool>;
}
