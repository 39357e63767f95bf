//! Named places at which a process kills itself when a test asks it to.
//!
//! In a build with the feature `test-hooks` the variable `TASKTONIC_KILL_AT=<point>:<n>` sends the
//! process SIGKILL when it passes that point for the n-th time, so that no destructor runs. In any
//! other build [`KillPoint::pass`] is empty.

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal;)*) => {
        /// A place worth dying at.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum KillPoint { $($(#[$doc])* $point,)* }

        impl KillPoint {
            /// Every point.
            pub const ALL: &'static [Self] = &[$(Self::$point),*];

            /// Its name in `TASKTONIC_KILL_AT`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)* }
            }
        }
    };
}

points! {
    /// A worker has claimed tasks and started none of them.
    WorkerAfterClaim = "worker_after_claim";
    /// A handler has reported progress.
    WorkerMidRun = "worker_mid_run";
    /// A handler has returned and nothing of it was reported.
    WorkerBeforeAck = "worker_before_ack";
    /// A sync with an ack was answered.
    WorkerAfterAck = "worker_after_ack";
    /// A submit is stored and not yet answered.
    ServerBeforeReply = "server_before_reply";
    /// A socket has subscribed and has no snapshot yet.
    ServerBeforeSnapshot = "server_before_snapshot";
    /// The server has stopped taking connections and waits for those it has.
    ServerInDrain = "server_in_drain";
    /// A round of the journal is written and not committed.
    StoreBeforeCommit = "store_before_commit";
    /// A round of the journal is committed and nobody was told.
    StoreAfterCommit = "store_after_commit";
    /// Half of a window is folded into the tables.
    StoreInFold = "store_in_fold";
    /// A window is folded and the journal not yet trimmed.
    StoreBeforeTrim = "store_before_trim";
    /// The write-ahead log is about to be checkpointed.
    StoreInCheckpoint = "store_in_checkpoint";
    /// A step of a migration is done and not committed.
    StoreInMigration = "store_in_migration";
    /// `up` has started a child process.
    UpAfterChild = "up_after_child";
}

impl KillPoint {
    /// Passes this point, alive unless a test wants it otherwise.
    #[cfg(feature = "test-hooks")]
    pub fn pass(self) {
        use std::sync::OnceLock;
        use std::sync::atomic::{AtomicU32, Ordering};

        static WANTED: OnceLock<Option<(String, u32)>> = OnceLock::new();
        static PASSED: AtomicU32 = AtomicU32::new(0);
        let wanted = WANTED.get_or_init(|| {
            let value = std::env::var("TASKTONIC_KILL_AT").ok()?;
            let (point, nth) = value.rsplit_once(':')?;
            Some((point.to_owned(), nth.parse().ok()?))
        });
        let Some((_, nth)) = wanted.as_ref().filter(|(point, _)| point == self.name()) else {
            return;
        };
        if PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *nth {
            // Nothing can refuse this signal, and nothing after it runs.
            let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
        }
    }

    /// Passes this point: this build has no test hooks.
    #[cfg(not(feature = "test-hooks"))]
    pub const fn pass(self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = KillPoint::ALL.iter().map(|point| point.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KillPoint::ALL.len());
    }
}
