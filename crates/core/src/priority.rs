//! Priority: which of one user's own tasks of a queue go first. It never says anything about the
//! tasks of two users. Knows neither lanes nor tasks.

use std::fmt;
use std::str::FromStr;

/// In their order within a user's turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Before the user's other tasks.
    High,
    /// Unless somebody says otherwise.
    #[default]
    Normal,
    /// After them, but first in one of [`LOW_TURN`](crate::limits::LOW_TURN) turns.
    Low,
}

impl Priority {
    /// All of them, in their order.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The letter by which a task's state tells it; none where it goes without saying.
    #[must_use]
    pub const fn letter(self) -> Option<&'static str> {
        match self {
            Self::High => Some("h"),
            Self::Normal => None,
            Self::Low => Some("l"),
        }
    }

    /// The one with this letter.
    #[must_use]
    pub fn of_letter(letter: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.letter() == Some(letter))
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// It is no priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a priority is `high`, `normal` or `low`")]
pub struct NoPriority;

impl FromStr for Priority {
    type Err = NoPriority;

    fn from_str(text: &str) -> Result<Self, NoPriority> {
        Self::ALL.into_iter().find(|one| one.name() == text).ok_or(NoPriority)
    }
}
