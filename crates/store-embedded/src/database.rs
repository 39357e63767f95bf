//! What both files have in common: settings, schema versions, and which errors mean what. Knows
//! SQLite and no table.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::ffi;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tasktonic_store::{Durability, KillPoint};

use crate::options::OpenError;

/// Why work on a file failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The disk is full: nothing has changed, try again later.
    #[error("the disk is full")]
    Full,
    /// Readers are in the way: nothing has changed, try again later.
    #[error("it is being read; try again later")]
    Busy,
    /// What is there is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// Anything else. What a failed sync has left on the disk is not known: stop.
    #[error("{0}")]
    Fatal(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let Some(code) = error.sqlite_error() else { return Self::Damaged(error.to_string()) };
        match code.code {
            ErrorCode::DiskFull => Self::Full,
            _ if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE => Self::Full,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Fatal(error),
        }
    }
}

/// What SQLite calls `auto_vacuum = INCREMENTAL`.
const INCREMENTAL: i64 = 2;

/// How often the log is tried to be emptied; each waits for readers as long as any statement does.
const REWRITE_TRIES: u32 = 6;

/// One step of a schema: the statements that lead to the next version.
pub(crate) type Migration = &'static str;

/// Opens the file at `path` for its one writer.
pub(crate) fn open(path: &Path, durability: Durability, alone: bool) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let db = Connection::open_with_flags(path, flags)?;
    // A close must not do in passing what `checkpoint` does with care.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    if alone {
        // No other connection: then the index of the log needs no shared file and no locks.
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    }
    let vacuum: i64 = db.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
    if vacuum != INCREMENTAL {
        // Setting it again would write, before anybody has looked at what is there.
        db.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    }
    db.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = if durability == Durability::Memory { "OFF" } else { "FULL" };
    db.pragma_update(None, "synchronous", synchronous)?;
    db.pragma_update(None, "fullfsync", true)?;
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    db.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    db.pragma_update(None, "cell_size_check", true)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// Brings the schema up to date, one transaction per step. A file of a newer version is refused.
pub(crate) fn migrate(
    db: &mut Connection,
    file: &'static str,
    steps: &[Migration],
) -> Result<Result<(), OpenError>, Fault> {
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = i64::try_from(steps.len()).expect("a handful");
    let Ok(done) = usize::try_from(found) else {
        return Err(Fault::Damaged(format!("{file} says it has form {found}")));
    };
    if found > known {
        return Ok(Err(OpenError::Newer { file, found, known }));
    }
    if found < known {
        checkpoint(db, true)?;
    }
    for (version, step) in (1_i64..).zip(steps).skip(done) {
        let change = db.transaction()?;
        change.execute_batch(step)?;
        change.pragma_update(None, "user_version", version)?;
        KillPoint::StoreInMigration.pass();
        change.commit()?;
    }
    Ok(Ok(()))
}

/// Writes the log back into the file. With `truncate` the log is emptied too.
pub(crate) fn checkpoint(db: &Connection, truncate: bool) -> Result<(), Fault> {
    KillPoint::StoreInCheckpoint.pass();
    let mode = if truncate { "TRUNCATE" } else { "PASSIVE" };
    db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))?;
    Ok(())
}

/// Writes the file anew without what was removed from it, and empties its log.
pub(crate) fn rewrite(db: &Connection) -> Result<(), Fault> {
    db.flush_prepared_statement_cache();
    // The copy it makes on the way may be larger than memory.
    db.pragma_update(None, "temp_store", "FILE")?;
    let rewritten = db.execute_batch("VACUUM");
    db.pragma_update(None, "temp_store", "MEMORY")?;
    rewritten?;
    for _ in 0..REWRITE_TRIES {
        let busy: i64 = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy == 0 {
            return Ok(());
        }
    }
    // Readers that have not come to an end for so long hold the old pages: not ours to break off.
    Err(Fault::Busy)
}

/// Whether the structure of the file holds together.
pub(crate) fn quick_check(db: &Connection, file: &str) -> Result<(), Fault> {
    let said: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(Fault::Damaged(format!("{file}: {said}"))) }
}
