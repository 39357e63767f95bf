//! The bounds of what may be said of attempts, each fault with its place.

use super::{
    ATTEMPTS_MAX, Action, Asked, Backoff, CODE_BYTES_MAX, CRASHES_MAX, FACTOR_MAX, KEEP_S_MAX,
    KEEP_S_MIN, Keep, RULES_MAX, Rule, TIMEOUT_MS_MAX, WAIT_MS_MAX, WAITS_MAX,
};
use crate::problem::FieldError;

impl Asked {
    /// What is out of bounds: every fault, with a JSON Pointer from where these members stand.
    #[must_use]
    pub fn faults(&self) -> Vec<FieldError> {
        let mut faults = Faults(Vec::new());
        faults.within("/attempts_max", self.attempts_max, 1, ATTEMPTS_MAX);
        faults.within("/crashes_max", self.crashes_max, 1, CRASHES_MAX);
        faults.within("/timeout_ms", self.timeout_ms, 1, TIMEOUT_MS_MAX);
        faults.within("/soft_timeout_ms", self.soft_timeout_ms, 1, TIMEOUT_MS_MAX);
        if let (Some(soft), Some(hard)) = (self.soft_timeout_ms, self.timeout_ms)
            && soft >= hard
        {
            faults.add("/soft_timeout_ms", format!("has to be below timeout_ms, {hard}"));
        }
        if let Some(backoff) = &self.backoff {
            faults.backoff("/backoff", backoff);
        }
        let rules = self.rules.as_deref().unwrap_or_default();
        if rules.len() > RULES_MAX {
            faults.add("/rules", format!("has at most {RULES_MAX} rules"));
        }
        for (at, rule) in rules.iter().take(RULES_MAX).enumerate() {
            faults.rule(&format!("/rules/{at}"), rule);
        }
        if let Some(Keep { completed_s, cancelled_s, failed_s }) = self.keep {
            faults.within("/keep/completed_s", completed_s, KEEP_S_MIN, KEEP_S_MAX);
            faults.within("/keep/cancelled_s", cancelled_s, KEEP_S_MIN, KEEP_S_MAX);
            faults.within("/keep/failed_s", failed_s, KEEP_S_MIN, KEEP_S_MAX);
        }
        faults.0
    }
}

struct Faults(Vec<FieldError>);

impl Faults {
    fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), detail: detail.into() });
    }

    fn within<N: PartialOrd + std::fmt::Display>(
        &mut self,
        pointer: &str,
        number: Option<N>,
        least: N,
        most: N,
    ) {
        // What compares with nothing, a number that is none, is out of bounds too.
        if number.is_some_and(|number| !(least <= number && number <= most)) {
            self.add(pointer, format!("is {least} to {most}"));
        }
    }

    fn backoff(&mut self, at: &str, backoff: &Backoff) {
        let jitter = match backoff {
            Backoff::Fixed { wait_ms, jitter } => {
                self.within(&format!("{at}/wait_ms"), Some(*wait_ms), 0, WAIT_MS_MAX);
                *jitter
            }
            Backoff::Exponential { base_ms, factor, max_ms, jitter } => {
                self.within(&format!("{at}/base_ms"), Some(*base_ms), 0, WAIT_MS_MAX);
                self.within(&format!("{at}/factor"), Some(*factor), 1.0, FACTOR_MAX);
                self.within(&format!("{at}/max_ms"), Some(*max_ms), 0, WAIT_MS_MAX);
                *jitter
            }
            Backoff::List { waits_ms, jitter } => {
                if !(1..=WAITS_MAX).contains(&waits_ms.len()) {
                    self.add(format!("{at}/waits_ms"), format!("has 1 to {WAITS_MAX} waits"));
                }
                for (n, wait_ms) in waits_ms.iter().take(WAITS_MAX).enumerate() {
                    self.within(&format!("{at}/waits_ms/{n}"), Some(*wait_ms), 0, WAIT_MS_MAX);
                }
                *jitter
            }
        };
        self.within(&format!("{at}/jitter"), Some(jitter), 0.0, 1.0);
    }

    fn rule(&mut self, at: &str, rule: &Rule) {
        let Rule { code, action, after_ms, backoff } = rule;
        let beginning = code.strip_suffix('*').unwrap_or(code);
        let plain = !beginning.contains(|c: char| c == '*' || c.is_whitespace() || c.is_control());
        if !(1..=CODE_BYTES_MAX).contains(&code.len()) || !plain {
            self.add(
                format!("{at}/code"),
                format!(
                    "is the code of an error, 1 to {CODE_BYTES_MAX} bytes, or its beginning and one * at the end"
                ),
            );
        }
        match (action, after_ms) {
            (Action::AgainAfter, None) => {
                self.add(format!("{at}/after_ms"), "is needed with again_after");
            }
            (Action::AgainAfter, Some(_)) => {
                self.within(&format!("{at}/after_ms"), *after_ms, 0, WAIT_MS_MAX);
            }
            (_, Some(_)) => self.add(format!("{at}/after_ms"), "goes with again_after only"),
            (_, None) => {}
        }
        match (action, backoff) {
            (Action::Again, Some(backoff)) => self.backoff(&format!("{at}/backoff"), backoff),
            (_, Some(_)) => self.add(format!("{at}/backoff"), "goes with again only"),
            (_, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(asked: &Asked) -> Vec<String> {
        asked.faults().into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn every_bound_is_taken_and_one_more_is_refused_with_its_place() {
        let keep = |s| Keep { completed_s: Some(s), cancelled_s: Some(s), failed_s: Some(s) };
        let list = |n| Backoff::List { waits_ms: vec![WAIT_MS_MAX; n], jitter: 1.0 };
        let most = Asked {
            attempts_max: Some(ATTEMPTS_MAX),
            crashes_max: Some(CRASHES_MAX),
            backoff: Some(list(WAITS_MAX)),
            rules: Some(vec![Rule::new("c".repeat(CODE_BYTES_MAX), Action::Bury); RULES_MAX]),
            soft_timeout_ms: Some(TIMEOUT_MS_MAX - 1),
            timeout_ms: Some(TIMEOUT_MS_MAX),
            keep: Some(keep(KEEP_S_MAX)),
        };
        assert_eq!(places(&most), [""; 0]);
        let more = Asked {
            attempts_max: Some(ATTEMPTS_MAX + 1),
            crashes_max: Some(CRASHES_MAX + 1),
            backoff: Some(list(WAITS_MAX + 1)),
            rules: Some(vec![Rule::new("c", Action::Bury); RULES_MAX + 1]),
            soft_timeout_ms: Some(TIMEOUT_MS_MAX + 1),
            timeout_ms: Some(TIMEOUT_MS_MAX + 1),
            keep: Some(keep(KEEP_S_MAX + 1)),
        };
        assert_eq!(
            places(&more),
            [
                "/attempts_max",
                "/crashes_max",
                "/timeout_ms",
                "/soft_timeout_ms",
                "/soft_timeout_ms",
                "/backoff/waits_ms",
                "/rules",
                "/keep/completed_s",
                "/keep/cancelled_s",
                "/keep/failed_s",
            ]
        );
        let none = Asked {
            attempts_max: Some(0),
            crashes_max: Some(0),
            timeout_ms: Some(0),
            keep: Some(keep(KEEP_S_MIN - 1)),
            ..Asked::default()
        };
        assert_eq!(places(&none).len(), 6);
    }

    #[test]
    fn a_rule_says_what_goes_together() {
        let rule = |code: &str, action, after_ms, backoff| Rule {
            code: code.into(),
            action,
            after_ms,
            backoff,
        };
        let odd = Backoff::Exponential { base_ms: 1, factor: f64::NAN, max_ms: 1, jitter: 1.5 };
        let rules = vec![
            rule("http_4*", Action::AgainAfter, None, None),
            rule("a*b", Action::Again, Some(1), None),
            rule("", Action::Bury, None, Some(Backoff::Fixed { wait_ms: 1, jitter: 0.0 })),
            rule("fine", Action::Again, None, Some(odd)),
            rule("*", Action::AgainAfter, Some(WAIT_MS_MAX + 1), None),
        ];
        let asked = Asked { rules: Some(rules), ..Asked::default() };
        assert_eq!(
            places(&asked),
            [
                "/rules/0/after_ms",
                "/rules/1/code",
                "/rules/1/after_ms",
                "/rules/2/code",
                "/rules/2/backoff",
                "/rules/3/backoff/factor",
                "/rules/3/backoff/jitter",
                "/rules/4/after_ms",
            ]
        );
    }

    #[test]
    fn a_soft_limit_is_below_the_hard_one() {
        let asked = |soft, hard| Asked {
            soft_timeout_ms: Some(soft),
            timeout_ms: Some(hard),
            ..Asked::default()
        };
        assert_eq!(places(&asked(5, 6)), [""; 0]);
        assert_eq!(places(&asked(6, 6)), ["/soft_timeout_ms"]);
    }
}
