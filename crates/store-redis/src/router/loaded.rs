//! A connection to a server that knows our scripts: as a library of functions, or where it takes
//! none, each by its SHA. What it never knows: what a script does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use redis::{ServerError, Value};
use tokio::sync::Mutex;

use super::connection::{Connection, Lost};
use super::dial::{Addr, DialError, Dialer};
use super::resp::command;
use crate::errors::{self, Verdict, words};
use crate::open::{items_of, text_of};
use crate::script::{LIBRARY, LIBRARY_PREFIX, Script};

/// Libraries of ours that a server keeps. Who loads one where there are as many removes the others:
/// those that are still called are loaded again by their callers.
pub(crate) const LIBRARIES_MAX: usize = 4;

/// A connection with the scripts it has loaded.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The connection.
    pub(crate) connection: Connection,
    /// SHA of each script, in the order of [`Script::ALL`]; none where there is a library.
    shas: ArcSwapOption<Vec<String>>,
    /// Held while loading.
    loading: Mutex<()>,
    /// Whether the server may take a library later: it refused one for now.
    may_improve: AtomicBool,
}

/// Why a server has no library of ours.
enum Refused {
    /// It does not answer.
    Unanswered,
    /// It takes none.
    Library(ServerError),
}

impl Loaded {
    /// Connects to `addr` and loads the scripts there.
    pub(super) async fn new(dialer: &Dialer, addr: &Addr) -> Result<Self, DialError> {
        let loaded = Self {
            connection: Connection::start(dialer.dial(addr, false).await?),
            shas: ArcSwapOption::empty(),
            loading: Mutex::default(),
            may_improve: AtomicBool::new(false),
        };
        loaded.load(addr).await?;
        Ok(loaded)
    }

    /// Loads all scripts again, after the server forgot some.
    pub(crate) async fn reload(&self, addr: &Addr) {
        let _loading = self.loading.lock().await;
        // Failing, the next call says so.
        let _: Result<_, _> = self.load(addr).await;
    }

    /// Tries once more to load the library, where that may go better than before.
    pub(crate) async fn improve(&self, addr: &Addr) {
        if !self.may_improve.load(Ordering::Relaxed) {
            return;
        }
        let _loading = self.loading.lock().await;
        if self.load_library().await.is_ok() {
            tracing::info!(server = %addr, "our scripts run as functions here again");
            self.has_library();
        }
    }

    /// A call of `script` for this server.
    pub(super) fn encode(&self, to: &mut Vec<u8>, script: Script, keys: &[String], args: &[Bytes]) {
        let shas = self.shas.load();
        let (verb, name) = match &*shas {
            None => ("FCALL", script.function()),
            Some(shas) => ("EVALSHA", shas[script as usize].as_str()),
        };
        let count = keys.len().to_string();
        let words = [verb, name, count.as_str()].into_iter().map(str::as_bytes);
        let words = words.chain(keys.iter().map(String::as_bytes));
        let words = words.chain([self.connection.run.as_bytes()]);
        let words: Vec<&[u8]> = words.chain(args.iter().map(Bytes::as_ref)).collect();
        command(to, words.into_iter());
    }

    fn has_library(&self) {
        self.shas.store(None);
        self.may_improve.store(false, Ordering::Relaxed);
    }

    async fn load(&self, addr: &Addr) -> Result<(), DialError> {
        match self.load_library().await {
            Ok(()) => self.has_library(),
            Err(Refused::Unanswered) => return Err(closes(addr)),
            Err(Refused::Library(error)) => {
                self.shas.store(Some(Arc::new(self.load_scripts(addr).await?)));
                // What rights or an old server refuse they refuse for good.
                let passes = !matches!(
                    errors::verdict(&error),
                    Verdict::Misconfigured | Verdict::Unknown | Verdict::Other
                );
                self.may_improve.store(passes, Ordering::Relaxed);
                let hint = match errors::verdict(&error) {
                    Verdict::Misconfigured => "; +function +fcall in its ACL would change that",
                    _ => "",
                };
                tracing::info!(
                    server = %addr,
                    why = words(&error),
                    "our scripts are no functions here but called by their SHA, which costs the \
                     server more time{hint}"
                );
            }
        }
        Ok(())
    }

    /// Sees to it that the server has our library.
    async fn load_library(&self) -> Result<(), Refused> {
        let mut bytes = Vec::new();
        let pattern = format!("{LIBRARY_PREFIX}*");
        command(&mut bytes, ["FUNCTION", "LIST", "LIBRARYNAME", &pattern].iter());
        // There is no such function: this asks only whether one may be called.
        command(&mut bytes, ["FCALL", LIBRARY_PREFIX, "0"].iter());
        let replies = self.connection.send(bytes, 2).await.map_err(unanswered)?;
        let replies: Vec<_> = replies.into_iter().filter(|reply| !is_unknown(reply)).collect();
        if let Some(error) = errors::first(&replies) {
            return Err(Refused::Library(error.clone()));
        }
        let known = libraries(&replies);
        if known.contains(&LIBRARY.name) {
            return Ok(());
        }
        let mut bytes = Vec::new();
        command(&mut bytes, ["FUNCTION", "LOAD", &LIBRARY.text].iter());
        let old = if known.len() < LIBRARIES_MAX { &[] } else { &known[..] };
        for name in old {
            command(&mut bytes, ["FUNCTION", "DELETE", name].iter());
        }
        let replies = self.connection.send(bytes, 1 + old.len()).await.map_err(unanswered)?;
        match replies.first() {
            Some(Value::ServerError(error)) if !is_there(error) => {
                Err(Refused::Library(error.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Loads each script by itself; their SHAs.
    async fn load_scripts(&self, addr: &Addr) -> Result<Vec<String>, DialError> {
        let mut bytes = Vec::new();
        for script in Script::ALL {
            command(&mut bytes, ["SCRIPT", "LOAD", script.text()].iter());
        }
        let sent = self.connection.send(bytes, Script::ALL.len()).await;
        let replies = sent.map_err(|_| closes(addr))?;
        let mut shas = Vec::with_capacity(replies.len());
        for reply in replies {
            match reply {
                Value::BulkString(sha) => shas.push(String::from_utf8_lossy(&sha).into_owned()),
                Value::ServerError(error) => {
                    let why = format!("{addr} does not load a script: {}", words(&error));
                    return Err(match errors::verdict(&error) {
                        Verdict::Misconfigured | Verdict::Other => DialError::Refused(why),
                        _ => DialError::Unreachable(why),
                    });
                }
                _ => return Err(DialError::Refused(format!("{addr} gives no SHA of a script"))),
            }
        }
        Ok(shas)
    }
}

fn unanswered(_: Lost) -> Refused {
    Refused::Unanswered
}

fn closes(addr: &Addr) -> DialError {
    DialError::Unreachable(format!("{addr} closes the connection"))
}

/// Whether no function has the name that was called.
fn is_unknown(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if errors::verdict(error) == Verdict::NoScript)
}

/// Whether a library was not loaded because somebody else has just done it.
fn is_there(error: &ServerError) -> bool {
    error.details().is_some_and(|words| words.contains("already exists"))
}

/// Names of the libraries that an answer to `FUNCTION LIST` tells of.
fn libraries(replies: &[Value]) -> Vec<String> {
    let name_in = |library: &Value| match library {
        Value::Map(fields) => {
            let name = fields.iter().find(|(field, _)| text_of(field) == "library_name");
            name.map(|(_, name)| text_of(name))
        }
        Value::Array(fields) => {
            let name = fields.chunks(2).find(|pair| text_of(&pair[0]) == "library_name");
            name.and_then(|pair| pair.get(1)).map(text_of)
        }
        _ => None,
    };
    replies.first().map(items_of).unwrap_or_default().iter().filter_map(name_in).collect()
}
