//! What is known of the store's health: which partitions answer, what the memory of their masters
//! is like, and whether the promised class holds. Asked in a loop, so that nobody who wants to
//! know has to wait; seldom while nobody wants to know, and not where calls are answered anyway.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::Value;
use tasktonic_core::routing::PartitionId;
use tasktonic_store::{Durability, Error, Health, Result};
use tokio::sync::Notify;

use crate::admission;
use crate::durability::{self, Standing};
use crate::open::{
    CONFIG_EVERY_MS, Class, Config, LOOK_EVERY_MS, REST_EVERY_MS, Shared, look_after_config,
    look_after_meta,
};

/// A partition that has not answered for this long is reported, in ms.
const SILENT_MS: u64 = 5_000;
/// Whoever wanted to know something is taken to want to know more for this long, in ms: longer than
/// anybody waits from one look at `/readyz` to the next.
const ATTENTIVE_MS: u64 = 15_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Watch {
    class: Class,
    declared: bool,
    parts: Vec<Part>,
    seen: Mutex<Seen>,
    began: Instant,
    /// When somebody last wanted to know something, ms since `began`.
    asked_ms: AtomicU64,
    /// Somebody wants to know something again.
    attention: Notify,
}

/// What is known of one partition, for calls.
#[derive(Debug, Default)]
struct Part {
    /// Whether submits are refused.
    full: AtomicBool,
    /// Whether it answered a call since the last look.
    heard: AtomicBool,
    /// A call found its facts missing.
    unready: Notify,
}

#[derive(Debug)]
struct Seen {
    standings: Vec<Standing>,
    /// What keeps the class from being kept.
    broken: Vec<String>,
    /// Per partition, since when it is waited for, and what it said instead of an answer; absent
    /// where the last look was answered.
    waiting: Vec<Option<(Instant, Option<String>)>>,
}

impl Watch {
    /// Knows nothing bad yet of so many partitions.
    pub(crate) fn new(partitions: u16, class: Class, declared: bool) -> Self {
        let count = usize::from(partitions);
        Self {
            class,
            declared,
            parts: (0..count).map(|_| Part::default()).collect(),
            seen: Mutex::new(Seen {
                standings: Vec::new(),
                broken: Vec::new(),
                waiting: vec![None; count],
            }),
            began: Instant::now(),
            asked_ms: AtomicU64::new(0),
            attention: Notify::new(),
        }
    }

    /// Somebody wants to know something.
    fn attend(&self) {
        let now_ms = self.now_ms();
        if now_ms.saturating_sub(self.asked_ms.swap(now_ms, Ordering::Relaxed)) > ATTENTIVE_MS {
            self.attention.notify_waiters();
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether somebody lately wanted to know something.
    fn is_attentive(&self) -> bool {
        self.now_ms().saturating_sub(self.asked_ms.load(Ordering::Relaxed)) <= ATTENTIVE_MS
    }

    /// The time from one look to the next: `every_ms`, or longer while nobody wants to know.
    async fn pause(&self, every_ms: u64) {
        let ms = if self.is_attentive() { every_ms } else { REST_EVERY_MS };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms)) => {}
            () = self.attention.notified() => {}
        }
    }

    /// A script was answered on partition `p`, so nobody needs to ask whether it answers; or it
    /// says that the facts are missing, and then they are wanted at once.
    pub(crate) fn heard(&self, p: PartitionId, reply: &Value) {
        let Some(part) = self.parts.get(usize::from(p.0)) else { return };
        match reply {
            Value::ServerError(error) if error.code() == "UNREADY" => part.unready.notify_one(),
            _ => part.heard.store(true, Ordering::Relaxed),
        }
    }

    /// Whether a submit to `p` may be tried.
    ///
    /// # Errors
    /// [`Error::Full`] while its master is above four fifths of its memory.
    pub(crate) fn admit(&self, p: PartitionId) -> Result<()> {
        self.attend();
        match self.parts.get(usize::from(p.0)) {
            Some(part) if part.full.load(Ordering::Relaxed) => Err(Error::Full),
            _ => Ok(()),
        }
    }

    /// How sure an accepted submit is now: the class, or the least while that is not kept.
    pub(crate) fn durability(&self) -> Durability {
        self.attend();
        if !self.seen.lock().broken.is_empty() {
            return Durability::Fast;
        }
        match self.class {
            Class::Fast => Durability::Fast,
            Class::Disk => Durability::Disk,
            Class::Replicated => Durability::Replicated,
        }
    }

    /// What operators should know.
    pub(crate) fn health(&self) -> Health {
        self.attend();
        let seen = self.seen.lock();
        let mut ready = true;
        let mut reasons = Vec::new();
        for (p, waiting) in seen.waiting.iter().enumerate() {
            let Some((since, said)) = waiting else { continue };
            let silent = since.elapsed();
            if silent > Duration::from_millis(SILENT_MS) {
                ready = false;
                let said = said.as_deref().unwrap_or("it does not answer");
                reasons.push(format!(
                    "partition {p} makes no progress for {} s: {said}",
                    silent.as_secs()
                ));
            }
        }
        for broken in &seen.broken {
            // Without replicas every submit would be answered "outcome unknown".
            ready &= self.class != Class::Replicated;
            reasons.push(format!("the class {} is not kept: {broken}", self.class.name()));
        }
        if seen.broken.is_empty() {
            reasons.extend(seen.standings.iter().filter_map(durability::evicting));
        }
        let fullest = admission::fullest(&seen.standings);
        if let Some((used, limit)) = fullest
            && used > limit
        {
            reasons.push(format!(
                "a server uses {used} bytes and submits are refused above {limit}; raise its \
                 maxmemory, or add masters"
            ));
        }
        Health {
            ready,
            reasons,
            bytes: fullest.map(|(used, _)| used),
            bytes_max: fullest.map(|(_, limit)| limit),
        }
    }

    /// Keeps what the masters said of themselves.
    pub(crate) fn standings(&self, shared: &Shared, standings: Vec<Standing>) {
        for (part, p) in self.parts.iter().zip((0..).map(PartitionId)) {
            let Some(master) = shared.router.master_of(p).map(|addr| addr.to_string()) else {
                continue;
            };
            if let Some(of) = standings.iter().find(|of| of.server == master) {
                part.full.store(admission::is_full(of), Ordering::Relaxed);
            }
        }
        self.seen.lock().standings = standings;
    }

    fn classes(&self) {
        let mut seen = self.seen.lock();
        let broken = durability::broken(self.class, &seen.standings, self.declared);
        if broken != seen.broken {
            for why in &broken {
                tracing::error!(class = self.class.name(), why, "the durability is not kept");
            }
            if broken.is_empty() {
                tracing::info!(class = self.class.name(), "the durability is kept again");
            }
        }
        seen.broken = broken;
    }

    /// Partition `p` is asked.
    fn asks(&self, p: PartitionId) {
        let mut seen = self.seen.lock();
        let Some(waiting) = seen.waiting.get_mut(usize::from(p.0)) else { return };
        waiting.get_or_insert_with(|| (Instant::now(), None));
    }

    fn answers(&self, p: PartitionId, answer: &Result<()>) {
        let mut seen = self.seen.lock();
        let Some(waiting) = seen.waiting.get_mut(usize::from(p.0)) else { return };
        match (answer, waiting) {
            (Ok(()), waiting) => *waiting = None,
            (Err(error), Some((_, said))) => *said = Some(error.to_string()),
            (Err(_), None) => {}
        }
    }
}

/// Looks at partition `p`, unless calls are answered there.
async fn look_at(shared: &Shared, p: PartitionId, config: &Mutex<Config>) {
    let (index, watch) = (usize::from(p.0), &shared.watch);
    let (Some(keys), Some(part)) = (shared.keys.get(index), watch.parts.get(index)) else { return };
    if part.heard.swap(false, Ordering::Relaxed) {
        watch.answers(p, &Ok(()));
        return;
    }
    watch.asks(p);
    let look = look_after_meta(&shared.router, p, keys, config, &shared.options);
    watch.answers(p, &look.await);
}

/// Starts the loops; they end with the store. Each partition has its own: one that does not
/// answer keeps no other waiting.
pub(crate) fn start(shared: &Arc<Shared>, config: Config) {
    let config = Arc::new(Mutex::new(config));
    for p in (0..shared.partitions()).map(PartitionId) {
        let config = config.clone();
        let pause = move |watch: Arc<Watch>| async move {
            match watch.parts.get(usize::from(p.0)) {
                Some(part) => tokio::select! {
                    () = part.unready.notified() => {}
                    () = watch.pause(LOOK_EVERY_MS) => {}
                },
                None => watch.pause(LOOK_EVERY_MS).await,
            }
        };
        every(shared, pause, move |shared| {
            let config = config.clone();
            async move { look_at(&shared, p, &config).await }
        });
    }
    let pause = |watch: Arc<Watch>| async move { watch.pause(CONFIG_EVERY_MS).await };
    every(shared, pause, move |shared| {
        let config = config.clone();
        async move { look_after_config(&shared.router, &config).await }
    });
    let pause = |watch: Arc<Watch>| async move {
        match watch.class {
            // Nothing is promised that could be lost meanwhile.
            Class::Fast => watch.pause(LOOK_EVERY_MS).await,
            _ => tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)).await,
        }
    };
    every(shared, pause, |shared| async move {
        let (standings, silent) = durability::survey(&shared.router, shared.options.class).await;
        // Of a master that said nothing it is not known whether it keeps the class.
        let all_spoke = silent.is_empty() && !standings.is_empty();
        shared.watch.standings(&shared, standings);
        if all_spoke {
            shared.watch.classes();
        }
    });
}

/// Looks again and again, after a pause each time, until the store ends.
fn every<P, L, Paused, Looked>(shared: &Arc<Shared>, pause: P, look: L)
where
    P: Fn(Arc<Watch>) -> Paused + Send + 'static,
    L: Fn(Arc<Shared>) -> Looked + Send + 'static,
    Paused: Future<Output = ()> + Send,
    Looked: Future<Output = ()> + Send,
{
    let (ended, watch) = (shared.ended.clone(), shared.watch.clone());
    // Whoever pauses does not keep the store open.
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = ended.cancelled() => return,
                () = pause(watch.clone()) => {}
            }
            let Some(shared) = shared.upgrade() else { return };
            tokio::select! {
                () = ended.cancelled() => return,
                () = look(shared) => {}
            }
        }
    });
}
