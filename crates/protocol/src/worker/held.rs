//! What a worker holds, asked after an answer was lost. It never claims and changes nothing.

use serde::{Deserialize, Serialize};

use super::HeldBody;

/// `POST /api/v1/worker/held`: which leases the worker has, seen by it or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRequest {
    /// The version of the worker protocol.
    pub v: u8,
    /// Whose leases.
    pub worker: String,
}

/// The answer: all of them, in no particular order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldResponse {
    /// The version of the worker protocol.
    pub v: u8,
    /// Leases with what is needed to work on them, or to give them back.
    pub held: Vec<HeldBody>,
}
