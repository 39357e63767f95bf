//! `tasktonic task cancel | retry | purge`: tasks by their ids, or all that match a filter.

use anyhow::Result;
use tasktonic_client::Client;
use tasktonic_protocol::http::{BulkCount, BulkDone, BulkFilter, BulkItem, BulkVerb, RetryRequest};
use tasktonic_protocol::status::TaskStatus;

use super::{print_json, status};
use crate::api::Remote;
use crate::screen::{self, harmless};
use crate::{bad_use, submit};

/// Several tasks.
#[derive(clap::Args)]
pub(crate) struct Many {
    /// The tasks' ids
    #[arg(num_args = 1..=1000, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    which: Which,
    /// Only say how many tasks match
    #[arg(long)]
    dry_run: bool,
    /// Do not wait until all that match are changed; print the operation's id
    #[arg(long)]
    detach: bool,
    /// Print what became of it as the API gives it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Failed or cancelled tasks to try again.
#[derive(clap::Args)]
pub(crate) struct Again {
    #[command(flatten)]
    many: Many,
    /// Another payload for the one task that is named, as JSON or @FILE (`@-` reads standard input)
    #[arg(long, value_name = "JSON|@FILE")]
    data: Option<String>,
    /// Instead of the labels it has, for the one task that is named; may be given more than once
    #[arg(long = "label", value_name = "TAG")]
    labels: Vec<String>,
}

/// What the tasks have in common.
#[derive(clap::Args)]
struct Which {
    /// All tasks this can be done with
    #[arg(long)]
    all: bool,
    /// All in these (scheduled, retrying, queued, running, completed, failed, cancelled, …)
    #[arg(long, value_delimiter = ',', value_parser = status, value_name = "STATUS")]
    status: Vec<TaskStatus>,
    /// All of this kind
    #[arg(long)]
    kind: Option<String>,
    /// All in this queue
    #[arg(long)]
    queue: Option<String>,
    /// All with this label
    #[arg(long)]
    tag: Option<String>,
    /// All whose id begins so
    #[arg(long, value_name = "TEXT")]
    id_prefix: Option<String>,
    /// All that these words find: by id, kind, queue, labels, or the error of a task that failed
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    /// All created at this time or later (2026-11-24T10:15:00Z)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// All created before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Which {
    fn filter(self) -> BulkFilter {
        let Self { all, status, kind, queue, tag, id_prefix, search: q, since, until } = self;
        BulkFilter { status, kind, queue, tag, id_prefix, q, since, until, all }
    }
}

pub(super) async fn change(verb: BulkVerb, many: Many) -> Result<u8> {
    let Many { ids, which, dry_run, detach, json, remote } = many;
    let filter = which.filter();
    let by_filter = filter.all || !filter.is_open();
    match (ids.is_empty(), by_filter) {
        (true, false) => {
            return Err(bad_use(
                "name tasks by their ids, or say what they have in common (--all)",
            ));
        }
        (false, true) => {
            return Err(bad_use(
                "name tasks by their ids, or say what they have in common; not both",
            ));
        }
        _ => {}
    }
    let client = remote.client()?;
    if by_filter {
        if dry_run {
            return counted(client.bulk_count(verb, filter).await?, json);
        }
        return all(&client, verb, filter, detach, json).await;
    }
    if dry_run {
        return Err(bad_use(
            "--dry-run says how many tasks match a filter; the ids you name are counted",
        ));
    }
    let results = match verb {
        BulkVerb::Cancel => client.cancel_many(ids).await?,
        BulkVerb::Retry => client.retry_many(ids).await?,
        BulkVerb::Purge => client.purge_many(ids).await?,
    };
    told(&results, json)
}

/// [`change`] by retrying, with another payload if one is said.
pub(super) async fn again(asked: Again) -> Result<u8> {
    let Again { many, data, labels } = asked;
    if data.is_none() && labels.is_empty() {
        return change(BulkVerb::Retry, many).await;
    }
    let ([id], false) = (many.ids.as_slice(), many.which.all) else {
        return Err(bad_use("another payload or other labels are for one task; name its id"));
    };
    let payload = data.map(|data| submit::payload(&data)).transpose()?;
    let payload = payload.map(|payload| serde_json::value::to_raw_value(&payload)).transpose()?;
    let client = many.remote.client()?;
    let rev = Some(client.task(id).await?.rev);
    let request = RetryRequest { payload, tags: (!labels.is_empty()).then_some(labels), rev };
    let task = client.retry_with(id, &request).await?;
    if many.json {
        print_json(&task)?;
    } else {
        screen::say(&format!("{}  {}", task.id, screen::status(task.status.name())));
    }
    Ok(crate::DONE)
}

fn counted(count: BulkCount, json: bool) -> Result<u8> {
    if json {
        print_json(&count)?;
    } else {
        let BulkCount { tasks, more } = count;
        screen::say(&match (tasks, more) {
            (1, false) => "1 task matches".to_owned(),
            (_, false) => format!("{tasks} tasks match"),
            (_, true) => format!("{tasks} or more tasks match"),
        });
    }
    Ok(crate::DONE)
}

/// Starts an operation, and waits for its end unless that is not wanted.
async fn all(
    client: &Client,
    verb: BulkVerb,
    filter: BulkFilter,
    detach: bool,
    json: bool,
) -> Result<u8> {
    let operation = client.bulk(verb, filter).await?;
    if detach {
        if json {
            print_json(&operation)?
        } else {
            screen::say(&operation.id)
        }
        return Ok(crate::DONE);
    }
    if !json {
        let id = &operation.id;
        screen::note(&format!("operation {id}; `tasktonic task cancel {id}` aborts it"));
    }
    let ended = submit::until_ended(client, &operation, json).await?;
    if json {
        print_json(&ended)?;
    } else if let Some(output) = &ended.output {
        let BulkDone { changed, asked, skipped } = serde_json::from_str(output.get())?;
        let mut text = format!("{} changed", screen::many(changed, "task"));
        if asked > 0 {
            text.push_str(&format!(", {asked} of them by asking their worker to stop"));
        }
        if skipped > 0 {
            text.push_str(&format!("; {skipped} had changed meanwhile"));
        }
        screen::say(&text);
    } else {
        let why = ended.error.as_ref().map(|error| format!(": {}", harmless(&error.message)));
        screen::note(&format!("{}{}", ended.status.name(), why.unwrap_or_default()));
    }
    Ok(if ended.status == TaskStatus::Completed { crate::DONE } else { crate::FAILED })
}

/// One line per task that was named; not done if one of them was refused.
fn told(results: &[BulkItem], json: bool) -> Result<u8> {
    if json {
        print_json(&results)?;
    }
    let mut refused = 0;
    for BulkItem { id, task, error } in results {
        refused += usize::from(error.is_some());
        if json {
            continue;
        }
        match (task, error) {
            (_, Some(error)) => {
                screen::note(&format!("{id}: {}", screen::problem(error).join(" ")));
            }
            (Some(task), None) => {
                screen::say(&format!("{id}  {}", screen::status(task.status.name())))
            }
            (None, None) => screen::say(&format!("{id}  removed")),
        }
    }
    Ok(if refused == 0 { crate::DONE } else { crate::FAILED })
}
