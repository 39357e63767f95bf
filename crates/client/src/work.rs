//! What a worker in another process says. Never repeated here: the worker's loop knows better
//! what to send next.

use std::time::Duration;

use tasktonic_protocol::worker::{
    Announce, HeldRequest, HeldResponse, InputsRequest, InputsResponse, SyncRequest, SyncResponse,
};

use crate::ask::{Ask, Repeat};
use crate::{Client, Result};

impl Client {
    /// One sync of a worker; with `wait_ms` and no claim the server holds the answer back until
    /// there is something to look at.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn worker_sync(&self, request: &SyncRequest) -> Result<SyncResponse> {
        let held = Duration::from_millis(request.wait_ms.into());
        let ask = Ask::post(&["api", "v1", "worker", "sync"], Repeat::Never).held(held);
        self.ask(ask.json(request)?).await
    }

    /// What a worker holds, seen by it or not.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn worker_held(&self, request: &HeldRequest) -> Result<HeldResponse> {
        let ask = Ask::post(&["api", "v1", "worker", "held"], Repeat::Never);
        self.ask(ask.json(request)?).await
    }

    /// What became of the tasks that a task waited for, for who holds it.
    ///
    /// # Errors
    /// A problem `lost_lease` where the lease is not held; see [`Error`](crate::Error).
    pub async fn worker_inputs(&self, request: &InputsRequest) -> Result<InputsResponse> {
        let ask = Ask::post(&["api", "v1", "worker", "inputs"], Repeat::Never);
        self.ask(ask.json(request)?).await
    }

    /// Says who works and on what.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn worker_announce(&self, announce: &Announce) -> Result<()> {
        let ask = Ask::post(&["api", "v1", "worker", "announce"], Repeat::Always);
        self.answer(&ask.json(announce)?, &mut false).await.map(drop)
    }
}
