//! The worker of the product's own kinds: one beside every server, so that what they do goes on as
//! long as any server does.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use tasktonic_bulk::Bulk;
use tasktonic_core::WorkerId;
use tasktonic_files::Files;
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tasktonic_worker::{RunError, Worker};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::work;

/// Operations of all users that one server works on at once.
const CONCURRENCY: u32 = 4;
/// How long they may go on after the server was asked to stop. One that is given back goes on
/// elsewhere, or after the restart, where it stopped.
const DRAIN: Duration = Duration::from_secs(2);

/// A worker at work.
pub(crate) struct BuiltIn {
    stop: CancellationToken,
    working: Option<JoinHandle<Result<(), RunError>>>,
}

impl BuiltIn {
    /// Starts it, and waits until its kinds are announced.
    pub(crate) async fn start(store: Arc<dyn Store>, files: Files) -> Self {
        // After a restart nobody else can hold what this process held, unless the store is shared.
        let id = work::fresh_id(if store.is_shared() { "" } else { WorkerId::IN_PROCESS });
        let settings = work::settings(Some(CONCURRENCY), DRAIN);
        let bulk = Arc::new(Bulk::new(store.clone(), Clock::system()));
        let worker = Worker::new(id.clone(), store.clone(), Arc::new(files), settings);
        let stop = CancellationToken::new();
        let working = tokio::spawn(worker.register_any(bulk).run_until(stop.clone()));
        work::announced(&*store, &id, &working).await;
        Self { stop, working: Some(working) }
    }

    /// Why it ended by itself, which it does not.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        let Some(working) = &mut self.working else { return std::future::pending().await };
        let ended = working.await;
        self.working = None;
        match ended {
            Ok(Ok(())) => anyhow!("the product's own worker ended by itself"),
            Ok(Err(error)) => anyhow::Error::new(error).context("the product's own worker ended"),
            Err(error) => anyhow::Error::new(error).context("the product's own worker ended"),
        }
    }

    /// Lets what it does stop where it is, and be given back.
    pub(crate) async fn end(self) -> Result<()> {
        self.stop.cancel();
        let Some(working) = self.working else { return Ok(()) };
        let ended = working.await.context("the product's own worker")?;
        ended.context("the product's own worker could not work")
    }
}
