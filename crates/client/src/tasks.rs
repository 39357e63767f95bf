//! Reading and changing tasks.

use std::time::{Duration, Instant};

use tasktonic_core::TaskId;
use tasktonic_protocol::http::{
    Attempt, AttemptList, BulkItem, BulkReply, BulkRequest, Counts, EditRequest, LogPage,
    RescheduleRequest, RetryRequest, TaskPage, TaskPosition, Why,
};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::status::TaskStatus;
use tasktonic_protocol::task::Task;

use crate::ask::{Ask, Repeat};
use crate::{Client, Error, Result};

/// The longest that one request waits for a task; longer waits are several requests.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Which tasks. Empty lists and absent fields do not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// In one of these.
    pub status: Vec<TaskStatus>,
    /// Of this kind.
    pub kind: Option<String>,
    /// In this queue.
    pub queue: Option<String>,
    /// With this label.
    pub tag: Option<String>,
    /// That these words find: each at the beginning of the id, or of a word of kind, queue, tags or
    /// the error of a task that failed.
    pub search: Option<String>,
    /// Created at or after; RFC 3339.
    pub since: Option<String>,
    /// Created before; RFC 3339.
    pub until: Option<String>,
}

/// Whether a task in this status will not change by itself.
pub(crate) fn has_ended(task: &Task) -> bool {
    task.status.state().is_terminal()
}

/// Refuses what cannot be the id of a task before it becomes part of an address.
pub(crate) fn check(id: &str) -> Result<&str> {
    match id.parse::<TaskId>() {
        Ok(_) => Ok(id),
        Err(error) => Err(Error::Invalid(error.to_string())),
    }
}

impl Client {
    /// One page of tasks, newest first, without payload and output; `cursor` is the
    /// `next_cursor` of the page before.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn tasks(
        &self,
        filter: &Filter,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<TaskPage> {
        let status: Vec<_> = filter.status.iter().map(|status| status.name()).collect();
        let ask = Ask::get(&["api", "v1", "tasks"])
            .query("status", (!status.is_empty()).then(|| status.join(",")))
            .query("kind", filter.kind.clone())
            .query("queue", filter.queue.clone())
            .query("tag", filter.tag.clone())
            .query("q", filter.search.clone())
            .query("since", filter.since.clone())
            .query("until", filter.until.clone())
            .query("limit", Some(limit.to_string()))
            .query("cursor", cursor.map(str::to_owned));
        self.ask(ask).await
    }

    /// How many tasks there are, by state.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn counts(&self) -> Result<Counts> {
        self.ask(Ask::get(&["api", "v1", "tasks", "counts"])).await
    }

    /// A task with payload and output.
    ///
    /// # Errors
    /// A problem `not_found` if the caller has no such task.
    pub async fn task(&self, id: &str) -> Result<Task> {
        self.ask(Ask::get(&["api", "v1", "tasks", check(id)?])).await
    }

    /// What stands in the way of a task that does not run.
    ///
    /// # Errors
    /// As [`Client::task`].
    pub async fn why(&self, id: &str) -> Result<Why> {
        self.ask(Ask::get(&["api", "v1", "tasks", check(id)?, "why"])).await
    }

    /// A task once it has ended, or as it is after `within` (about 20 s at most).
    ///
    /// # Errors
    /// As [`Client::task`].
    pub async fn wait(&self, id: &str, within: Duration) -> Result<Task> {
        let held = within.min(WAIT_MAX);
        let ask = Ask::get(&["api", "v1", "tasks", check(id)?, "wait"])
            .query("timeout_ms", Some(held.as_millis().to_string()))
            .held(held);
        self.ask(ask).await
    }

    /// A task once it has ended, however long that takes; or as it is after `within`.
    ///
    /// # Errors
    /// As [`Client::task`].
    pub async fn wait_until_ended(&self, id: &str, within: Option<Duration>) -> Result<Task> {
        let since = Instant::now();
        loop {
            let left = within.map_or(WAIT_MAX, |within| within.saturating_sub(since.elapsed()));
            let asked = Instant::now();
            let task = self.wait(id, left).await?;
            if has_ended(&task) || within.is_some_and(|within| since.elapsed() >= within) {
                return Ok(task);
            }
            // A server that answers early (it may be stopping) is not asked in a tight circle.
            if asked.elapsed() < Duration::from_millis(200) {
                tokio::time::sleep(Duration::from_millis(200).min(left)).await;
            }
        }
    }

    /// Who tried a task, when, and how it ended; oldest first.
    ///
    /// # Errors
    /// As [`Client::task`].
    pub async fn attempts(&self, id: &str) -> Result<Vec<Attempt>> {
        let ask = Ask::get(&["api", "v1", "tasks", check(id)?, "attempts"]);
        Ok(self.ask::<AttemptList>(ask).await?.attempts)
    }

    /// Where a task stands in its line, and when it will probably start.
    ///
    /// # Errors
    /// As [`Client::task`].
    pub async fn position(&self, id: &str) -> Result<TaskPosition> {
        self.ask(Ask::get(&["api", "v1", "tasks", check(id)?, "position"])).await
    }

    /// Log lines of a task above the number `after`.
    ///
    /// # Errors
    /// As [`Client::task`].
    pub async fn logs(&self, id: &str, after: u32, limit: u32) -> Result<LogPage> {
        let ask = Ask::get(&["api", "v1", "tasks", check(id)?, "logs"])
            .query("after", Some(after.to_string()))
            .query("limit", Some(limit.to_string()));
        self.ask(ask).await
    }

    /// Stops a task: one that waits at once, one that runs by asking its worker.
    ///
    /// # Errors
    /// A problem `already_ended` if there is nothing left to stop.
    pub async fn cancel(&self, id: &str) -> Result<Task> {
        let ask = Ask::post(&["api", "v1", "tasks", check(id)?, "cancel"], Repeat::Always);
        self.change(id, &ask, Code::AlreadyEnded).await
    }

    /// Sends a task that failed or was cancelled back to its queue, attempts counted anew. It is looked at
    /// first: a call that is repeated after a lost answer sends nothing back that has failed anew.
    ///
    /// # Errors
    /// A problem `not_retryable` for any other, `changed_meanwhile` if it changed at the same moment.
    pub async fn retry(&self, id: &str) -> Result<Task> {
        let rev = Some(self.task(id).await?.rev);
        self.retry_with(id, &RetryRequest { rev, ..RetryRequest::default() }).await
    }

    /// The same with another payload, other labels, or both. It is sent back from the end that
    /// `request.rev` names and no other; without one, a call that is repeated after a lost answer sends
    /// back once more what has failed again by then.
    ///
    /// # Errors
    /// As [`Client::retry`]; a problem `payload_invalid` if the payload does not fit its kind.
    pub async fn retry_with(&self, id: &str, request: &RetryRequest) -> Result<Task> {
        let ask = Ask::post(&["api", "v1", "tasks", check(id)?, "retry"], Repeat::Always);
        let ask = ask.json(request)?;
        let done_before = request.rev.map_or(Code::NotRetryable, |_| Code::ChangedMeanwhile);
        self.change(id, &ask, done_before).await
    }

    /// Removes a task that has ended, with all that is kept of it.
    ///
    /// # Errors
    /// A problem `not_ended` for any other.
    pub async fn purge(&self, id: &str) -> Result<()> {
        let ask = Ask::post(&["api", "v1", "tasks", check(id)?, "purge"], Repeat::Always);
        let mut unsure = false;
        match self.answer(&ask, &mut unsure).await {
            Ok(_) => Ok(()),
            // The first sending, whose answer was lost, did it.
            Err(error) if unsure && error.code() == Some(Code::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives a task that waits another time, or another place in its line.
    ///
    /// # Errors
    /// A problem `not_waiting` once a worker has it or it has ended.
    pub async fn reschedule(&self, id: &str, request: &RescheduleRequest) -> Result<Task> {
        let ask = Ask::post(&["api", "v1", "tasks", check(id)?, "reschedule"], Repeat::Always);
        self.ask(ask.json(request)?).await
    }

    /// Changes payload or labels of a task that waits; it keeps its place.
    ///
    /// # Errors
    /// A problem `not_waiting` once a worker has it or it has ended; `changed_meanwhile` if its rev
    /// is not the one that the request names.
    pub async fn edit(&self, id: &str, request: &EditRequest) -> Result<Task> {
        let ask = Ask::post(&["api", "v1", "tasks", check(id)?, "edit"], Repeat::Always);
        self.ask(ask.json(request)?).await
    }

    /// Asks for a change; `done_before` refuses it where it is done already.
    async fn change(&self, id: &str, ask: &Ask, done_before: Code) -> Result<Task> {
        let mut unsure = false;
        match self.answer(ask, &mut unsure).await {
            Ok(answer) => self.read(&answer),
            // The first sending, whose answer was lost, did it.
            Err(error) if unsure && error.code() == Some(done_before) => self.task(id).await,
            Err(error) => Err(error),
        }
    }

    /// [`Client::cancel`] for up to 1,000 tasks, each with its own answer, in order.
    ///
    /// # Errors
    /// If the request as a whole was not taken.
    pub async fn cancel_many(&self, ids: Vec<String>) -> Result<Vec<BulkItem>> {
        self.change_many(ids, "cancel").await
    }

    /// [`Client::retry`] for up to 1,000 tasks, each with its own answer, in order.
    ///
    /// # Errors
    /// If the request as a whole was not taken.
    pub async fn retry_many(&self, ids: Vec<String>) -> Result<Vec<BulkItem>> {
        self.change_many(ids, "retry").await
    }

    /// [`Client::purge`] for up to 1,000 tasks, each with its own answer, in order.
    ///
    /// # Errors
    /// If the request as a whole was not taken.
    pub async fn purge_many(&self, ids: Vec<String>) -> Result<Vec<BulkItem>> {
        self.change_many(ids, "purge").await
    }

    async fn change_many(&self, ids: Vec<String>, verb: &str) -> Result<Vec<BulkItem>> {
        let ask =
            Ask::post(&["api", "v1", "tasks", verb], Repeat::Always).json(&BulkRequest { ids })?;
        Ok(self.ask::<BulkReply>(ask).await?.results)
    }
}
