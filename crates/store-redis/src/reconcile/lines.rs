//! What a pass finds among the lines of serial keys.

use std::collections::{BTreeMap, HashMap};

use redis::cmd;
use tasktonic_core::{Name, Priority, TaskId, TaskState, UserId};
use tasktonic_store::Result;

use super::Reconciler;
use super::lanes::Entries;
use super::read::{CHUNK, Reader};
use super::suspect::Suspect;
use crate::open::text_of;
use crate::wire::{StateHead, is_first, pairs};

/// A user's tasks that have a serial key and have not ended, by key and member.
pub(super) type Serials = BTreeMap<u128, BTreeMap<String, One>>;

/// One of them.
#[derive(Debug)]
pub(super) struct One {
    task: TaskId,
    queue: Name,
    state: TaskState,
    priority: Priority,
    /// Its entry, were it in its lane.
    entry: String,
}

/// Notes a task, if it has a serial key and has not ended.
pub(super) fn note(serials: &mut Serials, task: TaskId, queue: &Name, head: &StateHead) {
    let Some(key) = head.serial.filter(|_| !head.state.is_terminal()) else { return };
    let entry = format!("{task}:{}:{}", head.attempt, head.claim);
    let (state, priority) = (head.state, head.priority);
    let one = One { task, queue: queue.clone(), state, priority, entry };
    serials.entry(key).or_default().insert(format!("{task},{queue}"), one);
}

impl Reconciler {
    /// Compares a user's lines with the tasks that should be in them. Adds the lane entries that
    /// those should have whose turn it is, and counts those that wait elsewhere.
    pub(super) async fn lines(
        &self,
        reader: &Reader<'_>,
        user: &UserId,
        serials: Serials,
        entries: &mut Entries,
        scheduled: &mut HashMap<Name, u64>,
    ) -> Result<Vec<Suspect>> {
        let (mut first, mut suspects) = (Vec::new(), Vec::new());
        for (key, mut tasks) in serials {
            let (mut is_led, mut leads) = (false, None);
            for (at, (member, holds)) in self.line(reader, user, key).await?.into_iter().enumerate()
            {
                if at == 0 {
                    (is_led, leads) = (holds, Some(member.clone()));
                }
                let known = tasks.remove(&member);
                let id = member.split(',').next().and_then(|id| id.parse().ok());
                if let (None, Some(task)) = (&known, id) {
                    // Submitted since, or its index is lost: nothing else names who waits in line.
                    suspects.push(Suspect::Index(user.clone(), task, String::new()));
                }
                let queue = known.as_ref().map(|one| one.queue.clone());
                let fits = match known.as_ref().map(|one| one.state) {
                    Some(TaskState::Queued) => true,
                    Some(TaskState::Running | TaskState::Scheduled) => holds,
                    _ => false,
                };
                if !fits || (holds && at > 0) {
                    suspects.push(Suspect::Line(user.clone(), key, member));
                } else if let Some(one) = known.filter(|one| one.state == TaskState::Queued)
                    && holds
                {
                    entries.insert((one.queue, one.priority, one.entry), one.task);
                    continue;
                }
                if let Some(queue) = queue.filter(|_| !holds) {
                    *scheduled.entry(queue).or_default() += 1;
                }
            }
            for (member, one) in tasks {
                match one.state {
                    // Who runs stands in front of who waits.
                    TaskState::Running => first.push(Suspect::Line(user.clone(), key, member)),
                    TaskState::Queued => suspects.push(Suspect::Line(user.clone(), key, member)),
                    _ => {}
                }
            }
            // Whatever is looked at in a line without a holder gives it one.
            suspects
                .extend(leads.filter(|_| !is_led).map(|one| Suspect::Line(user.clone(), key, one)));
        }
        first.extend(suspects);
        Ok(first)
    }

    /// The members of a line in order, and whether it is their turn.
    async fn line(
        &self,
        reader: &Reader<'_>,
        user: &UserId,
        key: u128,
    ) -> Result<Vec<(String, bool)>> {
        let (name, mut members) = (reader.keys.line(user, key), Vec::new());
        loop {
            let (from, to) = (members.len(), members.len() + CHUNK - 1);
            let page = cmd("ZRANGE").arg(&name).arg(from).arg(to).arg("WITHSCORES").clone();
            let reply = reader.one(&page).await?;
            let before = members.len();
            for pair in pairs(&reply)? {
                members.push((text_of(pair.0), is_first(pair.1)?));
            }
            if members.len() - before < CHUNK {
                return Ok(members);
            }
        }
    }
}
