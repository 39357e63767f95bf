//! How commands and answers are spelled for the scripts: flat lists of words, in the order that the
//! fragments in `lua/` read them. Never knows connections, nor what an answer is good for.

mod control;
mod key;
mod priorities;
mod schedule;
mod state;
mod submit;
mod sync;
mod tally;

use std::fmt::Display;
use std::str::FromStr;

use bytes::Bytes;
use redis::Value;
use tasktonic_core::Text;
use tasktonic_store::{Error, Result};

pub(crate) use control::{
    Erased, Rest, control, controlled, erase, hand, named, permits, queues_set, unlist,
};
pub(crate) use key::KeptKey;
pub(crate) use priorities::Priorities;
pub(crate) use schedule::{kept_schedule, scheduled, tick, ticked};
pub(crate) use state::StateHead;
pub(crate) use submit::{entry, submit, submitted};
pub(crate) use sync::{Shared, Uneven, sync, synced};
pub(crate) use tally::Tally;

/// The words of one call. The first is the time that tests set by hand, or empty: ask Redis.
pub(crate) struct Words(Vec<Bytes>);

impl Words {
    pub(crate) fn new(now_ms: Option<i64>) -> Self {
        let mut words = Self(Vec::with_capacity(32));
        match now_ms {
            Some(now_ms) => words.put(now_ms),
            None => words.text(""),
        }
        words
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.0.push(Bytes::copy_from_slice(text.as_bytes()));
    }

    pub(crate) fn put(&mut self, word: impl Display) {
        self.0.push(Bytes::from(word.to_string()));
    }

    /// `=` and the text, or nothing: the empty text is one too.
    pub(crate) fn maybe(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.put(format_args!("={text}")),
            None => self.text(""),
        }
    }

    pub(crate) fn flag(&mut self, is: bool) {
        self.text(if is { "1" } else { "" });
    }

    /// The word, or nothing where it says nothing.
    pub(crate) fn unless(&mut self, says_nothing: bool, word: &impl Display) {
        if says_nothing { self.text("") } else { self.put(word) }
    }

    pub(crate) fn done(self) -> Vec<Bytes> {
        self.0
    }
}

/// What a script that ran, or refused to, has answered.
pub(crate) fn items(reply: &Value) -> Result<&[Value]> {
    match reply {
        Value::Array(items) => Ok(items),
        Value::ServerError(error) => Err(refusal(error.code())),
        _ => Err(strange()),
    }
}

/// What a script refuses by name, before it has done anything.
fn refusal(code: &str) -> Error {
    Error::Unavailable(match code {
        "UNREADY" => {
            "the facts of a partition are missing and are being made again; try again in a moment"
                .into()
        }
        "SCHEMA" => "the store is of a form that this release does not know; run the release that \
                     upgraded it"
            .into(),
        other => format!("Redis refused a script: {other}"),
    })
}

pub(crate) fn strange() -> Error {
    Error::Unavailable("Redis answers in a way that this release does not understand".into())
}

/// A reply that is text; absent for nil.
pub(crate) fn text(value: &Value) -> Result<Option<&str>> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => std::str::from_utf8(bytes).map(Some).map_err(|_| strange()),
        Value::SimpleString(text) => Ok(Some(text)),
        _ => Err(strange()),
    }
}

/// A reply that is text and there.
pub(crate) fn word(value: &Value) -> Result<&str> {
    text(value)?.ok_or_else(strange)
}

/// The same, kept.
pub(crate) fn kept(value: &Value) -> Result<Option<Text>> {
    Ok(text(value)?.map(Text::from))
}

/// A reply that is a number, as such or as text.
pub(crate) fn number<T: FromStr + TryFrom<i64>>(value: &Value) -> Result<T> {
    match value {
        Value::Int(number) => T::try_from(*number).map_err(|_| strange()),
        other => parsed(word(other)?),
    }
}

/// A text that spells something of ours.
pub(crate) fn parsed<T: FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| strange())
}

/// A score of a ZSET: a whole number of ms, spelled by Redis as it likes.
pub(crate) fn score(value: &Value) -> Result<i64> {
    match value {
        Value::Double(score) => Ok(whole(*score)),
        other => parsed::<f64>(word(other)?).map(whole),
    }
}

/// Whether the score of a member of a line says that it is its turn.
pub(crate) fn is_first(score: &Value) -> Result<bool> {
    match score {
        Value::Double(score) => Ok(*score == f64::NEG_INFINITY),
        other => Ok(word(other)? == "-inf"),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "times in ms are whole and far below 2^53")]
fn whole(score: f64) -> i64 {
    score as i64
}

/// A reply of pairs, whichever way the protocol spells it: flat, nested, or as a map.
pub(crate) fn pairs(reply: &Value) -> Result<Vec<(&Value, &Value)>> {
    match reply {
        Value::Map(pairs) => Ok(pairs.iter().map(|(a, b)| (a, b)).collect()),
        Value::Array(all) if all.iter().all(|one| matches!(one, Value::Array(_))) => {
            let pair = |one| match items(one)? {
                [a, b] => Ok((a, b)),
                _ => Err(strange()),
            };
            all.iter().map(pair).collect()
        }
        _ => Ok(items(reply)?.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect()),
    }
}

/// Entries of a stream that have one field: their ids in two parts, and the field's text.
pub(crate) fn entries(reply: &Value) -> Result<Vec<(u64, u64, Text)>> {
    if matches!(reply, Value::Nil) {
        return Ok(Vec::new());
    }
    let entry = |one| {
        let [id, fields] = items(one)? else { return Err(strange()) };
        let (first, second) = word(id)?.split_once('-').ok_or_else(strange)?;
        let (_, field) = *pairs(fields)?.first().ok_or_else(strange)?;
        Ok((parsed(first)?, parsed(second)?, kept(field)?.ok_or_else(strange)?))
    };
    items(reply)?.iter().map(entry).collect()
}

/// The queue and the ties in what is kept of them.
pub(crate) fn links(text: &str) -> Option<(&str, tasktonic_core::Links)> {
    let (queue, ties) = text.split_once('|')?;
    Some((queue, tasktonic_core::Links::parse(ties)?))
}
