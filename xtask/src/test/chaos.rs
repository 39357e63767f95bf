//! The step that breaks things: each form of the product under one seed that never changes and one
//! that is fresh, two deployments at a time, since most of their time is spent waiting for leases.

use anyhow::{Context, Result, anyhow};

use super::counts::Counts;
use super::steps::{Done, binary};
use crate::run;

/// The seed of every round, so that what it once found stays found.
const SEED: &str = "7";
/// How long things are broken in one run, in minutes. Every fault happens once all the same.
const MINUTES: &str = "0.2";
/// Which runs are made beside each other: a form, and whether its seed is fresh.
const ROUNDS: &[[(&str, bool); 2]] = &[
    [("embedded", false), ("redis", false)],
    [("cluster", false), ("embedded", true)],
    [("redis", true), ("cluster", true)],
];

pub(crate) fn all() -> Result<Done> {
    let mut fresh = Vec::new();
    for round in ROUNDS {
        let runs: Vec<Result<Option<String>>> = std::thread::scope(|scope| {
            let started: Vec<_> =
                round.iter().map(|(form, is_fresh)| scope.spawn(|| one(form, *is_fresh))).collect();
            let broke = |_| Err(anyhow!("a run of chaos broke"));
            started.into_iter().map(|run| run.join().unwrap_or_else(broke)).collect()
        });
        for run in runs {
            fresh.extend(run?);
        }
    }
    let passed = u32::try_from(ROUNDS.len() * 2).unwrap_or(u32::MAX);
    let note = format!("seed {SEED}, and {}", fresh.join(", "));
    Ok(Done { counts: Counts { passed, failed: 0 }, note })
}

/// One run; what it says of its seed, if that was fresh.
fn one(form: &str, is_fresh: bool) -> Result<Option<String>> {
    let program = binary(crate::chaos::PROGRAM)?;
    let mut command = run::program(&program.to_string_lossy());
    command.args(["--form", form, "--minutes", MINUTES]);
    if !is_fresh {
        command.args(["--seed", SEED]);
    }
    let title = format!("chaos {form}{}", if is_fresh { " fresh" } else { "" });
    let done = run::run(&title, &mut command)?;
    let seed = seed_of(&done.output).with_context(|| format!("{title} does not say its seed"))?;
    Ok(is_fresh.then(|| format!("{form} {seed}")))
}

/// `embedded · seed 17 · …`
fn seed_of(output: &str) -> Option<String> {
    let (_, rest) = output.split_once(" · seed ")?;
    Some(rest.split(' ').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_a_run_of_the_old_seed_and_one_of_a_fresh_one() {
        let mut runs: Vec<_> = ROUNDS.iter().flatten().copied().collect();
        runs.sort_unstable();
        let forms = ["cluster", "embedded", "redis"];
        let expected: Vec<_> = forms.iter().flat_map(|f| [(*f, false), (*f, true)]).collect();
        assert_eq!(runs, expected);
    }

    #[test]
    fn the_seed_of_a_run_is_read_from_its_first_line() {
        assert_eq!(seed_of("redis · seed 4711 · 0.2 min of faults\n"), Some("4711".into()));
        assert_eq!(seed_of("nothing"), None);
    }
}
