//! `tasktonic kinds`: what can be submitted.

use anyhow::Result;

use crate::api::Remote;
use crate::screen::{self, harmless};
use crate::task::print_json;

/// Arguments of `kinds`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tasktonic kinds\n  \
    tasktonic kinds --json | jq '.[].schema'")]
pub(crate) struct Args {
    /// Print them as the API gives them, each with the JSON Schema of its payload
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) async fn kinds(args: Args) -> Result<u8> {
    let kinds = args.remote.client()?.kinds().await?;
    if args.json {
        print_json(&kinds)?;
        return Ok(crate::DONE);
    }
    let rows: Vec<_> = kinds
        .iter()
        .map(|kind| {
            let worker = if kind.served { "at work" } else { "none now" };
            let title = kind.title.as_deref().unwrap_or_default();
            vec![harmless(&kind.kind), worker.to_owned(), harmless(title)]
        })
        .collect();
    screen::table(&["KIND", "WORKER", "TITLE"], &rows);
    Ok(crate::DONE)
}
