//! A rate over all users of a queue, shared by the partitions: in which steps. Who takes them and when,
//! `balance` knows; what the steps decide is in `starts` of `core`; what they change, in the scripts.
//! Never knows what a task is.

use bytes::Bytes;
use futures_util::future::try_join_all;
use redis::{Pipeline, Value, cmd};
use tasktonic_core::Name;
use tasktonic_core::policy::gcra::Rate;
use tasktonic_core::policy::permits::Asked;
use tasktonic_core::policy::starts::{
    AHEAD_MS, Grant, Hand, Mark, Pool, Raise, Seen, Told, asked, ms_until, numbered, raises,
    targets, tells,
};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::settings::QueueSettings;
use tasktonic_store::Result;

use super::RedisStore;
use super::balance::{Answered, NUMBERS_PER_MS, ROUNDS_MAX, said};
use super::permits::{Running, fields_of, total_field};
use crate::durability;
use crate::keys::LimitKeys;
use crate::router::Place;
use crate::script::Script;
use crate::wire::{self, Shared, items, number, parsed, strange, text, word};

/// What is asked of a partition that was never told anything.
const UNTOLD: u8 = 4;

/// The field of `meta` that says what has started of a queue, where something limits in which time.
pub(crate) fn hand_field(queue: &Name) -> String {
    format!("r:{queue}")
}

/// What that field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Started {
    /// In the only partition: when all that started is made up for, µs of lease time.
    Full(i64),
    /// In one of several.
    Hand {
        /// What it has.
        hand: Hand,
        /// Whether it was never told anything.
        is_new: bool,
    },
}

impl Started {
    /// Of its text.
    pub(crate) fn of(field: &str) -> Result<Self> {
        let mut parts = field.split(',');
        let first = parts.next().unwrap_or_default();
        let Some(n) = parts.next() else { return Ok(Self::Full(parsed(first)?)) };
        let mut next = || parts.next().unwrap_or_default();
        let mark = Mark { n: parsed(n)?, v: parsed(next())? };
        let bits: u8 = parsed(next())?;
        let (limit, at) = (next(), next());
        let until = if at.is_empty() { None } else { Some((parsed(limit)?, parsed(at)?)) };
        let hand = Hand { started: parsed(first)?, mark, until, asked: said(bits) };
        Ok(Self::Hand { hand, is_new: bits & UNTOLD > 0 })
    }
}

/// The partitions, as they were seen one after the other.
struct Looked {
    version: u64,
    rate: Option<Rate>,
    seen: Vec<Option<Seen>>,
    /// Whether none of them was ever told anything.
    is_new: bool,
    /// Whether all of them know that version.
    is_agreed: bool,
}

/// One of them.
struct Look {
    version: u64,
    rate: Option<Rate>,
    seen: Option<Seen>,
    is_new: bool,
}

impl RedisStore {
    /// Balances the starts of a queue.
    pub(super) async fn balance_starts(&self, queue: &Name) -> Result<()> {
        for _ in 0..ROUNDS_MAX {
            if self.share_starts(queue).await? {
                return Ok(());
            }
        }
        // Others are at it, or a slot is on its way: what is granted stays within the rate.
        Ok(())
    }

    /// One round; answers whether it came to its end. The pool is read first: then it is never newer
    /// than the partitions.
    async fn share_starts(&self, queue: &Name) -> Result<bool> {
        let (pool, now_us) = self.starts(queue).await?;
        let Looked { version, rate, mut seen, is_new, is_agreed } =
            self.look_for_starts(queue).await?;
        let Some(rate) = rate else {
            self.change_starts(queue, "drop", vec![version.to_string()]).await?;
            return Ok(true);
        };
        let Some(mut pool) = pool else {
            self.make_starts(queue, version, rate, &seen, is_new).await?;
            return Ok(false);
        };
        if pool.version != version {
            // Before all have heard of another rate, some start by the former one.
            if !is_agreed {
                return Ok(false);
            }
            let mut words = self.rate_words(pool.version, rate);
            words.push(version.to_string());
            put_seen(&mut words, &numbered(&seen));
            self.change_starts(queue, "agree", words).await?;
            return Ok(false);
        }

        let before = pool.clone();
        pool.hear(now_us, &numbered(&seen));
        let targets = targets(&pool, rate, now_us, &seen);
        self.hand_out(queue, tells(&pool, now_us, &seen, &targets), &mut seen).await?;
        let raises = raises(&seen, &targets);
        pool.hear(now_us, &numbered(&seen));
        if raises.is_empty() && pool == before {
            return Ok(true);
        }
        let mut words = self.rate_words(version, rate);
        words.push((AHEAD_MS * 1_000).to_string());
        put_seen(&mut words, &numbered(&seen));
        words.push(raises.len().to_string());
        for Raise { p, by, v } in &raises {
            words.extend([p.to_string(), by.to_string(), v.to_string()]);
        }
        let reply = self.change_starts(queue, "share", words).await?;
        let raised = items(&reply)?;
        let Some((answer, raised)) = raised.split_first() else { return Err(strange()) };
        if word(answer)? != "1" {
            return Ok(false);
        }
        let asked = asked(&seen, &targets);
        let mut told = Vec::new();
        for (raise, to) in raises.iter().zip(raised.chunks_exact(3)) {
            if let Some(to) = told_of(to)? {
                told.push((raise.p, Told { asked: asked[usize::from(raise.p)], ..to }));
            }
        }
        self.hand_out(queue, told, &mut seen).await?;
        Ok(true)
    }

    /// Makes a pool, once nothing that was said of an earlier one can reach the partitions any more.
    async fn make_starts(
        &self,
        queue: &Name,
        version: u64,
        rate: Rate,
        seen: &[Option<Seen>],
        is_new: bool,
    ) -> Result<()> {
        let mut seen = seen.to_vec();
        let newest = seen.iter().flatten().map(|seen| seen.mark.v).max().unwrap_or(0);
        let v = (newest + 1).max(self.now_ms() * NUMBERS_PER_MS);
        let told = |(p, seen): (u16, Seen)| (p, Told { n: None, v, in_ms: 0, asked: seen.asked });
        let told = numbered(&seen).into_iter().map(told).collect();
        self.hand_out(queue, told, &mut seen).await?;
        let mut words = self.rate_words(version, rate);
        words.push(u8::from(is_new).to_string());
        put_seen(&mut words, &numbered(&seen));
        self.change_starts(queue, "make", words).await?;
        Ok(())
    }

    /// The version, the time, and the rate, as the script reads them.
    fn rate_words(&self, version: u64, rate: Rate) -> Vec<String> {
        let now_us = self.shared.options.script_now_ms().map(|now_ms| (now_ms * 1_000).to_string());
        let (emission_us, burst) = (rate.emission_us(), rate.burst);
        let now_us = now_us.unwrap_or_default();
        vec![version.to_string(), now_us, emission_us.to_string(), burst.to_string()]
    }

    /// Tells partitions, and keeps in `seen` what they answer.
    async fn hand_out(
        &self,
        queue: &Name,
        told: Vec<(u16, Told)>,
        seen: &mut [Option<Seen>],
    ) -> Result<()> {
        let now_ms = self.shared.options.script_now_ms();
        let words = |(p, told)| (p, wire::hand(now_ms, queue, told));
        for (p, answer) in self.tell_partitions(told.into_iter().map(words)).await? {
            let of = &mut seen[usize::from(p)];
            let waiting = of.map_or(0, |seen| seen.waiting);
            *of = answer.map(|Answered { count: started, n, v, asked }| {
                let mark = Mark { n, v };
                Seen { started, mark, waiting, asked }
            });
        }
        Ok(())
    }

    /// The partitions, and what the newest of them knows of the rate.
    async fn look_for_starts(&self, queue: &Name) -> Result<Looked> {
        let all = (0..self.shared.partitions()).map(PartitionId);
        let looks = try_join_all(all.map(|p| self.look_at_hand(p, queue))).await?;
        let newest = looks.iter().max_by_key(|look| look.version).ok_or_else(strange)?;
        let (version, rate) = (newest.version, newest.rate);
        let is_new = looks.iter().all(|look| look.is_new);
        let is_agreed = looks.iter().all(|look| look.version == version);
        let seen = looks.iter().map(|look| look.seen).collect();
        Ok(Looked { version, rate, is_new, is_agreed, seen })
    }

    async fn look_at_hand(&self, p: PartitionId, queue: &Name) -> Result<Look> {
        let keys = self.keys(p)?;
        let mut wanted = Pipeline::new();
        let fields = [
            format!("q:{queue}"),
            hand_field(queue),
            total_field(queue),
            "queues_version".to_owned(),
        ];
        wanted.add_command(cmd("HMGET").arg(keys.meta()).arg(&fields).clone());
        wanted.llen(keys.ring(queue));
        let answers = self.ask(p, &wanted).await?;
        let [set, hand, total, version] = items(&answers[0])? else { return Err(strange()) };
        let set = text(set)?.and_then(|field| field.split_once(','));
        let set: QueueSettings = set.map(|(_, set)| parsed(set)).transpose()?.unwrap_or_default();
        let version = text(version)?.map(parsed).transpose()?.unwrap_or(0);
        let rate = set.rate_total;
        let started = text(hand)?.filter(|_| rate.is_some()).map(Started::of).transpose()?;
        let (seen, is_new) = match started {
            Some(Started::Hand { hand: Hand { started, mark, asked, .. }, is_new }) => {
                (Some(Seen { started, mark, asked, waiting: 0 }), is_new)
            }
            _ => (None, true),
        };
        // Who waits for something else uses no start.
        let total = text(total)?.map(Running::of).transpose()?;
        let may_run = match (set.running_total_max, total) {
            (Some(max), Some(Running { running, seen })) => {
                running < seen.map_or(max, |seen| seen.allowance.n.min(max))
            }
            _ => true,
        };
        let waiting = if set.paused || !may_run { 0 } else { number(&answers[1])? };
        Ok(Look { version, rate, seen: seen.map(|seen| Seen { waiting, ..seen }), is_new })
    }

    /// The pool, if there is one, and the time there, µs.
    pub(super) async fn starts(&self, queue: &Name) -> Result<(Option<Pool>, i64)> {
        let keys = LimitKeys::of(queue);
        let mut wanted = Pipeline::new();
        wanted.hgetall(keys.pool(Shared::Starts));
        wanted.cmd("TIME");
        let answers = self.shared.router.commands(Place::Slot(keys.slot()), &wanted, true).await?;
        let [pool, time] = &answers[..] else { return Err(strange()) };
        let now_us = match self.shared.options.script_now_ms() {
            Some(now_ms) => now_ms * 1_000,
            None => {
                let [seconds, us] = items(time)? else { return Err(strange()) };
                number::<i64>(seconds)? * 1_000_000 + number::<i64>(us)?
            }
        };
        let fields = fields_of(pool)?;
        let (Some(version), Some(emission)) = (fields.get("version"), fields.get("emission"))
        else {
            return Ok((None, now_us));
        };
        let field = |name: &str| fields.get(name).map_or("0", String::as_str);
        let grant = |(field, text): (&String, &String)| {
            let p = field.strip_prefix('p')?.parse().ok()?;
            let mut parts = text.split(',').map(|part| part.parse::<u64>().ok());
            let mut next = || parts.next().flatten();
            let mark = Mark { n: next()?, v: next()? };
            let (used, at_us) = (next()?, next()?.try_into().ok()?);
            Some((p, Grant { mark, used, at_us }))
        };
        let pool = Pool {
            version: parsed(version)?,
            emission_us: parsed(emission)?,
            full_us: parsed(field("full"))?,
            grants: fields.iter().filter_map(grant).collect(),
        };
        Ok((Some(pool), now_us))
    }

    /// In how many ms a task may start that is the next of a partition, where that has a rate over all
    /// users; 0 where it may now.
    pub(super) async fn starts_in_ms(
        &self,
        queue: &Name,
        rate: Rate,
        started: Started,
        lt_ms: i64,
    ) -> Result<u64> {
        let hand = match started {
            Started::Full(full_us) => {
                let good_ms = rate.good_at_ms(full_us, lt_ms);
                return Ok(good_ms.saturating_sub(lt_ms).unsigned_abs());
            }
            Started::Hand { hand, .. } => hand,
        };
        if hand.room(lt_ms) > 0 {
            return Ok(0);
        }
        if let Some((_, at_ms)) = hand.until.filter(|_| hand.mark.n > hand.started) {
            return Ok(at_ms.saturating_sub(lt_ms).max(0).unsigned_abs());
        }
        // What others have in their hands is theirs: the next is the one after.
        let (pool, now_us) = self.starts(queue).await?;
        Ok(pool.map_or(0, |pool| ms_until(pool.next_us(rate, now_us), now_us)))
    }

    /// Changes the pool.
    async fn change_starts(&self, queue: &Name, verb: &str, words: Vec<String>) -> Result<Value> {
        let keys = LimitKeys::of(queue);
        let mut args = vec![Bytes::copy_from_slice(verb.as_bytes())];
        args.extend(words.into_iter().map(Bytes::from));
        let names = [keys.pool(Shared::Starts), keys.canary()];
        let promise = durability::promise(self.shared.options.class);
        self.shared.router.run_in(keys.slot(), Script::Starts, &names, &args, promise).await
    }
}

/// Adds a count and what partitions have: partition, started, mark, number.
fn put_seen(words: &mut Vec<String>, seen: &[(u16, Seen)]) {
    words.push(seen.len().to_string());
    for (p, Seen { started, mark, .. }) in seen {
        words.extend([u64::from(*p), *started, mark.n, mark.v].map(|word| word.to_string()));
    }
}

/// What the script answers of one that lacks something.
fn told_of(answer: &[Value]) -> Result<Option<Told>> {
    let [n, v, in_ms] = answer else { return Err(strange()) };
    if word(n)?.is_empty() {
        return Ok(None);
    }
    let (v, in_ms) = (number(v)?, number(in_ms)?);
    Ok(Some(Told { n: Some(number(n)?), v, in_ms, asked: Asked::default() }))
}

#[cfg(test)]
mod tests;
