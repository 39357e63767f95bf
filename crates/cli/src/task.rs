//! `tasktonic task get | list | counts | why | cancel | retry | purge | reschedule | edit | position |
//! attempts | logs | output`.

mod counts;
pub(crate) use counts::size;
mod many;
mod output;
mod position;
mod waiting;

use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use tasktonic_client::{Client, Filter};
use tasktonic_protocol::http::{Attempt, BulkVerb, LogLine};
use tasktonic_protocol::status::TaskStatus;
use tasktonic_protocol::task::Task;

use crate::api::Remote;
use crate::screen::{self, Style, harmless, styled};

/// Log lines asked for at once.
const LOGS_PAGE: u32 = 1_000;
/// How long one question for the end of a followed task is held.
const FOLLOW_WAIT: Duration = Duration::from_millis(1_000);

/// What to do with tasks.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Show one task
    // What shows one of anything else is called `show`.
    #[command(visible_alias = "show", after_help = "Example: tasktonic task get AZrS0mXvQ4yKcD1e")]
    Get {
        /// The task's id
        id: String,
        /// Print the task as the API gives it
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Say what stands in the way of a task that does not run
    #[command(after_help = "Example: tasktonic task why AZrS0mXvQ4yKcD1e")]
    Why {
        /// The task's id
        id: String,
        /// Print the answer as the API gives it
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// List tasks, newest first
    #[command(after_help = "Examples:\n  \
            tasktonic task list --status running,queued --kind csv.profile\n  \
            tasktonic task list --search 'order-12 timeout' --since 2026-11-24T10:15:00Z")]
    List {
        /// Only in these (scheduled, retrying, queued, running, completed, failed, cancelled, …)
        #[arg(long, value_delimiter = ',', value_parser = status, value_name = "STATUS")]
        status: Vec<TaskStatus>,
        /// Only of this kind
        #[arg(long)]
        kind: Option<String>,
        /// Only in this queue
        #[arg(long)]
        queue: Option<String>,
        /// Only with this label
        #[arg(long)]
        tag: Option<String>,
        /// Only what these words find: by id, kind, queue, labels, or the error of a task that failed
        #[arg(long, value_name = "WORDS")]
        search: Option<String>,
        /// Only created at this time or later (2026-11-24T10:15:00Z)
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Only created before this time
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
        /// Where the page before ended
        #[arg(long)]
        cursor: Option<String>,
        /// Print the page as the API gives it
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Say how many tasks are in each state, and what they hold
    #[command(after_help = "Example: tasktonic task counts")]
    Counts(counts::Asked),
    /// Stop tasks: those that wait at once, those that run by asking their worker
    #[command(after_help = "Examples:\n  \
        tasktonic task cancel AZrS0mXvQ4yKcD1e\n  \
        tasktonic task cancel --status queued,scheduled --kind csv.profile --dry-run\n  \
        tasktonic task cancel --all")]
    Cancel(many::Many),
    /// Try failed or cancelled tasks again; of those that match a filter the failed ones, unless
    /// --status says otherwise
    #[command(after_help = "Examples:\n  \
        tasktonic task retry AZrS0mXvQ4yKcD1e\n  \
        tasktonic task retry AZrS0mXvQ4yKcD1e --data '{\"sleep_ms\":100}'\n  \
        tasktonic task retry --kind http.request --since 2026-11-24T10:15:00Z")]
    Retry(many::Again),
    /// Remove tasks that have ended, with all that is kept of them
    #[command(after_help = "Examples:\n  \
        tasktonic task purge AZrS0mXvQ4yKcD1e\n  \
        tasktonic task purge --status completed --until 2026-11-24T10:15:00Z")]
    Purge(many::Many),
    /// Give a task that waits another time, or another place in its line
    #[command(after_help = "Example: tasktonic task reschedule AZrS0mXvQ4yKcD1e --delay-ms 60000")]
    Reschedule(waiting::Move),
    /// Change payload or labels of a task that waits; it keeps its place
    #[command(
        after_help = "Example: tasktonic task edit AZrS0mXvQ4yKcD1e --data '{\"text\":\"Hi\"}'"
    )]
    Edit(waiting::Change),
    /// Show where a queued task stands, and when it will probably start
    #[command(after_help = "Example: tasktonic task position AZrS0mXvQ4yKcD1e --watch")]
    Position(position::Place),
    /// Show who tried, when, and how it ended
    #[command(after_help = "Example: tasktonic task attempts AZrS0mXvQ4yKcD1e")]
    Attempts {
        /// The task's id
        id: String,
        /// Print the attempts as the API gives them
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Print a task's output, byte for byte, however long it is
    #[command(after_help = "Examples:\n  \
        tasktonic task output AZrS0mXvQ4yKcD1e | jq .\n  \
        tasktonic task output AZrS0mXvQ4yKcD1e --to rows.json")]
    Output(output::Asked),
    /// Print a task's log
    #[command(after_help = "Example: tasktonic task logs AZrS0mXvQ4yKcD1e --follow")]
    Logs {
        /// The task's id
        id: String,
        /// Go on until the task has ended
        #[arg(long)]
        follow: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        remote: Remote,
    },
}

fn status(word: &str) -> Result<TaskStatus, String> {
    TaskStatus::from_name(word).ok_or_else(|| {
        let names = tasktonic_protocol::status::STATUSES.iter().map(|status| status.name());
        format!("one of {}", names.collect::<Vec<_>>().join(", "))
    })
}

pub(crate) async fn task(verb: Verb) -> Result<u8> {
    match verb {
        Verb::Get { id, json, remote } => {
            let task = remote.client()?.task(&id).await?;
            if json {
                print_json(&task)?
            } else {
                show(&task);
                show_policy(&task);
            }
            Ok(crate::DONE)
        }
        Verb::Why { id, json, remote } => {
            let why = remote.client()?.why(&id).await?;
            if json {
                print_json(&why)?;
                return Ok(crate::DONE);
            }
            let more = match (&why.run_at, &why.behind, why.users_waiting) {
                (Some(at), ..) => format!(" It is due {}.", harmless(at)),
                (_, Some(task), _) => format!(" That is {}.", harmless(task)),
                (.., Some(users)) if users > 1 => format!(" {users} users take turns."),
                _ => match (why.running, why.running_max) {
                    (Some(running), Some(max)) => format!(" {running} run, {max} may."),
                    _ => why.good_in_ms.map_or(String::new(), |good_in_ms| {
                        format!(" That is in {} s.", good_in_ms.div_ceil(1_000))
                    }),
                },
            };
            screen::say(&format!("{}{more}", harmless(&why.text)));
            Ok(crate::DONE)
        }
        Verb::List {
            status,
            kind,
            queue,
            tag,
            search,
            since,
            until,
            limit,
            cursor,
            json,
            remote,
        } => {
            let filter = Filter { status, kind, queue, tag, search, since, until };
            let page = remote.client()?.tasks(&filter, limit, cursor.as_deref()).await?;
            if json {
                print_json(&page)?;
                return Ok(crate::DONE);
            }
            let rows: Vec<_> = page.tasks.iter().map(row).collect();
            screen::table(&["ID", "STATUS", "KIND", "ATTEMPT", "CREATED", "PROGRESS"], &rows);
            if let Some(cursor) = page.next_cursor {
                // A page may be short where many tasks were looked through for it.
                let what =
                    if rows.is_empty() { "none so far; go on with" } else { "there are more:" };
                screen::note(&format!("{what} --cursor {cursor}"));
            }
            Ok(crate::DONE)
        }
        Verb::Counts(asked) => counts::counts(asked).await,
        Verb::Cancel(many) => many::change(BulkVerb::Cancel, many).await,
        Verb::Retry(asked) => many::again(asked).await,
        Verb::Purge(many) => many::change(BulkVerb::Purge, many).await,
        Verb::Reschedule(asked) => waiting::reschedule(asked).await,
        Verb::Edit(asked) => waiting::edit(asked).await,
        Verb::Position(asked) => position::position(asked).await,
        Verb::Attempts { id, json, remote } => {
            let attempts = remote.client()?.attempts(&id).await?;
            if json {
                print_json(&attempts)?;
            } else {
                let rows: Vec<_> = attempts.iter().map(attempt_row).collect();
                let head = ["ATTEMPT", "OUTCOME", "WORKER", "STARTED", "ENDED", "TOOK", "ERROR"];
                screen::table(&head, &rows);
            }
            Ok(crate::DONE)
        }
        Verb::Output(asked) => output::output(asked).await,
        Verb::Logs { id, follow, json, remote } => logs(&remote.client()?, &id, follow, json).await,
    }
}

async fn logs(client: &Client, id: &str, follow: bool, json: bool) -> Result<u8> {
    let mut after = 0;
    loop {
        // Asked before the lines are read, so that the last of them are not missed.
        let ended = !follow || {
            let task = client.wait(id, FOLLOW_WAIT).await?;
            task.status.state().is_terminal()
        };
        loop {
            let page = client.logs(id, after, LOGS_PAGE).await?;
            for line in &page.lines {
                after = line.n;
                if json { print_json(line)? } else { screen::say(&log_line(line)) }
            }
            if page.lines.len() < LOGS_PAGE as usize {
                break;
            }
        }
        if ended {
            return Ok(crate::DONE);
        }
    }
}

/// A log line for people.
pub(crate) fn log_line(line: &LogLine) -> String {
    use tasktonic_protocol::stored::LogLevel;
    let text = harmless(&line.text);
    let text = match line.level {
        LogLevel::Debug => styled(&text, Style::Dim),
        LogLevel::Info => text,
        LogLevel::Warn => styled(&text, Style::Yellow),
        LogLevel::Error => styled(&text, Style::Red),
    };
    format!("{}  {text}", styled(&line.at, Style::Dim))
}

fn row(task: &Task) -> Vec<String> {
    vec![
        task.id.clone(),
        task.status.name().to_owned(),
        kind(task),
        format!("{}/{}", task.attempt, task.attempts_max),
        task.created_at.clone(),
        progress(task),
    ]
}

/// Its kind, and what a worker has to have.
fn kind(task: &Task) -> String {
    if task.needs.is_empty() {
        return harmless(&task.kind);
    }
    harmless(&format!("{} ({})", task.kind, task.needs.join(", ")))
}

fn progress(task: &Task) -> String {
    let Some(progress) = &task.progress else {
        return task.error.as_ref().map(|error| harmless(&error.message)).unwrap_or_default();
    };
    let unit = progress.unit.as_deref().unwrap_or_default();
    let text = if progress.total > 0 {
        format!("{} of {} {unit}", progress.done, progress.total)
    } else {
        format!("{} {unit}", progress.done)
    };
    harmless(text.trim_end())
}

fn attempt_row(attempt: &Attempt) -> Vec<String> {
    let error = attempt.error.as_ref();
    vec![
        attempt.number.to_string(),
        attempt.outcome.clone(),
        harmless(attempt.worker.as_deref().unwrap_or_default()),
        attempt.started_at.clone().unwrap_or_default(),
        attempt.ended_at.clone().unwrap_or_default(),
        attempt.duration_ms.map(|ms| format!("{ms} ms")).unwrap_or_default(),
        error.map(|e| harmless(&format!("{} ({})", e.message, e.code))).unwrap_or_default(),
    ]
}

/// How it is attempted and kept, for people.
fn show_policy(task: &Task) {
    let Some(policy) = &task.policy else { return };
    screen::say("");
    for (name, text) in policy.lines(task.timeout_ms) {
        let padded = format!("{name:<10}");
        screen::say(&format!("{} {}", styled(&padded, Style::Dim), harmless(&text)));
    }
}

/// A whole task for people.
pub(crate) fn show(task: &Task) {
    let line = |name: &str, value: &str| {
        if !value.is_empty() {
            let padded = format!("{name:<10}");
            screen::say(&format!("{} {value}", styled(&padded, Style::Dim)));
        }
    };
    line("id", &styled(&task.id, Style::Bold));
    line("status", &screen::status(task.status.name()));
    line("kind", &harmless(&task.kind));
    line("needs", &harmless(&task.needs.join(", ")));
    if !task.priority.is_normal() {
        line("priority", task.priority.name());
    }
    line("attempt", &format!("{} of {}", task.attempt, task.attempts_max));
    line("progress", &progress(task));
    if let Some(error) = &task.error {
        line("error", &harmless(&format!("{} ({})", error.message, error.code)));
    }
    line("reason", &harmless(task.reason.as_deref().unwrap_or_default()));
    line("tags", &harmless(&task.tags.join(", ")));
    line("one of", &harmless(task.serial_key.as_deref().unwrap_or_default()));
    line("worker", &harmless(task.worker.as_deref().unwrap_or_default()));
    line("created", &task.created_at);
    line("due", task.run_at.as_deref().unwrap_or_default());
    line("expires", task.expires_at.as_deref().unwrap_or_default());
    if let Some(started) = &task.started_at {
        line("started", &started_of(started, task.attempt));
    }
    line("ended", task.ended_at.as_deref().unwrap_or_default());
    if let Some(output) = &task.output {
        screen::say("");
        screen::say(&pretty(output.get()));
        if task.output_in_file {
            let id = harmless(&task.id);
            screen::note(&format!("it is in a file: tasktonic task output {id}"));
        }
    }
}

/// When the present or last attempt began; which one it is, where there were others.
fn started_of(started: &str, attempt: u32) -> String {
    if attempt > 1 { format!("{started} (attempt {attempt})") } else { started.to_owned() }
}

/// JSON over several lines, or the text as it is.
fn pretty(json: &str) -> String {
    let read = serde_json::from_str::<serde_json::Value>(json);
    let text = read.ok().and_then(|value| serde_json::to_string_pretty(&value).ok());
    // JSON escapes what is below a space, and leaves other control characters as they are.
    let text = text.unwrap_or_else(|| json.to_owned());
    text.split('\n').map(harmless).collect::<Vec<_>>().join("\n")
}

/// One JSON value on one line.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    screen::say(&serde_json::to_string(value)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_says_whose_it_is_where_there_were_others() {
        let at = "2026-01-02T03:04:05Z";
        assert_eq!(started_of(at, 1), at);
        assert_eq!(started_of(at, 3), format!("{at} (attempt 3)"));
    }
}
