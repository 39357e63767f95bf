//! Files of users: what they upload and what their tasks make. Streams in and out of an object
//! store, with size, type and hash.
//!
//! It knows neither HTTP nor what a task is beyond its id; who may read what is decided above it,
//! but for the one rule that everything is addressed under its user.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use tasktonic_core::Lease;

/// The content of a file on its way.
pub type Content = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

mod error;
mod id;
mod ledger;
mod meta;
mod put;
mod sniff;
mod space;
mod store;
mod sweep;
mod taken;

pub use error::Error;
pub use id::FileId;
pub use ledger::Ledger;
pub use meta::FileMeta;
pub use store::{
    FILE_BYTES_MAX, FileLimits, Files, NAME_BYTES_MAX, NewFile, USER_BYTES_MAX, USER_FILES_MAX,
};
pub use sweep::{
    KeptOutput, LEFTOVER_KEPT_MS, Swept, TASK_FILE_KEPT_MS, UPLOAD_KEPT_MS, USE_KEPT_MS,
};

/// The name of a file that is the output of its task.
pub const OUTPUT_NAME: &str = "output.json";

/// The files that the holder of a lease may read and make: those of the task's user. In the
/// server's process this is [`Files`] itself; in another it goes through the API.
#[async_trait]
pub trait TaskFiles: Send + Sync + 'static {
    /// A file of the task's user: what is known of it, and its content from the beginning.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the user has no such file.
    async fn read(&self, lease: &Lease, file: &FileId) -> Result<(FileMeta, Content), Error>;

    /// Keeps `content` as a file of the task's user, for as long as the task is kept. The type is
    /// found from the content and the name.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Quota`], and whatever the content's stream fails with; then
    /// nothing is kept.
    async fn keep(&self, lease: &Lease, name: &str, content: Content) -> Result<FileMeta, Error>;

    /// Keeps the output of the task, which is too long for its record, as a file named
    /// [`OUTPUT_NAME`]. Unless the task ends with it under this lease, it is swept.
    ///
    /// # Errors
    /// As [`TaskFiles::keep`].
    async fn keep_output(&self, lease: &Lease, content: Content) -> Result<FileMeta, Error> {
        self.keep(lease, OUTPUT_NAME, content).await
    }
}
