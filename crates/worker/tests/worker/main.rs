//! Workers over the model store, with handlers made of closures. Nothing here knows another
//! store.

#![expect(clippy::unwrap_used, reason = "in tests and what only tests use")]

mod ends;
mod leases;
mod partitions;
mod sharing;
mod stage;
mod trouble;
