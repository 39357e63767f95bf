//! What a pass finds among tasks that have ties: those that wait for what has ended, ends that were
//! not counted, parts that their flow does not know.

use std::collections::HashMap;

use redis::{Pipeline, cmd};
use tasktonic_core::TaskState::{Cancelled, Running};
use tasktonic_core::links::Up;
use tasktonic_core::{Links, TaskId, UserId};
use tasktonic_store::Result;

use super::Reconciler;
use super::SCANNED;
use super::pass::Whole;
use super::read::{CHUNK, Glance, Reader, member};
use super::suspect::Suspect;
use crate::open::{items_of, text_of};
use crate::store::of_task;
use crate::wire::entry;

impl Reconciler {
    /// Everybody who waits, waits for something that is to come; every end is counted.
    pub(super) async fn links(&self, reader: &Reader<'_>, whole: &mut Whole) -> Result<u64> {
        let mut repaired = self.lost_nodes(reader).await?;
        let mut cursor = "0".to_owned();
        loop {
            let (next, members) = reader.scan("SSCAN", &reader.keys.nodes(), &cursor).await?;
            let tied: Vec<(UserId, TaskId)> = members
                .iter()
                .filter_map(|text| member(text).map(|(user, task, _)| (user, task)))
                .collect();
            let ties = ties_of(reader, &tied).await?;
            let mut suspects = unindexed(reader, &tied).await?;
            let glances = reader.glance(&tied).await?;
            // Read together: what the tasks wait for, and whether their flows list them.
            let (mut parents, mut listed) = (Vec::new(), Pipeline::new());
            for ((user, task), links) in tied.iter().zip(&ties) {
                let links = links.clone().unwrap_or_default();
                let untold = links.up.iter().filter(|up| !up.told);
                parents.extend(untold.map(|up| (user.clone(), up.task)));
                if let Some(part) = links.part {
                    let parts = reader.keys.parts(user, part.of);
                    listed.add_command(cmd("ZSCORE").arg(parts).arg(task.to_string()).clone());
                }
            }
            let over: Vec<bool> = reader.glance(&parents).await?.iter().map(is_over).collect();
            let over: HashMap<_, _> = parents.into_iter().zip(over).collect();
            let mut listed = reader.ask(&listed).await?.into_iter();
            for (((user, task), links), glance) in tied.iter().zip(&ties).zip(&glances) {
                whole.users.insert(user.clone());
                whole.nodes.insert((user.clone(), *task));
                whole.queues.extend(glance.queue.clone());
                let is_part = links.as_ref().is_some_and(|links| links.part.is_some());
                let is_listed =
                    !is_part || !matches!(listed.next(), None | Some(redis::Value::Nil));
                let found = Found { links: links.as_ref(), glance, over: &over, is_listed };
                suspects.extend(self.node(reader, (user, *task), found).await?);
            }
            repaired += self.settle(reader, &suspects).await?;
            cursor = next;
            if cursor == "0" {
                return Ok(repaired);
            }
        }
    }

    /// Finds tasks with ties again after the list of them was lost: looks at every key of the
    /// server, so only where their number says that it must.
    async fn lost_nodes(&self, reader: &Reader<'_>) -> Result<u64> {
        let keys = reader.keys;
        let counted = reader.one(cmd("HGET").arg(keys.meta()).arg("fl")).await?;
        let listed = reader.one(cmd("SCARD").arg(keys.nodes())).await?;
        let number = |value| text_of(value).parse::<u64>().unwrap_or(0);
        if number(&listed) >= number(&counted) {
            return Ok(0);
        }
        let (mut cursor, mut repaired) = ("0".to_owned(), 0);
        loop {
            let mut scan = cmd("SCAN");
            let pattern = format!("{}u:*:f:*", keys.base());
            scan.arg(&cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(SCANNED);
            let reply = reader.one(&scan).await?;
            let parts = items_of(&reply);
            let names = parts.get(1).map(items_of).unwrap_or_default().iter().map(text_of);
            let node = |name: String| {
                let (user, task) =
                    name.strip_prefix(keys.base())?.strip_prefix("u:")?.split_once(":f:")?;
                Some(Suspect::Node(user.parse().ok()?, task.parse().ok()?))
            };
            let found: Vec<Suspect> = names.filter_map(node).collect();
            repaired += self.settle(reader, &found).await?;
            cursor = parts.first().map(text_of).unwrap_or_default();
            if cursor == "0" || cursor.is_empty() {
                return Ok(repaired);
            }
        }
    }

    /// What is wrong about one task with ties.
    async fn node(
        &self,
        reader: &Reader<'_>,
        (user, task): (&UserId, TaskId),
        Found { links, glance, over, is_listed }: Found<'_>,
    ) -> Result<Vec<Suspect>> {
        let mut suspects = Vec::new();
        let (Some(links), true) = (links, glance.exists) else {
            return Ok(vec![Suspect::Node(user.clone(), task)]);
        };
        let (Some(head), Some(queue)) = (&glance.head, &glance.queue) else { return Ok(suspects) };
        if let Some(pending) = head.pending {
            let is_over = |up: &Up| !up.told && over.get(&(user.clone(), up.task)) == Some(&true);
            if links.up.iter().any(is_over) || pending != links.pending() {
                suspects.push(Suspect::Waiting(user.clone(), task, queue.clone()));
            }
        }
        if let Some(part) = links.part {
            if head.state.is_terminal() && part.counted.is_none() {
                suspects.push(Suspect::Told(user.clone(), task));
            }
            if !is_listed {
                suspects.push(Suspect::Part(user.clone(), part.of, task, queue.to_string()));
            }
        }
        if links.gather.is_some() {
            let cancelled = head.state == Cancelled;
            suspects.extend(self.parts(reader, user, task, cancelled).await?);
        }
        Ok(suspects)
    }

    /// What is wrong about the parts of a flow or batch.
    async fn parts(
        &self,
        reader: &Reader<'_>,
        user: &UserId,
        flow: TaskId,
        cancelled: bool,
    ) -> Result<Vec<Suspect>> {
        let (mut suspects, mut left, mut after) = (Vec::new(), None, "-".to_owned());
        loop {
            let mut page = cmd("ZRANGE");
            page.arg(reader.keys.parts(user, flow)).arg(&after).arg("+").arg("BYLEX");
            page.arg("LIMIT").arg(0).arg(CHUNK);
            let reply = reader.one(&page).await?;
            let ids: Vec<String> = items_of(&reply).iter().map(text_of).collect();
            let parts: Vec<(UserId, TaskId)> =
                ids.iter().filter_map(|id| Some((user.clone(), id.parse().ok()?))).collect();
            let ties = ties_of(reader, &parts).await?;
            for (((_, part), links), glance) in
                parts.iter().zip(ties).zip(reader.glance(&parts).await?)
            {
                let is_part = links.and_then(|links| links.part).is_some_and(|p| p.of == flow);
                if !glance.exists || !is_part {
                    let queue = glance.queue.as_ref().map(ToString::to_string).unwrap_or_default();
                    suspects.push(Suspect::Part(user.clone(), flow, *part, queue));
                }
                let state = glance.head.as_ref().map(|head| head.state);
                let waits = state.is_some_and(|state| !state.is_terminal() && state != Running);
                if cancelled && glance.exists && waits {
                    left = Some(*part);
                }
            }
            match ids.last() {
                Some(last) if ids.len() == CHUNK => after = format!("({last}"),
                _ => break,
            }
        }
        suspects.extend(left.map(|part| Suspect::Left(user.clone(), flow, part)));
        Ok(suspects)
    }
}

/// What was read of one task with ties.
struct Found<'a> {
    links: Option<&'a Links>,
    glance: &'a Glance,
    /// Whether tasks that others wait for have ended, or are gone.
    over: &'a HashMap<(UserId, TaskId), bool>,
    /// Whether its flow lists it.
    is_listed: bool,
}

fn is_over(glance: &Glance) -> bool {
    !glance.exists || glance.head.as_ref().is_some_and(|head| head.state.is_terminal())
}

/// The ties of some tasks, in order.
async fn ties_of(reader: &Reader<'_>, tasks: &[(UserId, TaskId)]) -> Result<Vec<Option<Links>>> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let mut found: HashMap<usize, Links> = HashMap::new();
    let names: Vec<String> =
        tasks.iter().map(|(user, task)| reader.keys.links(user, *task)).collect();
    let reply = reader.one(cmd("MGET").arg(names)).await?;
    for (at, text) in items_of(&reply).iter().map(text_of).enumerate() {
        if let Some((_, links)) = crate::wire::links(&text) {
            found.insert(at, links);
        }
    }
    Ok((0..tasks.len()).map(|at| found.remove(&at)).collect())
}

/// Tasks that their users' indexes lack.
pub(super) async fn unindexed(
    reader: &Reader<'_>,
    tasks: &[(UserId, TaskId)],
) -> Result<Vec<Suspect>> {
    let mut asked = Pipeline::new();
    for (user, task) in tasks {
        asked.add_command(of_task(&reader.keys.index(user), &task.to_string()));
    }
    let known = reader.ask(&asked).await?;
    let lacking = tasks.iter().zip(known).filter(|(_, known)| items_of(known).is_empty());
    let lacking: Vec<_> = lacking.map(|(of, _)| of.clone()).collect();
    named(reader, &lacking).await
}

/// Tasks whose entries in their users' indexes are to be made, with what lists find them by.
pub(super) async fn named(reader: &Reader<'_>, tasks: &[(UserId, TaskId)]) -> Result<Vec<Suspect>> {
    let mut asked = Pipeline::new();
    for (user, task) in tasks {
        asked.add_command(cmd("GET").arg(reader.keys.descriptor(user, *task)).clone());
    }
    let texts = reader.ask(&asked).await?;
    let suspect = |((user, task), text): (&(UserId, TaskId), _)| {
        Suspect::Index(user.clone(), *task, entry(&text_of(text)))
    };
    Ok(tasks.iter().zip(&texts).map(suspect).collect())
}
