//! Compares what is kept of each partition with itself, and repairs what contradicts itself: after
//! a key was lost or removed by hand, no task is stuck. Where nothing is wrong, it changes nothing.
//!
//! A pass reads in small chunks while everything goes on, so what looks wrong here may only be
//! half seen. Therefore it decides nothing: it names suspects, and a script looks again and
//! repairs in one step.

mod dates;
mod lanes;
mod lines;
mod links;
mod listed;
mod pass;
mod read;
mod schedules;
mod settings;
mod suspect;
mod tally;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use redis::{Pipeline, Value, cmd};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Name, UserId};
use tasktonic_store::{Error, Result};

use crate::keys::Keys;
use crate::open::{Options, Shared, items_of, text_of};
use crate::router::{Place, Router};
use crate::script::Script;
use crate::store::RedisStore;
use suspect::Suspect;

/// How often a partition is compared with itself, in ms.
pub(crate) const EVERY_MS: u64 = 30_000;
/// Suspects that one call of the script looks at.
const SUSPECTS_MAX: usize = 64;
/// Keys looked at by one command when lists are searched.
const SCANNED: usize = 1_000;
/// How long the process that makes a pass has it to itself, at least, in ms.
const TURN_MS: u64 = 25_000;
/// How often it says that its pass goes on, in ms.
const TURN_AGAIN_MS: u64 = 8_000;

/// What a lane's two numbers were, its length, and what they should have been.
type Odd = (String, u64, String);

/// See the module.
#[derive(Debug)]
pub(crate) struct Reconciler {
    router: Router,
    keys: Vec<Keys>,
    options: Options,
    repairs: Mutex<BTreeMap<String, u64>>,
    /// Lanes whose numbers looked wrong in the last pass. They are read while they change, so only
    /// what looks wrong in the same way twice is suspect.
    odd: Mutex<HashMap<(PartitionId, UserId, Name), Odd>>,
}

impl Reconciler {
    /// One for the partitions under `keys`.
    pub(crate) fn new(router: Router, keys: Vec<Keys>, options: Options) -> Self {
        Self { router, keys, options, repairs: Mutex::default(), odd: Mutex::default() }
    }

    /// What was repaired since this process opened the store, by name. Empty as long as nothing
    /// was ever wrong.
    pub(crate) fn repairs(&self) -> Vec<(String, u64)> {
        self.repairs.lock().iter().map(|(name, count)| (name.clone(), *count)).collect()
    }

    /// Has suspects looked at again, and answers how many were repaired.
    async fn settle(&self, reader: &read::Reader<'_>, suspects: &[Suspect]) -> Result<u64> {
        let p = reader.p;
        let mut repaired = 0;
        for suspects in suspects.chunks(SUSPECTS_MAX) {
            let now = self.options.script_now_ms().map(|now| now.to_string()).unwrap_or_default();
            let mut args = vec![Bytes::from(now), Bytes::from(suspects.len().to_string())];
            args.extend(suspects.iter().flat_map(Suspect::words));
            let since = Instant::now();
            // Repeatable: a second look finds what the first has repaired.
            let reply = self.router.run(p, Script::Repair, &args, true).await?;
            if let Value::ServerError(error) = &reply {
                return Err(Error::Unavailable(crate::errors::words(error)));
            }
            for (suspect, done) in suspects.iter().zip(items_of(&reply)) {
                let done = text_of(done);
                if done.is_empty() {
                    continue;
                }
                repaired += 1;
                tracing::warn!(partition = p.0, repair = done, ?suspect, "repaired the store");
                *self.repairs.lock().entry(done).or_default() += 1;
            }
            reader.rest(since).await;
        }
        Ok(repaired)
    }

    /// Finds the lists of ended tasks again, after the facts that name them were lost. It looks at
    /// every key of the server, which is why no ordinary pass does it.
    async fn find_lists(&self, reader: &read::Reader<'_>) -> Result<u64> {
        let base = format!("{}sweep:", reader.keys.base());
        let (mut cursor, mut repaired) = ("0".to_owned(), 0);
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(&cursor).arg("MATCH").arg(format!("{base}*")).arg("COUNT").arg(SCANNED);
            let reply = reader.one(&scan).await?;
            let parts = items_of(&reply);
            let names = parts.get(1).map(items_of).unwrap_or_default().iter().map(text_of);
            let found: Vec<Suspect> = names
                .filter_map(|name| name.strip_prefix(&base)?.parse().ok())
                .map(Suspect::Retention)
                .collect();
            repaired += self.settle(reader, &found).await?;
            cursor = parts.first().map(text_of).unwrap_or_default();
            if cursor == "0" || cursor.is_empty() {
                return Ok(repaired + self.settle(reader, &[Suspect::Searched]).await?);
            }
        }
    }

    /// Whether this process may make the next pass over `p`.
    async fn takes_turn(&self, p: PartitionId, me: &str) -> bool {
        let Some(keys) = self.keys.get(usize::from(p.0)) else { return false };
        let mut take = Pipeline::new();
        take.add_command(
            cmd("SET").arg(keys.repair_turn()).arg(me).arg("NX").arg("PX").arg(TURN_MS).clone(),
        );
        let taken = self.router.commands(Place::Partition(p), &take, false).await;
        matches!(taken.as_deref(), Ok([Value::Okay]))
    }

    /// Keeps the turn as long as it is polled. A turn that was lost all the same does no harm: two
    /// passes find the same, and what one repairs the other finds repaired.
    async fn keeps_turn(&self, p: PartitionId, me: &str) {
        let Some(keys) = self.keys.get(usize::from(p.0)) else { return };
        let (mut look, mut again) = (Pipeline::new(), Pipeline::new());
        look.add_command(cmd("GET").arg(keys.repair_turn()).clone());
        again.add_command(
            cmd("SET").arg(keys.repair_turn()).arg(me).arg("XX").arg("PX").arg(TURN_MS).clone(),
        );
        loop {
            tokio::time::sleep(Duration::from_millis(TURN_AGAIN_MS)).await;
            let holder = self.router.read(p, &look).await;
            if holder.is_ok_and(|holder| holder.first().map(text_of).as_deref() == Some(me)) {
                let _: Result<_> = self.router.commands(Place::Partition(p), &again, true).await;
            }
        }
    }
}

impl RedisStore {
    /// Compares partition `p` with itself once, now and without rest, and repairs what it finds.
    /// Answers how much that was: 0 when all is well.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn reconcile(&self, p: PartitionId) -> Result<u64> {
        self.shared.reconciler.pass(p, false).await
    }

    /// What was repaired since this process opened the store, by name.
    #[must_use]
    pub fn repairs(&self) -> Vec<(String, u64)> {
        self.shared.reconciler.repairs()
    }
}

/// Starts the loop; it ends with the store.
pub(crate) fn start(shared: &Arc<Shared>) {
    let Some(every) = shared.options.reconcile_every else { return };
    let ended = shared.ended.clone();
    let me = format!("{:016x}", rand::random::<u64>());
    for p in (0..shared.partitions()).map(PartitionId) {
        let (reconciler, ended, me) = (shared.reconciler.clone(), ended.clone(), me.clone());
        tokio::spawn(async move {
            // Not all partitions and processes at once.
            let mut pause = every.mul_f64(rand::random_range(0.1..1.0));
            loop {
                tokio::select! {
                    () = ended.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = every.max(Duration::from_millis(1));
                let pass = async {
                    if !reconciler.takes_turn(p, &me).await {
                        return;
                    }
                    let passed = tokio::select! {
                        passed = reconciler.pass(p, true) => passed,
                        () = reconciler.keeps_turn(p, &me) => return,
                    };
                    if let Err(error) = passed {
                        tracing::debug!(partition = p.0, %error, "a pass was cut short");
                    }
                };
                tokio::select! {
                    () = ended.cancelled() => return,
                    () = pass => {}
                }
            }
        });
    }
}
