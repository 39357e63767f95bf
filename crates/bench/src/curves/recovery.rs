//! What a `kill -9` costs: workers of a fleet, and the one process; how long until everything they
//! were at runs again.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use tasktonic_protocol::time::parse_rfc3339;
use tasktonic_store::clock::Clock;

use super::report::{Line, Point};
use crate::Options;
use crate::figures::Times;
use crate::peers::spent::{Stat, tree};
use crate::product::{KIND, Product};
use crate::wire::Wire;

/// Workers of a fleet, all of which are killed in each round, and attempts at once in each.
const WORKERS: usize = 4;
const CONCURRENCY: usize = 2;
/// How long a task takes: long enough to be killed, short against a lease.
const TASK_MS: u64 = 2_000;
/// Rounds of kills.
const ROUNDS: usize = 4;
/// A task that has not ended after so long is lost.
const WITHIN: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(100);

/// A form of the product.
#[derive(Clone, Copy)]
struct Form {
    name: &'static str,
    flags: &'static [&'static str],
    /// Whether it is one process, so that its death takes the server along.
    alone: bool,
}

const FORMS: [Form; 3] = [
    Form { name: "embedded", flags: &["--concurrency", "8"], alone: true },
    Form {
        name: "redis",
        flags: &["--redis", "--workers", "4", "--concurrency", "2"],
        alone: false,
    },
    Form {
        name: "cluster",
        flags: &["--cluster", "--workers", "4", "--concurrency", "2"],
        alone: false,
    },
];

/// The forms wait side by side: a lease is much longer than what any of them does.
pub(crate) async fn measure(options: &Options, scratch: &Path) -> Result<Vec<Line>> {
    let [embedded, redis, cluster] = FORMS.map(|form| of(form, options, scratch));
    let (embedded, redis, cluster) = tokio::try_join!(embedded, redis, cluster)?;
    Ok(vec![embedded, redis, cluster])
}

async fn of(form: Form, options: &Options, scratch: &Path) -> Result<Line> {
    let rounds = if options.quick { 1 } else { ROUNDS };
    let folder = tempfile::tempdir_in(scratch).context("a folder for a fleet")?;
    let mut product = Product::start(options, folder.path(), form.flags).await?;
    let (mut kills, mut tasks, mut again, mut ready) =
        (0, 0_usize, Times::default(), Times::default());
    for round in 0..rounds {
        product.wait_for_kind().await?;
        let ids = submit(&product).await?;
        wait_for(&product, &ids, |task| task.status == "running").await?;
        // Not all at the same place between two heartbeats.
        tokio::time::sleep(Duration::from_millis(150 * round as u64)).await;
        let killed_ms = Clock::system().now_ms();
        if form.alone {
            product.kill().await?;
            kills += 1;
            product = Product::start(options, folder.path(), form.flags).await?;
            ready.add(product.ready_after);
        } else {
            let workers = workers_of(product.id()?);
            anyhow::ensure!(workers.len() == WORKERS, "{}: workers {workers:?}", form.name);
            for id in workers {
                kill_now(id)?;
                kills += 1;
            }
        }
        let ended = wait_for(&product, &ids, |task| task.status == "completed").await?;
        for task in ended.iter().filter(|task| task.attempt > 1) {
            let began = task.started_at.as_deref().and_then(parse_rfc3339);
            let began = began.context("when a task began again")?;
            let waited = u64::try_from(began - killed_ms).unwrap_or(0);
            again.add(Duration::from_millis(waited));
            tasks += 1;
        }
    }
    product.stop().await?;
    anyhow::ensure!(tasks > 0, "{}: no task was lost with its worker", form.name);
    let s = |share| again.percentile_ms(share) / 1e3;
    let values = [
        ("kills", f64::from(kills)),
        ("tasks", tasks as f64),
        ("p50_s", s(50.0)),
        ("p99_s", s(99.0)),
        ("ready_p50_ms", ready.percentile_ms(50.0)),
        ("ready_max_ms", ready.percentile_ms(100.0)),
    ];
    let Line::Point(mut point) = Point::named("recovery", form.name, values) else {
        anyhow::bail!("a point is a point");
    };
    if !form.alone {
        point.values.retain(|name, _| !name.starts_with("ready"));
    }
    Ok(Line::Point(point))
}

fn kill_now(id: u32) -> Result<()> {
    kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGKILL).context("killing a process")
}

/// The worker processes that `up` has started, by their command lines.
fn workers_of(up: u32) -> Vec<u32> {
    let works = |id: u32| {
        let words = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).nth(1).is_some_and(|verb| verb == b"work")
    };
    tree(&Stat::all(), up).iter().map(|one| one.id).filter(|id| works(*id)).collect()
}

#[derive(Debug, Deserialize)]
struct Task {
    id: String,
    status: String,
    attempt: u32,
    started_at: Option<String>,
}

/// As many tasks as there are places.
async fn submit(product: &Product) -> Result<Vec<String>> {
    let body = format!(r#"{{"kind":"{KIND}","payload":{{"sleep_ms":{TASK_MS}}}}}"#);
    let mut wire = Wire::open(&product.authority).await?;
    let mut ids = Vec::new();
    for _ in 0..WORKERS * CONCURRENCY {
        let answer = wire.ask("POST", "/api/v1/tasks", Some(&product.token), &body).await?;
        anyhow::ensure!(answer.status == 202, "a submission was answered with {}", answer.status);
        let accepted: Task = serde_json::from_slice(&answer.body).context("a task")?;
        ids.push(accepted.id);
    }
    Ok(ids)
}

/// Looks until every task is so; a connection that breaks meanwhile is made again.
async fn wait_for(
    product: &Product,
    ids: &[String],
    is_so: impl Fn(&Task) -> bool,
) -> Result<Vec<Task>> {
    let looking = async {
        loop {
            let mut wire = Wire::open(&product.authority).await?;
            let mut tasks = Vec::new();
            for id in ids {
                let target = format!("/api/v1/tasks/{id}");
                let answer = wire.ask("GET", &target, Some(&product.token), "").await?;
                let task: Task = serde_json::from_slice(&answer.body).context("a task")?;
                anyhow::ensure!(task.id == *id, "another task than asked for");
                tasks.push(task);
            }
            if tasks.iter().all(&is_so) {
                return Ok(tasks);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(WITHIN, looking).await.context("waiting for tasks")?
}
