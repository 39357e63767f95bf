//! An empty store on Redis that is read into.

mod keyed;
mod wipe;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use redis::{Cmd, Pipeline, cmd};
use tasktonic_core::changes::{Place as At, Record, TaskControl};
use tasktonic_core::partition::Key;
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::settings::QueueSettings;
use tasktonic_core::{Links, Name, Priority, TaskId, TaskState, UserId};
use tasktonic_store::filter::error_of;
use tasktonic_store::transfer::{Target, TransferError};
use tasktonic_store::{Entry, Error, Result, Store as _, Table};

use super::ties;
use crate::keys;
use crate::open::{items_of, text_of};
use crate::router::Place;
use crate::script::PRIORITY_QUEUES_MAX;
use crate::store::{LISTED, RedisStore, indexed};
use crate::wire::{self, Tally};

/// Commands sent in one piece.
const TOGETHER_MAX: usize = 500;
/// Keys removed by one command, and members moved by one.
const CHUNK: usize = 500;
/// The version of what is counted of a user.
const FIRST: u64 = 1;

/// An import into a store that was opened for it ([`Options::importing`](crate::Options)).
#[derive(Debug)]
pub struct Import {
    store: RedisStore,
    /// The epoch of every partition.
    epoch: u32,
    /// The last user and queue whose lane was begun.
    ringed: Option<(UserId, Name)>,
    /// The last user, and how many tasks of theirs are scheduled, by queue.
    user: Option<UserId>,
    scheduled: BTreeMap<Name, u64>,
    /// What is counted of the tasks of theirs.
    tally: Tally,
    /// Ties whose task comes next.
    ties: Option<(UserId, TaskId, Links)>,
    /// What lists find the task by that was begun last.
    entry: String,
    /// Retentions met, by partition.
    keeps: BTreeSet<(PartitionId, u32)>,
    /// When the first schedule of a partition comes.
    ticks: BTreeMap<PartitionId, i64>,
    /// Whether anything is set of users of a queue, more by one for each of them whom it limits, and
    /// what is set of the queue.
    queues: BTreeMap<(PartitionId, Name), (u32, QueueSettings)>,
    queues_version: u64,
    /// Queues in which tasks have a priority.
    priorities: BTreeMap<PartitionId, BTreeSet<Name>>,
}

impl Import {
    /// One into `store`.
    #[must_use]
    pub fn into(store: RedisStore) -> Self {
        Self {
            store,
            epoch: 0,
            ringed: None,
            user: None,
            scheduled: BTreeMap::new(),
            tally: Tally::default(),
            ties: None,
            entry: String::new(),
            keeps: BTreeSet::new(),
            ticks: BTreeMap::new(),
            queues: BTreeMap::new(),
            queues_version: 0,
            priorities: BTreeMap::new(),
        }
    }

    async fn send(&self, place: Place, commands: &[Cmd]) -> Result<()> {
        for commands in commands.chunks(TOGETHER_MAX) {
            let mut together = Pipeline::new();
            for command in commands {
                together.add_command(command.clone());
            }
            // Sent twice it would push twice: a failure ends the import, and the next begins anew.
            self.store.shared.router.commands(place, &together, false).await?;
        }
        Ok(())
    }

    async fn ask(&self, place: Place, command: Cmd) -> Result<redis::Value> {
        let mut asked = Pipeline::new();
        asked.add_command(command);
        let replies = self.store.shared.router.commands(place, &asked, true).await?;
        replies.into_iter().next().ok_or_else(|| Error::Unavailable("Redis gave no answer".into()))
    }

    fn partitions(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.store.partitions()).map(PartitionId)
    }

    /// The commands that finish the user who is being read in.
    fn leave_user(&mut self, to: &mut BTreeMap<PartitionId, Vec<Cmd>>) -> Result<()> {
        let Some(user) = self.user.take() else { return Ok(()) };
        let p = partition_of(&user, self.store.partitions());
        let keys = self.store.keys(p)?;
        let commands = to.entry(p).or_default();
        let tally = std::mem::take(&mut self.tally);
        if tally != Tally::default() {
            let kept = format!("{FIRST},{tally}");
            commands.push(cmd("SET").arg(keys.tally(&user)).arg(kept).clone());
        }
        for (queue, count) in std::mem::take(&mut self.scheduled) {
            let field = format!("x:{queue}:{user}");
            commands
                .push(cmd("HSET").arg(keys.meta()).arg(field).arg(format!("0,{count}")).clone());
        }
        Ok(())
    }

    /// The commands that write what `meta` says of queues.
    fn settings(&mut self) -> Result<BTreeMap<PartitionId, Vec<Cmd>>> {
        let mut to: BTreeMap<PartitionId, Vec<Cmd>> = BTreeMap::new();
        let (mut names, mut closed) = (Vec::new(), 0);
        for ((p, queue), (users, settings)) in std::mem::take(&mut self.queues) {
            let said = if settings.is_default() { String::new() } else { settings.to_string() };
            let users = if users > 0 { users.to_string() } else { String::new() };
            let text = format!("{users},{said}");
            let meta = self.store.keys(p)?.meta();
            let field = cmd("HSET").arg(meta).arg(format!("q:{queue}")).arg(text).clone();
            to.entry(p).or_default().push(field);
            // They are the same in every partition.
            if p == PartitionId(0) && !settings.is_default() {
                let is_limited =
                    settings.running_total_max.is_some() || settings.rate_total.is_some();
                closed += u32::from(settings.paused || is_limited);
                names.push(queue.to_string());
            }
        }
        for (p, queues) in std::mem::take(&mut self.priorities) {
            let names: Vec<_> = queues.iter().map(Name::as_str).collect();
            let all = names.len() > PRIORITY_QUEUES_MAX;
            let said = if all { "*".to_owned() } else { names.join(" ") };
            let field = cmd("HSET").arg(self.store.keys(p)?.meta()).arg("pr").arg(said).clone();
            to.entry(p).or_default().push(field);
        }
        if self.queues_version > 0 {
            for p in self.partitions() {
                let mut facts = cmd("HSET");
                facts.arg(self.store.keys(p)?.meta()).arg("queues").arg(names.join(" "));
                facts.arg("queues_version").arg(self.queues_version).arg("closed").arg(closed);
                to.entry(p).or_default().push(facts);
            }
        }
        Ok(to)
    }

    fn meet(&mut self, user: &UserId, to: &mut BTreeMap<PartitionId, Vec<Cmd>>) -> Result<()> {
        if self.user.as_ref() == Some(user) {
            return Ok(());
        }
        self.leave_user(to)?;
        self.user = Some(user.clone());
        let p = partition_of(user, self.store.partitions());
        let keys = self.store.keys(p)?;
        let commands = to.entry(p).or_default();
        commands.push(cmd("SADD").arg(keys.users()).arg(user.as_str()).clone());
        // The log of events begins with one that says nothing: a user with tasks has a log.
        let id = format!("{}-*", self.epoch);
        commands.push(cmd("XADD").arg(keys.events(user)).arg(id).arg("e").arg("[]").clone());
        Ok(())
    }

    fn record(&mut self, record: Record, to: &mut BTreeMap<PartitionId, Vec<Cmd>>) -> Result<()> {
        let count = self.store.partitions();
        match record {
            Record::Descriptor { user, task, text } => {
                self.meet(&user, to)?;
                let p = partition_of(&user, count);
                let key = self.store.keys(p)?.descriptor(&user, task);
                self.entry = wire::entry(&text);
                to.entry(p).or_default().push(cmd("SET").arg(key).arg(text.as_bytes()).clone());
            }
            Record::Task { user, task, control, text } => {
                let p = partition_of(&user, count);
                if let Some(text) = &text {
                    let key = self.store.keys(p)?.state(&user, task);
                    to.entry(p).or_default().push(cmd("SET").arg(key).arg(text.as_bytes()).clone());
                }
                let commands = to.entry(p).or_default();
                self.listed(p, &user, task, (&control.place, text.as_deref()), commands)?;
                self.task(p, &user, task, &control, commands)?;
            }
            Record::Attempt { user, task, number, text } => {
                let p = partition_of(&user, count);
                let (key, row) =
                    (self.store.keys(p)?.attempts(&user, task), format!("{number}|{text}"));
                to.entry(p).or_default().push(cmd("RPUSH").arg(key).arg(row).clone());
            }
            Record::Log { user, task, first, lines } => {
                let p = partition_of(&user, count);
                let key = self.store.keys(p)?.log(&user, task);
                for (number, line) in (first..).zip(lines) {
                    let id = format!("0-{number}");
                    let add = cmd("XADD").arg(&key).arg(id).arg("l").arg(line.as_bytes()).clone();
                    to.entry(p).or_default().push(add);
                }
            }
            Record::User { queue, user, settings } => {
                let p = partition_of(&user, count);
                let keys = self.store.keys(p)?;
                let commands = to.entry(p).or_default();
                let (key, of) = (keys.overrides(&queue), settings.to_string());
                commands.push(cmd("HSET").arg(key).arg(user.as_str()).arg(of).clone());
                let users = &mut self.queues.entry((p, queue)).or_default().0;
                *users = (*users).max(1) + u32::from(settings.limits_starts());
            }
            Record::Links { user, task, links: Some(links) } => {
                let p = partition_of(&user, count);
                ties::list(self.store.keys(p)?, &user, task, &links, to.entry(p).or_default());
                self.ties = Some((user, task, links));
            }
            Record::Schedule { user, name, schedule: Some(schedule) } => {
                let p = partition_of(&user, count);
                let keys = self.store.keys(p)?;
                let commands = to.entry(p).or_default();
                commands.push(cmd("SADD").arg(keys.users()).arg(user.as_str()).clone());
                let (of, kept) = (keys.schedules_of(&user), schedule.to_string());
                commands.push(cmd("HSET").arg(of).arg(name.as_str()).arg(kept).clone());
                if let Some(next_ms) = schedule.next_ms {
                    let (key, member) = (keys.schedules(), format!("{user},{name}"));
                    commands.push(cmd("ZADD").arg(key).arg(next_ms).arg(member).clone());
                    let first = self.ticks.entry(p).or_insert(next_ms);
                    *first = next_ms.min(*first);
                }
            }
            Record::BytesMax { user, bytes_max: Some(max) } => {
                if self.user.as_ref() == Some(&user) {
                    self.leave_user(to)?;
                }
                let p = partition_of(&user, count);
                let keys = self.store.keys(p)?;
                let commands = to.entry(p).or_default();
                commands.push(cmd("SADD").arg(keys.users()).arg(user.as_str()).clone());
                let (key, nothing) = (keys.tally(&user), format!("{FIRST},{}", Tally::default()));
                commands.push(cmd("SETNX").arg(&key).arg(nothing).clone());
                commands.push(cmd("APPEND").arg(key).arg(format!(",{max}")).clone());
            }
            Record::Pause { user, pauses } => {
                let p = partition_of(&user, count);
                let keys = self.store.keys(p)?;
                let by = pauses.to_string();
                let commands = to.entry(p).or_default();
                commands.push(cmd("HSET").arg(keys.paused()).arg(user.as_str()).arg(by).clone());
                commands.push(cmd("HINCRBY").arg(keys.meta()).arg("paused").arg(1).clone());
            }
            Record::Queue { queue, settings } => {
                for p in (0..count).map(PartitionId) {
                    self.queues.entry((p, queue.clone())).or_default().1 = settings;
                }
            }
            Record::QueuesVersion(version) => self.queues_version = version,
            // An export holds whole tasks only; keys go by `Import::keys`.
            Record::Edited { .. }
            | Record::Key { .. }
            | Record::Schedule { schedule: None, .. }
            | Record::BytesMax { bytes_max: None, .. }
            | Record::Control { .. }
            | Record::Links { .. }
            | Record::LeaseTime(_)
            | Record::KeyGone { .. }
            | Record::UserGone { .. }
            | Record::TaskGone { .. } => {}
        }
        Ok(())
    }

    /// Where lists find the task.
    fn listed(
        &mut self,
        p: PartitionId,
        user: &UserId,
        task: TaskId,
        (place, text): (&At, Option<&str>),
        to: &mut Vec<Cmd>,
    ) -> Result<()> {
        let keys = self.store.keys(p)?;
        let entry = indexed(task, &std::mem::take(&mut self.entry));
        to.push(cmd("ZADD").arg(keys.index(user)).arg(0).arg(entry).clone());
        let state = place.state();
        if LISTED.contains(&state) {
            let error = text.filter(|_| state == TaskState::Dead).and_then(error_of);
            let entry = indexed(task, &error.unwrap_or_default());
            to.push(cmd("ZADD").arg(keys.listed(user, state)).arg(0).arg(entry).clone());
        }
        Ok(())
    }

    fn task(
        &mut self,
        p: PartitionId,
        user: &UserId,
        task: TaskId,
        control: &TaskControl,
        to: &mut Vec<Cmd>,
    ) -> Result<()> {
        let keys = self.store.keys(p)?;
        self.tally.add(control.place.state(), control.held_bytes());
        let TaskControl { queue, claim, attempt, expires, serial, priority, place, .. } = control;
        if *priority != Priority::Normal {
            self.priorities.entry(p).or_default().insert(queue.clone());
        }
        if let Some(expiry) = expires {
            let member = format!("{user},{task},{queue}");
            to.push(cmd("ZADD").arg(keys.unstarted()).arg(expiry.at_ms).arg(member).clone());
            to.push(cmd("HINCRBY").arg(keys.meta()).arg("ex").arg(1).clone());
        }
        if let Some((_, _, links)) = self.ties.take_if(|(of, id, _)| of == user && *id == task) {
            let over = matches!(place, At::Ended { .. });
            ties::keep(keys, (user, task, queue), &links, over, to);
        }
        let in_line = serial.as_deref().is_some_and(|serial| !serial.holds);
        if let Some(serial) = serial {
            to.push(cmd("HSET").arg(keys.meta()).arg("sk").arg("1").clone());
            let (line, member) = (keys.line(user, serial.key), format!("{task},{queue}"));
            match place {
                _ if serial.holds => to.push(cmd("ZADD").arg(line).arg("-inf").arg(member).clone()),
                At::Queued { position } => {
                    to.push(cmd("ZADD").arg(line).arg(*position).arg(member).clone());
                    *self.scheduled.entry(queue.clone()).or_default() += 1;
                }
                _ => {}
            }
        }
        match place {
            At::Waiting { .. } => {
                *self.scheduled.entry(queue.clone()).or_default() += 1;
            }
            At::Queued { .. } if in_line => {}
            At::Queued { .. } => {
                let entry = format!("{task}:{attempt}:{claim}");
                to.push(cmd("RPUSH").arg(keys.lane(user, queue, *priority)).arg(entry).clone());
                let lane = Some((user.clone(), queue.clone()));
                if self.ringed != lane {
                    to.push(cmd("RPUSH").arg(keys.ring(queue)).arg(user.as_str()).clone());
                    self.ringed = lane;
                }
            }
            At::Scheduled { due_ms } => {
                let member = format!("{user},{task},{queue},{attempt},{claim}");
                to.push(cmd("ZADD").arg(keys.due()).arg(*due_ms).arg(member).clone());
                *self.scheduled.entry(queue.clone()).or_default() += 1;
            }
            At::Ended { at_ms, keep_s, .. } => {
                // Redis sorts them by their end before they become a list.
                let member = format!("{user},{task},{claim},{at_ms}");
                let key = keys.import(*keep_s);
                to.push(cmd("ZADD").arg(key).arg(*at_ms).arg(member).clone());
                self.keeps.insert((p, *keep_s));
            }
            At::Running { .. } => {
                return Err(Error::Invalid("an export holds no running task".into()));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Target for Import {
    async fn begin(&mut self, epoch: u32) -> std::result::Result<(), TransferError> {
        let flag = |verb: &str| cmd(verb).arg(keys::config()).arg("importing").clone();
        let marked = text_of(&self.ask(Place::System, flag("HEXISTS")).await?) == "1";
        if marked {
            self.wipe().await?;
        } else if !self.is_empty().await? {
            return Err(TransferError::Target(
                "there are tasks or accounts in that store already; import into a Redis that has \
                 none of Task Tonic's keys (tt:*)"
                    .to_owned(),
            ));
        }
        let mark = cmd("HSET").arg(keys::config()).arg("importing").arg("1").clone();
        self.send(Place::System, &[mark]).await?;
        let mut newest = epoch;
        for p in self.partitions() {
            let meta = self.store.keys(p)?.meta();
            let known = self.ask(Place::Partition(p), cmd("HGET").arg(meta).arg("epoch").clone());
            newest = newest.max(text_of(&known.await?).parse().unwrap_or(0));
        }
        self.epoch = newest.saturating_add(1);
        for p in self.partitions() {
            let meta = self.store.keys(p)?.meta();
            let raise = cmd("HSET").arg(meta).arg("epoch").arg(self.epoch).clone();
            self.send(Place::Partition(p), &[raise]).await?;
        }
        let raise = cmd("HSET").arg(keys::config()).arg("epoch").arg(self.epoch).clone();
        self.send(Place::System, &[raise]).await?;
        Ok(())
    }

    async fn put(
        &mut self,
        registry: Vec<(Table, Entry)>,
        records: Vec<Record>,
    ) -> std::result::Result<(), TransferError> {
        let stored = |(table, entry): &(Table, Entry)| {
            let Entry { key, version, value } = entry;
            cmd("HSET").arg(keys::table(*table)).arg(key).arg(format!("{version}|{value}")).clone()
        };
        let entries: Vec<Cmd> = registry.iter().map(stored).collect();
        self.send(Place::System, &entries).await?;
        let now_ms = self.store.shared.options.clock.now_ms();
        let mut commands = BTreeMap::new();
        let mut found: BTreeMap<PartitionId, Vec<Key>> = BTreeMap::new();
        for record in records {
            if let Record::Key { user, key, task, body_hash, expires_ms } = record {
                let p = partition_of(&user, self.store.partitions());
                found.entry(p).or_default().push(Key { user, key, task, body_hash, expires_ms });
            } else {
                self.record(record, &mut commands)?;
            }
        }
        for (p, commands) in commands {
            self.send(Place::Partition(p), &commands).await?;
        }
        for (p, found) in found {
            self.keyed(p, &found, now_ms).await?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> std::result::Result<(), TransferError> {
        let mut last = BTreeMap::new();
        self.leave_user(&mut last)?;
        for (p, commands) in last.into_iter().chain(self.settings()?) {
            self.send(Place::Partition(p), &commands).await?;
        }
        let mut keeps: BTreeMap<PartitionId, Vec<String>> = BTreeMap::new();
        for (p, keep_s) in std::mem::take(&mut self.keeps) {
            keeps.entry(p).or_default().push(keep_s.to_string());
            let keys = self.store.keys(p)?;
            let (from, to) = (keys.import(keep_s), keys.sweep(keep_s));
            loop {
                let last = CHUNK - 1;
                let page = cmd("ZRANGE").arg(&from).arg(0).arg(last).clone();
                let reply = self.ask(Place::Partition(p), page).await?;
                let entries: Vec<String> = items_of(&reply).iter().map(text_of).collect();
                if entries.is_empty() {
                    break;
                }
                let moved = [
                    cmd("RPUSH").arg(&to).arg(&entries).clone(),
                    cmd("ZREMRANGEBYRANK").arg(&from).arg(0).arg(last).clone(),
                ];
                self.send(Place::Partition(p), &moved).await?;
            }
        }
        for (p, keeps) in keeps {
            let meta = self.store.keys(p)?.meta();
            let told = cmd("HSET").arg(meta).arg("keeps").arg(keeps.join(" ")).clone();
            self.send(Place::Partition(p), &[told]).await?;
        }
        for (p, first) in std::mem::take(&mut self.ticks) {
            let meta = self.store.keys(p)?.meta();
            let told = cmd("HSET").arg(meta).arg("sc").arg(first).clone();
            self.send(Place::Partition(p), &[told]).await?;
        }
        let unmark = cmd("HDEL").arg(keys::config()).arg("importing").clone();
        self.send(Place::System, &[unmark]).await?;
        Ok(())
    }
}
