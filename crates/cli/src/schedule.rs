//! `tasktonic schedule list | show | add | edit | pause | resume | run | remove | next | apply`.

mod define;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;
use tasktonic_protocol::http::{Preview, Schedule, ScheduleSet, ScheduleStatus};

use crate::api::Remote;
use crate::bad_use;
use crate::screen::{self, Style, harmless, styled};
use crate::task::print_json;

/// What to do with schedules.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List your schedules
    #[command(after_help = "Example: tasktonic schedule list")]
    List {
        /// Print them as the API gives them
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show one schedule
    #[command(after_help = "Example: tasktonic schedule show nightly")]
    Show(One),
    /// Make a schedule
    #[command(after_help = "Examples:\n  \
        tasktonic schedule add nightly noop --cron '0 3 * * *' --zone Europe/Berlin\n  \
        tasktonic schedule add often noop --every 15m --data '{\"sleep_ms\":500}'")]
    Add(define::Add),
    /// Change a schedule; what is not said stays
    #[command(after_help = "Example: tasktonic schedule edit nightly --cron '30 4 * * mon-fri'")]
    Edit(define::Edit),
    /// Let a schedule rest
    #[command(after_help = "Example: tasktonic schedule pause nightly")]
    Pause(One),
    /// End the rest of a schedule
    #[command(after_help = "Example: tasktonic schedule resume nightly")]
    Resume(One),
    /// Run the task of a schedule at once
    #[command(after_help = "Example: tasktonic schedule run nightly")]
    Run(One),
    /// Remove a schedule; tasks that it made stay
    #[command(after_help = "Example: tasktonic schedule remove nightly")]
    Remove(One),
    /// Show when a schedule comes next, or when one would come
    #[command(after_help = "Examples:\n  \
        tasktonic schedule next nightly\n  \
        tasktonic schedule next --cron '0 9 * * mon-fri' --zone Europe/Berlin --count 10")]
    Next {
        /// The schedule; without one, say when it would come
        #[arg(required_unless_present_any = ["cron", "every"])]
        name: Option<String>,
        #[command(flatten)]
        timing: define::When,
        /// How many times
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=50))]
        count: u8,
        /// Print them as the API gives them
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Bring about all schedules of a set that a file of JSON declares; others of the set are removed
    #[command(after_help = "Example: tasktonic schedule apply schedules.json\n\n\
        The file: { \"set\": \"billing\", \"schedules\": [{ \"name\": \"nightly\", \"cron\": \"0 3 * * *\",\n\
        \"zone\": \"Europe/Berlin\", \"task\": { \"kind\": \"noop\", \"payload\": {} } }] }")]
    Apply {
        /// The file; `-` reads standard input
        file: PathBuf,
        /// Print what was done as the API gives it
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        remote: Remote,
    },
}

/// One schedule.
#[derive(clap::Args)]
pub(crate) struct One {
    /// Its name
    name: String,
    /// Print the answer as the API gives it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) async fn schedule(verb: Verb) -> Result<u8> {
    match verb {
        Verb::List { json, remote } => {
            let schedules = remote.client()?.schedules().await?;
            if json {
                print_json(&schedules)?;
            } else if schedules.is_empty() {
                screen::note("no schedules yet; `tasktonic schedule add --help` makes one");
            } else {
                list(&schedules);
            }
        }
        Verb::Show(one) => {
            let schedule = one.remote.client()?.schedule(&one.name).await?;
            answer(&schedule, one.json)?;
        }
        Verb::Add(add) => define::add(add).await?,
        Verb::Edit(edit) => define::edit(edit).await?,
        Verb::Pause(one) => {
            answer(&one.remote.client()?.rest_schedule(&one.name, true).await?, one.json)?;
        }
        Verb::Resume(one) => {
            answer(&one.remote.client()?.rest_schedule(&one.name, false).await?, one.json)?;
        }
        Verb::Run(one) => {
            let task = one.remote.client()?.run_schedule(&one.name).await?;
            if one.json {
                print_json(&task)?;
            } else {
                screen::say(&format!("{}  accepted", task.id));
            }
        }
        Verb::Remove(one) => {
            one.remote.client()?.remove_schedule(&one.name).await?;
            if !one.json {
                screen::note(&format!("removed {}", harmless(&one.name)));
            }
        }
        Verb::Next { name, timing, count, json, remote } => {
            let client = remote.client()?;
            let preview = match name {
                Some(name) if timing.is_empty() => {
                    client.next_of_schedule(&name, count.into()).await?
                }
                Some(_) => {
                    let text = "name a schedule, or say when one would come; not both";
                    return Err(bad_use(text));
                }
                None => client.preview_schedule(&timing.preview(count.into())).await?,
            };
            if json { print_json(&preview)? } else { ahead(&preview) }
        }
        Verb::Apply { file, json, remote } => {
            let text = if file.as_os_str() == "-" {
                std::io::read_to_string(std::io::stdin()).context("reading standard input")?
            } else {
                std::fs::read_to_string(&file)
                    .with_context(|| format!("reading {}", file.display()))?
            };
            let set: ScheduleSet = serde_json::from_str(&text).map_err(|error| {
                bad_use(format!("{} declares no set of schedules: {error}", file.display()))
            })?;
            let done = remote.client()?.declare_schedules(&set).await?;
            if json {
                print_json(&done)?;
            } else {
                let lists = [
                    ("added", &done.added),
                    ("changed", &done.changed),
                    ("removed", &done.removed),
                    ("unchanged", &done.unchanged),
                ];
                for (word, names) in lists.iter().filter(|(_, names)| !names.is_empty()) {
                    screen::say(&format!("{word:<9}  {}", names.join(", ")));
                }
            }
        }
    }
    Ok(crate::DONE)
}

/// A schedule that was asked for or changed.
pub(super) fn answer(schedule: &Schedule, json: bool) -> Result<()> {
    if json {
        return print_json(schedule);
    }
    show(schedule);
    Ok(())
}

fn when(schedule: &Schedule) -> String {
    match &schedule.zone {
        Some(zone) => format!("{}, {zone}", schedule.words),
        None => schedule.words.clone(),
    }
}

fn status(status: ScheduleStatus) -> String {
    match status {
        ScheduleStatus::Active => styled("active", Style::Green),
        ScheduleStatus::Paused => styled("paused", Style::Yellow),
        ScheduleStatus::Ended => styled("ended", Style::Dim),
    }
}

fn list(schedules: &[Schedule]) {
    let row = |of: &Schedule| {
        vec![
            harmless(&of.name),
            status(of.status),
            of.next_at.clone().unwrap_or_else(|| "–".into()),
            harmless(&of.task.kind),
            harmless(&when(of)),
        ]
    };
    let rows: Vec<_> = schedules.iter().map(row).collect();
    screen::table(&["NAME", "STATUS", "NEXT", "KIND", "WHEN"], &rows);
}

fn show(of: &Schedule) {
    let line = |word: &str, text: &str| {
        screen::say(&format!("{:<10} {}", word, harmless(text)));
    };
    screen::say(&format!("{}  {}", styled(&harmless(&of.name), Style::Bold), status(of.status)));
    line("when", &when(of));
    if let Some(cron) = &of.cron {
        line("cron", cron);
    }
    for (word, at) in [("starts", &of.starts_at), ("ends", &of.ends_at), ("next", &of.next_at)] {
        if let Some(at) = at {
            line(word, at);
        }
    }
    if let (Some(at), Some(task)) = (&of.last_at, &of.last_task) {
        line("last", &format!("{at}  task {task}"));
    }
    if let Some(passed) = &of.passed {
        let word = match passed.reason {
            tasktonic_protocol::http::PassedReason::Missed => "nobody was there",
            tasktonic_protocol::http::PassedReason::LineFull => "the line was full",
            tasktonic_protocol::http::PassedReason::Refused => "its task was refused",
        };
        let detail = passed.detail.as_deref().unwrap_or_default();
        line("passed", &format!("{}  {word}. {detail}", passed.at));
    }
    if let Some(set) = &of.set {
        line("set", set);
    }
    line("kind", &of.task.kind);
    line("payload", of.task.payload.get());
}

fn ahead(preview: &Preview) {
    let zone = preview.zone.as_ref().map(|zone| format!(", {zone}")).unwrap_or_default();
    screen::note(&format!("{}{zone}", harmless(&preview.words)));
    for at in &preview.next {
        screen::say(at);
    }
}
