//! One attempt of a handler without a store, a worker or the time they take: for the tests of
//! handlers. It never knows leases that end or queues.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tasktonic_core::{Lease, TaskId, UserId};
use tasktonic_files::{Content, Error as FileError, FileId, FileMeta, TaskFiles};
use tasktonic_protocol::stored::{LogLevel, Progress};
use tokio_util::sync::CancellationToken;

use crate::context::{Inner, Reports, Stop, Trust, WhyStop};
use crate::inputs::{Given, TellsInputs};
use crate::registered::run_typed;
use crate::{AnyHandler, Context, Failure, Handler, Input, Outcome};

/// An attempt to be: set what matters to the test, then run a handler in it.
///
/// ```
/// # use tasktonic_worker::testing::Attempt;
/// # use serde_json::json;
/// let attempt = Attempt::new(json!({ "seconds": 3 })).user("ana").number(2).attempts_max(2);
/// let stop = attempt.cancel_token();
/// stop.cancel();
/// assert!(attempt.context().is_cancelled());
/// assert!(attempt.context().is_last_attempt());
/// ```
#[derive(Clone)]
pub struct Attempt {
    payload: Arc<RawValue>,
    lease: Lease,
    attempts_max: u32,
    files: Arc<dyn TaskFiles>,
    inputs: Arc<dyn TellsInputs>,
    cancel: CancellationToken,
    why: Arc<WhyStop>,
    seen: Arc<Seen>,
}

/// What came of an attempt.
#[derive(Debug)]
pub struct Ran {
    /// How it ended. A panic is a failed attempt of code `handler_panicked`, as in a worker.
    pub outcome: Outcome,
    /// Every progress in order, none left out.
    pub progress: Vec<Progress>,
    /// Every log line in order.
    pub logs: Vec<(LogLevel, String)>,
}

#[derive(Debug, Default)]
struct Seen {
    progress: Mutex<Vec<Progress>>,
    logs: Mutex<Vec<(LogLevel, String)>>,
}

struct Record(Arc<Seen>);

impl Reports for Record {
    fn progress(&self, progress: Progress) {
        self.0.progress.lock().push(progress);
    }

    fn log(&self, level: LogLevel, text: String) {
        self.0.logs.lock().push((level, text));
    }
}

/// Files for handlers that need none: there are none, and none can be kept.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

#[async_trait]
impl TaskFiles for NoFiles {
    async fn read(&self, _: &Lease, _: &FileId) -> Result<(FileMeta, Content), FileError> {
        Err(FileError::NotFound)
    }

    async fn keep(&self, _: &Lease, _: &str, _: Content) -> Result<FileMeta, FileError> {
        Err(FileError::Unavailable("this attempt has no files".into()))
    }
}

impl Attempt {
    /// The first of 5 attempts of user `ana`, with this payload and [`NoFiles`].
    ///
    /// # Panics
    /// If the payload cannot be written as JSON, which no [`Value`] does.
    #[must_use]
    pub fn new(payload: Value) -> Self {
        let payload = to_raw_value(&payload).expect("a JSON value can be written");
        Self {
            payload: payload.into(),
            lease: Lease {
                queue: "testing".parse().expect("a valid name"),
                user: UserId::encode("ana"),
                task: TaskId::new(1_700_000_000_000, 1),
                attempt: 1,
                claim: 1,
                worker: "in-testing".parse().expect("a valid worker id"),
                call: 1,
            },
            attempts_max: 5,
            files: Arc::new(NoFiles),
            inputs: Arc::new(Given(Vec::new())),
            cancel: CancellationToken::new(),
            why: Arc::default(),
            seen: Arc::default(),
        }
    }

    /// Of this user.
    #[must_use]
    pub fn user(mut self, subject: &str) -> Self {
        self.lease.user = UserId::encode(subject);
        self
    }

    /// Of this task.
    #[must_use]
    pub fn task(mut self, task: TaskId) -> Self {
        self.lease.task = task;
        self
    }

    /// Which attempt it is, from 1.
    #[must_use]
    pub fn number(mut self, attempt: u32) -> Self {
        self.lease.attempt = attempt;
        self
    }

    /// How many attempts there are in all.
    #[must_use]
    pub fn attempts_max(mut self, attempts_max: u32) -> Self {
        self.attempts_max = attempts_max;
        self
    }

    /// With these files.
    #[must_use]
    pub fn files(mut self, files: Arc<dyn TaskFiles>) -> Self {
        self.files = files;
        self
    }

    /// After these tasks.
    #[must_use]
    pub fn inputs(mut self, inputs: impl IntoIterator<Item = Input>) -> Self {
        self.inputs = Arc::new(Given(inputs.into_iter().collect()));
        self
    }

    /// Cancelling this token is cancelling the attempt, before or while it runs.
    #[must_use]
    pub fn cancel_token(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Tells the handler to stop, before or while it runs, and why.
    pub fn stop(&self, why: Stop) {
        self.why.say(why);
        self.cancel.cancel();
    }

    /// The progress so far, for looking while the handler runs (keep a clone of the attempt).
    #[must_use]
    pub fn progress_so_far(&self) -> Vec<Progress> {
        self.seen.progress.lock().clone()
    }

    /// The context the handler gets.
    #[must_use]
    pub fn context(&self) -> Context {
        let inner = Inner {
            lease: self.lease.clone(),
            epoch: 1,
            attempts_max: self.attempts_max,
            cancelled: self.cancel.clone(),
            why: self.why.clone(),
            phase: Mutex::default(),
            trust: Trust::for_ever(),
            reports: Box::new(Record(self.seen.clone())),
            files: self.files.clone(),
            inputs: self.inputs.clone(),
        };
        Context { inner: Arc::new(inner) }
    }

    /// Runs a handler once.
    pub async fn run(&self, handler: &impl Handler) -> Ran {
        let cx = self.context();
        self.watch(run_typed(handler, &self.payload, &cx)).await
    }

    /// Runs a handler of a kind that is known only now, once.
    pub async fn run_any(&self, handler: &dyn AnyHandler) -> Ran {
        let cx = self.context();
        self.watch(handler.run_any(&self.payload, &cx)).await
    }

    async fn watch(&self, run: impl Future<Output = Outcome>) -> Ran {
        let outcome = AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|_| {
            Outcome::Failed(Failure::attempt("handler_panicked", "The handler panicked."))
        });
        let progress = std::mem::take(&mut *self.seen.progress.lock());
        let logs = std::mem::take(&mut *self.seen.logs.lock());
        Ran { outcome, progress, logs }
    }
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt").field("lease", &self.lease).finish_non_exhaustive()
    }
}

impl Ran {
    /// The output of a completed attempt.
    ///
    /// # Panics
    /// If it did not complete.
    #[must_use]
    pub fn output(&self) -> Value {
        match &self.outcome {
            Outcome::Completed(output) => {
                serde_json::from_str(output.get()).expect("an output is JSON")
            }
            Outcome::Failed(failure) => panic!("the attempt ended with {failure:?}"),
        }
    }

    /// The failure of an attempt that did not complete.
    ///
    /// # Panics
    /// If it completed.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        match &self.outcome {
            Outcome::Failed(failure) => failure,
            Outcome::Completed(output) => panic!("the attempt completed with {output}"),
        }
    }
}
