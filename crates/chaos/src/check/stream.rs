//! What one user's stream says of all their tasks, in the store's own order: between two resets the
//! events are without holes, so that at each of them the status of every known task is certain.

use std::collections::BTreeMap;

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
        let mut known = Known::new();
        hear(Heard::Nothing);
        for line in lines {
            let is_fresh = line.op == Op::Hello && line.status.as_deref() == Some("fresh");
            if line.op == Op::Reset || is_fresh {
                known.clear();
                hear(Heard::Nothing);
            }
            let (Some(task), Some(_)) = (line.task.as_deref(), &line.status) else { continue };
            match line.op {
                Op::Event => hear(Heard::Event(task, line, &known)),
                Op::Snapshot => {}
                _ => continue,
            }
            known.insert(task, line);
        }
    }
}

/// The status that a line says.
pub(super) fn status(line: &Line) -> &str {
    line.status.as_deref().unwrap_or_default()
}
