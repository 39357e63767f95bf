//! `tasktonic task position`: where a task stands in its line, and when it will probably start.

use std::time::Duration;

use anyhow::Result;
use tasktonic_protocol::http::{Ahead, StartEstimate, TaskPosition};

use super::print_json;
use crate::api::Remote;
use crate::screen::{self, Style, harmless, styled};

/// How often a watched task is looked at.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Whose place.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// The task's id
    id: String,
    /// Go on until it has left the line; a line each time something has changed
    #[arg(long)]
    watch: bool,
    /// Print the place as the API gives it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) async fn position(asked: Place) -> Result<u8> {
    let client = asked.remote.client()?;
    let mut said = String::new();
    loop {
        let position = client.position(&asked.id).await?;
        let text = words(&position);
        if asked.json {
            print_json(&position)?;
        } else if text != said {
            screen::say(&text);
            said = text;
        }
        let state = position.status.state();
        let waits = position.ahead.is_some() || (!state.is_terminal() && state.name() != "running");
        if !asked.watch || !waits {
            return Ok(crate::DONE);
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

/// One line for people.
fn words(position: &TaskPosition) -> String {
    let Some(Ahead { least, most, more }) = position.ahead else {
        let status = screen::status(position.status.name());
        return match &position.start {
            StartEstimate::NotBefore { at } => format!("{status}, not before {}", harmless(at)),
            StartEstimate::Behind { task } => format!("{status}, {}", behind(task)),
            _ => status,
        };
    };
    let place = match (least, most) {
        _ if more => format!("{least} or more of your tasks go before it"),
        (0, 0) => "next of your tasks".into(),
        (1, 1) => "1 of your tasks goes before it".into(),
        (least, most) if least == most => format!("{most} of your tasks go before it"),
        (least, most) => format!("{least} to {most} of your tasks go before it"),
    };
    let turns = match position.users {
        Some(users) if users > 1 => format!("; {users} people take turns"),
        _ => String::new(),
    };
    format!(
        "{} {place}{turns}; {}",
        styled(&format!("{}:", harmless(&position.queue)), Style::Dim),
        start(&position.start)
    )
}

fn behind(task: &str) -> String {
    format!("after task {}, which has the same serial key", harmless(task))
}

fn start(start: &StartEstimate) -> String {
    match start {
        StartEstimate::Range { from_ms, to_ms, .. } => {
            format!("starts {}", within(*from_ms, *to_ms))
        }
        StartEstimate::FewStarts { starts, starts_min } => format!(
            "when it starts is not known yet: {starts} of {starts_min} starts it takes to tell"
        ),
        StartEstimate::Still { for_ms } => format!(
            "when it starts is not known: nothing of this line has started for {}",
            one(for_ms / 1_000, false)
        ),
        StartEstimate::FarBack => "when it starts is not known: too far back".into(),
        StartEstimate::Behind { task } => behind(task),
        StartEstimate::NotBefore { at } => format!("starts not before {}", harmless(at)),
        StartEstimate::NotQueued => "not in a line".into(),
    }
}

/// A range as people say it; the ends are rounded away from each other.
fn within(from_ms: u64, to_ms: u64) -> String {
    let (from, to) = (from_ms / 1_000, to_ms.div_ceil(1_000));
    let (from, to) = (one(from, false), one(to, true));
    let number = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    let unit = |text: &str| text.split(' ').nth(1).unwrap_or_default().to_owned();
    if number(&from) == "0" {
        format!("within {to}")
    } else if from == to {
        format!("in about {to}")
    } else if unit(&from) == unit(&to) {
        format!("in about {} to {to}", number(&from))
    } else {
        format!("in about {from} to {to}")
    }
}

/// A time in one unit, rounded `up` or down: whole ones below 10, then fives.
fn one(seconds: u64, up: bool) -> String {
    let (size, unit) = match seconds {
        0..=90 => (1, "s"),
        91..=5_400 => (60, "min"),
        5_401..=172_800 => (3_600, "h"),
        _ => (86_400, "d"),
    };
    let round = |value: u64, step: u64| if up { value.div_ceil(step) } else { value / step };
    let whole = round(seconds, size);
    let number = if whole < 10 { whole } else { 5 * round(whole, 5) };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_said_in_round_numbers() {
        assert_eq!(within(0, 300), "within 1 s");
        assert_eq!(within(700, 12_300), "within 15 s");
        assert_eq!(within(3_900, 8_100), "in about 3 to 9 s");
        assert_eq!(within(17_000, 38_000), "in about 15 to 40 s");
        assert_eq!(within(50_000, 170_000), "in about 50 s to 3 min");
        assert_eq!(within(130_000, 700_000), "in about 2 to 15 min");
        assert_eq!(within(7_300_000, 11_000_000), "in about 2 to 4 h");
        assert_eq!(within(5_000, 5_000), "in about 5 s");
    }
}
