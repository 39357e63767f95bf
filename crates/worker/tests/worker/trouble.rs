//! Stores that give trouble, and what workers make of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::json;
use tasktonic_core::UserId;
use tasktonic_core::WorkerId;
use tasktonic_core::command::{Control, Report, Submit, Sync as SyncCommand};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::PartitionId;
use tasktonic_store::clock::Clock;
use tasktonic_store::model::ModelStore;
use tasktonic_store::{
    Durability, Error, EventStream, Query, QueryReply, Registry, Result, Store, SyncReply,
    WakeStream,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::stage::{Stage, draft, handler, settings, start, worker};

/// A sync that said how far a task is. It was sent between these two: not before the one before it
/// was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) after: Instant,
    pub(crate) by: Instant,
    /// It said nothing else and asked for nothing.
    pub(crate) only: bool,
}

/// A store that behaves as it is told.
pub(crate) struct Troubled {
    pub(crate) inner: Arc<dyn Store>,
    /// While false, syncs of the named worker wait before they are carried out.
    pub(crate) open: watch::Sender<bool>,
    pub(crate) waits: String,
    /// Syncs that wait, each with the number of its operations.
    pub(crate) waiting: Mutex<Vec<(u32, JoinHandle<Result<SyncReply>>)>>,
    /// Every n-th reply of a sync is lost; 0 for none.
    pub(crate) lose_every: u32,
    /// Syncs are not carried out at all.
    pub(crate) down: AtomicBool,
    /// Each sync takes this long.
    pub(crate) takes: Duration,
    /// Descriptors are handed out with this kind.
    pub(crate) kind: Option<String>,
    pub(crate) syncs: AtomicU32,
    /// Every sync that said how far a task is.
    pub(crate) told: Mutex<Vec<Told>>,
    /// When the last sync of each partition was answered.
    pub(crate) answered: Mutex<BTreeMap<PartitionId, Instant>>,
    pub(crate) at_once: AtomicU32,
    pub(crate) at_once_max: AtomicU32,
}

impl Troubled {
    pub(crate) fn on(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            open: watch::Sender::new(true),
            waits: String::new(),
            waiting: Mutex::default(),
            lose_every: 0,
            down: AtomicBool::new(false),
            takes: Duration::ZERO,
            kind: None,
            syncs: AtomicU32::new(0),
            told: Mutex::default(),
            answered: Mutex::default(),
            at_once: AtomicU32::new(0),
            at_once_max: AtomicU32::new(0),
        }
    }

    pub(crate) fn new() -> Self {
        Self::on(Arc::new(ModelStore::with_partitions(Clock::system(), crate::PARTITIONS)))
    }
}

/// A store that hands out tasks of another kind than it took.
pub(crate) fn renamed(inner: Arc<dyn Store>, kind: &str) -> Arc<dyn Store> {
    Arc::new(Troubled { kind: Some(kind.into()), ..Troubled::on(inner) })
}

#[async_trait]
impl Store for Troubled {
    async fn submit(&self, p: PartitionId, batch: Submit) -> Result<Vec<Submitted>> {
        self.inner.submit(p, batch).await
    }

    async fn sync(&self, p: PartitionId, request: SyncCommand) -> Result<SyncReply> {
        let number = self.syncs.fetch_add(1, Ordering::SeqCst) + 1;
        let by = Instant::now();
        if request.ops.iter().any(|op| matches!(op.report, Report::Progress { .. })) {
            let after = self.answered.lock().unwrap().get(&p).copied().unwrap_or(by);
            let only = request.ops.len() == 1 && request.claim.is_none();
            self.told.lock().unwrap().push(Told { after, by, only });
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(Error::Unavailable("it is down".into()));
        }
        if request.worker.as_str() == self.waits && !*self.open.borrow() {
            // Carried out all the same when its caller has given up, as on a slow network.
            let ops = u32::try_from(request.ops.len()).unwrap();
            let (inner, mut open) = (self.inner.clone(), self.open.subscribe());
            let late = tokio::spawn(async move {
                open.wait_for(|open| *open).await.expect("the store is there");
                inner.sync(p, request).await
            });
            self.waiting.lock().unwrap().push((ops, late));
            return std::future::pending().await;
        }
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.at_once_max.fetch_max(at_once, Ordering::SeqCst);
        tokio::time::sleep(self.takes).await;
        let mut reply = self.inner.sync(p, request).await;
        self.answered.lock().unwrap().insert(p, Instant::now());
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        if self.lose_every > 0 && number.is_multiple_of(self.lose_every) {
            return Err(Error::OutcomeUnknown);
        }
        if let (Ok(reply), Some(kind)) = (&mut reply, &self.kind) {
            for held in &mut reply.claimed {
                let mut text: serde_json::Value = serde_json::from_str(&held.descriptor).unwrap();
                text["k"] = json!(kind);
                held.descriptor = text.to_string().into();
            }
        }
        reply
    }

    async fn control(&self, p: PartitionId, control: Control) -> Result<Vec<Controlled>> {
        self.inner.control(p, control).await
    }

    async fn read(&self, p: PartitionId, query: Query) -> Result<QueryReply> {
        self.inner.read(p, query).await
    }

    fn wakes(&self, worker: &WorkerId) -> WakeStream {
        self.inner.wakes(worker)
    }

    fn events(&self, user: &UserId) -> EventStream {
        self.inner.events(user)
    }

    fn partitions(&self) -> u16 {
        self.inner.partitions()
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn registry(&self) -> &dyn Registry {
        self.inner.registry()
    }
}

#[tokio::test]
async fn lost_answers_cost_nobody_an_attempt_and_run_nothing_twice() {
    let stage = Stage::on(Arc::new(Troubled { lose_every: 3, ..Troubled::new() }));
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let quick = handler("quick", move |payload, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move { Ok(payload) }
    });
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![quick]));
    let mut tasks = Vec::new();
    for _ in 0..30 {
        tasks.push(stage.submit(draft("quick")).await);
    }
    for task in &tasks {
        let seen = stage.wait(task, "completed").await;
        assert_eq!(seen.stored.unwrap().a, 1);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 30);
}

#[tokio::test]
async fn an_end_is_kept_while_the_store_is_down_and_said_when_it_is_back() {
    let store = Arc::new(Troubled::new());
    let stage = Stage::on(store.clone());
    let down = store.clone();
    let ends = handler("ends", move |_, _| {
        down.down.store(true, Ordering::SeqCst);
        async { Ok(json!("done")) }
    });
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![ends]));
    let task = stage.submit(draft("ends")).await;
    let tried = store.clone();
    let waited = tokio::task::spawn_blocking(move || {
        let before = tried.syncs.load(Ordering::SeqCst);
        tasktonic_testkit::wait::until("some tries", Duration::from_secs(20), || {
            tried.down.load(Ordering::SeqCst) && tried.syncs.load(Ordering::SeqCst) > before + 4
        });
    });
    waited.await.unwrap();
    assert_eq!(stage.see(&task).await.state, "running");
    store.down.store(false, Ordering::SeqCst);
    let seen = stage.wait(&task, "completed").await;
    assert_eq!((seen.output.as_deref(), seen.stored.unwrap().a), (Some("\"done\""), 1));
}

#[tokio::test]
async fn one_sync_is_in_flight_and_everything_else_rides_in_the_next() {
    let takes = Duration::from_millis(20);
    let store = Arc::new(Troubled { takes, ..Troubled::new() });
    let stage = Stage::on(store.clone());
    let mut tasks = Vec::new();
    for _ in 0..200 {
        tasks.push(stage.submit(draft("quick")).await);
    }
    let quick = handler("quick", async |_, _| Ok(json!(0)));
    let settings = tasktonic_worker::Settings { concurrency: 50, ..settings() };
    let _running = start(worker(stage.store.clone(), "w-1", settings, vec![quick]));
    for task in &tasks {
        stage.wait(task, "completed").await;
    }
    let at_once_max = store.at_once_max.load(Ordering::SeqCst);
    assert!(at_once_max <= crate::PARTITIONS.into(), "{at_once_max} at once");
    let syncs = store.syncs.load(Ordering::SeqCst);
    assert!(syncs <= 40, "{syncs} syncs for 200 tasks, 50 at once");
}

#[tokio::test]
async fn an_idle_worker_does_not_poll() {
    let store = Arc::new(Troubled::new());
    let stage = Stage::on(store.clone());
    let quick = handler("quick", async |_, _| Ok(json!(0)));
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![quick]));
    let task = stage.submit(draft("quick")).await;
    stage.wait(&task, "completed").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = store.syncs.load(Ordering::SeqCst);
    // Time in which nothing happens is what this test is about.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(store.syncs.load(Ordering::SeqCst), before);
    let task = stage.submit(draft("quick")).await;
    let since = Instant::now();
    stage.wait(&task, "completed").await;
    assert!(since.elapsed() < Duration::from_secs(1), "it was woken");
}
