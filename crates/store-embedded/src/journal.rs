//! The journal: one row per commit round, appended and synced before anybody is told. Knows rows
//! of bytes, not what they mean.

use std::path::Path;

use rusqlite::{Connection, params};
use tasktonic_store::{Durability, KillPoint};

use crate::codec;
use crate::database::{self, Fault, Migration};
use crate::folder::JOURNAL;
use crate::options::{CHECKPOINT_BYTES, OpenError, TRIM_ROWS_MAX};

const SCHEMA: &[Migration] = &["CREATE TABLE rounds (
    lsn INTEGER PRIMARY KEY,
    format INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT"];

/// What a page and a frame cost a commit beside its body, in bytes: for the size of the log.
const COMMIT_BYTES: u64 = 8_192;

/// The one connection to the journal.
#[derive(Debug)]
pub(crate) struct Journal {
    db: Connection,
    /// Every row below is gone.
    first: u64,
    /// Added to the log since it was last written back, in bytes.
    log_bytes: u64,
}

/// A round that was read back.
pub(crate) struct Round {
    pub(crate) lsn: u64,
    pub(crate) format: u32,
    pub(crate) body: Vec<u8>,
}

fn crc_of(lsn: u64, format: u32, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&lsn.to_le_bytes());
    crc.update(&format.to_le_bytes());
    crc.update(body);
    crc.finalize()
}

fn number(lsn: u64) -> i64 {
    i64::try_from(lsn).expect("a round every nanosecond for centuries")
}

impl Journal {
    pub(crate) fn open(
        path: &Path,
        durability: Durability,
    ) -> Result<Result<Self, OpenError>, Fault> {
        let mut db = database::open(path, durability, true)?;
        if let Err(refusal) = database::migrate(&mut db, JOURNAL, SCHEMA)? {
            return Ok(Err(refusal));
        }
        Ok(Ok(Self { db, first: 1, log_bytes: 0 }))
    }

    /// Writes the log back and syncs: nothing may be built on what a failed sync has left in it.
    pub(crate) fn settle(&self) -> Result<(), Fault> {
        database::checkpoint(&self.db, true)
    }

    pub(crate) fn check(&self) -> Result<(), Fault> {
        database::quick_check(&self.db, JOURNAL)
    }

    /// The number of the newest row; 0 if there is none.
    pub(crate) fn last(&self) -> Result<u64, Fault> {
        let last: i64 =
            self.db.query_row("SELECT ifnull(max(lsn), 0) FROM rounds", [], |row| row.get(0))?;
        u64::try_from(last).map_err(|_| Fault::Damaged(format!("journal.db: round {last}")))
    }

    /// The next row after `lsn`, checked.
    pub(crate) fn next(&self, lsn: u64) -> Result<Option<Round>, Fault> {
        let mut read = self.db.prepare_cached(
            "SELECT lsn, format, crc, body FROM rounds WHERE lsn > ?1 ORDER BY lsn LIMIT 1",
        )?;
        let mut rows = read.query([number(lsn)])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let (lsn, format): (i64, u32) = (row.get(0)?, row.get(1)?);
        let (crc, body): (u32, Vec<u8>) = (row.get(2)?, row.get(3)?);
        let damaged = |what: &str| Fault::Damaged(format!("journal.db: round {lsn} {what}"));
        let lsn = u64::try_from(lsn).map_err(|_| damaged("has no such number"))?;
        if crc_of(lsn, format, &body) != crc {
            return Err(damaged("is not what was written"));
        }
        if !codec::FORMATS.contains(&format) {
            return Err(damaged(&format!("has the unknown form {format}")));
        }
        Ok(Some(Round { lsn, format, body }))
    }

    /// Removes every row.
    pub(crate) fn clear(&mut self) -> Result<(), Fault> {
        self.db.execute("DELETE FROM rounds", [])?;
        self.first = 1;
        database::checkpoint(&self.db, true)?;
        self.db.execute_batch("PRAGMA incremental_vacuum(4096)")?;
        Ok(())
    }

    /// The rows start at `lsn`.
    pub(crate) fn starts_at(&mut self, lsn: u64) {
        self.first = lsn;
    }

    /// Commits rounds, and removes some rows up to `folded` on the way. Answers when it is on
    /// disk.
    pub(crate) fn commit<'a>(
        &mut self,
        rounds: impl Iterator<Item = (u64, &'a [u8])>,
        folded: u64,
    ) -> Result<(), Fault> {
        let change = self.db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut bytes = COMMIT_BYTES;
        {
            let mut add = change.prepare_cached(
                "INSERT INTO rounds (lsn, format, crc, body) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for (lsn, body) in rounds {
                let crc = crc_of(lsn, codec::FORMAT, body);
                add.execute(params![number(lsn), codec::FORMAT, crc, body])?;
                bytes += body.len() as u64;
            }
        }
        let upto = folded.min(self.first.saturating_add(TRIM_ROWS_MAX) - 1);
        let trims = upto >= self.first;
        if trims {
            let mut trim = change.prepare_cached("DELETE FROM rounds WHERE lsn <= ?1")?;
            trim.execute([number(upto)])?;
        }
        KillPoint::StoreBeforeCommit.pass();
        change.commit()?;
        KillPoint::StoreAfterCommit.pass();
        if trims {
            self.first = upto + 1;
        }
        self.log_bytes += bytes;
        Ok(())
    }

    /// Removes all rows up to `folded`, and writes the rest anew: their bytes are in no file then.
    pub(crate) fn compact(&mut self, folded: u64) -> Result<(), Fault> {
        self.db.execute("DELETE FROM rounds WHERE lsn <= ?1", [number(folded)])?;
        self.first = self.first.max(folded + 1);
        database::rewrite(&self.db)?;
        self.log_bytes = 0;
        Ok(())
    }

    /// Whether rows up to `folded` are still there.
    pub(crate) fn wants_trim(&self, folded: u64) -> bool {
        self.first <= folded
    }

    /// Writes the log back when it has grown enough. A disk that is full has time.
    pub(crate) fn upkeep(&mut self) -> Result<(), Fault> {
        if self.log_bytes < CHECKPOINT_BYTES {
            return Ok(());
        }
        match database::checkpoint(&self.db, false) {
            Ok(()) => self.log_bytes = 0,
            Err(Fault::Full) => {}
            Err(other) => return Err(other),
        }
        Ok(())
    }
}
