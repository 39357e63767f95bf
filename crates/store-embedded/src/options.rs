//! What can be chosen when a store is opened, why opening fails, and every limit by name. Knows
//! neither SQLite's words nor the record.

use std::path::PathBuf;

use tasktonic_store::Durability;
use tasktonic_store::clock::Clock;
use tasktonic_store::limits::LIST_EXAMINED_MAX;

/// Requests that may wait for the owner thread; above it callers are told to come back.
pub const MAILBOX_MAX: usize = 4_096;
/// Requests of one commit round.
pub const ROUND_REQUESTS_MAX: usize = 1_024;
/// Tasks and reports named by the requests of one commit round; the last request may exceed it.
pub const ROUND_WEIGHT_MAX: usize = 4_096;
/// How long a fold collects what it writes in one transaction, in ms.
pub const FOLD_WINDOW_MS: u64 = 1_000;
/// A fold does not wait longer once it has collected this much, in bytes of journal.
pub const FOLD_WINDOW_BYTES: u64 = 32 * 1024 * 1024;
/// How far the tables may lag behind the journal before submits wait, in bytes of journal.
pub const BEHIND_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What may wait in memory for a full disk, in bytes of journal; above it reports are told to
/// come back.
pub const BLOCKED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Texts of waiting and running tasks that stay in memory, by default, in bytes.
pub const TEXTS_BYTES_MAX_DEFAULT: u64 = 256 * 1024 * 1024;
/// Event entries kept for all users together.
pub const EVENTS_TOTAL_MAX: usize = 200_000;
/// Event entries kept for all users together, in bytes.
pub const EVENTS_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// What a task costs in memory beside its texts, in bytes: an estimate from above.
pub const TASK_BYTES: u64 = 512;
/// Journal rows removed by one commit, so that no commit waits long for the removal.
pub const TRIM_ROWS_MAX: u64 = 512;
/// A write-ahead log is written back once about this much was added to it, in bytes.
pub const CHECKPOINT_BYTES: u64 = 16 * 1024 * 1024;
/// How often a full disk is tried again, in ms.
pub const FULL_RETRY_MS: u64 = 200;
/// How often the free space is asked, in ms.
pub const SPACE_CHECK_MS: u64 = 200;
/// Connections that answer questions from the tables at once.
pub const READERS_MAX: usize = 4;
/// Free space below which submits are refused, by default, in bytes.
pub const DISK_RESERVE_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// Memory above which submits are refused, by default, in bytes.
pub const MEMORY_BYTES_MAX_DEFAULT: u64 = 2 * 1024 * 1024 * 1024;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The time by which dates are decided.
    pub clock: Clock,
    /// Estimated bytes of memory above which submits are refused with
    /// [`Error::Full`](tasktonic_store::Error::Full).
    pub memory_bytes_max: u64,
    /// Free bytes on the disk below which submits are refused with
    /// [`Error::DiskFull`](tasktonic_store::Error::DiskFull); reports may use them.
    pub disk_reserve_bytes: u64,
    /// Open although acknowledged rounds are missing, as after a backup was put back.
    pub accept_older: bool,
    /// [`Durability::Disk`] syncs every round before it answers. [`Durability::Memory`] never
    /// syncs: a crash of the process loses nothing, a crash of the machine may lose everything.
    pub durability: Durability,
    /// How long a fold collects what it writes in one transaction, in ms.
    pub fold_window_ms: u64,
    /// Texts of waiting and running tasks that stay in memory, in bytes; the others are read from
    /// the tables when they are needed.
    pub texts_bytes_max: u64,
    /// Tasks passed by or looked at for one page of a list, at most.
    pub list_examined_max: usize,
}

impl Options {
    /// The defaults, on `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            memory_bytes_max: MEMORY_BYTES_MAX_DEFAULT,
            disk_reserve_bytes: DISK_RESERVE_BYTES_DEFAULT,
            accept_older: false,
            durability: Durability::Disk,
            fold_window_ms: FOLD_WINDOW_MS,
            texts_bytes_max: TEXTS_BYTES_MAX_DEFAULT,
            list_examined_max: LIST_EXAMINED_MAX,
        }
    }
}

/// Why a store does not open. Each text says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the data folder {0} is in use by another process; stop that one first, or choose another folder"
    )]
    InUse(PathBuf),
    /// The folder is a symbolic link.
    #[error("the data folder {0} is a symbolic link; name the folder it points to instead")]
    Symlink(PathBuf),
    /// There is something else of that name.
    #[error("{0} is not a folder; name a folder for the data")]
    NotAFolder(PathBuf),
    /// The folder belongs to somebody else.
    #[error(
        "the data folder {dir} belongs to user {owner} and this process runs as user {us}; run as \
         that user, or give the folder to this one with chown"
    )]
    NotOurs {
        /// The folder.
        dir: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// The system refuses.
    #[error("cannot {what} {path}: {source}; {advice}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
        /// What to do next.
        advice: &'static str,
    },
    /// The files were written by a newer version.
    #[error(
        "{file} has form {found} and this version knows up to {known}; use the version that wrote \
         it, going back is not possible"
    )]
    Newer {
        /// Which file.
        file: &'static str,
        /// Its form.
        found: i64,
        /// The newest known form.
        known: i64,
    },
    /// An import was cut short.
    #[error("an import into {0} was not finished; run `tasktonic import` into it again")]
    HalfImported(PathBuf),
    /// What was acknowledged is not all there, or is not what was written.
    #[error(
        "the data is damaged: {what}; a copy is in {copy}; put a backup back, or, where only the \
         newest rounds are missing, open what is left with --accept-older"
    )]
    Damaged {
        /// What is wrong, and which rounds are missing.
        what: String,
        /// Where the files were copied to.
        copy: PathBuf,
    },
    /// The data base refuses.
    #[error("{file} cannot be opened: {what}; see whether the disk is full or read-only")]
    Database {
        /// Which file.
        file: &'static str,
        /// What it said.
        what: String,
    },
}
