//! Words of the scripts `control` and `tick` about schedules, and schedules as they are kept.

use bytes::Bytes;
use redis::Value;
use tasktonic_core::Name;
use tasktonic_core::UserId;
use tasktonic_core::command::Submit;
use tasktonic_core::partition::KeptSchedule;
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::schedule::{Schedule, Tick};
use tasktonic_store::Result;

use super::{Words, items, parsed, strange, submit, submitted, text, word};

/// A change of a schedule.
pub(super) fn change(
    words: &mut Words,
    user: &UserId,
    name: &Name,
    seen: Option<u64>,
    becomes: Option<&Schedule>,
) {
    words.text("schedule");
    words.text(user.as_str());
    words.text(name.as_str());
    match seen {
        Some(seen) => words.put(seen),
        None => words.text(""),
    }
    match becomes {
        Some(schedule) => {
            words.put(schedule.version);
            whole(words, schedule);
        }
        None => words.text(""),
    }
}

fn whole(words: &mut Words, schedule: &Schedule) {
    match schedule.next_ms {
        Some(next_ms) => words.put(next_ms),
        None => words.text(""),
    }
    words.put(schedule);
}

/// A tick: the words of a submit of its task, and then its own.
pub(crate) fn tick(now_ms: Option<i64>, tick: &Tick) -> Vec<Bytes> {
    let tasks = tick.task.iter().cloned().collect();
    let batch = Submit { created_ms: tick.created_ms, tasks };
    let mut words = Words(submit(now_ms, &batch));
    words.text(tick.user.as_str());
    words.text(tick.name.as_str());
    words.put(tick.seen);
    whole(&mut words, &tick.becomes);
    words.done()
}

/// The answer to a tick.
pub(crate) fn ticked(reply: &Value) -> Result<Controlled> {
    match items(reply)?.first() {
        None => Ok(Controlled::Done),
        Some(answer) => match word(answer)? {
            "changed" => Ok(Controlled::Changed),
            "absent" => Ok(Controlled::Absent),
            _ => Ok(match submitted(reply, 1)?[0] {
                Submitted::LaneFull | Submitted::BytesFull => Controlled::Full,
                _ => Controlled::Done,
            }),
        },
    }
}

/// A schedule as it is kept under its user; absent where there is none.
pub(crate) fn kept_schedule(
    user: &UserId,
    name: &str,
    kept: &Value,
) -> Result<Option<KeptSchedule>> {
    let Some(kept) = text(kept)? else { return Ok(None) };
    let (user, name) = (user.clone(), parsed(name)?);
    let schedule = kept.parse().map_err(|_| strange())?;
    Ok(Some(KeptSchedule { user, name, schedule }))
}

/// User and name that a member of `schedules` names.
pub(crate) fn scheduled(member: &str) -> Option<(UserId, Name)> {
    let (user, name) = member.split_once(',')?;
    Some((user.parse().ok()?, name.parse().ok()?))
}
