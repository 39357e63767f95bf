//! gcra: how many tasks of a user may start now, where only so many may in so long. The generic cell
//! rate algorithm: one number per user, the time at which all that has started is made up for. Knows
//! no clock and no user; times are of whatever clock the caller keeps, in ms.

use crate::limits::{RATE_BURST_MAX, RATE_PER_MS_MAX, RATE_TASKS_MAX};

/// So many tasks in so long, and so many of them at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tasks in each `per_ms`.
    pub tasks: u32,
    /// How long that is, ms.
    pub per_ms: u32,
    /// Tasks at once by who has started none for a while.
    pub burst: u32,
}

/// Microseconds of a millisecond.
const US: i64 = 1_000;

impl Rate {
    /// One within the bounds of what may be set.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self {
            tasks: self.tasks.clamp(1, RATE_TASKS_MAX),
            per_ms: self.per_ms.clamp(1, RATE_PER_MS_MAX),
            burst: self.burst.clamp(1, RATE_BURST_MAX),
        }
    }

    /// What one task takes, µs. Rounded up: never more than the rate.
    #[must_use]
    pub fn emission_us(&self) -> i64 {
        (i64::from(self.per_ms) * US).div_euclid(i64::from(self.tasks))
            + i64::from((i64::from(self.per_ms) * US) % i64::from(self.tasks) != 0)
    }

    /// How far ahead of the time `full_us` may be, µs.
    fn tolerance_us(&self) -> i64 {
        self.emission_us() * i64::from(self.burst - 1)
    }

    /// When all that has started is made up for, as it counts now: neither in the past nor further
    /// ahead than a burst goes. What was kept may be of another rate or another clock. Who is told to
    /// wait is told by this, so it has to be kept then.
    #[must_use]
    pub fn counted_us(&self, full_us: i64, now_ms: i64) -> i64 {
        let now_us = now_ms.saturating_mul(US);
        full_us.clamp(now_us, now_us.saturating_add(self.tolerance_us() + self.emission_us()))
    }

    /// How many may start at `now_ms` by who has made up for all at `full_us`.
    #[must_use]
    pub fn allowed(&self, full_us: i64, now_ms: i64) -> u32 {
        let ahead_us = self.counted_us(full_us, now_ms) - now_ms.saturating_mul(US);
        let left_us = self.tolerance_us() - ahead_us;
        if left_us < 0 {
            return 0;
        }
        u32::try_from(left_us / self.emission_us() + 1).unwrap_or(u32::MAX)
    }

    /// When who has made up for all at `full_us` will have after `count` more.
    #[must_use]
    pub fn spent(&self, full_us: i64, now_ms: i64, count: u32) -> i64 {
        self.counted_us(full_us, now_ms) + self.emission_us() * i64::from(count)
    }

    /// The first ms at which one may start.
    #[must_use]
    pub fn good_at_ms(&self, full_us: i64, now_ms: i64) -> i64 {
        let good_us = self.counted_us(full_us, now_ms) - self.tolerance_us();
        (good_us + US - 1).div_euclid(US).max(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate() -> impl Strategy<Value = Rate> {
        (1_u32..2_000, 1_u32..100_000, 1_u32..50).prop_map(|(tasks, per_ms, burst)| Rate {
            tasks,
            per_ms,
            burst,
        })
    }

    proptest! {
        /// In no stretch of time more than the burst and what the rate makes of the stretch.
        #[test]
        fn never_above_burst_and_rate_times_time(
            rate in rate(),
            steps in prop::collection::vec((0_i64..5_000, 0_u32..20), 1..200),
        ) {
            let (mut now_ms, mut full_us) = (1_000_000_i64, 0);
            let mut starts: Vec<(i64, u32)> = Vec::new();
            for (pass_ms, want) in steps {
                now_ms += pass_ms;
                let count = want.min(rate.allowed(full_us, now_ms));
                full_us = rate.spent(full_us, now_ms, count);
                starts.push((now_ms, count));
            }
            for (from, (begin_ms, _)) in starts.iter().enumerate() {
                let mut sum = 0_u64;
                for (at_ms, count) in &starts[from..] {
                    sum += u64::from(*count);
                    let long_ms = u64::try_from(at_ms - begin_ms).unwrap();
                    let made = long_ms * u64::from(rate.tasks) / u64::from(rate.per_ms);
                    prop_assert!(sum <= u64::from(rate.burst) + made, "{sum} in {long_ms} ms");
                }
            }
        }

        /// Who waits for the time that is said may start then, and not a ms before.
        #[test]
        fn the_time_that_is_said_is_the_first(rate in rate(), starts in 0_u32..400, now_ms in 0_i64..1_000_000) {
            let mut full_us = 0;
            for _ in 0..starts {
                if rate.allowed(full_us, now_ms) > 0 {
                    full_us = rate.spent(full_us, now_ms, 1);
                }
            }
            let good_ms = rate.good_at_ms(full_us, now_ms);
            prop_assert!(rate.allowed(full_us, good_ms) > 0);
            prop_assert!(good_ms == now_ms || rate.allowed(full_us, good_ms - 1) == 0);
            prop_assert_eq!(good_ms == now_ms, rate.allowed(full_us, now_ms) > 0);
        }

        /// Who takes as much as may be falls short of the rate by less than one task, when the wait is
        /// exact; the burst comes at once.
        #[test]
        fn as_much_as_the_rate_says(tasks in 1_u32..100, burst in 1_u32..20) {
            let rate = Rate { tasks, per_ms: 60_000, burst };
            let (mut now_ms, mut full_us, mut count) = (0, 0, 0_u64);
            prop_assert_eq!(rate.allowed(full_us, now_ms), burst);
            while now_ms < 600_000 {
                let some = rate.allowed(full_us, now_ms);
                full_us = rate.spent(full_us, now_ms, some);
                count += u64::from(some);
                now_ms = rate.good_at_ms(full_us, now_ms).max(now_ms + 1);
            }
            let said = u64::from(tasks) * 10 + u64::from(burst);
            prop_assert!(count <= said && count + 2 >= said, "{count} of {said}");
        }

        /// Neither a clock that went back nor a rate that was raised or lowered keeps anybody for ever.
        #[test]
        fn what_was_kept_of_another_life_holds_nobody_longer_than_a_burst(rate in rate(), full_us: i64, now_ms in 0_i64..1 << 40) {
            let longest_ms = rate.emission_us() * i64::from(rate.burst) / 1_000 + 1;
            prop_assert!(rate.good_at_ms(full_us, now_ms) - now_ms <= longest_ms);
        }
    }
}
