//! Figures and their presentation. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: String,
    /// How much.
    pub(crate) value: f64,
    /// Of what.
    pub(crate) unit: String,
    /// Under which circumstances.
    pub(crate) note: String,
}

impl Figure {
    pub(crate) fn new(
        name: impl Into<String>,
        value: f64,
        unit: &str,
        note: impl Into<String>,
    ) -> Self {
        Self { name: name.into(), value, unit: unit.into(), note: note.into() }
    }
}

/// Times of many repetitions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest time that `share` percent of all do not exceed, in ms; zero of none.
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        let mut times = self.0.clone();
        times.sort_unstable();
        let rank = (share / 100.0 * times.len() as f64).ceil() as usize;
        times.get(rank.saturating_sub(1)).map_or(0.0, |time| time.as_nanos() as f64 / 1e6)
    }

    /// The share of all that is not longer than so many ms; zero of none.
    pub(crate) fn share_within(&self, limit_ms: f64) -> f64 {
        let within = self.0.iter().filter(|time| time.as_secs_f64() * 1e3 <= limit_ms).count();
        within as f64 / self.0.len().max(1) as f64
    }

    /// Half and all but one percent, as two figures.
    pub(crate) fn figures(&self, name: &str, note: &str) -> [Figure; 2] {
        [50.0, 99.0].map(|share| {
            Figure::new(format!("{name}, p{share}"), self.percentile_ms(share), "ms", note)
        })
    }
}

/// A value with as many digits as mean something.
pub(crate) fn rounded(value: f64) -> String {
    match value.abs() {
        v if v >= 1_000.0 => {
            let digits = format!("{value:.0}");
            let mut grouped = String::new();
            for (place, digit) in digits.chars().enumerate() {
                let left = digits.len() - place;
                if place > 0 && left.is_multiple_of(3) && !grouped.ends_with('-') {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A table in Markdown.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut text = String::from("| Figure | Value | |\n|---|---:|---|\n");
    for Figure { name, value, unit, note } in figures {
        let value = rounded(*value);
        // Writing to a text cannot fail.
        let _ = writeln!(text, "| {name} | {value} {unit} | {note} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn times(ms: &[u64]) -> Times {
        Times(ms.iter().map(|ms| Duration::from_millis(*ms)).collect())
    }

    #[test]
    fn a_share_counts_what_is_exactly_at_the_limit() {
        let mut times = Times::default();
        assert_eq!(times.share_within(1.0), 0.0);
        for ms in [1, 2, 3, 40] {
            times.add(Duration::from_millis(ms));
        }
        assert_eq!([0.9, 3.0, 40.0].map(|limit| times.share_within(limit)), [0.0, 0.75, 1.0]);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(times(&hundred).percentile_ms(50.0), 50.0);
        assert_eq!(times(&hundred).percentile_ms(99.0), 99.0);
        assert_eq!(times(&[7]).percentile_ms(99.0), 7.0);
        assert_eq!(times(&[]).percentile_ms(50.0), 0.0);
    }

    #[test]
    fn numbers_are_grouped_and_rounded() {
        for (value, text) in [
            (0.1234, "0.12"),
            (12.34, "12.3"),
            (999.4, "999"),
            (1_234.5, "1,234"),
            (-123_456.0, "-123,456"),
            (1e6, "1,000,000"),
        ] {
            assert_eq!(rounded(value), text);
        }
    }

    proptest! {
        #[test]
        fn a_percentile_lies_between_the_extremes(ms in prop::collection::vec(0..10_000u64, 1..200), share in 0.0..100.0f64) {
            let value = times(&ms).percentile_ms(share);
            let (min, max) = (*ms.iter().min().unwrap(), *ms.iter().max().unwrap());
            prop_assert!(value >= min as f64 && value <= max as f64);
        }
    }
}
