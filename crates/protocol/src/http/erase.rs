//! Erasing what is kept of one user.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/v1/me/data` and the answer to a request to erase: how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Erasure {
    /// Where it is.
    pub state: ErasureState,
    /// When it was asked for; RFC 3339.
    pub asked_at: String,
    /// When all was gone; RFC 3339.
    pub done_at: Option<String>,
    /// Tasks there were.
    pub tasks: u64,
    /// Files there were.
    pub files: u64,
    /// Whether the built-in account goes too.
    pub account: bool,
}

/// How far an erasure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErasureState {
    /// Records and files are being removed.
    Removing,
    /// They are gone; the files of the store are written anew, so that their bytes are gone too.
    Rewriting,
    /// Over.
    Done,
}
