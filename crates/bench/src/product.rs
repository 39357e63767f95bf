//! The product as a process: started in a folder, asked, stopped.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::Options;
use crate::wire::Wire;

/// How long a start may take before the bench gives up.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How long a drain may take.
const STOP_WITHIN: Duration = Duration::from_secs(60);
/// The kind that does nothing.
pub(crate) const KIND: &str = "noop";

/// What `up --json` prints.
#[derive(Debug, Deserialize)]
struct Ready {
    ready: bool,
    url: String,
    token: String,
}

/// A running product.
pub(crate) struct Product {
    child: Child,
    program: PathBuf,
    folder: PathBuf,
    /// The port's authority on the loopback address.
    pub(crate) authority: String,
    /// A token of the first account.
    pub(crate) token: String,
    /// From the start of the process to the line that says it is ready.
    pub(crate) ready_after: Duration,
}

impl Product {
    /// Starts it in `folder` without pages and waits until it is ready.
    pub(crate) async fn start(options: &Options, folder: &Path, more: &[&str]) -> Result<Self> {
        let program = options.program()?;
        let since = Instant::now();
        let mut child = Command::new(&program)
            .args(["up", "--no-ui", "--json", "--port", "0", "--data"])
            .arg(folder)
            .args(more)
            // Whatever the caller's shell says is not what is measured.
            .env_remove("TASKTONIC_PORT")
            .env_remove("TASKTONIC_DATA")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let ready = tokio::time::timeout(START_WITHIN, async {
            while let Some(line) = lines.next_line().await? {
                if let Ok(ready) = serde_json::from_str::<Ready>(&line)
                    && ready.ready
                {
                    return Ok(ready);
                }
            }
            bail!("{} ended before it was ready", program.display())
        })
        .await
        .context("waiting until it is ready")??;
        let ready_after = since.elapsed();
        let (_, rest) = ready.url.split_once("://").context("a scheme in its address")?;
        let port = rest.trim_end_matches('/').rsplit_once(':').context("a port in its address")?.1;
        // What it says later is nobody's, but must be read.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            child,
            program,
            folder: folder.to_owned(),
            authority: format!("127.0.0.1:{port}"),
            token: ready.token,
            ready_after,
        })
    }

    /// Starts it in a folder where workers have announced their kinds, without workers.
    pub(crate) async fn start_idle(options: &Options, folder: &Path) -> Result<Self> {
        let with_workers = Self::start(options, folder, &[]).await?;
        with_workers.wait_for_kind().await?;
        with_workers.stop().await?;
        Self::start(options, folder, &["--no-workers"]).await
    }

    /// Starts a server alone over the embedded store in `folder`, whose door document is at the
    /// Unix socket `door`.
    pub(crate) async fn serve(
        options: &Options,
        folder: &Path,
        config: &Path,
        door: &Path,
    ) -> Result<Self> {
        let program = options.program()?;
        let port = free_port()?;
        let since = Instant::now();
        let child = Command::new(&program)
            .args(["serve", "--port", &port.to_string(), "--gateway-listen"])
            .arg(format!("unix:{}", door.display()))
            .args([Path::new("--config"), config, Path::new("--data"), folder])
            .env_remove("TASKTONIC_DATA")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let authority = format!("127.0.0.1:{port}");
        while Wire::open(&authority).await.is_err() {
            anyhow::ensure!(since.elapsed() < START_WITHIN, "the server does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let folder = folder.to_owned();
        let (token, ready_after) = (String::new(), since.elapsed());
        Ok(Self { child, program, folder, authority, token, ready_after })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> Result<u32> {
        self.child.id().context("it has ended")
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Tokens of `count` users, so that no limit per user is in the way.
    pub(crate) async fn tokens(&self, count: usize) -> Result<Vec<String>> {
        let mut tokens = Vec::with_capacity(count);
        for n in 0..count {
            tokens.push(self.mint(&format!("bench-{n}"), "user").await?);
        }
        Ok(tokens)
    }

    /// A token of `user`, who may do what `role` allows.
    pub(crate) async fn mint(&self, user: &str, role: &str) -> Result<String> {
        let output = Command::new(&self.program)
            .args(["token", "mint", "--ttl", "12h", "--user", user, "--role", role, "--data"])
            .arg(&self.folder)
            .stderr(Stdio::inherit())
            .output()
            .await
            .context("minting a token")?;
        anyhow::ensure!(output.status.success(), "minting a token: {}", output.status);
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// The program, to be started with `verb` and nothing of the caller's own settings.
    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(verb)
            .env_remove("TASKTONIC_DATA")
            .env_remove("TASKTONIC_STORE")
            .env_remove("TASKTONIC_URL")
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Waits until [`KIND`] can be submitted.
    pub(crate) async fn wait_for_kind(&self) -> Result<()> {
        let needle = format!("\"kind\":\"{KIND}\"");
        let mut wire = Wire::open(&self.authority).await?;
        let since = Instant::now();
        loop {
            let answer = wire.ask("GET", "/api/v1/kinds", Some(&self.token), "").await?;
            if String::from_utf8_lossy(&answer.body).contains(&needle) {
                return Ok(());
            }
            anyhow::ensure!(since.elapsed() < START_WITHIN, "no worker announced {KIND}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Memory that is its own and in use, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.id()?);
        let status = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        resident_bytes(&status).with_context(|| format!("VmRSS in {path}"))
    }

    /// Kills it, and waits until it is gone: it holds its folder until then.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("killing it")
    }

    /// Drains and stops it.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let id = i32::try_from(self.id()?).context("a process id")?;
        kill(Pid::from_raw(id), Signal::SIGTERM).context("asking it to stop")?;
        let status = tokio::time::timeout(STOP_WITHIN, self.child.wait())
            .await
            .context("waiting for its end")??;
        anyhow::ensure!(status.success(), "it ended with {status}");
        Ok(())
    }
}

/// A port of the loopback address that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let held = std::net::TcpListener::bind(("127.0.0.1", 0)).context("a free port")?;
    Ok(held.local_addr()?.port())
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t   12 kB\n"), Some(12 * 1_024));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(resident_bytes(&own).unwrap() > 1 << 16);
    }
}
