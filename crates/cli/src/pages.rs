//! The Next.js server that renders the pages: started, watched, started again, and ended with us.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tasktonic_store::KillPoint;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::data::Data;
use crate::{logging, stores};

/// The environment variable that names the folder of the built pages.
pub(crate) const FOLDER_VARIABLE: &str = "TASKTONIC_WEB_DIR";
/// How long the first start may take.
const READY_WAIT: Duration = Duration::from_secs(60);
/// The pause before a second start; doubles up to the longest.
const RESTART_FIRST: Duration = Duration::from_millis(250);
const RESTART_LONGEST: Duration = Duration::from_secs(30);
/// A server that lived this long is started again at once.
const STEADY: Duration = Duration::from_secs(60);
/// How long it may take to end when asked.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// How often a hanging server is looked for, how long one answer may take, and how many looks in
/// a row must fail before it is killed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const LOOK_WAIT: Duration = Duration::from_secs(5);
const LOOKS_FAILED_MAX: u32 = 3;

/// Loaded before the server: it ends when the pipe to us closes, so that it does not outlive us
/// even when we are killed.
const END_WITH_PARENT: &str =
    "data:text/javascript,process.stdin.on('close',()=>process.exit(0)).resume()";

/// The pages as they were built.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    folder: PathBuf,
}

impl Built {
    /// The pages in `folder`, or where the variable says, or beside this program.
    pub(crate) fn find(folder: Option<PathBuf>) -> Result<Self> {
        let named = folder.or_else(|| std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from));
        let beside = || Some(std::env::current_exe().ok()?.parent()?.join("web"));
        let Some(folder) = named.clone().or_else(beside) else {
            bail!("the pages were not found: name their folder with --web, or use --no-ui");
        };
        if !folder.join("server.js").is_file() {
            bail!(
                "there are no built pages in {} (no server.js): name their folder with --web or \
                 {FOLDER_VARIABLE}, start from the repository with `cargo xtask up`, or use --no-ui",
                folder.display()
            );
        }
        Ok(Self { folder })
    }

    /// The immutable files under `/_next/static/`.
    pub(crate) fn static_files(&self) -> PathBuf {
        self.folder.join(".next/static")
    }
}

/// A running server. The pipe is its sign that we live: waiting for a child closes the pipe that
/// it still owns, so it is taken out.
struct Running {
    child: Child,
    _pipe: Option<ChildStdin>,
}

/// Where the pages' server will listen: a port that is free now.
pub(crate) fn choose_address() -> Result<SocketAddr> {
    let held = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(held.local_addr()?)
}

/// Starts the pages' server at `address` over the API at `api`, and keeps it up until `stop`.
/// Returns when it answers for the first time.
pub(crate) async fn start(
    built: Built,
    address: SocketAddr,
    api: SocketAddr,
    data: &Data,
    stop: CancellationToken,
) -> Result<tokio::task::JoinHandle<()>> {
    let logs = data.logs();
    let mut running = spawn(&built, address, api, &logs)?;
    KillPoint::UpAfterChild.pass();
    let deadline = Instant::now() + READY_WAIT;
    while !listens(address).await {
        if let Some(status) = running.child.try_wait()? {
            bail!(
                "the pages' server ended at once ({status}); its words are in {}",
                logs.join("pages.log").display()
            );
        }
        if stop.is_cancelled() || Instant::now() > deadline {
            end(&mut running.child).await;
            bail!("the pages' server did not answer within {} s", READY_WAIT.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(tokio::spawn(keep_up(running, built, address, api, logs, stop)))
}

async fn keep_up(
    mut running: Running,
    built: Built,
    address: SocketAddr,
    api: SocketAddr,
    logs: PathBuf,
    stop: CancellationToken,
) {
    let mut pause = RESTART_FIRST;
    loop {
        let since = Instant::now();
        tokio::select! {
            status = running.child.wait() => {
                let status = status.map_or_else(|e| e.to_string(), |s| s.to_string());
                tracing::warn!(%status, "the pages' server ended; starting it again");
            }
            () = hangs(address) => {
                tracing::warn!("the pages' server does not answer; starting it again");
                kill(&running.child, Signal::SIGKILL);
                let _ = running.child.wait().await;
            }
            () = stop.cancelled() => return end(&mut running.child).await,
        }
        if since.elapsed() > STEADY {
            pause = RESTART_FIRST;
        }
        running = loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            pause = (pause * 2).min(RESTART_LONGEST);
            match spawn(&built, address, api, &logs) {
                Ok(running) => break running,
                Err(error) => tracing::error!("the pages' server cannot be started: {error:#}"),
            }
        };
    }
}

/// The pages' server at `address` over the API at `api`. It ends when its input does.
pub(crate) fn command(built: &Built, address: SocketAddr, api: SocketAddr) -> Result<Command> {
    if !built.folder.is_dir() {
        bail!("the folder of the pages, {}, is gone", built.folder.display());
    }
    let mut command = Command::new("node");
    command
        .args(["--import", END_WITH_PARENT, "server.js"])
        .current_dir(&built.folder)
        .env("HOSTNAME", address.ip().to_string())
        .env("PORT", address.port().to_string())
        .env("TASKTONIC_API_URL", format!("http://{api}"))
        // Above the idle time of the front door's connections, below Node's header timeout.
        .env("KEEP_ALIVE_TIMEOUT", "55000")
        .env("NODE_ENV", "production")
        .env("NEXT_TELEMETRY_DISABLED", "1")
        .env_remove("TASKTONIC_TOKEN")
        .env_remove(stores::VARIABLE);
    Ok(command)
}

fn spawn(built: &Built, address: SocketAddr, api: SocketAddr, logs: &Path) -> Result<Running> {
    let log = logging::log_file(logs, "pages.log")?;
    let mut child = command(built, address, api)?
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("starting node (Node.js 20.9 or newer must be on the PATH; or use --no-ui)")?;
    let pipe = child.stdin.take();
    Ok(Running { child, _pipe: pipe })
}

async fn listens(address: SocketAddr) -> bool {
    tokio::net::TcpStream::connect(address).await.is_ok()
}

/// Returns once the server at `address` has stopped answering.
async fn hangs(address: SocketAddr) {
    let mut failed = 0;
    while failed < LOOKS_FAILED_MAX {
        tokio::time::sleep(LOOK_EVERY).await;
        let look = tokio::time::timeout(LOOK_WAIT, answers(address)).await;
        failed = if look.is_ok_and(|answer| answer.is_ok()) { 0 } else { failed + 1 };
    }
}

/// A stopped process still accepts connections, so an answer is asked for.
async fn answers(address: SocketAddr) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let head = format!("HEAD /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.map(|_| ())
}

async fn end(child: &mut Child) {
    kill(child, Signal::SIGTERM);
    if tokio::time::timeout(STOP_GRACE, child.wait()).await.is_err() {
        kill(child, Signal::SIGKILL);
        let _ = child.wait().await;
    }
}

fn kill(child: &Child, signal: Signal) {
    let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) else { return };
    // A group that is already gone is what we want.
    let _ = killpg(Pid::from_raw(id), signal);
}
