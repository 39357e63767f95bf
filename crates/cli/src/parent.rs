//! A process of ours that another of ours has started: it says when it is ready, and ends when the
//! other does, however that ends.

use std::io::Read as _;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::screen;

/// What a child says on standard output once it is ready.
pub(crate) const READY: &str = "ready";
/// How long a child without a parent may take to end in order.
const ORPHAN_WAIT: Duration = Duration::from_secs(14);

/// Whether somebody of ours has started this process.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Parent {
    /// Say on standard output when it is ready, and stop when standard input closes
    #[arg(long, hide = true)]
    with_parent: bool,
}

impl Parent {
    /// Cancels `stop` when the parent is gone, and ends this process should that not do.
    pub(crate) fn follow(self, stop: &CancellationToken) {
        if !self.with_parent {
            return;
        }
        let stop = stop.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 64];
            while std::io::stdin().read(&mut bytes).is_ok_and(|read| read > 0) {}
            stop.cancel();
            std::thread::sleep(ORPHAN_WAIT);
            tasktonic_handlers::exec::kill_all_programs();
            std::process::exit(i32::from(crate::FAILED));
        });
    }

    /// Tells the parent that this process does its work now.
    pub(crate) fn ready(self) {
        if self.with_parent {
            screen::say(READY);
        }
    }

    /// Whether there is one.
    pub(crate) fn is_there(self) -> bool {
        self.with_parent
    }
}
