//! What the threads of a store and its callers share. Knows no file but the tables' readers.

use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{SyncSender, TrySendError};

use parking_lot::Mutex;
use tasktonic_core::command::{Control, Submit, Sync as SyncCommand};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_store::hub::Hub;
use tasktonic_store::{Error, Expect, Result, SyncReply, Table};
use tokio::sync::{oneshot, watch};

use crate::options::Options;
use crate::round::Answer;
use crate::state::State;
use crate::tables::Readers;

/// A request to the owner thread.
pub(crate) enum Mail {
    Submit(Submit, Answer<Vec<Submitted>>),
    Sync(SyncCommand, Answer<SyncReply>),
    Control(Control, Answer<Vec<Controlled>>),
    Put {
        table: Table,
        key: String,
        value: String,
        expect: Expect,
        to: Answer<Option<u64>>,
    },
    Delete {
        table: Table,
        key: String,
        to: Answer<bool>,
    },
    Dump(Answer<String>),
    /// Let go of the bytes of what was removed.
    Compact(Answer<()>),
    /// The tables have: now the journal.
    CompactJournal(Answer<()>),
    /// Something has changed in [`Shared`]: look.
    Look,
    /// Fold everything and end.
    Close,
    /// End where you are.
    Abandon,
}

/// See the module.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) state: Mutex<State>,
    pub(crate) hub: Hub,
    pub(crate) readers: Readers,
    pub(crate) mail: SyncSender<Mail>,
    /// The last round that is in the tables.
    pub(crate) folded: AtomicU64,
    /// Bytes of the journal that are not in the tables.
    pub(crate) behind: AtomicU64,
    /// Why the store has stopped, once it has.
    pub(crate) failed: watch::Sender<Option<String>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    /// Stops the store for good. The first reason counts.
    pub(crate) fn fail(&self, why: String) {
        let first = self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            if first {
                tracing::error!(%why, "the store stops; start the process again");
                *failed = Some(why);
            }
            first
        });
        if first {
            self.nudge();
        }
    }

    /// Why the store has stopped.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failed.borrow().clone()
    }

    /// Makes the owner thread look; one that has mail is awake anyway.
    pub(crate) fn nudge(&self) {
        let _ = self.mail.try_send(Mail::Look);
    }

    /// Sends a request and waits for the answer.
    pub(crate) async fn ask<T>(&self, mail: impl FnOnce(Answer<T>) -> Mail) -> Result<T> {
        let (to, answer) = oneshot::channel();
        match self.mail.try_send(mail(to)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(Error::Busy),
            Err(TrySendError::Disconnected(_)) => return Err(closed()),
        }
        // The thread ends only after it has answered; one that panicked may have done anything.
        answer.await.unwrap_or(Err(Error::OutcomeUnknown))
    }
}

/// The answer of a store that has ended.
pub(crate) fn closed() -> Error {
    Error::Unavailable("it is closed; open it again".to_owned())
}
