//! What tests of processes and disks need, so that each test says only what it is about.
//!
//! Everything here cleans up after itself when it is dropped, also when the test fails. What a
//! machine lacks (root, loop devices) is an error that names it: a test that cannot run fails, it
//! never passes quietly.
//!
//! This crate is a dev-dependency, and what `chaos` is made with. It knows nothing of tasks, stores or HTTP: it starts programs
//! and prepares places for them. A simulated clock is `tasktonic_store::clock`.

pub mod cluster;
pub mod disk;
pub mod fault_proxy;
pub mod kill_point;
pub mod network;
pub mod nginx;
pub mod other_clock;
pub mod ports;
pub mod process;
pub mod redis;
pub mod relay;
mod resp;
pub mod scratch;
pub mod traces;
pub mod wait;

pub use cluster::Cluster;
pub use fault_proxy::FaultProxy;
pub use other_clock::OtherClock;
pub use process::Process;
pub use redis::Redis;
pub use scratch::Scratch;
