//! What is done when a schedule is looked at: which tick is now, which have been missed, and what
//! is next. One step at a time, so that each is one compare-and-set of whoever keeps the schedule.

use crate::Plan;

/// A tick that is late by no more than this, in ms, is on time.
pub const ON_TIME_MS: i64 = 60_000;
/// The most missed ticks that [`CatchUp::All`] makes up for; older ones are passed over.
pub const CATCH_UP_MAX: usize = 100;

/// What becomes of ticks at which nobody was there to see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatchUp {
    /// They are passed over.
    Skip,
    /// The last of them is made up for.
    #[default]
    One,
    /// Each of them is, in order; the newest [`CATCH_UP_MAX`] where there are more.
    All,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The tick that makes a task.
    pub fires: Option<i64>,
    /// The newest of those that were passed over.
    pub passed: Option<i64>,
    /// The tick that is next; it may be in the past, and is then looked at at once.
    pub next: Option<i64>,
}

/// The turn of a schedule whose next tick was `due_ms` and is not in the future.
#[must_use]
pub fn turn(plan: &Plan, due_ms: i64, now_ms: i64, catch_up: CatchUp) -> Turn {
    // A plan may have been changed to one without this tick, never behind anybody's back: whoever
    // changes it sets the next tick. So it is one.
    let newest = plan.last_until(now_ms).filter(|at_ms| *at_ms > due_ms).unwrap_or(due_ms);
    let before = |at_ms: i64| plan.last_until(at_ms.saturating_sub(1)).filter(|ms| *ms >= due_ms);
    match catch_up {
        CatchUp::All => {
            let missed = std::iter::successors(Some(newest), |at_ms| before(*at_ms));
            let first = missed.take(CATCH_UP_MAX).last().unwrap_or(newest);
            let passed = if first > due_ms { before(first) } else { None };
            Turn { fires: Some(first), passed, next: plan.next_after(first) }
        }
        CatchUp::One => Turn {
            fires: Some(newest),
            passed: if newest > due_ms { before(newest) } else { None },
            next: plan.next_after(newest),
        },
        CatchUp::Skip => {
            let on_time = now_ms.saturating_sub(newest) <= ON_TIME_MS;
            let passed = match on_time {
                true if newest > due_ms => before(newest),
                true => None,
                false => Some(newest),
            };
            Turn { fires: on_time.then_some(newest), passed, next: plan.next_after(newest) }
        }
    }
}
