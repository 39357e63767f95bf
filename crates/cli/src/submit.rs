//! `tasktonic submit`: hand a task over, and watch what becomes of it.

mod attach;
mod batch;
mod policy;
mod watch;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use tasktonic_client::submission;
use tasktonic_protocol::http::{KeyMode, Priority};

pub(crate) use watch::until_ended;

use crate::api::Remote;
use crate::bad_use;
use crate::screen;
use crate::task;

/// The largest file that `--data @file` reads; a payload is far smaller.
const DATA_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Arguments of `submit`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tasktonic submit noop --data '{\"sleep_ms\":500}' --follow\n  \
    tasktonic submit images.resize --file a.jpg --file b.jpg --data '{\"sizes\":[800]}' --follow\n  \
    tasktonic submit csv.profile --file table.csv --json\n  \
    tasktonic submit http.request --data @call.json --backoff list:1s,1m --rule http_4*=bury\n  \
    tasktonic submit images.resize --file a.jpg --need gpu\n  \
    tasktonic submit noop --idempotency-key report --key-mode debounce --key-window 30s\n  \
    tasktonic submit --batch tasks.ndjson > ids\n\n\
    Exit codes: 0 accepted (with --follow: completed; with --batch: all of them), 1 refused (with \
    --follow: not completed; with --batch: any of them), 2 bad use.")]
pub(crate) struct Args {
    /// What to do (`images.resize`, `csv.profile`, `http.request`, …)
    #[arg(required_unless_present = "batch")]
    kind: Option<String>,
    /// Many tasks: a file (`-` is standard input) with one on each line, as the API takes them:
    /// {"kind":"noop","payload":{}}. Lines that are refused do not keep the others
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "kind", "data", "files", "follow", "priority", "idempotency_key", "serial_key", "delay_ms",
        "run_at", "expires_at", "expire_after_ms", "tags", "Policy",
    ])]
    batch: Option<PathBuf>,
    /// The payload as JSON, or @FILE (`@-` reads standard input)
    #[arg(long, default_value = "{}", value_name = "JSON|@FILE")]
    data: String,
    /// Upload this file and put it into the payload; FIELD=PATH where the kind has several fields
    /// for files
    #[arg(long = "file", value_name = "[FIELD=]PATH")]
    files: Vec<String>,
    /// Wait for its end, showing progress and log
    #[arg(long)]
    follow: bool,
    /// Print the task as the API gives it (with --follow: once it has ended; with --batch: a line for
    /// each, `{"line":1,"task":…}` or `{"line":1,"error":…}`)
    #[arg(long)]
    json: bool,
    /// Which of your own tasks of its queue go first: high, normal or low (these go first in one of 8
    /// turns) [default: normal]
    #[arg(long, value_name = "PRIORITY")]
    priority: Option<Priority>,
    /// A repetition under the same key finds this task instead of making another
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// What the key means: ttl (the same submission for a day), until_done, until_started (while the
    /// task has not ended, or waits), unique (the same, whatever the payload), throttle (one in each
    /// window), debounce (once nobody has submitted for a window), replace (the newest waits), latest
    /// (and runs after the one that runs), restart (which is asked to stop)
    #[arg(long, value_name = "MODE", requires = "idempotency_key")]
    key_mode: Option<KeyMode>,
    /// The window of the key, such as 30s or 10m
    #[arg(long, value_name = "TIME", requires = "idempotency_key", value_parser = policy::time)]
    key_window: Option<u64>,
    /// Tasks under the same serial key run one at a time, in order
    #[arg(long, value_name = "KEY")]
    serial_key: Option<String>,
    /// Not before this long from now
    #[arg(long, value_name = "MS")]
    delay_ms: Option<u64>,
    /// Not before this time (2026-11-24T10:15:00Z)
    #[arg(long, value_name = "TIME", conflicts_with = "delay_ms")]
    run_at: Option<String>,
    /// Cancelled if nobody has taken it by this time
    #[arg(long, value_name = "TIME", conflicts_with = "expire_after_ms")]
    expires_at: Option<String>,
    /// Cancelled if nobody has taken it this long from now
    #[arg(long, value_name = "MS")]
    expire_after_ms: Option<u64>,
    /// Only workers that have this label take it; may be given more than once [default: as its
    /// kind says]
    #[arg(long = "need", value_name = "LABEL")]
    needs: Vec<String>,
    /// A label for filtering; may be given more than once
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    #[command(flatten)]
    policy: policy::Policy,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) async fn submit(args: Args) -> Result<u8> {
    let client = args.remote.client()?;
    if let Some(path) = &args.batch {
        return batch::submit(&client, path, args.json).await;
    }
    let kind = args.kind.expect("required unless there is a batch");
    let mut payload = payload(&args.data)?;
    if !args.files.is_empty() {
        attach::files(&client, &kind, &args.files, &mut payload).await?;
    }
    let mut request = submission(&kind, serde_json::value::to_raw_value(&payload)?);
    request.idempotency_key = args.idempotency_key;
    request.key_mode = args.key_mode;
    request.key_window_ms = args.key_window;
    request.serial_key = args.serial_key;
    request.priority = args.priority;
    request.delay_ms = args.delay_ms;
    request.run_at = args.run_at;
    request.expires_at = args.expires_at;
    request.expire_after_ms = args.expire_after_ms;
    request.tags = args.tags;
    request.needs = (!args.needs.is_empty()).then_some(args.needs);
    args.policy.fill(&mut request);
    let submitted = client.submit(request).await?;
    if !args.follow {
        if args.json {
            task::print_json(&submitted.task)?;
        } else {
            let word = if submitted.is_new { "accepted" } else { "exists already" };
            screen::say(&format!("{}  {word}", submitted.task.id));
        }
        return Ok(crate::DONE);
    }
    let ended = watch::until_ended(&client, &submitted.task, args.json).await?;
    if args.json {
        task::print_json(&ended)?;
    } else {
        task::show(&ended);
    }
    let is_completed = ended.status.state() == tasktonic_core::TaskState::Completed;
    Ok(if is_completed { crate::DONE } else { crate::FAILED })
}

/// A payload given as JSON or as a file.
pub(crate) fn payload(data: &str) -> Result<Value> {
    let text = text_of(data)?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| bad_use(format!("the payload is not JSON: {error}")))?;
    if !value.is_object() {
        return Err(bad_use("the payload is a JSON object, like '{\"sleep_ms\":500}'"));
    }
    Ok(value)
}

/// JSON given as such, or as a file.
pub(crate) fn text_of(data: &str) -> Result<String> {
    Ok(match data.strip_prefix('@') {
        None if Path::new(data).is_file() => {
            return Err(bad_use(format!(
                "{data} is a file; what is in it is written with an @: '@{data}'"
            )));
        }
        None => data.to_owned(),
        Some("-") => std::io::read_to_string(std::io::stdin()).context("reading standard input")?,
        Some(path) => {
            let path = PathBuf::from(path);
            let size = std::fs::metadata(&path)
                .with_context(|| format!("reading {}", path.display()))?
                .len();
            if size > DATA_BYTES_MAX {
                let path = path.display();
                return Err(bad_use(format!(
                    "{path} has {size} bytes; a payload is JSON, use --file"
                )));
            }
            std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?
        }
    })
}
