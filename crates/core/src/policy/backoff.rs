//! How long to wait between attempts.

/// The wait between attempts, in one of three forms. In each, `jitter` is the share of the wait that
/// is spread at random, 0 to 1: a wait `w` becomes `w · (1 ± jitter)`.
#[derive(Debug, Clone, PartialEq)]
pub enum Backoff {
    /// The same wait every time.
    Fixed {
        /// The wait, in ms.
        wait_ms: u64,
        /// The spread.
        jitter: f64,
    },
    /// `base · factor^(attempt − 1)`, at most `max`.
    Exponential {
        /// Wait after the first failed attempt, in ms.
        base_ms: u64,
        /// Growth per attempt, at least 1.
        factor: f64,
        /// Longest wait before jitter, in ms.
        max_ms: u64,
        /// The spread.
        jitter: f64,
    },
    /// One wait per failed attempt; the last one is used from then on.
    List {
        /// The waits, in ms; none means no wait.
        waits_ms: Vec<u64>,
        /// The spread.
        jitter: f64,
    },
}

impl Backoff {
    /// 2 s, doubling, at most 10 minutes, spread by a fifth.
    pub const DEFAULT: Self = Self::Exponential {
        base_ms: 2_000,
        factor: 2.0,
        max_ms: 600_000,
        jitter: Self::JITTER_DEFAULT,
    };
    /// The spread unless something else is said: a fifth.
    pub const JITTER_DEFAULT: f64 = 0.2;

    /// The wait after failed attempt number `attempt` (from 1), in ms. `chance` is in 0..1.
    #[must_use]
    pub fn wait_ms(&self, attempt: u32, chance: f64) -> u64 {
        let (plain, jitter) = match self {
            Self::Fixed { wait_ms, jitter } => (*wait_ms as f64, jitter),
            Self::Exponential { base_ms, factor, max_ms, jitter } => {
                let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
                let grown = *base_ms as f64 * factor.max(1.0).powi(exponent);
                (grown.min(*max_ms as f64), jitter)
            }
            Self::List { waits_ms, jitter } => {
                let at = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
                let wait = waits_ms.get(at).or(waits_ms.last()).copied().unwrap_or(0);
                (wait as f64, jitter)
            }
        };
        let spread = 1.0 + jitter.clamp(0.0, 1.0) * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
        (plain * spread).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A form, and what it waits without jitter after an attempt, written down a second time.
    fn form() -> impl Strategy<Value = (Backoff, u32, f64)> {
        let jitter = 0.0..=1.0f64;
        prop_oneof![
            (0_u64..10_000_000, jitter.clone(), 1_u32..2_000).prop_map(
                |(wait_ms, jitter, attempt)| {
                    (Backoff::Fixed { wait_ms, jitter }, attempt, wait_ms as f64)
                }
            ),
            (1_u64..100_000, 1.0..10.0f64, 1_u64..10_000_000, jitter.clone(), 1_u32..2_000)
                .prop_map(|(base_ms, factor, max_ms, jitter, attempt)| {
                    let mut plain = (base_ms as f64).min(max_ms as f64);
                    for _ in 1..attempt {
                        plain = (plain * factor).min(max_ms as f64);
                    }
                    (Backoff::Exponential { base_ms, factor, max_ms, jitter }, attempt, plain)
                }),
            (proptest::collection::vec(0_u64..10_000_000, 0..8), jitter, 1_u32..20).prop_map(
                |(waits_ms, jitter, attempt)| {
                    let at = (attempt as usize).min(waits_ms.len());
                    let plain = if at == 0 { 0.0 } else { waits_ms[at - 1] as f64 };
                    (Backoff::List { waits_ms, jitter }, attempt, plain)
                }
            ),
        ]
    }

    fn jitter_of(backoff: &Backoff) -> f64 {
        match backoff {
            Backoff::Fixed { jitter, .. }
            | Backoff::Exponential { jitter, .. }
            | Backoff::List { jitter, .. } => *jitter,
        }
    }

    proptest! {
        #[test]
        fn waits_of_every_form_follow_their_formula_and_bounds(
            (backoff, attempt, plain) in form(), chance in 0.0..1.0f64,
        ) {
            let jitter = jitter_of(&backoff);
            let wait = backoff.wait_ms(attempt, chance) as f64;
            // A product of many factors is not exact.
            let slack = 1.0 + plain * 1e-6;
            let exact = plain * (1.0 + jitter * (2.0 * chance - 1.0));
            prop_assert!((wait - exact).abs() <= slack, "{backoff:?}: {wait} and not {exact}");
            prop_assert!(wait >= plain * (1.0 - jitter) - slack);
            prop_assert!(wait <= plain * (1.0 + jitter) + slack);
        }

        #[test]
        fn waits_follow_the_formula_and_its_bounds(attempt in 1_u32..10_000, chance in 0.0..1.0f64) {
            let wait = Backoff::DEFAULT.wait_ms(attempt, chance) as f64;
            let plain = (2_000.0 * 2_f64.powi(attempt.min(40) as i32 - 1)).min(600_000.0);
            prop_assert!(wait >= plain * 0.8 - 1.0 && wait <= plain * 1.2 + 1.0);
        }
    }

    #[test]
    fn the_last_wait_of_a_list_is_used_from_then_on() {
        let list = Backoff::List { waits_ms: vec![10, 500, 3_000], jitter: 0.0 };
        let waits: Vec<u64> = (1..=5).map(|attempt| list.wait_ms(attempt, 0.3)).collect();
        assert_eq!(waits, [10, 500, 3_000, 3_000, 3_000]);
    }
}
