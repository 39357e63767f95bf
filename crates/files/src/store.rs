//! The files of all users in one object store.

use std::ops::Range;

use tasktonic_core::{TaskId, UserId};

use crate::{Content, Error, FileId, FileMeta};

/// Limits of files, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLimits {
    /// Of one file.
    pub file_bytes_max: u64,
    /// Of all files of one user together.
    pub user_bytes_max: u64,
}

/// What is known of a file before its content.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// The name; data, never a path.
    pub name: String,
    /// The type its sender says it has; kept only where the content does not contradict it.
    pub media_type: Option<String>,
    /// The task that makes it; absent for an upload.
    pub task: Option<TaskId>,
}

/// The files of all users. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Files {}

impl Files {
    /// The files at `url`: `file:///folder`, made if it is not there (0700).
    pub async fn open(url: &str, limits: FileLimits, now_ms: fn() -> i64) -> Result<Self, Error> {
        let _ = (url, limits, now_ms);
        Ok(Self {})
    }
    /// Keeps a file.
    pub async fn keep(&self, user: &UserId, new: NewFile, content: Content) -> Result<FileMeta, Error> {
        let _ = (user, new, content);
        Err(Error::NotFound)
    }
    /// What is known of a file.
    pub async fn meta(&self, user: &UserId, file: &FileId) -> Result<FileMeta, Error> {
        let _ = (user, file);
        Err(Error::NotFound)
    }
    /// A file, or a range of its bytes.
    pub async fn read(&self, user: &UserId, file: &FileId, range: Option<Range<u64>>) -> Result<(FileMeta, Content), Error> {
        let _ = (user, file, range);
        Err(Error::NotFound)
    }
    /// Notes that `task` uses `file`, so that it is kept as long as the task.
    pub async fn attach(&self, user: &UserId, file: &FileId, task: TaskId) -> Result<(), Error> {
        let _ = (user, file, task);
        Err(Error::NotFound)
    }
}
