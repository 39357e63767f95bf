//! Rules for errors: what follows an attempt that failed with a certain code.

use super::Backoff;

/// What follows an error of certain codes. Of a list of rules the first that fits decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The code; with `*` at its end all codes that begin like it, so `*` alone is every code.
    pub code: String,
    /// What follows.
    pub action: Action,
}

/// What a rule does with an attempt that failed.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Another attempt after the task's backoff, or after this one.
    Again(Option<Backoff>),
    /// Another attempt after this many ms, exactly.
    AgainAfter(u64),
    /// No further attempt.
    Bury,
}

/// Whether a rule for `rule` is one for an error of `code`.
#[must_use]
pub fn fits(rule: &str, code: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(beginning) => code.starts_with(beginning),
        None => code == rule,
    }
}

/// The first of `rules` for an error of `code`.
#[must_use]
pub fn first_that_fits<'a>(rules: &'a [Rule], code: &str) -> Option<&'a Rule> {
    rules.iter().find(|rule| fits(&rule.code, code))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(code: &str, after_ms: u64) -> Rule {
        Rule { code: code.into(), action: Action::AgainAfter(after_ms) }
    }

    proptest! {
        #[test]
        fn the_first_rule_that_fits_decides(
            codes in proptest::collection::vec("[ab]{0,3}[*]?", 0..6), code in "[ab]{1,4}",
        ) {
            let rules: Vec<Rule> = codes.iter().zip(0..).map(|(code, n)| rule(code, n)).collect();
            let found = first_that_fits(&rules, &code).map(|rule| rule.action.clone());
            let mut expected = None;
            for (rule, n) in codes.iter().zip(0_u64..).collect::<Vec<_>>().into_iter().rev() {
                let is_for_it = rule == &code
                    || rule.ends_with('*') && code.starts_with(rule.trim_end_matches('*'));
                if is_for_it {
                    expected = Some(Action::AgainAfter(n));
                }
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_star_at_the_end_is_any_end_and_nowhere_else() {
        assert!(fits("http_4*", "http_404") && fits("http_404", "http_404"));
        assert!(fits("*", "anything") && fits("http_*", "http_"));
        assert!(!fits("http_4*", "http_500") && !fits("http", "http_404"));
        assert!(!fits("*_404", "http_404"), "a star inside is a star");
    }
}
