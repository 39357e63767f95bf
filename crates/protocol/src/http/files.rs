//! Files of users.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A stored file: the answer to an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoredFile {
    /// 22 characters of base64url.
    pub id: String,
    /// The name it was given; data, never a path.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Content type as it was given.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Of the content, in hex.
    pub sha256: String,
    /// RFC 3339.
    pub created_at: String,
}
