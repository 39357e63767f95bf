//! The same suite on a store of three partitions: what a worker does for its users depends on no
//! count of partitions.

#![expect(clippy::unwrap_used, reason = "in tests and what only tests use")]

#[path = "../worker/ends.rs"]
mod ends;
#[path = "../worker/labels.rs"]
mod labels;
#[path = "../worker/leases.rs"]
mod leases;
mod partitions;
#[path = "../worker/pauses.rs"]
mod pauses;
#[path = "../worker/places.rs"]
mod places;
#[path = "../worker/sharing.rs"]
mod sharing;
#[path = "../worker/stage.rs"]
mod stage;
#[path = "../worker/trouble.rs"]
mod trouble;

/// Partitions of the store under these tests.
const PARTITIONS: u16 = 3;
