//! `tasktonic flow submit | show | add | cancel | retry` and `tasktonic batch open | add | seal |
//! show | cancel | retry`.

use std::collections::{HashMap, VecDeque};

use anyhow::{Context, Result};
use clap::Subcommand;
use serde::de::DeserializeOwned;
use tasktonic_client::{Client, submission};
use tasktonic_protocol::http::{
    BatchOpenRequest, Flow, FlowNode, FlowRequest, FlowSort, FlowTask, OnFailure, RollUp,
};

use crate::api::Remote;
use crate::screen::{self, harmless};
use crate::submit::{payload, text_of};
use crate::task;

/// What to do with flows.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Submit tasks that wait for each other, from a file of JSON
    #[command(after_help = "Example: tasktonic flow submit @flow.json\n\n\
        { \"tasks\": [\n  \
            { \"name\": \"fetch\", \"task\": { \"kind\": \"noop\", \"payload\": {} } },\n  \
            { \"name\": \"report\", \"after\": [\"fetch\"],\n    \
              \"task\": { \"kind\": \"noop\", \"payload\": {} } }\n] }")]
    Submit {
        /// The flow as JSON, or @FILE (`@-` reads standard input)
        #[arg(value_name = "JSON|@FILE")]
        flow: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Add tasks to a flow that has not ended
    #[command(after_help = "Example: tasktonic flow add AZrS0mXvQ4yKcD1e @more.json")]
    Add(Add),
    /// Show how far a flow is, and each of its tasks
    #[command(after_help = "Example: tasktonic flow show AZrS0mXvQ4yKcD1e")]
    Show(One),
    /// Stop a flow with all its tasks
    #[command(after_help = "Example: tasktonic flow cancel AZrS0mXvQ4yKcD1e")]
    Cancel(One),
    /// Send all its tasks back that failed or were cancelled
    #[command(after_help = "Example: tasktonic flow retry AZrS0mXvQ4yKcD1e")]
    Retry(One),
}

/// What to do with batches.
#[derive(Subcommand)]
pub(crate) enum BatchVerb {
    /// Open a batch: add tasks, then seal it
    #[command(after_help = "Example: tasktonic batch open --then noop --data '{\"sleep_ms\":10}'")]
    Open {
        /// The kind that runs once, when the batch is sealed and all its tasks have ended
        #[arg(long, value_name = "KIND")]
        then: Option<String>,
        /// The payload of that as JSON, or @FILE
        #[arg(long, default_value = "{}", value_name = "JSON|@FILE", requires = "then")]
        data: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Add tasks to a batch that is not sealed
    #[command(after_help = "Example: tasktonic batch add AZrS0mXvQ4yKcD1e @tasks.json\n\n\
        [ { \"task\": { \"kind\": \"noop\", \"payload\": {} } } ]")]
    Add(Add),
    /// Say that a batch has all its tasks
    #[command(after_help = "Example: tasktonic batch seal AZrS0mXvQ4yKcD1e")]
    Seal(One),
    /// Show how far a batch is, and each of its tasks
    #[command(after_help = "Example: tasktonic batch show AZrS0mXvQ4yKcD1e")]
    Show(One),
    /// Stop a batch with all its tasks
    #[command(after_help = "Example: tasktonic batch cancel AZrS0mXvQ4yKcD1e")]
    Cancel(One),
    /// Send all its tasks back that failed or were cancelled
    #[command(after_help = "Example: tasktonic batch retry AZrS0mXvQ4yKcD1e")]
    Retry(One),
}

/// How the answer is shown, and whom to ask.
#[derive(clap::Args)]
pub(crate) struct Shown {
    /// Print it as the API gives it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// One flow or batch.
#[derive(clap::Args)]
pub(crate) struct One {
    /// Its id
    id: String,
    #[command(flatten)]
    shown: Shown,
}

/// Tasks for one.
#[derive(clap::Args)]
pub(crate) struct Add {
    /// Its id
    id: String,
    /// A list of tasks as JSON, or @FILE (`@-` reads standard input); more than 127 go in parts
    #[arg(value_name = "JSON|@FILE")]
    tasks: String,
    #[command(flatten)]
    shown: Shown,
}

pub(crate) async fn flow(verb: Verb) -> Result<u8> {
    match verb {
        Verb::Submit { flow, shown } => {
            let request: FlowRequest = read(&flow, "a flow is {\"tasks\":[…]}")?;
            let client = shown.remote.client()?;
            show(&client.submit_flow(request).await?, shown.json)
        }
        Verb::Add(add) => more(FlowSort::Flow, add).await,
        Verb::Show(one) => look(one).await,
        Verb::Cancel(one) => cancel(one).await,
        Verb::Retry(one) => retry(one).await,
    }
}

pub(crate) async fn batch(verb: BatchVerb) -> Result<u8> {
    match verb {
        BatchVerb::Open { then, data, shown } => {
            let client = shown.remote.client()?;
            let then = match then {
                Some(kind) => {
                    let payload = serde_json::value::to_raw_value(&payload(&data)?)?;
                    Some(submission(kind, payload))
                }
                None => None,
            };
            let request = BatchOpenRequest { id: None, tags: Vec::new(), then };
            show(&client.open_batch(request).await?, shown.json)
        }
        BatchVerb::Add(add) => more(FlowSort::Batch, add).await,
        BatchVerb::Seal(One { id, shown }) => {
            show(&shown.remote.client()?.seal_batch(&id).await?, shown.json)
        }
        BatchVerb::Show(one) => look(one).await,
        BatchVerb::Cancel(one) => cancel(one).await,
        BatchVerb::Retry(one) => retry(one).await,
    }
}

fn read<T: DeserializeOwned>(data: &str, form: &str) -> Result<T> {
    serde_json::from_str(&text_of(data)?).with_context(|| format!("reading the JSON; {form}"))
}

async fn more(sort: FlowSort, add: Add) -> Result<u8> {
    let Add { id, tasks, shown } = add;
    let tasks: Vec<FlowTask> = read(&tasks, "tasks are [{\"task\":{\"kind\":…,\"payload\":…}}]")?;
    let client = shown.remote.client()?;
    let mut last = None;
    for chunk in tasks.chunks(tasktonic_protocol::http::FLOW_TASKS_MAX) {
        last = Some(client.add_to_flow(sort, &id, chunk.to_vec()).await?);
    }
    match last {
        Some(flow) => show(&flow, shown.json),
        None => look(One { id, shown }).await,
    }
}

async fn look(One { id, shown }: One) -> Result<u8> {
    let client = shown.remote.client()?;
    let mut flow = client.flow(&id, None).await?;
    while let Some(cursor) = flow.next_cursor.take() {
        let page = client.flow(&id, Some(&cursor)).await?;
        flow.tasks.extend(page.tasks);
        flow.next_cursor = page.next_cursor;
    }
    show(&flow, shown.json)
}

async fn cancel(One { id, shown }: One) -> Result<u8> {
    let client: Client = shown.remote.client()?;
    let stopped = client.cancel_flow(&id).await?;
    if shown.json {
        task::print_json(&stopped)?;
    } else {
        screen::say(&format!("{id}  {}; its tasks follow", stopped.status.name()));
    }
    Ok(crate::DONE)
}

async fn retry(One { id, shown }: One) -> Result<u8> {
    let retried = shown.remote.client()?.retry_flow(&id).await?;
    if shown.json {
        screen::say(&serde_json::to_string_pretty(&retried)?);
    } else {
        screen::say(&format!("{id}  {} sent back", retried.sent_back));
    }
    Ok(crate::DONE)
}

fn show(flow: &Flow, json: bool) -> Result<u8> {
    if json {
        screen::say(&serde_json::to_string_pretty(flow)?);
        return Ok(crate::DONE);
    }
    let RollUp { total, completed, failed, cancelled } = flow.roll_up;
    let open = if flow.sealed { "" } else { ", open" };
    screen::say(&format!(
        "{}  {}  {completed} of {total} completed, {failed} failed, {cancelled} cancelled{open}",
        flow.task.id,
        flow.task.status.name(),
    ));
    for node in in_order(&flow.tasks) {
        let name = node.name.as_deref().unwrap_or(&node.kind);
        let after: Vec<String> = node
            .after
            .iter()
            .map(|tie| {
                let older = flow.tasks.iter().find(|older| older.id == tie.id);
                let name = older.and_then(|older| older.name.clone()).unwrap_or(tie.id.clone());
                match tie.on_failure {
                    OnFailure::Fail => name,
                    OnFailure::Ignore => format!("{name} (failure ignored)"),
                    OnFailure::Continue => format!("{name} (goes on after a failure)"),
                }
            })
            .collect();
        let after =
            if after.is_empty() { String::new() } else { format!("  after {}", after.join(", ")) };
        screen::say(&harmless(&format!("  {}  {:<10} {name}{after}", node.id, node.status.name())));
    }
    Ok(crate::DONE)
}

/// The tasks of a flow as they can run: none stands before one that it waits for.
fn in_order(nodes: &[FlowNode]) -> Vec<&FlowNode> {
    let at: HashMap<&str, usize> =
        nodes.iter().enumerate().map(|(at, node)| (node.id.as_str(), at)).collect();
    let mut waits_for = vec![0; nodes.len()];
    let mut followers = vec![Vec::new(); nodes.len()];
    for (follower, node) in nodes.iter().enumerate() {
        // What is not among these, as in an answer that shows a part of a flow, is before them all.
        for older in node.after.iter().filter_map(|tie| at.get(tie.id.as_str())) {
            waits_for[follower] += 1;
            followers[*older].push(follower);
        }
    }
    let mut ready: VecDeque<usize> = (0..nodes.len()).filter(|at| waits_for[*at] == 0).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(next) = ready.pop_front() {
        order.push(&nodes[next]);
        for follower in &followers[next] {
            waits_for[*follower] -= 1;
            if waits_for[*follower] == 0 {
                ready.push_back(*follower);
            }
        }
    }
    order
}
