//! What the engine knows of a schedule: which version it is, when its next tick comes, and a text
//! that means nothing here. When ticks come, and what they make, is decided outside; here each
//! step from one tick to the next is taken once.

use std::fmt;

use crate::Text;
use crate::command::NewTask;
use crate::ids::{Name, UserId};

/// A schedule as it is kept, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Another one after every change, chosen at random by who makes it: so nobody who has read an
    /// older one changes this, not even after it was removed and made anew.
    pub version: u64,
    /// When its next tick comes, wall clock, ms; absent while it rests.
    pub next_ms: Option<i64>,
    /// What its owner wants of it, and what was last (JSON text).
    pub text: Text,
}

/// One tick: a schedule goes on, and its task is accepted, in one step or not at all. Where a
/// schedule is not what `seen` says, somebody else took it on.
#[derive(Debug, Clone)]
pub struct Tick {
    /// The server's wall clock: `created` of the task and `at` of its event, in ms.
    pub created_ms: i64,
    /// The owner of the schedule, and of its task.
    pub user: UserId,
    /// The schedule's name.
    pub name: Name,
    /// The version it was read with.
    pub seen: u64,
    /// What it is from now on.
    pub becomes: Schedule,
    /// Its task; absent where the tick is passed over. If the owner's line is full, nothing is
    /// done. One that exists already stays as it is.
    pub task: Option<NewTask>,
}

impl Schedule {
    /// It as a line of a store's dump, the same in every store.
    #[must_use]
    pub fn line(&self, user: &UserId, name: &Name) -> String {
        format!("schedule {user} {name} = {self}")
    }
}

/// As it is kept in a text: `version|next|text`, `next` empty while it rests.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, next_ms, text } = self;
        match next_ms {
            Some(next_ms) => write!(f, "{version}|{next_ms}|{text}"),
            None => write!(f, "{version}||{text}"),
        }
    }
}

/// A text that is no schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no schedule as it is kept")]
pub struct ScheduleError;

impl std::str::FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(kept: &str) -> Result<Self, ScheduleError> {
        let mut parts = kept.splitn(3, '|');
        let mut next = || parts.next().ok_or(ScheduleError);
        let (version, next_ms, text) = (next()?, next()?, next()?);
        Ok(Self {
            version: version.parse().map_err(|_| ScheduleError)?,
            next_ms: match next_ms {
                "" => None,
                number => Some(number.parse().map_err(|_| ScheduleError)?),
            },
            text: text.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_schedule_survives_its_text(version: u64, next_ms: Option<i64>, text in "\\PC{0,80}") {
            let schedule = Schedule { version, next_ms, text: text.as_str().into() };
            prop_assert_eq!(schedule.to_string().parse::<Schedule>(), Ok(schedule));
        }

        #[test]
        fn any_other_text_is_refused_without_a_panic(text in ".{0,80}") {
            let _ = text.parse::<Schedule>();
        }
    }
}
