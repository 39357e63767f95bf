//! Everything of one user, removed: in steps that are each atomic, and the last of which is not
//! taken while anything is left.

use std::collections::HashMap;

use redis::{Pipeline, Value, cmd};
use tasktonic_core::limits::ERASE_MAX;
use tasktonic_core::reply::Controlled;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Lease, TaskId, UserId};
use tasktonic_protocol::stored::queue_in;
use tasktonic_store::Result;

use super::{RedisStore, split};
use crate::open::{items_of, text_of};
use crate::script::Script;
use crate::wire::{Erased, Rest, controlled, items, text};
use crate::{durability, wire};

/// Keys, and fields of the facts, looked at in one round trip.
const SCANNED: usize = 1_000;
/// Entries of a list of ended tasks looked at in one round trip.
const LISTED: i64 = 500;

impl RedisStore {
    /// Removes up to [`ERASE_MAX`] tasks of a user; with the last of them all the rest.
    pub(super) async fn erase(&self, p: PartitionId, user: &UserId) -> Result<Controlled> {
        let mut ids = self.oldest(p, user, ERASE_MAX + 1).await?;
        let is_last = ids.len() <= ERASE_MAX;
        ids.truncate(ERASE_MAX);
        let leases = self.leases_of(p, user).await?;
        let tasks = self.found(p, user, &ids, &leases).await?;
        let mut rest = None;
        if is_last {
            self.unlist(p, user).await?;
            let mut found = self.rest(p, user).await?;
            found.queues.extend(tasks.iter().filter_map(|(_, queue, _)| queue.clone()));
            rest = Some(found);
        }
        let now_ms = self.shared.options.script_now_ms();
        let words = wire::erase(now_ms, user, &tasks, rest.as_ref());
        let promise = durability::promise(self.shared.options.class);
        // Repeatable: what is gone stays so.
        let reply =
            self.shared.router.run_promised(p, Script::Control, &words, true, promise).await?;
        Ok(controlled(&reply)?.first().copied().unwrap_or(Controlled::Done))
    }

    async fn oldest(&self, p: PartitionId, user: &UserId, count: usize) -> Result<Vec<TaskId>> {
        let mut asked = Pipeline::new();
        let mut range = cmd("ZRANGE");
        range.arg(self.keys(p)?.index(user)).arg("-").arg("+").arg("BYLEX");
        asked.add_command(range.arg("LIMIT").arg(0).arg(count).clone());
        let answers = self.ask(p, &asked).await?;
        let id = |entry| wire::parsed(split(wire::word(entry)?).0);
        items(&answers[0])?.iter().map(id).collect()
    }

    /// The leases on tasks of a user.
    async fn leases_of(&self, p: PartitionId, user: &UserId) -> Result<HashMap<TaskId, String>> {
        let (mut cursor, mut found) = ("0".to_owned(), HashMap::new());
        loop {
            let mut scan = cmd("ZSCAN");
            scan.arg(self.keys(p)?.leases()).arg(&cursor).arg("MATCH").arg(format!("*|{user}|*"));
            let (next, members) = self.scanned(p, scan.arg("COUNT").arg(SCANNED)).await?;
            for token in members.into_iter().step_by(2) {
                let lease = token.parse::<Lease>().ok().filter(|lease| lease.user == *user);
                found.extend(lease.map(|lease| (lease.task, token)));
            }
            cursor = next;
            if cursor == "0" || cursor.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Tasks with their queues, where their descriptors can be read, and their leases.
    async fn found(
        &self,
        p: PartitionId,
        user: &UserId,
        ids: &[TaskId],
        leases: &HashMap<TaskId, String>,
    ) -> Result<Vec<Erased>> {
        let keys = self.keys(p)?;
        let mut asked = Pipeline::new();
        for id in ids {
            asked.get(keys.descriptor(user, *id));
        }
        let answers = self.ask(p, &asked).await?;
        let queue = |value: &Value| Ok(text(value)?.and_then(queue_in));
        let of = |(id, value): (&TaskId, _)| Ok((*id, queue(value)?, leases.get(id).cloned()));
        ids.iter().zip(&answers).map(of).collect()
    }

    /// Takes a user out of the lists of ended tasks. Each is walked from its end, where nothing but
    /// new entries moves what was not looked at yet, and those move it into sight.
    async fn unlist(&self, p: PartitionId, user: &UserId) -> Result<()> {
        let keys = self.keys(p)?;
        let mut asked = Pipeline::new();
        asked.hget(keys.meta(), "keeps");
        let keeps = text(&self.ask(p, &asked).await?[0])?.unwrap_or_default().to_owned();
        let mine = format!("{user},");
        for keep_s in keeps.split(' ').filter_map(|word| word.parse::<u32>().ok()) {
            let mut last = -1;
            loop {
                let first = last - LISTED + 1;
                let mut asked = Pipeline::new();
                let mut range = cmd("LRANGE");
                asked.add_command(range.arg(keys.sweep(keep_s)).arg(first).arg(last).clone());
                let answers = self.ask(p, &asked).await?;
                let entries = items_of(&answers[0]);
                if entries.iter().any(|entry| text_of(entry).starts_with(&mine)) {
                    let now_ms = self.shared.options.script_now_ms();
                    // An entry that was added since has moved the others further from the end.
                    let words = wire::unlist(now_ms, user, keep_s, (first - LISTED, last));
                    let reply = self.shared.router.run(p, Script::Control, &words, true).await?;
                    controlled(&reply)?;
                }
                if (entries.len() as i64) < LISTED {
                    break;
                }
                last -= LISTED;
            }
        }
        Ok(())
    }

    /// What there is of a user beside tasks. It looks at every key of the server.
    async fn rest(&self, p: PartitionId, user: &UserId) -> Result<Rest> {
        let keys = self.keys(p)?;
        let mut rest = Rest::default();
        // No character of a user's id means anything to a pattern.
        let base = format!("{}u:{user}:", keys.base());
        let (mut cursor, mut queues) = ("0".to_owned(), Vec::new());
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(&cursor).arg("MATCH").arg(format!("{base}*")).arg("COUNT").arg(SCANNED);
            let (next, names) = self.scanned(p, &scan).await?;
            queues.extend(names.iter().filter_map(|name| {
                let (letter, queue) = name.strip_prefix(&base)?.split_once(':')?;
                ["h", "q", "l"].contains(&letter).then(|| queue.to_owned())
            }));
            rest.keys.extend(names);
            cursor = next;
            if cursor == "0" || cursor.is_empty() {
                break;
            }
        }
        // Facts that name the user, and queues where something is set of users.
        for pattern in [format!("x:*:{user}"), "q:*".to_owned()] {
            let mut cursor = "0".to_owned();
            loop {
                let mut scan = cmd("HSCAN");
                scan.arg(keys.meta()).arg(&cursor).arg("MATCH").arg(&pattern);
                let (next, fields) = self.scanned(p, scan.arg("COUNT").arg(SCANNED)).await?;
                let queue = |field: &String| {
                    let (_, rest) = field.split_once(':')?;
                    Some(rest.split_once(':').map_or(rest, |(queue, _)| queue).to_owned())
                };
                queues.extend(fields.iter().step_by(2).filter_map(queue));
                cursor = next;
                if cursor == "0" || cursor.is_empty() {
                    break;
                }
            }
        }
        rest.queues.extend(queues.iter().filter_map(|queue| queue.parse().ok()));
        Ok(rest)
    }

    async fn scanned(&self, p: PartitionId, scan: &redis::Cmd) -> Result<(String, Vec<String>)> {
        let mut asked = Pipeline::new();
        asked.add_command(scan.clone());
        let answers = self.ask(p, &asked).await?;
        let parts = items_of(&answers[0]);
        let next = parts.first().map(text_of).unwrap_or_default();
        let found = parts.get(1).map(items_of).unwrap_or_default();
        Ok((next, found.iter().map(text_of).collect()))
    }
}
