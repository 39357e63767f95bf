//! The end of a run: waits until all work is done, and writes down every task as it is then. It
//! reads by the public API, like anybody.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{StreamExt as _, stream};
use tasktonic_client::{Client, Error, Filter};
use tasktonic_protocol::http::Flow;
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::task::Task;
use tasktonic_protocol::time::parse_rfc3339;

use crate::attempt::{Output, Payload, fence_of};
use crate::history::{Facts, Line, Op, Phase, Recorder, now};

/// Tasks of one page.
const PAGE: u32 = 200;
/// Tasks read at once.
const AT_ONCE: usize = 6;
/// Tasks whose log is read.
const LOGS_MAX: usize = 60;
/// Lines of a log.
const LOG_LINES: u32 = 1_000;
/// How often the counts are asked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The wait when the server has been asked too much in a second.
const RATE_WAIT: Duration = Duration::from_secs(1);

/// Waits until no task of `clients` is to be done any more, as long as `within_ms`. Whether it came
/// to that.
pub(crate) async fn drained(clients: &[Client], within_ms: u64, stopped: &AtomicBool) -> bool {
    let since = now();
    for client in clients {
        loop {
            let left = client
                .counts()
                .await
                .map(|counts| counts.scheduled + counts.waiting + counts.queued + counts.running);
            if left.is_ok_and(|left| left == 0) {
                break;
            }
            if now() - since > within_ms || stopped.load(Ordering::SeqCst) {
                return false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    true
}

/// Writes down every task of `user`: those in the list, and those of `accepted`, which may be
/// nowhere; and what each of `flows` has come to.
///
/// # Errors
/// When the server does not answer although all faults are over.
pub(crate) async fn write_down(
    user: &str,
    client: &Client,
    accepted: &[String],
    flows: &BTreeSet<String>,
    recorder: &Recorder,
) -> Result<()> {
    let mut ids: Vec<String> = accepted.to_vec();
    let mut cursor = None;
    loop {
        let filter = Filter::default();
        let page = patiently(|| client.tasks(&filter, PAGE, cursor.as_deref())).await?;
        ids.extend(page.tasks.into_iter().map(|task| task.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    ids.sort();
    ids.dedup();
    let base = || Line { user: Some(user.into()), ..Line::new("the end", Op::Final, Phase::Ok) };
    let mut asked = stream::iter(&ids)
        .map(|id| async move { (id, patiently(|| client.task(id)).await) })
        .buffer_unordered(AT_ONCE);
    let mut several = Vec::new();
    while let Some((id, task)) = asked.next().await {
        let line = match task {
            Ok(task) => {
                if task.attempt > 1 && several.len() < LOGS_MAX {
                    several.push(task.id.clone());
                }
                of(base(), &task)
            }
            Err(error) if error.code() == Some(Code::NotFound) => {
                Line { task: Some(id.clone()), status: Some("absent".into()), ..base() }
            }
            Err(error) => bail!("reading task {id} of {user}: {error}"),
        };
        recorder.say(&line);
    }
    for flow in flows {
        match patiently(|| client.flow(flow, None)).await {
            Ok(shown) => recorder.say(&roll_up(base(), &shown)),
            // It was never accepted, or is gone with its task, which says so itself.
            Err(error) if error.code() == Some(Code::NotFound) => {}
            Err(error) => bail!("reading flow {flow} of {user}: {error}"),
        }
    }
    for id in several {
        logs(&base(), client, &id, recorder).await.with_context(|| format!("the log of {id}"))?;
    }
    Ok(())
}

/// What `ask` gets, asked again where the server wants less to be asked in a second: a long run has
/// more tasks than that.
async fn patiently<T, F: Future<Output = Result<T, Error>>>(
    ask: impl Fn() -> F,
) -> Result<T, Error> {
    loop {
        match ask().await {
            Err(error) if error.code() == Some(Code::TooManyRequests) => {
                tokio::time::sleep(RATE_WAIT).await;
            }
            answer => return answer,
        }
    }
}

fn roll_up(base: Line, flow: &Flow) -> Line {
    let facts = Facts {
        flow: Some(flow.task.id.clone()),
        done: Some(flow.roll_up.completed.into()),
        total: Some(flow.roll_up.total.into()),
        failed: Some(flow.roll_up.failed.into()),
        cancelled: Some(flow.roll_up.cancelled.into()),
        ..Facts::default()
    };
    Line { op: Op::RollUp, status: Some(flow.task.status.name().into()), facts, ..base }
}

fn of(base: Line, task: &Task) -> Line {
    let payload =
        task.payload.as_ref().and_then(|raw| serde_json::from_str::<Payload>(raw.get()).ok());
    let output =
        task.output.as_ref().and_then(|raw| serde_json::from_str::<Output>(raw.get()).ok());
    let tick = task.schedule.as_ref();
    let facts = Facts {
        kind: Some(task.kind.clone()),
        queue: Some(task.queue.clone()),
        schedule: tick.map(|made_by| made_by.name.clone()),
        tick_ms: tick.and_then(|made_by| parse_rfc3339(made_by.at.as_deref()?)),
        labels: task.needs.clone(),
        ..Facts::default()
    };
    let told = task.error.as_ref().and_then(|error| fence_of(&error.message));
    Line {
        task: Some(task.id.clone()),
        rev: Some(task.rev),
        status: Some(task.status.name().into()),
        attempt: Some(task.attempt),
        attempts_max: Some(task.attempts_max),
        nonce: payload.as_ref().map(|payload| payload.nonce.clone()),
        version: payload.map(|payload| payload.version),
        key: task.idempotency_key.clone(),
        token: output.map(|output| output.fence).or(told),
        why: task.reason.clone().or_else(|| task.error.as_ref().map(|error| error.code.clone())),
        facts,
        ..base
    }
}

/// The fences that a log names, in its order.
async fn logs(base: &Line, client: &Client, id: &str, recorder: &Recorder) -> Result<()> {
    let page = patiently(|| client.logs(id, 0, LOG_LINES)).await?;
    for line in page.lines {
        let Some(fence) = fence_of(&line.text) else { continue };
        recorder.say(&Line {
            op: Op::LogLine,
            task: Some(id.into()),
            seq: Some(line.n.into()),
            token: Some(fence),
            ..base.clone()
        });
    }
    Ok(())
}
