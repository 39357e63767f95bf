//! Which walks a test of a store makes, and the one command that makes one of them again.

use std::ops::Range;

/// The first seed of the walks, instead of the test's own.
const SEED: &str = "TASKTONIC_SEED";
/// How many walks from there: one, unless this says more.
const SEEDS: &str = "TASKTONIC_SEEDS";

/// The seeds of a test: `usual`, or those that `TASKTONIC_SEED` and `TASKTONIC_SEEDS` name.
#[must_use]
pub fn seeds(usual: Range<u64>) -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match (number(SEED), number(SEEDS)) {
        (None, None) => usual,
        (first, count) => {
            let first = first.unwrap_or(usual.start);
            first..first + count.unwrap_or(1)
        }
    }
}

/// The command that walks `seed` again, and nothing else, in the test that runs now.
pub(super) fn command(seed: u64) -> String {
    let package = std::env::var("CARGO_PKG_NAME").ok();
    // `differential-0f2a…`: the name of the target, and what cargo puts behind it.
    let program = std::env::current_exe().ok();
    let target = program.as_deref().and_then(|path| path.file_stem()?.to_str()?.rsplit_once('-'));
    let thread = std::thread::current();
    // Both runners name the thread of a test like the test.
    let test = thread.name().filter(|name| *name != "main");
    match (package, target, test) {
        (Some(package), Some((target, _)), Some(test)) => {
            format!("{SEED}={seed} cargo test -p {package} --test {target} -- --exact {test}")
        }
        _ => format!("{SEED}={seed} and the command of this test"),
    }
}

/// Held while a seed is walked: says how to walk it again if the test fails meanwhile.
pub(super) struct Replay(pub(super) u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("again: {}", command(self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_is_replayed_by_one_command_that_names_its_seed_and_its_test() {
        let command = command(17);
        assert!(
            command.starts_with("TASKTONIC_SEED=17 cargo test -p tasktonic-store "),
            "{command}"
        );
        let test = "conformance::replay::tests::\
                    a_walk_is_replayed_by_one_command_that_names_its_seed_and_its_test";
        assert!(command.ends_with(&format!("-- --exact {test}")), "{command}");
    }

    #[test]
    fn without_a_word_from_outside_a_test_walks_as_usual() {
        if std::env::var_os(SEED).is_none() && std::env::var_os(SEEDS).is_none() {
            assert_eq!(seeds(3..9), 3..9);
        }
    }
}
