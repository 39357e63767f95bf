//! Words of the script `sync`.

use bytes::Bytes;
use redis::Value;
use tasktonic_core::command::{Again, Claim, Op, Report, Sync, Write};
use tasktonic_core::limits::{CLAIM_MAX, PLACES_MAX};
use tasktonic_core::policy::Retention;
use tasktonic_core::{Lease, Name, TaskState};
use tasktonic_store::filter::error_in;
use tasktonic_store::{Error, Held, Result, SyncReply};

use super::{Words, items, kept, number, parsed, score, strange, word};

/// A sync.
pub(crate) fn sync(now_ms: Option<i64>, sync: &Sync) -> Vec<Bytes> {
    let mut words = Words::new(now_ms);
    words.text(sync.worker.as_str());
    words.put(sync.call);
    words.put(sync.lease_ms);
    words.put(sync.ops.len());
    for op in &sync.ops {
        report(&mut words, op);
    }
    match &sync.claim {
        None => words.flag(false),
        Some(claim) => {
            room(&mut words, claim);
            words.flag(sync.park);
        }
    }
    words.put(sync.woken.len());
    for queue in &sync.woken {
        words.text(queue.as_str());
    }
    words.done()
}

/// A claim. What a task of each queue takes is told only where it is not one place of each.
fn room(words: &mut Words, claim: &Claim) {
    let is_plain = claim.each().all(|(_, places)| places == 1);
    words.text(if is_plain { "1" } else { "2" });
    words.put(claim.limit.min(if is_plain { CLAIM_MAX } else { PLACES_MAX }));
    words.put(claim.queues.len());
    for queue in &claim.queues {
        words.text(queue.as_str());
    }
    if !is_plain {
        claim.each().for_each(|(_, places)| words.put(places));
    }
}

fn report(words: &mut Words, op: &Op) {
    let mut verb = |letter: &str| {
        words.text(letter);
        words.put(&op.lease);
    };
    match &op.report {
        Report::Heartbeat => verb("h"),
        Report::Progress { write } => {
            verb("p");
            words.put(write.n);
            words.text(&write.body);
        }
        Report::Log { lines } => {
            verb("l");
            words.put(lines.len());
            for line in lines {
                words.text(line);
            }
        }
        Report::Ack { write, keep_s } => {
            verb("e");
            end(words, TaskState::Completed, write, *keep_s);
        }
        Report::Bury { write, keep_s } => {
            verb("e");
            end(words, TaskState::Dead, write, *keep_s);
            words.text(&error_in(&write.body).unwrap_or_default());
        }
        Report::Cancelled { write, keep_s } => {
            verb("e");
            end(words, TaskState::Cancelled, write, *keep_s);
        }
        Report::Nack { write, again, attempt, keep_s } => {
            verb("g");
            let due_ms = match again {
                Again::At(due_ms) => Some(*due_ms),
                Again::Now => None,
            };
            give_back(words, true, due_ms, write, *keep_s, Some(attempt));
        }
        Report::Snooze { write, due_ms, attempt } => {
            verb("g");
            let keep_s = Retention::DEFAULT.cancelled_s;
            give_back(words, false, Some(*due_ms), write, keep_s, Some(attempt));
        }
        Report::Release { write, attempt } => {
            verb("g");
            let keep_s = Retention::DEFAULT.cancelled_s;
            give_back(words, false, None, write, keep_s, attempt.as_deref());
        }
    }
}

fn end(words: &mut Words, state: TaskState, write: &Write, keep_s: u32) {
    words.text(state.name());
    words.put(write.n);
    words.text(&write.body);
    words.maybe(write.event.as_deref());
    words.put(keep_s);
}

fn give_back(
    words: &mut Words,
    counted: bool,
    due_ms: Option<i64>,
    write: &Write,
    keep_s: u32,
    attempt: Option<&str>,
) {
    words.flag(counted);
    match due_ms {
        Some(due_ms) => words.put(due_ms),
        None => words.text(""),
    }
    words.text(&write.body);
    words.maybe(write.event.as_deref());
    words.put(keep_s);
    words.put(write.n);
    words.maybe(attempt);
}

/// What partitions share of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Shared {
    /// Permits of a limit on what runs.
    Permits,
    /// Starts of a rate.
    Starts,
}

impl Shared {
    /// The word for it in keys.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Permits => "permits",
            Self::Starts => "starts",
        }
    }
}

/// Queues of which the partitions should have other shares.
#[derive(Debug, Default)]
pub(crate) struct Uneven {
    /// Those of which the call found out that it is so.
    pub(crate) found: Vec<(Shared, Name)>,
    /// Those in which it still is, as the partition's maintenance saw.
    pub(crate) still: Vec<(Shared, Name)>,
}

/// Words of an answer before those of permits, of starts and of where the claim stopped.
const REPLY_WORDS: usize = 9;

/// The answer to a sync.
pub(crate) fn synced(reply: &Value) -> Result<(SyncReply, Uneven)> {
    let (reply, more) = items(reply)?.split_at_checked(REPLY_WORDS).ok_or_else(strange)?;
    let ([found, still, out, still_out], more) = more.split_first_chunk().ok_or_else(strange)?;
    let stopped_at = match more {
        [] => None,
        [queue] => Some(parsed::<Name>(word(queue)?)?),
        _ => return Err(strange()),
    };
    let names = |permits: &Value, starts: &Value| {
        let of = |what, names| {
            let one = move |name| Ok((what, parsed::<Name>(word(name)?)?));
            items(names)?.iter().map(one).collect::<Result<Vec<_>>>()
        };
        let mut all = of(Shared::Permits, permits)?;
        all.extend(of(Shared::Starts, starts)?);
        Ok::<_, Error>(all)
    };
    let uneven = Uneven { found: names(found, out)?, still: names(still, still_out)? };
    Ok((SyncReply { stopped_at, ..reply_of(reply)? }, uneven))
}

fn reply_of(reply: &[Value]) -> Result<SyncReply> {
    let [epoch, refused, cancelled, adopted, claimed, more, next_in, schedule_in, queues_version] =
        reply
    else {
        return Err(strange());
    };
    let lease = |token: &Value| parsed::<Lease>(word(token)?);
    let mut cancelled = items(cancelled)?.iter().map(lease).collect::<Result<Vec<_>>>()?;

    let mut lost = Vec::new();
    for one in items(adopted)?.chunks(5) {
        let [token, ended, asked, descriptor, state] = one else { return Err(strange()) };
        let descriptor = kept(descriptor)?.unwrap_or_default();
        let held = Held { lease: lease(token)?, n: 0, descriptor, state: kept(state)? };
        lost.push((score(ended)?, word(asked)? == "1", held));
    }
    // Leases that end at the same time stand in the order of their tokens; everywhere else it is
    // that of their tasks.
    lost.sort_by(|(a, _, one), (b, _, other)| {
        (a, &one.lease.user, one.lease.task).cmp(&(b, &other.lease.user, other.lease.task))
    });
    cancelled
        .extend(lost.iter().filter(|(_, asked, _)| *asked).map(|(.., held)| held.lease.clone()));

    let mut taken = Vec::new();
    for one in items(claimed)?.chunks(4) {
        let [token, n, descriptor, state] = one else { return Err(strange()) };
        taken.push(Held {
            lease: lease(token)?,
            n: number(n)?,
            descriptor: kept(descriptor)?.unwrap_or_default(),
            state: kept(state)?,
        });
    }
    let (next_in, schedule_in): (i64, i64) = (number(next_in)?, number(schedule_in)?);
    Ok(SyncReply {
        refused: items(refused)?.iter().map(number).collect::<Result<_>>()?,
        cancelled,
        adopted: lost.into_iter().map(|(.., held)| held).collect(),
        claimed: taken,
        more: number(more)?,
        next_in_ms: u64::try_from(next_in).ok(),
        schedule_in_ms: u64::try_from(schedule_in).ok(),
        epoch: number(epoch)?,
        queues_version: number(queues_version)?,
        ..SyncReply::default()
    })
}
