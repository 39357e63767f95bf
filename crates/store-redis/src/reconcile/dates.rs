//! What a pass finds among tasks that have a date: those that come due, and those that expire.

use tasktonic_core::{Name, TaskState};
use tasktonic_store::Result;

use super::Reconciler;
use super::links::unindexed;
use super::pass::Whole;
use super::read::{Reader, member};
use super::suspect::Suspect;

impl Reconciler {
    /// Every task that comes due is scheduled.
    pub(super) async fn due(&self, reader: &Reader<'_>, whole: &mut Whole) -> Result<u64> {
        let (mut cursor, mut repaired) = ("0".to_owned(), 0);
        loop {
            let (next, members) = reader.scan("ZSCAN", &reader.keys.due(), &cursor).await?;
            let mut suspects = Vec::new();
            let mut listed = Vec::new();
            for text in members.iter().step_by(2) {
                let parsed = member(text).and_then(|(user, task, rest)| {
                    let [queue, _, claim, ..] = rest[..] else { return None };
                    Some((user, task, queue.parse::<Name>().ok()?, claim.parse::<u32>().ok()?))
                });
                match parsed {
                    Some((user, task, queue, claim)) => {
                        whole.users.insert(user.clone());
                        whole.queues.insert(queue);
                        whole.due.insert((user.clone(), task, claim));
                        listed.push((text, (user, task), claim));
                    }
                    None => suspects.push(Suspect::Due(text.clone())),
                }
            }
            let tasks: Vec<_> = listed.iter().map(|(_, task, _)| task.clone()).collect();
            for ((text, _, claim), glance) in listed.iter().zip(reader.glance(&tasks).await?) {
                let waits = glance.exists
                    && glance.head.as_ref().is_some_and(|head| {
                        head.state == TaskState::Scheduled && head.claim == *claim
                    });
                if !waits {
                    suspects.push(Suspect::Due((*text).clone()));
                }
            }
            suspects.extend(unindexed(reader, &tasks).await?);
            repaired += self.settle(reader, &suspects).await?;
            cursor = next;
            if cursor == "0" {
                return Ok(repaired);
            }
        }
    }

    /// Every task that expires waits, and until then.
    pub(super) async fn unstarted(&self, reader: &Reader<'_>, whole: &mut Whole) -> Result<u64> {
        let (mut cursor, mut repaired) = ("0".to_owned(), 0);
        loop {
            let (next, members) = reader.scan("ZSCAN", &reader.keys.unstarted(), &cursor).await?;
            let mut suspects = Vec::new();
            let mut listed = Vec::new();
            for pair in members.chunks_exact(2) {
                let parsed = member(&pair[0]).and_then(|(user, task, rest)| {
                    let [queue, ..] = rest[..] else { return None };
                    let at_ms = pair[1].parse::<f64>().ok()? as i64;
                    Some((user, task, queue.parse::<Name>().ok()?, at_ms))
                });
                match parsed {
                    Some((user, task, queue, at_ms)) => {
                        whole.users.insert(user.clone());
                        whole.queues.insert(queue);
                        whole.unstarted.insert((user.clone(), task, at_ms));
                        listed.push((&pair[0], (user, task), at_ms));
                    }
                    None => suspects.push(Suspect::Expiry(pair[0].clone())),
                }
            }
            let tasks: Vec<_> = listed.iter().map(|(_, task, _)| task.clone()).collect();
            for ((text, _, at_ms), glance) in listed.iter().zip(reader.glance(&tasks).await?) {
                let expires = glance.head.as_ref().and_then(|head| head.expires);
                if !glance.exists || expires.is_none_or(|expiry| expiry.at_ms != *at_ms) {
                    suspects.push(Suspect::Expiry((*text).clone()));
                }
            }
            suspects.extend(unindexed(reader, &tasks).await?);
            repaired += self.settle(reader, &suspects).await?;
            cursor = next;
            if cursor == "0" {
                return Ok(repaired);
            }
        }
    }
}
