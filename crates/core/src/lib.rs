//! The rules of Task Tonic, and nothing else: states and their transitions, the partition state
//! machine [`Partition::apply`], policies, ids, limits.
//!
//! What this crate must never know: a clock, randomness, I/O, `async`, a serialisation format, a
//! logger, a store. Time comes in as `now_ms`, chance as a number, texts as opaque bytes. So the
//! same code is the specification, the model in every differential test, and the engine of the
//! embedded store.

pub mod changes;
pub mod command;
pub mod gate;
pub mod ids;
pub mod labels;
pub mod lease_time;
pub mod limits;
pub mod links;
pub mod partition;
pub mod policy;
pub mod priority;
pub mod reply;
pub mod routing;
pub mod schedule;
pub mod search;
pub mod settings;
pub mod transitions;

pub use changes::{Changes, Signal};
pub use command::Command;
pub use ids::{Lease, Name, TaskId, UserId, WorkerId};
pub use labels::{LabelError, Labels};
pub use links::Links;
pub use partition::Partition;
pub use priority::Priority;
pub use reply::Reply;
pub use transitions::TaskState;

/// An immutable text shared between the state machine, the journal and the sockets.
///
/// Descriptors, state bodies, events and log lines are texts to the engine: it stores them, joins
/// them, and never looks inside.
pub type Text = std::sync::Arc<str>;
