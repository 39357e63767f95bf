//! What is over all users of a queue and shared by the partitions: who balances it, and when. In which
//! steps, `permits` and `starts` know. Any process may balance, several at once, and each may end half
//! way: see `core`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use redis::{Pipeline, Value, cmd};
use tasktonic_core::Name;
use tasktonic_core::policy::permits::Asked;
use tasktonic_core::routing::PartitionId;
use tasktonic_store::{Error, Result};

use super::RedisStore;
use crate::durability;
use crate::keys::LimitKeys;
use crate::router::Place;
use crate::script::Script;
use crate::wire::{Shared, Uneven, items, number};

/// How often one balance begins anew, where others change what it goes by.
pub(super) const ROUNDS_MAX: usize = 6;
/// Numbers of a pool that is new are at least the time in ms, times this: above whatever was said of
/// one that is lost.
pub(super) const NUMBERS_PER_MS: u64 = 1_000;
/// The mark of a second in which somebody balances what still is uneven is kept for this long.
const SECOND_KEPT_MS: u64 = 5_000;

impl Shared {
    /// A queue is balanced at most once in so many ms because of what calls find out, by all processes
    /// together.
    fn lately_ms(self) -> u64 {
        match self {
            Self::Permits => 100,
            // What is granted at once is for longer; of a small burst there is not so much.
            Self::Starts => 25,
        }
    }
}

/// What a partition has after it was told: how many run or have started, how many may under which
/// number, and what it is asked to say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    pub(super) count: u64,
    pub(super) n: u64,
    pub(super) v: u64,
    pub(super) asked: Asked,
}

pub(super) fn said(asked: u8) -> Asked {
    Asked { ends: asked & 1 > 0, quiet: asked & 2 > 0 }
}

/// What this process knows of its own balancing.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    turns: Mutex<HashMap<(Shared, Name), Arc<Turn>>>,
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

impl Balance {
    fn of(&self, what: Shared, queue: &Name) -> Arc<Turn> {
        self.turns.lock().entry((what, queue.clone())).or_default().clone()
    }
}

impl RedisStore {
    /// Balances a queue, and answers when that is done: what has been set holds then.
    pub(super) async fn balance_now(&self, what: Shared, queue: &Name) -> Result<()> {
        let turn = self.balance.of(what, queue);
        let before = turn.begun.load(Ordering::SeqCst);
        let _lock = turn.lock.lock().await;
        // One that began since has seen what this one would.
        if turn.done.load(Ordering::SeqCst) > before {
            return Ok(());
        }
        let number = turn.begun.fetch_add(1, Ordering::SeqCst) + 1;
        self.share(what, queue).await?;
        turn.done.store(number, Ordering::SeqCst);
        Ok(())
    }

    /// Sees to it that queues are balanced soon; answers at once.
    pub(super) fn balance_later(&self, uneven: Uneven) {
        for (queues, is_found) in [(uneven.found, true), (uneven.still, false)] {
            for (what, queue) in queues {
                let turn = self.balance.of(what, &queue);
                turn.again.fetch_or(is_found, Ordering::SeqCst);
                if turn.busy.swap(true, Ordering::SeqCst) {
                    continue;
                }
                let store = self.clone();
                tokio::spawn(async move {
                    let ended = store.shared.ended.clone();
                    tokio::select! {
                        () = ended.cancelled() => {}
                        () = store.balance_in_turn(what, &queue, &turn, is_found) => {}
                    }
                });
            }
        }
    }

    /// Balances as long as calls find something out, together with all other processes not too often.
    async fn balance_in_turn(&self, what: Shared, queue: &Name, turn: &Turn, is_found: bool) {
        let mut found = is_found;
        loop {
            turn.again.store(false, Ordering::SeqCst);
            let outcome = async {
                if self.may_balance(what, queue, found).await? {
                    self.share(what, queue).await?;
                }
                Ok::<_, Error>(())
            };
            if let Err(error) = outcome.await {
                // What is uneven is said again within a second.
                tracing::debug!(%queue, ?what, %error, "a limit over all users could not be balanced");
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
    async fn may_balance(&self, what: Shared, queue: &Name, is_found: bool) -> Result<bool> {
        let keys = LimitKeys::of(queue);
        if !is_found {
            return self.marks(queue, &keys.second(what, self.second()), SECOND_KEPT_MS).await;
        }
        let (lately, lately_ms) = (keys.lately(what), what.lately_ms());
        if self.marks(queue, &lately, lately_ms).await? {
            return Ok(true);
        }
        // Whoever has marked it may have looked before: their mark is over after this.
        tokio::time::sleep(Duration::from_millis(lately_ms + 1)).await;
        self.marks(queue, &lately, lately_ms).await
    }

    /// Whether a mark was not there, and is now, for so long.
    async fn marks(&self, queue: &Name, key: &str, for_ms: u64) -> Result<bool> {
        let mut set = Pipeline::new();
        set.add_command(cmd("SET").arg(key).arg("1").arg("NX").arg("PX").arg(for_ms).clone());
        let place = Place::Slot(LimitKeys::of(queue).slot());
        let answers = self.shared.router.commands(place, &set, false).await?;
        Ok(matches!(answers[..], [Value::Okay]))
    }

    /// Tells partitions, in the words of a verb of theirs, what they have from now on. What each answers:
    /// nothing where there is no such limit.
    pub(super) async fn tell_partitions(
        &self,
        told: impl Iterator<Item = (u16, Vec<Bytes>)>,
    ) -> Result<Vec<(u16, Option<Answered>)>> {
        let promise = durability::promise(self.shared.options.class);
        let one = |(p, words): (u16, Vec<Bytes>)| async move {
            let router = &self.shared.router;
            // Repeatable: under one number it is only ever less.
            let run = router.run_promised(PartitionId(p), Script::Control, &words, true, promise);
            let reply = run.await?;
            let [count, n, v, asked] = items(&reply)? else { return Ok((p, None)) };
            let (count, n, v) = (number(count)?, number(n)?, number(v)?);
            Ok((p, Some(Answered { count, n, v, asked: said(number(asked)?) })))
        };
        // All are told, also where one of them cannot be reached.
        join_all(told.map(one)).await.into_iter().collect()
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.shared.options.clock.now_ms().max(0).unsigned_abs()
    }

    pub(super) fn second(&self) -> u64 {
        self.now_ms() / 1_000
    }

    async fn share(&self, what: Shared, queue: &Name) -> Result<()> {
        match what {
            Shared::Permits => self.balance_permits(queue).await,
            Shared::Starts => self.balance_starts(queue).await,
        }
    }
}
