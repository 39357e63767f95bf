//! What one run found, as it is kept: a line of JSON for the run and one for each point. Units are
//! in the names; nothing is rounded. Pure.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::figures::Figure;
use crate::machine::Machine;

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    pub(crate) head: Head,
    pub(crate) lines: Vec<Line>,
}

/// Which run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// RFC 3339.
    pub(crate) at: String,
    pub(crate) machine: Machine,
    /// A try of the bench itself: figures mean nothing.
    pub(crate) quick: bool,
    /// Minutes that the run took.
    pub(crate) minutes: f64,
}

/// A point of a curve, or why there is no further one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line {
    Point(Point),
    Note { group: String, note: String },
}

/// What was measured at one place of a curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Which curve.
    pub(crate) group: String,
    pub(crate) x: X,
    pub(crate) values: BTreeMap<String, f64>,
}

/// How many there were, or which one it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum X {
    Count(f64),
    Name(String),
}

impl Point {
    pub(crate) fn named<const N: usize>(group: &str, name: &str, values: [(&str, f64); N]) -> Line {
        let values = values.map(|(name, value)| (name.to_owned(), value)).into();
        Line::Point(Self { group: group.into(), x: X::Name(name.into()), values })
    }

    pub(crate) fn get(&self, value: &str) -> Option<f64> {
        self.values.get(value).copied()
    }

    /// The place as a page names it.
    pub(crate) fn place(&self) -> String {
        match &self.x {
            X::Count(count) if *count < 1_000.0 => format!("{count}"),
            X::Count(count) => crate::figures::rounded(*count),
            X::Name(name) => name.clone(),
        }
    }
}

impl Report {
    /// The points of a curve, in the order in which they were measured.
    pub(crate) fn points(&self, group: &str) -> Vec<&Point> {
        self.lines
            .iter()
            .filter_map(|line| match line {
                Line::Point(point) if point.group == group => Some(point),
                _ => None,
            })
            .collect()
    }

    /// A point by its name.
    pub(crate) fn named(&self, group: &str, name: &str) -> Option<&Point> {
        self.points(group).into_iter().find(|point| point.x == X::Name(name.into()))
    }

    /// A point by its count.
    pub(crate) fn counted(&self, group: &str, count: f64) -> Option<&Point> {
        self.points(group).into_iter().find(|point| point.x == X::Count(count))
    }

    /// One value along a curve.
    pub(crate) fn along(&self, group: &str, value: &str) -> Vec<(f64, f64)> {
        let at = |point: &&Point| match point.x {
            X::Count(count) => Some((count, point.get(value)?)),
            X::Name(_) => None,
        };
        self.points(group).iter().filter_map(at).collect()
    }

    /// Why curves end where they do.
    pub(crate) fn notes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().filter_map(|line| match line {
            Line::Note { group, note } => Some((group.as_str(), note.as_str())),
            Line::Point(_) => None,
        })
    }

    /// The run for a file.
    pub(crate) fn json_lines(&self) -> Result<String> {
        let mut text = serde_json::to_string(&self.head)?;
        for line in &self.lines {
            text.push('\n');
            text.push_str(&serde_json::to_string(line)?);
        }
        text.push('\n');
        Ok(text)
    }

    /// The run of a file.
    #[cfg(test)]
    pub(crate) fn of_json_lines(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let head = serde_json::from_str(lines.next().unwrap_or_default())?;
        let lines = lines.map(|line| Ok(serde_json::from_str(line)?)).collect::<Result<_>>()?;
        Ok(Self { head, lines })
    }

    /// The run in short, for the terminal.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        for line in &self.lines {
            let Line::Point(point) = line else { continue };
            for (name, value) in &point.values {
                let note = format!("at {}", point.place());
                figures.push(Figure::new(format!("{} {name}", point.group), *value, "", note));
            }
        }
        figures
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn counted(group: &str, x: f64, values: &[(&str, f64)]) -> Line {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Line::Point(Point { group: group.into(), x: X::Count(x), values })
    }

    /// A run in which everything is flat, and Redis ends early.
    pub(crate) fn report() -> Report {
        let here = std::env::current_dir().unwrap();
        let head = Head {
            at: "1970-01-01T00:00:00Z".into(),
            machine: Machine::here(&here, &here),
            quick: false,
            minutes: 11.0,
        };
        let mut lines = Vec::new();
        for store in ["redis", "embedded"] {
            for x in [10.0, 1e3, 1e6] {
                let values = [
                    ("per_s", 4e4),
                    ("redis_cpu_us", 20.0),
                    ("commands", 2.0),
                    ("claim_p50_us", 150.0),
                    ("claim_p99_us", 300.0),
                    ("bytes", 400.0),
                ];
                lines.push(counted(&format!("{store}.waiting"), x, &values));
                lines.push(counted(&format!("{store}.users"), x, &values));
            }
        }
        let note = "ended after 90 s of submitting".into();
        lines.push(Line::Note { group: "redis.waiting".into(), note });
        for (masters, most) in [(1.0, 20.0), (3.0, 7.0)] {
            let values = [("per_s", 4e4), ("redis_cpu_us", 20.0), ("redis_cpu_us_most", most)];
            lines.push(counted("redis.masters", masters, &values));
        }
        for class in ["memory", "disk"] {
            let values = [("per_s", 6e4), ("many_per_s", 1.2e5), ("submit_p50_us", 200.0)];
            lines.push(Point::named("embedded.classes", class, values));
        }
        for form in ["embedded", "redis", "cluster"] {
            let values = [("kills", 4.0), ("tasks", 32.0), ("p50_s", 9.0), ("p99_s", 11.0)];
            lines.push(Point::named("recovery", form, values));
        }
        for (what, commands) in [("a server", 12.0), ("a worker", 0.9), ("a fleet", 13.0)] {
            lines.push(Point::named("idle", what, [("commands_per_s", commands)]));
        }
        Report { head, lines }
    }

    #[test]
    fn lines_of_a_store_are_read_as_they_are_printed() {
        let point = r#"{"group":"redis.waiting","x":10,"values":{"per_s":1.5}}"#;
        let Line::Point(point) = serde_json::from_str(point).unwrap() else { panic!("a point") };
        assert_eq!((point.place().as_str(), point.get("per_s")), ("10", Some(1.5)));
        let note = r#"{"group":"redis.waiting","note":"too many"}"#;
        assert!(matches!(serde_json::from_str(note).unwrap(), Line::Note { .. }));
        let class = r#"{"group":"embedded.classes","x":"disk","values":{}}"#;
        let Line::Point(point) = serde_json::from_str(class).unwrap() else { panic!("a point") };
        assert_eq!(point.x, X::Name("disk".into()));
    }

    #[test]
    fn a_value_is_found_along_its_curve() {
        let run = report();
        assert_eq!(run.along("redis.waiting", "bytes").len(), 3);
        assert_eq!(run.along("redis.masters", "redis_cpu_us_most"), [(1.0, 20.0), (3.0, 7.0)]);
        assert_eq!(run.named("idle", "a worker").unwrap().get("commands_per_s"), Some(0.9));
        assert_eq!(run.notes().count(), 1);
    }
}
