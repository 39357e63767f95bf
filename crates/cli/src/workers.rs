//! `tasktonic workers`: who is at work, on what, and what they have.

use anyhow::Result;
use tasktonic_protocol::http::Worker;

use crate::api::Remote;
use crate::screen::{self, harmless};
use crate::task::print_json;

/// Arguments of `workers`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tasktonic workers\n  \
    tasktonic workers --json | jq '.[] | select(.labels | index(\"gpu\"))'")]
pub(crate) struct Args {
    /// Print them as the API gives them
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) async fn workers(args: Args) -> Result<u8> {
    let workers = args.remote.client()?.workers().await?;
    if args.json {
        print_json(&workers)?;
        return Ok(crate::DONE);
    }
    let rows: Vec<_> = workers.iter().map(row).collect();
    screen::table(&["WORKER", "HOST", "LABELS", "RUNNING", "PLACES", "KINDS"], &rows);
    Ok(crate::DONE)
}

fn row(worker: &Worker) -> Vec<String> {
    vec![
        harmless(&worker.id),
        harmless(&worker.host),
        harmless(&worker.labels.join(", ")),
        worker.running.to_string(),
        format!("{} of {}", worker.taken.unwrap_or(worker.running), worker.concurrency),
        harmless(&worker.kinds.join(", ")),
    ]
}
