//! `tasktonic work`: a worker in a process of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tasktonic_client::{RemoteFiles, RemoteStore, Waits};
use tasktonic_core::{Name, WorkerId};
use tasktonic_files::TaskFiles;
use tasktonic_handlers::HandlersConfig;
use tasktonic_store::Store;
use tasktonic_worker::{AnyHandler, Settings, Worker};

use crate::store_url::StoreUrl;
use crate::{api, bad_use, config, handlers, logging, shutdown};

/// How long running attempts may go on after the worker was asked to stop.
const DRAIN_S_DEFAULT: u64 = 25;

/// Arguments of `work`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    TASKTONIC_TOKEN=$(tasktonic token mint --user worker --role worker) \\\n    \
    tasktonic work --server http://127.0.0.1:8080 --kinds csv.profile --concurrency 2\n\n\
    The first signal drains: no new tasks, running ones may finish. The second stops at once.")]
pub(crate) struct Args {
    /// The server through which it reaches the store
    #[arg(long, env = "TASKTONIC_URL", value_name = "URL")]
    server: Option<String>,
    /// The store, where several processes can share it
    #[arg(long, value_name = "URL")]
    store: Option<StoreUrl>,
    /// A file that holds its access token (else it is read from TASKTONIC_TOKEN)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Only these kinds
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    kinds: Vec<Name>,
    /// Attempts at once [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    concurrency: Option<u32>,
    /// How long running attempts may go on after the first signal
    #[arg(long, value_name = "SECONDS", default_value_t = DRAIN_S_DEFAULT)]
    drain: u64,
    /// The configuration [default: ./tasktonic.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) async fn work(args: Args) -> Result<u8> {
    logging::to_stderr();
    let url = match (&args.server, &args.store) {
        // Also where TASKTONIC_URL is set: who names a store means it.
        (_, Some(StoreUrl::Embedded(_))) => {
            return Err(bad_use(
                "an embedded store belongs to the one process that opened it: start the server \
                 there and this worker with --server URL",
            ));
        }
        (Some(url), None) => url,
        (None, None) => {
            return Err(bad_use("say where the tasks are: --server URL (or TASKTONIC_URL)"));
        }
    };
    let config = config::read(args.config.as_deref(), &["tasktonic.toml".into()])?;
    let handlers = handlers::of(&config)?;
    let client = api::client(url, args.token_file.as_ref(), Waits::default())?;
    let client_url = client.url().to_owned();
    let store: Arc<dyn Store> = Arc::new(RemoteStore::new(client.clone())?);
    let files: Arc<dyn TaskFiles> = Arc::new(RemoteFiles::new(client));
    let stop = shutdown::on_signal()?;
    let settings = settings(args.concurrency, Duration::from_secs(args.drain));
    let worker = build(fresh_id(""), store, files, &handlers, &args.kinds, settings)?;
    tracing::info!(server = client_url, "working");
    worker.run_until(stop).await?;
    tracing::info!("every attempt has ended or was given back");
    Ok(crate::DONE)
}

/// The settings of a worker on this machine.
pub(crate) fn settings(concurrency: Option<u32>, drain: Duration) -> Settings {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Settings {
        concurrency: concurrency.unwrap_or_else(|| u32::try_from(cores).unwrap_or(1)),
        lease: Duration::from_millis(tasktonic_core::limits::LEASE_MS_DEFAULT.into()),
        drain,
        host: nix::unistd::gethostname()
            .map_or_else(|_| "unknown".into(), |name| name.to_string_lossy().into_owned()),
    }
}

/// A worker id that no process had before.
pub(crate) fn fresh_id(prefix: &str) -> WorkerId {
    let random = u128::from_le_bytes(rand::random());
    format!("{prefix}{random:032x}").parse().expect("hexadecimal digits are a worker id")
}

/// A worker with the shipped handlers and those of the configuration; only `kinds`, if any.
pub(crate) fn build(
    id: WorkerId,
    store: Arc<dyn Store>,
    files: Arc<dyn TaskFiles>,
    config: &HandlersConfig,
    kinds: &[Name],
    settings: Settings,
) -> Result<Worker> {
    let all = tasktonic_handlers::shipped(config);
    let name = |handler: &Arc<dyn AnyHandler>| handler.record().kind;
    if let Some(unknown) = kinds.iter().find(|kind| !all.iter().any(|h| name(h) == kind.as_str())) {
        let known: Vec<_> = all.iter().map(name).collect();
        let known = known.join(", ");
        return Err(bad_use(format!("no handler for the kind {unknown}; known are {known}")));
    }
    let wanted = all
        .into_iter()
        .filter(|handler| kinds.is_empty() || kinds.iter().any(|k| k.as_str() == name(handler)));
    let worker = Worker::new(id, store, files, settings);
    Ok(wanted.fold(worker, Worker::register_any))
}
