//! Worker processes that the bench starts by itself, so that it may kill one of them.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::product::Product;

/// How long a worker may take until it says who it is, and until it has drained.
const WITHIN: Duration = Duration::from_secs(30);
/// Lists and tasks name a worker by so many characters at the end of its id.
const NAMED_BY: usize = 4;

/// Where workers find their work.
pub(crate) enum Work {
    /// Through the server, with a worker's token.
    Server { token: String },
    /// In the store itself, with the folder of the installation.
    Store { url: String, data: PathBuf },
}

/// Running workers.
pub(crate) struct Staff {
    work: Work,
    places: usize,
    workers: Vec<Worker>,
    /// How many were killed.
    pub(crate) killed: u64,
}

struct Worker {
    child: Child,
    id: String,
}

impl Staff {
    pub(crate) async fn start(
        product: &Product,
        work: Work,
        workers: usize,
        places: usize,
    ) -> Result<Self> {
        let mut staff = Self { work, places, workers: Vec::new(), killed: 0 };
        for _ in 0..workers {
            let worker = staff.spawn(product).await?;
            staff.workers.push(worker);
        }
        Ok(staff)
    }

    /// Kills the worker that a task names so, and starts another one in its place.
    pub(crate) async fn replace(&mut self, product: &Product, named: &str) -> Result<()> {
        let place = self.workers.iter().position(|worker| is_named(&worker.id, named));
        let place = place.with_context(|| {
            let ids: Vec<&str> = self.workers.iter().map(|worker| &*worker.id).collect();
            format!("the task names the worker {named}, of {}", ids.join(", "))
        })?;
        let mut worker = self.workers.swap_remove(place);
        worker.child.kill().await.context("killing a worker")?;
        self.killed += 1;
        let worker = self.spawn(product).await?;
        self.workers.push(worker);
        Ok(())
    }

    async fn spawn(&self, product: &Product) -> Result<Worker> {
        let mut command = product.command("work");
        command.args(["--concurrency", &self.places.to_string()]);
        match &self.work {
            Work::Server { token } => {
                command.args(["--server", &product.url()]).env("TASKTONIC_TOKEN", token)
            }
            Work::Store { url, data } => command.args(["--store", url, "--data"]).arg(data),
        };
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting a worker")?;
        // It says who it is in its log.
        let mut lines = BufReader::new(child.stderr.take().context("its log")?).lines();
        let mut said = BufReader::new(child.stdout.take().context("its output")?).lines();
        tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
        let mut seen = Vec::new();
        let id = tokio::time::timeout(WITHIN, async {
            while let Some(line) = lines.next_line().await? {
                if let Some(id) = id_in(&line) {
                    return Ok(id);
                }
                seen.push(line);
            }
            anyhow::bail!("a worker ended before it said who it is: {}", seen.join("; "))
        })
        .await
        .context("waiting until a worker says who it is")??;
        // What it says later is nobody's, but must be read.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Worker { child, id })
    }

    /// Drains and stops them.
    pub(crate) async fn stop(self) -> Result<()> {
        for Worker { mut child, .. } in self.workers {
            let id = i32::try_from(child.id().context("a worker has ended by itself")?)?;
            kill(Pid::from_raw(id), Signal::SIGTERM).context("asking a worker to stop")?;
            let status = tokio::time::timeout(WITHIN, child.wait())
                .await
                .context("waiting for the end of a worker")??;
            anyhow::ensure!(status.success(), "a worker ended with {status}");
        }
        Ok(())
    }
}

/// The worker's id in a line of its log.
fn id_in(line: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Line {
        fields: Fields,
    }
    #[derive(Deserialize)]
    struct Fields {
        worker: String,
    }
    Some(serde_json::from_str::<Line>(line).ok()?.fields.worker)
}

/// Whether a worker of this id is the one that a task names so.
fn is_named(id: &str, named: &str) -> bool {
    let from = id.len().saturating_sub(NAMED_BY);
    id.get(from..).is_some_and(|end| !end.is_empty() && named.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_says_who_it_is_in_its_log() {
        let line = r#"{"timestamp":"2026-11-27T06:19:57.742162Z","level":"INFO","fields":{"message":"pages and lists name this worker by the end of its id","worker":"7f6c344f17d9eae66e34416cc828e239"},"target":"tasktonic::work"}"#;
        assert_eq!(id_in(line).as_deref(), Some("7f6c344f17d9eae66e34416cc828e239"));
        assert_eq!(id_in(r#"{"fields":{"message":"working","server":"http://a"}}"#), None);
        assert_eq!(id_in("not JSON"), None);
    }

    #[test]
    fn a_worker_is_named_by_the_end_of_its_id() {
        let id = "7f6c344f17d9eae66e34416cc828e239";
        assert!(is_named(id, "r--J5g8mpkGMetzI0A-aBEVowgMkb747GuV-e239"));
        assert!(is_named(id, "e239") && !is_named(id, "e238") && !is_named("", "e239"));
    }
}
