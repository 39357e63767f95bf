//! Changing many tasks by what they have in common.

use tasktonic_protocol::http::{BulkCount, BulkFilter, BulkOrder, BulkVerb};
use tasktonic_protocol::task::Task;

use crate::ask::{Ask, Repeat};
use crate::submit::random_key;
use crate::{Client, Result};

const PATH: [&str; 4] = ["api", "v1", "tasks", "bulk"];

impl Client {
    /// Cancels, sends back or removes all tasks that match now. The answer is the operation: a task
    /// to wait for, whose output is a `BulkDone`, and to cancel if it is to be aborted. However often
    /// the line breaks, there is one.
    ///
    /// # Errors
    /// A problem `bad_request` if the filter is none.
    pub async fn bulk(&self, verb: BulkVerb, filter: BulkFilter) -> Result<Task> {
        let idempotency_key = Some(random_key());
        let order = BulkOrder { verb, filter, idempotency_key, dry_run: false };
        self.ask(Ask::post(&PATH, Repeat::Always).json(&order)?).await
    }

    /// How many tasks that would concern now.
    ///
    /// # Errors
    /// As [`Client::bulk`].
    pub async fn bulk_count(&self, verb: BulkVerb, filter: BulkFilter) -> Result<BulkCount> {
        let order = BulkOrder { verb, filter, idempotency_key: None, dry_run: true };
        self.ask(Ask::post(&PATH, Repeat::Always).json(&order)?).await
    }
}
