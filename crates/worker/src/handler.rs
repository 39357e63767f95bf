//! What a handler is.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tasktonic_protocol::policy::{Backoff, Keep, Rule};

use crate::{Context, Failure};

/// The code for one kind. Its payload type gives the JSON Schema that submissions are checked
/// against.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// What goes in.
    type Payload: DeserializeOwned + JsonSchema + Send + 'static;
    /// What comes out.
    type Output: Serialize + Send + 'static;

    /// The kind and what people should know of it.
    fn info(&self) -> KindInfo;

    /// One attempt. An error is a failed attempt; see [`Failure`] for the other ways to end.
    ///
    /// # Errors
    /// Whatever keeps it from its output.
    async fn run(&self, payload: Self::Payload, cx: &Context) -> Result<Self::Output, Failure>;
}

/// A kind as its handler announces it. A submission may say otherwise of attempts, limits of time and
/// retention.
#[derive(Debug, Clone)]
pub struct KindInfo {
    /// The stable string that picks the handler: 1 to 64 characters of `A-Z a-z 0-9 _ . -`.
    pub kind: String,
    /// What people call it.
    pub title: Option<String>,
    /// What it does, in a sentence.
    pub description: Option<String>,
    /// Attempts in all, 1 to 1,000.
    pub attempts_max: u32,
    /// Attempts that may end with the loss of their worker, 1 to 50; 3 unless said.
    pub crashes_max: Option<u32>,
    /// The wait between attempts; 2 s, doubling, at most 10 minutes, unless said.
    pub backoff: Option<Backoff>,
    /// What follows an error of certain codes; the first rule that fits decides.
    pub rules: Vec<Rule>,
    /// After this long the handler is told to stop, and goes on until `timeout`.
    pub soft_timeout: Option<Duration>,
    /// Longest run of one attempt: then it is cut off.
    pub timeout: Option<Duration>,
    /// How long its tasks are kept after their end.
    pub keep: Option<Keep>,
    /// Whether its progress may go back; a report that does is otherwise left out.
    pub rewinds: bool,
    /// What a worker has to have to take its tasks, e.g. `gpu`: at most 3 labels, each 1 to 32
    /// characters of `a-z 0-9 _ -`. A submission may say otherwise.
    pub needs: Vec<String>,
    /// How many places of its worker a task takes while it runs, 1 to 1,024; no more than the
    /// worker's [`concurrency`](crate::Settings::concurrency).
    pub places: u32,
    /// A payload to begin from.
    pub example: Option<serde_json::Value>,
}

impl KindInfo {
    /// A kind with 5 attempts and no time limit, whose tasks take one place.
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            title: None,
            description: None,
            attempts_max: 5,
            crashes_max: None,
            backoff: None,
            rules: Vec::new(),
            soft_timeout: None,
            timeout: None,
            keep: None,
            rewinds: false,
            needs: Vec::new(),
            places: 1,
            example: None,
        }
    }
}
