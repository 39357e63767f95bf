//! The API through the real router and the real door, in process: on the model store, and on each
//! store where that could make a difference to what people see.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as loudly as the tests")]

#[path = "api/access.rs"]
mod access;
#[path = "api/bulk.rs"]
mod bulk;
#[path = "api/bytes.rs"]
mod bytes;
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
#[path = "api/inputs.rs"]
mod inputs;
#[path = "api/isolation.rs"]
mod isolation;
#[path = "api/keys.rs"]
mod keys;
#[path = "api/labels.rs"]
mod labels;
#[path = "api/lost_answers.rs"]
mod lost_answers;
#[path = "api/output.rs"]
mod output;
#[path = "api/parts.rs"]
mod parts;
#[path = "api/places.rs"]
mod places;
#[path = "api/position.rs"]
mod position;
#[path = "api/queues.rs"]
mod queues;
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
#[path = "api/why.rs"]
mod why;
#[path = "api/worker.rs"]
mod worker;

/// Partitions of the store under these tests.
const PARTITIONS: u16 = 1;
