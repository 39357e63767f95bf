//! The tables: every record by its number, behind the journal by at most a window. Knows rows and
//! checksums, not commands.

mod entry;
mod fold;
mod load;
mod readers;

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};
use tasktonic_core::{TaskId, UserId};
use tasktonic_store::Durability;

use crate::database::{self, Fault, Migration};
use crate::folder::TABLES;
use crate::options::{CHECKPOINT_BYTES, OpenError};

pub(crate) use entry::called;
pub(crate) use load::Loaded;
pub(crate) use readers::{Lines, Readers};

const SCHEMA: &[Migration] = &[
    "
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE users (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE tasks (
    user INTEGER NOT NULL, id BLOB NOT NULL, control BLOB NOT NULL, crc INTEGER NOT NULL,
    descriptor TEXT NOT NULL, descriptor_crc INTEGER NOT NULL,
    state TEXT, state_crc INTEGER NOT NULL,
    PRIMARY KEY (user, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE attempts (
    user INTEGER NOT NULL, id BLOB NOT NULL, number INTEGER NOT NULL,
    text TEXT NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (user, id, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE log (
    user INTEGER NOT NULL, id BLOB NOT NULL, number INTEGER NOT NULL,
    text TEXT NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (user, id, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE keys (
    user INTEGER NOT NULL, key TEXT NOT NULL, task BLOB NOT NULL, body_hash BLOB NOT NULL,
    expires_ms INTEGER NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (user, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE weights (
    queue TEXT NOT NULL, user INTEGER NOT NULL, weight INTEGER NOT NULL,
    PRIMARY KEY (queue, user)
) STRICT, WITHOUT ROWID;
CREATE TABLE registry (
    part TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, value TEXT NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (part, key)
) STRICT, WITHOUT ROWID;
",
    "
-- Owner 0 is nobody. Rows that came from the former table have no checksum until they are written
-- again: it had none.
CREATE TABLE records (
    part TEXT NOT NULL, owner INTEGER NOT NULL, key TEXT NOT NULL, text TEXT NOT NULL, crc INTEGER,
    PRIMARY KEY (part, owner, key)
) STRICT, WITHOUT ROWID;
INSERT INTO records (part, owner, key, text, crc)
    SELECT 'weight', user, queue, CAST(weight AS TEXT), NULL FROM weights;
INSERT INTO meta (name, value) SELECT 'records', count(*) FROM records;
DROP TABLE weights;
",
    "
-- What lists find a task by; absent in rows from before, of which the descriptor is read at the start.
ALTER TABLE tasks ADD COLUMN entry TEXT;
ALTER TABLE tasks ADD COLUMN entry_crc INTEGER;
",
];

/// The number of no user: the owner of a small record that is the partition's own.
const NOBODY: i64 = 0;

/// The one connection that writes the tables.
#[derive(Debug)]
pub(crate) struct Tables {
    db: Connection,
    users: HashMap<UserId, i64>,
    counts: RowCounts,
    /// Added to the log since it was last written back, in bytes.
    log_bytes: u64,
}

/// Rows that must be found again: a damaged page must not hide some.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct RowCounts {
    tasks: i64,
    keys: i64,
    records: i64,
    registry: i64,
}

/// The facts about the tables as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The last round in the tables.
    pub(crate) applied: u64,
    /// The epoch of the last start.
    pub(crate) epoch: u32,
    /// Whether the last process closed them in order.
    pub(crate) clean: bool,
}

/// The checksum of a text or control record at its place.
fn crc_at(user: i64, task: TaskId, what: u32, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&user.to_le_bytes());
    crc.update(&task.to_bytes());
    crc.update(&what.to_le_bytes());
    crc.update(bytes);
    crc.finalize()
}

/// What [`crc_at`] is of; attempts and log lines add their number.
const CONTROL: u32 = 0;
const DESCRIPTOR: u32 = 1;
const STATE: u32 = 2;
const ENTRY: u32 = u32::MAX;

/// The checksum of anything else.
fn crc_of(parts: &[&[u8]]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    for part in parts {
        crc.update(&(part.len() as u64).to_le_bytes());
        crc.update(part);
    }
    crc.finalize()
}

impl Tables {
    pub(crate) fn open(
        path: &Path,
        durability: Durability,
    ) -> Result<Result<Self, OpenError>, Fault> {
        let mut db = database::open(path, durability, false)?;
        if let Err(refusal) = database::migrate(&mut db, TABLES, SCHEMA)? {
            return Ok(Err(refusal));
        }
        let mut tables =
            Self { db, users: HashMap::new(), counts: RowCounts::default(), log_bytes: 0 };
        tables.counts = tables.stored_counts()?;
        Ok(Ok(tables))
    }

    /// Writes the log back and syncs: nothing may be built on what a failed sync has left in it.
    pub(crate) fn settle(&self) -> Result<(), Fault> {
        database::checkpoint(&self.db, true)
    }

    pub(crate) fn check(&self) -> Result<(), Fault> {
        database::quick_check(&self.db, TABLES)
    }

    fn fact(&self, name: &str) -> Result<Option<i64>, Fault> {
        let read = "SELECT value FROM meta WHERE name = ?1";
        Ok(self.db.query_row(read, [name], |row| row.get(0)).optional()?)
    }

    fn set_fact(db: &Connection, name: &str, value: i64) -> Result<(), Fault> {
        db.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?
            .execute(rusqlite::params![name, value])?;
        Ok(())
    }

    /// What the tables say of themselves.
    pub(crate) fn meta(&self) -> Result<Meta, Fault> {
        let wrong = |_| Fault::Damaged("tasks.db: its facts are not numbers of ours".to_owned());
        let applied = u64::try_from(self.fact("applied_lsn")?.unwrap_or(0)).map_err(wrong)?;
        let epoch = u32::try_from(self.fact("epoch")?.unwrap_or(0)).map_err(wrong)?;
        // A file that has no such fact is new.
        let clean = self.fact("clean")?.unwrap_or(1) == 1;
        Ok(Meta { applied, epoch, clean })
    }

    /// Writes what the tables say of themselves.
    pub(crate) fn set_meta(&mut self, meta: Meta) -> Result<(), Fault> {
        let change = self.db.transaction()?;
        let applied = i64::try_from(meta.applied).expect("a round every nanosecond for centuries");
        Self::set_fact(&change, "applied_lsn", applied)?;
        Self::set_fact(&change, "epoch", i64::from(meta.epoch))?;
        Self::set_fact(&change, "clean", i64::from(meta.clean))?;
        change.commit()?;
        Ok(())
    }

    fn stored_counts(&self) -> Result<RowCounts, Fault> {
        Ok(RowCounts {
            tasks: self.fact("tasks")?.unwrap_or(0),
            keys: self.fact("keys")?.unwrap_or(0),
            records: self.fact("records")?.unwrap_or(0),
            registry: self.fact("registry")?.unwrap_or(0),
        })
    }

    /// Whether an import was begun and not finished.
    pub(crate) fn is_importing(&self) -> Result<bool, Fault> {
        Ok(self.fact("importing")?.unwrap_or(0) != 0)
    }

    /// Notes that an import is under way, or over.
    pub(crate) fn set_importing(&self, importing: bool) -> Result<(), Fault> {
        Self::set_fact(&self.db, "importing", i64::from(importing))
    }

    /// Whether nothing is kept.
    pub(crate) fn is_empty(&self) -> Result<bool, Fault> {
        Ok(self.stored_counts()? == RowCounts::default())
    }

    /// Removes everything but what the tables say of themselves.
    pub(crate) fn wipe(&mut self) -> Result<(), Fault> {
        let change = self.db.transaction()?;
        for table in ["tasks", "attempts", "log", "keys", "records", "registry", "users"] {
            change.execute(&format!("DELETE FROM {table}"), [])?;
        }
        for fact in ["tasks", "keys", "records", "registry"] {
            Self::set_fact(&change, fact, 0)?;
        }
        change.commit()?;
        self.users.clear();
        self.counts = RowCounts::default();
        Ok(())
    }

    /// Writes the log back when it has grown enough. A disk that is full has time.
    pub(crate) fn upkeep(&mut self) -> Result<(), Fault> {
        if self.log_bytes < CHECKPOINT_BYTES {
            return Ok(());
        }
        match database::checkpoint(&self.db, false) {
            Ok(()) => self.log_bytes = 0,
            Err(Fault::Full) => return Ok(()),
            Err(other) => return Err(other),
        }
        match self.db.execute_batch("PRAGMA incremental_vacuum(256)").map_err(Fault::from) {
            Err(Fault::Full) => Ok(()),
            other => other,
        }
    }

    /// Forgets users of whom nothing is kept, and writes the file anew without what was removed.
    pub(crate) fn compact(&mut self) -> Result<(), Fault> {
        self.db.execute(
            "DELETE FROM users WHERE number NOT IN (SELECT user FROM tasks \
             UNION SELECT user FROM keys UNION SELECT owner FROM records)",
            [],
        )?;
        // Their numbers may be given again.
        self.users.clear();
        database::rewrite(&self.db)?;
        self.log_bytes = 0;
        Ok(())
    }

    /// Says that all is in order, and writes the log back.
    pub(crate) fn close(mut self) -> Result<(), Fault> {
        let meta = self.meta()?;
        self.set_meta(Meta { clean: true, ..meta })?;
        database::checkpoint(&self.db, true)
    }
}
