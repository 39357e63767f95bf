//! What is known of a file.

use serde::{Deserialize, Serialize};
use tasktonic_protocol::http::StoredFile;
use tasktonic_protocol::time::rfc3339;

use crate::{FileId, sniff};

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
    /// The task that made it; absent for an upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<String>,
}

impl StoredMeta {
    pub(crate) const V: u8 = 1;

    pub(crate) fn read(self, id: FileId) -> FileMeta {
        let Self { name, size, media_type, sha256, created_ms, .. } = self;
        FileMeta { id, name, size, media_type, sha256, created_ms }
    }
}

impl FileMeta {
    /// Whether a browser may show it inside a page of ours: raster images and plain text. Any
    /// other type (HTML, SVG and PDF among them) may carry programs and is only ever downloaded.
    #[must_use]
    pub fn is_inline_safe(&self) -> bool {
        sniff::INLINE_SAFE.contains(&self.media_type.as_str())
    }

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
