//! Priority as it is said over HTTP and stored in a description.

use serde::{Deserialize, Serialize};
use tasktonic_core::Priority as CorePriority;
use utoipa::ToSchema;

/// Which of one person's own tasks of a queue go first. It says nothing about the tasks of two
/// persons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before their other tasks.
    High,
    /// Unless said otherwise.
    #[default]
    Normal,
    /// After them, but first in one of 8 turns.
    Low,
}

impl Priority {
    /// Whether it goes without saying.
    #[must_use]
    pub fn is_normal(&self) -> bool {
        *self == Self::Normal
    }

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        CorePriority::from(self).name()
    }
}

impl From<Priority> for CorePriority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::High => Self::High,
            Priority::Normal => Self::Normal,
            Priority::Low => Self::Low,
        }
    }
}

impl From<CorePriority> for Priority {
    fn from(priority: CorePriority) -> Self {
        match priority {
            CorePriority::High => Self::High,
            CorePriority::Normal => Self::Normal,
            CorePriority::Low => Self::Low,
        }
    }
}

impl std::str::FromStr for Priority {
    type Err = tasktonic_core::priority::NoPriority;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<CorePriority>().map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_is_spelled_as_the_engine_names_it() {
        for of in CorePriority::ALL {
            let priority = Priority::from(of);
            assert_eq!(serde_json::to_value(priority).unwrap(), of.name());
            assert_eq!((of.name().parse(), CorePriority::from(priority)), (Ok(priority), of));
        }
    }
}
