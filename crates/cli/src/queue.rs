//! `tasktonic queue list | show | pause | resume | set | user` and `tasktonic pause | resume`: what
//! is set of queues and users, for operators; and everybody's own pause.

use anyhow::{Result, bail};
use clap::Subcommand;
use tasktonic_client::Client;
use tasktonic_protocol::http::{
    PausedUser, Queue, QueueChange, QueueDetail, QueueUser, QueueUserChange, Rate, RateChange,
    Turns,
};

use crate::api::Remote;
use crate::screen::{self, Style, harmless, styled};
use crate::task::print_json;

/// What to do with queues.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List queues, what is set of them, and how many users wait
    List {
        /// Print them as the API gives them
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show one queue, with the users of whom anything is set there
    #[command(after_help = "Example: tasktonic queue show csv.profile")]
    Show(Which),
    /// Hand out nothing of a queue until it is resumed; what runs goes on
    #[command(after_help = "Example: tasktonic queue pause csv.profile")]
    Pause(Which),
    /// Let a queue go on
    #[command(after_help = "Example: tasktonic queue resume csv.profile")]
    Resume(Which),
    /// Set what holds for everybody in a queue
    #[command(after_help = "Examples:\n  \
        tasktonic queue set csv.profile --waiting-max 500\n  \
        tasktonic queue set csv.profile --running-max 4\n  \
        tasktonic queue set csv.profile --running-total-max 20\n  \
        tasktonic queue set csv.profile --rate 100/60s --burst 20\n  \
        tasktonic queue set csv.profile --turns run_time")]
    Set {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        change: Change,
    },
    /// Set what holds for one user in a queue
    #[command(after_help = "Example: tasktonic queue user csv.profile ana --weight 3")]
    User {
        /// The queue's name, or that of a kind whose tasks wait there
        queue: String,
        /// The user
        user: String,
        #[command(flatten)]
        change: UserChange,
        /// Print what holds now as the API gives it
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        remote: Remote,
    },
}

/// A queue.
#[derive(clap::Args)]
pub(crate) struct Which {
    /// The queue's name, or that of a kind whose tasks wait there
    queue: String,
    /// Print what holds now as the API gives it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// At least one of these.
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Change {
    /// Waiting tasks of one user, scheduled ones included; `default`: the server's own limit
    #[arg(long, value_name = "TASKS", value_parser = number)]
    waiting_max: Option<Number>,
    /// Tasks of one user that run at once; `default`: as many as workers have room for
    #[arg(long, value_name = "TASKS", value_parser = number)]
    running_max: Option<Number>,
    /// Tasks that run at once, over all users; `default`: as many as workers have room for
    #[arg(long, value_name = "TASKS", value_parser = number)]
    running_total_max: Option<Number>,
    /// How many tasks of one user start in which time, as `100/60s`; `default`: as many as workers take
    #[arg(long, value_name = "TASKS/TIME", value_parser = per_time)]
    rate: Option<PerTime>,
    /// How many of them start at once when none has for a while; without it as many as the rate names
    #[arg(long, value_name = "TASKS", requires = "rate")]
    burst: Option<u32>,
    /// How many tasks start in which time, over all users, as `60/1m`; `default`: as many as workers take
    #[arg(long, value_name = "TASKS/TIME", value_parser = per_time)]
    rate_total: Option<PerTime>,
    /// How many of those start at once when none has for a while; without it as many as the rate names
    #[arg(long, value_name = "TASKS", requires = "rate_total")]
    burst_total: Option<u32>,
    /// What users share: `count`, as many tasks as their weights say, or `run_time`, as much of the
    /// workers' time
    #[arg(long, value_name = "WHAT")]
    turns: Option<Turns>,
}

/// At least one of these.
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct UserChange {
    /// Turns for one of the others
    #[arg(long, value_name = "TURNS", value_parser = clap::value_parser!(u32).range(1..=1000))]
    weight: Option<u32>,
    /// Hand out nothing of theirs in this queue
    #[arg(long, conflicts_with = "resume")]
    pause: bool,
    /// Let them go on
    #[arg(long)]
    resume: bool,
    /// How many tasks of theirs may wait there; `default`: what holds for everybody
    #[arg(long, value_name = "TASKS", value_parser = number)]
    waiting_max: Option<Number>,
    /// How many tasks of theirs may run there at once; `default`: what holds for everybody
    #[arg(long, value_name = "TASKS", value_parser = number)]
    running_max: Option<Number>,
    /// How many tasks of theirs start there in which time, as `100/60s`; `default`: what holds for
    /// everybody
    #[arg(long, value_name = "TASKS/TIME", value_parser = per_time)]
    rate: Option<PerTime>,
    /// How many of them start at once when none has for a while; without it as many as the rate names
    #[arg(long, value_name = "TASKS", requires = "rate")]
    burst: Option<u32>,
}

/// So many tasks in so many ms, or no rate: the default again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PerTime(Option<(u32, u32)>);

const RATE_FORM: &str = "tasks and a time, as `100/60s` (ms, s, m or h), or `default`";

fn per_time(text: &str) -> Result<PerTime, String> {
    if text == "default" {
        return Ok(PerTime(None));
    }
    let read = || {
        let (tasks, time) = text.split_once('/')?;
        let at = time.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, unit) = time.split_at(at);
        let unit_ms: u32 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        // A mere unit is one of it.
        let number: u32 = if number.is_empty() { 1 } else { number.parse().ok()? };
        Some((tasks.parse().ok()?, number.checked_mul(unit_ms)?))
    };
    read().map(|rate| PerTime(Some(rate))).ok_or_else(|| RATE_FORM.to_owned())
}

/// The rate to be set.
fn asked(rate: PerTime, burst: Option<u32>) -> Option<RateChange> {
    rate.0.map(|(tasks, per_ms)| RateChange { tasks, per_ms, burst })
}

/// A number, or none: the default again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Number(Option<u32>);

fn number(text: &str) -> Result<Number, String> {
    if text == "default" {
        return Ok(Number(None));
    }
    text.parse().map(|number| Number(Some(number))).map_err(|_| "a number, or `default`".to_owned())
}

/// Everybody's own work, or a user's.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tasktonic pause\n  \
    tasktonic pause --user ana")]
pub(crate) struct Pause {
    /// All work of this user instead of your own (for operators)
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) async fn queue(verb: Verb) -> Result<u8> {
    match verb {
        Verb::List { json, remote } => {
            let list = remote.client()?.queues().await?;
            if json {
                print_json(&list)?;
                return Ok(crate::DONE);
            }
            screen::table(&HEAD, &list.queues.iter().map(row).collect::<Vec<_>>());
            if !list.paused_users.is_empty() {
                let more = if list.more_paused_users { ", …" } else { "" };
                let name = |of: &PausedUser| {
                    let by = if of.by_operator { "" } else { " (by themselves)" };
                    format!("{}{by}", harmless(&of.user))
                };
                let names: Vec<_> = list.paused_users.iter().map(name).collect();
                screen::note(&format!("paused users: {}{more}", names.join(", ")));
            }
            Ok(crate::DONE)
        }
        Verb::Show(which) => {
            let client = which.remote.client()?;
            let name = resolved(&client, &which.queue).await?;
            told(&client.queue(&name).await?, which.json)
        }
        Verb::Pause(which) => set(which, QueueChange { paused: Some(true), ..none() }).await,
        Verb::Resume(which) => set(which, QueueChange { paused: Some(false), ..none() }).await,
        Verb::Set { which, change } => {
            let Change {
                waiting_max,
                running_max,
                running_total_max,
                rate,
                burst,
                rate_total,
                burst_total,
                turns,
            } = change;
            let rate_total = rate_total.map(|rate| asked(rate, burst_total));
            let running_total_max = running_total_max.map(|Number(number)| number);
            let waiting_max = waiting_max.map(|Number(number)| number);
            let running_max = running_max.map(|Number(number)| number);
            let rate = rate.map(|rate| asked(rate, burst));
            let change = QueueChange { waiting_max, running_max, rate, turns, ..none() };
            set(which, QueueChange { running_total_max, rate_total, ..change }).await
        }
        Verb::User { queue, user, change, json, remote } => {
            let UserChange { weight, pause, resume, waiting_max, running_max, rate, burst } =
                change;
            let client = remote.client()?;
            let name = resolved(&client, &queue).await?;
            let change = QueueUserChange {
                user,
                weight,
                paused: (pause || resume).then_some(pause),
                waiting_max: waiting_max.map(|Number(number)| number),
                running_max: running_max.map(|Number(number)| number),
                rate: rate.map(|rate| asked(rate, burst)),
            };
            let now = client.set_queue_user(&name, &change).await?;
            if json {
                print_json(&now)?;
            } else {
                screen::table(&USER_HEAD, &[user_row(&now)]);
            }
            Ok(crate::DONE)
        }
    }
}

/// Stops or goes on handing out tasks of a user.
pub(crate) async fn pause(asked: Pause, paused: bool) -> Result<u8> {
    let Pause { user, remote } = asked;
    let now = remote.client()?.pause(user.as_deref(), paused).await?;
    let of_them = user.as_deref().map(harmless);
    let whose = of_them.as_ref().map_or("your tasks".into(), |user| format!("the tasks of {user}"));
    let resume =
        of_them.map_or("tasktonic resume".into(), |user| format!("tasktonic resume --user {user}"));
    screen::note(&match (now.by_user, now.by_operator) {
        (false, false) => format!("{whose} are started again"),
        (_, true) if !paused => format!(
            "{whose} stay where they are: whoever runs the installation has paused them too"
        ),
        (true, _) if !paused => {
            format!("{whose} stay where they are: the user has paused them too")
        }
        _ => format!("none of {whose} are started until `{resume}`; those that run go on"),
    });
    Ok(crate::DONE)
}

fn none() -> QueueChange {
    QueueChange::default()
}

/// The queue of this name, or the one in which tasks of a kind of this name wait.
async fn resolved(client: &Client, name: &str) -> Result<String> {
    let queues = client.queues().await?.queues;
    if queues.iter().any(|queue| queue.queue == name) {
        return Ok(name.to_owned());
    }
    let of_kind = queues.iter().find(|queue| queue.kinds.iter().any(|kind| kind == name));
    match of_kind {
        Some(queue) => Ok(queue.queue.clone()),
        // A submission may have named any queue.
        None if name.parse::<tasktonic_core::Name>().is_ok() => Ok(name.to_owned()),
        None => bail!("{} is no name of a queue; see `tasktonic queue list`", harmless(name)),
    }
}

async fn set(which: Which, change: QueueChange) -> Result<u8> {
    let client = which.remote.client()?;
    let name = resolved(&client, &which.queue).await?;
    told(&client.set_queue(&name, &change).await?, which.json)
}

const HEAD: [&str; 10] = [
    "QUEUE",
    "STATE",
    "USERS WAITING",
    "WAITING MAX",
    "RUNNING MAX",
    "RATE",
    "RUNNING TOTAL",
    "RATE TOTAL",
    "TURNS",
    "KINDS",
];
const USER_HEAD: [&str; 6] = ["USER", "STATE", "WEIGHT", "WAITING MAX", "RUNNING MAX", "RATE"];

fn state(paused: bool) -> String {
    if paused { styled("paused", Style::Yellow) } else { "open".to_owned() }
}

fn or_default(number: Option<u32>) -> String {
    number.map_or("default".to_owned(), |number| number.to_string())
}

/// A rate as it may be typed.
fn rate_or_default(rate: Option<Rate>) -> String {
    rate.map_or("default".to_owned(), |Rate { tasks, per_ms, burst }| {
        let time = match per_ms {
            ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
            ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
            ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
            ms => format!("{ms}ms"),
        };
        if burst == tasks {
            format!("{tasks}/{time}")
        } else {
            format!("{tasks}/{time}, {burst} at once")
        }
    })
}

/// How many tasks run over all users, and how many may.
fn total(queue: &Queue) -> String {
    match (queue.running_total, queue.settings.running_total_max) {
        (Some(running), Some(max)) => format!("{running} of {max}"),
        (_, max) => or_default(max),
    }
}

fn row(queue: &Queue) -> Vec<String> {
    let waiting = match queue.users_held_back {
        0 => queue.users_waiting.to_string(),
        held => format!("{} + {held} held back", queue.users_waiting),
    };
    vec![
        harmless(&queue.queue),
        state(queue.settings.paused),
        waiting,
        or_default(queue.settings.waiting_max),
        or_default(queue.settings.running_max),
        rate_or_default(queue.settings.rate),
        total(queue),
        rate_or_default(queue.settings.rate_total),
        queue.settings.turns.name().to_owned(),
        harmless(&queue.kinds.join(", ")),
    ]
}

fn user_row(user: &QueueUser) -> Vec<String> {
    vec![
        harmless(&user.user),
        state(user.paused),
        user.weight.to_string(),
        or_default(user.waiting_max),
        or_default(user.running_max),
        rate_or_default(user.rate),
    ]
}

fn told(detail: &QueueDetail, json: bool) -> Result<u8> {
    if json {
        print_json(detail)?;
        return Ok(crate::DONE);
    }
    screen::table(&HEAD, &[row(&detail.queue)]);
    if !detail.users.is_empty() {
        screen::say("");
        screen::table(&USER_HEAD, &detail.users.iter().map(user_row).collect::<Vec<_>>());
        if detail.more_users {
            screen::note("there are more users of whom something is set");
        }
    }
    Ok(crate::DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_typed_as_it_is_shown() {
        let read = |text: &str| asked(per_time(text).unwrap(), None);
        for text in ["100/1m", "5/1s", "7/250ms", "1/24h"] {
            let RateChange { tasks, per_ms, .. } = read(text).unwrap();
            assert_eq!(rate_or_default(Some(Rate { tasks, per_ms, burst: tasks })), text);
        }
        assert_eq!(read("100/60s"), Some(RateChange { tasks: 100, per_ms: 60_000, burst: None }));
        assert_eq!(read("2/s"), Some(RateChange { tasks: 2, per_ms: 1_000, burst: None }));
        assert_eq!(read("default"), None);
        for text in ["", "5", "5/", "/s", "5/9", "5/9x", "-1/s", "1/99999999h"] {
            assert!(per_time(text).is_err(), "{text}");
        }
    }
}
