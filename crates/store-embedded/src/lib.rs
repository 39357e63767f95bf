//! The store of the one-process mode: the partition of `core` in memory decides, two SQLite files
//! keep. A journal is synced before anything is acknowledged; tables follow it by at most a
//! second; a start finishes that fold and loads.
//!
//! Knows nothing of HTTP, handlers or workers.

mod codec;
mod database;
mod delta;
mod events;
mod fold;
mod folder;
mod journal;
mod list;
mod open;
pub mod options;
mod owner;
mod read;
mod round;
mod shared;
mod small;
mod state;
mod store;
mod tables;
mod transfer;

pub use options::{OpenError, Options};
pub use store::EmbeddedStore;
pub use transfer::Import;
