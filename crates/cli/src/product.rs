//! The parts of an installation, put together: `up` and `serve` start the same server.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use tasktonic_files::{FileLimits, Files};
use tasktonic_server::{Config, Identity, Limits, Server};
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tasktonic_store_embedded::{EmbeddedStore, Options};

use crate::config::{ConfigFile, IssuerPart};
use crate::data::Data;
use crate::screen;

/// What `up` and `serve` are told in the same words.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Door {
    /// The port to listen on; 0 takes a free one
    #[arg(long, env = "TASKTONIC_PORT", default_value_t = 8080, value_name = "N")]
    pub(crate) port: u16,
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub(crate) host: IpAddr,
    /// The configuration [default: tasktonic.toml in the data folder or here, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Open the store although acknowledged work is missing, as after a backup was put back
    #[arg(long)]
    pub(crate) accept_older: bool,
}

/// Where the pages come from.
#[derive(Debug, Clone)]
pub(crate) struct PagesAt {
    /// Their server.
    pub(crate) address: SocketAddr,
    /// Their immutable files.
    pub(crate) static_files: Option<PathBuf>,
}

/// The opened parts.
pub(crate) struct Product {
    pub(crate) store: Arc<EmbeddedStore>,
    pub(crate) files: Files,
    pub(crate) identity: Identity,
    pub(crate) server: Server,
}

impl Product {
    /// Opens the store in `folder`, files and identities in `data`, and binds the server.
    pub(crate) async fn open(
        data: &Data,
        folder: &Path,
        door: &Door,
        config: &ConfigFile,
        pages: Option<PagesAt>,
    ) -> Result<Self> {
        let clock = Clock::system();
        let store = open_store(folder, door.accept_older, clock.clone()).await?;
        let files = Files::open(&data.files_url(), FileLimits::default(), now_ms)
            .await
            .context("opening the files")?;
        let shared: Arc<dyn Store> = store.clone();
        let issuers = config.issuer.iter().map(IssuerPart::issuer_file).collect::<Result<_>>()?;
        let identity = Identity::open(shared.clone(), &data.keys(), issuers, clock.clone())
            .context("opening the keys")?;
        let listen = SocketAddr::new(door.host, door.port);
        let server_config = Config {
            listen,
            origins: config.server.origins.clone(),
            pages: pages.as_ref().map(|pages| pages.address),
            pages_static: pages.and_then(|pages| pages.static_files),
            metrics_public: config.server.metrics_public,
            limits: Limits::default(),
        };
        let server = Server::bind(server_config, shared, files.clone(), identity.clone(), clock)
            .await
            .with_context(|| {
                format!("listening on {listen} (another port is taken with --port N)")
            })?;
        Ok(Self { store, files, identity, server })
    }
}

/// The store and who is who, for the verbs that change accounts.
pub(crate) async fn identities(data: &Data) -> Result<(Arc<EmbeddedStore>, Identity)> {
    let clock = Clock::system();
    let store = open_store(&data.store(), false, clock.clone()).await?;
    let identity = Identity::open(store.clone(), &data.keys(), Vec::new(), clock)
        .context("opening the keys")?;
    Ok((store, identity))
}

async fn open_store(folder: &Path, accept_older: bool, clock: Clock) -> Result<Arc<EmbeddedStore>> {
    let folder = folder.to_owned();
    let options = Options { accept_older, ..Options::new(clock) };
    let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(folder, options));
    Ok(Arc::new(opened.await??))
}

fn now_ms() -> i64 {
    Clock::system().now_ms()
}

/// Says why the store stopped by itself, and answers the exit code.
pub(crate) fn store_failed(why: &str) -> u8 {
    tracing::error!(why, "the store has stopped");
    screen::note(&format!("the store has stopped: {why}"));
    crate::FAILED
}
