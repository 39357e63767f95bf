//! How a user's line moved lately, read from the user's own newest events: which of their tasks
//! started when, and since when each had been in its line. The one meaning of it for every store.
//! Knows no store and no clock.
//!
//! Events are there in any case, in their order, with the time of every start: so nothing is written
//! for this while nobody asks, and what is read has a limit however much a user has.

use std::collections::HashMap;

use serde::Deserialize;
use tasktonic_core::limits::POSITION_MAX;
use tasktonic_core::partition::Standing;
use tasktonic_core::policy::estimate::{STARTS_MAX, Start};
use tasktonic_core::{Name, TaskId, TaskState};

use crate::Position;

/// Entries of a user's events looked at.
pub const ENTRIES_MAX: usize = 256;
/// Bytes of them, the last entry not counted.
pub const BYTES_MAX: usize = 256 * 1024;
/// Starts looked at, of whichever queue. A user may use several at once.
pub const SEEN_MAX: usize = 2 * STARTS_MAX;

/// What was read so far, from the newest event back.
#[derive(Debug, Default)]
pub struct History {
    entries: usize,
    bytes: usize,
    /// The newest first.
    starts: Vec<Seen>,
    /// When a task came into its lane under a claim number.
    entered: HashMap<(TaskId, u32), i64>,
    queues: HashMap<TaskId, Name>,
}

#[derive(Debug)]
struct Seen {
    task: TaskId,
    claim: u32,
    at_ms: i64,
}

/// What is looked at of an event; whatever else it says is passed over.
#[derive(Deserialize)]
struct Event {
    t: String,
    /// Absent where the event is of something else than a state.
    #[serde(default)]
    s: Option<String>,
    #[serde(default)]
    c: u32,
    #[serde(default)]
    at: i64,
    /// Its queue is left out where that is named like the kind.
    #[serde(default)]
    q: Option<String>,
    #[serde(default)]
    k: Option<String>,
}

impl History {
    /// Takes the next older entry of a user's events (a JSON array). False when enough is known.
    pub fn take(&mut self, entry: &str) -> bool {
        self.entries += 1;
        self.bytes += entry.len();
        // An entry that cannot be read tells nothing.
        let events: Vec<Event> = serde_json::from_str(entry).unwrap_or_default();
        for event in events.into_iter().rev() {
            let Ok(task) = event.t.parse::<TaskId>() else { continue };
            match event.s.as_deref().and_then(TaskState::from_name) {
                Some(TaskState::Running) => self.saw(task, &event),
                Some(TaskState::Queued) => {
                    self.entered.insert((task, event.c), event.at);
                }
                _ => {}
            }
            if let Some(queue) = event.q.or(event.k).and_then(|queue| queue.parse().ok()) {
                self.queues.insert(task, queue);
            }
        }
        self.entries < ENTRIES_MAX && self.bytes < BYTES_MAX && self.starts.len() < SEEN_MAX
    }

    fn saw(&mut self, task: TaskId, event: &Event) {
        // A running task may tell of itself again; the oldest time is that of its start.
        let same = |seen: &&mut Seen| seen.task == task && seen.claim == event.c;
        match self.starts.iter_mut().find(same) {
            Some(seen) => seen.at_ms = event.at,
            None => self.starts.push(Seen { task, claim: event.c, at_ms: event.at }),
        }
    }

    /// Tasks that started and whose queue no event has told.
    #[must_use]
    pub fn unknown(&self) -> Vec<TaskId> {
        let mut tasks: Vec<_> = self.starts.iter().map(|seen| seen.task).collect();
        tasks.retain(|task| !self.queues.contains_key(task));
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }

    /// Since when a task has been in its lane: at least since it was made.
    #[must_use]
    pub fn entered_ms(&self, task: TaskId, claim: u32) -> i64 {
        self.entered.get(&(task, claim)).copied().unwrap_or_else(|| task.created_ms())
    }

    /// The newest starts of `queue`, oldest first. `queue_of` answers for those that no event has
    /// told of; where it cannot, the history begins: a hole in it would look like a slow line.
    #[must_use]
    pub fn starts(&self, queue: &Name, queue_of: impl Fn(&TaskId) -> Option<Name>) -> Vec<Start> {
        let mut starts = Vec::new();
        for seen in &self.starts {
            let known = self.queues.get(&seen.task).cloned().or_else(|| queue_of(&seen.task));
            let Some(of) = known else { break };
            if of == *queue && starts.len() < STARTS_MAX {
                let entered_ms = self.entered_ms(seen.task, seen.claim).min(seen.at_ms);
                starts.push(Start { at_ms: seen.at_ms, entered_ms });
            }
        }
        starts.reverse();
        // A stepped clock must not make a gap of less than nothing.
        starts.sort_by_key(|start| start.at_ms);
        starts
    }

    /// The whole answer of a store that knows exactly where the task stands.
    #[must_use]
    pub fn position(
        &self,
        standing: Standing,
        queue_of: impl Fn(&TaskId) -> Option<Name>,
    ) -> Position {
        let Standing { queue, claim: _, ahead, head } = standing;
        let starts = self.starts(&queue, queue_of);
        Position {
            ahead: (ahead, ahead),
            more: ahead >= POSITION_MAX,
            head_since_ms: self.entered_ms(head.0, head.1),
            starts,
            queue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Name {
        "mail".parse().unwrap()
    }

    fn event(task: TaskId, state: &str, at: i64, more: &str) -> String {
        format!(r#"[{{"t":"{task}","s":"{state}","c":1,"n":1,"at":{at},"a":1{more}}}]"#)
    }

    #[test]
    fn starts_are_read_backwards_with_the_time_of_entering() {
        let (a, b) = (TaskId::new(1_000, 1), TaskId::new(1_000, 2));
        let mut history = History::default();
        assert!(history.take(&event(b, "running", 9_000, r#","w":"w-1.2","cancel":true"#)));
        assert!(history.take(&event(b, "running", 8_000, r#","w":"w-1.2""#)));
        assert!(history.take(&event(a, "completed", 7_500, "")));
        assert!(history.take(&event(a, "running", 5_000, r#","w":"w-1.1""#)));
        assert!(history.take("[{]"));
        assert!(history.take(&event(b, "queued", 2_000, r#","q":"mail""#)));
        assert_eq!(history.unknown(), [a]);
        let starts = history.starts(&mail(), |_| Some(mail()));
        let wanted =
            [Start { at_ms: 5_000, entered_ms: 1_000 }, Start { at_ms: 8_000, entered_ms: 2_000 }];
        assert_eq!(starts, wanted);
        assert_eq!(history.starts(&mail(), |_| None), wanted[1..], "no hole in the history");
        let other = history.starts(&"media".parse().unwrap(), |_| Some(mail()));
        assert_eq!(other, []);
    }

    #[test]
    fn no_more_is_read_than_the_limits_say() {
        let text = event(TaskId::new(1, 1), "completed", 5, "");
        let mut history = History::default();
        let taken = (1..).take_while(|_| history.take(&text)).count();
        assert_eq!(taken + 1, ENTRIES_MAX);
        let mut history = History::default();
        assert!(!history.take(&format!("[{}]", " ".repeat(BYTES_MAX))));
        let mut history = History::default();
        let mut number = 0;
        while history.take(&event(TaskId::new(1, number), "running", 5, "")) {
            number += 1;
        }
        assert_eq!(number + 1, SEEN_MAX as u64);
    }
}
