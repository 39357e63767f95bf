//! Words of the script `submit`.

use bytes::Bytes;
use redis::Value;
use tasktonic_core::command::{Expiry, KeyMode, NewSerial, NewTask, Replaced, Submit};
use tasktonic_core::reply::Submitted;
use tasktonic_store::Result;
use tasktonic_store::filter::entry_of;

use super::{Words, items, parsed, strange, word};

/// A submit.
pub(crate) fn submit(now_ms: Option<i64>, batch: &Submit) -> Vec<Bytes> {
    let mut words = Words::new(now_ms);
    words.put(batch.created_ms);
    words.put(batch.tasks.len());
    for new in &batch.tasks {
        task(&mut words, new);
    }
    words.done()
}

fn task(words: &mut Words, new: &NewTask) {
    words.text(new.user.as_str());
    work(words, new);
    words.maybe(new.idempotency.as_ref().map(|key| &*key.key));
    if let Some(key) = &new.idempotency {
        words.put(format_args!("{:032x}", key.body_hash));
        words.put(key.ttl_ms);
        mode(words, &key.mode);
    }
    serial(words, new);
}

/// What a task is, in the order in which every script reads it.
pub(super) fn work(words: &mut Words, new: &NewTask) {
    words.put(new.task);
    words.text(new.queue.as_str());
    match new.due_ms {
        Some(due_ms) => words.put(due_ms),
        None => words.text(""),
    }
    words.text(&new.descriptor);
    words.text(&entry(&new.descriptor));
    words.text(&new.event);
    words.put(new.lane_max);
    words.put(new.bytes_max);
    words.text(new.priority.letter().unwrap_or_default());
    match new.expires {
        Some(Expiry { at_ms, keep_s }) => {
            words.put(at_ms);
            words.put(keep_s);
        }
        None => words.text(""),
    }
}

/// What lists find a task with this descriptor by; nothing where nothing can be made of it.
pub(crate) fn entry(descriptor: &str) -> String {
    entry_of(descriptor).unwrap_or_default()
}

pub(super) fn serial(words: &mut Words, new: &NewTask) {
    match new.serial {
        Some(NewSerial { key, stops_running }) => {
            words.put(format_args!("{key:032x}"));
            words.flag(stops_running);
        }
        None => words.text(""),
    }
}

fn mode(words: &mut Words, mode: &KeyMode) {
    words.text(match mode {
        KeyMode::Ttl => "t",
        KeyMode::UntilDone => "d",
        KeyMode::UntilStarted => "s",
        KeyMode::Unique => "u",
        KeyMode::Throttle => "h",
        KeyMode::Replace(_) => "r",
    });
    if let KeyMode::Replace(Replaced { body, keep_s }) = mode {
        words.text(body);
        words.put(*keep_s);
    }
}

/// The verdicts on a batch of `count` tasks.
pub(crate) fn submitted(reply: &Value, count: usize) -> Result<Vec<Submitted>> {
    let verdicts = items(reply)?;
    if verdicts.len() != count {
        return Err(strange());
    }
    verdicts.iter().map(|verdict| one(word(verdict)?)).collect()
}

fn one(verdict: &str) -> Result<Submitted> {
    let (letter, task) = verdict.split_at_checked(1).ok_or_else(strange)?;
    Ok(match letter {
        "a" => Submitted::Accepted,
        "f" => Submitted::LaneFull,
        "b" => Submitted::BytesFull,
        "e" => Submitted::Existing(parsed(task)?),
        "c" => Submitted::Conflict(parsed(task)?),
        _ => return Err(strange()),
    })
}
