//! What follows a failed or lost attempt.

/// How long to wait between attempts: `base · factor^(attempt − 1)`, at most `max`, spread by
/// `jitter`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Wait after the first failed attempt, in ms.
    pub base_ms: u64,
    /// Growth per attempt, at least 1.
    pub factor: f64,
    /// Longest wait before jitter, in ms.
    pub max_ms: u64,
    /// Share of the wait that is spread at random, 0 to 1: a wait `w` becomes `w · (1 ± jitter)`.
    pub jitter: f64,
}

impl Backoff {
    /// 2 s, doubling, at most 10 minutes, spread by a fifth.
    pub const DEFAULT: Self = Self { base_ms: 2_000, factor: 2.0, max_ms: 600_000, jitter: 0.2 };

    /// The wait after failed attempt number `attempt` (from 1), in ms. `chance` is in 0..1.
    #[must_use]
    pub fn wait_ms(&self, attempt: u32, chance: f64) -> u64 {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.base_ms as f64 * self.factor.max(1.0).powi(exponent);
        let capped = grown.min(self.max_ms as f64);
        let spread = 1.0 + self.jitter.clamp(0.0, 1.0) * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
        (capped * spread).round() as u64
    }
}

/// What becomes of a task after an attempt ended badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Another attempt after this many ms.
    AgainIn(u64),
    /// Another attempt at once, before the user's other tasks.
    AgainNow,
    /// No attempt left, or none wanted.
    Bury,
}

/// After an attempt failed. `asked_ms` is what the failure itself asked for (such as a
/// `Retry-After`), and wins over the backoff when longer.
#[must_use]
pub fn after_failure(
    attempt: u32,
    attempts_max: u32,
    backoff: &Backoff,
    asked_ms: Option<u64>,
    chance: f64,
) -> Verdict {
    if attempt >= attempts_max {
        return Verdict::Bury;
    }
    let wait_ms = backoff.wait_ms(attempt, chance);
    Verdict::AgainIn(asked_ms.map_or(wait_ms, |asked| asked.max(wait_ms)))
}

/// After a worker was lost with the attempt. The first loss is forgiven at once, since it is
/// seldom the task's fault; later ones wait, so that a task that kills its worker hurts less.
#[must_use]
pub fn after_loss(attempt: u32, attempts_max: u32, backoff: &Backoff, chance: f64) -> Verdict {
    match after_failure(attempt, attempts_max, backoff, None, chance) {
        Verdict::AgainIn(_) if attempt <= 1 => Verdict::AgainNow,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_follow_the_formula_and_its_bounds(attempt in 1_u32..10_000, chance in 0.0..1.0f64) {
            let policy = Backoff::DEFAULT;
            let wait = policy.wait_ms(attempt, chance) as f64;
            let plain = (2_000.0 * 2_f64.powi(attempt.min(40) as i32 - 1)).min(600_000.0);
            prop_assert!(wait >= plain * 0.8 - 1.0 && wait <= plain * 1.2 + 1.0);
        }

        #[test]
        fn attempts_never_exceed_their_maximum(attempt in 1_u32..50, max in 1_u32..50, chance in 0.0..1.0f64) {
            let failed = after_failure(attempt, max, &Backoff::DEFAULT, None, chance);
            let lost = after_loss(attempt, max, &Backoff::DEFAULT, chance);
            prop_assert_eq!(failed == Verdict::Bury, attempt >= max);
            prop_assert_eq!(lost == Verdict::Bury, attempt >= max);
        }
    }

    #[test]
    fn a_longer_request_of_the_failure_wins() {
        let verdict = after_failure(1, 5, &Backoff::DEFAULT, Some(60_000), 0.5);
        assert_eq!(verdict, Verdict::AgainIn(60_000));
        assert_eq!(after_failure(1, 5, &Backoff::DEFAULT, Some(1), 0.5), Verdict::AgainIn(2_000));
    }

    #[test]
    fn the_first_loss_is_forgiven_at_once() {
        assert_eq!(after_loss(1, 5, &Backoff::DEFAULT, 0.5), Verdict::AgainNow);
        assert_eq!(after_loss(2, 5, &Backoff::DEFAULT, 0.5), Verdict::AgainIn(4_000));
    }
}
