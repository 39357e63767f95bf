//! All that is serialised: stored records, HTTP bodies, socket frames, the worker protocol, error
//! codes. One spelling of every form, used by both of its ends.
//!
//! This crate never does I/O and never decides anything.

pub mod bulk;
pub mod frames;
pub mod http;
pub mod policy;
pub mod priority;
pub mod problem;
pub mod status;
pub mod stored;
pub mod strict;
pub mod task;
pub mod time;
pub mod transfer;
pub mod worker;
