//! apalis over Redis: at least once as it comes; what a dead worker held goes back when its
//! heartbeats have been missed.

#[path = "../../shared/peer.rs"]
mod peer;

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
use peer::{Draft, Log, Outcome};
use serde::{Deserialize, Serialize};

/// How often a worker without tasks looks for some.
const POLL_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Noop {
    n: u64,
    at: u64,
    pad: String,
}

struct Library(RedisStorage<Noop>);

fn noop(Draft { n, at, pad }: Draft) -> Noop {
    Noop { n, at, pad }
}

impl peer::Submit for Library {
    async fn one(&mut self, task: Draft) -> Outcome<()> {
        self.0.push(noop(task)).await.map_err(|error| error.to_string().into())
    }

    async fn many(&mut self, tasks: Vec<Draft>) -> Outcome<()> {
        let tasks = tasks.into_iter().map(noop).collect();
        self.0.push_bulk(tasks).await.map_err(|error| error.to_string().into())
    }
}

async fn run(task: Noop, log: Data<Arc<Log>>) -> Result<(), BoxDynError> {
    log.record(task.n, task.at);
    let time = peer::task_time();
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let connection = apalis_redis::connect(peer::redis_url()).await?;
    let storage = RedisStorage::<Noop>::new(connection);
    if arguments[1] == "submit" {
        let config = Config::default().queue("bench");
        return peer::serve(Library(storage.with_config(config))).await;
    }
    let concurrency: usize = arguments[2].parse()?;
    // Its documentation: larger batches improve throughput.
    let config = Config::default().queue("bench").batch_size(concurrency.max(10));
    let worker = WorkerBuilder::new(format!("bench-{}", std::process::id()))
        // Without this, a worker that found nothing looks again at its next heartbeat, 30 s later.
        .backend(storage.with_config(config).poll_with_interval(POLL_EVERY))
        .data(Arc::new(Log::open()))
        .concurrency(concurrency)
        .build(run);
    worker.run().await?;
    Ok(())
}
