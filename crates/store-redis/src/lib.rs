//! The store on Redis, Valkey or Redis Cluster: every step of a partition is one atomic script in
//! one hash slot.
//!
//! What this crate never knows: HTTP, sockets, handlers, files; and what a task means. It moves
//! ids between places, checks fences, counts, and appends events; every calculation comes in with
//! the command.

mod admission;
mod dump;
mod durability;
mod errors;
mod health;
mod keys;
mod open;
mod reconcile;
mod registry;
mod router;
mod script;
mod store;
mod subscriptions;
mod transfer;
mod url;
mod wire;

pub use open::{Class, OpenError, Options};
pub use store::RedisStore;
pub use transfer::Import;
pub use url::{RedisUrl, UrlError};
