//! Kinds that run a program: JSON on its standard input, lines on its standard output. They are
//! declared in the configuration; no shell is involved and nothing of a payload stands in a
//! command line.

mod declare;
mod group;
mod inputs;
mod lines;
mod policy;
mod run;
mod speech;

use tasktonic_protocol::stored::OUTPUT_FILE_BYTES_MAX;

pub use declare::{DeclareError, ExecKind};
pub use group::kill_all_programs;

/// Longest payload line a program may be given is the payload's own limit; its lines have this
/// one, in bytes, but for that with its output.
pub const LINE_BYTES_MAX: usize = 128 * 1024;
/// Longest line with an output, in bytes: the longest output, and what is around it.
pub const OUTPUT_LINE_BYTES_MAX: usize = OUTPUT_FILE_BYTES_MAX + 1_024;
/// All that a program may print in one attempt, in bytes, unless its declaration says otherwise.
pub const PRINTED_BYTES_MAX_DEFAULT: u64 = 64 << 20;
/// All that a program may be given of the tasks that its own waited for, in bytes.
pub const INPUTS_BYTES_MAX: u64 = 1 << 30;
/// Lines that go into the task's log in one attempt, unless its declaration says otherwise.
pub const LOG_LINES_MAX_DEFAULT: u64 = 2_000;
/// How long a program may take to end after it was asked to (SIGTERM), before it is killed. Less
/// than the time a worker leaves to a handler.
pub const TERM_GRACE_MS: u64 = 3_000;
