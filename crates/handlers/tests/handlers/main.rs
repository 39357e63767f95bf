//! The shipped handlers as a worker runs them: one attempt at a time, with real files, programs
//! and servers.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod common;
mod csv_profile;
mod exec;
mod http;
mod images;
mod shipped;
