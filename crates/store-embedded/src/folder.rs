//! The data folder: whose it is, who has it, the mark of what was acknowledged, and the copy that
//! is kept of damaged files. Knows nothing of what the files hold.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::options::OpenError;

/// The journal of rounds.
pub(crate) const JOURNAL: &str = "journal.db";
/// The tables.
pub(crate) const TABLES: &str = "tasks.db";
/// The mark of what was acknowledged.
const ACKED: &str = "acked";
/// What the process that has the folder holds locked.
const LOCK: &str = "lock";

/// The folder of a copy of damaged files begins like this; the time follows, in ms.
const DAMAGED: &str = "damaged-";
/// What is copied.
const COPIED: [&str; 5] = [JOURNAL, "journal.db-wal", TABLES, "tasks.db-wal", ACKED];

/// A data folder that is ours until this is dropped; a killed process gives it back too.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

fn io_error(what: &'static str, path: &Path, source: io::Error) -> OpenError {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    let advice = match source.kind() {
        PermissionDenied => "give this user the right to it",
        ReadOnlyFilesystem => "mount it writable, or choose another folder",
        StorageFull => "free some space or inodes",
        _ => "see whether the path exists and its disk is well",
    };
    OpenError::Io { what, path: path.to_owned(), source, advice }
}

impl Folder {
    /// Makes the folder if it is not there, and takes it.
    pub(crate) fn take(path: &Path) -> Result<Self, OpenError> {
        let us = nix::unistd::geteuid().as_raw();
        match std::fs::symlink_metadata(path) {
            Ok(meta) if meta.is_symlink() => return Err(OpenError::Symlink(path.to_owned())),
            Ok(meta) if !meta.is_dir() => return Err(OpenError::NotAFolder(path.to_owned())),
            Ok(meta) if meta.uid() != us => {
                return Err(OpenError::NotOurs { dir: path.to_owned(), owner: meta.uid(), us });
            }
            Ok(meta) if meta.mode() & 0o077 != 0 => {
                std::fs::set_permissions(path, Permissions::from_mode(0o700))
                    .map_err(|e| io_error("protect", path, e))?;
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent).map_err(|e| io_error("make", parent, e))?;
                }
                let made = DirBuilder::new().mode(0o700).create(path);
                made.map_err(|e| io_error("make", path, e))?;
            }
            Err(error) => return Err(io_error("look at", path, error)),
        }
        let lock_path = path.join(LOCK);
        let lock = private(&lock_path).map_err(|e| io_error("open", &lock_path, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(e)) => return Err(io_error("lock", &lock_path, e)),
        }
        // SQLite gives its other files the permissions of the first.
        for name in [JOURNAL, TABLES] {
            let file = path.join(name);
            private(&file).map_err(|e| io_error("open", &file, e))?;
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where a file of ours is.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the names of new files durable, and that of the folder.
    pub(crate) fn sync(&self) -> Result<(), OpenError> {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        for dir in [Some(self.path.as_path()), parent].into_iter().flatten() {
            let synced = File::open(dir).and_then(|dir| dir.sync_all());
            synced.map_err(|e| io_error("sync", dir, e))?;
        }
        Ok(())
    }

    /// The mark of what was acknowledged.
    pub(crate) fn acked(&self) -> Result<Acked, OpenError> {
        let path = self.file(ACKED);
        private(&path).map(Acked).map_err(|e| io_error("open", &path, e))
    }

    /// Copies all files into a folder beside them, for whoever looks into the damage. A start that
    /// is refused again and again makes one copy.
    pub(crate) fn copy_aside(&self, now_ms: i64) -> Result<PathBuf, OpenError> {
        if let Some(copy) = self.earlier_copy() {
            return Ok(copy);
        }
        let copy = self.path.join(format!("{DAMAGED}{now_ms}"));
        let made = DirBuilder::new().mode(0o700).recursive(true).create(&copy);
        made.map_err(|e| io_error("make", &copy, e))?;
        for name in COPIED {
            let from = self.file(name);
            if from.exists() {
                let to = copy.join(name);
                std::fs::copy(&from, &to).map_err(|e| io_error("copy to", &to, e))?;
            }
        }
        Ok(copy)
    }

    /// A copy whose files are as long as those that are here now: a refused start writes nothing.
    fn earlier_copy(&self) -> Option<PathBuf> {
        let len = |path: PathBuf| std::fs::metadata(path).ok().map(|meta| meta.len());
        let entries = std::fs::read_dir(&self.path).ok()?.flatten();
        let mut copies = entries.filter(|entry| {
            entry.file_name().to_string_lossy().starts_with(DAMAGED)
                && COPIED.iter().all(|name| len(entry.path().join(name)) == len(self.file(name)))
        });
        copies.next().map(|entry| entry.path())
    }

    /// Free bytes on the disk, for us.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        let stat = nix::sys::statvfs::statvfs(&self.path).ok()?;
        Some(stat.blocks_available().saturating_mul(stat.fragment_size()))
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Sixteen bytes: the last round acknowledged, the epoch, and their checksum. Written after every
/// COMMIT and not synced: after a power cut it may lag, it never leads. So it notices when SQLite
/// ends a damaged log early and the files have quietly become older.
#[derive(Debug)]
pub(crate) struct Acked(File);

/// What the mark says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) lsn: u64,
    pub(crate) epoch: u32,
}

impl Acked {
    /// The mark; nothing after a first start or a power cut that took it.
    pub(crate) fn read(&self) -> Mark {
        let mut bytes = [0; 16];
        if self.0.read_exact_at(&mut bytes, 0).is_err() || bytes == [0; 16] {
            return Mark::default();
        }
        let [lsn, rest] = [&bytes[..8], &bytes[8..]];
        let lsn = u64::from_le_bytes(lsn.try_into().expect("eight bytes"));
        let epoch = u32::from_le_bytes(rest[..4].try_into().expect("four bytes"));
        if rest[4..] != crc32fast::hash(&bytes[..12]).to_le_bytes() {
            tracing::warn!(
                "the file `acked` is damaged: this start cannot tell whether rounds are missing"
            );
            return Mark::default();
        }
        Mark { lsn, epoch }
    }

    /// Sets the mark.
    pub(crate) fn write(&self, mark: Mark) -> io::Result<()> {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&mark.lsn.to_le_bytes());
        bytes[8..12].copy_from_slice(&mark.epoch.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..12]);
        bytes[12..].copy_from_slice(&crc.to_le_bytes());
        self.0.write_all_at(&bytes, 0)
    }

    /// Forgets the mark: what is written from now on is not synced.
    pub(crate) fn clear(&self) -> io::Result<()> {
        self.0.set_len(0)
    }
}
