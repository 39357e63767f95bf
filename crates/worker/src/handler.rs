//! What a handler is.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

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

/// A kind as its handler announces it.
#[derive(Debug, Clone)]
pub struct KindInfo {
    /// The stable string that picks the handler: 1 to 64 characters of `A-Z a-z 0-9 _ . -`.
    pub kind: String,
    /// What people call it.
    pub title: Option<String>,
    /// What it does, in a sentence.
    pub description: Option<String>,
    /// Attempts unless a submission says otherwise.
    pub attempts_max: u32,
    /// Longest run of one attempt unless a submission says otherwise.
    pub timeout: Option<Duration>,
    /// A payload to begin from.
    pub example: Option<serde_json::Value>,
}

impl KindInfo {
    /// A kind with 5 attempts and no time limit.
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            title: None,
            description: None,
            attempts_max: 5,
            timeout: None,
            example: None,
        }
    }
}
