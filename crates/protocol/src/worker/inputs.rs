//! What became of the tasks that a task waited for, as its holder is told it. Only of those that its
//! own task is tied to.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::http::OnFailure;
use crate::status::TaskStatus;
use crate::stored::TaskError;

/// `POST /api/v1/worker/inputs`: the inputs of the task that is held under this lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputsRequest {
    /// The version of the worker protocol.
    pub v: u8,
    /// The lease's token.
    pub lease: String,
    /// The `next` of the page before; absent for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// The answer: a page of them, in the order of the ties.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InputsResponse {
    /// The version of the worker protocol.
    pub v: u8,
    /// As many as fit on a page.
    pub inputs: Vec<InputBody>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A task that another one waited for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InputBody {
    /// Its id.
    pub id: String,
    /// What was to follow if it did not complete; absent for a part of a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// Its kind; absent once it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its name in the flow or batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How it is; absent once it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<TaskStatus>,
    /// What came out, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Box<RawValue>>,
    /// Whether `output` names the file that the output is the content of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub output_in_file: bool,
    /// Its last error, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// Why it ended, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
