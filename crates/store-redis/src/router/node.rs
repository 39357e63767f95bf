//! One server: its connections, made when needed and made again when lost.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redis::Value;
use tokio::sync::{Semaphore, mpsc};

use super::connection::{Connection, Lost};
use super::dial::{Addr, DialError, Dialer};
use super::promise::Promised;
use super::resp::command;
use crate::errors::words;
use crate::script::Script;

/// Calls that may be on their way to one server, waiting ones included.
pub(crate) const IN_FLIGHT_MAX: usize = 4_096;
/// After a failed attempt to connect, calls fail at once for this long.
const DIAL_GAP_MS: u64 = 50;

/// A connection with the scripts it has loaded.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The connection.
    pub(crate) connection: Connection,
    /// SHA of each script, in the order of [`Script::ALL`].
    shas: Vec<String>,
}

impl Loaded {
    async fn new(dialer: &Dialer, addr: &Addr) -> Result<Self, DialError> {
        let connection = Connection::start(dialer.dial(addr, false).await?);
        let mut bytes = Vec::new();
        for script in Script::ALL {
            load(&mut bytes, *script);
        }
        let lost = |_: Lost| DialError::Unreachable(format!("{addr} closes the connection"));
        let replies = connection.send(bytes, Script::ALL.len()).await.map_err(lost)?;
        let mut shas = Vec::with_capacity(replies.len());
        for reply in replies {
            match reply {
                Value::BulkString(sha) => shas.push(String::from_utf8_lossy(&sha).into_owned()),
                Value::ServerError(error) => {
                    let why = format!("{addr} does not load a script: {}", words(&error));
                    return Err(match crate::errors::verdict(&error) {
                        crate::errors::Verdict::Misconfigured | crate::errors::Verdict::Other => {
                            DialError::Refused(why)
                        }
                        _ => DialError::Unreachable(why),
                    });
                }
                _ => return Err(DialError::Refused(format!("{addr} gives no SHA of a script"))),
            }
        }
        Ok(Self { connection, shas })
    }

    /// The SHA of `script`.
    pub(crate) fn sha(&self, script: Script) -> &str {
        let at = Script::ALL.iter().position(|known| *known == script);
        &self.shas[at.expect("every script is in the list of all")]
    }

    /// Loads `script` again, after the server forgot it. Whether it could.
    pub(crate) async fn reload(&self, script: Script) -> bool {
        let mut bytes = Vec::new();
        load(&mut bytes, script);
        let replies = self.connection.send(bytes, 1).await;
        matches!(replies.as_deref(), Ok([Value::BulkString(_)]))
    }
}

fn load(bytes: &mut Vec<u8>, script: Script) {
    command(bytes, ["SCRIPT", "LOAD", script.text()].iter());
}

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
