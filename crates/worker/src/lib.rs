//! The SDK for workers: the [`Handler`] trait, the [`Context`] a handler gets, and [`Worker`], the
//! loop that claims, heartbeats, reports and drains.
//!
//! It works over any `Store` and never knows which. The handlers in `crates/handlers` are the
//! examples.

pub mod context;
pub mod failure;
pub mod handler;
mod registered;
mod worker;

pub use context::Context;
pub use failure::{Failure, Outcome};
pub use handler::{Handler, KindInfo};
pub use registered::{AnyHandler, Registered};
pub use worker::{RunError, Settings, Worker};
