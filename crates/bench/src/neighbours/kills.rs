//! What a task that kills its workers does to the tasks of others.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tasktonic_client::{Client, Token};
use tasktonic_protocol::http::Counts;
use tasktonic_protocol::task::Task;

use super::report::{Kills, Store};
use super::staff::{Staff, Work};
use super::stage::{fill, lift_limits, operator};
use crate::Options;
use crate::peers::server::{Cores, Server};
use crate::product::{KIND, Product};
use crate::wire::Wire;

/// Worker processes, and attempts at once in each.
pub(crate) const WORKERS: usize = 3;
pub(crate) const PLACES: usize = 8;
/// How long a task of the others takes, ms.
pub(crate) const TASK_MS: u64 = 10;
/// Users that those belong to, so that every partition has some.
pub(crate) const USERS: usize = 32;
/// Tasks of each user that are submitted at once, and how many wait in all at least: as many as several
/// seconds need.
const PORTION: usize = 250;
const OUTSTANDING_MIN: u64 = 8_000;
/// Another queue than that of the others, which the same workers serve.
const OTHER_QUEUE: &str = "images.resize";
/// How long the task that kills would take if it could, ms.
const POISON_MS: u64 = 600_000;
/// Losses, leases and waits between them take less.
const POISON_WITHIN: Duration = Duration::from_secs(180);
/// All that waits is done in less.
const REST_WITHIN: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);

/// The others, and how much they have submitted.
struct Others {
    tokens: Vec<String>,
    submitted: u64,
    next: usize,
}

pub(crate) async fn measure(options: &Options, scratch: &Path, store: Store) -> Result<Kills> {
    let folder = tempfile::tempdir_in(scratch).context("a folder for a product")?;
    // A Redis of the bench's own, so that workers of the bench's own can be told where it is. It may
    // run on any core, as that of `up` does.
    let redis = match store {
        Store::Embedded => None,
        Store::Redis => {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let every = format!("0-{}", cores - 1);
            let cores = Cores { redis: every.clone(), rest: every };
            Some(Server::start(scratch, &cores, false)?)
        }
    };
    let url = redis.as_ref().map(Server::url);
    let more = match &url {
        None => vec!["--no-workers"],
        Some(url) => vec!["--store", url, "--workers", "0"],
    };
    let product = Product::start(options, folder.path(), &more).await?;
    lift_limits(&operator(&product).await?).await?;
    let work = match url {
        None => Work::Server { token: product.mint("bench-worker", "worker").await? },
        Some(url) => Work::Store { url, data: folder.path().to_owned() },
    };
    let mut staff = Staff::start(&product, work, WORKERS, PLACES).await?;
    product.wait_for_kind().await?;

    let (before_s, warm_s) = if options.quick { (3, 1) } else { (15, 3) };
    let tokens = product.tokens(USERS).await?;
    let mut others = Others { tokens, submitted: 0, next: 0 };
    others.work_until(&product, Instant::now() + Duration::from_secs(warm_s)).await?;
    let (first, since) = (others.completed(&product).await?, Instant::now());
    others.work_until(&product, since + Duration::from_secs(before_s)).await?;
    let before_per_s = (others.completed(&product).await? - first) as f64 / secs(since);

    let (first, since) = (others.completed(&product).await?, Instant::now());
    let is_over = Cell::new(false);
    let killing = async {
        let ended = poison(&product, &mut staff).await?;
        is_over.set(true);
        Ok::<_, anyhow::Error>(ended)
    };
    let working = async {
        while !is_over.get() {
            others.more(&product).await?;
        }
        Ok(())
    };
    let (ended, ()) = tokio::try_join!(killing, working)?;
    let during_s = secs(since);
    let during_per_s = (others.completed(&product).await? - first) as f64 / during_s;
    let completed = others.rest(&product).await?;
    let kills = staff.killed;
    staff.stop().await?;
    product.stop().await?;
    let status = ended.status.name().to_owned();
    let reason = cause(ended.error.map(|error| error.code), ended.reason);
    anyhow::ensure!(
        status == "failed" && reason == "worker_lost",
        "the task that kills its workers ended {status} ({reason}) after {kills} kills, not failed \
         by `worker_lost`"
    );
    let tasks = others.submitted;
    Ok(Kills {
        store,
        before_per_s,
        during_per_s,
        during_s,
        kills,
        status,
        reason,
        tasks,
        completed,
    })
}

/// Why a task ended: the code of its last error, else the first word of the reason given.
fn cause(code: Option<String>, reason: Option<String>) -> String {
    let first = |reason: String| Some(reason.split_whitespace().next()?.to_owned());
    code.or_else(|| reason.and_then(first)).unwrap_or_default()
}

fn secs(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

/// Submits the task and kills whichever worker begins it, until it has ended.
async fn poison(product: &Product, staff: &mut Staff) -> Result<Task> {
    let token = product.mint("bench-poison", "user").await?;
    let client = Client::new(&product.url(), Some(Token::new(&token)))?;
    let payload = serde_json::value::to_raw_value(&serde_json::json!({ "sleep_ms": POISON_MS }))?;
    let mut request = tasktonic_client::submission(KIND, payload);
    request.queue = Some(OTHER_QUEUE.into());
    let id = client.submit(request).await.context("submitting the task that kills")?.task.id;
    let (since, mut killed_at) = (Instant::now(), 0);
    loop {
        let task = client.task(&id).await?;
        match task.status.name() {
            "running" if task.attempt > killed_at => {
                let worker = task.worker.context("a running task has a worker")?;
                staff.replace(product, &worker).await?;
                killed_at = task.attempt;
            }
            "failed" | "completed" | "cancelled" => return Ok(task),
            _ => {}
        }
        anyhow::ensure!(
            since.elapsed() < POISON_WITHIN,
            "the task that kills has not ended after {} kills",
            staff.killed
        );
        tokio::time::sleep(LOOK).await;
    }
}

impl Others {
    /// Keeps them busy until `end`.
    async fn work_until(&mut self, product: &Product, end: Instant) -> Result<()> {
        loop {
            self.more(product).await?;
            if Instant::now() >= end {
                return Ok(());
            }
        }
    }

    /// Submits as much as is missing, and waits a little.
    async fn more(&mut self, product: &Product) -> Result<()> {
        let completed = self.completed(product).await?;
        let mut left = self.submitted.saturating_sub(completed);
        while left < OUTSTANDING_MIN {
            let token = self.tokens[self.next % USERS].clone();
            self.next += 1;
            fill(product, &token, PORTION, TASK_MS..=TASK_MS, 0).await?;
            left += PORTION as u64;
            self.submitted += PORTION as u64;
        }
        tokio::time::sleep(LOOK * 2).await;
        Ok(())
    }

    /// Waits until all of them are done, or will never be; how many are.
    async fn rest(&self, product: &Product) -> Result<u64> {
        let since = Instant::now();
        loop {
            let completed = self.completed(product).await?;
            if completed >= self.submitted || since.elapsed() > REST_WITHIN {
                return Ok(completed);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Tasks of theirs that are done. By a connection of its own: the server ends one that rests.
    async fn completed(&self, product: &Product) -> Result<u64> {
        let mut wire = Wire::open(&product.authority).await?;
        let mut sum = 0;
        for token in &self.tokens {
            let answer = wire.ask("GET", "/api/v1/tasks/counts", Some(token), "").await?;
            let one: Counts = serde_json::from_slice(&answer.body).context("counts")?;
            sum += one.completed;
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_one_word() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(cause(some("worker_lost"), some("it was")), "worker_lost");
        assert_eq!(cause(None, some("worker_lost 3 times: it may be the task")), "worker_lost");
        assert_eq!(cause(None, None), "");
    }
}
