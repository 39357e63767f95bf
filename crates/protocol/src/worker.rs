//! What a worker in another process says, and hears: `POST /api/v1/worker/sync`,
//! `POST /api/v1/worker/held`, `POST /api/v1/worker/inputs` and `POST /api/v1/worker/announce`. Also
//! the records of workers and kinds in the registry, which a
//! worker in the server's own process writes itself.
//!
//! The engine's texts (descriptors, states, lines) travel as JSON strings, byte for byte. Leases
//! travel as their tokens. A body of a later version may have members that this one ignores; a
//! report it does not know refuses the request.

mod announce;
mod held;
mod inputs;
mod sync;

pub use announce::{Announce, KindRecord, WORKER_SEEN_MS_MAX, WorkerRecord};
pub use held::{HeldRequest, HeldResponse};
pub use inputs::{InputBody, InputsRequest, InputsResponse};
pub use sync::{
    ClaimBody, HeldBody, Malformed, OpBody, ReportBody, StoppedAt, SyncRequest, SyncResponse,
    WAIT_MS_MAX, WriteBody,
};

/// The version of the worker protocol spoken here.
pub const V: u8 = 1;
/// The oldest version that is still understood.
pub const V_MIN: u8 = 1;
/// The header with the lease under which a worker reads or stores a file. Not one of `x-tt-…`:
/// those are the front door's own, and it removes them from whatever comes in.
pub const LEASE_HEADER: &str = "tasktonic-lease";
