//! `tasktonic task reschedule | edit`: what a task that waits may still be told.

use anyhow::Result;
use tasktonic_protocol::http::{EditRequest, LinePlace, RescheduleRequest};
use tasktonic_protocol::task::Task;

use super::print_json;
use crate::api::Remote;
use crate::{screen, submit};

/// Another time, or another place.
#[derive(clap::Args)]
pub(crate) struct Move {
    /// The task's id
    id: String,
    #[command(flatten)]
    to: To,
    /// Print the task as the API gives it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Where to: one of these.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct To {
    /// Not before this time (2026-11-24T10:15:00Z)
    #[arg(long, value_name = "TIME")]
    run_at: Option<String>,
    /// Not before this long from now
    #[arg(long, value_name = "MS")]
    delay_ms: Option<u64>,
    /// At once, before your other tasks of its queue
    #[arg(long)]
    front: bool,
    /// At once, after them
    #[arg(long)]
    back: bool,
}

/// Another payload, other labels.
#[derive(clap::Args)]
pub(crate) struct Change {
    /// The task's id
    id: String,
    #[command(flatten)]
    what: What,
    /// Only if the task's rev is still this one
    #[arg(long, value_name = "REV")]
    rev: Option<u64>,
    /// Print the task as the API gives it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// At least one of these.
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
struct What {
    /// The payload from now on as JSON, or @FILE (`@-` reads standard input)
    #[arg(long, value_name = "JSON|@FILE")]
    data: Option<String>,
    /// A label from now on instead of those it has; may be given more than once
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
}

pub(super) async fn reschedule(asked: Move) -> Result<u8> {
    let Move { id, to, json, remote } = asked;
    let place = match (to.front, to.back) {
        (true, _) => Some(LinePlace::Front),
        (_, true) => Some(LinePlace::Back),
        _ => None,
    };
    let request = RescheduleRequest { run_at: to.run_at, delay_ms: to.delay_ms, place };
    told(&remote.client()?.reschedule(&id, &request).await?, json)
}

pub(super) async fn edit(asked: Change) -> Result<u8> {
    let Change { id, what: What { data, tags }, rev, json, remote } = asked;
    let payload = data.map(|data| submit::payload(&data)).transpose()?;
    let payload = payload.map(|payload| serde_json::value::to_raw_value(&payload)).transpose()?;
    let request = EditRequest { payload, tags: (!tags.is_empty()).then_some(tags), rev };
    told(&remote.client()?.edit(&id, &request).await?, json)
}

fn told(task: &Task, json: bool) -> Result<u8> {
    if json {
        print_json(task)?;
    } else {
        let when = task.run_at.as_deref().map_or(String::new(), |at| format!("  due {at}"));
        screen::say(&format!("{}  {}{when}", task.id, screen::status(task.status.name())));
    }
    Ok(crate::DONE)
}
