//! `tasktonic schedule add` and `edit`: what a schedule is, from arguments.

use anyhow::Result;
use clap::ValueEnum;
use serde_json::value::to_raw_value;
use tasktonic_client::submission;
use tasktonic_protocol::http::{CatchUp, PreviewRequest, ScheduleRequest};
use tasktonic_protocol::time::parse_duration_ms;

use super::answer;
use crate::api::Remote;
use crate::bad_use;
use crate::submit::payload;

/// When a schedule comes.
#[derive(clap::Args)]
pub(crate) struct When {
    /// Five fields (minute, hour, day of the month, month, day of the week), or @daily and the like
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "every")]
    cron: Option<String>,
    /// The time zone of the expression (Europe/Berlin); UTC unless said
    #[arg(long, value_name = "ZONE", conflicts_with = "every")]
    zone: Option<String>,
    /// An interval (90s, 15m, 1h 30m)
    #[arg(long, value_name = "TIME", value_parser = interval)]
    every: Option<u64>,
    /// Not before this time (2026-11-24T10:15:00Z)
    #[arg(long, value_name = "TIME")]
    starts_at: Option<String>,
    /// No more from this time on
    #[arg(long, value_name = "TIME")]
    ends_at: Option<String>,
}

fn interval(text: &str) -> Result<u64, String> {
    parse_duration_ms(text).ok_or_else(|| "a time such as 90s, 15m or 1h 30m".to_owned())
}

impl When {
    pub(super) fn is_empty(&self) -> bool {
        let Self { cron, zone, every, starts_at, ends_at } = self;
        let texts = [cron, zone, starts_at, ends_at];
        every.is_none() && texts.iter().all(|text| text.is_none())
    }

    pub(super) fn preview(self, count: usize) -> PreviewRequest {
        PreviewRequest {
            cron: self.cron,
            zone: self.zone,
            every_ms: self.every,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            count: Some(count),
        }
    }
}

/// What becomes of missed times.
#[derive(Clone, Copy, ValueEnum)]
enum Missed {
    /// They are passed over
    Skip,
    /// The last of them is made up for
    One,
    /// Each of them is, in order
    All,
}

impl From<Missed> for CatchUp {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Skip => Self::Skip,
            Missed::One => Self::One,
            Missed::All => Self::All,
        }
    }
}

/// Arguments of `add`.
#[derive(clap::Args)]
pub(crate) struct Add {
    /// Its name among your schedules
    name: String,
    /// What each of its tasks does (`tasktonic kinds` lists what there is)
    kind: String,
    #[command(flatten)]
    when: When,
    /// The payload of its tasks as JSON, or @FILE
    #[arg(long, default_value = "{}", value_name = "JSON|@FILE")]
    data: String,
    /// A label of its tasks; may be given more than once
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// What becomes of missed times
    #[arg(long, value_enum, default_value = "one")]
    catch_up: Missed,
    /// Make it, and let it rest
    #[arg(long)]
    paused: bool,
    /// Print it as the API gives it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Arguments of `edit`.
#[derive(clap::Args)]
pub(crate) struct Edit {
    /// The schedule
    name: String,
    #[command(flatten)]
    when: When,
    /// What each of its tasks does
    #[arg(long)]
    kind: Option<String>,
    /// The payload of its tasks as JSON, or @FILE
    #[arg(long, value_name = "JSON|@FILE")]
    data: Option<String>,
    /// A label of its tasks, instead of those it has; may be given more than once
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// What becomes of missed times
    #[arg(long, value_enum)]
    catch_up: Option<Missed>,
    /// Print it as the API gives it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn add(add: Add) -> Result<()> {
    if add.when.cron.is_none() && add.when.every.is_none() {
        return Err(bad_use("say when it comes, by --cron or --every"));
    }
    let client = add.remote.client()?;
    let mut task = submission(&add.kind, to_raw_value(&payload(&add.data)?)?);
    // A tick has no key: it makes one task anyway.
    task.idempotency_key = None;
    task.tags = add.tags;
    let asked = ScheduleRequest {
        name: add.name,
        cron: add.when.cron,
        zone: add.when.zone,
        every_ms: add.when.every,
        starts_at: add.when.starts_at,
        ends_at: add.when.ends_at,
        catch_up: add.catch_up.into(),
        paused: Some(add.paused),
        version: None,
        task,
    };
    answer(&client.add_schedule(&asked).await?, add.json)
}

pub(super) async fn edit(edit: Edit) -> Result<()> {
    let client = edit.remote.client()?;
    let known = client.schedule(&edit.name).await?;
    let mut task = known.task;
    if let Some(kind) = edit.kind {
        task.kind = kind;
    }
    if let Some(data) = edit.data {
        task.payload = to_raw_value(&payload(&data)?)?;
    }
    if !edit.tags.is_empty() {
        task.tags = edit.tags;
    }
    let when = edit.when;
    // Another sort of times does away with the former.
    let keeps_cron = when.every.is_none();
    let keeps_every = when.cron.is_none() && when.zone.is_none();
    let asked = ScheduleRequest {
        name: known.name,
        cron: when.cron.or(known.cron.filter(|_| keeps_cron)),
        zone: when.zone.or(known.zone.filter(|_| keeps_cron)),
        every_ms: when.every.or(known.every_ms.filter(|_| keeps_every)),
        starts_at: when.starts_at.or(known.starts_at),
        ends_at: when.ends_at.or(known.ends_at),
        catch_up: edit.catch_up.map_or(known.catch_up, Into::into),
        paused: None,
        version: Some(known.version),
        task,
    };
    answer(&client.put_schedule(&edit.name, &asked).await?, edit.json)
}
