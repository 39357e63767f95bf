//! `cargo xtask test`: everything that must hold, in one go, on a machine that has Rust and
//! Node.js. `.ci/run` calls exactly this.
//!
//! Two lanes, cargo's and Node's, run beside each other; what needs both comes after. The first
//! failure stops the rest. Last come a table of the steps and one line `N passed, N failed`.

mod browsed;
mod browsers;
mod chaos;
mod counts;
pub(crate) mod steps;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::run;
use counts::Counts;
use steps::{Lane, STEPS, Step};

/// Arguments of `test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this step (may be given more than once)
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Show the steps and stop
    #[arg(long)]
    list: bool,
}

struct Outcome {
    name: &'static str,
    verdict: Verdict,
    took: Duration,
    counts: Counts,
    note: String,
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Verdict {
    Passed,
    Failed,
    NotRun,
}

pub(crate) fn test(args: &Args) -> Result<()> {
    if args.list {
        for step in STEPS {
            println!("{:<11} {}", step.name, step.what);
        }
        return Ok(());
    }
    if let Some(unknown) = args.only.iter().find(|name| !STEPS.iter().any(|s| s.name == **name)) {
        bail!("there is no step {unknown}: `cargo xtask test --list` shows them");
    }
    run::guard()?;
    let since = Instant::now();
    let wanted: Vec<&Step> = STEPS
        .iter()
        .filter(|step| args.only.is_empty() || args.only.iter().any(|name| name == step.name))
        .collect();
    let round = Round::default();
    round.lane(&wanted, Lane::First);
    std::thread::scope(|scope| {
        scope.spawn(|| round.lane(&wanted, Lane::Node));
        round.lane(&wanted, Lane::Cargo);
    });
    round.lane(&wanted, Lane::Last);
    round.report(&wanted, since.elapsed())
}

#[derive(Default)]
struct Round {
    outcomes: Mutex<Vec<Outcome>>,
    over: AtomicBool,
}

impl Round {
    fn lane(&self, steps: &[&Step], lane: Lane) {
        for step in steps.iter().filter(|step| step.lane == lane) {
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            self.step(step);
        }
    }

    fn step(&self, step: &Step) {
        run::say(&format!("-- {}", step.name));
        let since = Instant::now();
        let done = (step.work)();
        let took = since.elapsed();
        let (verdict, counts, note) = match done {
            Ok(done) => (Verdict::Passed, done.counts, done.note),
            // Whoever failed first has stopped the others; their complaint is not news.
            Err(_) if self.over.load(Ordering::SeqCst) => return,
            Err(error) => {
                self.over.store(true, Ordering::SeqCst);
                run::stop_all();
                run::say(&format!("\n{error:#}\n"));
                let counts = counts::read(&error.to_string());
                (Verdict::Failed, Counts { failed: counts.failed.max(1), ..counts }, String::new())
            }
        };
        let word = if verdict == Verdict::Passed { "ok" } else { "FAILED" };
        run::say(&format!("   {} {word} in {} {note}", step.name, run::clock(took)));
        self.outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(Outcome {
            name: step.name,
            verdict,
            took,
            counts,
            note,
        });
    }

    fn report(self, wanted: &[&Step], took: Duration) -> Result<()> {
        let done = self.outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let rows: Vec<Outcome> = wanted
            .iter()
            .map(|step| {
                let found = done.iter().find(|outcome| outcome.name == step.name);
                Outcome {
                    name: step.name,
                    verdict: found.map_or(Verdict::NotRun, |o| o.verdict),
                    took: found.map_or(Duration::ZERO, |o| o.took),
                    counts: found.map_or(Counts::default(), |o| o.counts),
                    note: found.map_or(String::new(), |o| o.note.clone()),
                }
            })
            .collect();
        println!("\n{:<11} {:<7} {:>6} {:>7} {:>7}", "step", "result", "time", "passed", "failed");
        for row in &rows {
            let word = match row.verdict {
                Verdict::Passed => "ok",
                Verdict::Failed => "FAILED",
                Verdict::NotRun => "not run",
            };
            println!(
                "{:<11} {word:<7} {:>6} {:>7} {:>7}  {}",
                row.name,
                run::clock(row.took),
                row.counts.passed,
                row.counts.failed,
                row.note
            );
        }
        let passed: u32 = rows.iter().map(|row| row.counts.passed).sum();
        let failed: u32 = rows.iter().map(|row| row.counts.failed).sum();
        println!("\nin {}", run::clock(took));
        println!("{passed} passed, {failed} failed");
        if rows.iter().all(|row| row.verdict == Verdict::Passed) && failed == 0 {
            return Ok(());
        }
        bail!("the tests did not pass")
    }
}
