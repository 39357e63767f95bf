//! Every limit of a worker, by name. Those that depend on the engine's check each other here.

use std::time::Duration;

pub use tasktonic_protocol::stored::OUTPUT_FILE_BYTES_MAX;

use tasktonic_core::limits::{HEARTBEAT_MS, LEASE_MS_MIN, LEASE_TIME_STEP_MS_MAX};

/// Longest output that stands in the record of its task, in bytes of JSON. A longer one is kept as a
/// file, up to [`OUTPUT_FILE_BYTES_MAX`].
pub const OUTPUT_BYTES_MAX: usize = 65_536;
/// How often an output is kept as a file, if the files do not answer.
pub const OUTPUT_KEPT_TRIES: u32 = 5;
/// Longest stable word of an error, in bytes; the rest is cut off.
pub const ERROR_CODE_BYTES_MAX: usize = 64;
/// Longest text of an error, in bytes; the rest is cut off.
pub const ERROR_MESSAGE_BYTES_MAX: usize = 2_000;
/// Longest note of a progress, in bytes; the rest is cut off.
pub const PROGRESS_NOTE_BYTES_MAX: usize = 200;
/// Longest unit of a progress, in bytes; the rest is cut off.
pub const PROGRESS_UNIT_BYTES_MAX: usize = 32;
/// Longest name of a phase of the work, in bytes; the rest is cut off.
pub const PROGRESS_PHASE_BYTES_MAX: usize = 64;

/// Log lines one attempt may write per second, in the long run.
pub const LOG_LINES_PER_S: u32 = 100;
/// Log lines one attempt may write at once.
pub const LOG_LINES_BURST: u32 = 1_000;
/// Bytes of log lines of one attempt that wait for the next sync.
pub const LOG_WAITING_BYTES_MAX: usize = 256 * 1_024;
/// Log lines of one attempt in one sync.
pub const LOG_LINES_PER_SYNC: usize = 200;

/// How often a page of what became of the tasks that one waited for is asked for, if the store does
/// not answer.
pub const INPUTS_ASKED_MAX: u32 = 5;
/// How long such an answer is waited for.
pub const INPUTS_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of all outputs that are read at once of the tasks that one waited for.
pub const INPUTS_ALL_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// Bytes of reports in one sync.
pub const SYNC_BYTES_MAX: usize = 512 * 1_024;
/// Progress and log lines alone cause a sync of a partition no more often than this. With any other
/// sync lines go at once, and so does progress, but for that of an attempt which sent some within this
/// time.
pub const REPORT_EVERY: Duration = Duration::from_millis(100);
/// An idle worker looks at a partition at least this often, whatever wakes it missed.
pub const LOOK_EVERY: Duration = Duration::from_secs(60);
/// And at most this often, whatever the store expects when: a rate above one task in this time starts
/// as many at once as its burst allows.
pub const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// A look that the store said when to take is late by so much at most.
pub const LATE_AT_MOST: Duration = Duration::from_millis(100);
/// Into how many calls all places of a worker are divided, where more waits than there are places.
pub const CALLS_OF_ALL_PLACES: u32 = 2;
/// A call that fills so many places is not held back for more.
pub const FULL_CALL: u32 = 16;
/// How long a small call is held back at most: where more waits than there are places, for more places
/// to fall free, if tasks are over in less; elsewhere, for the answer to a call that is no older.
pub const HELD_AT_MOST: Duration = Duration::from_millis(2);
/// A partition that leaves a call unanswered for so long is silent: what ended meanwhile and cannot be
/// said there keeps no place from the others.
pub const SILENT_AFTER: Duration = Duration::from_millis(100);
/// How often one partition is asked for work in a row, while others are to be asked too.
pub const IN_A_ROW_MAX: u32 = 2;
/// How long places that fall free in a partition in which more waits stay there, while more waits in
/// others too.
pub const TURN: Duration = Duration::from_millis(20);
/// How long a worker keeps places free for a task that takes several before it asks for it, though
/// there are too few.
pub const SAVE_FOR: Duration = Duration::from_secs(1);
/// A worker says that it is there this often.
pub const ANNOUNCE_EVERY: Duration = Duration::from_secs(60);

/// First wait after the store did not answer.
pub const STORE_WAIT_FIRST: Duration = Duration::from_millis(100);
/// Longest wait after the store did not answer, before jitter. Short against a lease, so that a
/// store that comes back finds the leases renewed.
pub const STORE_WAIT_MAX: Duration = Duration::from_secs(2);

/// A handler that is asked to stop because its task was cancelled has this long to end by itself.
pub const CANCEL_GRACE: Duration = Duration::from_secs(10);
/// A handler whose time is over has this long to end by itself, unless a soft limit told it before.
pub const TIMEOUT_GRACE: Duration = Duration::from_secs(5);
/// A handler that is asked to stop at the end of a drain has this long to end by itself.
pub const DRAIN_GRACE: Duration = Duration::from_secs(1);
/// A handler whose lease is lost has this long to end by itself.
pub const LOST_GRACE: Duration = Duration::from_secs(5);
/// After the drain a worker spends at most this long on its last words.
pub const LEAVE_WITHIN: Duration = Duration::from_secs(3);

/// Shortest snooze.
pub const SNOOZE_MIN: Duration = Duration::from_millis(100);
/// Longest snooze.
pub const SNOOZE_MAX: Duration = Duration::from_secs(366 * 86_400);
/// A claimed task whose kind nobody here handles is looked at again after this long.
pub const UNKNOWN_KIND_SNOOZE: Duration = Duration::from_secs(30);

/// The part of a lease that is not believed in any case, ms; with [`MARGIN_SHARE`] of the lease.
pub const MARGIN_MS: u32 = 2_000;
/// See [`MARGIN_MS`].
pub const MARGIN_SHARE: f64 = 0.05;

/// How long after the sending of a request a lease that it took or renewed may be believed.
pub(crate) fn trust(lease: Duration) -> Duration {
    let margin = Duration::from_millis(u64::from(MARGIN_MS)) + lease.mul_f64(MARGIN_SHARE);
    lease.saturating_sub(margin)
}

/// How often a lease is renewed: three times in its life at least.
pub(crate) fn heartbeat(lease: Duration) -> Duration {
    Duration::from_millis(u64::from(HEARTBEAT_MS)).min(lease / 3)
}

/// How long an answer of the store is waited for. Half a lease, so that a lost answer leaves time
/// to say it again.
pub(crate) fn answer_within(lease: Duration) -> Duration {
    (lease / 2).clamp(Duration::from_secs(2), Duration::from_secs(30))
}

const _: () = assert!(MARGIN_MS as i64 >= LEASE_TIME_STEP_MS_MAX, "a step of the clock fits in");
const _: () = assert!(LEASE_MS_MIN > MARGIN_MS + LEASE_MS_MIN / 20, "some trust is left");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tasktonic_core::limits::LEASE_MS_MAX;

    use super::*;

    proptest! {
        #[test]
        fn every_lease_is_renewed_before_its_trust_ends(ms in LEASE_MS_MIN..LEASE_MS_MAX) {
            let lease = Duration::from_millis(ms.into());
            prop_assert!(heartbeat(lease) < trust(lease));
            prop_assert!(trust(lease) + Duration::from_millis(2_000) < lease);
        }
    }
}
