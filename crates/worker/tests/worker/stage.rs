//! A store, a way to hand tasks in, a way to look at them, and handlers made of closures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tasktonic_core::command::{Control, NewTask, Submit};
use tasktonic_core::policy::Backoff;
use tasktonic_core::reply::Submitted;
use tasktonic_core::routing::partition_of;
use tasktonic_core::{Labels, Name, TaskId, UserId};
use tasktonic_each_store::{On, Opened};
use tasktonic_protocol::policy::Rule;
use tasktonic_protocol::stored::{AttemptRecord, Descriptor, StoredState};
use tasktonic_protocol::worker::KindRecord;
use tasktonic_store::clock::Clock;
use tasktonic_store::model::ModelStore;
use tasktonic_store::{Query, QueryReply, Store};
use tasktonic_worker::testing::NoFiles;
use tasktonic_worker::{AnyHandler, Context, Failure, Outcome, RunError, Settings, Worker};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    pub(crate) store: Arc<dyn Store>,
    next: AtomicU64,
    /// What the store is on, if it is on anything.
    _under: Option<Opened>,
}

/// What a task looks like now.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) state: String,
    pub(crate) stored: Option<StoredState>,
    pub(crate) output: Option<String>,
}

/// A task to be.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) user: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) payload: Value,
    pub(crate) attempts_max: u32,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) soft_timeout_ms: Option<u64>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) crashes_max: Option<u32>,
    pub(crate) needs: &'static [&'static str],
}

pub(crate) fn draft(kind: &'static str) -> Draft {
    Draft {
        user: "ana",
        kind,
        payload: json!({}),
        attempts_max: 3,
        timeout_ms: None,
        soft_timeout_ms: None,
        rules: Vec::new(),
        crashes_max: None,
        needs: &[],
    }
}

pub(crate) fn now_ms() -> i64 {
    Clock::system().now_ms()
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::on(Arc::new(ModelStore::with_partitions(Clock::system(), crate::PARTITIONS)))
    }

    pub(crate) fn on(store: Arc<dyn Store>) -> Self {
        Self { store, next: AtomicU64::new(1), _under: None }
    }

    pub(crate) async fn over(on: On) -> Self {
        let under = on.open(crate::PARTITIONS).await;
        Self { store: under.store.clone(), next: AtomicU64::new(1), _under: Some(under) }
    }

    pub(crate) async fn submit(&self, draft: Draft) -> (UserId, TaskId) {
        let new = self.new_task(draft);
        let (user, task) = (new.user.clone(), new.task);
        let batch = Submit { created_ms: now_ms(), tasks: vec![new] };
        let p = partition_of(&user, self.store.partitions());
        assert_eq!(self.store.submit(p, batch).await.unwrap(), [Submitted::Accepted]);
        (user, task)
    }

    /// A task that is not yet submitted.
    pub(crate) fn new_task(&self, draft: Draft) -> NewTask {
        let user = UserId::encode(draft.user);
        let task = TaskId::new(now_ms(), self.next.fetch_add(1, Ordering::SeqCst));
        let kind: Name = draft.kind.parse().unwrap();
        let queue = kind.with_labels(&Labels::new(draft.needs).unwrap());
        let descriptor = Descriptor {
            v: Descriptor::V,
            kind: draft.kind.into(),
            queue: queue.to_string(),
            created_ms: now_ms(),
            attempts_max: draft.attempts_max,
            backoff: Some(Backoff::Fixed { wait_ms: 50, jitter: 0.0 }.into()),
            rules: draft.rules,
            crashes_max: draft.crashes_max,
            soft_timeout_ms: draft.soft_timeout_ms,
            timeout_ms: draft.timeout_ms,
            keep_s: None,
            schedule: None,
            due_ms: None,
            tags: Vec::new(),
            key: None,
            name: None,
            serial_key: None,
            priority: Default::default(),
            payload: to_raw_value(&draft.payload).unwrap(),
        };
        NewTask { lane_max: 20_000, ..NewTask::new(user, task, queue, descriptor.text()) }
    }

    pub(crate) async fn cancel(&self, (user, task): &(UserId, TaskId)) {
        let control = Control::Cancel {
            at_ms: now_ms(),
            user: user.clone(),
            tasks: vec![*task],
            body: "".into(),
            keep_s: 3_600,
        };
        let p = partition_of(user, self.store.partitions());
        self.store.control(p, control).await.unwrap();
    }

    pub(crate) async fn see(&self, (user, task): &(UserId, TaskId)) -> Seen {
        let query = Query::Tasks { user: user.clone(), tasks: vec![*task] };
        let p = partition_of(user, self.store.partitions());
        let QueryReply::Tasks(tasks) = self.store.read(p, query).await.unwrap() else {
            panic!("answered in kind")
        };
        let text = tasks.first().expect("it is there").state.clone();
        let stored: Option<StoredState> =
            text.as_deref().map(|text| serde_json::from_str(text).unwrap());
        Seen {
            state: stored.as_ref().map_or("queued".into(), |stored| stored.s.clone()),
            output: text
                .as_deref()
                .and_then(tasktonic_protocol::stored::output_of)
                .map(|output| output.get().to_owned()),
            stored,
        }
    }

    /// Waits until the task is in `state`.
    pub(crate) async fn wait(&self, task: &(UserId, TaskId), state: &str) -> Seen {
        self.wait_for(task, state, |seen| seen.state == state).await
    }

    pub(crate) async fn wait_for(
        &self,
        task: &(UserId, TaskId),
        what: &str,
        ready: impl Fn(&Seen) -> bool,
    ) -> Seen {
        let since = std::time::Instant::now();
        loop {
            let seen = self.see(task).await;
            if ready(&seen) {
                return seen;
            }
            assert!(since.elapsed() < SOON, "waited for {what}, saw {seen:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn attempts(&self, task: &(UserId, TaskId)) -> Vec<AttemptRecord> {
        let rows = self.attempt_rows(task).await;
        rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
    }

    /// The same, byte for byte.
    pub(crate) async fn attempt_rows(&self, (user, task): &(UserId, TaskId)) -> Vec<String> {
        let query = Query::Attempts { user: user.clone(), task: *task };
        let p = partition_of(user, self.store.partitions());
        let QueryReply::Attempts(rows) = self.store.read(p, query).await.unwrap() else {
            panic!("answered in kind")
        };
        rows.iter().map(|row| row.text.to_string()).collect()
    }

    pub(crate) async fn log(&self, (user, task): &(UserId, TaskId)) -> Vec<String> {
        let query = Query::Logs { user: user.clone(), task: *task, after: 0, limit: 10_000 };
        let p = partition_of(user, self.store.partitions());
        let QueryReply::Logs(logs) = self.store.read(p, query).await.unwrap() else {
            panic!("answered in kind")
        };
        let line = |text: &str| serde_json::from_str::<Value>(text).unwrap()["x"].clone();
        logs.lines.iter().map(|row| line(&row.text).as_str().unwrap().to_owned()).collect()
    }
}

/// A worker at work; dropping it stops it.
pub(crate) struct Running {
    stop: CancellationToken,
    service: JoinHandle<Result<(), RunError>>,
}

impl Running {
    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.service).await.unwrap().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn settings() -> Settings {
    Settings { concurrency: 4, drain: Duration::ZERO, ..Settings::new("the test machine") }
}

pub(crate) fn worker(
    store: Arc<dyn Store>,
    id: &str,
    settings: Settings,
    handlers: Vec<Arc<dyn AnyHandler>>,
) -> Worker {
    let worker = Worker::new(id.parse().unwrap(), store, Arc::new(NoFiles), settings);
    handlers.into_iter().fold(worker, Worker::register_any)
}

pub(crate) fn start(worker: Worker) -> Running {
    let stop = CancellationToken::new();
    Running { service: tokio::spawn(worker.run_until(stop.clone())), stop }
}

/// A handler of `kind` that does `run`.
pub(crate) fn handler<F>(
    kind: &str,
    run: impl Fn(Value, Context) -> F + Send + Sync + 'static,
) -> Arc<dyn AnyHandler>
where
    F: Future<Output = Result<Value, Failure>> + Send + 'static,
{
    Arc::new(Closure { kind: kind.into(), run })
}

struct Closure<R> {
    kind: String,
    run: R,
}

#[async_trait]
impl<R, F> AnyHandler for Closure<R>
where
    R: Fn(Value, Context) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Value, Failure>> + Send + 'static,
{
    fn record(&self) -> KindRecord {
        KindRecord { schema: json!({}), attempts_max: 3, ..KindRecord::new(self.kind.clone()) }
    }

    async fn run_any(&self, payload: &RawValue, cx: &Context) -> Outcome {
        let payload = serde_json::from_str(payload.get()).unwrap();
        match (self.run)(payload, cx.clone()).await {
            Ok(output) => Outcome::Completed(to_raw_value(&output).unwrap()),
            Err(failure) => Outcome::Failed(failure),
        }
    }
}
