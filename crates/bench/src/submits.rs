//! Durable submissions: every one is acknowledged after it is on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::figures::{Figure, Times};
use crate::product::{KIND, Product};
use crate::wire::Wire;
use crate::{Options, floors};

/// Producers, each with a connection and one submission under way.
const PRODUCERS: [usize; 2] = [1, 256];
/// Users that the tasks belong to; each has its own limit of requests.
const USERS: usize = 200;
/// Tasks of one batch.
const BATCH: usize = 1_000;

pub(crate) async fn measure(options: &Options) -> Result<Vec<Figure>> {
    let length = Duration::from_secs(if options.quick { 1 } else { 10 });
    let scratch = options.scratch()?;
    let mut figures = floors::fdatasync_figures(scratch.path())?;
    let product = Product::start_idle(options, scratch.path()).await?;
    let tokens = Arc::new(product.tokens(if options.quick { 20 } else { USERS }).await?);
    figures.extend(floors::healthz(&product.authority, length / 3).await?);
    for producers in PRODUCERS {
        // The first second warms up what a long-lived server has warm.
        singles(&product, &tokens, producers, length / 10).await?;
        let (times, took) = singles(&product, &tokens, producers, length).await?;
        let note = format!("producers: {producers}; each is durable before its answer");
        let rate = times.count() as f64 / took.as_secs_f64();
        figures.push(Figure::new("submissions", rate, "per s", &*note));
        figures.extend(times.figures("submission", &note));
    }
    figures.extend(batches(&product, &tokens, length / 2).await?);
    product.stop().await?;
    Ok(figures)
}

/// Single submissions for `length`; how long it really took.
async fn singles(
    product: &Product,
    tokens: &Arc<Vec<String>>,
    producers: usize,
    length: Duration,
) -> Result<(Times, Duration)> {
    let body = format!(
        r#"{{"kind":"{KIND}","payload":{{"sleep_ms":0,"fail_rate":0,"progress_steps":0}}}}"#
    );
    let next = Arc::new(AtomicUsize::new(0));
    let since = Instant::now();
    let loops: Vec<_> = (0..producers)
        .map(|_| {
            let (authority, tokens) = (product.authority.clone(), tokens.clone());
            let (next, body) = (next.clone(), body.clone());
            tokio::spawn(async move {
                let mut wire = Wire::open(&authority).await?;
                let mut times = Times::default();
                while since.elapsed() < length {
                    // Users in turn, as their requests would come.
                    let user = next.fetch_add(1, Ordering::Relaxed) % tokens.len();
                    let sent = Instant::now();
                    let token = Some(tokens[user].as_str());
                    let answer = wire.ask("POST", "/api/v1/tasks", token, &body).await?;
                    times.add(sent.elapsed());
                    anyhow::ensure!(
                        answer.status == 202,
                        "a submission was answered with {}: {}",
                        answer.status,
                        String::from_utf8_lossy(&answer.body)
                    );
                }
                Ok::<_, anyhow::Error>(times)
            })
        })
        .collect();
    let mut times = Times::default();
    for ended in loops {
        times.merge(ended.await.context("a producer")??);
    }
    Ok((times, since.elapsed()))
}

/// Batches of a thousand, two at a time.
async fn batches(
    product: &Product,
    tokens: &Arc<Vec<String>>,
    length: Duration,
) -> Result<Vec<Figure>> {
    let one = format!(r#"{{"kind":"{KIND}","payload":{{"sleep_ms":0}}}}"#);
    let body = format!(r#"{{"tasks":[{}]}}"#, vec![one; BATCH].join(","));
    let since = Instant::now();
    let loops: Vec<_> = (0..2_usize)
        .map(|n| {
            let (authority, tokens, body) =
                (product.authority.clone(), tokens.clone(), body.clone());
            tokio::spawn(async move {
                let mut wire = Wire::open(&authority).await?;
                let mut count = 0;
                for round in 0.. {
                    if since.elapsed() >= length {
                        break;
                    }
                    let token = tokens[(2 * round + n) % tokens.len()].as_str();
                    let answer =
                        wire.ask("POST", "/api/v1/tasks/batch", Some(token), &body).await?;
                    let text = String::from_utf8_lossy(&answer.body);
                    anyhow::ensure!(
                        answer.status == 200 && !text.contains("\"error\":{"),
                        "a batch was answered with {}: {text:.300}",
                        answer.status
                    );
                    count += BATCH;
                }
                Ok::<_, anyhow::Error>(count)
            })
        })
        .collect();
    let mut count = 0;
    for ended in loops {
        count += ended.await.context("a producer")??;
    }
    let rate = count as f64 / since.elapsed().as_secs_f64();
    let note = format!("batches of {BATCH}, two at a time");
    Ok(vec![Figure::new("submissions", rate, "per s", note)])
}
