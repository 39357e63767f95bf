//! A store, users with tasks in it, and the product's own worker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::value::to_raw_value;
use tasktonic_bulk::Bulk;
use tasktonic_core::command::{
    Claim, Control, NewTask, Op, Report, Submit, Sync as SyncCommand, Write,
};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{TaskId, UserId, WorkerId};
use tasktonic_each_store::{On, Opened};
use tasktonic_protocol::http::{BULK_KIND, BulkDone, BulkFilter, BulkPayload, BulkVerb};
use tasktonic_protocol::task::Task;
use tasktonic_store::clock::Clock;
use tasktonic_store::{
    Counts, Durability, Error, EventStream, Held, Query, QueryReply, Registry, Store, SyncReply,
    TaskFilter, WakeStream,
};
use tasktonic_worker::testing::NoFiles;
use tasktonic_worker::{RunError, Settings, Worker};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long anything may take before the test fails: a deadline, no measurement.
const SOON: Duration = Duration::from_secs(120);
/// Partitions of the stores that can have several.
const PARTITIONS: u16 = 3;

pub(crate) struct Stage {
    pub(crate) store: Arc<dyn Store>,
    next: AtomicU64,
    /// What the store is on; ends with it.
    _under: Opened,
}

pub(crate) struct Running {
    stop: CancellationToken,
    working: JoinHandle<Result<(), RunError>>,
}

impl Running {
    /// A deploy: what it does is given back.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.working.await.unwrap().unwrap();
    }
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::encode(name)
}

pub(crate) fn now_ms() -> i64 {
    Clock::system().now_ms()
}

/// A filter that says something.
pub(crate) fn of_kind(kind: &str) -> BulkFilter {
    BulkFilter { kind: Some(kind.into()), ..BulkFilter::default() }
}

impl Stage {
    pub(crate) async fn over(on: On) -> Self {
        let under = on.open(PARTITIONS).await;
        Self { store: under.store.clone(), next: AtomicU64::new(1), _under: under }
    }

    /// The product's own worker.
    pub(crate) fn work(&self) -> Running {
        self.work_over(self.store.clone())
    }

    /// The same over a store that stops answering after so many changes.
    pub(crate) fn work_until(&self, controls: usize) -> Running {
        self.work_through(Arc::new(Semaphore::new(controls)))
    }

    /// The same over a store in which each change takes one of these.
    pub(crate) fn work_through(&self, left: Arc<Semaphore>) -> Running {
        self.work_over(Arc::new(Stuck { store: self.store.clone(), left }))
    }

    fn work_over(&self, store: Arc<dyn Store>) -> Running {
        let stop = CancellationToken::new();
        let settings = Settings { drain: Duration::ZERO, ..Settings::new("here") };
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let id = format!("w-{number}").parse().unwrap();
        let bulk = Arc::new(Bulk::new(store, Clock::system()));
        let worker = Worker::new(id, self.store.clone(), Arc::new(NoFiles), settings);
        let working = tokio::spawn(worker.register_any(bulk).run_until(stop.clone()));
        Running { stop, working }
    }

    async fn submit_as(&self, name: &str, kind: &str, texts: Vec<String>) -> Vec<TaskId> {
        let (user, mut ids) = (user(name), Vec::new());
        let p = partition_of(&user, self.store.partitions());
        for chunk in texts.chunks(128) {
            let new = |text: &String| {
                let task = TaskId::new(now_ms(), self.next.fetch_add(1, Ordering::SeqCst));
                let queue = kind.parse().unwrap();
                NewTask::new(user.clone(), task, queue, text.as_str())
            };
            let tasks: Vec<_> = chunk.iter().map(new).collect();
            ids.extend(tasks.iter().map(|task| task.task));
            let batch = Submit { created_ms: now_ms(), tasks };
            let answers = self.store.submit(p, batch).await.unwrap();
            assert!(answers.iter().all(|answer| *answer == Submitted::Accepted), "{answers:?}");
        }
        ids
    }

    /// So many tasks of a user.
    pub(crate) async fn submit(&self, name: &str, kind: &str, count: usize) -> Vec<TaskId> {
        let text = |n: usize| {
            let (at, tag) = (now_ms(), n % 2);
            format!(
                r#"{{"v":1,"k":"{kind}","q":"{kind}","at":{at},"max":2,"tags":["t{tag}"],"p":{{}}}}"#
            )
        };
        self.submit_as(name, kind, (0..count).map(text).collect()).await
    }

    /// An operation, asked for now.
    pub(crate) async fn order(&self, name: &str, verb: BulkVerb, filter: BulkFilter) -> TaskId {
        let payload = to_raw_value(&BulkPayload { verb, filter }).unwrap();
        let at = now_ms();
        let text = format!(
            r#"{{"v":1,"k":"{BULK_KIND}","q":"{BULK_KIND}","at":{at},"max":9,"p":{payload}}}"#
        );
        self.submit_as(name, BULK_KIND, vec![text]).await.remove(0)
    }

    async fn sync(&self, name: &str, ops: Vec<Op>, kind: &str, limit: u32) -> Vec<Held> {
        let claim = Claim::new(vec![kind.parse().unwrap()], limit);
        let request = SyncCommand {
            worker: "hand".parse().unwrap(),
            call: self.next.fetch_add(1, Ordering::SeqCst),
            lease_ms: 3_600_000,
            ops,
            claim: (limit > 0).then_some(claim),
            woken: Vec::new(),
            park: false,
        };
        let p = partition_of(&user(name), self.store.partitions());
        self.store.sync(p, request).await.unwrap().claimed
    }

    /// Takes up to `limit` tasks of a kind in the partition of a user.
    pub(crate) async fn claim(&self, name: &str, kind: &str, limit: usize) -> Vec<Held> {
        let mut held = Vec::new();
        loop {
            let left = u32::try_from((limit - held.len()).min(128)).unwrap();
            let more = self.sync(name, Vec::new(), kind, left).await;
            let is_last = more.is_empty();
            held.extend(more);
            if is_last || held.len() == limit {
                return held;
            }
        }
    }

    /// Buries what is held.
    pub(crate) async fn bury(&self, name: &str, held: &[Held]) {
        for chunk in held.chunks(128) {
            let op = |held: &Held| {
                let body = r#""st":5,"err":{"code":"bad","message":"it was bad"}"#.into();
                let write = Write { n: held.n + 1, body, event: None };
                Op { lease: held.lease.clone(), report: Report::Bury { write, keep_s: 86_400 } }
            };
            self.sync(name, chunk.iter().map(op).collect(), "none", 0).await;
        }
    }

    pub(crate) async fn cancel(&self, name: &str, task: TaskId) {
        let (user, body) = (user(name), "".into());
        let p = partition_of(&user, self.store.partitions());
        let control =
            Control::Cancel { at_ms: now_ms(), user, tasks: vec![task], body, keep_s: 3_600 };
        self.store.control(p, control).await.unwrap();
    }

    /// All tasks of a user as people see them.
    pub(crate) async fn all(&self, name: &str) -> BTreeMap<TaskId, Task> {
        let user = user(name);
        let p = partition_of(&user, self.store.partitions());
        let (mut found, mut cursor) = (BTreeMap::new(), None);
        loop {
            let filter = TaskFilter::default();
            let query = Query::List { user: user.clone(), filter, cursor, limit: 200 };
            let QueryReply::List(page) = self.store.read(p, query).await.unwrap() else { panic!() };
            for one in page.tasks {
                let (id, state) = (one.id.to_string(), one.state.as_deref());
                let asked = one.cancel_asked;
                let task = Task::from_stored(&id, &one.descriptor, state, asked, "", true).unwrap();
                found.insert(one.id, task);
            }
            cursor = page.next;
            if cursor.is_none() {
                return found;
            }
        }
    }

    /// How many tasks of a user there are, as the store counts them.
    pub(crate) async fn counts(&self, name: &str) -> Counts {
        let user = user(name);
        let p = partition_of(&user, self.store.partitions());
        let QueryReply::Counts(counts) = self.store.read(p, Query::Counts { user }).await.unwrap()
        else {
            panic!()
        };
        counts
    }

    /// One task of a user, once it is as `ready` says.
    pub(crate) async fn wait(&self, name: &str, id: TaskId, ready: impl Fn(&Task) -> bool) -> Task {
        let (user, since) = (user(name), std::time::Instant::now());
        let p = partition_of(&user, self.store.partitions());
        loop {
            let query = Query::Tasks { user: user.clone(), tasks: vec![id] };
            let QueryReply::Tasks(found) = self.store.read(p, query).await.unwrap() else {
                panic!()
            };
            let one = found.first().expect("it is there");
            let (text, state) = (one.id.to_string(), one.state.as_deref());
            let asked = one.cancel_asked;
            let task = Task::from_stored(&text, &one.descriptor, state, asked, "", true).unwrap();
            if ready(&task) {
                return task;
            }
            assert!(since.elapsed() < SOON, "it is {task:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// What an operation did, once it has.
    pub(crate) async fn done(&self, name: &str, id: TaskId) -> BulkDone {
        let task = self.wait(name, id, |task| task.ended_at.is_some()).await;
        let output = task.output.unwrap_or_else(|| panic!("{:?} {:?}", task.status, task.error));
        serde_json::from_str(output.get()).unwrap()
    }

    /// The log of a task.
    pub(crate) async fn log(&self, name: &str, task: TaskId) -> String {
        let user = user(name);
        let p = partition_of(&user, self.store.partitions());
        let query = Query::Logs { user, task, after: 0, limit: 100 };
        let QueryReply::Logs(logs) = self.store.read(p, query).await.unwrap() else { panic!() };
        logs.lines.iter().map(|line| line.text.to_string()).collect()
    }
}

/// A store that does not answer once it was asked to change something so often, until there is more
/// left.
struct Stuck {
    store: Arc<dyn Store>,
    left: Arc<Semaphore>,
}

#[async_trait]
impl Store for Stuck {
    async fn submit(&self, p: PartitionId, batch: Submit) -> Result<Vec<Submitted>, Error> {
        self.store.submit(p, batch).await
    }
    async fn sync(&self, p: PartitionId, request: SyncCommand) -> Result<SyncReply, Error> {
        self.store.sync(p, request).await
    }
    async fn control(&self, p: PartitionId, control: Control) -> Result<Vec<Controlled>, Error> {
        self.left.acquire().await.expect("it is not closed").forget();
        self.store.control(p, control).await
    }
    async fn read(&self, p: PartitionId, query: Query) -> Result<QueryReply, Error> {
        self.store.read(p, query).await
    }
    fn wakes(&self, worker: &WorkerId) -> WakeStream {
        self.store.wakes(worker)
    }
    fn events(&self, user: &UserId) -> EventStream {
        self.store.events(user)
    }
    fn partitions(&self) -> u16 {
        self.store.partitions()
    }
    fn durability(&self) -> Durability {
        self.store.durability()
    }
    fn registry(&self) -> &dyn Registry {
        self.store.registry()
    }
}
