//! A program with everything it starts: one process group, ended as one.

use std::process::ExitStatus;
use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessGroup};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};

use super::TERM_GRACE_MS;

/// SIGTERM, the same number everywhere.
const SIGTERM: i32 = 15;

/// A running program. Dropping it kills the whole group.
pub(super) struct Group {
    child: Box<dyn ChildWrapper>,
    /// Whether the program has ended and its group was killed: the number of the group may belong
    /// to somebody else from now on.
    over: bool,
}

impl Group {
    pub(super) fn start(command: Command) -> std::io::Result<Self> {
        let child = CommandWrap::from(command).wrap(ProcessGroup::leader()).spawn()?;
        Ok(Self { child, over: false })
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

    /// Asks the group to end, and kills it if it has not after the grace.
    pub(super) async fn end(&mut self) {
        // That it has ended already is no failure.
        let _ = self.child.signal(SIGTERM);
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
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill_rest();
    }
}
