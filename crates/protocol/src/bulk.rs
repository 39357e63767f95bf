//! Many tasks at once, by what they have in common.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::status::TaskStatus;

/// Kinds that begin so are the product's own: nobody submits them, and no worker of others serves
/// them.
pub const BUILT_IN: &str = "tasktonic.";
/// The kind of a bulk operation, and its queue. Its payload is a [`BulkPayload`], its output a
/// [`BulkDone`].
pub const BULK_KIND: &str = "tasktonic.bulk";

/// What is done with each task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkVerb {
    /// Stop it: one that waits at once, one that runs by asking its worker.
    Cancel,
    /// Send it back to its queue.
    Retry,
    /// Remove it now, with all that is kept of it.
    Purge,
}

/// Which tasks. Empty lists and absent members do not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkFilter {
    /// In one of these. Unless said, a retry is for those that failed, and the other verbs are for
    /// all that they can be for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<TaskStatus>,
    /// Of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// In this queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// With this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Whose id begins so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_prefix: Option<String>,
    /// That these words find: each at the beginning of the id, or of a word of kind, queue, tags or the
    /// error of a task that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Created at or after; RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Created before; RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// All tasks that the verb can be for: said where nothing else is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

impl BulkFilter {
    /// Whether it restricts nothing.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self { all: self.all, ..Self::default() }
    }
}

/// `POST /api/v1/tasks/bulk`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkOrder {
    /// What is done with each.
    pub verb: BulkVerb,
    /// Which tasks; those that exist when it is asked for.
    pub filter: BulkFilter,
    /// Makes a repetition find this operation instead of making another; as the header
    /// `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Only say how many there are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// The payload of the task that a bulk operation is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BulkPayload {
    /// What is done with each.
    pub verb: BulkVerb,
    /// Which tasks.
    pub filter: BulkFilter,
}

/// The answer to a dry run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkCount {
    /// So many tasks match now.
    pub tasks: u64,
    /// Whether there are more: the server stopped looking.
    pub more: bool,
}

/// The output of the task that a bulk operation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkDone {
    /// Tasks changed as asked; of a cancel also those whose worker was asked to stop.
    pub changed: u64,
    /// Of these, tasks that run and whose worker was asked to stop.
    pub asked: u64,
    /// Tasks that matched and had changed, or were gone, when it was their turn.
    pub skipped: u64,
}

/// `POST /api/v1/tasks/{id}/retry`: what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// The payload from now on; checked against the kind's schema, kept byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Box<RawValue>>,
    /// The labels from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// The rev of the end that is to be tried again; any end if absent. A request that names it may be
    /// repeated: it sends nothing back that has failed anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u64>,
}
