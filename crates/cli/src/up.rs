//! `tasktonic up`: the whole product with a login to begin with; here in one process, in `fleet` as
//! many.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::Serialize;
use tasktonic_auth::{Role, account};
use tasktonic_core::WorkerId;
use tasktonic_server::Identity;
use tasktonic_worker::Settings;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::built_in::BuiltIn;
use crate::data::{self, Data};
use crate::forms::Form;
use crate::pages::{self, Built};
use crate::product::{self, Door, PagesAt, Product};
use crate::screen::{self, Style, styled};
use crate::stores::{StoreArgs, StoreUrl};
use crate::{config, fleet, forms, handlers, logging, shutdown, work};

/// The account that `up` makes on its first start.
pub(crate) const DEMO: &str = "demo";
/// Life of the token that `--json` prints, in seconds.
const TOKEN_TTL_S: u32 = 12 * 3_600;
/// How long running attempts may go on after the first signal.
const DRAIN: Duration = Duration::from_secs(10);

/// Arguments of `up`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tasktonic up                          everything, on http://localhost:8080\n  \
    tasktonic up --data /srv/tasks --port 9000\n  \
    tasktonic up --no-ui --json           for scripts: one line when it is ready\n  \
    tasktonic up --redis --gateway --workers 3\n  \
    tasktonic up --cluster --gateway --servers 2 --pages 2 --durability replicated\n\n\
    The first signal drains: attempts may finish. The second stops at once; nothing that was \
    acknowledged is lost by that.")]
pub(crate) struct Args {
    /// The folder for everything this installation keeps
    #[arg(long, env = "TASKTONIC_DATA", default_value = data::DEFAULT, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Without pages: no Node.js is needed
    #[arg(long)]
    pub(crate) no_ui: bool,
    /// Without workers: start them with `tasktonic work`
    #[arg(long)]
    pub(crate) no_workers: bool,
    /// Print one JSON line when ready
    #[arg(long)]
    pub(crate) json: bool,
    /// How many places each worker has: attempts at once, where each takes one [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) concurrency: Option<u32>,
    /// What its workers have, e.g. gpu: they take tasks that need it too; may be given up to 3 times
    #[arg(long = "label", value_name = "LABEL", conflicts_with = "no_workers")]
    pub(crate) labels: Vec<String>,
    /// The folder of the built pages [default: TASKTONIC_WEB_DIR, or `web` beside this program]
    #[arg(long, value_name = "DIR", conflicts_with = "no_ui")]
    pub(crate) web: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) door: Door,
    #[command(flatten)]
    pub(crate) shape: fleet::Shape,
}

/// What `--json` prints.
#[derive(Serialize)]
pub(crate) struct Ready<'a> {
    ready: bool,
    url: &'a str,
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    token: String,
    /// The processes of a fleet.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    processes: &'a [fleet::Row],
}

impl<'a> Ready<'a> {
    pub(crate) fn new(
        url: &'a str,
        password: Option<&'a str>,
        identity: &Identity,
        processes: &'a [fleet::Row],
    ) -> Result<Self> {
        let token = identity.mint(DEMO, Role::User, TOKEN_TTL_S)?;
        Ok(Self { ready: true, url, user: DEMO, password, token, processes })
    }
}

pub(crate) async fn up(args: Args) -> Result<u8> {
    if args.shape.is_wanted() { fleet::up(args).await } else { one_process(args).await }
}

async fn one_process(args: Args) -> Result<u8> {
    let labels = work::labels(&args.labels)?;
    let stop = shutdown::on_signal(shutdown::attempts_have(DRAIN.as_secs()))?;
    let built = if args.no_ui { None } else { Some(Built::find(args.web.clone())?) };
    let data = Data::open(&args.data)?;
    logging::to_folder(&data.logs())?;
    let config = config::read(args.door.config.as_deref(), &config::usual(&data))?;
    let handlers = handlers::of(&config)?;

    let pages_at = built
        .as_ref()
        .map(|built| {
            let address = pages::choose_address()?;
            anyhow::Ok(PagesAt { address, static_files: Some(built.static_files()) })
        })
        .transpose()?;
    let choice = args.store.choose(data.store())?;
    let is_usual = choice.url == StoreUrl::Embedded(data.store());
    let product = Product::open(
        &data,
        choice,
        &data.files_url(),
        &args.door,
        &config.file,
        pages_at.clone(),
        None,
    )
    .await?;
    let Product { store, files, identity, server } = product;
    let password = demo_account(&data, &identity).await?;
    let listening = server.local_addr();
    let url = url_of(listening, args.door.origins(&config.file));

    let stop_server = CancellationToken::new();
    let mut serving = tokio::spawn(server.run_until(stop_server.clone()));
    let mut built_in = BuiltIn::start(store.shared(), files.clone()).await;
    let mut worker = if args.no_workers {
        None
    } else {
        let id = work::fresh_id(WorkerId::IN_PROCESS);
        let settings = work::settings(args.concurrency, DRAIN);
        let settings = Settings { labels, ..settings };
        let files = std::sync::Arc::new(files);
        let worker = work::build(id.clone(), store.shared(), files, &handlers, &[], settings)?;
        let working = tokio::spawn(worker.run_until(stop.clone()));
        work::announced(&*store.shared(), &id, &working).await;
        Some(working)
    };
    let mut pages = None;
    let mut store_is_gone = false;
    let code = async {
        if let (Some(built), Some(at)) = (built, &pages_at) {
            let start = pages::start(
                built,
                at.address,
                fleet::from_here(listening),
                &data,
                stop_server.clone(),
            );
            // Who stops now need not wait for a first page.
            match stop.run_until_cancelled(start).await {
                Some(started) => pages = Some(started?),
                None => return Ok(crate::DONE),
            }
        }
        if !stop.is_cancelled() && !worker.as_ref().is_some_and(JoinHandle::is_finished) {
            if is_usual {
                forms::tell_of_others(&data, Form::OneProcess);
            }
            say_ready(&args, &data, &url, &identity, password.as_deref())?;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(crate::DONE),
            why = store.failed() => {
                store_is_gone = true;
                Ok(product::store_failed(&why))
            }
            ended = &mut serving => ended_early("the server", ended),
            ended = ended(&mut worker) => ended_early("the worker", ended),
            why = built_in.failed() => Err(why),
        }
    }
    .await;
    if store_is_gone {
        // Nothing that could still be said would be kept.
        return code;
    }
    // Also after a failure everything ends in order. Workers first, while the server still answers
    // for them; then the server, then its pages.
    stop.cancel();
    let worked = match worker {
        Some(worker) => worker
            .await
            .map_err(anyhow::Error::new)
            .and_then(|ended| ended.context("the worker could not work")),
        None => Ok(()),
    };
    let built_in = built_in.end().await;
    stop_server.cancel();
    let served = match serving.is_finished() {
        // It has said above why.
        true => Ok(()),
        false => serving.await.map_err(anyhow::Error::new).and_then(|ended| Ok(ended?)),
    };
    if let Some(pages) = pages {
        pages.await?;
    }
    store.close().await;
    let code = code?;
    worked.and(built_in).and(served).map(|()| code)
}

/// Waits for the end of a worker, if there is one.
async fn ended<T>(worker: &mut Option<JoinHandle<T>>) -> Result<T, tokio::task::JoinError> {
    let Some(running) = worker else { return std::future::pending().await };
    let ended = running.await;
    *worker = None;
    ended
}

fn ended_early<E>(who: &str, ended: Result<Result<(), E>, tokio::task::JoinError>) -> Result<u8>
where
    E: Into<anyhow::Error>,
{
    match ended {
        Ok(Ok(())) => Err(anyhow!("{who} ended by itself")),
        Ok(Err(error)) => Err(error.into().context(format!("{who} ended"))),
        Err(error) => Err(anyhow!(error).context(format!("{who} ended"))),
    }
}

/// The demo account's password; the account is made on the first start.
pub(crate) async fn demo_account(data: &Data, identity: &Identity) -> Result<Option<String>> {
    if identity.accounts().await?.iter().any(|account| account.name == DEMO) {
        return Ok(data.demo_password());
    }
    // The same login for every store of this folder.
    let password = data.demo_password().unwrap_or_else(account::random_password);
    // Kept before the account exists: a crash between the two leaves a password nobody needs, not
    // an account nobody can enter.
    data.keep_demo_password(&password)?;
    identity.create_account(DEMO, &password, Role::User).await?;
    Ok(Some(password))
}

fn say_ready(
    args: &Args,
    data: &Data,
    url: &str,
    identity: &Identity,
    password: Option<&str>,
) -> Result<()> {
    if args.json {
        return crate::task::print_json(&Ready::new(url, password, identity, &[])?);
    }
    let workers = args.no_workers.then_some("none; start some with `tasktonic work`");
    say_up(url, password, data, workers);
    Ok(())
}

/// Where to go and how to come in.
pub(crate) fn say_up(url: &str, password: Option<&str>, data: &Data, workers: Option<&str>) {
    let line = |name: &str, value: &str| {
        let name = format!("{name:<9}");
        screen::say(&format!("  {} {value}", styled(&name, Style::Dim)));
    };
    screen::say("");
    screen::say(&format!("  {}", styled("Task Tonic is up", Style::Bold)));
    screen::say("");
    line("open", &styled(url, Style::Bold));
    line("sign in", &format!("{DEMO} / {}", password.unwrap_or("the password you chose")));
    line("data", &data.path().display().to_string());
    line("logs", &data.logs().display().to_string());
    if let Some(workers) = workers {
        line("workers", workers);
    }
    screen::say("");
    screen::say(&format!("  {}", styled("Ctrl-C stops everything.", Style::Dim)));
    screen::say("");
}

/// Where people open it.
pub(crate) fn url_of(listening: SocketAddr, origins: &[String]) -> String {
    match origins.first() {
        Some(origin) => origin.clone(),
        None if listening.ip().is_loopback() || listening.ip().is_unspecified() => {
            format!("http://localhost:{}", listening.port())
        }
        None => format!("http://{listening}"),
    }
}
