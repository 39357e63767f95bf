//! A program with everything it starts: one process group, ended as one.

use std::collections::BTreeSet;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessGroup};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};

use super::TERM_GRACE_MS;

/// SIGTERM, the same number everywhere.
const SIGTERM: i32 = 15;

/// Groups of this process that were not killed yet.
static LIVE: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Kills every program that an attempt of this process has started, with all that it started: for
/// who ends the process without dropping anything.
pub fn kill_all_programs() {
    for id in std::mem::take(&mut *LIVE.lock().unwrap_or_else(PoisonError::into_inner)) {
        // The group may have ended by itself.
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
}

/// A running program. Dropping it kills the whole group.
pub(super) struct Group {
    child: Box<dyn ChildWrapper>,
    /// The number of the program and so of the group.
    id: Option<i32>,
    /// Whether the program has ended and its group was killed: the number of the group may belong
    /// to somebody else from now on.
    over: bool,
}

impl Group {
    pub(super) fn start(command: Command) -> std::io::Result<Self> {
        let child = CommandWrap::from(command).wrap(ProcessGroup::leader()).spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).extend(id);
        Ok(Self { child, id, over: false })
    }

    /// Its standard streams, once.
    pub(super) fn streams(&mut self) -> Option<(ChildStdin, ChildStdout, ChildStderr)> {
        Some((self.child.stdin().take()?, self.child.stdout().take()?, self.child.stderr().take()?))
    }

    /// Waits for the program itself, not for what it left behind.
    pub(super) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        // The wrapper's own `wait` also waits for the rest of the group.
        self.child.inner_mut().wait().await
    }

    /// Asks the group to end.
    pub(super) fn ask_to_end(&mut self) {
        // That it has ended already is no failure.
        let _ = self.child.signal(SIGTERM);
    }

    /// Asks the group to end, and kills it if it has not after the grace.
    pub(super) async fn end(&mut self) {
        self.ask_to_end();
        let grace = Duration::from_millis(TERM_GRACE_MS);
        if tokio::time::timeout(grace, self.ended()).await.is_err() {
            // The program still has its number, so the group has its own.
            let _ = self.child.start_kill();
            let _ = self.ended().await;
        }
        self.kill_rest();
    }

    /// Kills what is left of the group of a program that has ended.
    pub(super) fn kill_rest(&mut self) {
        if !self.over {
            // The group is gone if nothing is left of it.
            let _ = self.child.start_kill();
            self.over = true;
            if let Some(id) = self.id {
                LIVE.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill_rest();
    }
}
