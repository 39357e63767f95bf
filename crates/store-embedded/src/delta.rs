//! What a commit round or a fold window changed, merged to the latest per record. Knows the
//! records and neither bytes nor files.

use std::collections::HashMap;

use tasktonic_core::changes::{Record, TaskControl};
use tasktonic_core::{TaskId, Text, UserId};
use tasktonic_store::Table;

use crate::small::{self, SmallId};

/// Changes of any number of steps, the latest of each record.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Delta {
    pub(crate) tasks: HashMap<(UserId, TaskId), TaskDelta>,
    pub(crate) keys: HashMap<(UserId, Text), Option<KeyValue>>,
    /// Absent: the record is gone.
    pub(crate) small: HashMap<SmallId, Option<Text>>,
    pub(crate) registry: HashMap<(Table, String), Option<(u64, String)>>,
}

/// What became of one task.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct TaskDelta {
    /// Before these changes there was no such task.
    pub(crate) born: bool,
    /// A former life of this id ended among these changes: what the tables have of it goes first.
    pub(crate) gone: bool,
    /// The text of a new life, or the new one of a task that was edited.
    pub(crate) descriptor: Option<Text>,
    pub(crate) control: Option<TaskControl>,
    /// The new text, or that there is none any more.
    pub(crate) state: Option<Option<Text>>,
    pub(crate) attempts: Vec<(u32, Text)>,
    pub(crate) log: Vec<(u32, Text)>,
}

/// What an idempotency key stands for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyValue {
    pub(crate) task: TaskId,
    pub(crate) body_hash: u128,
    pub(crate) expires_ms: i64,
}

impl Delta {
    pub(crate) fn is_empty(&self) -> bool {
        let Self { tasks, keys, small, registry } = self;
        tasks.is_empty() && keys.is_empty() && small.is_empty() && registry.is_empty()
    }

    fn task(&mut self, user: UserId, task: TaskId) -> &mut TaskDelta {
        self.tasks.entry((user, task)).or_default()
    }

    /// Adds what one record says.
    pub(crate) fn add(&mut self, record: Record) {
        match record {
            Record::Descriptor { user, task, text } => {
                let life = TaskDelta { born: true, descriptor: Some(text), ..TaskDelta::default() };
                self.merge_task((user, task), life);
            }
            Record::Edited { user, task, text } => {
                self.task(user, task).descriptor = Some(text);
            }
            Record::Task { user, task, control, text } => {
                let delta = self.task(user, task);
                delta.control = Some(control);
                delta.state = Some(text);
                delta.count_lines();
            }
            Record::Control { user, task, control } => {
                let delta = self.task(user, task);
                delta.control = Some(control);
                delta.count_lines();
            }
            Record::Attempt { user, task, number, text } => {
                self.task(user, task).attempts.push((number, text));
            }
            Record::Log { user, task, first, lines } => {
                let delta = self.task(user, task);
                delta.log.extend((first..).zip(lines));
                delta.count_lines();
            }
            Record::Key { user, key, task, body_hash, expires_ms } => {
                self.keys.insert((user, key), Some(KeyValue { task, body_hash, expires_ms }));
            }
            Record::KeyGone { user, key } => {
                self.keys.insert((user, key), None);
            }
            Record::User { queue, user, settings } => {
                self.add_small(small::user(&queue, user, settings));
            }
            Record::Links { user, task, links } => {
                let (id, text) = small::links(user, task, links.as_ref());
                self.small.insert(id, text);
            }
            // Its tasks, keys and small records are gone by name; its events were never kept here.
            Record::UserGone { .. } => {}
            Record::Schedule { user, name, schedule } => {
                let (id, text) = small::schedule(user, name, schedule.as_ref());
                self.small.insert(id, text);
            }
            Record::LeaseTime(kept) => self.add_small(small::lease_time(&kept)),
            Record::Queue { queue, settings } => self.add_small(small::queue(&queue, settings)),
            Record::QueuesVersion(version) => self.add_small(small::version(version)),
            Record::BytesMax { user, bytes_max } => {
                self.add_small(small::bytes_max(user, bytes_max));
            }
            Record::Pause { user, pauses } => self.add_small(small::pause(user, pauses)),
            Record::TaskGone { user, task } => {
                let end = TaskDelta { gone: true, ..TaskDelta::default() };
                self.merge_task((user, task), end);
            }
        }
    }

    fn add_small(&mut self, (id, text): (SmallId, Option<Text>)) {
        self.small.insert(id, text);
    }

    /// Adds later changes.
    pub(crate) fn merge(&mut self, later: Self) {
        if self.tasks.is_empty() {
            self.tasks = later.tasks;
        } else {
            for (id, delta) in later.tasks {
                self.merge_task(id, delta);
            }
        }
        self.keys.extend(later.keys);
        self.small.extend(later.small);
        self.registry.extend(later.registry);
    }

    fn merge_task(&mut self, id: (UserId, TaskId), later: TaskDelta) {
        use std::collections::hash_map::Entry;
        let mut entry = match self.tasks.entry(id) {
            Entry::Vacant(slot) => {
                slot.insert(later);
                return;
            }
            Entry::Occupied(slot) => slot,
        };
        let known = entry.get_mut();
        if later.born || later.gone {
            // A new life, or an end: nothing of the former one stays.
            let born = known.born;
            *known = TaskDelta { born, gone: true, ..later };
            return;
        }
        let TaskDelta { descriptor, control, state, attempts, log, .. } = later;
        known.descriptor = descriptor.or(known.descriptor.take());
        known.control = control.or(known.control.take());
        known.state = state.or(known.state.take());
        known.attempts.extend(attempts);
        known.log.extend(log);
        known.count_lines();
    }
}

impl TaskDelta {
    /// A record of lines says by itself how many there are now.
    fn count_lines(&mut self) {
        if let (Some(control), Some((last, _))) = (&mut self.control, self.log.last()) {
            control.log_lines = control.log_lines.max(*last);
        }
    }

    /// Whether the life the task has after these changes began among them.
    pub(crate) fn begins(&self) -> bool {
        self.born || self.gone
    }

    /// Whether the task exists after these changes.
    pub(crate) fn exists(&self) -> bool {
        self.control.is_some() || !(self.gone || self.born)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tasktonic_core::changes::Place;

    use super::*;

    fn control(n: u32) -> TaskControl {
        let place = Place::Queued { position: 0 };
        TaskControl { n, ..TaskControl::new("mail".parse().unwrap(), place) }
    }

    /// A possible history of one task: numbers pick what happens where several things could.
    fn history(picks: &[u8]) -> Vec<Record> {
        let (user, task) = (UserId::encode("ana"), TaskId::new(1, 1));
        let (mut alive, mut records) = (picks.len().is_multiple_of(2), Vec::new());
        for (n, pick) in (0_u32..).zip(picks) {
            let user = user.clone();
            let text = Text::from(format!("{n}"));
            if alive {
                records.push(match pick % 6 {
                    0 => Record::TaskGone { user, task },
                    1 => Record::Control { user, task, control: control(n) },
                    2 => Record::Attempt { user, task, number: n, text },
                    3 => Record::Log { user, task, first: n, lines: vec![text] },
                    4 => Record::Edited { user, task, text },
                    _ => Record::Task { user, task, control: control(n), text: Some(text) },
                });
                alive = pick % 6 != 0;
            } else {
                records.push(Record::Descriptor { user: user.clone(), task, text });
                records.push(Record::Task { user, task, control: control(n), text: None });
                alive = true;
            }
        }
        records
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_rounds_are_cut(picks: Vec<u8>, cuts: Vec<u8>) {
            let records = history(&picks);
            let mut whole = Delta::default();
            for record in records.clone() {
                whole.add(record);
            }
            let mut parts = vec![Delta::default()];
            for (n, record) in records.into_iter().enumerate() {
                if cuts.get(n).is_some_and(|cut| cut % 3 == 0) {
                    parts.push(Delta::default());
                }
                parts.last_mut().unwrap().add(record);
            }
            let mut merged = Delta::default();
            for part in parts {
                merged.merge(part);
            }
            prop_assert_eq!(merged, whole);
        }
    }
}
