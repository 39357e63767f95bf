//! The parts of an installation, put together: `up` and `serve` start the same server.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tasktonic_files::{FileLimits, Files};
use tasktonic_server::{Config, GatewayListen, Identity, Limits, Server};
use tasktonic_store::clock::Clock;

use crate::config::{ConfigFile, IssuerPart};
use crate::data::Data;
use crate::screen;
use crate::stores::{Choice, Opened};

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
    /// An origin under which people reach it, e.g. https://tasks.example.com; may be given more
    /// than once [default: those of the configuration, else localhost with the port]
    #[arg(long = "origin", value_name = "URL")]
    pub(crate) origins: Vec<String>,
    /// Open an embedded store although acknowledged work is missing, as after a backup was put back
    #[arg(long)]
    pub(crate) accept_older: bool,
}

impl Door {
    /// The origins that people use: those of the command line, else those of the configuration.
    pub(crate) fn origins<'a>(&'a self, config: &'a ConfigFile) -> &'a [String] {
        if self.origins.is_empty() { &config.server.origins } else { &self.origins }
    }
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
    pub(crate) store: Opened,
    pub(crate) files: Files,
    pub(crate) identity: Identity,
    pub(crate) server: Server,
}

impl Product {
    /// Opens the store, files and identities, and binds the server.
    pub(crate) async fn open(
        data: &Data,
        store: Choice,
        files_url: &str,
        door: &Door,
        config: &ConfigFile,
        pages: Option<PagesAt>,
        gateway: Option<GatewayListen>,
    ) -> Result<Self> {
        let clock = Clock::system();
        let store = Choice { accept_older: door.accept_older, ..store };
        let store = store.open(clock.clone()).await?;
        let files = open_files(files_url).await?;
        let shared = store.shared();
        let issuers = config.issuer.iter().map(IssuerPart::issuer_file).collect::<Result<_>>()?;
        let identity = Identity::open(shared.clone(), &data.keys(), issuers, clock.clone())
            .context("opening the keys")?;
        let listen = SocketAddr::new(door.host, door.port);
        let server_config = Config {
            listen,
            origins: door.origins(config).to_vec(),
            pages: pages.as_ref().map(|pages| pages.address),
            pages_static: pages.and_then(|pages| pages.static_files),
            metrics_public: config.server.metrics_public,
            gateway,
            trusted_proxies: config.server.trusted_proxies()?,
            limits: Limits {
                drain_notice: Duration::from_secs(config.server.drain_notice_s.into()),
                ..Limits::default()
            },
        };
        let server = Server::bind(server_config, shared, files.clone(), identity.clone(), clock)
            .await
            .with_context(|| {
                format!("listening on {listen} (another port is taken with --port N)")
            })?;
        Ok(Self { store, files, identity, server })
    }
}

/// The users' files at `url`.
pub(crate) async fn open_files(url: &str) -> Result<Files> {
    Files::open(url, FileLimits::default(), now_ms).await.context("opening the files")
}

/// The store and who is who, for the verbs that change accounts.
pub(crate) async fn identities(store: Choice, keys: &Path) -> Result<(Opened, Identity)> {
    let clock = Clock::system();
    let store = store.open(clock.clone()).await?;
    let identity =
        Identity::open(store.shared(), keys, Vec::new(), clock).context("opening the keys")?;
    Ok((store, identity))
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
