//! Why a file could not be read or kept.

/// Why a file could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user has no such file; another user's looks the same.
    #[error("there is no such file")]
    NotFound,
    /// Larger than one file may be.
    #[error("a file may have at most {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The user's files together would be larger than they may be.
    #[error(
        "your files may have at most {limit_bytes} bytes together; remove tasks you no longer need"
    )]
    Quota {
        /// The limit.
        limit_bytes: u64,
    },
    /// The user has as many files as one may have.
    #[error("you may have at most {limit_files} files; remove tasks you no longer need")]
    TooMany {
        /// The limit.
        limit_files: u64,
    },
    /// The name cannot be kept.
    #[error("a file name is 1 to {max_bytes} bytes without control characters")]
    Name {
        /// The limit.
        max_bytes: usize,
    },
    /// The lease under which the file was asked for is no longer held.
    #[error("the lease of this task is lost")]
    LostLease,
    /// The content broke off on its way in; nothing was kept.
    #[error("the content broke off: {0}")]
    Content(std::io::Error),
    /// The object store failed.
    #[error("the files cannot be reached: {0}")]
    Unavailable(String),
}
