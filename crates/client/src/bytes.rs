//! How many bytes tasks hold and may hold.

use tasktonic_protocol::http::{BytesChange, BytesHeld, BytesLimit};

use crate::ask::{Ask, Repeat};
use crate::{Client, Result};

impl Client {
    /// How many bytes the tasks of a user hold, and how many they may; your own without one.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn bytes(&self, user: Option<&str>) -> Result<BytesHeld> {
        self.ask(match user {
            Some(user) => Ask::get(&["api", "v1", "users", user, "bytes"]),
            None => Ask::get(&["api", "v1", "me", "bytes"]),
        })
        .await
    }

    /// Sets how many bytes the tasks of one user may hold; without a number what holds for everybody.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn set_bytes_of(&self, user: &str, bytes_max: Option<u64>) -> Result<BytesHeld> {
        let ask = Ask::post(&["api", "v1", "users", user, "bytes"], Repeat::Always);
        self.ask(ask.json(&BytesChange { bytes_max })?).await
    }

    /// How many bytes the tasks of a user may hold of whom nothing else is set; for operators.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn bytes_limit(&self) -> Result<BytesLimit> {
        self.ask(Ask::get(&["api", "v1", "bytes"])).await
    }

    /// Sets that; without a number there is no limit.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn set_bytes_limit(&self, bytes_max: Option<u64>) -> Result<BytesLimit> {
        let ask = Ask::post(&["api", "v1", "bytes"], Repeat::Always);
        self.ask(ask.json(&BytesChange { bytes_max })?).await
    }
}
