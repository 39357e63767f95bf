//! The fold thread: takes what a window of rounds changed, merged, and writes it to the tables in
//! one transaction. Knows neither requests nor who waits for them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tasktonic_store::Error;

use crate::database::Fault;
use crate::delta::Delta;
use crate::options::{FOLD_WINDOW_BYTES, FULL_RETRY_MS};
use crate::round::Answer;
use crate::shared::{Mail, Shared};
use crate::tables::Tables;

/// Tasks let go of at once while the state is locked.
const LET_GO_MAX: usize = 256;

/// What the owner thread tells this one.
pub(crate) enum Feed {
    /// A round is durable.
    Round { lsn: u64, delta: Box<Delta>, bytes: u64 },
    /// Let go of the bytes of what was removed in the rounds so far.
    Compact(Answer<()>),
    /// Write everything, then close in order.
    Close,
    /// Stop where you are.
    Abandon,
}

/// Rounds that are not in the tables yet.
#[derive(Default)]
struct Window {
    delta: Delta,
    lsn: u64,
    bytes: u64,
    /// Who waits for the tables to be written anew.
    compacting: Vec<Answer<()>>,
}

/// How a collection of rounds ended.
#[derive(PartialEq, Eq)]
enum Next {
    Go,
    Close,
    Abandon,
}

/// Folds until it is told to stop. Answers whether everything is in the tables.
pub(crate) fn run(shared: &Arc<Shared>, feed: &Receiver<Feed>, mut tables: Tables) -> bool {
    loop {
        let mut window = Window::default();
        let mut next = collect(shared, feed, &mut window);
        let mut compacting = std::mem::take(&mut window.compacting);
        if next != Next::Abandon && window.lsn > 0 {
            next = write(shared, feed, &mut tables, window, &mut compacting, next);
        }
        if next != Next::Abandon
            && !compacting.is_empty()
            && !compact(shared, &mut tables, compacting)
        {
            return false;
        }
        if next == Next::Abandon {
            return false;
        }
        if next == Next::Close {
            return match tables.close() {
                Ok(()) => true,
                Err(fault) => {
                    // Nothing is lost: the next start sees an unclean stop and goes on from here.
                    tracing::warn!(%fault, "the tables were not closed in order");
                    false
                }
            };
        }
    }
}

/// Writes the tables anew, and has the journal follow. Answers whether the store goes on.
fn compact(shared: &Shared, tables: &mut Tables, waiting: Vec<Answer<()>>) -> bool {
    let refusal = match tables.compact() {
        Ok(()) => None,
        Err(Fault::Full) => Some(Error::DiskFull),
        Err(Fault::Busy) => Some(Error::Busy),
        Err(fault) => {
            shared.fail(format!("the tables cannot be written: {fault}"));
            return false;
        }
    };
    for to in waiting {
        match &refusal {
            Some(error) => drop(to.send(Err(error.clone()))),
            // The owner thread never waits for this one, so it comes to its mail.
            None => drop(shared.mail.send(Mail::CompactJournal(to))),
        }
    }
    true
}

fn collect(shared: &Shared, feed: &Receiver<Feed>, window: &mut Window) -> Next {
    let mut until: Option<Instant> = None;
    loop {
        let got = match until {
            None => feed.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => feed.recv_timeout(until.saturating_duration_since(Instant::now())),
        };
        match got {
            Ok(Feed::Round { lsn, delta, bytes }) => {
                window.delta.merge(*delta);
                window.lsn = lsn;
                window.bytes += bytes;
                let wait = Duration::from_millis(shared.options.fold_window_ms);
                until.get_or_insert_with(|| Instant::now() + wait);
                if window.bytes >= FOLD_WINDOW_BYTES {
                    return Next::Go;
                }
            }
            Ok(Feed::Compact(to)) => {
                window.compacting.push(to);
                return Next::Go;
            }
            Ok(Feed::Close) => return Next::Close,
            Ok(Feed::Abandon) | Err(RecvTimeoutError::Disconnected) => return Next::Abandon,
            Err(RecvTimeoutError::Timeout) => return Next::Go,
        }
    }
}

/// Writes a window; a full disk is tried again, unless `next` is the end. Answers what is next.
fn write(
    shared: &Shared,
    feed: &Receiver<Feed>,
    tables: &mut Tables,
    window: Window,
    compacting: &mut Vec<Answer<()>>,
    mut next: Next,
) -> Next {
    let Window { mut delta, mut lsn, mut bytes, .. } = window;
    let named = loop {
        match tables.fold(&delta, lsn).and_then(|named| tables.upkeep().map(|()| named)) {
            Ok(named) => break named,
            Err(Fault::Full | Fault::Busy) => {}
            Err(fault) => {
                shared.fail(format!("the tables cannot be written: {fault}"));
                return Next::Abandon;
            }
        }
        if next == Next::Close {
            tracing::warn!("the disk is full: the journal keeps what the tables do not have");
            return Next::Abandon;
        }
        match feed.recv_timeout(Duration::from_millis(FULL_RETRY_MS)) {
            Ok(Feed::Round { lsn: newer, delta: more, bytes: size }) => {
                delta.merge(*more);
                lsn = newer;
                bytes += size;
            }
            Ok(Feed::Compact(to)) => compacting.push(to),
            Ok(Feed::Close) => next = Next::Close,
            Ok(Feed::Abandon) | Err(RecvTimeoutError::Disconnected) => return Next::Abandon,
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    for some in named.chunks(LET_GO_MAX) {
        let mut state = shared.state.lock();
        for (user, task, entry) in some {
            state.named(user, *task, entry, lsn);
        }
    }
    let tasks: Vec<_> = delta.tasks.into_keys().collect();
    for some in tasks.chunks(LET_GO_MAX) {
        let mut state = shared.state.lock();
        for (user, task) in some {
            state.folded(user, *task, lsn, shared.options.texts_bytes_max);
        }
    }
    shared.folded.store(lsn, Ordering::SeqCst);
    shared.behind.fetch_sub(bytes, Ordering::SeqCst);
    shared.nudge();
    next
}
