//! How long ended tasks are kept.

use crate::transitions::TaskState;

/// Seconds to keep a task, by how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// After completion.
    pub completed_s: u32,
    /// After cancellation.
    pub cancelled_s: u32,
    /// As a dead letter.
    pub dead_s: u32,
}

impl Retention {
    /// A day for what went well or was stopped, a fortnight for what needs a look.
    pub const DEFAULT: Self =
        Self { completed_s: 86_400, cancelled_s: 86_400, dead_s: 14 * 86_400 };

    /// The value for one way of ending.
    #[must_use]
    pub fn of(&self, state: TaskState) -> u32 {
        match state {
            TaskState::Dead => self.dead_s,
            TaskState::Cancelled => self.cancelled_s,
            _ => self.completed_s,
        }
    }
}

/// The values a retention is rounded up to, so that there are few lists to sweep.
const STEPS_S: [u32; 11] = [
    60,
    600,
    3_600,
    6 * 3_600,
    86_400,
    7 * 86_400,
    14 * 86_400,
    30 * 86_400,
    90 * 86_400,
    366 * 86_400,
    u32::MAX,
];

/// The shortest retention there is a list for that is not shorter than this one, in seconds.
#[must_use]
pub fn rounded_s(retention_s: u32) -> u32 {
    STEPS_S.into_iter().find(|step| *step >= retention_s).unwrap_or(u32::MAX)
}

/// How long to keep a task that ends at `now_ms`: its own retention, but not shorter than its
/// idempotency key, which would otherwise answer with a task that is gone.
#[must_use]
pub fn keep_s(retention_s: u32, key_expires_ms: Option<i64>, now_ms: i64) -> u32 {
    let Some(expires_ms) = key_expires_ms else { return retention_s };
    let needed_s = ((expires_ms - now_ms).max(0) + 999) / 1_000;
    if needed_s <= i64::from(retention_s) {
        return retention_s;
    }
    rounded_s(u32::try_from(needed_s).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_keyed_task_is_kept_as_long_as_its_key(
            retention in 0_u32..100_000, now in 0..1i64 << 41, ttl in 0..4_000_000_000i64,
        ) {
            let keep = keep_s(retention, Some(now + ttl), now);
            prop_assert!(keep >= retention);
            prop_assert!(i64::from(keep) * 1_000 >= ttl);
        }
    }

    #[test]
    fn a_retention_is_rounded_up_to_one_of_few() {
        assert_eq!(rounded_s(1), 60);
        assert_eq!(rounded_s(7_200), 6 * 3_600);
        for step in STEPS_S {
            assert_eq!(rounded_s(step), step);
        }
        let default = Retention::DEFAULT;
        for kept in [default.completed_s, default.cancelled_s, default.dead_s] {
            assert_eq!(rounded_s(kept), kept, "the default is one of them");
        }
    }

    #[test]
    fn an_unkeyed_task_is_kept_as_its_kind_says() {
        assert_eq!(keep_s(0, None, 5), 0);
        assert_eq!(keep_s(77, Some(0), 5), 77);
    }
}
