//! The loop of a worker: claim, run, heartbeat, report, drain.

use std::sync::Arc;
use std::time::Duration;

use tasktonic_core::WorkerId;
use tasktonic_files::TaskFiles;
use tasktonic_store::Store;
use tokio_util::sync::CancellationToken;

use crate::{AnyHandler, Handler, Registered};

/// How a worker works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Attempts at once.
    pub concurrency: u32,
    /// How long a claim may go without a heartbeat.
    pub lease: Duration,
    /// How long running attempts may go on after the worker was asked to stop.
    pub drain: Duration,
    /// What people see as who ran it, e.g. the machine's name.
    pub host: String,
}

/// A worker in the making.
pub struct Worker {
    id: WorkerId,
    store: Arc<dyn Store>,
    files: Arc<dyn TaskFiles>,
    handlers: Vec<Arc<dyn AnyHandler>>,
    settings: Settings,
}

impl Worker {
    /// A worker over `store` with a fresh random `id`.
    #[must_use]
    pub fn new(id: WorkerId, store: Arc<dyn Store>, files: Arc<dyn TaskFiles>, settings: Settings) -> Self {
        Self { id, store, files, handlers: Vec::new(), settings }
    }

    /// Adds a handler.
    #[must_use]
    pub fn register(self, handler: impl Handler) -> Self {
        self.register_any(Arc::new(Registered(handler)))
    }

    /// Adds a handler of a kind that is known only now.
    #[must_use]
    pub fn register_any(mut self, handler: Arc<dyn AnyHandler>) -> Self {
        self.handlers.push(handler);
        self
    }

    /// Works until `stop`, then drains.
    pub async fn run_until(self, stop: CancellationToken) -> Result<(), RunError> {
        let _ = (&self.id, &self.store, &self.files, &self.handlers, &self.settings, stop);
        Ok(())
    }
}

/// Why a worker could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Two handlers of one kind, no handler at all, or a kind's name that is none.
    #[error("{0}")]
    Handlers(String),
}
