//! Task Tonic over Redis with everything on: turns between users, leases that fence, the record
//! of every task, its events, its result. Submissions go to the store as the server's do.

#[path = "../../shared/peer.rs"]
mod peer;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use peer::{Draft, Log, Outcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tasktonic_core::command::{NewTask, Submit};
use tasktonic_core::limits::SUBMIT_TASKS_MAX;
use tasktonic_core::reply::Submitted;
use tasktonic_core::routing::partition_of;
use tasktonic_core::{Name, TaskId, UserId};
use tasktonic_protocol::stored::{Descriptor, SubmitEvent};
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tasktonic_store_redis::{Options, RedisStore};
use tasktonic_worker::testing::NoFiles;
use tasktonic_worker::{Context, Failure, Handler, KindInfo, Settings, Worker};
use tokio_util::sync::CancellationToken;

/// Users that the tasks belong to.
const USERS: u64 = 100;
const KIND: &str = "noop";
const ATTEMPTS_MAX: u32 = 5;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Noop {
    n: u64,
    at: u64,
    pad: String,
}

#[derive(Serialize)]
struct Done {
    n: u64,
}

struct Noops(Log);

#[async_trait]
impl Handler for Noops {
    type Payload = Noop;
    type Output = Done;

    fn info(&self) -> KindInfo {
        KindInfo::new(KIND)
    }

    async fn run(&self, task: Noop, _cx: &Context) -> Result<Done, Failure> {
        self.0.record(task.n, task.at);
        let time = peer::task_time();
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        Ok(Done { n: task.n })
    }
}

struct Library {
    store: RedisStore,
    clock: Clock,
    queue: Name,
    users: Vec<UserId>,
    sent: u64,
}

impl Library {
    /// Submits tasks of the user whose turn it is.
    async fn submit(&self, turn: u64, tasks: Vec<Draft>) -> Outcome<()> {
        let user = &self.users[usize::try_from(turn % USERS)?];
        let p = partition_of(user, self.store.partitions());
        let now_ms = self.clock.now_ms();
        let tasks: Vec<NewTask> = tasks
            .into_iter()
            .map(|task| self.new_task(user, task, now_ms))
            .collect::<Outcome<_>>()?;
        for submitted in self.store.submit(p, Submit { created_ms: now_ms, tasks }).await? {
            if submitted != Submitted::Accepted {
                return Err(format!("not accepted: {submitted:?}").into());
            }
        }
        Ok(())
    }

    fn new_task(
        &self,
        user: &UserId,
        Draft { n, at, pad }: Draft,
        now_ms: i64,
    ) -> Outcome<NewTask> {
        let queue = self.queue.to_string();
        let event = SubmitEvent {
            k: KIND.into(),
            q: None,
            max: ATTEMPTS_MAX,
            tags: Vec::new(),
            key: None,
            to: None,
        };
        let descriptor = Descriptor {
            v: Descriptor::V,
            kind: KIND.into(),
            queue,
            created_ms: now_ms,
            attempts_max: ATTEMPTS_MAX,
            backoff: None,
            rules: Vec::new(),
            crashes_max: None,
            timeout_ms: None,
            soft_timeout_ms: None,
            keep_s: None,
            schedule: None,
            due_ms: None,
            tags: Vec::new(),
            key: None,
            serial_key: None,
            priority: Default::default(),
            name: None,
            payload: serde_json::value::to_raw_value(&Noop { n, at, pad })?,
        };
        // Numbers of the bench are used once, which is what an id needs.
        let task = TaskId::new(now_ms, n);
        let mut new = NewTask::new(user.clone(), task, self.queue.clone(), descriptor.text());
        new.event = event.members();
        Ok(new)
    }
}

impl peer::Submit for Library {
    async fn one(&mut self, task: Draft) -> Outcome<()> {
        self.sent += 1;
        self.submit(self.sent, vec![task]).await
    }

    async fn many(&mut self, mut tasks: Vec<Draft>) -> Outcome<()> {
        let mut calls = Vec::new();
        while !tasks.is_empty() {
            let rest = tasks.split_off(tasks.len().min(SUBMIT_TASKS_MAX));
            self.sent += 1;
            calls.push((self.sent, std::mem::replace(&mut tasks, rest)));
        }
        try_join_all(calls.into_iter().map(|(turn, some)| self.submit(turn, some))).await?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let clock = Clock::system();
    let is_submitter = arguments[1] == "submit";
    let mut options = Options::new(clock.clone());
    if is_submitter {
        // Repairs are the worker's here, so that what an idle worker asks is asked once.
        options.reconcile_every = None;
    }
    let store = RedisStore::open(&peer::redis_url().parse()?, options).await?;
    if is_submitter {
        let users = (0..USERS).map(|n| UserId::encode(&format!("user-{n}"))).collect();
        let queue = KIND.parse()?;
        return peer::serve(Library { store, clock, queue, users, sent: 0 }).await;
    }
    let settings = Settings { concurrency: arguments[2].parse()?, ..Settings::new("bench") };
    let id = format!("bench-{}", std::process::id()).parse()?;
    let worker = Worker::new(id, Arc::new(store), Arc::new(NoFiles), settings);
    worker.register(Noops(Log::open())).run_until(CancellationToken::new()).await?;
    Ok(())
}
