//! What follows a failed or lost attempt.

use super::rules::first_that_fits;
use super::{Action, Backoff, Rule};

/// Crashes after which a task is not started again by itself, unless something else is said.
pub const CRASHES_MAX_DEFAULT: u32 = 3;

/// How often a task is attempted, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptsPolicy {
    /// Attempts in all, crashes included.
    pub attempts_max: u32,
    /// Attempts that may end with the loss of their worker: with this many, the task ends. It kills
    /// its workers, most likely, and so harms others.
    pub crashes_max: u32,
    /// The wait between attempts where no rule says another.
    pub backoff: Backoff,
    /// Rules by the code of an error; the first that fits decides.
    pub rules: Vec<Rule>,
}

/// What becomes of a task after an attempt ended badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Another attempt after this many ms.
    AgainIn(u64),
    /// Another attempt at once, before the user's other tasks.
    AgainNow,
    /// No further attempt.
    Bury(Why),
}

/// Why no further attempt follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A rule wants none after this error.
    Rule,
    /// All attempts are used up.
    AttemptsUsed,
    /// Too many of them ended with the loss of their worker.
    Crashes,
}

/// After an attempt failed with an error of `code`. `asked_ms` is what the failure itself asked for
/// (such as a `Retry-After`), and wins over every other wait when longer. `chance` is in 0..1.
#[must_use]
pub fn after_failure(
    policy: &AttemptsPolicy,
    attempt: u32,
    code: &str,
    asked_ms: Option<u64>,
    chance: f64,
) -> Verdict {
    let action = first_that_fits(&policy.rules, code).map(|rule| &rule.action);
    if action == Some(&Action::Bury) {
        return Verdict::Bury(Why::Rule);
    }
    if attempt >= policy.attempts_max {
        return Verdict::Bury(Why::AttemptsUsed);
    }
    let wait_ms = match action {
        Some(Action::AgainAfter(ms)) => *ms,
        Some(Action::Again(Some(backoff))) => backoff.wait_ms(attempt, chance),
        _ => policy.backoff.wait_ms(attempt, chance),
    };
    Verdict::AgainIn(asked_ms.map_or(wait_ms, |asked| asked.max(wait_ms)))
}

/// After a worker was lost with the attempt, which gave an error of `code`; `losses` counts this
/// loss too. The first attempt is forgiven at once, since its loss is seldom the task's fault, unless
/// a rule is for this error; later ones wait, so that a task that kills its worker hurts less.
#[must_use]
pub fn after_loss(
    policy: &AttemptsPolicy,
    attempt: u32,
    losses: u32,
    code: &str,
    chance: f64,
) -> Verdict {
    match after_failure(policy, attempt, code, None, chance) {
        Verdict::Bury(Why::Rule) => Verdict::Bury(Why::Rule),
        _ if losses >= policy.crashes_max => Verdict::Bury(Why::Crashes),
        Verdict::AgainIn(_) if attempt <= 1 && first_that_fits(&policy.rules, code).is_none() => {
            Verdict::AgainNow
        }
        other => other,
    }
}

/// How many attempts of a task's present life lost their worker, the one that is being settled
/// included: attempt number `attempt`. `before` is its history, the newest last: each attempt's
/// number, and whether it was lost. A life that ended by *Try again* counts its attempts anew, so its
/// numbers do not go on falling when read backwards.
#[must_use]
pub fn losses_so_far(attempt: u32, before: &[(u32, bool)]) -> u32 {
    let mut losses = 1;
    let mut above = attempt;
    for (number, lost) in before.iter().rev() {
        let is_of_this_life = if *lost { *number < above } else { *number <= above };
        if !is_of_this_life {
            break;
        }
        losses += u32::from(*lost);
        above = *number;
    }
    losses
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(attempts_max: u32, crashes_max: u32) -> AttemptsPolicy {
        AttemptsPolicy { attempts_max, crashes_max, backoff: Backoff::DEFAULT, rules: Vec::new() }
    }

    fn rule(code: &str, action: Action) -> Rule {
        Rule { code: code.into(), action }
    }

    proptest! {
        #[test]
        fn attempts_never_exceed_their_maximum(
            attempt in 1_u32..50, max in 1_u32..50, crashes_max in 1_u32..50, chance in 0.0..1.0f64,
        ) {
            let policy = policy(max, crashes_max);
            let failed = after_failure(&policy, attempt, "e", None, chance);
            let lost = after_loss(&policy, attempt, attempt, "worker_lost", chance);
            prop_assert_eq!(matches!(failed, Verdict::Bury(_)), attempt >= max);
            prop_assert_eq!(matches!(lost, Verdict::Bury(_)), attempt >= max.min(crashes_max));
        }

        #[test]
        fn no_rule_gives_more_attempts_than_there_are(
            attempt in 1_u32..50, max in 1_u32..50, after_ms: u64, asked: Option<u64>,
        ) {
            let rules = vec![
                rule("a", Action::AgainAfter(after_ms)),
                rule("b", Action::Again(None)),
                rule("c", Action::Bury),
            ];
            let policy = AttemptsPolicy { rules, ..policy(max, 3) };
            for code in ["a", "b", "c", "d"] {
                let verdict = after_failure(&policy, attempt, code, asked, 0.5);
                let buried = matches!(verdict, Verdict::Bury(_));
                prop_assert_eq!(buried, attempt >= max || code == "c");
                if let (Verdict::AgainIn(ms), Some(asked)) = (verdict, asked) {
                    prop_assert!(ms >= asked, "what was asked for is the least");
                }
            }
        }

        /// Lives of a task, each of attempts that are lost, fail, or are given back uncounted.
        #[test]
        fn only_losses_of_the_present_life_count(
            lives in proptest::collection::vec(proptest::collection::vec(0_u8..3, 1..8), 1..4),
        ) {
            let mut history = Vec::new();
            let (mut attempt, mut losses) = (1, 0);
            for life in &lives {
                (attempt, losses) = (1, 0);
                for what in life {
                    history.push((attempt, *what == 0));
                    losses += u32::from(*what == 0);
                    attempt += u32::from(*what < 2);
                }
            }
            prop_assert_eq!(losses_so_far(attempt, &history), losses + 1);
        }
    }

    #[test]
    fn a_longer_request_of_the_failure_wins() {
        let policy = policy(5, 3);
        let verdict = after_failure(&policy, 1, "busy", Some(60_000), 0.5);
        assert_eq!(verdict, Verdict::AgainIn(60_000));
        assert_eq!(after_failure(&policy, 1, "busy", Some(1), 0.5), Verdict::AgainIn(2_000));
    }

    #[test]
    fn the_first_loss_is_forgiven_at_once() {
        let policy = policy(5, 3);
        assert_eq!(after_loss(&policy, 1, 1, "worker_lost", 0.5), Verdict::AgainNow);
        assert_eq!(after_loss(&policy, 2, 2, "worker_lost", 0.5), Verdict::AgainIn(4_000));
        assert_eq!(after_loss(&policy, 3, 3, "worker_lost", 0.5), Verdict::Bury(Why::Crashes));
        assert_eq!(after_loss(&policy, 3, 1, "worker_lost", 0.5), Verdict::AgainIn(8_000));
    }

    #[test]
    fn rules_say_what_follows_an_error() {
        let short = Backoff::Fixed { wait_ms: 7, jitter: 0.0 };
        let rules = vec![
            rule("http_429", Action::AgainAfter(30_000)),
            rule("http_4*", Action::Bury),
            rule("http_5*", Action::Again(Some(short))),
            rule("worker_lost", Action::AgainAfter(1_000)),
        ];
        let policy = AttemptsPolicy { rules, ..policy(5, 3) };
        let after = |code| after_failure(&policy, 1, code, None, 0.5);
        assert_eq!(after("http_429"), Verdict::AgainIn(30_000));
        assert_eq!(after("http_404"), Verdict::Bury(Why::Rule));
        assert_eq!(after("http_503"), Verdict::AgainIn(7));
        assert_eq!(after("other"), Verdict::AgainIn(2_000));
        assert_eq!(after_loss(&policy, 1, 1, "worker_lost", 0.5), Verdict::AgainIn(1_000));
    }
}
