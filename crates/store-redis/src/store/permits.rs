//! A limit over all users of a queue, shared by the partitions: who balances, when, and in which
//! steps. What the steps decide is in `permits` of `core`; what they change, in the scripts. Never
//! knows what a task is.
//!
//! Any process may balance, several at once, and each may end half way: see `core`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use parking_lot::Mutex;
use redis::{Pipeline, Value, cmd};
use tasktonic_core::Name;
use tasktonic_core::policy::permits::{
    Allowance, Asked, Pool, Raise, Seen, asked, covers, fitted, lowers, raises, targets, tells,
};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::settings::QueueSettings;
use tasktonic_store::{Error, Result};

use super::RedisStore;
use crate::durability;
use crate::keys::LimitKeys;
use crate::router::Place;
use crate::script::Script;
use crate::wire::{self, Uneven, items, number, parsed, strange, text, word};

/// A queue is balanced at most this often because of what calls find out, by all processes together.
const LATELY_MS: u64 = 100;
/// The mark of a second in which somebody balances what still is uneven is kept for this long.
const SECOND_KEPT_MS: u64 = 5_000;
/// How often one balance begins anew, where others change what it goes by.
const ROUNDS_MAX: usize = 6;
/// Numbers of a pool that is new are at least the time in ms, times this: above whatever was said of
/// one that is lost.
const NUMBERS_PER_MS: u64 = 1_000;

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

fn said(asked: u8) -> Asked {
    Asked { ends: asked & 1 > 0, quiet: asked & 2 > 0 }
}

/// What this process knows of its own balancing.
#[derive(Debug, Default)]
pub(crate) struct Permits {
    queues: Mutex<HashMap<Name, Arc<Turn>>>,
}

/// Of one queue.
#[derive(Debug, Default)]
struct Turn {
    /// Held by whoever balances because something was set.
    lock: tokio::sync::Mutex<()>,
    /// How many have begun, and the last of those that came to their end.
    begun: AtomicU64,
    done: AtomicU64,
    /// Whether somebody is at it because of what a call found out, and whether something was found out
    /// since.
    busy: AtomicBool,
    again: AtomicBool,
}

impl Permits {
    fn of(&self, queue: &Name) -> Arc<Turn> {
        self.queues.lock().entry(queue.clone()).or_default().clone()
    }
}

/// The partitions, as they were seen one after the other.
struct Looked {
    version: u64,
    limit: Option<u32>,
    seen: Vec<Option<Seen>>,
}

impl RedisStore {
    /// Balances a queue, and answers when that is done: what has been set holds then.
    pub(super) async fn balance_now(&self, queue: &Name) -> Result<()> {
        let turn = self.permits.of(queue);
        let before = turn.begun.load(Ordering::SeqCst);
        let _lock = turn.lock.lock().await;
        // One that began since has seen what this one would.
        if turn.done.load(Ordering::SeqCst) > before {
            return Ok(());
        }
        let number = turn.begun.fetch_add(1, Ordering::SeqCst) + 1;
        self.balance(queue).await?;
        turn.done.store(number, Ordering::SeqCst);
        Ok(())
    }

    /// Sees to it that queues are balanced soon; answers at once.
    pub(super) fn balance_later(&self, uneven: Uneven) {
        for (queues, is_found) in [(uneven.found, true), (uneven.still, false)] {
            for queue in queues {
                let turn = self.permits.of(&queue);
                turn.again.fetch_or(is_found, Ordering::SeqCst);
                if turn.busy.swap(true, Ordering::SeqCst) {
                    continue;
                }
                let store = self.clone();
                tokio::spawn(async move {
                    let ended = store.shared.ended.clone();
                    tokio::select! {
                        () = ended.cancelled() => {}
                        () = store.balance_in_turn(&queue, &turn, is_found) => {}
                    }
                });
            }
        }
    }

    /// Balances as long as calls find something out, together with all other processes not too often.
    async fn balance_in_turn(&self, queue: &Name, turn: &Turn, is_found: bool) {
        let mut found = is_found;
        loop {
            turn.again.store(false, Ordering::SeqCst);
            let outcome = async {
                if self.may_balance(queue, found).await? {
                    self.balance(queue).await?;
                }
                Ok::<_, Error>(())
            };
            if let Err(error) = outcome.await {
                // What is uneven is said again within a second.
                tracing::debug!(%queue, %error, "permits could not be balanced");
            }
            turn.busy.store(false, Ordering::SeqCst);
            let goes_on = turn.again.load(Ordering::SeqCst);
            if !goes_on || turn.busy.swap(true, Ordering::SeqCst) {
                return;
            }
            found = true;
        }
    }

    /// Whether it is this process that balances now. Where it is not, one that began later than this was
    /// asked does.
    async fn may_balance(&self, queue: &Name, is_found: bool) -> Result<bool> {
        let keys = LimitKeys::of(queue);
        if !is_found {
            return self.marks(queue, &keys.second(self.second()), SECOND_KEPT_MS).await;
        }
        if self.marks(queue, &keys.lately(), LATELY_MS).await? {
            return Ok(true);
        }
        // Whoever has marked it may have looked before: their mark is over after this.
        tokio::time::sleep(Duration::from_millis(LATELY_MS + 1)).await;
        self.marks(queue, &keys.lately(), LATELY_MS).await
    }

    /// Whether a mark was not there, and is now, for so long.
    async fn marks(&self, queue: &Name, key: &str, for_ms: u64) -> Result<bool> {
        let mut set = Pipeline::new();
        set.add_command(cmd("SET").arg(key).arg("1").arg("NX").arg("PX").arg(for_ms).clone());
        let place = Place::Slot(LimitKeys::of(queue).slot());
        let answers = self.shared.router.commands(place, &set, false).await?;
        Ok(matches!(answers[..], [Value::Okay]))
    }

    fn now_ms(&self) -> u64 {
        self.shared.options.clock.now_ms().max(0).unsigned_abs()
    }

    fn second(&self) -> u64 {
        self.now_ms() / 1_000
    }

    async fn balance(&self, queue: &Name) -> Result<()> {
        for _ in 0..ROUNDS_MAX {
            if self.balance_once(queue).await? {
                return Ok(());
            }
        }
        // Others are at it, or a slot is on its way: what is granted stays within the limit.
        Ok(())
    }

    /// One round; answers whether it came to its end. The pool is read first: then it is never newer
    /// than the partitions.
    async fn balance_once(&self, queue: &Name) -> Result<bool> {
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
        let promise = durability::promise(self.shared.options.class);
        let one = |(p, to, asked)| async move {
            let words = wire::permits(now_ms, queue, to, asked);
            let router = &self.shared.router;
            // Repeatable: under one number it is only ever less.
            let run = router.run_promised(PartitionId(p), Script::Control, &words, true, promise);
            let reply = run.await?;
            let [running, n, v, asked] = items(&reply)? else { return Ok((p, None)) };
            let allowance = Allowance { n: number(n)?, v: number(v)? };
            let asked = said(number(asked)?);
            Ok::<_, Error>((p, Some((number::<u32>(running)?, allowance, asked))))
        };
        // All are told, also where one of them cannot be reached.
        for answer in join_all(told.into_iter().map(one)).await {
            let (p, answer) = answer?;
            let of = &mut seen[usize::from(p)];
            *of = answer.map(|(running, allowance, asked)| Seen {
                allowance,
                running,
                asked,
                waiting: of.map_or(0, |seen| seen.waiting),
            });
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
        asked.hgetall(keys.pool());
        let answers = self.shared.router.commands(Place::Slot(keys.slot()), &asked, true).await?;
        let fields: BTreeMap<String, String> = match answers.first() {
            Some(Value::Map(pairs)) => pairs
                .iter()
                .map(|(field, value)| Ok((word(field)?.to_owned(), word(value)?.to_owned())))
                .collect::<Result<_>>()?,
            Some(other) => items(other)?
                .chunks_exact(2)
                .map(|pair| Ok((word(&pair[0])?.to_owned(), word(&pair[1])?.to_owned())))
                .collect::<Result<_>>()?,
            None => return Err(strange()),
        };
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
        let names = [keys.pool(), keys.canary()];
        let promise = durability::promise(self.shared.options.class);
        self.shared.router.run_in(keys.slot(), Script::Permits, &names, &args, promise).await
    }
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
