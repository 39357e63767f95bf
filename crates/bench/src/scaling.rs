//! What more workers add: tasks of 10 ms through the whole architecture, with 1, 2 and 4 worker
//! processes over one Redis.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::Options;
use crate::figures::Figure;
use crate::product::{KIND, Product};
use crate::wire::Wire;

/// Worker processes of each run.
const WORKERS: [usize; 3] = [1, 2, 4];
/// Attempts at once in each of them.
const CONCURRENCY: usize = 8;
/// How long one task takes, ms.
const TASK_MS: u64 = 10;
/// Users that the tasks belong to, so that every partition has some.
const USERS: usize = 32;
/// Tasks of one batch.
const BATCH: usize = 500;

pub(crate) async fn measure(options: &Options) -> Result<Vec<Figure>> {
    let length = Duration::from_secs(if options.quick { 2 } else { 10 });
    let mut figures = Vec::new();
    let mut alone = None;
    for workers in WORKERS {
        let rate = run(options, workers, length).await?;
        let note = format!(
            "{workers} worker processes of {CONCURRENCY} attempts at once, {TASK_MS} ms each, \
             Redis; at most {} per s by themselves",
            workers * CONCURRENCY * 1_000 / usize::try_from(TASK_MS)?
        );
        figures.push(Figure::new("tasks completed", rate, "per s", &*note));
        let alone = *alone.get_or_insert(rate);
        figures.push(Figure::new("times one worker", rate / alone, "", &*note));
    }
    Ok(figures)
}

/// Tasks completed per second while there is always more to do.
async fn run(options: &Options, workers: usize, length: Duration) -> Result<f64> {
    let scratch = options.scratch()?;
    let (workers_text, concurrency) = (workers.to_string(), CONCURRENCY.to_string());
    let more = ["--redis", "--workers", &workers_text, "--concurrency", &concurrency];
    let product = Product::start(options, scratch.path(), &more).await?;
    product.wait_for_kind().await?;
    let tokens = product.tokens(USERS).await?;

    // Half as much again as they could do in the time, and what is done before it is measured.
    let most = workers * CONCURRENCY * 1_000 / usize::try_from(TASK_MS)?;
    let tasks = most * usize::try_from(length.as_secs() + 4)? * 3 / 2;
    let mut wire = Wire::open(&product.authority).await?;
    let one = format!(r#"{{"kind":"{KIND}","payload":{{"sleep_ms":{TASK_MS}}}}}"#);
    let body = format!(r#"{{"tasks":[{}]}}"#, vec![one; BATCH].join(","));
    for round in 0..tasks.div_ceil(BATCH) {
        let token = Some(tokens[round % USERS].as_str());
        let answer = wire.ask("POST", "/api/v1/tasks/batch", token, &body).await?;
        let text = String::from_utf8_lossy(&answer.body);
        anyhow::ensure!(
            answer.status == 200 && !text.contains("\"error\":{"),
            "a batch was answered with {}: {text:.300}",
            answer.status
        );
    }
    drop(wire);
    let first = completed(&product, &tokens).await?;
    let since = Instant::now();
    tokio::time::sleep(length).await;
    let took = since.elapsed();
    let last = completed(&product, &tokens).await?;
    anyhow::ensure!(last < tasks as u64, "all {tasks} tasks were done before the time was over");
    product.stop().await?;
    Ok((last - first) as f64 / took.as_secs_f64())
}

#[derive(Deserialize)]
struct Counts {
    completed: u64,
}

/// Completed tasks of all users. By a connection of its own: the server ends one that rests.
async fn completed(product: &Product, tokens: &[String]) -> Result<u64> {
    let mut wire = Wire::open(&product.authority).await?;
    let mut sum = 0;
    for token in tokens {
        let answer = wire.ask("GET", "/api/v1/tasks/counts", Some(token), "").await?;
        let counts: Counts = serde_json::from_slice(&answer.body).context("counts")?;
        sum += counts.completed;
    }
    Ok(sum)
}
