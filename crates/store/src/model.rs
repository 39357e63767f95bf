//! The model: the state machine and its records in memory, with no storage at all. Every store is
//! held to its answers, and tests of workers and servers run on it.

mod read;

pub use read::{due_schedules, schedules};

use std::collections::{BTreeMap, VecDeque};

use async_trait::async_trait;
use parking_lot::Mutex;
use tasktonic_core::changes::{Changes, EventEntry, Record};
use tasktonic_core::command::{Command, Control, Submit, Sync as SyncCommand};
use tasktonic_core::limits::{ATTEMPTS_KEPT_MAX, EVENTS_KEPT_MAX, LOG_LINES_MAX};
use tasktonic_core::reply::{Controlled, Reply, Submitted};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Name, Partition, TaskId, Text, UserId, WorkerId};

use crate::clock::Clock;
use crate::hub::Hub;
use crate::registry::{Entry, Expect, Registry, Table};
use crate::{
    Durability, Error, EventStream, Held, Query, QueryReply, Result, Store, SyncReply, WakeStream,
};

/// A store in memory, with one partition or several.
#[derive(Debug)]
pub struct ModelStore {
    clock: Clock,
    parts: Vec<Mutex<State>>,
    hub: Hub,
    /// Held during a step where there are several partitions.
    beside: Mutex<Beside>,
    registry: Mutex<BTreeMap<(Table, String), (u64, String)>>,
}

/// What partitions know of each other.
#[derive(Debug, Default)]
struct Beside {
    /// Tasks that run in each, of queues with a limit over all users.
    running: BTreeMap<Name, Vec<u32>>,
    /// When all that started is made up for, µs, of queues with a rate over all users.
    full_us: BTreeMap<Name, i64>,
}

#[derive(Debug)]
struct State {
    partition: Partition,
    tasks: BTreeMap<(UserId, TaskId), Kept>,
    events: BTreeMap<UserId, VecDeque<EventEntry>>,
}

/// The texts of one task.
#[derive(Debug, Default)]
struct Kept {
    descriptor: Option<Text>,
    state: Option<Text>,
    attempts: BTreeMap<u32, Text>,
    log: BTreeMap<u32, Text>,
}

impl ModelStore {
    /// An empty store on `clock`, with one partition.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self::with_partitions(clock, 1)
    }

    /// An empty store on `clock`, with so many partitions.
    ///
    /// # Panics
    /// Without a partition there is no store.
    #[must_use]
    pub fn with_partitions(clock: Clock, partitions: u16) -> Self {
        assert!(partitions > 0, "a store has at least one partition");
        let empty = || State {
            partition: Partition::new(1),
            tasks: BTreeMap::new(),
            events: BTreeMap::new(),
        };
        Self {
            clock,
            parts: (0..partitions).map(|_| Mutex::new(empty())).collect(),
            hub: Hub::default(),
            beside: Mutex::default(),
            registry: Mutex::new(BTreeMap::new()),
        }
    }

    /// What a restart of a durable store does: a new epoch, rings and leases as
    /// [`Partition::restore`] makes them, event logs empty.
    pub fn restart(&self) {
        for p in (0..self.partitions()).map(PartitionId) {
            self.restart_partition(p);
        }
    }

    /// The same for one partition, as when one node of several is replaced.
    ///
    /// # Panics
    /// If there is no such partition.
    pub fn restart_partition(&self, p: PartitionId) {
        let mut state = self.part(p).expect("a partition of this store").lock();
        let epoch = state.partition.epoch() + 1;
        let records = state.partition.records();
        state.partition = Partition::restore(epoch, self.clock.now_ms(), records);
        state.events.clear();
    }

    /// The whole state as text: of each partition its own dump, then every kept text.
    #[must_use]
    pub fn dump(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            let state = part.lock();
            text.push_str(&state.partition.dump(self.clock.now_ms()));
            for ((user, task), kept) in &state.tasks {
                text.push_str(&dump_texts(
                    user,
                    *task,
                    kept.descriptor.as_deref().unwrap_or_default(),
                    kept.state.as_deref(),
                    kept.attempts.iter().map(|(number, text)| (*number, &**text)),
                    kept.log.iter().map(|(number, text)| (*number, &**text)),
                ));
            }
        }
        text
    }

    /// Broken invariants of the partitions; empty when all is well.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let check = |part: &Mutex<State>| {
            let state = part.lock();
            let mut wrong = state.partition.check();
            wrong.extend(state.miscounted());
            wrong
        };
        self.parts.iter().flat_map(check).collect()
    }

    fn part(&self, p: PartitionId) -> Result<&Mutex<State>> {
        self.parts.get(usize::from(p.0)).ok_or_else(|| {
            Error::Invalid(format!("partition {}; there are {}", p.0, self.parts.len()))
        })
    }

    fn apply(&self, p: PartitionId, command: Command) -> Result<Reply> {
        let part = self.part(p)?;
        if self.parts.len() == 1 {
            return Ok(self.step(p, &mut part.lock(), command));
        }
        let mut beside = self.beside.lock();
        let (reply, freed) = self.step_beside(p, &mut beside, command);
        if !freed.is_empty() {
            // Room that one makes is for all.
            for other in (0..self.partitions()).map(PartitionId).filter(|other| *other != p) {
                self.step_beside(other, &mut beside, pass_on(freed.clone()));
            }
        }
        Ok(reply)
    }

    fn step(&self, p: PartitionId, state: &mut State, command: Command) -> Reply {
        let (reply, changes) = state.partition.apply(command, self.clock.now_ms());
        state.keep(&changes);
        self.tell(p, state, &changes);
        reply
    }

    /// One step of one of several partitions, each of which knows what runs and what has started in the
    /// others. Answers also the queues in which fewer tasks run than before, or more may.
    fn step_beside(
        &self,
        p: PartitionId,
        beside: &mut Beside,
        command: Command,
    ) -> (Reply, Vec<Name>) {
        let at = usize::from(p.0);
        let is_set = matches!(command, Command::Control(Control::Queues { .. }));
        let mut state = self.parts[at].lock();
        for (name, of) in &beside.running {
            let all: u32 = of.iter().sum();
            state.partition.set_elsewhere(name, all - of[at]);
        }
        let now_ms = self.clock.now_ms();
        for (name, full_us) in &beside.full_us {
            state.partition.set_ahead_us(name, now_ms, full_us - now_ms * 1_000);
        }
        let reply = self.step(p, &mut state, command);
        let mut freed = Vec::new();
        for name in state.partition.limited_queues() {
            let of =
                beside.running.entry(name.clone()).or_insert_with(|| vec![0; self.parts.len()]);
            let now = state.partition.running_in_all(&name).unwrap_or(0);
            if now < of[at] || is_set {
                freed.push(name);
            }
            of[at] = now;
        }
        for name in state.partition.paced_queues() {
            let ahead_us = state.partition.ahead_us(&name, now_ms).unwrap_or(0);
            beside.full_us.insert(name, now_ms * 1_000 + ahead_us);
        }
        (reply, freed)
    }

    /// Tells who listens; a wake that reached nobody goes to the next idle worker.
    fn tell(&self, p: PartitionId, state: &mut State, changes: &Changes) {
        let missed = self.hub.tell(p, changes);
        if missed.is_empty() {
            return;
        }
        let (_, changes) = state.partition.apply(pass_on(missed), self.clock.now_ms());
        state.keep(&changes);
        self.tell(p, state, &changes);
    }
}

/// The sync that passes wakes on which reached nobody.
#[must_use]
pub fn pass_on(woken: Vec<Name>) -> Command {
    Command::Sync(SyncCommand {
        worker: "in-store".parse().expect("a valid worker id"),
        call: 0,
        lease_ms: 0,
        ops: Vec::new(),
        claim: None,
        woken,
        park: false,
    })
}

/// The lines of a store's dump about one task's texts, the same in every store.
pub fn dump_texts<'a>(
    user: &UserId,
    task: TaskId,
    descriptor: &str,
    state: Option<&str>,
    attempts: impl Iterator<Item = (u32, &'a str)>,
    log: impl Iterator<Item = (u32, &'a str)>,
) -> String {
    let mut text = format!("d {user} {task} {descriptor}\n");
    if let Some(state) = state {
        text.push_str(&format!("t {user} {task} {state}\n"));
    }
    for (number, attempt) in attempts {
        text.push_str(&format!("a {user} {task} {number} {attempt}\n"));
    }
    for (number, line) in log {
        text.push_str(&format!("o {user} {task} {number} {line}\n"));
    }
    text
}

impl State {
    /// Users of whom other bytes are counted than their texts have.
    fn miscounted(&self) -> Vec<String> {
        let mut held: BTreeMap<&UserId, u64> = BTreeMap::new();
        for ((user, task), kept) in &self.tasks {
            let ended = self.partition.task(user, task).filter(|of| of.place.state().is_terminal());
            let state = kept.state.as_ref().filter(|_| ended.is_some());
            let texts = kept.descriptor.iter().chain(state);
            *held.entry(user).or_default() += texts.map(|text| text.len() as u64).sum::<u64>();
        }
        let is_wrong = |(user, bytes): &(&&UserId, &u64)| self.partition.bytes(user) != **bytes;
        let say = |(user, bytes): (&&UserId, &u64)| {
            format!("{user} has {bytes} bytes, {} are counted", self.partition.bytes(user))
        };
        held.iter().filter(is_wrong).map(say).collect()
    }

    fn keep(&mut self, changes: &Changes) {
        for record in &changes.records {
            self.keep_record(record);
        }
        for entry in &changes.events {
            let log = self.events.entry(entry.user.clone()).or_default();
            log.push_back(entry.clone());
            if log.len() > EVENTS_KEPT_MAX {
                log.pop_front();
            }
        }
    }

    fn kept(&mut self, user: &UserId, task: TaskId) -> &mut Kept {
        self.tasks.entry((user.clone(), task)).or_default()
    }

    fn keep_record(&mut self, record: &Record) {
        match record {
            Record::Descriptor { user, task, text } | Record::Edited { user, task, text } => {
                self.kept(user, *task).descriptor = Some(text.clone());
            }
            Record::Task { user, task, text, .. } => {
                self.kept(user, *task).state.clone_from(text);
            }
            Record::Attempt { user, task, number, text } => {
                let attempts = &mut self.kept(user, *task).attempts;
                attempts.insert(*number, text.clone());
                attempts.retain(|n, _| n + ATTEMPTS_KEPT_MAX > *number);
            }
            Record::Log { user, task, first, lines } => {
                let log = &mut self.kept(user, *task).log;
                log.extend((*first..).zip(lines.iter().cloned()));
                let last = log.last_key_value().map_or(0, |(n, _)| *n);
                log.retain(|n, _| n + LOG_LINES_MAX > last);
            }
            Record::TaskGone { user, task } => {
                self.tasks.remove(&(user.clone(), *task));
            }
            Record::UserGone { user } => {
                self.events.remove(user);
            }
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

    fn held(&self, lease: tasktonic_core::Lease, n: u32) -> Held {
        let kept = self.tasks.get(&(lease.user.clone(), lease.task));
        let descriptor = kept.and_then(|kept| kept.descriptor.clone()).unwrap_or_default();
        Held { lease, n, descriptor, state: kept.and_then(|kept| kept.state.clone()) }
    }
}

#[async_trait]
impl Store for ModelStore {
    async fn submit(&self, p: PartitionId, batch: Submit) -> Result<Vec<Submitted>> {
        crate::limits::check_submit(&batch)?;
        let Reply::Submit(answers) = self.apply(p, Command::Submit(batch))? else {
            unreachable!("a submit is answered in kind")
        };
        Ok(answers)
    }

    async fn sync(&self, p: PartitionId, request: SyncCommand) -> Result<SyncReply> {
        crate::limits::check_sync(&request)?;
        let Reply::Sync(synced) = self.apply(p, Command::Sync(request))? else {
            unreachable!("a sync is answered in kind")
        };
        let state = self.part(p)?.lock();
        Ok(SyncReply {
            unheard: Vec::new(),
            refused: synced.refused,
            cancelled: synced.cancelled,
            adopted: synced.adopted.into_iter().map(|lease| state.held(lease, 0)).collect(),
            claimed: synced.claimed.into_iter().map(|c| state.held(c.lease, c.n)).collect(),
            stopped_at: synced.stopped_at,
            more: synced.more,
            next_in_ms: synced.next_in_ms,
            schedule_in_ms: synced.schedule_in_ms,
            epoch: synced.epoch,
            queues_version: synced.queues_version,
        })
    }

    async fn control(&self, p: PartitionId, control: Control) -> Result<Vec<Controlled>> {
        crate::limits::check_control(&control)?;
        let Reply::Control(answers) = self.apply(p, Command::Control(control))? else {
            unreachable!("a control command is answered in kind")
        };
        Ok(answers)
    }

    async fn read(&self, p: PartitionId, query: Query) -> Result<QueryReply> {
        Ok(self.part(p)?.lock().read(query, self.clock.now_ms()))
    }

    fn wakes(&self, worker: &WorkerId) -> WakeStream {
        self.hub.wakes(worker)
    }

    fn events(&self, user: &UserId) -> EventStream {
        self.hub.events(user)
    }

    fn partitions(&self) -> u16 {
        u16::try_from(self.parts.len()).expect("made with a u16")
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }

    fn registry(&self) -> &dyn Registry {
        self
    }
}

#[async_trait]
impl Registry for ModelStore {
    async fn get(&self, table: Table, key: &str) -> Result<Option<Entry>> {
        let registry = self.registry.lock();
        let known = registry.get(&(table, key.to_owned()));
        let entry = |(version, value): &(u64, String)| Entry {
            key: key.to_owned(),
            version: *version,
            value: value.clone(),
        };
        Ok(known.map(entry))
    }

    async fn list(&self, table: Table) -> Result<Vec<Entry>> {
        let registry = self.registry.lock();
        let all = registry.iter().filter(|((of, _), _)| *of == table);
        let entry = |((_, key), (version, value)): (&(Table, String), &(u64, String))| Entry {
            key: key.clone(),
            version: *version,
            value: value.clone(),
        };
        Ok(all.map(entry).collect())
    }

    async fn put(
        &self,
        table: Table,
        key: &str,
        value: String,
        expect: Expect,
    ) -> Result<Option<u64>> {
        let mut registry = self.registry.lock();
        let slot = (table, key.to_owned());
        let before = registry.get(&slot).map(|(version, _)| *version);
        let holds = match expect {
            Expect::Any => true,
            Expect::Absent => before.is_none(),
            Expect::Version(version) => before == Some(version),
        };
        if !holds {
            return Ok(None);
        }
        let version = before.unwrap_or(0) + 1;
        registry.insert(slot, (version, value));
        Ok(Some(version))
    }

    async fn delete(&self, table: Table, key: &str) -> Result<bool> {
        Ok(self.registry.lock().remove(&(table, key.to_owned())).is_some())
    }
}
