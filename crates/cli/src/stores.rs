//! Which store, and how it is opened: the only place that names one. Whoever uses it afterwards
//! knows a `Store`. A password in its URL never comes back out of here.

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result};
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tasktonic_store_embedded::EmbeddedStore;
use tasktonic_store_redis::{RedisStore, RedisUrl};

use crate::{bad_use, screen};

/// The environment variable that names a store, and may hold its password.
pub(crate) const VARIABLE: &str = "TASKTONIC_STORE";
/// The environment variable for the promise.
pub(crate) const DURABILITY_VARIABLE: &str = "TASKTONIC_DURABILITY";
/// Bytes of a file that holds a URL.
const FILE_BYTES_MAX: u64 = 4_096;

/// The store, as the command line names it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct StoreArgs {
    /// The store: embedded:FOLDER, or redis://HOST:PORT[,HOST:PORT…] for several processes and
    /// machines [default: TASKTONIC_STORE]. A password belongs into TASKTONIC_STORE or --store-file,
    /// never here, where other users of the machine see it
    #[arg(long, value_name = "URL")]
    store: Option<Secret>,
    /// A file that holds the URL of the store
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    store_file: Option<PathBuf>,
    /// When a task on Redis counts as accepted: fast (in its memory), disk (on its disk) or
    /// replicated (on a replica too) [default: fast]
    #[arg(long, value_name = "CLASS", env = DURABILITY_VARIABLE)]
    pub(crate) durability: Option<Class>,
    /// Believe that Redis is set up for the class where it does not let that be asked (CONFIG GET),
    /// because its provider vouches for it
    #[arg(long)]
    pub(crate) durability_declared: bool,
}

/// A text of the command line that is shown to nobody, also when it is no URL.
#[derive(Clone)]
struct Secret(String);

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// When a task on Redis counts as accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Class {
    /// In the memory of Redis.
    Fast,
    /// On its disk.
    Disk,
    /// On a replica too.
    Replicated,
}

impl Class {
    /// The word for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Disk => "disk",
            Self::Replicated => "replicated",
        }
    }
}

impl From<Class> for tasktonic_store_redis::Class {
    fn from(class: Class) -> Self {
        match class {
            Class::Fast => Self::Fast,
            Class::Disk => Self::Disk,
            Class::Replicated => Self::Replicated,
        }
    }
}

/// A store somebody named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    /// SQLite in this process, in this folder.
    Embedded(PathBuf),
    /// Redis, Valkey, or a cluster of them.
    Redis(RedisUrl),
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("embedded", folder)) if !folder.is_empty() => Ok(Self::Embedded(folder.into())),
            Some(("redis" | "rediss", _)) => text
                .parse()
                .map(Self::Redis)
                .map_err(|error: tasktonic_store_redis::UrlError| error.to_string()),
            _ => {
                Err("a store is named embedded:FOLDER, redis://HOST:PORT or rediss://HOST:PORT"
                    .into())
            }
        }
    }
}

impl StoreArgs {
    /// The URL that the command line itself names, with its password.
    pub(crate) fn text(&self) -> Result<Option<String>> {
        match (&self.store_file, &self.store) {
            (Some(path), _) => read_file(path).map(Some),
            (None, named) => Ok(named.as_ref().map(|Secret(text)| text.clone())),
        }
    }

    /// The URL that the environment names, with its password.
    pub(crate) fn text_of_environment() -> Option<String> {
        std::env::var(VARIABLE).ok().filter(|text| !text.is_empty())
    }

    /// The store that the command line itself names.
    pub(crate) fn named(&self) -> Result<Option<StoreUrl>> {
        let Some(text) = self.text()? else { return Ok(None) };
        let from = if self.store_file.is_some() { "--store-file" } else { "--store" };
        let url = text.parse().map_err(|wrong| bad_use(format!("{from}: {wrong}")))?;
        if matches!(&url, StoreUrl::Redis(url) if url.has_password()) && self.store.is_some() {
            screen::note(&format!(
                "warning: every user of this machine can read the password in --store; put the URL \
                 into {VARIABLE}, or into a file for --store-file"
            ));
        }
        Ok(Some(url))
    }

    /// The store that the environment names.
    pub(crate) fn of_environment() -> Result<Option<StoreUrl>> {
        let parsed = Self::text_of_environment().map(|text| text.parse()).transpose();
        parsed.map_err(|wrong: String| bad_use(format!("{VARIABLE}: {wrong}")))
    }

    /// The store of the command line or the environment; else the embedded one in `folder`.
    pub(crate) fn choose(&self, folder: PathBuf) -> Result<Choice> {
        let named = match self.named()? {
            Some(named) => named,
            None => Self::of_environment()?.unwrap_or(StoreUrl::Embedded(folder)),
        };
        self.choice(named)
    }

    /// `url` with the promise that was asked for.
    pub(crate) fn choice(&self, url: StoreUrl) -> Result<Choice> {
        if matches!(url, StoreUrl::Embedded(_)) && self.durability.is_some_and(|c| c != Class::Disk)
        {
            return Err(bad_use(
                "an embedded store keeps every accepted task on disk; --durability chooses for a \
                 store on Redis",
            ));
        }
        Ok(Choice {
            url,
            class: self.durability.unwrap_or(Class::Fast),
            declared: self.durability_declared,
            accept_older: false,
        })
    }
}

fn read_file(path: &Path) -> Result<String> {
    let shown = path.display();
    let size = std::fs::metadata(path).with_context(|| format!("reading {shown}"))?.len();
    if size > FILE_BYTES_MAX {
        return Err(bad_use(format!("{shown} has {size} bytes; it is to hold one URL of a store")));
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
    Ok(text.trim().to_owned())
}

/// Which store to open, and how.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    /// Where it is.
    pub(crate) url: StoreUrl,
    /// When a task on Redis counts as accepted.
    pub(crate) class: Class,
    /// Whether its provider vouches for what may not be asked.
    pub(crate) declared: bool,
    /// Open an embedded store although acknowledged work is missing.
    pub(crate) accept_older: bool,
}

impl Choice {
    /// Whether it is one that this process has to itself.
    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self.url, StoreUrl::Embedded(_))
    }

    /// Opens it.
    pub(crate) async fn open(self, clock: Clock) -> Result<Opened> {
        match self.url {
            StoreUrl::Embedded(folder) => {
                let options = tasktonic_store_embedded::Options {
                    accept_older: self.accept_older,
                    ..tasktonic_store_embedded::Options::new(clock)
                };
                let opened =
                    tokio::task::spawn_blocking(move || EmbeddedStore::open(folder, options));
                Ok(Opened::Embedded(Arc::new(opened.await??)))
            }
            StoreUrl::Redis(url) => {
                let options = tasktonic_store_redis::Options {
                    class: self.class.into(),
                    declared: self.declared,
                    ..tasktonic_store_redis::Options::new(clock)
                };
                Ok(Opened::Redis(Arc::new(RedisStore::open(&url, options).await?)))
            }
        }
    }
}

/// An open store.
#[derive(Clone)]
pub(crate) enum Opened {
    /// In this process.
    Embedded(Arc<EmbeddedStore>),
    /// Somewhere else.
    Redis(Arc<RedisStore>),
}

impl Opened {
    /// The store as everybody else knows it.
    pub(crate) fn shared(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Redis(store) => store.clone(),
        }
    }

    /// Returns when it has stopped for good by itself, with the reason. One on Redis never does:
    /// it goes on looking for its servers.
    pub(crate) async fn failed(&self) -> String {
        match self {
            Self::Embedded(store) => store.failed().await,
            Self::Redis(_) => std::future::pending().await,
        }
    }

    /// Closes it; what was acknowledged is kept.
    pub(crate) async fn close(&self) {
        match self {
            Self::Embedded(store) => store.close().await,
            // It keeps nothing back; its connections end with it.
            Self::Redis(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_named_by_its_scheme() {
        assert_eq!("embedded:a/b".parse(), Ok(StoreUrl::Embedded("a/b".into())));
        assert!(matches!("redis://h:1,h:2".parse(), Ok(StoreUrl::Redis(_))));
        assert!(matches!("rediss://u:p@h".parse(), Ok(StoreUrl::Redis(_))));
        for wrong in ["", "embedded", "embedded:", "sqlite:a", "redis", "redis:h"] {
            assert!(wrong.parse::<StoreUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_is_in_no_error_and_no_debug_output() {
        let secret = "redis://ana:hush@";
        let args = StoreArgs { store: Some(Secret(secret.into())), ..StoreArgs::default() };
        let error = args.named().unwrap_err();
        assert!(!format!("{error:#} {args:?}").contains("hush"));
        let url: StoreUrl = "redis://ana:hush@h".parse().unwrap();
        assert!(!format!("{url:?}").contains("hush"));
    }
}
