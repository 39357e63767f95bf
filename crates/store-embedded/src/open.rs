//! open: take the folder, compare what is there with what was acknowledged, finish the fold, load.
//! Nothing is replayed: the journal holds whole records, so an old round needs no old rules.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{channel, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tasktonic_store::Durability;
use tasktonic_store::hub::Hub;
use tokio::sync::watch;

use crate::codec;
use crate::database::Fault;
use crate::delta::Delta;
use crate::fold;
use crate::folder::{Acked, Folder, JOURNAL, Mark, TABLES};
use crate::journal::Journal;
use crate::options::{FOLD_WINDOW_BYTES, MAILBOX_MAX, OpenError, Options};
use crate::owner::Owner;
use crate::shared::Shared;
use crate::state::State;
use crate::tables::{Meta, Readers, Tables};

/// What was recovered.
struct Recovered {
    journal: Journal,
    tables: Tables,
    state: State,
    meta: Meta,
}

/// Opens the store at `dir` and starts its threads.
pub(crate) fn open(
    dir: &Path,
    options: Options,
) -> Result<(Arc<Shared>, JoinHandle<()>), OpenError> {
    let folder = Folder::take(dir)?;
    let acked = folder.acked()?;
    let Recovered { journal, tables, state, meta } = match recover(&folder, &acked, &options) {
        Ok(opened) => opened?,
        Err(Fault::Damaged(what)) => {
            let copy = folder.copy_aside(options.clock.now_ms())?;
            return Err(OpenError::Damaged { what, copy });
        }
        Err(fault) => {
            return Err(OpenError::Database { file: "the data", what: fault.to_string() });
        }
    };
    folder.sync()?;

    let (mail, mailbox) = sync_channel(MAILBOX_MAX);
    let (feed, rounds) = channel();
    let shared = Arc::new(Shared {
        options,
        state: Mutex::new(state),
        hub: Hub::default(),
        readers: Readers::new(folder.file(TABLES)),
        mail,
        folded: AtomicU64::new(meta.applied),
        behind: AtomicU64::new(0),
        failed: watch::Sender::new(None),
    });
    let thread = |source| OpenError::Io {
        what: "start a thread for",
        path: dir.to_owned(),
        source,
        advice: "raise the limit on threads",
    };
    let for_fold = Arc::clone(&shared);
    let fold = std::thread::Builder::new()
        .name("store-fold".to_owned())
        .spawn(move || {
            let _guard = PanicGuard(Arc::clone(&for_fold));
            fold::run(&for_fold, &rounds, tables)
        })
        .map_err(thread)?;
    let owner = Owner {
        shared: Arc::clone(&shared),
        mail: mailbox,
        journal,
        acked,
        feed,
        fold,
        folder,
        epoch: meta.epoch,
        next_lsn: meta.applied + 1,
        blocked: VecDeque::new(),
        blocked_bytes: 0,
        waiting: VecDeque::new(),
        space_low: false,
        space_asked: None,
        tried: None,
        compacting: Default::default(),
    };
    let for_owner = Arc::clone(&shared);
    let owner = std::thread::Builder::new()
        .name("store-owner".to_owned())
        .spawn(move || {
            let _guard = PanicGuard(for_owner);
            owner.run();
        })
        .map_err(thread)?;
    Ok((shared, owner))
}

/// Stops the store when its thread panics, so that nobody waits for a thread that is gone.
struct PanicGuard(Arc<Shared>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("a thread of the store has panicked".to_owned());
        }
    }
}

fn recover(
    folder: &Folder,
    acked: &Acked,
    options: &Options,
) -> Result<Result<Recovered, OpenError>, Fault> {
    let mut journal = match Journal::open(&folder.file(JOURNAL), options.durability)? {
        Ok(journal) => journal,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut tables = match Tables::open(&folder.file(TABLES), options.durability)? {
        Ok(tables) => tables,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if tables.is_importing()? {
        return Ok(Err(OpenError::HalfImported(folder.file(""))));
    }
    let before = tables.meta()?;
    if !before.clean {
        journal.check()?;
        tables.check()?;
    }
    let mark = acked.read();
    let (last, newest) = compare(&journal, before.applied, mark, options.accept_older)?;
    // Up to here nothing was written, so that a copy of damaged files is one of what was found.
    journal.settle()?;
    tables.settle()?;
    let applied = finish_fold(&mut journal, &mut tables, before.applied, last)?;
    let loaded = tables.load()?;

    // Numbers never go back, not even when a backup does.
    let applied = applied.max(mark.lsn).max(newest);
    let epoch = before.epoch.max(mark.epoch) + 1;
    let meta = Meta { applied, epoch, clean: false };
    tables.set_meta(meta)?;
    journal.clear()?;
    journal.starts_at(applied + 1);
    let kept = if options.durability == Durability::Memory {
        acked.clear()
    } else {
        acked.write(Mark { lsn: applied, epoch })
    };
    if let Err(error) = kept {
        tracing::warn!(%error, "the file `acked` cannot be written");
    }
    let state = State::restore(epoch, options.clock.now_ms(), loaded);
    Ok(Ok(Recovered { journal, tables, state, meta }))
}

/// Compares what is there with what was acknowledged. Answers the last round that can be folded
/// and the newest there is.
fn compare(
    journal: &Journal,
    applied: u64,
    mark: Mark,
    accept_older: bool,
) -> Result<(u64, u64), Fault> {
    let mut last = applied;
    let newest = journal.last()?;
    loop {
        let round = match journal.next(last) {
            Ok(Some(round)) => round,
            Ok(None) => break,
            Err(Fault::Damaged(what)) if accept_older => {
                tracing::warn!(%what, "opened as it is; rounds up to {newest} were left out");
                return Ok((last, newest));
            }
            Err(fault) => return Err(fault),
        };
        if round.lsn != last + 1 {
            let (from, to) = (last + 1, round.lsn - 1);
            let what = format!("rounds {from} to {to} are missing in the journal");
            if accept_older {
                tracing::warn!(%what, "opened as it is; rounds up to {newest} were left out");
                return Ok((last, newest));
            }
            return Err(Fault::Damaged(what));
        }
        last = round.lsn;
    }
    if last < mark.lsn {
        let what = format!("the acknowledged rounds {} to {} are missing", last + 1, mark.lsn);
        if !accept_older {
            return Err(Fault::Damaged(what));
        }
        tracing::warn!(%what, "opened as it is");
    }
    Ok((last, newest))
}

/// Brings the rounds after `applied` up to `last` into the tables. Answers the new end.
fn finish_fold(
    journal: &mut Journal,
    tables: &mut Tables,
    applied: u64,
    last: u64,
) -> Result<u64, Fault> {
    let mut at = applied;
    while at < last {
        let (mut delta, mut bytes) = (Delta::default(), 0);
        while at < last && bytes < FOLD_WINDOW_BYTES {
            let Some(round) = journal.next(at)? else { break };
            let damaged = |error| Fault::Damaged(format!("round {}: {error}", round.lsn));
            delta.merge(codec::decode(round.format, &round.body).map_err(damaged)?);
            bytes += round.body.len() as u64;
            at = round.lsn;
        }
        drop(tables.fold(&delta, at)?);
        tables.upkeep()?;
    }
    Ok(at)
}
