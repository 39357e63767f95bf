//! What a run says in the end: the table for people, `report.json` for programs, and the command
//! that does it again.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::check::{RESET, SITUATIONS, Verdict};
use crate::deployment::Form;
use crate::faults;

/// The whole report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Whether everything held and everything was met with.
    pub(crate) passed: bool,
    form: Form,
    seed: u64,
    minutes: f64,
    /// The command that makes the same choices again.
    replay: String,
    /// What was never met with, and had to be.
    never: Vec<String>,
    /// Why the run came to no good end, if it did not.
    failure: Option<String>,
    #[serde(flatten)]
    verdict: Verdict,
}

impl Report {
    /// A report on a run, which failed with `failure` if it did.
    pub(crate) fn new(
        form: Form,
        seed: u64,
        minutes: f64,
        verdict: Verdict,
        failure: Option<String>,
    ) -> Self {
        let never = never(form, &verdict);
        let passed = verdict.is_clean() && never.is_empty() && failure.is_none();
        let replay =
            format!("cargo xtask chaos --form {} --minutes {minutes} --seed {seed}", form.name());
        Self { passed, form, seed, minutes, replay, never, failure, verdict }
    }

    /// Keeps it in `folder`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn keep(&self, folder: &Path) -> Result<()> {
        let path = folder.join("report.json");
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(&path, text + "\n").with_context(|| format!("writing {}", path.display()))
    }

    /// As JSON on one line.
    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// As people read it.
    pub(crate) fn table(&self, folder: &Path) -> String {
        let figures = &self.verdict.figures;
        let mut text = format!(
            "\n{} · seed {} · {} accepted, {} recovered, {} attempts: {} completed, {} failed, {} \
             cancelled; {} done more than once\nattempts of dead workers: {} were taken over after \
             p50 {}, p99 {}, longest {} ms; {} began again after p50 {}, p99 {}, longest {} ms\nall \
             done {} ms after the last fault\n\n",
            self.form.name(),
            self.seed,
            figures.accepted,
            figures.recovered,
            figures.attempts,
            figures.completed,
            figures.failed,
            figures.cancelled,
            figures.done_again,
            figures.taken_over,
            figures.taken_over_p50_ms,
            figures.taken_over_p99_ms,
            figures.taken_over_max_ms,
            figures.recoveries,
            figures.recovery_p50_ms,
            figures.recovery_p99_ms,
            figures.recovery_max_ms,
            figures.drained_after_ms,
        );
        for ruling in &self.verdict.rulings {
            let held = match (ruling.broken, ruling.looked_at) {
                (0, 0) => "-- ",
                (0, _) => "ok ",
                _ => "NO ",
            };
            text.push_str(&format!(
                "{held} {:>4} of {:<6} {}\n",
                ruling.broken, ruling.looked_at, ruling.sentence
            ));
            for example in &ruling.examples {
                text.push_str(&format!("            {example}\n"));
            }
        }
        text.push_str("\nmet with:\n");
        for met in figures.met.iter().filter(|met| met.times > 0) {
            text.push_str(&format!("    {:>4}  {}\n", met.times, met.what));
        }
        for never in &self.never {
            text.push_str(&format!("NO     0  {never}: a run without it proves too little\n"));
        }
        if let Some(failure) = &self.failure {
            text.push_str(&format!("\nNO  the run itself: {failure}\n"));
        }
        text.push_str(if self.passed { "\npassed\n" } else { "\nFAILED\n" });
        // Once more where a log that keeps only its end still shows it.
        for wrong in self.wrong() {
            text.push_str(&format!("    {wrong}\n"));
        }
        text.push_str(&format!("history and logs: {}\nagain: {}\n", folder.display(), self.replay));
        text
    }

    /// Why it did not pass, a line for each reason.
    fn wrong(&self) -> Vec<String> {
        let broken = self.verdict.rulings.iter().filter(|ruling| ruling.broken > 0);
        let broken = broken.map(|ruling| {
            let example = ruling.examples.first().map_or("", String::as_str);
            format!("{} times broken: {}: {example}", ruling.broken, ruling.sentence)
        });
        let never = self.never.iter().map(|what| format!("never met with: {what}"));
        broken.chain(never).chain(self.failure.clone()).collect()
    }
}

fn never(form: Form, verdict: &Verdict) -> Vec<String> {
    let faults = faults::cards(form).into_iter().filter(|card| card.needed).map(|card| card.name);
    faults
        .chain(SITUATIONS.iter().copied())
        .chain([RESET])
        .filter(|what| verdict.figures.times(what) == 0)
        .chain(verdict.blind(&[]))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;

    #[test]
    fn a_run_in_which_nothing_happened_does_not_pass() {
        let report = Report::new(Form::Redis, 7, 0.5, check(&[]), None);
        assert!(!report.passed);
        let table = report.table(Path::new("there"));
        assert!(table.contains("kill -9 of Redis: a run without it proves too little"), "{table}");
        let (_, end) = table.split_once("FAILED\n").unwrap();
        assert!(end.contains("never met with: kill -9 of Redis"), "{end}");
        assert!(table.contains("again: cargo xtask chaos --form redis --minutes 0.5 --seed 7"));
        assert!(report.json().unwrap().contains("\"passed\":false"));
    }
}
