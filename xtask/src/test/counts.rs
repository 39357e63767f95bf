//! How many tests a runner says it ran.

/// Tests by outcome.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
}

/// Adds up the summaries of cargo test, cargo-nextest, gungraun, vitest and node's runner in
/// `output`.
pub(crate) fn read(output: &str) -> Counts {
    let mut counts = Counts::default();
    // cargo-nextest shows what a test that failed had printed, its own summary included, also of one
    // that then passed.
    let has_nextest =
        output.lines().any(|line| crate::run::plain(line).trim().starts_with("Summary ["));
    for line in output.lines() {
        let line = crate::run::plain(line);
        let line = line.trim();
        let rust = !has_nextest && line.starts_with("test result:");
        let nextest = line.starts_with("Summary [");
        let vitest = line.starts_with("Tests ");
        if rust || nextest || vitest {
            counts.passed += before(line, "passed");
            counts.failed += before(line, "failed") + before(line, "timed out");
        }
        // What gungraun counts is one test each.
        if line.starts_with("Gungraun result:") {
            counts.passed += before(line, "without regressions");
            counts.failed += before(line, "regressed;");
        }
        let node = |word: &str| {
            line.trim_start_matches(['#', 'ℹ', ' ']).strip_prefix(word)?.trim().parse::<u32>().ok()
        };
        if line.starts_with(['#', 'ℹ']) {
            counts.passed += node("pass ").unwrap_or(0);
            counts.failed += node("fail ").unwrap_or(0);
        }
    }
    counts
}

/// The number in front of `word`.
fn before(line: &str, word: &str) -> u32 {
    line.find(&format!(" {word}"))
        .and_then(|at| line[..at].rsplit([' ', '(']).next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runner_is_understood() {
        let of = |text: &str| {
            let counts = read(text);
            (counts.passed, counts.failed)
        };
        assert_eq!(of("test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured"), (5, 0));
        assert_eq!(
            of("     Summary [   1.2s] 12 tests run: 10 passed, 2 failed, 0 skipped"),
            (10, 2)
        );
        assert_eq!(
            of("     Summary [   1.2s] 3 tests run: 2 passed, 1 timed out, 0 skipped"),
            (2, 1)
        );
        assert_eq!(
            of(
                "  TRY 1 FAIL [ 1.0s] a b\n    test result: FAILED. 0 passed; 1 failed; 0 ignored\n \
                Summary [   1.2s] 3 tests run: 3 passed (1 flaky), 0 skipped"
            ),
            (3, 0)
        );
        assert_eq!(
            of("Gungraun result: Regressed. 2 without regressions; 3 regressed; 0 filtered; 5 \
                benchmarks finished in 15.9s"),
            (2, 3)
        );
        assert_eq!(of("      Tests  1 failed | 22 passed (23)"), (22, 1));
        assert_eq!(
            of("\u{1b}[2m      Tests \u{1b}[22m \u{1b}[1m23 passed\u{1b}[22m (23)"),
            (23, 0)
        );
        assert_eq!(of("# tests 4\n# pass 3\n# fail 1\n"), (3, 1));
        assert_eq!(of("ℹ pass 7\nℹ fail 0"), (7, 0));
        assert_eq!(of("nothing of the kind: 5 passed by"), (0, 0));
    }
}
