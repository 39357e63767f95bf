//! `tasktonic up`: the whole product in one process tree, with a login to begin with.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde::Serialize;
use tasktonic_auth::{Role, account};
use tasktonic_core::WorkerId;
use tasktonic_server::Identity;
use tasktonic_store::{Registry as _, Table};
use tasktonic_store_embedded::EmbeddedStore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::ConfigFile;
use crate::data::{self, Data};
use crate::pages::{self, Built};
use crate::product::{self, Door, PagesAt, Product};
use crate::screen::{self, Style, styled};
use crate::{config, handlers, logging, shutdown, work};

/// The account that `up` makes on its first start.
const DEMO: &str = "demo";
/// Life of the token that `--json` prints, in seconds.
const TOKEN_TTL_S: u32 = 12 * 3_600;
/// How long running attempts may go on after the first signal.
const DRAIN: Duration = Duration::from_secs(10);

/// How long the worker may take to announce itself before we say that we are ready all the same.
const ANNOUNCE_WAIT: Duration = Duration::from_secs(10);

/// Arguments of `up`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tasktonic up                          everything, on http://localhost:8080\n  \
    tasktonic up --data /srv/tasks --port 9000\n  \
    tasktonic up --no-ui --json           for scripts: one line when it is ready\n\n\
    The first signal drains: attempts may finish. The second stops at once; nothing that was \
    acknowledged is lost by that.")]
pub(crate) struct Args {
    /// The folder for everything this installation keeps
    #[arg(long, env = "TASKTONIC_DATA", default_value = data::DEFAULT, value_name = "DIR")]
    data: PathBuf,
    /// Without pages: no Node.js is needed
    #[arg(long)]
    no_ui: bool,
    /// Without workers: start them with `tasktonic work`
    #[arg(long)]
    no_workers: bool,
    /// Print one JSON line when ready
    #[arg(long)]
    json: bool,
    /// Attempts at once [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    concurrency: Option<u32>,
    /// The folder of the built pages [default: TASKTONIC_WEB_DIR, or `web` beside this program]
    #[arg(long, value_name = "DIR", conflicts_with = "no_ui")]
    web: Option<PathBuf>,
    #[command(flatten)]
    door: Door,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Ready<'a> {
    ready: bool,
    url: &'a str,
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    token: &'a str,
}

pub(crate) async fn up(args: Args) -> Result<u8> {
    let stop = shutdown::on_signal()?;
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
    let product =
        Product::open(&data, &data.store(), &args.door, &config.file, pages_at.clone()).await?;
    let Product { store, files, identity, server } = product;
    let password = demo_account(&data, &identity).await?;
    let listening = server.local_addr();
    let url = url_of(listening, &config.file);

    let stop_server = CancellationToken::new();
    let mut serving = tokio::spawn(server.run_until(stop_server.clone()));
    let mut worker = if args.no_workers {
        None
    } else {
        let id = work::fresh_id(WorkerId::IN_PROCESS);
        let settings = work::settings(args.concurrency, DRAIN);
        let files = std::sync::Arc::new(files);
        let worker = work::build(id.clone(), store.clone(), files, &handlers, &[], settings)?;
        let working = tokio::spawn(worker.run_until(stop.clone()));
        announced(&store, &id, &working).await;
        Some(working)
    };
    let mut pages = None;
    let mut store_is_gone = false;
    let code = async {
        if let (Some(built), Some(at)) = (built, &pages_at) {
            let start =
                pages::start(built, at.address, from_here(listening), &data, stop_server.clone());
            // Who stops now need not wait for a first page.
            match stop.run_until_cancelled(start).await {
                Some(started) => pages = Some(started?),
                None => return Ok(crate::DONE),
            }
        }
        if !stop.is_cancelled() && !worker.as_ref().is_some_and(JoinHandle::is_finished) {
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
    worked.and(served).map(|()| code)
}

/// Waits for the end of a worker, if there is one.
async fn ended<T>(worker: &mut Option<JoinHandle<T>>) -> Result<T, tokio::task::JoinError> {
    let Some(running) = worker else { return std::future::pending().await };
    let ended = running.await;
    *worker = None;
    ended
}

/// Waits until the worker has announced its kinds: who reads that we are ready may submit at once.
async fn announced<T>(store: &EmbeddedStore, id: &WorkerId, working: &JoinHandle<T>) {
    let until = Instant::now() + ANNOUNCE_WAIT;
    while Instant::now() < until && !working.is_finished() {
        if let Ok(Some(_)) = store.get(Table::Workers, id.as_str()).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
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
async fn demo_account(data: &Data, identity: &Identity) -> Result<Option<String>> {
    if identity.accounts().await?.iter().any(|account| account.name == DEMO) {
        return Ok(data.demo_password());
    }
    let password = account::random_password();
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
        let token = identity.mint(DEMO, Role::User, TOKEN_TTL_S)?;
        let ready = Ready { ready: true, url, user: DEMO, password, token: &token };
        return crate::task::print_json(&ready);
    }
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
    if args.no_workers {
        line("workers", "none; start some with `tasktonic work`");
    }
    screen::say("");
    screen::say(&format!("  {}", styled("Ctrl-C stops everything.", Style::Dim)));
    screen::say("");
    Ok(())
}

/// Where people open it.
fn url_of(listening: SocketAddr, file: &ConfigFile) -> String {
    match file.server.origins.first() {
        Some(origin) => origin.clone(),
        None if listening.ip().is_loopback() || listening.ip().is_unspecified() => {
            format!("http://localhost:{}", listening.port())
        }
        None => format!("http://{listening}"),
    }
}

/// How a process on this machine reaches the server.
fn from_here(listening: SocketAddr) -> SocketAddr {
    let ip = if listening.ip().is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        listening.ip()
    };
    SocketAddr::new(ip, listening.port())
}
