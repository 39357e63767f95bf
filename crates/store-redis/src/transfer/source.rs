//! A store on Redis written out.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;
use redis::{Pipeline, Value, cmd};
use tasktonic_core::changes::{Place, Serial, TaskControl};
use tasktonic_core::partition::{InQueue, KeptSchedule, Key, Row};
use tasktonic_core::policy::Retention;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::settings::QueueSettings;
use tasktonic_core::{Lease, Name, Priority, TaskId, TaskState, UserId};
use tasktonic_protocol::stored::{QUEUE_IN_BYTES, queue_in};
use tasktonic_store::transfer::{ROWS_MAX, Settings, Source};
use tasktonic_store::{Result, Store as _};

use crate::open::{items_of, text_of};
use crate::store::{RedisStore, above, split};
use crate::wire::{KeptKey, StateHead, Tally};

/// Members or keys read by one command.
const CHUNK: usize = 500;
/// Bytes of a state that are looked at: its fixed beginning is shorter.
const STATE_BYTES: usize = 255;

/// Places by entry, of each list of each lane.
type Lanes = BTreeMap<(Name, Priority), HashMap<String, i64>>;

/// Places by member, of the line of each serial key.
type Lines = BTreeMap<u128, HashMap<String, f64>>;

/// What is known of a partition as a whole while it is written out.
#[derive(Debug, Default)]
pub(crate) struct Known {
    p: Option<PartitionId>,
    /// How long ended tasks are kept, s.
    keeps: HashMap<(UserId, TaskId), u32>,
    /// Claim numbers of running tasks: adoption does not write them into the state.
    claims: HashMap<(UserId, TaskId), Lease>,
    cancels: HashSet<String>,
    /// Lines of the user that is being written: places by member.
    lines: Option<(UserId, Lines)>,
    /// Lanes of the user that is being written: places by entry.
    lanes: Option<(UserId, Lanes)>,
}

impl RedisStore {
    async fn ask_all(&self, p: PartitionId, asked: &Pipeline) -> Result<Vec<Value>> {
        if asked.is_empty() { Ok(Vec::new()) } else { self.shared.router.read(p, asked).await }
    }

    async fn ask_one(&self, p: PartitionId, command: &redis::Cmd) -> Result<Value> {
        let mut asked = Pipeline::new();
        asked.add_command(command.clone());
        Ok(self.ask_all(p, &asked).await?.pop().unwrap_or_default())
    }

    async fn whole_list(&self, p: PartitionId, key: &str) -> Result<Vec<String>> {
        let mut all = Vec::new();
        loop {
            let (first, last) = (all.len(), all.len() + CHUNK - 1);
            let reply = self.ask_one(p, cmd("LRANGE").arg(key).arg(first).arg(last)).await?;
            let items = items_of(&reply);
            all.extend(items.iter().map(text_of));
            if items.len() < CHUNK {
                return Ok(all);
            }
        }
    }

    /// Members of a set or hash, by a scan; of a hash with their values.
    async fn whole_scan(&self, p: PartitionId, verb: &str, key: &str) -> Result<Vec<String>> {
        let (mut cursor, mut all) = ("0".to_owned(), Vec::new());
        loop {
            let reply =
                self.ask_one(p, cmd(verb).arg(key).arg(&cursor).arg("COUNT").arg(CHUNK)).await?;
            let parts = items_of(&reply);
            all.extend(parts.get(1).map(items_of).unwrap_or_default().iter().map(text_of));
            cursor = parts.first().map(text_of).unwrap_or_default();
            if cursor == "0" || cursor.is_empty() {
                return Ok(all);
            }
        }
    }

    async fn learn(&self, p: PartitionId) -> Result<Known> {
        let keys = self.keys(p)?;
        let mut known = Known { p: Some(p), ..Known::default() };
        let keeps = self.ask_one(p, cmd("HGET").arg(keys.meta()).arg("keeps")).await?;
        for keep_s in text_of(&keeps).split(' ').filter_map(|text| text.parse().ok()) {
            for entry in self.whole_list(p, &keys.sweep(keep_s)).await? {
                let mut parts = entry.split(',');
                if let (Some(Ok(user)), Some(Ok(task))) =
                    (parts.next().map(str::parse), parts.next().map(str::parse))
                {
                    known.keeps.insert((user, task), keep_s);
                }
            }
        }
        for token in self.whole_scan(p, "ZSCAN", &keys.leases()).await? {
            if let Ok(lease) = token.parse::<Lease>() {
                known.claims.insert((lease.user.clone(), lease.task), lease);
            }
        }
        known.cancels.extend(self.whole_scan(p, "SSCAN", &keys.cancels()).await?);
        Ok(known)
    }

    /// The rows of some tasks of a user; those that are gone are left out.
    async fn rows_of(
        &self,
        p: PartitionId,
        user: &UserId,
        tasks: &[TaskId],
        known: &mut Known,
    ) -> Result<Vec<Row>> {
        let keys = self.keys(p)?;
        let mut asked = Pipeline::new();
        for task in tasks {
            let state = keys.state(user, *task);
            asked.add_command(cmd("GETRANGE").arg(state).arg(0).arg(STATE_BYTES).clone());
            let descriptor = keys.descriptor(user, *task);
            asked.add_command(cmd("GETRANGE").arg(descriptor).arg(0).arg(QUEUE_IN_BYTES).clone());
            asked.add_command(cmd("LINDEX").arg(keys.attempts(user, *task)).arg(-1).clone());
            let log = keys.log(user, *task);
            asked.add_command(
                cmd("XREVRANGE").arg(log).arg("+").arg("-").arg("COUNT").arg(1).clone(),
            );
        }
        let replies = self.ask_all(p, &asked).await?;
        let mut rows = Vec::with_capacity(tasks.len());
        for (task, replies) in tasks.iter().zip(replies.chunks_exact(4)) {
            let (state, descriptor) = (text_of(&replies[0]), text_of(&replies[1]));
            let head = StateHead::of(Some(state.as_str()).filter(|state| !state.is_empty()));
            let Some(queue) = queue_in(&descriptor) else { continue };
            let Some(head) = head else { continue };
            let last = text_of(&replies[2]);
            let attempts_kept =
                last.split_once('|').and_then(|(number, _)| number.parse().ok()).unwrap_or(0);
            let newest = items_of(&replies[3]).first().map(items_of).unwrap_or_default();
            let newest = newest.first().map(text_of).unwrap_or_default();
            let log_lines =
                newest.split_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or(0);
            let place = Place::Scheduled { due_ms: head.due_ms.unwrap_or(head.at_ms) };
            let mut control = TaskControl {
                claim: head.claim,
                n: head.n,
                attempt: head.attempt,
                attempts_kept,
                log_lines,
                expires: head.expires.map(Box::new),
                priority: head.priority,
                ..TaskControl::new(queue, place)
            };
            let id = (user.clone(), *task);
            let mut waits_at = None;
            if let Some(key) = head.serial {
                let turn = self.turn(p, user, key, *task, &control.queue, known).await?;
                waits_at = turn.filter(|at| *at > f64::NEG_INFINITY);
                control.serial =
                    Some(Box::new(Serial { key, holds: turn == Some(f64::NEG_INFINITY) }));
            }
            match head.state {
                TaskState::Waiting => {
                    control.place = Place::Waiting { pending: head.pending.unwrap_or(0) };
                }
                TaskState::Queued => {
                    let position = match waits_at {
                        Some(at) => at as i64,
                        None => self.position(p, user, *task, &control, known).await?,
                    };
                    control.place = Place::Queued { position };
                }
                TaskState::Scheduled => {}
                TaskState::Running => {
                    if let Some(lease) = known.claims.get(&id)
                        && lease.claim > control.claim
                    {
                        (control.claim, control.n) = (lease.claim, 0);
                    }
                    let cancel_asked = known.cancels.contains(&format!("{user},{task}"));
                    let (worker, call) = head
                        .holder
                        .unwrap_or_else(|| ("gone".parse().expect("a valid worker id"), 0));
                    control.place = Place::Running { worker, call, deadline_lt: 0, cancel_asked };
                }
                state => {
                    let keep_s = match known.keeps.get(&id) {
                        Some(keep_s) => *keep_s,
                        None => self.retention(p, user, *task, state).await?,
                    };
                    control.place = Place::Ended { state, at_ms: head.at_ms, keep_s, bytes: 0 };
                }
            }
            rows.push(Row { user: user.clone(), task: *task, control });
        }
        Ok(rows)
    }

    /// How long an ended task is to be kept that no list names, s.
    async fn retention(
        &self,
        p: PartitionId,
        user: &UserId,
        task: TaskId,
        state: TaskState,
    ) -> Result<u32> {
        let text = self.ask_one(p, cmd("GET").arg(self.keys(p)?.descriptor(user, task))).await?;
        let parsed = tasktonic_protocol::stored::Descriptor::parse(&text_of(&text));
        let kept = parsed.map_or(Retention::DEFAULT, |descriptor| descriptor.retention());
        Ok(match state {
            TaskState::Completed => kept.completed_s,
            TaskState::Cancelled => kept.cancelled_s,
            _ => kept.dead_s,
        })
    }

    /// A task's place in the line of its serial key: below all others where it is its turn.
    async fn turn(
        &self,
        p: PartitionId,
        user: &UserId,
        key: u128,
        task: TaskId,
        queue: &Name,
        known: &mut Known,
    ) -> Result<Option<f64>> {
        if known.lines.as_ref().is_none_or(|(of, _)| of != user) {
            known.lines = Some((user.clone(), BTreeMap::new()));
        }
        let (_, lines) = known.lines.as_mut().expect("set above");
        if let Entry::Vacant(slot) = lines.entry(key) {
            let name = self.keys(p)?.line(user, key);
            let found = self.whole_scan(p, "ZSCAN", &name).await?;
            let place = |pair: &[String]| Some((pair[0].clone(), pair[1].parse().ok()?));
            slot.insert(found.chunks_exact(2).filter_map(place).collect());
        }
        Ok(lines[&key].get(&format!("{task},{queue}")).copied())
    }

    /// The place of a queued task in its lane.
    async fn position(
        &self,
        p: PartitionId,
        user: &UserId,
        task: TaskId,
        control: &TaskControl,
        known: &mut Known,
    ) -> Result<i64> {
        if known.lanes.as_ref().is_none_or(|(of, _)| of != user) {
            known.lanes = Some((user.clone(), BTreeMap::new()));
        }
        let (_, lanes) = known.lanes.as_mut().expect("set above");
        let list = (control.queue.clone(), control.priority);
        if !lanes.contains_key(&list) {
            let entries = self.whole_list(p, &self.keys(p)?.lane(user, &list.0, list.1)).await?;
            lanes.insert(list.clone(), entries.into_iter().zip(0..).collect());
        }
        let entry = format!("{task}:{}:{}", control.attempt, control.claim);
        // One that has lost its place goes to the end.
        Ok(lanes[&list].get(&entry).copied().unwrap_or(i64::MAX))
    }
}

#[async_trait]
impl Source for RedisStore {
    async fn epoch(&self) -> Result<u32> {
        let mut newest = 0;
        for p in (0..self.partitions()).map(PartitionId) {
            let epoch = self.ask_one(p, cmd("HGET").arg(self.keys(p)?.meta()).arg("epoch")).await?;
            newest = newest.max(text_of(&epoch).parse().unwrap_or(0));
        }
        Ok(newest)
    }

    async fn users(&self, p: PartitionId) -> Result<Vec<UserId>> {
        let users = self.whole_scan(p, "SSCAN", &self.keys(p)?.users()).await?;
        let mut users: Vec<UserId> = users.iter().filter_map(|user| user.parse().ok()).collect();
        users.sort();
        users.dedup();
        Ok(users)
    }

    async fn rows(&self, p: PartitionId, user: &UserId, after: Option<TaskId>) -> Result<Vec<Row>> {
        let mut known = self.shared.known.lock().await;
        if known.p != Some(p) {
            *known = self.learn(p).await?;
        }
        let mut after = after.map_or_else(|| b"-".to_vec(), |task| above(&task.to_string()));
        let mut rows = Vec::new();
        // A page is full, or the last; tasks that are gone do not shorten it.
        while rows.len() < ROWS_MAX {
            let mut page = cmd("ZRANGE");
            page.arg(self.keys(p)?.index(user)).arg(&after).arg("+").arg("BYLEX");
            page.arg("LIMIT").arg(0).arg(ROWS_MAX - rows.len());
            let reply = self.ask_one(p, &page).await?;
            let ids: Vec<String> = items_of(&reply).iter().map(text_of).collect();
            let Some(last) = ids.last() else { break };
            after = above(split(last).0);
            let tasks: Vec<TaskId> = ids.iter().filter_map(|id| split(id).0.parse().ok()).collect();
            rows.extend(self.rows_of(p, user, &tasks, &mut known).await?);
        }
        Ok(rows)
    }

    async fn keys(&self, p: PartitionId) -> Result<Vec<Key>> {
        let base = RedisStore::keys(self, p)?.base().to_owned();
        let pattern = format!("{}u:*:k:*", super::glob(&base));
        let (mut cursor, mut found) = ("0".to_owned(), BTreeMap::new());
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(CHUNK);
            let reply = self.ask_one(p, &scan).await?;
            let parts = items_of(&reply);
            let names: Vec<String> =
                parts.get(1).map(items_of).unwrap_or_default().iter().map(text_of).collect();
            let mut asked = Pipeline::new();
            for name in &names {
                asked.add_command(cmd("GET").arg(name).clone());
            }
            for (name, value) in names.iter().zip(self.ask_all(p, &asked).await?) {
                // `u:<user>:k:<key>`; a key may hold anything.
                let rest = name.strip_prefix(&base).and_then(|rest| rest.strip_prefix("u:"));
                let Some((user, rest)) = rest.and_then(|rest| rest.split_once(':')) else {
                    continue;
                };
                let (Ok(user), Some(key)) = (user.parse::<UserId>(), rest.strip_prefix("k:"))
                else {
                    continue;
                };
                let value = text_of(&value);
                let Some(KeptKey { task, body_hash, expires_ms, .. }) = KeptKey::of(&value) else {
                    continue;
                };
                let key: tasktonic_core::Text = key.into();
                found.insert(
                    (user.clone(), key.clone()),
                    Key { user, key, task, body_hash, expires_ms },
                );
            }
            cursor = parts.first().map(text_of).unwrap_or_default();
            if cursor == "0" || cursor.is_empty() {
                return Ok(found.into_values().collect());
            }
        }
    }

    async fn settings(&self, p: PartitionId) -> Result<Settings> {
        let keys = RedisStore::keys(self, p)?;
        let mut all = Settings::default();
        for pair in self.whole_scan(p, "HSCAN", &keys.meta()).await?.chunks_exact(2) {
            if pair[0] == "queues_version" {
                all.queues_version = pair[1].parse().unwrap_or(0);
            }
            let Some(Ok(queue)) = pair[0].strip_prefix("q:").map(str::parse::<Name>) else {
                continue;
            };
            let (users, settings) = pair[1].split_once(',').unwrap_or((&pair[1], ""));
            if let Ok(settings) = settings.parse::<QueueSettings>()
                && !settings.is_default()
            {
                all.queues.push((queue.clone(), settings));
            }
            if users.is_empty() {
                continue;
            }
            let overrides = keys.overrides(&queue);
            for pair in self.whole_scan(p, "HSCAN", &overrides).await?.chunks_exact(2) {
                if let (Ok(user), Ok(settings)) = (pair[0].parse(), pair[1].parse()) {
                    all.in_queues.push(InQueue { queue: queue.clone(), user, settings });
                }
            }
        }
        for pair in self.whole_scan(p, "HSCAN", &keys.paused()).await?.chunks_exact(2) {
            if let (Ok(user), Ok(by)) = (pair[0].parse(), pair[1].parse()) {
                all.paused.push((user, by));
            }
        }
        for users in self.users(p).await?.chunks(CHUNK) {
            let mut asked = Pipeline::new();
            for user in users {
                asked.get(keys.tally(user));
            }
            for (user, kept) in users.iter().zip(self.ask_all(p, &asked).await?) {
                let max = Tally::of(&text_of(&kept)).and_then(|tally| tally.bytes_max);
                all.bytes_max.extend(max.map(|max| (user.clone(), max)));
            }
        }
        // A scan may name somebody twice.
        all.queues.sort_by(|a, b| a.0.cmp(&b.0));
        all.queues.dedup();
        all.in_queues.sort_by(|a, b| (&a.queue, &a.user).cmp(&(&b.queue, &b.user)));
        all.in_queues.dedup();
        all.paused.sort_by(|a, b| a.0.cmp(&b.0));
        all.paused.dedup();
        Ok(all)
    }

    async fn schedules(&self, p: PartitionId) -> Result<Vec<KeptSchedule>> {
        let mut schedules = Vec::new();
        // Those that rest are listed nowhere but under their users.
        for user in self.users(p).await? {
            schedules.extend(self.schedules_of(p, &user, None).await?);
        }
        Ok(schedules)
    }
}
