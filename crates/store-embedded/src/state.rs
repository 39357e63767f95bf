//! What is in memory: the partition, the texts that are not yet in the tables or soon needed, the
//! newest events, the registry. Knows neither files nor threads.
//!
//! Every task has its place here by id, so that lists need no index on disk. Its texts are here
//! until the fold has written them; those of tasks that have ended go then.

use std::collections::{BTreeMap, HashMap};

use tasktonic_core::changes::Record;
use tasktonic_core::partition::Records;
use tasktonic_core::{Partition, TaskId, Text, UserId};
use tasktonic_store::Table;

use crate::events::Events;
use crate::options::TASK_BYTES;
use crate::tables::Loaded;

/// Everything in memory.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) partition: Partition,
    pub(crate) users: HashMap<UserId, BTreeMap<TaskId, Slot>>,
    pub(crate) registry: BTreeMap<(Table, String), (u64, String)>,
    pub(crate) events: Events,
    tasks: u64,
    text_bytes: u64,
}

/// The place of a task.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// What lists find it by, empty where that is its queue alone; absent while only its descriptor
    /// says.
    pub(crate) entry: Option<Box<str>>,
    pub(crate) kept: Option<Box<Kept>>,
}

impl Slot {
    /// What the entry takes, in bytes.
    fn entry_bytes(&self) -> u64 {
        self.entry.as_ref().map_or(0, |entry| entry.len() as u64)
    }

    fn bytes(&self) -> u64 {
        self.entry_bytes() + self.kept.as_ref().map_or(0, |kept| kept.bytes())
    }
}

/// Texts of a task that are in memory.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The last round that changed it.
    lsn: u64,
    /// The last round that changed what it is to do.
    described: u64,
    /// Whatever the tables have of this id belongs to a former life.
    pub(crate) fresh: bool,
    /// Absent: the tables have it.
    pub(crate) descriptor: Option<Text>,
    pub(crate) state: KeptState,
    /// What the tables do not have yet.
    pub(crate) attempts: Vec<(u32, Text)>,
    pub(crate) log: Vec<(u32, Text)>,
}

/// What is known of a state's text.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum KeptState {
    /// The tables have it.
    #[default]
    InTables,
    /// It has none, or this one.
    Here(Option<Text>),
}

impl Kept {
    fn bytes(&self) -> u64 {
        let size = |text: &Text| text.len() as u64;
        let lines = self.attempts.iter().chain(&self.log).map(|(_, text)| size(text) + 24);
        let state = match &self.state {
            KeptState::Here(Some(text)) => size(text),
            _ => 0,
        };
        self.descriptor.as_ref().map_or(0, size) + state + lines.sum::<u64>()
    }
}

impl State {
    /// The state after a start at `now_ms`, in `epoch`.
    pub(crate) fn restore(epoch: u32, now_ms: i64, loaded: Loaded) -> Self {
        let Loaded { records, entries, registry } = loaded;
        let Records { rows, .. } = &records;
        let mut users: HashMap<UserId, BTreeMap<TaskId, Slot>> = HashMap::new();
        let mut text_bytes = 0;
        for (row, entry) in rows.iter().zip(entries) {
            let slot = Slot { entry, kept: None };
            text_bytes += slot.bytes();
            users.entry(row.user.clone()).or_default().insert(row.task, slot);
        }
        let tasks = rows.len() as u64;
        // A first start is not a restart: no time has passed over anybody.
        let partition = match epoch {
            1 if records == Records::default() => Partition::new(epoch),
            _ => Partition::restore(epoch, now_ms, records),
        };
        Self { partition, users, registry, events: Events::default(), tasks, text_bytes }
    }

    /// What all this takes, in bytes: an estimate.
    pub(crate) fn bytes(&self) -> u64 {
        self.tasks * TASK_BYTES + self.text_bytes + self.events.bytes()
    }

    /// Keeps what a record of round `lsn` says.
    pub(crate) fn keep(&mut self, record: &Record, lsn: u64) {
        match record {
            Record::Descriptor { user, task, text } => {
                let life = Kept {
                    lsn,
                    described: lsn,
                    fresh: true,
                    descriptor: Some(text.clone()),
                    state: KeptState::Here(None),
                    ..Kept::default()
                };
                self.text_bytes += life.bytes();
                if !self.users.contains_key(user) {
                    self.users.insert(user.clone(), BTreeMap::new());
                }
                let tasks = self.users.get_mut(user).expect("inserted above");
                match tasks.insert(*task, Slot { entry: None, kept: Some(Box::new(life)) }) {
                    Some(before) => self.text_bytes -= before.bytes(),
                    None => self.tasks += 1,
                }
            }
            Record::Task { user, task, text, .. } => {
                self.change(user, *task, lsn, |kept| kept.state = KeptState::Here(text.clone()));
            }
            Record::Edited { user, task, text } => {
                self.change(user, *task, lsn, |kept| {
                    kept.descriptor = Some(text.clone());
                    kept.described = lsn;
                });
                self.name(user, *task, None);
            }
            Record::Attempt { user, task, number, text } => {
                let line = (*number, text.clone());
                self.change(user, *task, lsn, |kept| kept.attempts.push(line));
            }
            Record::Log { user, task, first, lines } => {
                let lines = (*first..).zip(lines.iter().cloned());
                self.change(user, *task, lsn, |kept| kept.log.extend(lines));
            }
            Record::TaskGone { user, task } => {
                let Some(tasks) = self.users.get_mut(user) else { return };
                if let Some(before) = tasks.remove(task) {
                    self.tasks -= 1;
                    self.text_bytes -= before.bytes();
                }
                if tasks.is_empty() {
                    self.users.remove(user);
                }
            }
            Record::UserGone { user } => self.events.forget(user),
            // The partition itself remembers these.
            Record::Control { .. }
            | Record::Key { .. }
            | Record::KeyGone { .. }
            | Record::LeaseTime(_)
            | Record::Queue { .. }
            | Record::QueuesVersion(_)
            | Record::User { .. }
            | Record::Pause { .. }
            | Record::BytesMax { .. }
            | Record::Links { .. }
            | Record::Schedule { .. } => {}
        }
    }

    fn change(&mut self, user: &UserId, task: TaskId, lsn: u64, change: impl FnOnce(&mut Kept)) {
        let Some(slot) = self.users.get_mut(user).and_then(|tasks| tasks.get_mut(&task)) else {
            return;
        };
        let kept = slot.kept.get_or_insert_default();
        let before = kept.bytes();
        kept.lsn = lsn;
        change(kept);
        self.text_bytes = self.text_bytes + kept.bytes() - before;
    }

    /// What lists find a task by, as rounds up to `applied` say.
    pub(crate) fn named(&mut self, user: &UserId, task: TaskId, entry: &str, applied: u64) {
        let slot = self.users.get(user).and_then(|tasks| tasks.get(&task));
        let is_latest = slot
            .is_some_and(|slot| slot.kept.as_ref().is_none_or(|kept| kept.described <= applied));
        if is_latest {
            self.name(user, task, Some(entry.into()));
        }
    }

    fn name(&mut self, user: &UserId, task: TaskId, entry: Option<Box<str>>) {
        let Some(slot) = self.users.get_mut(user).and_then(|tasks| tasks.get_mut(&task)) else {
            return;
        };
        let before = slot.entry_bytes();
        slot.entry = entry;
        self.text_bytes = self.text_bytes + slot.entry_bytes() - before;
    }

    /// The tables have what rounds up to `applied` said of this task: lets go of what need not
    /// stay.
    pub(crate) fn folded(&mut self, user: &UserId, task: TaskId, applied: u64, texts_max: u64) {
        let ended = self.partition.task(user, &task).is_none_or(|c| c.place.state().is_terminal());
        let Some(slot) = self.users.get_mut(user).and_then(|tasks| tasks.get_mut(&task)) else {
            return;
        };
        let Some(kept) = slot.kept.as_mut().filter(|kept| kept.lsn <= applied) else { return };
        let before = kept.bytes();
        let needed = !ended && self.text_bytes <= texts_max && kept.descriptor.is_some();
        let after = if needed {
            kept.fresh = false;
            kept.attempts = Vec::new();
            kept.log = Vec::new();
            kept.bytes()
        } else {
            slot.kept = None;
            0
        };
        self.text_bytes = self.text_bytes + after - before;
    }

    /// The texts of a task that are here.
    pub(crate) fn kept(&self, user: &UserId, task: &TaskId) -> Option<&Kept> {
        self.users.get(user)?.get(task)?.kept.as_deref()
    }
}
