//! A policy in plain words, for people at a terminal.

use std::fmt;

use super::{Action, Backoff, Rule, TaskPolicy};

/// A time as people say it: `1.5 s`, `10 min`, `2 h`, `14 days`.
fn time(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let unit = UNITS.into_iter().find(|(unit_ms, _)| ms >= *unit_ms);
    let Some((unit_ms, name)) = unit else { return format!("{ms} ms") };
    let tenths = (ms * 10).div_euclid(unit_ms);
    let name = if name == "days" && tenths == 10 { "day" } else { name };
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, tenth) => format!("{whole}.{tenth} {name}"),
    }
}

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jitter = match self {
            Self::Fixed { wait_ms, jitter } => {
                write!(f, "{}", time(*wait_ms))?;
                jitter
            }
            Self::Exponential { base_ms, factor, max_ms, jitter } => {
                write!(
                    f,
                    "{}, times {factor} each time, at most {}",
                    time(*base_ms),
                    time(*max_ms)
                )?;
                jitter
            }
            Self::List { waits_ms, jitter } => {
                let waits: Vec<String> = waits_ms.iter().map(|ms| time(*ms)).collect();
                write!(f, "{}", waits.join(", then "))?;
                jitter
            }
        };
        if *jitter > 0.0 {
            write!(f, ", give or take {:.0} %", jitter * 100.0)?;
        }
        Ok(())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code)?;
        match (self.action, self.after_ms, &self.backoff) {
            (Action::Bury, ..) => f.write_str("no further attempt"),
            (Action::AgainAfter, after_ms, _) => {
                write!(f, "again after {}", time(after_ms.unwrap_or_default()))
            }
            (Action::Again, _, Some(backoff)) => write!(f, "again after {backoff}"),
            (Action::Again, _, None) => f.write_str("again"),
        }
    }
}

impl TaskPolicy {
    /// The policy as short lines: what it is about, and what it says. `timeout_ms` is the task's.
    #[must_use]
    pub fn lines(&self, timeout_ms: Option<u64>) -> Vec<(&'static str, String)> {
        let mut lines = vec![("backoff", self.backoff.to_string())];
        lines.extend(self.rules.iter().map(|rule| ("rule", rule.to_string())));
        lines.push(("crashes", format!("no further attempt after {}", self.crashes_max)));
        let limits = match (self.soft_timeout_ms, timeout_ms) {
            (Some(soft), Some(hard)) => {
                format!("told to stop after {}, cut off after {}", time(soft), time(hard))
            }
            (Some(soft), None) => format!("told to stop after {}", time(soft)),
            (None, Some(hard)) => format!("{} per attempt", time(hard)),
            (None, None) => String::new(),
        };
        lines.push(("limit", limits));
        let kept = |s: Option<u32>| time(u64::from(s.unwrap_or_default()) * 1_000);
        let keep = self.keep;
        lines.push((
            "kept",
            format!(
                "{} once completed, {} once cancelled, {} once failed",
                kept(keep.completed_s),
                kept(keep.cancelled_s),
                kept(keep.failed_s)
            ),
        ));
        lines.retain(|(_, text)| !text.is_empty());
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_said_in_words() {
        let policy = TaskPolicy {
            rules: vec![
                Rule { after_ms: Some(90_000), ..Rule::new("busy", Action::AgainAfter) },
                Rule::new("http_4*", Action::Bury),
            ],
            soft_timeout_ms: Some(500),
            ..TaskPolicy::default()
        };
        let lines: Vec<String> = policy
            .lines(Some(2_000))
            .into_iter()
            .map(|(name, text)| format!("{name} {text}"))
            .collect();
        assert_eq!(
            lines,
            [
                "backoff 2 s, times 2 each time, at most 10 min, give or take 20 %",
                "rule busy: again after 1.5 min",
                "rule http_4*: no further attempt",
                "crashes no further attempt after 3",
                "limit told to stop after 500 ms, cut off after 2 s",
                "kept 1 day once completed, 1 day once cancelled, 14 days once failed",
            ]
        );
        let list = Backoff::List { waits_ms: vec![1_000, 0], jitter: 0.0 };
        assert_eq!(list.to_string(), "1 s, then 0 ms");
    }
}
