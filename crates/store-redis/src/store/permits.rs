//! A limit over all users of a queue, shared by the partitions: in which steps. Who takes them and
//! when, `balance` knows; what the steps decide is in `permits` of `core`; what they change, in the
//! scripts. Never knows what a task is.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::try_join_all;
use redis::{Pipeline, Value, cmd};
use tasktonic_core::Name;
use tasktonic_core::policy::permits::{
    Allowance, Asked, Pool, Raise, Seen, asked, covers, fitted, lowers, raises, targets, tells,
};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::settings::QueueSettings;
use tasktonic_store::Result;

use super::RedisStore;
use super::balance::{Answered, NUMBERS_PER_MS, ROUNDS_MAX, said};
use crate::durability;
use crate::keys::LimitKeys;
use crate::router::Place;
use crate::script::Script;
use crate::wire::{self, Shared, items, number, pairs, parsed, strange, text, word};

/// The field of `meta` that says how many tasks of a queue run, where something limits that.
pub(crate) fn total_field(queue: &Name) -> String {
    format!("t:{queue}")
}

/// What that field says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    /// Tasks that run.
    pub(crate) running: u32,
    /// What the partition has of the limit; absent where it has all of it. Nobody is said to wait.
    pub(crate) seen: Option<Seen>,
}

impl Running {
    /// Of its text.
    pub(crate) fn of(field: &str) -> Result<Self> {
        let mut parts = field.split(',');
        let running = parsed(parts.next().unwrap_or_default())?;
        let Some(n) = parts.next() else { return Ok(Self { running, seen: None }) };
        let mut next = || parts.next().unwrap_or_default();
        let (n, v, asked): (u32, u64, u8) = (parsed(n)?, parsed(next())?, parsed(next())?);
        let seen = Seen { allowance: Allowance { n, v }, running, waiting: 0, asked: said(asked) };
        Ok(Self { running, seen: Some(seen) })
    }
}

/// The partitions, as they were seen one after the other.
struct Looked {
    version: u64,
    limit: Option<u32>,
    seen: Vec<Option<Seen>>,
}

impl RedisStore {
    /// Balances the permits of a queue.
    pub(super) async fn balance_permits(&self, queue: &Name) -> Result<()> {
        for _ in 0..ROUNDS_MAX {
            if self.share_permits(queue).await? {
                return Ok(());
            }
        }
        // Others are at it, or a slot is on its way: what is granted stays within the limit.
        Ok(())
    }

    /// One round; answers whether it came to its end. The pool is read first: then it is never newer
    /// than the partitions.
    async fn share_permits(&self, queue: &Name) -> Result<bool> {
        let pool = self.pool(queue).await?;
        let Looked { version, limit, mut seen } = self.look(queue).await?;
        let Some(limit) = limit else {
            self.change(queue, "drop", &[version]).await?;
            return Ok(true);
        };
        let Some(pool) = pool else {
            self.make(queue, version, &seen).await?;
            return Ok(false);
        };
        let covers = covers(&pool, &seen);
        if pool.version != version || !covers.is_empty() {
            let mut words = vec![pool.version, version];
            put_all(&mut words, &covers);
            self.change(queue, "agree", &words).await?;
            return Ok(false);
        }

        let targets = targets(limit, &seen, self.second());
        let targets = fitted(limit, &pool, &seen, targets);
        let told = tells(&pool, &seen, &targets);
        let told = told.into_iter().map(|(p, to, asked)| (p, (Some(to.n), to.v), asked)).collect();
        self.tell(queue, told, &mut seen).await?;
        let (lowers, raises) = (lowers(&pool, &seen), raises(&seen, &targets));
        if lowers.is_empty() && raises.is_empty() {
            return Ok(true);
        }
        let mut words = vec![version, u64::from(limit)];
        put_all(&mut words, &lowers);
        words.push(raises.len() as u64);
        for Raise { p, to, seen } in &raises {
            words.extend([u64::from(*p), u64::from(*to), seen.v, u64::from(seen.n)]);
        }
        let reply = self.change(queue, "share", &words).await?;
        let raised = items(&reply)?;
        let Some((answer, raised)) = raised.split_first() else { return Err(strange()) };
        if word(answer)? != "1" {
            return Ok(false);
        }
        let asked = asked(&seen, &targets);
        let mut told = Vec::new();
        for (raise, to) in raises.iter().zip(raised.chunks_exact(2)) {
            if word(&to[0])?.is_empty() {
                continue;
            }
            let to = (Some(number(&to[0])?), number(&to[1])?);
            told.push((raise.p, to, asked[usize::from(raise.p)]));
        }
        self.tell(queue, told, &mut seen).await?;
        Ok(true)
    }

    /// Makes a pool that covers what the partitions have, once nothing that was said of an earlier one
    /// can reach them any more.
    async fn make(&self, queue: &Name, version: u64, seen: &[Option<Seen>]) -> Result<()> {
        let mut seen = seen.to_vec();
        let newest = seen.iter().flatten().map(|seen| seen.allowance.v).max().unwrap_or(0);
        let v = (newest + 1).max(self.now_ms() * NUMBERS_PER_MS);
        let numbered = (0_u16..).zip(&seen);
        let told = numbered.filter_map(|(p, seen)| Some((p, (None, v), (*seen)?.asked))).collect();
        self.tell(queue, told, &mut seen).await?;
        let kept = |(p, seen): (u16, Option<Seen>)| {
            let seen = seen?;
            Some((p, Allowance { n: seen.keeps(), v: seen.allowance.v }))
        };
        let grants: Vec<_> = (0_u16..).zip(seen).filter_map(kept).collect();
        let mut words = vec![version];
        put_all(&mut words, &grants);
        self.change(queue, "make", &words).await?;
        Ok(())
    }

    /// Tells partitions, and keeps in `seen` what they answer.
    async fn tell(
        &self,
        queue: &Name,
        told: Vec<(u16, (Option<u32>, u64), Asked)>,
        seen: &mut [Option<Seen>],
    ) -> Result<()> {
        let now_ms = self.shared.options.script_now_ms();
        let words = |(p, to, asked)| (p, wire::permits(now_ms, queue, to, asked));
        for (p, answer) in self.tell_partitions(told.into_iter().map(words)).await? {
            let of = &mut seen[usize::from(p)];
            let waiting = of.map_or(0, |seen| seen.waiting);
            *of = match answer {
                None => None,
                Some(Answered { count, n, v, asked }) => {
                    let n = u32::try_from(n).map_err(|_| strange())?;
                    let running = u32::try_from(count).map_err(|_| strange())?;
                    Some(Seen { allowance: Allowance { n, v }, running, waiting, asked })
                }
            };
        }
        Ok(())
    }

    /// The partitions, and what the newest of them knows of the limit.
    async fn look(&self, queue: &Name) -> Result<Looked> {
        let all = (0..self.shared.partitions()).map(PartitionId);
        let looks = try_join_all(all.map(|p| self.look_at(p, queue))).await?;
        let newest = looks.iter().max_by_key(|(version, ..)| *version);
        let (version, limit, _) = *newest.ok_or_else(strange)?;
        Ok(Looked { version, limit, seen: looks.into_iter().map(|(.., seen)| seen).collect() })
    }

    async fn look_at(
        &self,
        p: PartitionId,
        queue: &Name,
    ) -> Result<(u64, Option<u32>, Option<Seen>)> {
        let keys = self.keys(p)?;
        let mut asked = Pipeline::new();
        let fields = [format!("q:{queue}"), total_field(queue), "queues_version".to_owned()];
        asked.add_command(cmd("HMGET").arg(keys.meta()).arg(&fields).clone());
        asked.llen(keys.ring(queue));
        let answers = self.ask(p, &asked).await?;
        let [set, total, version] = items(&answers[0])? else { return Err(strange()) };
        let set = text(set)?.and_then(|field| field.split_once(','));
        let set: QueueSettings = set.map(|(_, set)| parsed(set)).transpose()?.unwrap_or_default();
        let version = text(version)?.map(parsed).transpose()?.unwrap_or(0);
        let limit = set.running_total_max;
        let seen = match (limit, text(total)?) {
            (Some(_), Some(field)) => Running::of(field)?.seen,
            _ => None,
        };
        let waiting = number(&answers[1])?;
        Ok((version, limit, seen.map(|seen| Seen { waiting, ..seen })))
    }

    /// The pool, if there is one.
    async fn pool(&self, queue: &Name) -> Result<Option<Pool>> {
        let keys = LimitKeys::of(queue);
        let mut asked = Pipeline::new();
        asked.hgetall(keys.pool(Shared::Permits));
        let answers = self.shared.router.commands(Place::Slot(keys.slot()), &asked, true).await?;
        let fields = fields_of(answers.first().ok_or_else(strange)?)?;
        let Some(version) = fields.get("version") else { return Ok(None) };
        let grant = |(field, text): (&String, &String)| {
            let p = field.strip_prefix('p')?.parse().ok()?;
            let (n, v) = text.split_once(',')?;
            Some((p, Allowance { n: n.parse().ok()?, v: v.parse().ok()? }))
        };
        let grants = fields.iter().filter_map(grant).collect();
        Ok(Some(Pool { version: parsed(version)?, grants }))
    }

    /// Changes the pool.
    async fn change(&self, queue: &Name, verb: &str, words: &[u64]) -> Result<Value> {
        let keys = LimitKeys::of(queue);
        let mut args = vec![Bytes::copy_from_slice(verb.as_bytes())];
        args.extend(words.iter().map(|word| Bytes::from(word.to_string())));
        let names = [keys.pool(Shared::Permits), keys.canary()];
        let promise = durability::promise(self.shared.options.class);
        self.shared.router.run_in(keys.slot(), Script::Permits, &names, &args, promise).await
    }
}

/// The fields of a pool.
pub(super) fn fields_of(answer: &Value) -> Result<BTreeMap<String, String>> {
    let of = |(field, value)| Ok((word(field)?.to_owned(), word(value)?.to_owned()));
    pairs(answer)?.into_iter().map(of).collect()
}

/// Adds a count and grants: partition, permits, number.
fn put_all(words: &mut Vec<u64>, grants: &[(u16, Allowance)]) {
    words.push(grants.len() as u64);
    for (p, Allowance { n, v }) in grants {
        words.extend([u64::from(*p), u64::from(*n), *v]);
    }
}

#[cfg(test)]
mod tests;
