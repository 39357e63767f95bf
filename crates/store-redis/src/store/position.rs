//! Where a queued task stands in its lane, by plain reading commands: the lane is a list, Redis finds
//! an entry in it, and `meta` says how many of its entries are dead references. Where few are before
//! the task, they are looked at one by one.

use redis::{Pipeline, Value, cmd};
use tasktonic_core::limits::POSITION_MAX;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Name, Priority, TaskId, TaskState, UserId};
use tasktonic_protocol::stored::{QUEUE_IN_BYTES, queue_in};
use tasktonic_store::position::{ENTRIES_MAX, History};
use tasktonic_store::{Position, Result};

use super::RedisStore;
use super::read::STATE_BYTES;
use crate::open::text_of;
use crate::wire::{Priorities, StateHead, entries, is_first, items, number, parsed, text, word};

/// Entries of a user's events asked for in one round trip.
const EVENTS_CHUNK: usize = 64;
/// Entries before a task that are looked at one by one where some of the lane are dead.
const LOOKS_MAX: u32 = 200;

/// What Redis answered of a lane.
struct Lane {
    /// Entries before the task's, by priority: a list or its beginning.
    lists: Vec<(Priority, u32)>,
    /// All of them.
    before: u32,
    /// Further back than was looked.
    more: bool,
    dead: u32,
    head: Option<(TaskId, u32)>,
}

impl RedisStore {
    /// See [`Query::Position`](tasktonic_store::Query::Position).
    pub(super) async fn standing(
        &self,
        p: PartitionId,
        user: &UserId,
        task: TaskId,
    ) -> Result<Option<Box<Position>>> {
        let keys = self.keys(p)?;
        let mut asked = Pipeline::new();
        asked.add_command(beginning(&keys.descriptor(user, task), QUEUE_IN_BYTES));
        asked.add_command(beginning(&keys.state(user, task), STATE_BYTES));
        let answers = self.ask(p, &asked).await?;
        let descriptor = text_of(&answers[0]);
        let Some(queue) = queue_in(&descriptor) else { return Ok(None) };
        let Some(head) = waits(&text_of(&answers[1])) else { return Ok(None) };

        if self.is_in_line(p, user, task, &queue, &head).await? {
            return Ok(None);
        }
        let Some(lane) = self.lane(p, user, task, &queue, &head).await? else { return Ok(None) };
        let history = self.history(p, user).await?;
        let queues = self.queues_of(p, user, &history.unknown()).await?;
        let queue_of = |id: &TaskId| {
            let at = queues.binary_search_by_key(id, |(id, _)| *id).ok()?;
            queues[at].1.clone()
        };
        let ahead = match lane {
            Lane { more: false, before, dead, ref lists, .. }
                if dead > 0 && before <= LOOKS_MAX =>
            {
                let live = self.live(p, user, &queue, lists).await?;
                (live, live)
            }
            Lane { before, dead, .. } => (before.saturating_sub(dead), before),
        };
        let (of, claim) = lane.head.unwrap_or((task, head.claim));
        Ok(Some(Box::new(Position {
            ahead,
            more: lane.more,
            head_since_ms: history.entered_ms(of, claim),
            starts: history.starts(&queue, queue_of),
            queue,
        })))
    }

    /// See [`Query::TurnBefore`](tasktonic_store::Query::TurnBefore).
    pub(super) async fn turn_before(
        &self,
        p: PartitionId,
        user: &UserId,
        task: TaskId,
    ) -> Result<Option<TaskId>> {
        let keys = self.keys(p)?;
        let mut asked = Pipeline::new();
        asked.add_command(beginning(&keys.state(user, task), STATE_BYTES));
        let answers = self.ask(p, &asked).await?;
        let Some(key) = waits(&text_of(&answers[0])).and_then(|head| head.serial) else {
            return Ok(None);
        };
        // Whose turn it is stands before all others.
        let mut asked = Pipeline::new();
        let mut first = cmd("ZRANGE");
        asked.add_command(first.arg(keys.line(user, key)).arg(0).arg(0).clone());
        asked.add_command(beginning(&keys.state(user, task), STATE_BYTES));
        let answers = self.ask(p, &asked).await?;
        let still = waits(&text_of(&answers[1])).is_some();
        let first = items(&answers[0])?.first().map(word).transpose()?;
        let holder = first.and_then(|member| member.split(',').next()).map(parsed).transpose()?;
        Ok(holder.filter(|holder: &TaskId| still && *holder != task))
    }

    /// Whether a queued task waits for another of its serial key.
    async fn is_in_line(
        &self,
        p: PartitionId,
        user: &UserId,
        task: TaskId,
        queue: &Name,
        head: &StateHead,
    ) -> Result<bool> {
        let Some(key) = head.serial else { return Ok(false) };
        let mut asked = Pipeline::new();
        let mut score = cmd("ZSCORE");
        score.arg(self.keys(p)?.line(user, key)).arg(format!("{task},{queue}"));
        asked.add_command(score);
        match &self.ask(p, &asked).await?[0] {
            Value::Nil => Ok(false),
            score => Ok(!is_first(score)?),
        }
    }

    /// The lane as it is while the task is still in it; nothing once it has left.
    async fn lane(
        &self,
        p: PartitionId,
        user: &UserId,
        task: TaskId,
        queue: &Name,
        head: &StateHead,
    ) -> Result<Option<Lane>> {
        let keys = self.keys(p)?;
        let mut about = cmd("HMGET");
        about.arg(keys.meta()).arg(format!("x:{queue}:{user}")).arg("pr");
        let own = keys.lane(user, queue, head.priority);
        let mut find = cmd("LPOS");
        find.arg(&own).arg(format!("{task}:{}:{}", head.attempt, head.claim));
        find.arg("MAXLEN").arg(POSITION_MAX);
        let mut asked = Pipeline::new();
        asked.add_command(about);
        asked.add_command(find);
        asked.lindex(&own, 0);
        // The commands of a pipeline are not one step: an entry that is not there may just have been
        // taken.
        asked.add_command(beginning(&keys.state(user, task), STATE_BYTES));
        let answers = self.ask(p, &asked).await?;
        let at = match text(&answers[1]) {
            Ok(None) => None,
            _ => Some(number::<u32>(&answers[1])?),
        };
        if at.is_none() {
            let after = waits(&text_of(&answers[3]));
            if after.is_none_or(|after| after.claim != head.claim) {
                return Ok(None);
            }
        }
        let about = items(&answers[0])?;
        let (extra, priorities) = (about.first().map(text_of), about.get(1).map(text_of));
        let dead = match extra.unwrap_or_default().split(',').next() {
            None | Some("") => 0,
            Some(dead) => parsed(dead)?,
        };
        let priorities = Priorities::of(&priorities.unwrap_or_default());
        let (mut lists, higher) = self.higher(p, user, queue, head, &priorities).await?;
        lists.extend(at.map(|at| (head.priority, at)));
        let before = lists.iter().map(|(_, count)| count).sum::<u32>();
        let more = at.is_none() || before >= POSITION_MAX;
        Ok(Some(Lane {
            lists,
            before: if more { POSITION_MAX } else { before },
            more,
            dead,
            head: higher.or(text(&answers[2])?.and_then(entry)),
        }))
    }

    /// What waits in a lane with a higher priority: how long each of its lists is, and the first task
    /// of all.
    async fn higher(
        &self,
        p: PartitionId,
        user: &UserId,
        queue: &Name,
        head: &StateHead,
        priorities: &Priorities,
    ) -> Result<(Vec<(Priority, u32)>, Option<(TaskId, u32)>)> {
        let lists = priorities.lists(queue).iter().filter(|of| **of < head.priority);
        let mut asked = Pipeline::new();
        for priority in lists.clone() {
            let name = self.keys(p)?.lane(user, queue, *priority);
            asked.llen(&name);
            asked.lindex(&name, 0);
        }
        if asked.is_empty() {
            return Ok((Vec::new(), None));
        }
        let (mut lengths, mut first) = (Vec::new(), None);
        let answers = self.ask(p, &asked).await?;
        for (priority, pair) in lists.zip(answers.chunks_exact(2)) {
            lengths.push((*priority, number(&pair[0])?));
            first = first.or(text(&pair[1])?.and_then(entry));
        }
        Ok((lengths, first))
    }

    /// The user's newest events, as far back as they are of use.
    async fn history(&self, p: PartitionId, user: &UserId) -> Result<History> {
        let name = self.keys(p)?.events(user);
        let mut history = History::default();
        let mut from = "+".to_owned();
        for _ in 0..ENTRIES_MAX.div_ceil(EVENTS_CHUNK) {
            let mut asked = Pipeline::new();
            let mut range = cmd("XREVRANGE");
            range.arg(&name).arg(&from).arg("-").arg("COUNT").arg(EVENTS_CHUNK);
            asked.add_command(range);
            let answers = self.ask(p, &asked).await?;
            let found = entries(&answers[0])?;
            for (_, _, text) in &found {
                if !history.take(text) {
                    return Ok(history);
                }
            }
            match found.last().filter(|_| found.len() == EVENTS_CHUNK) {
                Some((epoch, at, _)) => from = format!("({epoch}-{at}"),
                None => break,
            }
        }
        Ok(history)
    }

    /// Queues of tasks, sorted by id as they were given; absent where a task is gone.
    async fn queues_of(
        &self,
        p: PartitionId,
        user: &UserId,
        tasks: &[TaskId],
    ) -> Result<Vec<(TaskId, Option<Name>)>> {
        let keys = self.keys(p)?;
        let mut asked = Pipeline::new();
        for task in tasks {
            asked.add_command(beginning(&keys.descriptor(user, *task), QUEUE_IN_BYTES));
        }
        let answers = self.ask(p, &asked).await?;
        Ok(tasks.iter().zip(&answers).map(|(id, text)| (*id, queue_in(&text_of(text)))).collect())
    }

    /// How many entries of a lane stand for tasks, of so many first ones of each list.
    async fn live(
        &self,
        p: PartitionId,
        user: &UserId,
        queue: &Name,
        lists: &[(Priority, u32)],
    ) -> Result<u32> {
        let keys = self.keys(p)?;
        let mut asked = Pipeline::new();
        for (priority, count) in lists.iter().filter(|(_, count)| *count > 0) {
            let name = keys.lane(user, queue, *priority);
            asked.add_command(cmd("LRANGE").arg(name).arg(0).arg(count - 1).clone());
        }
        if asked.is_empty() {
            return Ok(0);
        }
        let mut found = Vec::new();
        for list in self.ask(p, &asked).await? {
            found.extend(items(&list)?.iter().filter_map(|one| word(one).ok().and_then(entry)));
        }
        let mut asked = Pipeline::new();
        if found.is_empty() {
            return Ok(0);
        }
        for (task, _) in &found {
            asked.exists(keys.descriptor(user, *task));
            asked.add_command(beginning(&keys.state(user, *task), STATE_BYTES));
        }
        let answers = self.ask(p, &asked).await?;
        let mut live = 0;
        for ((_, claim), about) in found.iter().zip(answers.chunks_exact(2)) {
            let is_there = number::<i64>(&about[0])? == 1;
            let head = waits(&text_of(&about[1]));
            live += u32::from(is_there && head.is_some_and(|head| head.claim == *claim));
        }
        Ok(live)
    }
}

fn beginning(name: &str, bytes: usize) -> redis::Cmd {
    let mut range = cmd("GETRANGE");
    range.arg(name).arg(0).arg(bytes);
    range
}

/// The beginning of a state, cut anywhere and empty where there is none, if it is of a queued task.
fn waits(state: &str) -> Option<StateHead> {
    let head = StateHead::of((!state.is_empty()).then_some(state))?;
    (head.state == TaskState::Queued).then_some(head)
}

/// Task and claim number of a lane's entry. Further parts may follow.
fn entry(text: &str) -> Option<(TaskId, u32)> {
    let mut parts = text.split(':');
    let task = parts.next()?.parse().ok()?;
    Some((task, parts.nth(1)?.parse().ok()?))
}
