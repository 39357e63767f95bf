//! The same suite on a store of three partitions.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as loudly as the tests")]

#[path = "api/access.rs"]
mod access;
#[path = "api/change.rs"]
mod change;
#[path = "api/embedded.rs"]
mod embedded;
#[path = "api/erase.rs"]
mod erase;
#[path = "api/files.rs"]
mod files;
#[path = "api/flows.rs"]
mod flows;
#[path = "api/hostile.rs"]
mod hostile;
#[path = "api/isolation.rs"]
mod isolation;
#[path = "api/keys.rs"]
mod keys;
#[path = "api/labels.rs"]
mod labels;
#[path = "api/places.rs"]
mod places;
#[path = "api/position.rs"]
mod position;
#[path = "api/read.rs"]
mod read;
#[path = "api/schedules.rs"]
mod schedules;
#[path = "api/submit.rs"]
mod submit;
#[path = "api/support.rs"]
mod support;
#[path = "api/wait.rs"]
mod wait;
#[path = "api/waiting.rs"]
mod waiting;
#[path = "api/worker.rs"]
mod worker;

/// Partitions of the store under these tests.
const PARTITIONS: u16 = 3;
