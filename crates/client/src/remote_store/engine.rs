//! The thread on which a remote store's requests run.

use std::future::Future;
use std::sync::Arc;

use tasktonic_store::{Error as StoreError, Result as StoreResult};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::{Client, Error, Result};

/// A runtime of one thread and the client whose connections live on it. Cheap to clone; the last
/// clone ends the thread.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    handle: Handle,
    client: Client,
    _running: Arc<oneshot::Sender<()>>,
}

impl Engine {
    pub(crate) fn start(client: Client) -> Result<Self> {
        let failed = |error| {
            Error::Invalid(format!("no thread can be started for the remote store: {error}"))
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (running, over) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("tt-remote-store".into())
            .spawn(move || {
                // Ends when the sender is dropped.
                let _ = runtime.block_on(over);
            })
            .map_err(failed)?;
        Ok(Self { handle, client, _running: Arc::new(running) })
    }

    /// Runs `work` on the thread. Dropping the answer stops the work.
    pub(crate) async fn run<T, F>(&self, work: impl FnOnce(Client) -> F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let running = self.handle.spawn(work(self.client.clone()));
        let _stop = Stop(running.abort_handle());
        running.await.map_err(|_| StoreError::Unavailable("the remote store is closing".into()))
    }

    /// Starts `work` on the thread; dropping the answer stops it.
    pub(crate) fn start_service<F>(&self, work: impl FnOnce(Client) -> F) -> Stop
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Stop(self.handle.spawn(work(self.client.clone())).abort_handle())
    }
}

/// Stops what it stands for when it is dropped.
#[derive(Debug)]
pub(crate) struct Stop(AbortHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
