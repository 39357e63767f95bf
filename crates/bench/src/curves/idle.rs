//! What rests costs: fleets that have nothing to do, and what their Redis is asked meanwhile.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::report::{Line, Point};
use crate::Options;
use crate::peers::server::{Cores, Server};
use crate::peers::spent::PerTask;
use crate::product::Product;

/// Workers of each fleet, beside its one server.
const WORKERS: [usize; 3] = [0, 1, 5];

/// What a fleet asked of its Redis, each second.
struct Asked {
    commands: f64,
    reads: f64,
    cpu_us: f64,
}

/// The fleets rest side by side, each over a Redis of its own.
pub(crate) async fn measure(options: &Options, scratch: &Path) -> Result<Vec<Line>> {
    // A store that was lately asked how it is goes on looking for a while.
    let (before, length) = if options.quick { (3, 3) } else { (25, 40) };
    let (before, length) = (Duration::from_secs(before), Duration::from_secs(length));
    let [server, one, several] =
        WORKERS.map(|workers| fleet(options, scratch, workers, before, length));
    let (server, one, several) = tokio::try_join!(server, one, several)?;
    let more = (WORKERS[2] - WORKERS[1]) as f64;
    let each = |of: &dyn Fn(&Asked) -> f64| (of(&several) - of(&one)) / more;
    let point = |name: &str, commands: f64, reads: f64, cpu_us: f64| {
        let values =
            [("commands_per_s", commands), ("reads_per_s", reads), ("redis_cpu_us_per_s", cpu_us)];
        Point::named("idle", name, values)
    };
    Ok(vec![
        point("a server", server.commands, server.reads, server.cpu_us),
        point("a worker", each(&|a| a.commands), each(&|a| a.reads), each(&|a| a.cpu_us)),
        point("a fleet", one.commands, one.reads, one.cpu_us),
    ])
}

async fn fleet(
    options: &Options,
    scratch: &Path,
    workers: usize,
    before: Duration,
    length: Duration,
) -> Result<Asked> {
    let folder = tempfile::tempdir_in(scratch).context("a folder for a fleet")?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let redis = Server::start(scratch, &Cores::of(cores), false)?;
    let (url, count) = (redis.url(), workers.to_string());
    let product =
        Product::start(options, folder.path(), &["--store", &url, "--workers", &count]).await?;
    tokio::time::sleep(before).await;
    let first = redis.info()?;
    tokio::time::sleep(length).await;
    let all = PerTask::between(&first, &redis.info()?, 1);
    product.stop().await?;
    let per_s = |value: f64| value / length.as_secs_f64();
    Ok(Asked { commands: per_s(all.commands), reads: per_s(all.reads), cpu_us: per_s(all.cpu_us) })
}
