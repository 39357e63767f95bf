//! One pass over a partition: first what belongs to all its users, then user by user.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use redis::{Pipeline, Value, cmd};
use tasktonic_core::policy::Retention;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Lease, Name, Priority, TaskId, TaskState, UserId};
use tasktonic_protocol::stored::Descriptor;
use tasktonic_store::Result;

use super::Reconciler;
use super::lanes::Entries;
use super::lines::{self, Serials};
use super::links::{named, unindexed};
use super::listed;
use super::read::{CHUNK, Glance, Reader, member};
use super::suspect::Suspect;
use crate::open::{items_of, text_of};
use crate::store::split;
use crate::wire::{Priorities, Tally};

/// An ended task that is still there so long after its time is suspect, in ms.
const SWEEP_SLACK_MS: i64 = 60_000;

/// What a pass knows of the partition as a whole.
#[derive(Debug, Default)]
pub(super) struct Whole {
    /// Tasks under a lease.
    pub(super) leased: HashSet<(UserId, TaskId)>,
    /// Tasks that come due, with the claim number they are listed under.
    pub(super) due: HashSet<(UserId, TaskId, u32)>,
    /// Tasks that expire, with the time they are listed under.
    pub(super) unstarted: HashSet<(UserId, TaskId, i64)>,
    /// Tasks that are listed as such with ties.
    pub(super) nodes: HashSet<(UserId, TaskId)>,
    /// Whether there may be schedules at all.
    pub(super) has_schedules: bool,
    /// Times that schedules are listed under.
    pub(super) ticks: HashMap<UserId, BTreeMap<Name, i64>>,
    /// Queues that are known from anywhere.
    pub(super) queues: BTreeSet<Name>,
    /// In which of them lanes may be of more than one list.
    pub(super) priorities: Priorities,
    /// How many leases each user has in each queue.
    pub(super) running: HashMap<(Name, UserId), u64>,
    /// How often each ring names each user.
    turns: HashMap<(Name, UserId), u32>,
    /// Users that are known from anywhere.
    pub(super) users: BTreeSet<UserId>,
    /// Retentions in seconds for which there is a list of ended tasks.
    kept: BTreeSet<u32>,
}

impl Reconciler {
    /// Compares partition `p` with itself; how much was repaired.
    pub(super) async fn pass(&self, p: PartitionId, paced: bool) -> Result<u64> {
        let Some(keys) = self.keys.get(usize::from(p.0)) else { return Ok(0) };
        let reader = Reader { router: &self.router, p, keys, paced };
        let mut whole = Whole::default();
        let mut repaired = 0;
        let search = reader.one(cmd("HEXISTS").arg(keys.meta()).arg("search")).await?;
        if search == Value::Int(1) {
            repaired += self.find_lists(&reader).await?;
        }
        repaired += self.leases(&reader, &mut whole).await?;
        repaired += self.due(&reader, &mut whole).await?;
        repaired += self.unstarted(&reader, &mut whole).await?;
        repaired += self.links(&reader, &mut whole).await?;
        repaired += self.schedules(&reader, &mut whole).await?;
        repaired += self.marks(&reader).await?;
        repaired += self.sweeps(&reader, &mut whole).await?;
        let reply = reader.one(cmd("SMEMBERS").arg(keys.parked())).await?;
        whole.queues.extend(items_of(&reply).iter().filter_map(|name| text_of(name).parse().ok()));
        let priorities = reader.one(cmd("HGET").arg(keys.meta()).arg("pr")).await?;
        whole.priorities = Priorities::of(&text_of(&priorities));
        self.rings(&reader, &mut whole).await?;
        repaired += self.users(&reader, &mut whole).await?;
        repaired += self.all_of_users(&reader, &mut whole).await?;
        repaired += self.settings(&reader, &whole).await?;
        Ok(repaired)
    }

    /// Every lease has a running task.
    async fn leases(&self, reader: &Reader<'_>, whole: &mut Whole) -> Result<u64> {
        let (mut cursor, mut repaired) = ("0".to_owned(), 0);
        loop {
            let (next, members) = reader.scan("ZSCAN", &reader.keys.leases(), &cursor).await?;
            let mut suspects = Vec::new();
            let mut leases: Vec<Lease> = Vec::new();
            for token in members.iter().step_by(2) {
                match token.parse() {
                    Ok(lease) => leases.push(lease),
                    Err(_) => suspects.push(Suspect::Lease(token.clone())),
                }
            }
            let tasks: Vec<_> = leases.iter().map(|of| (of.user.clone(), of.task)).collect();
            for (lease, glance) in leases.iter().zip(reader.glance(&tasks).await?) {
                whole.users.insert(lease.user.clone());
                whole.queues.insert(lease.queue.clone());
                let place = (lease.queue.clone(), lease.user.clone());
                *whole.running.entry(place).or_default() += 1;
                let runs = glance.exists
                    && glance.head.as_ref().is_some_and(|head| {
                        head.state == TaskState::Running && head.claim <= lease.claim
                    });
                if !runs {
                    suspects.push(Suspect::Lease(lease.to_string()));
                }
            }
            suspects.extend(unindexed(reader, &tasks).await?);
            whole.leased.extend(tasks);
            repaired += self.settle(reader, &suspects).await?;
            cursor = next;
            if cursor == "0" {
                return Ok(repaired);
            }
        }
    }

    /// Every mark of cancellation is on a running task, and their number is right; so are those of what
    /// expires and of paused users.
    async fn marks(&self, reader: &Reader<'_>) -> Result<u64> {
        let (mut cursor, mut repaired) = ("0".to_owned(), 0);
        loop {
            let (next, members) = reader.scan("SSCAN", &reader.keys.cancels(), &cursor).await?;
            let marked: Vec<_> = members
                .iter()
                .filter_map(|text| member(text).map(|(user, task, _)| (user, task)))
                .collect();
            let mut suspects = Vec::new();
            for ((user, task), glance) in marked.iter().zip(reader.glance(&marked).await?) {
                if !matches!(&glance.head, Some(head) if head.state == TaskState::Running) {
                    suspects.push(Suspect::Mark(user.clone(), *task));
                }
            }
            repaired += self.settle(reader, &suspects).await?;
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        let mut asked = Pipeline::new();
        let keys = reader.keys;
        for (field, verb, key) in [
            ("cx", "SCARD", keys.cancels()),
            ("ex", "ZCARD", keys.unstarted()),
            ("fl", "SCARD", keys.nodes()),
            ("ld", "LLEN", keys.leads()),
            ("paused", "HLEN", keys.paused()),
            ("th", "ZCARD", keys.throttled()),
        ] {
            asked.add_command(cmd("HGET").arg(keys.meta()).arg(field).clone());
            asked.add_command(cmd(verb).arg(key).clone());
        }
        let replies = reader.ask(&asked).await?;
        let numbers: Vec<u64> =
            replies.iter().map(|reply| text_of(reply).parse().unwrap_or(0)).collect();
        if numbers.chunks_exact(2).any(|pair| pair[0] != pair[1]) {
            repaired += self.settle(reader, &[Suspect::Marks]).await?;
        }
        Ok(repaired)
    }

    /// Every ended task that waits for its removal is in its user's index.
    async fn sweeps(&self, reader: &Reader<'_>, whole: &mut Whole) -> Result<u64> {
        let keeps = reader.one(cmd("HGET").arg(reader.keys.meta()).arg("keeps")).await?;
        let mut repaired = 0;
        for keep_s in text_of(&keeps).split(' ').filter_map(|text| text.parse().ok()) {
            let (key, mut at) = (reader.keys.sweep(keep_s), 0_usize);
            loop {
                let last = at + CHUNK - 1;
                let reply = reader.one(cmd("LRANGE").arg(&key).arg(at).arg(last)).await?;
                let entries: Vec<(UserId, TaskId)> = items_of(&reply)
                    .iter()
                    .filter_map(|entry| member(&text_of(entry)).map(|(user, task, _)| (user, task)))
                    .collect();
                let suspects = unindexed(reader, &entries).await?;
                whole.users.extend(entries.iter().map(|(user, _)| user.clone()));
                if !entries.is_empty() {
                    whole.kept.insert(keep_s);
                }
                repaired += self.settle(reader, &suspects).await?;
                at += CHUNK;
                if items_of(&reply).len() < CHUNK {
                    break;
                }
            }
        }
        Ok(repaired)
    }

    /// Who is in which ring.
    async fn rings(&self, reader: &Reader<'_>, whole: &mut Whole) -> Result<()> {
        for queue in whole.queues.clone() {
            let (key, mut at) = (reader.keys.ring(&queue), 0_usize);
            loop {
                let last = at + CHUNK - 1;
                let reply = reader.one(cmd("LRANGE").arg(&key).arg(at).arg(last)).await?;
                for user in items_of(&reply).iter().filter_map(|user| text_of(user).parse().ok()) {
                    let user: UserId = user;
                    whole.users.insert(user.clone());
                    *whole.turns.entry((queue.clone(), user)).or_default() += 1;
                }
                at += CHUNK;
                if items_of(&reply).len() < CHUNK {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Every user that is known from anywhere is in the list of users; those in it become known.
    async fn users(&self, reader: &Reader<'_>, whole: &mut Whole) -> Result<u64> {
        let (mut cursor, mut listed) = ("0".to_owned(), BTreeSet::new());
        loop {
            let (next, members) = reader.scan("SSCAN", &reader.keys.users(), &cursor).await?;
            listed.extend(members.iter().filter_map(|user| user.parse::<UserId>().ok()));
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        let missing: Vec<Suspect> =
            whole.users.difference(&listed).cloned().map(Suspect::User).collect();
        whole.users.extend(listed);
        self.settle(reader, &missing).await
    }

    /// Everything of every user.
    async fn all_of_users(&self, reader: &Reader<'_>, whole: &mut Whole) -> Result<u64> {
        let mut repaired = 0;
        for user in whole.users.clone() {
            repaired += self.user(reader, whole, &user).await?;
        }
        Ok(repaired)
    }

    /// A user's tasks are where they say, the lanes hold tasks, the log is there.
    async fn user(&self, reader: &Reader<'_>, whole: &mut Whole, user: &UserId) -> Result<u64> {
        let mut suspects = Vec::new();
        if whole.has_schedules {
            suspects.extend(self.unlisted(reader, whole, user).await?);
        }
        let mut asked = Pipeline::new();
        asked.add_command(cmd("XLEN").arg(reader.keys.events(user)).clone());
        asked.add_command(cmd("EXISTS").arg(reader.keys.index(user)).clone());
        match reader.ask(&asked).await?[..] {
            [Value::Int(0), Value::Int(1)] => suspects.push(Suspect::Events(user.clone())),
            [Value::Int(2..), Value::Int(0)] => suspects.push(Suspect::Idle(user.clone())),
            _ => {}
        }

        let tally = self.kept_tally(reader, user).await?;
        let mut counted = Tally::default();
        let before = self.numbers(reader, user, &whole.queues, &whole.priorities).await?;

        // Entries of lanes that a task should have, and what is scheduled, by queue.
        let mut entries = Entries::new();
        let mut scheduled: HashMap<Name, u64> = HashMap::new();
        let mut serials = Serials::new();
        let mut after = "-".to_owned();
        loop {
            let page = cmd("ZRANGE")
                .arg(reader.keys.index(user))
                .arg(&after)
                .arg("+")
                .arg("BYLEX")
                .arg("LIMIT")
                .arg(0)
                .arg(CHUNK)
                .clone();
            let reply = reader.one(&page).await?;
            let entries_of: Vec<String> = items_of(&reply).iter().map(text_of).collect();
            let ids = entries_of.iter().map(|entry| split(entry));
            let task = |id: &str| Some((user.clone(), id.parse().ok()?));
            let tasks: Vec<(UserId, TaskId)> = ids.clone().filter_map(|(id, _)| task(id)).collect();
            let nameless: Vec<_> =
                ids.filter(|(_, words)| words.is_none()).filter_map(|(id, _)| task(id)).collect();
            let is_last = entries_of.len() < CHUNK;
            let until = entries_of.last().filter(|_| !is_last);
            let glances = reader.glance(&tasks).await?;
            let known = tasks.iter().map(|(_, task)| *task).zip(&glances);
            suspects.extend(listed::unlisted(reader, user, known, (&after, until)).await?);
            let there = nameless.into_iter().filter(|of| {
                tasks.iter().zip(&glances).any(|(known, glance)| known == of && glance.exists)
            });
            suspects.extend(named(reader, &there.collect::<Vec<_>>()).await?);
            for ((_, task), glance) in tasks.iter().zip(glances) {
                if let Some(queue) = &glance.queue {
                    whole.queues.insert(queue.clone());
                }
                if glance.exists {
                    counted.count(glance.head.as_ref(), glance.bytes.0, glance.bytes.1);
                }
                let Some(queue) = glance.queue.clone().filter(|_| glance.exists) else {
                    if !glance.exists {
                        suspects.push(Suspect::Index(user.clone(), *task, String::new()));
                    }
                    continue;
                };
                let Some(head) = &glance.head else { continue };
                if let Some(expiry) = head.expires
                    && !whole.unstarted.contains(&(user.clone(), *task, expiry.at_ms))
                {
                    suspects.push(Suspect::Expires(user.clone(), *task, queue.clone()));
                }
                let waits = !head.state.is_terminal();
                if waits && head.priority != Priority::Normal && whole.priorities.learn(&queue) {
                    suspects.push(Suspect::Priorities(queue.clone()));
                }
                lines::note(&mut serials, *task, &queue, head);
                match head.state {
                    // Where it stands its line says.
                    TaskState::Queued if head.serial.is_some() => {}
                    TaskState::Queued => {
                        let entry = format!("{task}:{}:{}", head.attempt, head.claim);
                        entries.insert((queue, head.priority, entry), *task);
                    }
                    TaskState::Scheduled => {
                        *scheduled.entry(queue.clone()).or_default() += 1;
                        if !whole.due.contains(&(user.clone(), *task, head.claim)) {
                            suspects.push(Suspect::Scheduled(user.clone(), *task, queue));
                        }
                    }
                    TaskState::Waiting => {
                        *scheduled.entry(queue.clone()).or_default() += 1;
                        if !whole.nodes.contains(&(user.clone(), *task)) {
                            suspects.push(Suspect::Waiting(user.clone(), *task, queue));
                        }
                    }
                    TaskState::Running => {
                        if !whole.leased.contains(&(user.clone(), *task)) {
                            let keep_s = Retention::DEFAULT.cancelled_s;
                            suspects.push(Suspect::Running(user.clone(), *task, queue, keep_s));
                        }
                    }
                    _ => suspects.extend(self.unswept(reader, whole, user, *task, &glance).await?),
                }
            }
            match until {
                Some(last) => after = format!("({last}"),
                None => break,
            }
        }
        if !serials.is_empty() {
            let of = (&mut entries, &mut scheduled);
            suspects.extend(self.lines(reader, user, serials, of.0, of.1).await?);
        }
        for queue in whole.queues.clone() {
            let scheduled = scheduled.get(&queue).copied().unwrap_or(0);
            let lists = whole.priorities.lists(&queue);
            let (found, should) = self.lane(reader, user, (&queue, lists), &mut entries).await?;
            suspects.extend(found);
            let only = BTreeSet::from([queue.clone()]);
            let after = self.numbers(reader, user, &only, &whole.priorities).await?;
            // Whatever changes what is counted changes one of these: else nothing did meanwhile.
            if let (Some(before), Some(after)) = (before.get(&queue), after.get(&queue))
                && before == after
            {
                let (are, length) = after.clone();
                let odd = (are, length, format!("{should},{scheduled}"));
                suspects.extend(self.odd_twice(reader.p, user, &queue, odd));
            }
            let turns = whole.turns.get(&(queue.clone(), user.clone())).copied();
            let credit = reader.keys.credit(&queue);
            let mut asked = Pipeline::new();
            asked.add_command(cmd("EXISTS").arg(&reader.keys.lists(user, &queue)).clone());
            asked.add_command(cmd("HEXISTS").arg(credit).arg(user.as_str()).clone());
            let full = reader.keys.full(&queue);
            asked.add_command(cmd("ZSCORE").arg(full).arg(user.as_str()).clone());
            let aside = reader.keys.aside(user);
            asked.add_command(cmd("SISMEMBER").arg(aside).arg(queue.as_str()).clone());
            let replies = reader.ask(&asked).await?;
            let said =
                |at: usize| !matches!(replies.get(at), None | Some(Value::Nil | Value::Int(0)));
            let (filled, credit, set_aside) = (said(0), said(1), said(2) || said(3));
            if credit && !filled {
                suspects.push(Suspect::Credit(queue.clone(), user.clone()));
            }
            // Whether there is a reason to be set aside, the script sees.
            let served = filled && turns == Some(1) && !set_aside;
            let nowhere = !filled && turns.is_none() && !set_aside && !credit;
            if !served && !nowhere {
                suspects.push(Suspect::Lane(user.clone(), queue));
            }
        }
        for ((queue, ..), task) in entries {
            suspects.push(Suspect::Queued(user.clone(), task, queue));
        }
        let repaired = self.settle(reader, &suspects).await?;
        if repaired > 0 {
            return Ok(repaired + self.recounted(reader, user).await?);
        }
        let odd = self.odd_tally(reader, user, tally, counted).await?;
        self.settle(reader, odd.as_slice()).await
    }

    /// Whether an ended task should be gone by now, or the list that it should be in is.
    async fn unswept(
        &self,
        reader: &Reader<'_>,
        whole: &Whole,
        user: &UserId,
        task: TaskId,
        glance: &Glance,
    ) -> Result<Option<Suspect>> {
        let Some(head) = &glance.head else { return Ok(None) };
        let keep_of = |kept: Retention| match head.state {
            TaskState::Completed => kept.completed_s,
            TaskState::Cancelled => kept.cancelled_s,
            _ => kept.dead_s,
        };
        let age_ms = self.options.clock.now_ms().saturating_sub(head.at_ms) - SWEEP_SLACK_MS;
        let is_over = |keep_s: u32| age_ms > i64::from(keep_s) * 1_000;
        // A descriptor is read whole only where the usual retention does not say that all is well.
        let usual = keep_of(Retention::DEFAULT);
        if whole.kept.contains(&usual) && !is_over(usual) {
            return Ok(None);
        }
        let text = reader.one(cmd("GET").arg(reader.keys.descriptor(user, task))).await?;
        let Ok(descriptor) = Descriptor::parse(&text_of(&text)) else { return Ok(None) };
        let keep_s = keep_of(descriptor.retention());
        let missing = !whole.kept.contains(&keep_s) || is_over(keep_s);
        Ok(missing.then(|| Suspect::Sweep(user.clone(), task, keep_s)))
    }
}
