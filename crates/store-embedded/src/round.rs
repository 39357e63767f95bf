//! One commit round: what its requests changed, whom to tell, and who waits for it. Knows nothing
//! of the journal.

use tasktonic_core::Changes;
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_store::{Error, Result, SyncReply};
use tokio::sync::oneshot;

use crate::delta::Delta;

/// Where an answer goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T>>;

/// An answer and its addressee.
pub(crate) enum Reply {
    Submit(Answer<Vec<Submitted>>, Vec<Submitted>),
    Sync(Answer<SyncReply>, SyncReply),
    Control(Answer<Vec<Controlled>>, Vec<Controlled>),
    Put(Answer<Option<u64>>, Option<u64>),
    Delete(Answer<bool>, bool),
    Dump(Answer<String>, String),
}

impl Reply {
    /// Sends it. Whoever has stopped waiting does not get it.
    pub(crate) fn send(self) {
        match self {
            Self::Submit(to, answer) => drop(to.send(Ok(answer))),
            Self::Sync(to, answer) => drop(to.send(Ok(answer))),
            Self::Control(to, answer) => drop(to.send(Ok(answer))),
            Self::Put(to, answer) => drop(to.send(Ok(answer))),
            Self::Delete(to, answer) => drop(to.send(Ok(answer))),
            Self::Dump(to, answer) => drop(to.send(Ok(answer))),
        }
    }

    /// Says that it is not known whether the request was carried out.
    pub(crate) fn unknown(self) {
        let error = Error::OutcomeUnknown;
        match self {
            Self::Submit(to, _) => drop(to.send(Err(error))),
            Self::Sync(to, _) => drop(to.send(Err(error))),
            Self::Control(to, _) => drop(to.send(Err(error))),
            Self::Put(to, _) => drop(to.send(Err(error))),
            Self::Delete(to, _) => drop(to.send(Err(error))),
            Self::Dump(to, _) => drop(to.send(Err(error))),
        }
    }
}

/// What one commit makes durable.
#[derive(Default)]
pub(crate) struct Round {
    pub(crate) lsn: u64,
    pub(crate) delta: Delta,
    /// The encoded delta, once it is closed.
    pub(crate) body: Vec<u8>,
    /// Events and signals, in order; their records are in the delta.
    pub(crate) told: Vec<Changes>,
    /// Who waits for the commit.
    pub(crate) replies: Vec<Reply>,
    /// Who does not.
    pub(crate) early: Vec<Reply>,
}

impl Round {
    pub(crate) fn new(lsn: u64) -> Self {
        Self { lsn, ..Self::default() }
    }

    /// Takes over whom a round that changed nothing has to tell.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.told.extend(other.told);
        self.replies.extend(other.replies);
    }
}
