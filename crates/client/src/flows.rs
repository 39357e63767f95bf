//! Flows, batches and ties between tasks.

use tasktonic_core::TaskId;
use tasktonic_protocol::http::{
    BatchOpenRequest, Flow, FlowAddRequest, FlowRequest, FlowRetried, FlowSort, FlowTask, TaskLinks,
};
use tasktonic_protocol::task::Task;
use tasktonic_store::clock::Clock;

use crate::ask::{Ask, Repeat};
use crate::tasks::check;
use crate::{Client, Result};

/// What addresses call it.
const fn place(sort: FlowSort) -> &'static str {
    match sort {
        FlowSort::Flow => "flows",
        FlowSort::Batch => "batches",
    }
}

/// Whether a repetition is the same request: every task has a name.
fn repeat(tasks: &[FlowTask]) -> Repeat {
    if tasks.iter().all(|task| task.name.is_some()) { Repeat::Always } else { Repeat::Never }
}

/// An id for a flow or batch that its request may be sent again with, whatever becomes of the first
/// answer: the same request under the same id is the same flow.
#[must_use]
pub fn fresh_id() -> String {
    TaskId::new(Clock::system().now_ms(), rand::random()).to_string()
}

impl Client {
    /// Submits tasks that wait for each other, all of them or none. Without an id of the caller's the
    /// flow gets one here, so that the call can be repeated when an answer is lost and, if all tasks
    /// have names, the flow is still made once.
    ///
    /// # Errors
    /// A problem such as `flow_invalid` or `payload_invalid`: nothing was stored.
    pub async fn submit_flow(&self, mut request: FlowRequest) -> Result<Flow> {
        request.id.get_or_insert_with(fresh_id);
        let ask = Ask::post(&["api", "v1", "flows"], repeat(&request.tasks));
        self.ask(ask.json(&request)?).await
    }

    /// A flow or batch with a page of its tasks; `cursor` is the `next_cursor` of the page before.
    ///
    /// # Errors
    /// A problem `not_found`.
    pub async fn flow(&self, id: &str, cursor: Option<&str>) -> Result<Flow> {
        let ask = Ask::get(&["api", "v1", "flows", check(id)?]);
        self.ask(ask.query("cursor", cursor.map(str::to_owned))).await
    }

    /// Adds tasks to a flow that has not ended, or to a batch that is not sealed.
    ///
    /// # Errors
    /// A problem such as `flow_closed` or `flow_invalid`: nothing was stored.
    pub async fn add_to_flow(
        &self,
        sort: FlowSort,
        id: &str,
        tasks: Vec<FlowTask>,
    ) -> Result<Flow> {
        let ask = Ask::post(&["api", "v1", place(sort), check(id)?, "tasks"], repeat(&tasks));
        self.ask(ask.json(&FlowAddRequest { tasks })?).await
    }

    /// Stops a flow or batch with all its tasks; those end one after the other.
    ///
    /// # Errors
    /// A problem `not_found` or `already_ended`.
    pub async fn cancel_flow(&self, id: &str) -> Result<Task> {
        self.ask(Ask::post(&["api", "v1", "flows", check(id)?, "cancel"], Repeat::Never)).await
    }

    /// Sends all tasks of a flow or batch back that failed or were cancelled.
    ///
    /// # Errors
    /// A problem `not_found`.
    pub async fn retry_flow(&self, id: &str) -> Result<FlowRetried> {
        self.ask(Ask::post(&["api", "v1", "flows", check(id)?, "retry"], Repeat::Always)).await
    }

    /// Opens a batch. Without an id of the caller's it gets one here, so that the call can be
    /// repeated.
    ///
    /// # Errors
    /// A problem such as `payload_invalid`: nothing was stored.
    pub async fn open_batch(&self, mut request: BatchOpenRequest) -> Result<Flow> {
        request.id.get_or_insert_with(fresh_id);
        let ask = Ask::post(&["api", "v1", "batches"], Repeat::Always);
        self.ask(ask.json(&request)?).await
    }

    /// Says that a batch has all its tasks. Once more does no harm.
    ///
    /// # Errors
    /// A problem `flow_closed` if it has ended otherwise.
    pub async fn seal_batch(&self, id: &str) -> Result<Flow> {
        self.ask(Ask::post(&["api", "v1", "batches", check(id)?, "seal"], Repeat::Always)).await
    }

    /// What a task waits for, who waits for it, and its flow or batch.
    ///
    /// # Errors
    /// A problem `not_found`.
    pub async fn links(&self, id: &str) -> Result<TaskLinks> {
        self.ask(Ask::get(&["api", "v1", "tasks", check(id)?, "links"])).await
    }
}
