//! What a handler is told of the tasks that its own waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};
use tasktonic_core::command::{After, Control, Gathers, Node, Submit, Sync};
use tasktonic_core::links::OnFailure;
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{TaskId, UserId, WorkerId};
use tasktonic_store::clock::Clock;
use tasktonic_store::model::ModelStore;
use tasktonic_store::{
    Durability, Error, EventStream, Query, QueryReply, Registry, Result, Store, SyncReply,
    WakeStream,
};
use tasktonic_worker::Failure;
use tasktonic_worker::limits::INPUTS_ASKED_MAX;

use super::stage::{Draft, Stage, draft, handler, now_ms, settings, start, worker};

fn with(kind: &'static str, payload: Value) -> Draft {
    Draft { payload, ..draft(kind) }
}

impl Stage {
    /// Submits tasks of one user that wait for each other.
    pub(crate) async fn submit_tied(&self, nodes: Vec<Node>) {
        let user = nodes[0].new.user.clone();
        let p = partition_of(&user, self.store.partitions());
        let count = nodes.len();
        let control = Control::Flow { at_ms: now_ms(), user, nodes };
        assert_eq!(self.store.control(p, control).await.unwrap(), vec![Controlled::Done; count]);
    }

    /// A task that comes after these.
    pub(crate) fn node(&self, draft: Draft, after: &[TaskId]) -> Node {
        let after = after.iter().map(|task| After { task: *task, on_failure: OnFailure::Continue });
        let new = self.new_task(draft);
        Node { new, part_of: None, gathers: None, after: after.collect() }
    }
}

/// A store that does not answer what became of others so many times.
struct Silent {
    store: ModelStore,
    left: AtomicU32,
    asked: AtomicU32,
}

impl Silent {
    fn new(times: u32) -> Arc<Self> {
        let store = ModelStore::with_partitions(Clock::system(), crate::PARTITIONS);
        Arc::new(Self { store, left: AtomicU32::new(times), asked: AtomicU32::new(0) })
    }
}

#[async_trait]
impl Store for Silent {
    async fn submit(&self, p: PartitionId, batch: Submit) -> Result<Vec<Submitted>> {
        self.store.submit(p, batch).await
    }

    async fn sync(&self, p: PartitionId, request: Sync) -> Result<SyncReply> {
        self.store.sync(p, request).await
    }

    async fn control(&self, p: PartitionId, control: Control) -> Result<Vec<Controlled>> {
        self.store.control(p, control).await
    }

    async fn read(&self, p: PartitionId, query: Query) -> Result<QueryReply> {
        if matches!(query, Query::Inputs { .. }) {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let left = |left: u32| left.checked_sub(1);
            if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok() {
                return Err(Error::Unavailable("it is away".into()));
            }
        }
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

/// Handlers of a number, of what always fails, and of the sum of those before.
fn crew() -> Vec<Arc<dyn tasktonic_worker::AnyHandler>> {
    vec![
        handler("number", async |payload, _| Ok(payload["n"].clone())),
        handler("broken", async |_, _| Err(Failure::fatal("boom", "It broke."))),
        handler("sum", async |_, cx| {
            let (mut sum, mut failed) = (0, Vec::new());
            let mut inputs = cx.inputs();
            while let Some(input) = inputs.next().await? {
                match input.read::<u64>()? {
                    Some(n) => sum += n,
                    None => failed.push(input.error.map(|error| error.code)),
                }
            }
            Ok(json!({ "sum": sum, "failed": failed }))
        }),
    ]
}

#[tokio::test]
async fn a_handler_reads_the_outputs_of_those_its_task_came_after() {
    let stage = Stage::new();
    let _running = start(worker(stage.store.clone(), "w-1", settings(), crew()));
    let nodes: Vec<_> =
        (1..=3).map(|n| stage.node(with("number", json!({ "n": n })), &[])).collect();
    let broken = stage.node(draft("broken"), &[]);
    let mut before: Vec<_> = nodes.iter().map(|node| node.new.task).collect();
    before.push(broken.new.task);
    let sum = stage.node(draft("sum"), &before);
    let task = (sum.new.user.clone(), sum.new.task);
    stage.submit_tied(nodes.into_iter().chain([broken, sum]).collect()).await;
    let seen = stage.wait(&task, "completed").await;
    assert_eq!(seen.output.as_deref(), Some(r#"{"failed":["boom"],"sum":6}"#));
    // One that waited for nobody is told of nobody.
    let alone = stage.submit(draft("sum")).await;
    let seen = stage.wait(&alone, "completed").await;
    assert_eq!(seen.output.as_deref(), Some(r#"{"failed":[],"sum":0}"#));
}

#[tokio::test]
async fn what_follows_ten_thousand_tasks_reads_every_output_once() {
    const PARTS: u64 = 10_000;
    let stage = Stage::new();
    let mut root = stage.node(draft("sum"), &[]);
    root.gathers = Some(Gathers::Batch { runs: true });
    let batch = (root.new.user.clone(), root.new.task);
    stage.submit_tied(vec![root]).await;
    let numbers: Vec<u64> = (0..PARTS).collect();
    for some in numbers.chunks(100) {
        let part = |n: &u64| {
            let mut node = stage.node(with("number", json!({ "n": n })), &[]);
            node.part_of = Some(batch.1);
            node
        };
        stage.submit_tied(some.iter().map(part).collect()).await;
    }
    let seal = Control::Seal { at_ms: now_ms(), user: batch.0.clone(), task: batch.1 };
    let p = partition_of(&batch.0, stage.store.partitions());
    stage.store.control(p, seal).await.unwrap();
    let _running = start(worker(stage.store.clone(), "w-1", settings(), crew()));
    let seen = stage.wait(&batch, "completed").await;
    let sum = PARTS * (PARTS - 1) / 2;
    assert_eq!(seen.output, Some(format!(r#"{{"failed":[],"sum":{sum}}}"#)));
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_asked_again_and_nobody_asks_for_nothing() {
    for (away, state) in [(2, "completed"), (INPUTS_ASKED_MAX * 100, "scheduled")] {
        let silent = Silent::new(away);
        let stage = Stage::on(silent.clone());
        let _running = start(worker(stage.store.clone(), "w-1", settings(), crew()));
        let number = stage.node(with("number", json!({ "n": 7 })), &[]);
        let sum = stage.node(draft("sum"), &[number.new.task]);
        let task = (sum.new.user.clone(), sum.new.task);
        stage.submit_tied(vec![number, sum]).await;
        let what = format!("{state} after {away} silences");
        let seen = stage
            .wait_for(&task, &what, |seen| {
                let code = seen.stored.as_ref().and_then(|stored| stored.body.err.as_ref());
                seen.state == "completed"
                    || code.is_some_and(|error| error.code == "inputs_unavailable")
            })
            .await;
        assert_eq!(seen.state == "completed", state == "completed", "{seen:?}");
    }
    // A handler that does not look costs nothing.
    let silent = Silent::new(0);
    let stage = Stage::on(silent.clone());
    let _running = start(worker(stage.store.clone(), "w-1", settings(), crew()));
    let task = stage.submit(with("number", json!({ "n": 7 }))).await;
    let seen = stage.wait(&task, "completed").await;
    assert_eq!(
        (seen.stored.unwrap().body.st.is_some(), silent.asked.load(Ordering::SeqCst)),
        (true, 0)
    );
    assert_eq!(seen.output.as_deref(), Some("7"));
}

#[tokio::test]
async fn an_output_of_another_form_is_final_and_says_nothing_of_its_value() {
    let stage = Stage::new();
    let _running = start(worker(stage.store.clone(), "w-1", settings(), crew()));
    let text = stage.node(with("number", json!({ "n": "the secret 4711" })), &[]);
    let sum = stage.node(draft("sum"), &[text.new.task]);
    let task = (sum.new.user.clone(), sum.new.task);
    stage.submit_tied(vec![text, sum]).await;
    let error = stage.wait(&task, "dead").await.stored.unwrap().body.err.unwrap();
    assert_eq!(error.code, "input_unreadable");
    assert!(!error.message.contains("4711"), "{}", error.message);
}
