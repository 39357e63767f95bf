//! `tasktonic work`: a worker in a process of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tasktonic_client::{RemoteFiles, RemoteStore, Waits};
use tasktonic_core::{Labels, Name, WorkerId};
use tasktonic_files::TaskFiles;
use tasktonic_handlers::HandlersConfig;
use tasktonic_server::FileLedger;
use tasktonic_store::clock::Clock;
use tasktonic_store::{Store, Table};
use tasktonic_worker::{AnyHandler, Settings, Worker};
use tokio::task::JoinHandle;

use crate::data::{self, Data};
use crate::parent::Parent;
use crate::stores::{Choice, Opened, StoreArgs, StoreUrl};
use crate::{api, bad_use, config, handlers, logging, product, shutdown};

/// How long running attempts may go on after the worker was asked to stop.
const DRAIN_S_DEFAULT: u64 = 25;
/// How long the worker may take to announce itself before it is called ready all the same.
const ANNOUNCE_WAIT: Duration = Duration::from_secs(10);

/// Arguments of `work`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    TASKTONIC_TOKEN=$(tasktonic token mint --user worker --role worker) \\\n    \
    tasktonic work --server http://127.0.0.1:8080 --kinds csv.profile --concurrency 2\n  \
    TASKTONIC_STORE=redis://tasktonic:PASSWORD@redis:6379 \\\n    \
    tasktonic work --files file:///srv/tasktonic/files\n  \
    tasktonic work --server http://127.0.0.1:8080 --kinds images.resize --label gpu\n\n\
    With --server it needs a token and nothing else. With a store on Redis it needs the folder of \
    the users' files as well.\n\
    The first signal drains: no new tasks, running ones may finish. The second stops at once.")]
pub(crate) struct Args {
    /// The server through which it reaches the store [default: TASKTONIC_URL]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
    /// Users' files, where the servers find them too: file:///FOLDER [with --data: DATA/files]
    #[arg(long, env = "TASKTONIC_FILES", value_name = "URL")]
    files: Option<String>,
    /// The folder of the installation, on the same machine
    #[arg(long, env = "TASKTONIC_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// A file that holds its access token (else it is read from TASKTONIC_TOKEN)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Only these kinds
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    kinds: Vec<Name>,
    /// How many places it has: attempts at once, where each takes one [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    concurrency: Option<u32>,
    /// What this worker has, e.g. gpu: it takes tasks that need it too; may be given up to 3 times
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// How long running attempts may go on after the first signal
    #[arg(long, value_name = "SECONDS", default_value_t = DRAIN_S_DEFAULT)]
    drain: u64,
    /// The configuration [default: tasktonic.toml in the data folder or here, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    parent: Parent,
}

/// Where its tasks come from.
enum From {
    Server(String),
    Store(Choice),
}

impl Args {
    /// What the command line names goes before what the environment names, and a store before a
    /// server.
    fn from(&self) -> Result<From> {
        let variable = std::env::var("TASKTONIC_URL").ok().filter(|url| !url.is_empty());
        let store = match (self.store.named()?, &self.server) {
            (Some(store), _) => store,
            (None, Some(url)) => return Ok(From::Server(url.clone())),
            (None, None) => match (StoreArgs::of_environment()?, variable) {
                (Some(store), _) => store,
                (None, Some(url)) => return Ok(From::Server(url)),
                (None, None) => {
                    return Err(bad_use(
                        "say where the tasks are: --server URL (or TASKTONIC_URL), or --store \
                         redis://HOST:PORT (or TASKTONIC_STORE)",
                    ));
                }
            },
        };
        if matches!(store, StoreUrl::Embedded(_)) {
            return Err(bad_use(
                "an embedded store belongs to the one process that opened it: start the server \
                 there and this worker with --server URL",
            ));
        }
        self.store.choice(store).map(From::Store)
    }

    /// Where the users' files are, for a worker that has the store.
    fn files_url(&self) -> Result<String> {
        match (&self.files, &self.data) {
            (Some(url), _) => Ok(url.clone()),
            (None, Some(folder)) => {
                data::must_be_there(folder)?;
                Ok(Data::open(folder)?.files_url())
            }
            (None, None) => Err(bad_use(
                "say where the users' files are: --files file:///FOLDER (or TASKTONIC_FILES), the \
                 same folder as the servers'; or --data DIR on a server's machine",
            )),
        }
    }

    fn config(&self) -> Result<config::Config> {
        let beside = self.data.iter().map(|folder| folder.join("tasktonic.toml"));
        let usual: Vec<PathBuf> = beside.chain(["tasktonic.toml".into()]).collect();
        config::read(self.config.as_deref(), &usual)
    }
}

pub(crate) async fn work(args: Args) -> Result<u8> {
    logging::to_stderr();
    let handlers = handlers::of(&args.config()?)?;
    let stop = shutdown::on_signal(shutdown::attempts_have(args.drain))?;
    args.parent.follow(&stop);
    let mut opened: Option<Opened> = None;
    let (store, files): (Arc<dyn Store>, Arc<dyn TaskFiles>) = match args.from()? {
        From::Server(url) => {
            let client = api::client(&url, args.token_file.as_ref(), Waits::default())?;
            tracing::info!(server = client.url(), "working");
            (Arc::new(RemoteStore::new(client.clone())?), Arc::new(RemoteFiles::new(client)))
        }
        From::Store(choice) => {
            let files = product::open_files(&args.files_url()?).await?;
            let store = opened.insert(choice.open(Clock::system()).await?).shared();
            // What this worker keeps counts towards what the servers let a user have.
            files.share(Arc::new(FileLedger::new(store.clone())));
            tracing::info!("working");
            (store, Arc::new(files))
        }
    };
    let id = fresh_id("");
    tracing::info!(worker = %id, "pages and lists name this worker by the end of its id");
    let settings = settings(args.concurrency, Duration::from_secs(args.drain));
    let settings = Settings { labels: labels(&args.labels)?, ..settings };
    let worker = build(id.clone(), store.clone(), files, &handlers, &args.kinds, settings)?;
    let working = tokio::spawn(worker.run_until(stop));
    if args.parent.is_there() {
        announced(&*store, &id, &working).await;
        args.parent.ready();
    }
    let ended = working.await?;
    if let Some(store) = opened {
        store.close().await;
    }
    ended?;
    tracing::info!("every attempt has ended or was given back");
    Ok(crate::DONE)
}

/// Waits until the worker has announced its kinds: who reads that we are ready may submit at once.
pub(crate) async fn announced<T>(store: &dyn Store, id: &WorkerId, working: &JoinHandle<T>) {
    let until = Instant::now() + ANNOUNCE_WAIT;
    while Instant::now() < until && !working.is_finished() {
        if let Ok(Some(_)) = store.registry().get(Table::Workers, id.as_str()).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The settings of a worker on this machine.
pub(crate) fn settings(concurrency: Option<u32>, drain: Duration) -> Settings {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Settings {
        labels: Labels::default(),
        concurrency: concurrency.unwrap_or_else(|| u32::try_from(cores).unwrap_or(1)),
        lease: Duration::from_millis(tasktonic_core::limits::LEASE_MS_DEFAULT.into()),
        drain,
        host: nix::unistd::gethostname()
            .map_or_else(|_| "unknown".into(), |name| name.to_string_lossy().into_owned()),
    }
}

/// The labels of a command line.
pub(crate) fn labels(typed: &[String]) -> Result<Labels> {
    Labels::new(typed).map_err(|error| bad_use(format!("--label: {error}")))
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
