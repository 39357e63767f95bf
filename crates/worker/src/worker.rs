//! A worker: handlers, settings, and the thread its loop runs on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tasktonic_core::ids::IdError;
use tasktonic_core::limits::{CLAIM_QUEUES_MAX, LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN};
use tasktonic_core::{LabelError, Labels, Name, WorkerId};
use tasktonic_files::TaskFiles;
use tasktonic_protocol::stored::worker_name;
use tasktonic_protocol::worker::{KindRecord, WorkerRecord};
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::announce::{Announcer, Runs};
use crate::attempt::Shop;
use crate::inputs::OfStore;
use crate::limits::heartbeat;
use crate::sync_loop::{Setup, SyncLoop};
use crate::{AnyHandler, Handler, Registered};

/// How a worker works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many places it has, 1 or more: attempts at once, where each takes one. See
    /// [`KindInfo::places`](crate::KindInfo::places).
    pub concurrency: u32,
    /// How long a claim may go without a heartbeat: 5 s to 1 h.
    pub lease: Duration,
    /// How long running attempts may go on after the worker was asked to stop.
    pub drain: Duration,
    /// What people see as who ran it, e.g. the machine's name.
    pub host: String,
    /// What it has, e.g. `gpu`: it takes tasks that need some of these beside those that need none.
    pub labels: Labels,
}

impl Settings {
    /// 8 places, leases of 10 s, a drain of 20 s.
    #[must_use]
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            concurrency: 8,
            lease: Duration::from_millis(LEASE_MS_DEFAULT.into()),
            drain: Duration::from_secs(20),
            host: host.into(),
            labels: Labels::default(),
        }
    }

    /// With these labels: at most 3, each 1 to 32 characters of `a-z 0-9 _ -`.
    ///
    /// # Errors
    /// [`LabelError`] where they are none.
    pub fn with_labels<T: AsRef<str>>(
        mut self,
        labels: impl IntoIterator<Item = T>,
    ) -> Result<Self, LabelError> {
        self.labels = Labels::new(labels)?;
        Ok(self)
    }
}

/// A worker in the making.
pub struct Worker {
    id: WorkerId,
    store: Arc<dyn Store>,
    files: Arc<dyn TaskFiles>,
    handlers: Vec<Arc<dyn AnyHandler>>,
    settings: Settings,
    clock: Clock,
}

impl Worker {
    /// A worker over `store` with a fresh random `id`.
    #[must_use]
    pub fn new(
        id: WorkerId,
        store: Arc<dyn Store>,
        files: Arc<dyn TaskFiles>,
        settings: Settings,
    ) -> Self {
        Self { id, store, files, handlers: Vec::new(), settings, clock: Clock::system() }
    }

    /// With another wall clock than the machine's.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds a handler.
    #[must_use]
    pub fn register(self, handler: impl Handler) -> Self {
        self.register_any(Arc::new(Registered(handler)))
    }

    /// Adds a handler of a kind that is known only now.
    #[must_use]
    pub fn register_any(mut self, handler: Arc<dyn AnyHandler>) -> Self {
        self.handlers.push(handler);
        self
    }

    /// Works until `stop`, then drains: claims nothing more, lets what runs end within
    /// [`Settings::drain`], and gives the rest back unharmed. It answers within the drain and a
    /// few seconds, also when the store does not.
    ///
    /// Handlers run on the runtime this is called from. Claims, heartbeats and reports run on a
    /// thread of their own, so that a handler that calculates for long loses no lease.
    ///
    /// # Errors
    /// [`RunError`]: the worker could not start. A store that does not answer is none; the worker
    /// waits for it as long as it takes.
    pub async fn run_until(self, stop: CancellationToken) -> Result<(), RunError> {
        let kinds: Vec<KindRecord> = self.handlers.iter().map(|handler| handler.record()).collect();
        let queues = check(&kinds, &self.settings)?;
        let Self { id, store, files, handlers, settings, clock } = self;
        let runs = Arc::new(Runs::default());
        let announcer = Announcer {
            store: store.clone(),
            clock: clock.clone(),
            worker: WorkerRecord {
                id: id.to_string(),
                host: settings.host.clone(),
                version: env!("CARGO_PKG_VERSION").into(),
                kinds: kinds.iter().map(|kind| kind.kind.clone()).collect(),
                labels: settings.labels.texts(),
                concurrency: settings.concurrency,
                running: 0,
                taken: None,
                seen_ms: 0,
            },
            runs: runs.clone(),
            kinds: kinds.clone(),
        };
        let shop = Shop {
            runtime: Handle::current(),
            files,
            inputs: Arc::new(OfStore(store.clone())),
            clock,
            mailbox: Arc::default(),
            name: worker_name(&settings.host, id.as_str()),
            heartbeat: heartbeat(settings.lease),
            rewinds: kinds
                .iter()
                .filter(|kind| kind.rewinds)
                .map(|kind| kind.kind.clone())
                .collect(),
            places: kinds.iter().map(|kind| (kind.kind.clone(), kind.places)).collect(),
        };
        let setup = Setup {
            id,
            store,
            handlers: kinds
                .into_iter()
                .map(|kind| kind.kind)
                .zip(handlers)
                .collect::<HashMap<_, _>>(),
            queues,
            concurrency: settings.concurrency,
            lease: settings.lease,
            drain: settings.drain,
            shop,
            runs,
        };
        // Whoever drops this future stops the worker too.
        let stop = stop.child_token();
        let _stop_on_drop = stop.clone().drop_guard();
        let (ended, end) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| RunError::Thread(e.to_string()))?;
        std::thread::Builder::new()
            .name("tasktonic-sync".into())
            .spawn(move || {
                let outcome = runtime.block_on(work(announcer, setup, stop));
                // Nothing that the store has left running here may hold the thread.
                runtime.shutdown_background();
                let _ = ended.send(outcome);
            })
            .map_err(|e| RunError::Thread(e.to_string()))?;
        end.await
            .unwrap_or_else(|_| Err(RunError::Thread("it panicked; its log says where".into())))
    }
}

async fn work(announcer: Announcer, setup: Setup, stop: CancellationToken) -> Result<(), RunError> {
    if !announcer.begin(&stop).await? {
        return Ok(());
    }
    let done = CancellationToken::new();
    let announcing = tokio::spawn(announcer.go_on(done.clone()));
    SyncLoop::new(setup).run(stop).await;
    done.cancel();
    let _ = announcing.await;
    Ok(())
}

/// The queues of these kinds, if a worker can serve them, each with how many places its tasks take: of
/// several kinds as many as the largest.
fn check(kinds: &[KindRecord], settings: &Settings) -> Result<Vec<(Name, u32)>, RunError> {
    let refuse = |text: String| Err(RunError::Handlers(text));
    if kinds.is_empty() {
        return refuse("a worker needs at least one handler; register one".into());
    }
    let mut seen = BTreeSet::new();
    let mut queues = BTreeMap::new();
    for record @ KindRecord { kind, queue, .. } in kinds {
        if let Some(fault) = record.policy().faults().first() {
            let (place, detail) = (fault.pointer.trim_start_matches('/'), &fault.detail);
            return refuse(format!("kind {kind}: {place} {detail}"));
        }
        for name in [kind, queue] {
            match name.parse::<Name>() {
                Ok(known) if known.is_plain() => {}
                _ => return refuse(format!("{name:?}: {}", IdError::Name)),
            }
        }
        match Labels::new(&record.needs) {
            Ok(needs) if settings.labels.have(&needs) => {}
            Ok(needs) => {
                tracing::info!(kind, %needs, "tasks of this kind need what this worker does not have; others take them");
            }
            Err(error) => return refuse(format!("kind {kind}: needs: {error}")),
        }
        if !seen.insert(kind) {
            return refuse(format!("two handlers of kind {kind}; register one of them"));
        }
        if let Some(fault) = record.fault_of_places() {
            return refuse(format!("kind {kind}: places {fault}"));
        }
        if record.places > settings.concurrency.max(1) {
            return refuse(too_large(record, settings.concurrency));
        }
        let queue = queue.parse::<Name>().expect("looked at above");
        for queue in queue.served_with(&settings.labels) {
            let places: &mut u32 = queues.entry(queue).or_default();
            *places = record.places.max(*places);
        }
    }
    if queues.len() > CLAIM_QUEUES_MAX {
        return refuse(too_many(&queues));
    }
    if settings.concurrency == 0 {
        return Err(RunError::Settings("the concurrency is 0; set it to 1 or more".into()));
    }
    let lease_ms = settings.lease.as_millis();
    if !(u128::from(LEASE_MS_MIN)..=u128::from(LEASE_MS_MAX)).contains(&lease_ms) {
        return Err(RunError::Settings(format!(
            "a lease of {lease_ms} ms; set it between {LEASE_MS_MIN} and {LEASE_MS_MAX}"
        )));
    }
    Ok(queues.into_iter().collect())
}

/// What to do about a kind whose tasks take more places than the worker has.
fn too_large(KindRecord { kind, places, .. }: &KindRecord, concurrency: u32) -> String {
    format!(
        "a task of kind {kind} takes {places} places, and this worker has {concurrency}; give it a \
         concurrency of {places} or more, or leave the kind to other workers"
    )
}

/// What to do about more queues than a worker can name.
fn too_many(queues: &BTreeMap<Name, u32>) -> String {
    let plain = queues.keys().filter(|queue| queue.is_plain()).count();
    let one_worker = format!("one worker serves at most {CLAIM_QUEUES_MAX}");
    if plain == queues.len() {
        return format!("{plain} queues; {one_worker}. Run a second one for the rest");
    }
    format!(
        "{plain} queues, and {} with its labels; {one_worker}, and each label doubles them. Run a \
         second one for some of the kinds, or give it fewer labels",
        queues.len()
    )
}

/// Why a worker could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Two handlers of one kind, no handler at all, a kind's name that is none, or one whose tasks take
    /// more places than there are.
    #[error("{0}")]
    Handlers(String),
    /// A setting out of its range.
    #[error("{0}")]
    Settings(String),
    /// A queue holds a kind that this worker has no handler for, and a worker cannot choose among
    /// the tasks of a queue.
    #[error(
        "queue {queue} also holds tasks of kind {kind}, for which this worker has no handler; \
         register one, or give its kinds a queue of their own"
    )]
    KindMissing {
        /// The kind.
        kind: String,
        /// The queue.
        queue: String,
    },
    /// The thread of the loop could not be made, or ended.
    #[error("the thread of the worker: {0}")]
    Thread(String),
}
