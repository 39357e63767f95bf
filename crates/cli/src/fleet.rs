//! `tasktonic up` as a fleet of processes on one machine: Redis, servers, workers, pages and the
//! gateway, each watched and started again, all ended together. It decides who there is, in which
//! order they come and go, and who is told what; how one process is kept is in `child`.

mod board;
mod child;
mod cluster;
mod http;
mod nginx;
mod ours;
mod ports;
mod processes;
mod programs;
mod redis;
mod roster;
mod shape;
mod talk;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tasktonic_server::{Identity, IdentityError};

use crate::data::Data;
use crate::forms::Form;
use crate::pages::Built;
use crate::stores::Class;
use crate::up::{self, Args};
use crate::{config, forms, handlers, logging, product, shutdown};

use board::Board;
pub(crate) use board::Row;
use child::{Kept, Shared};
use ours::Common;
use redis::{Layout, Redis};
pub(crate) use roster::caretaker;
pub(crate) use shape::Shape;
use shape::{Plan, StoreOf};

/// How long the store may take to keep the login to begin with, and the pause between two tries.
const LOGIN_WAIT: Duration = Duration::from_secs(30);
const LOGIN_AGAIN: Duration = Duration::from_millis(200);

/// Everybody, in the order in which they end: who makes work before who serves it, and last who
/// keeps it.
#[derive(Default)]
struct Fleet {
    workers: Vec<Kept>,
    servers: Vec<Kept>,
    front: Vec<Kept>,
    keepers: Vec<Kept>,
}

impl Fleet {
    async fn end(&mut self) {
        for kept in [&mut self.workers, &mut self.servers, &mut self.front, &mut self.keepers] {
            child::end(kept).await;
        }
    }
}

/// What the ready line needs to know.
struct Ready {
    url: String,
    identity: Identity,
    password: Option<String>,
}

pub(crate) async fn up(args: Args) -> Result<u8> {
    let taken: Arc<OnceLock<Arc<roster::Roster>>> = Arc::default();
    let at_once = taken.clone();
    let words = shutdown::attempts_have(ours::DRAIN_S);
    let stop = shutdown::on_signal_then(words, move || {
        if let Some(roster) = at_once.get() {
            roster.kill_all();
        }
    })?;
    let plan = args.shape.plan(&args)?;
    let built = if plan.pages == 0 { None } else { Some(Built::find(args.web.clone())?) };
    let data = Data::open(&args.data)?;
    logging::to_folder(&data.logs())?;
    // What is wrong with it is told once, here, and not by each worker.
    let config = config::read(args.door.config.as_deref(), &config::usual(&data))?;
    handlers::of(&config)?;
    if plan.gateway {
        nginx::is_there()?;
    }
    let run = data.path().join("run");
    let log = logging::log_file(&data.logs(), "caretaker.log")?;
    let opening = roster::Roster::open(&run, log);
    let Some(roster) = stop.run_until_cancelled(opening).await else { return Ok(crate::DONE) };
    let roster = Arc::new(roster?);
    let _ = taken.set(roster.clone());
    let board = Arc::new(Board::new(args.json));
    let shared = Shared { roster, board: board.clone(), logs: data.logs() };

    let mut fleet = Fleet::default();
    let starting = start(&args, &plan, built, &data, &config.file, &shared, &mut fleet);
    let done = match stop.run_until_cancelled(starting).await {
        Some(Ok(ready)) => say_ready(&args, &plan, &data, &ready, &board).map(|()| true),
        Some(Err(error)) => Err(error),
        None => Ok(false),
    };
    if matches!(done, Ok(true)) {
        board.open();
        stop.cancelled().await;
    }
    board.close();
    fleet.end().await;
    done.map(|_| crate::DONE)
}

/// Starts everybody; those who were started are in `fleet`, also when this fails or is given up.
async fn start(
    args: &Args,
    plan: &Plan,
    built: Option<Built>,
    data: &Data,
    config: &config::ConfigFile,
    shared: &Shared,
    fleet: &mut Fleet,
) -> Result<Ready> {
    let public = public_address(args)?;
    let (store, class, files) = match &plan.store {
        StoreOf::Ours(layout, class) => {
            let redis = Redis::plan(data.path(), *layout, *class)?;
            let (keepers, ready) = child::start(shared, redis.specs());
            fleet.keepers = keepers;
            ready.await?;
            redis.join().await?;
            // Not those of the one-process mode: what no task of this store names is swept.
            (redis.url(), *class, format!("file://{}", redis.folder().join("files").display()))
        }
        StoreOf::Named(url, class) => (url.clone(), *class, data.files_url()),
    };
    let declared = args.store.durability_declared;
    let (identity, password) = identities(&store, class, declared, data).await?;

    let common = Common::new(
        data.path().to_owned(),
        files,
        store,
        class,
        declared,
        args.door.config.clone().map(std::path::absolute).transpose()?,
    )?;
    let pages_at = addresses(plan.pages)?;
    let inner = from_here(public);
    let origins = origins(args, config, public);
    let mut front = Vec::new();
    let servers: Vec<ours::Server> = if plan.gateway {
        let run = data.path().join("run");
        let servers: Vec<_> = (1..)
            .zip(addresses(plan.servers)?)
            .map(|(number, listen)| ours::Server {
                listen,
                origins: origins.clone(),
                pages: None,
                door: Some(format!("unix:{}", run.join(format!("door-{number}.sock")).display())),
            })
            .collect();
        let gateway = nginx::Plan {
            folder: data.path().join("nginx"),
            public,
            origins: &origins,
            servers: &servers,
            pages: &pages_at,
            static_files: built.as_ref().map(Built::static_files),
        };
        front.push(gateway.spec()?);
        servers
    } else {
        let origins =
            if args.door.origins(config).is_empty() { Vec::new() } else { origins.clone() };
        vec![ours::Server { listen: public, origins, pages: pages_at.first().copied(), door: None }]
    };
    if let Some(built) = &built {
        let pages = (1..).zip(&pages_at).map(|(n, at)| ours::pages(n, built, *at, inner));
        front.extend(pages);
    }
    let servers = (1..).zip(servers).map(|(n, server)| server.spec(n, &common)).collect();
    let workers = {
        let of = |n| ours::worker(n, &common, args.concurrency, &plan.labels);
        (1..=plan.workers).map(of).collect()
    };

    let (servers, served) = child::start(shared, servers);
    fleet.servers = servers;
    let (workers, worked) = child::start(shared, workers);
    fleet.workers = workers;
    let (front, fronted) = child::start(shared, front);
    fleet.front = front;
    tokio::try_join!(served, worked, fronted)?;
    let url = up::url_of(public, args.door.origins(config));
    Ok(Ready { url, identity, password })
}

/// Who is who, and the login to begin with. The store is closed again: this process has no part in
/// the work.
async fn identities(
    store: &str,
    class: Class,
    declared: bool,
    data: &Data,
) -> Result<(Identity, Option<String>)> {
    let url = store.parse().map_err(anyhow::Error::msg)?;
    let choice = crate::stores::Choice { url, class, declared, accept_older: false };
    let (store, identity) = product::identities(choice, &data.keys()).await?;
    let until = Instant::now() + LOGIN_WAIT;
    let password = loop {
        match up::demo_account(data, &identity).await {
            // A replica that has only just come may be slow to answer. It may be done again.
            Err(error) if is_passing(&error) && Instant::now() < until => {
                tokio::time::sleep(LOGIN_AGAIN).await;
            }
            done => break done,
        }
    };
    store.close().await;
    Ok((identity, password?))
}

/// Whether the store may answer otherwise in a moment.
fn is_passing(error: &anyhow::Error) -> bool {
    use tasktonic_store::Error::{Busy, OutcomeUnknown, Unavailable};
    matches!(
        error.downcast_ref(),
        Some(IdentityError::Store(Busy | OutcomeUnknown | Unavailable(_)))
    )
}

/// Where people come in; it must be free now.
fn public_address(args: &Args) -> Result<SocketAddr> {
    let port = match args.door.port {
        0 => ports::free(1)?[0],
        port => port,
    };
    let address = SocketAddr::new(args.door.host, port);
    std::net::TcpListener::bind(address)
        .with_context(|| format!("listening on {address} (another port is taken with --port N)"))?;
    Ok(address)
}

/// Addresses for `count` servers of our own.
fn addresses(count: usize) -> Result<Vec<SocketAddr>> {
    let ports = ports::free(count)?;
    Ok(ports.into_iter().map(|port| (Ipv4Addr::LOCALHOST, port).into()).collect())
}

/// The origins that people use, and the one of the pages' servers, which come in by the same door.
fn origins(args: &Args, config: &config::ConfigFile, public: SocketAddr) -> Vec<String> {
    let mut origins = args.door.origins(config).to_vec();
    if origins.is_empty() {
        origins.push(up::url_of(public, &[]));
    }
    let inner = format!("http://{}", from_here(public));
    if !origins.contains(&inner) {
        origins.push(inner);
    }
    origins
}

/// How a process on this machine reaches a server.
pub(crate) fn from_here(listening: SocketAddr) -> SocketAddr {
    let ip = if listening.ip().is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        listening.ip()
    };
    SocketAddr::new(ip, listening.port())
}

/// The forms whose Redis was started in this data folder before.
pub(crate) fn forms_held(data: &Path) -> impl Iterator<Item = Form> {
    redis::held(data).into_iter().map(form_of)
}

const fn form_of(is_cluster: bool) -> Form {
    if is_cluster { Form::Cluster } else { Form::Redis }
}

fn say_ready(args: &Args, plan: &Plan, data: &Data, ready: &Ready, board: &Board) -> Result<()> {
    let Ready { url, identity, password } = ready;
    if let StoreOf::Ours(layout, _) = plan.store {
        forms::tell_of_others(data, form_of(layout == Layout::Cluster));
    }
    let rows = board.rows();
    let ready = up::Ready::new(url, password.as_deref(), identity, &rows)?;
    if args.json {
        return crate::task::print_json(&ready);
    }
    up::say_up(url, password.as_deref(), data, None);
    Ok(())
}
