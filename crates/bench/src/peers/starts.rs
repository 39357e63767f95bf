//! The file of starts: every program adds one record for each handler that begins, and from it
//! come rates, waits, and whether each task ran. Pure, but for reading the file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};

use crate::figures::Times;

/// Bytes of one record: number, when it was due, when it began; each 64 bits, little-endian.
pub(crate) const RECORD_BYTES: u64 = 24;

/// A handler began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) n: u64,
    /// When it was due, ns of the machine's monotonic clock.
    pub(crate) at_ns: u64,
    /// When it began, likewise.
    pub(crate) began_ns: u64,
}

/// The clock that all programs share, ns.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has this clock");
    u64::try_from(Duration::from(now).as_nanos()).expect("less than 500 years")
}

/// How many have begun, from the length of the file alone.
pub(crate) fn count(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |file| file.len() / RECORD_BYTES)
}

/// All of them, in the order in which they were written.
pub(crate) fn read(log: &Path) -> Result<Vec<Start>> {
    Ok(parse(&std::fs::read(log).with_context(|| format!("reading {}", log.display()))?))
}

fn parse(bytes: &[u8]) -> Vec<Start> {
    let (records, _) = bytes.as_chunks::<24>();
    let number = |record: &[u8; 24], at: usize| {
        let mut eight = [0; 8];
        eight.copy_from_slice(&record[at..at + 8]);
        u64::from_le_bytes(eight)
    };
    records
        .iter()
        .map(|r| Start { n: number(r, 0), at_ns: number(r, 8), began_ns: number(r, 16) })
        .collect()
}

/// Starts per second after the first `skip`; 0 of fewer than two.
pub(crate) fn rate(starts: &[Start], skip: usize) -> f64 {
    let mut began: Vec<u64> = starts.iter().map(|start| start.began_ns).collect();
    began.sort_unstable();
    let counted = began.get(skip..).unwrap_or_default();
    match counted {
        [first, .., last] if last > first => {
            (counted.len() - 1) as f64 * 1e9 / (last - first) as f64
        }
        _ => 0.0,
    }
}

/// From when a task was due until its handler first began, of tasks `first` and up.
pub(crate) fn waits(starts: &[Start], first: u64) -> Times {
    let mut times = Times::default();
    let mut by_number = BTreeMap::new();
    for start in starts.iter().filter(|start| start.n >= first) {
        let earliest = by_number.entry(start.n).or_insert(*start);
        if start.began_ns < earliest.began_ns {
            *earliest = *start;
        }
    }
    for start in by_number.values() {
        times.add(Duration::from_nanos(start.began_ns.saturating_sub(start.at_ns)));
    }
    times
}

/// Which of `tasks` numbers never began, and how often one began again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) missing: u64,
    pub(crate) again: u64,
}

/// Counts the delivery of tasks `0..tasks`.
pub(crate) fn delivery(starts: &[Start], tasks: u64) -> Delivery {
    let numbers: std::collections::BTreeSet<u64> = starts.iter().map(|start| start.n).collect();
    let begun = numbers.range(..tasks).count() as u64;
    Delivery { missing: tasks - begun, again: starts.len() as u64 - numbers.len() as u64 }
}

/// After a kill at `killed_ns`: how many of the tasks begun before began again, and how long the
/// last of them waited for it, in s.
pub(crate) fn recovery(starts: &[Start], killed_ns: u64) -> (u64, f64) {
    let mut again = BTreeMap::<u64, u64>::new();
    for start in starts.iter().filter(|start| start.began_ns > killed_ns) {
        again.entry(start.n).or_insert(start.began_ns);
    }
    let last = again.values().max().map_or(0, |at| at - killed_ns);
    (again.len() as u64, last as f64 / 1e9)
}

/// When tasks are due that come at random, `mean_ns` apart on average: offsets from the beginning,
/// the same for every peer.
pub(crate) fn arrivals(count: usize, mean_ns: f64) -> Vec<u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut at = 0.0;
    (0..count)
        .map(|_| {
            // xorshift: it has to be even, not unforeseeable.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let share = ((state >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
            at += -share.ln() * mean_ns;
            at as u64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start(n: u64, at_ns: u64, began_ns: u64) -> Start {
        Start { n, at_ns, began_ns }
    }

    #[test]
    fn records_are_read_as_programs_write_them() {
        let mut bytes = Vec::new();
        for number in [7_u64, 8, 9, 1, 2, 3] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.push(1);
        assert_eq!(parse(&bytes), [start(7, 8, 9), start(1, 2, 3)]);
    }

    #[test]
    fn a_rate_leaves_out_what_warmed_up() {
        let starts: Vec<Start> =
            [0, 100, 1_000, 1_001, 1_002].map(|ms: u64| start(0, 0, ms * 1_000_000)).into();
        assert!((rate(&starts, 2) - 1_000.0).abs() < 1e-6);
        assert_eq!(rate(&starts, 4), 0.0);
        assert_eq!(rate(&starts, 9), 0.0);
    }

    #[test]
    fn a_wait_is_that_of_the_first_start_alone() {
        let starts = [start(1, 0, 9), start(5, 10, 5_000_010), start(5, 10, 1_000_010)];
        assert_eq!(waits(&starts, 5).count(), 1);
        assert_eq!(waits(&starts, 5).percentile_ms(99.0), 1.0);
    }

    #[test]
    fn what_is_missing_and_what_came_again_are_counted_apart() {
        let starts = [start(0, 0, 1), start(2, 0, 2), start(2, 0, 3)];
        assert_eq!(delivery(&starts, 4), Delivery { missing: 2, again: 1 });
    }

    #[test]
    fn recovery_is_that_of_the_last_task_that_came_back() {
        let ns = 1_000_000_000;
        let starts = [start(0, 0, 1), start(1, 0, 1), start(1, 0, 3 * ns), start(0, 0, 5 * ns)];
        assert_eq!(recovery(&starts, ns), (2, 4.0));
        assert_eq!(recovery(&starts, 9 * ns), (0, 0.0));
    }

    #[test]
    fn a_file_that_is_not_there_has_no_starts() {
        assert_eq!(count(Path::new("/nowhere/at/all")), 0);
        assert!(now_ns() > 0);
    }

    proptest! {
        #[test]
        fn arrivals_rise_and_keep_their_mean(count in 500_usize..2_000, mean in 1_000.0..1e8f64) {
            let offsets = arrivals(count, mean);
            prop_assert!(offsets.is_sorted());
            let seen = *offsets.last().unwrap() as f64 / count as f64;
            prop_assert!((0.8..1.25).contains(&(seen / mean)), "{} {}", seen, mean);
        }
    }
}
