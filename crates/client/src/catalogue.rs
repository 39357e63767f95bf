//! What can be submitted, and who works on it.

use tasktonic_protocol::http::{Kind, KindList, Worker, WorkerList};

use crate::ask::Ask;
use crate::{Client, Result};

impl Client {
    /// The kinds that workers have announced, by name.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn kinds(&self) -> Result<Vec<Kind>> {
        Ok(self.ask::<KindList>(Ask::get(&["api", "v1", "kinds"])).await?.kinds)
    }

    /// The workers that were heard of lately, by id.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn workers(&self) -> Result<Vec<Worker>> {
        Ok(self.ask::<WorkerList>(Ask::get(&["api", "v1", "workers"])).await?.workers)
    }

    /// Whether the server is alive: its `/healthz`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn alive(&self) -> Result<()> {
        self.answer(&Ask::get(&["healthz"]).bare(), &mut false).await.map(drop)
    }
}
