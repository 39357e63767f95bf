//! Handing tasks over, each once however often the line breaks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::value::RawValue;
use tasktonic_protocol::http::{
    BATCH_TASKS_MAX, BatchItem, BatchReply, BatchRequest, SubmitRequest,
};
use tasktonic_protocol::task::Task;

use crate::ask::{Ask, Repeat};
use crate::{Client, Error, Result};

/// What became of a submission.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// The task.
    pub task: Task,
    /// Whether this call made it; otherwise the same key and body came before.
    pub is_new: bool,
}

/// A submission of `kind` with nothing else said.
#[must_use]
pub fn submission(kind: impl Into<String>, payload: Box<RawValue>) -> SubmitRequest {
    SubmitRequest::new(kind, payload)
}

impl Client {
    /// Submits a task. Without an idempotency key it gets a random one, so that this call can be
    /// repeated when an answer is lost and the task is still made once. Under a key that goes by
    /// where its task is (`until_done`, `until_started`, `unique`, `debounce`, `replace`) it is sent
    /// once: a repetition might be another task.
    ///
    /// # Errors
    /// A problem such as `payload_invalid` or `kind_unknown`: nothing was stored.
    /// [`Error::is_outcome_unknown`]: submit again with the same key of your own.
    pub async fn submit(&self, mut request: SubmitRequest) -> Result<Submitted> {
        let is_ours = with_key(&mut request);
        let mut unsure = false;
        let ask = Ask::post(&["api", "v1", "tasks"], repeat([&request])).json(&request)?;
        let answer = self.answer(&ask, &mut unsure).await?;
        // Under a key that nobody else knows an existing task is this call's own.
        let is_new = answer.status == StatusCode::ACCEPTED || (is_ours && unsure);
        Ok(Submitted { task: self.read(&answer)?, is_new })
    }

    /// Submits up to [`BATCH_TASKS_MAX`] tasks; each has its own answer, in order. Keys as in
    /// [`Client::submit`].
    ///
    /// # Errors
    /// If the batch as a whole was not taken.
    pub async fn submit_batch(&self, mut tasks: Vec<SubmitRequest>) -> Result<Vec<BatchItem>> {
        let count = tasks.len();
        if count > BATCH_TASKS_MAX {
            return Err(Error::Invalid(format!(
                "{count} tasks in one batch; at most {BATCH_TASKS_MAX}, send them in parts"
            )));
        }
        for task in &mut tasks {
            with_key(task);
        }
        let ask = Ask::post(&["api", "v1", "tasks", "batch"], repeat(&tasks))
            .json(&BatchRequest { tasks })?;
        let reply: BatchReply = self.ask(ask).await?;
        Ok(reply.results)
    }
}

/// Whether these may be sent again when an answer was lost. Under a key that goes by where its task
/// is, what comes later may be another task.
fn repeat<'a>(requests: impl IntoIterator<Item = &'a SubmitRequest>) -> Repeat {
    let is_dated = |request: &SubmitRequest| request.mode().is_dated();
    if requests.into_iter().all(is_dated) { Repeat::Always } else { Repeat::Never }
}

/// Gives a request a key if it has none and says nothing about one; whether it did.
fn with_key(request: &mut SubmitRequest) -> bool {
    let is_ours = request.idempotency_key.is_none()
        && request.key_mode.is_none()
        && request.key_window_ms.is_none();
    if is_ours {
        request.idempotency_key = Some(random_key());
    }
    is_ours
}

/// A key that nobody else has.
pub(crate) fn random_key() -> String {
    let random = rand::random::<[u8; 16]>();
    format!("once-{}", URL_SAFE_NO_PAD.encode(random))
}
