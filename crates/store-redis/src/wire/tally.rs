//! What is counted of a user, as it is kept: numbers between commas. Further parts may follow.

use std::fmt;

use tasktonic_core::TaskState;
use tasktonic_core::transitions::STATES;

use super::StateHead;

/// How many tasks of a user are in each state, and how many bytes they hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Descriptors, and states of tasks that have ended.
    pub(crate) bytes: u64,
    /// In the order of [`STATES`].
    pub(crate) tasks: [u64; STATES.len()],
    /// The most bytes that they may hold, where it is set.
    pub(crate) bytes_max: Option<u64>,
}

impl Tally {
    /// What is kept: the version, then what [`Tally`] is displayed as. Absent where nothing can be made
    /// of it; where nothing is kept there is nothing.
    pub(crate) fn of(kept: &str) -> Option<Self> {
        let mut tally = Self::default();
        if kept.is_empty() {
            return Some(tally);
        }
        let mut numbers = kept.split(',');
        let mut next = || numbers.next()?.parse().ok();
        let _version: u64 = next()?;
        tally.bytes = next()?;
        for count in &mut tally.tasks {
            *count = next()?;
        }
        tally.bytes_max = numbers.next().and_then(|text| text.parse().ok());
        Some(tally)
    }

    /// Counts a task: its state, absent where nothing can be made of it, and the bytes of its
    /// descriptor and of that state.
    pub(crate) fn count(&mut self, head: Option<&StateHead>, descriptor: u64, state: u64) {
        let Some(head) = head else {
            self.bytes += descriptor;
            return;
        };
        self.add(head.state, descriptor + if head.state.is_terminal() { state } else { 0 });
    }

    /// Counts a task that holds so many bytes.
    pub(crate) fn add(&mut self, state: TaskState, bytes: u64) {
        self.bytes += bytes;
        self.tasks[state as usize] += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes)?;
        self.tasks.iter().try_for_each(|count| write!(f, ",{count}"))?;
        self.bytes_max.map_or(Ok(()), |max| write!(f, ",{max}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_also_with_parts_behind_it() {
        let mut tally = Tally::default();
        tally.add(TaskState::Queued, 90);
        tally.add(TaskState::Dead, 10);
        assert_eq!(tally.to_string(), "100,0,0,1,0,0,0,1");
        for more in ["", ",", ",,x"] {
            assert_eq!(Tally::of(&format!("5,{tally}{more}")), Some(tally));
        }
        let limited = Tally { bytes_max: Some(70), ..tally };
        assert_eq!(Tally::of(&format!("5,{limited},x")), Some(limited));
        assert_eq!(Tally::of(""), Some(Tally::default()));
        assert_eq!(Tally::of("5,1,2"), None);
        assert_eq!(Tally::of("5,1,2,3,4,5,6,7,x"), None);
    }
}
