//! What is known of a file.

use serde::{Deserialize, Serialize};
use tasktonic_protocol::http::StoredFile;
use tasktonic_protocol::time::rfc3339;

use crate::FileId;

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMeta {
    /// Its id.
    pub id: FileId,
    /// The name it was given; data, never a path.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Content type, as found from the content.
    pub media_type: String,
    /// Of the content, in hex.
    pub sha256: String,
    /// Wall clock, ms.
    pub created_ms: i64,
}

/// The same as it stands in the object store.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredMeta {
    pub(crate) v: u8,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) media_type: String,
    pub(crate) sha256: String,
    pub(crate) created_ms: i64,
}

impl FileMeta {
    /// The file as the API shows it.
    #[must_use]
    pub fn shown(&self) -> StoredFile {
        StoredFile {
            id: self.id.to_string(),
            name: self.name.clone(),
            size: self.size,
            media_type: self.media_type.clone(),
            sha256: self.sha256.clone(),
            created_at: rfc3339(self.created_ms),
        }
    }
}
