//! One server: its connections, made when needed and made again when lost.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Semaphore, mpsc};

use super::dial::{Addr, DialError, Dialer};
use super::loaded::Loaded;
use super::promise::Promised;

/// Calls that may be on their way to one server, waiting ones included.
pub(crate) const IN_FLIGHT_MAX: usize = 4_096;
/// After a failed attempt to connect, calls fail at once for this long.
const DIAL_GAP_MS: u64 = 50;

/// The place of one connection.
#[derive(Debug, Default)]
pub(crate) struct Line {
    now: ArcSwapOption<Loaded>,
    /// Held while connecting; when and why the last attempt failed.
    failed: tokio::sync::Mutex<Option<(Instant, DialError)>>,
}

impl Line {
    /// The connection, if there is one that works.
    pub(crate) fn alive(&self) -> Option<Arc<Loaded>> {
        self.now.load_full().filter(|loaded| loaded.connection.is_alive())
    }

    /// The connection; made if there is none.
    pub(crate) async fn get(&self, dialer: &Dialer, addr: &Addr) -> Result<Arc<Loaded>, DialError> {
        if let Some(loaded) = self.alive() {
            return Ok(loaded);
        }
        let mut failed = self.failed.lock().await;
        if let Some(loaded) = self.alive() {
            return Ok(loaded);
        }
        if let Some((when, why)) = &*failed
            && when.elapsed() < Duration::from_millis(DIAL_GAP_MS)
        {
            return Err(why.clone());
        }
        match Loaded::new(dialer, addr).await {
            Ok(loaded) => {
                *failed = None;
                let loaded = Arc::new(loaded);
                self.now.store(Some(loaded.clone()));
                Ok(loaded)
            }
            Err(why) => {
                *failed = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }
}

/// A server.
#[derive(Debug)]
pub(crate) struct Node {
    /// Where it is.
    pub(crate) addr: Addr,
    /// Carries all calls but those that wait for replicas or disks.
    pub(crate) calls: Line,
    /// Carries calls with a promise.
    pub(crate) promises: Line,
    /// Where calls with a promise wait for their turn; there from the first one on.
    pub(crate) promised: OnceLock<mpsc::UnboundedSender<Promised>>,
    /// One permit per call on its way.
    pub(crate) room: Arc<Semaphore>,
}

impl Node {
    /// The server at `addr`, not connected yet.
    pub(crate) fn new(addr: Addr) -> Self {
        Self {
            addr,
            calls: Line::default(),
            promises: Line::default(),
            promised: OnceLock::new(),
            room: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
        }
    }
}
