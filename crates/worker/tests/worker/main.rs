//! Workers with handlers made of closures: over the model store, and over each store where that
//! could make a difference to what people see.

#![expect(clippy::unwrap_used, reason = "in tests and what only tests use")]

mod ends;
mod inputs;
mod labels;
mod leases;
mod output;
mod pauses;
mod places;
mod reports;
mod sharing;
mod stage;
mod trouble;

/// Partitions of the store under these tests.
const PARTITIONS: u16 = 1;
