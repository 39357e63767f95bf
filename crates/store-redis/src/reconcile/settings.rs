//! What is set of users of queues is announced, and what runs is counted where that is needed.

use std::collections::BTreeMap;

use redis::cmd;
use tasktonic_core::settings::{QueueSettings, Turns, UserSettings};
use tasktonic_core::{Name, UserId};
use tasktonic_store::Result;

use super::Reconciler;
use super::pass::Whole;
use super::read::Reader;
use super::suspect::Suspect;
use crate::open::text_of;
use crate::store::{Running, Started, hand_field, total_field};

impl Reconciler {
    /// What `meta` says of every queue goes with what is set of its users, and the counts of what
    /// runs go with the leases.
    pub(super) async fn settings(&self, reader: &Reader<'_>, whole: &Whole) -> Result<u64> {
        let mut suspects = Vec::new();
        let lt = reader.one(cmd("HGET").arg(reader.keys.meta()).arg("lt")).await?;
        let lt_us = text_of(&lt).parse::<i64>().unwrap_or(0).saturating_mul(1_000);
        for queue in &whole.queues {
            let mut field = cmd("HGET");
            field.arg(reader.keys.meta()).arg(format!("q:{queue}"));
            let field = text_of(&reader.one(&field).await?);
            let (users, of_queue) = field.split_once(',').unwrap_or_default();
            let of_users = hash(reader, &reader.keys.overrides(queue)).await?;
            let limits = |text: &&String| {
                text.parse::<UserSettings>().is_ok_and(|settings| settings.limits_starts())
            };
            let limited = of_users.values().filter(limits).count();
            let said = if of_users.is_empty() { 0 } else { 1 + limited };
            if users.parse().unwrap_or(0) != said {
                suspects.push(Suspect::Overrides(queue.clone()));
            }
            let set: QueueSettings = of_queue.parse().unwrap_or_default();
            // What is kept of starts is forgotten once it is made up for.
            let is_paced = set.rate.is_some() || limited > 0;
            for (user, full_us) in hash(reader, &reader.keys.pace(queue)).await? {
                let is_ahead = full_us.parse::<i64>().is_ok_and(|full_us| full_us > lt_us);
                if let Ok(user) = user.parse::<UserId>()
                    && !(is_paced && is_ahead)
                {
                    suspects.push(Suspect::Paced(queue.clone(), user));
                }
            }
            let run = whole.running.iter().filter(|((of, _), _)| of == queue);
            let run = run.map(|(_, leases)| *leases).sum();
            let mut total = cmd("HGET");
            total.arg(reader.keys.meta()).arg(total_field(queue));
            let said = match &reader.one(&total).await? {
                redis::Value::Nil => None,
                said => Some(Running::of(&text_of(said)).ok().map(|of| u64::from(of.running))),
            };
            let is_right = match (set.running_total_max, said) {
                // Nobody has looked yet since it was read in.
                (Some(_), None) => run == 0,
                (Some(_), Some(said)) => said == Some(run),
                (None, said) => said.is_none(),
            };
            if !is_right {
                suspects.push(Suspect::Total(queue.clone()));
            }
            let mut hand = cmd("HGET");
            hand.arg(reader.keys.meta()).arg(hand_field(queue));
            let is_right = match &reader.one(&hand).await? {
                // Nobody has looked yet.
                redis::Value::Nil => true,
                said => set.rate_total.is_some() && Started::of(&text_of(said)).is_ok(),
            };
            if !is_right {
                suspects.push(Suspect::Hand(queue.clone()));
            }
            for field in hash(reader, &reader.keys.times(queue)).await?.into_keys() {
                let is_there = match field.split_once(',') {
                    Some((user, task)) => (|| {
                        let held = (user.parse().ok()?, task.parse().ok()?);
                        Some(whole.leased.contains(&held))
                    })(),
                    None if field == "." => Some(true),
                    None => field.parse().ok().map(|user| whole.users.contains(&user)),
                };
                if set.turns == Turns::Count || is_there != Some(true) {
                    suspects.push(Suspect::Times(queue.clone(), field));
                }
            }
            suspects.extend(
                miscounted(reader, whole, queue, set.running_max.is_some() || limited > 0).await?,
            );
        }
        self.settle(reader, &suspects).await
    }
}

/// Users of whom another number of tasks is counted than have a lease.
async fn miscounted(
    reader: &Reader<'_>,
    whole: &Whole,
    queue: &Name,
    is_counted: bool,
) -> Result<Vec<Suspect>> {
    let counts = hash(reader, &reader.keys.running(queue)).await?;
    let mut counts: BTreeMap<UserId, u64> = counts
        .into_iter()
        .filter_map(|(user, count)| Some((user.parse().ok()?, count.parse().unwrap_or(0))))
        .collect();
    let mut odd = Vec::new();
    if is_counted {
        for ((_, user), leases) in whole.running.iter().filter(|((of, _), _)| of == queue) {
            if counts.remove(user) != Some(*leases) {
                odd.push(Suspect::Counted(queue.clone(), user.clone()));
            }
        }
    }
    // Counted and without a lease, or counted where nothing is.
    odd.extend(counts.into_keys().map(|user| Suspect::Counted(queue.clone(), user)));
    Ok(odd)
}

/// All of a hash.
async fn hash(reader: &Reader<'_>, key: &str) -> Result<BTreeMap<String, String>> {
    let (mut cursor, mut all) = ("0".to_owned(), BTreeMap::new());
    loop {
        let (next, found) = reader.scan("HSCAN", key, &cursor).await?;
        all.extend(found.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())));
        cursor = next;
        if cursor == "0" {
            return Ok(all);
        }
    }
}
