//! What a pass finds in the lanes of a user: entries, and the numbers that are kept of them.

use std::collections::{BTreeSet, HashMap};

use redis::{Pipeline, cmd};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Name, Priority, TaskId, TaskState, UserId};
use tasktonic_store::Result;

use super::Reconciler;
use super::read::{CHUNK, Reader, stem};
use super::suspect::Suspect;
use crate::open::{items_of, text_of};
use crate::wire::Priorities;

/// Entries that tasks should have, each in the list of a priority of a lane.
pub(super) type Entries = HashMap<(Name, Priority, String), TaskId>;

impl Reconciler {
    /// The two numbers of a user's lanes, as `meta` has them, and their lengths.
    pub(super) async fn numbers(
        &self,
        reader: &Reader<'_>,
        user: &UserId,
        queues: &BTreeSet<Name>,
        priorities: &Priorities,
    ) -> Result<HashMap<Name, (String, u64)>> {
        let mut asked = Pipeline::new();
        for queue in queues {
            let field = format!("x:{queue}:{user}");
            asked.add_command(cmd("HGET").arg(reader.keys.meta()).arg(field).clone());
            for list in priorities.lists(queue) {
                asked.add_command(cmd("LLEN").arg(reader.keys.lane(user, queue, *list)).clone());
            }
        }
        let mut replies = reader.ask(&asked).await?.into_iter();
        let mut numbers = HashMap::new();
        for queue in queues {
            let said = replies.next().as_ref().map(text_of).unwrap_or_default();
            // What follows the second number is of turns, and nothing that could be counted.
            let end = said.match_indices(',').nth(1).map_or(said.len(), |(at, _)| at);
            let are = if said.is_empty() { "0,0" } else { &said[..end] };
            let lists = priorities.lists(queue).len();
            let lengths = replies.by_ref().take(lists).map(|reply| text_of(&reply).parse::<u64>());
            let length = lengths.map(|length| length.unwrap_or(0)).sum();
            numbers.insert(queue.clone(), (are.to_owned(), length));
        }
        Ok(numbers)
    }

    /// A suspect if the numbers of a lane were wrong in the same way in the last pass.
    pub(super) fn odd_twice(
        &self,
        p: PartitionId,
        user: &UserId,
        queue: &Name,
        odd: super::Odd,
    ) -> Option<Suspect> {
        let place = (p, user.clone(), queue.clone());
        let mut known = self.odd.lock();
        if odd.0 == odd.2 {
            known.remove(&place);
            return None;
        }
        let (are, length, should) = odd.clone();
        let twice = known.insert(place, odd.clone()).is_some_and(|last| last == odd);
        twice.then(|| Suspect::Counts(user.clone(), queue.clone(), are, length, should))
    }

    /// Takes the entries of a lane out of those expected. Answers what is wrong with the rest, and
    /// how many are dead references.
    pub(super) async fn lane(
        &self,
        reader: &Reader<'_>,
        user: &UserId,
        (queue, lists): (&Name, &[Priority]),
        expected: &mut Entries,
    ) -> Result<(Vec<Suspect>, u64)> {
        let (mut suspects, mut dead) = (Vec::new(), 0);
        for priority in lists {
            let (found, some) = self.list(reader, user, (queue, *priority), expected).await?;
            suspects.extend(found);
            dead += some;
        }
        Ok((suspects, dead))
    }

    async fn list(
        &self,
        reader: &Reader<'_>,
        user: &UserId,
        (queue, priority): (&Name, Priority),
        expected: &mut Entries,
    ) -> Result<(Vec<Suspect>, u64)> {
        let key = reader.keys.lane(user, queue, priority);
        let (mut suspects, mut length, mut dead) = (Vec::new(), 0_u64, 0_u64);
        loop {
            let (first, last) = (length, length + CHUNK as u64 - 1);
            let reply = reader.one(cmd("LRANGE").arg(&key).arg(first).arg(last)).await?;
            let entries: Vec<String> = items_of(&reply).iter().map(text_of).collect();
            length += entries.len() as u64;
            let mut others = Vec::new();
            for entry in &entries {
                if expected.remove(&(queue.clone(), priority, stem(entry).to_owned())).is_some() {
                    continue;
                }
                match entry.split(':').next().and_then(|task| task.parse().ok()) {
                    Some(task) => others.push((entry, (user.clone(), task))),
                    None => {
                        suspects.push(Suspect::Entry(user.clone(), queue.clone(), entry.clone()));
                    }
                }
            }
            let tasks: Vec<_> = others.iter().map(|(_, task)| task.clone()).collect();
            for ((entry, (_, task)), glance) in others.iter().zip(reader.glance(&tasks).await?) {
                let stands = glance.head.as_ref().is_some_and(|head| {
                    (head.state, head.priority) == (TaskState::Queued, priority)
                        && stem(entry) == format!("{task}:{}:{}", head.attempt, head.claim)
                });
                if !glance.exists {
                    // A dead reference may well outlive its task: only its number is looked at.
                    dead += 1;
                } else if stands {
                    // Submitted since, or its index is lost.
                    suspects.push(Suspect::Index(user.clone(), *task, String::new()));
                } else {
                    dead += 1;
                }
            }
            if entries.len() < CHUNK {
                break;
            }
        }
        Ok((suspects, dead))
    }
}
