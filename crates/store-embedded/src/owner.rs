//! The owner thread: applies requests in order, commits what a batch of them changed as one round,
//! and only then tells anybody. Whatever came while one commit ran is the next batch; there is no
//! timer.
//!
//! Who waits for the commit: submits, control, and reports that end an attempt. A claim waits only
//! for the submit of the task it hands out; heartbeats and progress wait for nothing.

mod request;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tasktonic_core::Changes;
use tasktonic_core::command::{Command, Submit};
use tasktonic_core::reply::{Reply as CoreReply, Submitted};
use tasktonic_core::routing::PartitionId;
use tasktonic_store::model::pass_on;
use tasktonic_store::{Durability, Error};

use crate::codec;
use crate::database::Fault;
use crate::fold::Feed;
use crate::folder::{Acked, Folder, Mark};
use crate::journal::Journal;
use crate::options::{
    BEHIND_BYTES_MAX, FULL_RETRY_MS, ROUND_REQUESTS_MAX, ROUND_WEIGHT_MAX, SPACE_CHECK_MS,
};
use crate::round::{Answer, Reply, Round};
use crate::shared::{Mail, Shared, closed};
use crate::state::State;

/// How long the thread waits for a request before it does what is left of its upkeep.
const IDLE: Duration = Duration::from_millis(5);

/// Everything the thread owns.
pub(crate) struct Owner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) mail: Receiver<Mail>,
    pub(crate) journal: Journal,
    pub(crate) acked: Acked,
    pub(crate) feed: Sender<Feed>,
    pub(crate) fold: std::thread::JoinHandle<bool>,
    pub(crate) folder: Folder,
    pub(crate) epoch: u32,
    pub(crate) next_lsn: u64,
    /// Rounds that wait for space on the disk, in order.
    pub(crate) blocked: VecDeque<Round>,
    pub(crate) blocked_bytes: u64,
    /// Submits that wait for the fold.
    pub(crate) waiting: VecDeque<(Submit, Answer<Vec<Submitted>>)>,
    pub(crate) space_low: bool,
    pub(crate) space_asked: Option<Instant>,
    /// When a full disk was last tried, while it is full.
    pub(crate) tried: Option<Instant>,
    /// Who waits for the tables, and who for the journal, to be written anew.
    pub(crate) compacting: (Vec<Answer<()>>, Vec<Answer<()>>),
}

/// How the thread ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Close,
    Abandon,
}

impl Owner {
    /// Works until it is told to end.
    pub(crate) fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let end = self.gather(&mut batch);
            if let Some(why) = self.shared.failure() {
                self.refuse(&mut batch, &why);
            } else if let Err(fault) = self.work(&mut batch) {
                self.shared.fail(format!("the journal cannot be written: {fault}"));
                let why = self.shared.failure().unwrap_or_default();
                self.refuse(&mut batch, &why);
            }
            if let Some(end) = end {
                return self.end(end);
            }
        }
    }

    /// Takes all requests that wait, or waits for one.
    fn gather(&mut self, batch: &mut Vec<Mail>) -> Option<End> {
        let failed = self.shared.failed.borrow().is_some();
        let folded = self.shared.folded.load(Ordering::SeqCst);
        let wait = if !self.blocked.is_empty() && !failed {
            Some(Duration::from_millis(FULL_RETRY_MS))
        } else if self.journal.wants_trim(folded) && !failed {
            Some(IDLE)
        } else {
            None
        };
        let first = match wait {
            None => self.mail.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(wait) => self.mail.recv_timeout(wait),
        };
        let mut weight = 0;
        let mut next = match first {
            Ok(mail) => Some(mail),
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => return Some(End::Close),
        };
        while let Some(mail) = next {
            weight += match &mail {
                Mail::Submit(submit, _) => submit.tasks.len(),
                Mail::Sync(sync, _) => {
                    sync.ops.len() + sync.claim.as_ref().map_or(0, |c| c.limit as usize)
                }
                Mail::Close => return Some(End::Close),
                Mail::Abandon => return Some(End::Abandon),
                _ => 1,
            };
            batch.push(mail);
            if batch.len() >= ROUND_REQUESTS_MAX || weight >= ROUND_WEIGHT_MAX {
                break;
            }
            next = self.mail.try_recv().ok();
        }
        None
    }

    /// Applies a batch, commits it, and tells.
    fn work(&mut self, batch: &mut Vec<Mail>) -> Result<(), Fault> {
        self.look_at_space();
        let mut round = Round::new(self.next_lsn);
        {
            let shared = Arc::clone(&self.shared);
            let mut state = shared.state.lock();
            if shared.behind.load(Ordering::SeqCst) < BEHIND_BYTES_MAX {
                for (submit, to) in std::mem::take(&mut self.waiting) {
                    self.take(&mut state, &mut round, Mail::Submit(submit, to));
                }
            }
            for mail in batch.drain(..) {
                self.take(&mut state, &mut round, mail);
            }
        }
        for reply in std::mem::take(&mut round.early) {
            reply.send();
        }
        let worked = self.finish(round);
        worked.and_then(|()| self.journal.upkeep()).and_then(|()| self.compact())
    }

    /// Has the tables written anew, after all rounds so far; and then the journal, whose rows are in
    /// them.
    fn compact(&mut self) -> Result<(), Fault> {
        let (tables, journal) = std::mem::take(&mut self.compacting);
        for to in tables {
            if !self.blocked.is_empty() {
                let _ = to.send(Err(Error::DiskFull));
            } else if let Err(unsent) = self.feed.send(Feed::Compact(to))
                && let Feed::Compact(to) = unsent.0
            {
                let _ = to.send(Err(closed()));
            }
        }
        if journal.is_empty() {
            return Ok(());
        }
        let answer = match self.journal.compact(self.shared.folded.load(Ordering::SeqCst)) {
            Ok(()) => Ok(()),
            Err(Fault::Full) => Err(Error::DiskFull),
            Err(fault) => return Err(fault),
        };
        for to in journal {
            let _ = to.send(answer.clone());
        }
        Ok(())
    }

    /// One step of the partition, kept in memory and in the round.
    fn apply(&self, state: &mut State, round: &mut Round, command: Command) -> CoreReply {
        let (reply, changes) = state.partition.apply(command, self.shared.options.clock.now_ms());
        let Changes { records, events, signals } = changes;
        for record in records {
            state.keep(&record, round.lsn);
            round.delta.add(record);
        }
        for entry in &events {
            state.events.push(entry);
        }
        if !events.is_empty() || !signals.is_empty() {
            round.told.push(Changes { records: Vec::new(), events, signals });
        }
        reply
    }

    /// Commits a round, tells of it, and goes on with what the telling brought up.
    fn finish(&mut self, mut round: Round) -> Result<(), Fault> {
        let mut replies = Vec::new();
        loop {
            let committed = self.commit(round, &mut replies);
            let missed = match committed {
                Ok(told) => self.tell(told),
                Err(fault) => {
                    replies.into_iter().for_each(Reply::unknown);
                    return Err(fault);
                }
            };
            if missed.is_empty() {
                break;
            }
            round = Round::new(self.next_lsn);
            let shared = Arc::clone(&self.shared);
            self.apply(&mut shared.state.lock(), &mut round, pass_on(missed));
        }
        replies.into_iter().for_each(Reply::send);
        Ok(())
    }

    fn tell(&self, told: Vec<Changes>) -> Vec<tasktonic_core::Name> {
        let tell = |changes| self.shared.hub.tell(PartitionId(0), &changes);
        told.into_iter().flat_map(tell).collect()
    }

    /// Makes a round durable, and any that wait before it. Answers what may be told now; the
    /// replies that may be sent now are added to `replies`. On a full disk that is nothing.
    fn commit(
        &mut self,
        mut round: Round,
        replies: &mut Vec<Reply>,
    ) -> Result<Vec<Changes>, Fault> {
        let folded = self.shared.folded.load(Ordering::SeqCst);
        let changes = !round.delta.is_empty();
        if changes {
            self.next_lsn = round.lsn + 1;
            round.body = codec::encode(&round.delta, Vec::new());
            self.blocked_bytes += round.body.len() as u64;
            self.blocked.push_back(round);
        } else if let Some(last) = self.blocked.back_mut() {
            last.absorb(round);
        } else if self.journal.wants_trim(folded) {
            match self.journal.commit(std::iter::empty(), folded) {
                Ok(()) | Err(Fault::Full) => {}
                Err(fault) => {
                    replies.extend(round.replies);
                    return Err(fault);
                }
            }
            replies.extend(round.replies);
            return Ok(round.told);
        } else {
            replies.extend(round.replies);
            return Ok(round.told);
        }
        let retry = Duration::from_millis(FULL_RETRY_MS);
        if self.tried.is_some_and(|at| at.elapsed() < retry) {
            return Ok(Vec::new());
        }
        let rounds = self.blocked.iter().map(|round| (round.lsn, round.body.as_slice()));
        match self.journal.commit(rounds, folded) {
            Ok(()) => self.tried = None,
            Err(Fault::Full) => {
                if self.tried.is_none() {
                    tracing::warn!("the disk is full: submits are refused until there is space");
                }
                self.tried = Some(Instant::now());
                return Ok(Vec::new());
            }
            Err(fault) => {
                let waiting = self.blocked.drain(..).flat_map(|round| round.replies);
                replies.extend(waiting);
                return Err(fault);
            }
        }
        Ok(self.committed(replies))
    }

    /// What was blocked is durable: marks it, feeds the fold, and releases what waited.
    fn committed(&mut self, replies: &mut Vec<Reply>) -> Vec<Changes> {
        if self.shared.options.durability != Durability::Memory {
            let mark = Mark { lsn: self.next_lsn - 1, epoch: self.epoch };
            if let Err(error) = self.acked.write(mark) {
                // It may lag; it would only notice less.
                tracing::warn!(%error, "the file `acked` cannot be written");
            }
        }
        let mut told = Vec::new();
        for round in self.blocked.drain(..) {
            let bytes = round.body.len() as u64;
            self.shared.behind.fetch_add(bytes, Ordering::SeqCst);
            let feed = Feed::Round { lsn: round.lsn, delta: Box::new(round.delta), bytes };
            if self.feed.send(feed).is_err() {
                self.shared.fail("the fold thread has ended".to_owned());
            }
            replies.extend(round.replies);
            told.extend(round.told);
        }
        self.blocked_bytes = 0;
        told
    }

    /// Asks now and then whether submits must leave the rest of the disk to reports.
    fn look_at_space(&mut self) {
        let every = Duration::from_millis(SPACE_CHECK_MS);
        if self.space_asked.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        self.space_asked = Some(Instant::now());
        let free = self.folder.free_bytes().unwrap_or(u64::MAX);
        let low = free < self.shared.options.disk_reserve_bytes;
        if low && !self.space_low {
            tracing::warn!(free_bytes = free, "little space is left: submits are refused");
        }
        self.space_low = low;
    }

    /// Answers everybody that the store has stopped.
    fn refuse(&mut self, batch: &mut Vec<Mail>, why: &str) {
        for round in self.blocked.drain(..) {
            round.replies.into_iter().for_each(Reply::unknown);
        }
        for (_, to) in self.waiting.drain(..) {
            let _ = to.send(Err(Error::Unavailable(why.to_owned())));
        }
        for mail in batch.drain(..) {
            refuse_one(mail, &Error::Unavailable(why.to_owned()));
        }
    }

    fn end(mut self, end: End) {
        let failed = self.shared.failure().is_some();
        self.refuse(&mut Vec::new(), "it is closing");
        let last = if end == End::Close && !failed { Feed::Close } else { Feed::Abandon };
        let _ = self.feed.send(last);
        let folded = self.fold.join().unwrap_or(false);
        if folded && let Err(fault) = self.journal.clear() {
            // The rows are in the tables too: the next start passes over them.
            tracing::warn!(%fault, "the journal was not emptied");
        }
        self.shared.readers.close();
        while let Ok(mail) = self.mail.try_recv() {
            refuse_one(mail, &closed());
        }
    }
}

fn refuse_one(mail: Mail, error: &Error) {
    let error = error.clone();
    match mail {
        Mail::Submit(_, to) => drop(to.send(Err(error))),
        Mail::Sync(_, to) => drop(to.send(Err(error))),
        Mail::Control(_, to) => drop(to.send(Err(error))),
        Mail::Put { to, .. } => drop(to.send(Err(error))),
        Mail::Delete { to, .. } => drop(to.send(Err(error))),
        Mail::Dump(to) => drop(to.send(Err(error))),
        Mail::Compact(to) | Mail::CompactJournal(to) => drop(to.send(Err(error))),
        Mail::Look | Mail::Close | Mail::Abandon => {}
    }
}
