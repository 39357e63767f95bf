//! What one user's stream says of all their tasks, in the store's own order: between two resets the
//! events are without holes, so that at each of them the status of every known task is certain.
//!
//! A snapshot is not taken at one instant: its tasks are read after its place in the stream, so that
//! it may say of a task what only the events behind it tell. Such a task is known by its events.

use std::collections::{BTreeMap, BTreeSet};

use super::world::World;
use crate::history::{Line, Op};

/// Tasks by their newest event or snapshot, for as long as nothing was missed.
pub(super) type Known<'a> = BTreeMap<&'a str, &'a Line>;

/// What comes by in a stream.
pub(super) enum Heard<'a, 'b> {
    /// An event, and what was known before it.
    Event(&'a str, &'a Line, &'b Known<'a>),
    /// From here on nothing is known.
    Nothing,
}

/// Goes through every stream.
pub(super) fn replay<'a>(world: &World<'a>, mut hear: impl FnMut(Heard<'a, '_>)) {
    for lines in world.streams.values() {
        let early = early(lines);
        let mut known = Known::new();
        hear(Heard::Nothing);
        for (place, line) in lines.iter().enumerate() {
            if forgets(line) {
                known.clear();
                hear(Heard::Nothing);
            }
            let (Some(task), Some(_)) = (line.task.as_deref(), &line.status) else { continue };
            match line.op {
                Op::Event => hear(Heard::Event(task, line, &known)),
                Op::Snapshot if !early.contains(&place) => {}
                _ => continue,
            }
            known.insert(task, line);
        }
    }
}

/// Whether nothing is known from this line on.
fn forgets(line: &Line) -> bool {
    let is_fresh = line.op == Op::Hello && line.status.as_deref() == Some("fresh");
    line.op == Op::Reset || is_fresh
}

/// Which lines of a stream are of a snapshot and say what an event behind them tells again.
fn early(lines: &[&Line]) -> BTreeSet<usize> {
    let mut early = BTreeSet::new();
    // The oldest that events behind a line say of a task.
    let mut told: BTreeMap<&str, (Option<u32>, Option<u64>)> = BTreeMap::new();
    for (place, line) in lines.iter().enumerate().rev() {
        if forgets(line) {
            told.clear();
        }
        let (Some(task), Some(_)) = (line.task.as_deref(), &line.status) else { continue };
        let said = (line.epoch, line.rev);
        match line.op {
            Op::Event => {
                let oldest = told.entry(task).or_insert(said);
                *oldest = said.min(*oldest);
            }
            Op::Snapshot if told.get(task).is_some_and(|oldest| *oldest <= said) => {
                early.insert(place);
            }
            _ => {}
        }
    }
    early
}

/// The status that a line says.
pub(super) fn status(line: &Line) -> &str {
    line.status.as_deref().unwrap_or_default()
}
