//! Lease time as it is kept: how far it had come, when, and until when each worker of another
//! process was last heard to hold what it has. Knows neither a partition nor who writes it down.

use std::fmt;

use crate::ids::WorkerId;

/// Lease time and whoever was heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseTime {
    /// Lease time, ms.
    pub lt: i64,
    /// The wall clock at that lease time, ms.
    pub at_ms: i64,
    /// End of what each worker holds, in lease time, ms, in the order of workers.
    pub until: Vec<(WorkerId, i64)>,
}

impl LeaseTime {
    /// What [`LeaseTime`] is displayed as, read; absent if it is nothing of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(',');
        let (lt, at_ms) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let until = words.map(|word| {
            let (worker, until) = word.split_once('=')?;
            Some((worker.parse().ok()?, until.parse().ok()?))
        });
        let until: Vec<(WorkerId, i64)> = until.collect::<Option<_>>()?;
        until.is_sorted_by(|a, b| a.0 < b.0).then_some(Self { lt, at_ms, until })
    }

    /// Until when what this worker holds is its own, in lease time, ms; absent if it was not heard.
    #[must_use]
    pub fn of(&self, worker: &WorkerId) -> Option<i64> {
        let place = self.until.binary_search_by(|(known, _)| known.cmp(worker)).ok()?;
        Some(self.until[place].1)
    }
}

/// `lt,at_ms,worker=until,…`
impl fmt::Display for LeaseTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.lt, self.at_ms)?;
        self.until.iter().try_for_each(|(worker, until)| write!(f, ",{worker}={until}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again_and_nothing_else_is_taken_for_it() {
        let worker = |name: &str| name.parse::<WorkerId>().unwrap();
        let until = vec![(worker("w-1"), 17_000), (worker("w_2"), -3)];
        let both = LeaseTime { until: until.clone(), ..LeaseTime::default() };
        assert_eq!((both.of(&worker("w_2")), both.of(&worker("w"))), (Some(-3), None));
        for until in [Vec::new(), until] {
            let kept = LeaseTime { lt: 12_000, at_ms: -5, until };
            assert_eq!(LeaseTime::parse(&kept.to_string()), Some(kept));
        }
        for text in
            ["", "5", "5,x", "5,6,w", "5,6,w=", "5,6,w=x", "5,6,,", "5,6,a b=1", "5,6,b=1,a=2"]
        {
            assert_eq!(LeaseTime::parse(text), None, "{text:?}");
        }
    }
}
