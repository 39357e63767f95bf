//! What is known of the store's health: which partitions answer, what the memory of their masters
//! is like, and whether the promised class holds. Asked in a loop, so that nobody who wants to
//! know has to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tasktonic_core::routing::PartitionId;
use tasktonic_store::{Durability, Error, Health, Result};

use crate::admission;
use crate::durability::{self, Standing};
use crate::open::{Class, Config, LOOK_EVERY_MS, Shared, look_after_config, look_after_meta};

/// A partition that has not answered for this long is reported, in ms.
const SILENT_MS: u64 = 5_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Watch {
    class: Class,
    declared: bool,
    /// Per partition, whether submits are refused.
    full: Vec<AtomicBool>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    standings: Vec<Standing>,
    /// What keeps the class from being kept.
    broken: Vec<String>,
    /// Per partition, when it last answered, and what it said instead since.
    answered: Vec<(Instant, Option<String>)>,
}

impl Watch {
    /// Knows nothing bad yet of so many partitions.
    pub(crate) fn new(partitions: u16, class: Class, declared: bool) -> Self {
        let count = usize::from(partitions);
        Self {
            class,
            declared,
            full: (0..count).map(|_| AtomicBool::new(false)).collect(),
            seen: Mutex::new(Seen {
                standings: Vec::new(),
                broken: Vec::new(),
                answered: vec![(Instant::now(), None); count],
            }),
        }
    }

    /// Whether a submit to `p` may be tried.
    ///
    /// # Errors
    /// [`Error::Full`] while its master is above four fifths of its memory.
    pub(crate) fn admit(&self, p: PartitionId) -> Result<()> {
        match self.full.get(usize::from(p.0)) {
            Some(full) if full.load(Ordering::Relaxed) => Err(Error::Full),
            _ => Ok(()),
        }
    }

    /// How sure an accepted submit is now: the class, or the least while that is not kept.
    pub(crate) fn durability(&self) -> Durability {
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
        let seen = self.seen.lock();
        let mut ready = true;
        let mut reasons = Vec::new();
        for (p, (when, said)) in seen.answered.iter().enumerate() {
            let silent = when.elapsed();
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
        for (full, p) in self.full.iter().zip((0..).map(PartitionId)) {
            let Some(master) = shared.router.master_of(p).map(|addr| addr.to_string()) else {
                continue;
            };
            if let Some(of) = standings.iter().find(|of| of.server == master) {
                full.store(admission::is_full(of), Ordering::Relaxed);
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

    fn answers(&self, p: PartitionId, answer: &Result<()>) {
        let mut seen = self.seen.lock();
        let Some(answered) = seen.answered.get_mut(usize::from(p.0)) else { return };
        match answer {
            Ok(()) => *answered = (Instant::now(), None),
            Err(error) => answered.1 = Some(error.to_string()),
        }
    }
}

/// Starts the loops; they end with the store. Each partition has its own: one that does not
/// answer keeps no other waiting.
pub(crate) fn start(shared: &Arc<Shared>, config: Config) {
    let config = Arc::new(Mutex::new(config));
    for p in (0..shared.partitions()).map(PartitionId) {
        let config = config.clone();
        every(shared, move |shared| {
            let config = config.clone();
            async move {
                let Some(keys) = shared.keys.get(usize::from(p.0)) else { return };
                let look = look_after_meta(&shared.router, p, keys, &config, &shared.options);
                shared.watch.answers(p, &look.await);
            }
        });
    }
    every(shared, move |shared| {
        let config = config.clone();
        async move { look_after_config(&shared.router, &config).await }
    });
    every(shared, |shared| async move {
        let (standings, silent) = durability::survey(&shared.router).await;
        // Of a master that said nothing it is not known whether it keeps the class.
        let all_spoke = silent.is_empty() && !standings.is_empty();
        shared.watch.standings(&shared, standings);
        if all_spoke {
            shared.watch.classes();
        }
    });
}

/// Looks again and again, until the store ends.
fn every<L, F>(shared: &Arc<Shared>, look: L)
where
    L: Fn(Arc<Shared>) -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let ended = shared.ended.clone();
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = ended.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)) => {}
            }
            let Some(shared) = shared.upgrade() else { return };
            tokio::select! {
                () = ended.cancelled() => return,
                () = look(shared) => {}
            }
        }
    });
}
