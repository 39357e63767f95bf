//! What became of the tasks that a task waited for, as its handler reads them: one after the other, a
//! page at a time. Never knows which store tells it.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tasktonic_core::routing::partition_of;
use tasktonic_core::{Lease, TaskId};
use tasktonic_protocol::http::OnFailure;
use tasktonic_protocol::status::TaskStatus;
use tasktonic_protocol::stored::TaskError;
use tasktonic_protocol::worker::InputBody;
use tasktonic_store::inputs::InputsPage;
use tasktonic_store::limits::INPUTS_PAGE_MAX;
use tasktonic_store::{Error as StoreError, Query, QueryReply, Store};

use crate::limits::{
    INPUTS_ALL_BYTES_MAX, INPUTS_ASKED_MAX, INPUTS_WITHIN, STORE_WAIT_FIRST, STORE_WAIT_MAX,
};
use crate::{Context, Failure, Stop, output};

/// A task that the running one waited for, or a part of the batch that it is.
#[derive(Debug, Clone)]
pub struct Input {
    /// Which task.
    pub id: TaskId,
    /// What was to follow if it did not complete; absent for a part of a batch.
    pub on_failure: Option<OnFailure>,
    /// Its kind; absent once it was removed.
    pub kind: Option<String>,
    /// Its name in the flow or batch.
    pub name: Option<String>,
    /// How it ended; absent once it was removed.
    pub status: Option<TaskStatus>,
    /// What came out, byte for byte, also where it is kept as a file.
    pub output: Option<Box<RawValue>>,
    /// Its last error, if it failed.
    pub error: Option<TaskError>,
    /// Why it ended, where there is more to say.
    pub reason: Option<String>,
}

impl Input {
    /// A task that completed with this output, for the tests of handlers.
    ///
    /// # Panics
    /// If the output cannot be written as JSON, which no [`serde_json::Value`] does.
    #[must_use]
    pub fn completed(name: impl Into<String>, output: &serde_json::Value) -> Self {
        let output = serde_json::value::to_raw_value(output).expect("a JSON value can be written");
        Self {
            id: TaskId::new(1_700_000_000_000, 2),
            on_failure: Some(OnFailure::Fail),
            kind: Some("testing".into()),
            name: Some(name.into()),
            status: Some(TaskStatus::Completed),
            output: Some(output),
            error: None,
            reason: None,
        }
    }

    /// Whether it completed.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.status == Some(TaskStatus::Completed)
    }

    /// Its output; nothing where it has none.
    ///
    /// # Errors
    /// A final one of code `input_unreadable`: the output is of another form than `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        let Some(output) = &self.output else { return Ok(None) };
        // The text names the place, not the value: it may be nobody else's to see.
        serde_json::from_str(output.get()).map(Some).map_err(|error| {
            let what = self.name.clone().unwrap_or_else(|| self.id.to_string());
            let (line, column) = (error.line(), error.column());
            Failure::fatal(
                "input_unreadable",
                format!("The output of {what} is of another form (line {line}, column {column})."),
            )
        })
    }

    async fn of(cx: &Context, body: InputBody) -> Result<Self, Failure> {
        let InputBody { id, on_failure, kind, name, status, output, .. } = body;
        let InputBody { output_in_file, error, reason, .. } = body;
        let id = id.parse().map_err(|_| unavailable(&"the id of a task cannot be read"))?;
        let output = match output {
            Some(named) if output_in_file => {
                let whole = output::read(cx, &named).await;
                Some(whole.map_err(|error| unavailable(&format!("task {id}: {error}")))?)
            }
            other => other,
        };
        Ok(Self { id, on_failure, kind, name, status, output, error, reason })
    }
}

/// What became of the tasks that the running one waited for, in the order in which they were named;
/// of a batch its parts, oldest first. Nothing is read before the first is asked for, and no more
/// than a page is held.
#[derive(Debug)]
pub struct Inputs {
    cx: Context,
    page: VecDeque<InputBody>,
    from: From,
}

/// Where the next page begins.
#[derive(Debug, Clone, Copy)]
enum From {
    First,
    After(TaskId),
    Over,
}

impl Inputs {
    pub(crate) fn new(cx: Context) -> Self {
        Self { cx, page: VecDeque::new(), from: From::First }
    }

    /// The next one; nothing after the last, and nothing at all for a task that waited for nobody.
    /// A store that does not answer is asked again for a while.
    ///
    /// # Errors
    /// Of code `inputs_unavailable`, to be tried again, if the store does not answer; a final one of
    /// the same code if it never will. [`Failure::Cancelled`] once the lease is lost.
    pub async fn next(&mut self) -> Result<Option<Input>, Failure> {
        while self.page.is_empty() {
            let after = match self.from {
                From::First => None,
                From::After(task) => Some(task),
                From::Over => return Ok(None),
            };
            let InputsPage { inputs, next } = self.ask(after).await?;
            self.page = inputs.into();
            self.from = next.map_or(From::Over, From::After);
        }
        match self.page.pop_front() {
            Some(body) => Input::of(&self.cx, body).await.map(Some),
            None => Ok(None),
        }
    }

    /// All of them at once, where they are few.
    ///
    /// # Errors
    /// As [`Inputs::next`]; a final one of code `inputs_too_large` for outputs of more than
    /// [`INPUTS_ALL_BYTES_MAX`] bytes together.
    pub async fn all(mut self) -> Result<Vec<Input>, Failure> {
        let (mut all, mut bytes) = (Vec::new(), 0_usize);
        while let Some(input) = self.next().await? {
            bytes += INPUT_BYTES + input.output.as_ref().map_or(0, |output| output.get().len());
            if bytes > INPUTS_ALL_BYTES_MAX {
                return Err(Failure::fatal(
                    "inputs_too_large",
                    format!(
                        "The outputs of the tasks this one waited for have more than {INPUTS_ALL_BYTES_MAX} bytes together. Its handler has to read them one after the other."
                    ),
                ));
            }
            all.push(input);
        }
        Ok(all)
    }

    async fn ask(&self, after: Option<TaskId>) -> Result<InputsPage, Failure> {
        let mut wait = STORE_WAIT_FIRST;
        let mut asked = 0;
        loop {
            // Past its soft limit it may still finish.
            if self.cx.why_stop().is_some_and(|why| why != Stop::SoftLimit) {
                return Err(Failure::Cancelled);
            }
            let told = self.cx.inner.inputs.page(&self.cx.inner.lease, after);
            let told = tokio::time::timeout(INPUTS_WITHIN, told).await;
            asked += 1;
            match told.unwrap_or(Err(StoreError::OutcomeUnknown)) {
                Ok(Some(page)) => return Ok(page),
                // Nobody listens any more; the worker drops whatever is said.
                Ok(None) => return Err(Failure::Cancelled),
                Err(StoreError::Invalid(why)) => {
                    return Err(Failure::fatal(UNAVAILABLE, format!("{CANNOT}: {why}")));
                }
                Err(error) if asked >= INPUTS_ASKED_MAX => return Err(unavailable(&error)),
                Err(_) => {}
            }
            // Not all at once.
            tokio::time::sleep(wait.mul_f64(0.8 + 0.2 * rand::random::<f64>())).await;
            wait = (wait * 2).min(STORE_WAIT_MAX);
        }
    }
}

/// What one takes beside its output, in bytes, about.
const INPUT_BYTES: usize = 256;
const UNAVAILABLE: &str = "inputs_unavailable";
const CANNOT: &str = "What became of the tasks this one waited for could not be read";

fn unavailable(error: &dyn std::fmt::Display) -> Failure {
    Failure::attempt(UNAVAILABLE, format!("{CANNOT}: {error}"))
}

/// Whoever knows what became of the tasks that a held one waited for.
#[async_trait]
pub(crate) trait TellsInputs: Send + Sync {
    /// A page; nothing where the lease is not held.
    async fn page(
        &self,
        lease: &Lease,
        after: Option<TaskId>,
    ) -> tasktonic_store::Result<Option<InputsPage>>;
}

/// The store itself.
pub(crate) struct OfStore(pub(crate) Arc<dyn Store>);

#[async_trait]
impl TellsInputs for OfStore {
    async fn page(
        &self,
        lease: &Lease,
        after: Option<TaskId>,
    ) -> tasktonic_store::Result<Option<InputsPage>> {
        let query = Query::Inputs { lease: lease.clone(), after, limit: INPUTS_PAGE_MAX };
        match self.0.read(partition_of(&lease.user, self.0.partitions()), query).await? {
            QueryReply::Inputs(page) => Ok(page),
            _ => Err(StoreError::Unavailable("the store answered another question".into())),
        }
    }
}

/// What a test says.
pub(crate) struct Given(pub(crate) Vec<Input>);

#[async_trait]
impl TellsInputs for Given {
    async fn page(
        &self,
        _: &Lease,
        _: Option<TaskId>,
    ) -> tasktonic_store::Result<Option<InputsPage>> {
        let told = |input: &Input| {
            let Input { id, on_failure, kind, name, status, output, error, reason } = input.clone();
            let id = id.to_string();
            let output_in_file = false;
            InputBody { id, on_failure, kind, name, status, output, output_in_file, error, reason }
        };
        let inputs = self.0.iter().map(told).collect();
        Ok(Some(InputsPage { inputs, next: None }))
    }
}
