//! The values that a configuration is made of, and which of them cannot stand in one.

use std::path::{Path, PathBuf};

use crate::Parts;

/// Requests of one user and of one address, and sockets of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests of one user, a second.
    pub user_rate_per_s: u32,
    /// Requests of one user beyond that at once.
    pub user_burst: u32,
    /// Writes to the sign-in of one client (an IPv6 client is its /64), a minute.
    pub sign_in_rate_per_min: u32,
    /// Such writes beyond that at once.
    pub sign_in_burst: u32,
    /// Sockets of one user at once.
    pub sockets_per_user: u32,
}

impl Default for Limits {
    /// As generous as the server behind, which counts again. Renewing tokens counts as signing in,
    /// and many people may share an address.
    fn default() -> Self {
        Self {
            user_rate_per_s: 500,
            user_burst: 1_000,
            sign_in_rate_per_min: 120,
            sign_in_burst: 60,
            sockets_per_user: 50,
        }
    }
}

/// Whether requests are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Guard {
    /// Every one.
    #[default]
    On,
    /// None: everything goes to the servers as it came. For benchmarks, to see what the guard costs.
    Off,
}

/// What TLS needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The file with the certificate and those that vouch for it.
    pub certificate: PathBuf,
    /// The file with its key.
    pub key: PathBuf,
}

/// A gateway that can be written down.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// nginx and what it loads.
    pub parts: Parts,
    /// The folder it runs in; made, with mode 0700 unless there is a `user`.
    pub run: PathBuf,
    /// What stands behind `listen`, e.g. `127.0.0.1:8080` or `[::]:443 ssl http2`.
    pub listen: Vec<String>,
    /// Certificate and key, where it listens with `ssl`.
    pub tls: Option<Tls>,
    /// The servers: `host:port`.
    pub servers: Vec<String>,
    /// The servers of the pages: `host:port`. With none, pages are answered with a refusal.
    pub pages: Vec<String>,
    /// Whose `X-Forwarded-For` is believed: addresses and networks, e.g. `10.0.0.0/8`. The servers
    /// of the pages must be among them, or all who sign in through them share one address. Nobody
    /// is, if nobody says.
    pub trusted: Vec<String>,
    /// Where servers give the door document: `unix:/path` or `address:port`, asked in turn.
    pub door: Vec<String>,
    /// The folder of the pages' immutable files; without it they come from the pages' servers.
    pub static_files: Option<PathBuf>,
    /// Processes; one for each core if nobody says.
    pub workers: Option<u16>,
    /// Whom the processes run as, where the master is root.
    pub user: Option<String>,
    /// Limits.
    pub limits: Limits,
    /// Whether requests are asked about.
    pub guard: Guard,
}

/// A value that cannot stand in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A path or a text with a character that means something to nginx or Lua.
    #[error(
        "{what} {value:?} cannot stand in a configuration of nginx; use one without quotes, braces, semicolons, question marks, backslashes and dollar signs"
    )]
    Text {
        /// What it is.
        what: &'static str,
        /// As it is.
        value: String,
    },
    /// An empty list.
    #[error("the gateway needs at least one {0}")]
    None(&'static str),
    /// What is neither `unix:/path` nor `address:port`.
    #[error("{0:?} is no place of a door document; write unix:/path or address:port")]
    Door(String),
    /// What is neither an address nor a network.
    #[error("{0:?} is no network; write an address, or an address and its bits as in 10.0.0.0/8")]
    Network(String),
}

impl Gateway {
    /// A gateway in the folder `run`, which lacks where it listens, its servers and its doors.
    #[must_use]
    pub fn new(parts: Parts, run: &Path) -> Self {
        Self {
            parts,
            run: run.to_owned(),
            listen: Vec::new(),
            tls: None,
            servers: Vec::new(),
            pages: Vec::new(),
            trusted: Vec::new(),
            door: Vec::new(),
            static_files: None,
            workers: None,
            user: None,
            limits: Limits::default(),
            guard: Guard::On,
        }
    }

    /// The configuration.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn render(&self) -> Result<String, Invalid> {
        crate::render::conf(self)
    }
}

/// A text that means nothing to nginx or Lua inside quotes.
pub(crate) fn plain(what: &'static str, value: &str) -> Result<String, Invalid> {
    let special = |char: char| char.is_control() || "\"'\\$;?{}".contains(char);
    if value.is_empty() || value.contains(special) {
        return Err(Invalid::Text { what, value: value.to_owned() });
    }
    Ok(value.to_owned())
}

/// The same for a path; from the root, as nginx would else start from its own folder.
pub(crate) fn path(what: &'static str, path: &Path) -> Result<String, Invalid> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match whole.to_str() {
        Some(text) => plain(what, text),
        None => Err(Invalid::Text { what, value: whole.to_string_lossy().into_owned() }),
    }
}
