//! What one user or one kind of task does to the others: a long queue, a rate limit, a bulk
//! operation, a task that kills its workers; each on both stores, from outside.

mod kills;
mod page;
mod report;
mod staff;
mod stage;
mod waits;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use tasktonic_protocol::time::rfc3339;
use tasktonic_store::clock::Clock;
use tokio::signal::unix::{SignalKind, signal};

use crate::Options;
use crate::figures::Figure;
use crate::machine::Machine;
use report::{Load, Report, Store};

/// What this verb takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct NeighboursOptions {
    /// Only these: queue, rate, bulk, kills; nothing is written to the documents then
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<String>,
}

/// The parts, and what each measures of waits.
const PARTS: [(&str, &[Load]); 4] = [
    ("queue", &[Load::Queue, Load::MixedQueue, Load::SerialKeys, Load::MixedKeys]),
    ("rate", &[Load::Rate]),
    ("bulk", &[Load::Bulk]),
    ("kills", &[]),
];

/// Measures all of them, or those asked for.
pub(crate) async fn measure(
    options: &Options,
    asked: &NeighboursOptions,
    repository: &Path,
) -> Result<Vec<Figure>> {
    let mut terminated = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    tokio::select! {
        figures = all(options, asked, repository) => figures,
        _ = tokio::signal::ctrl_c() => bail!("interrupted; nothing was written"),
        _ = terminated.recv() => bail!("terminated; nothing was written"),
    }
}

async fn all(
    options: &Options,
    asked: &NeighboursOptions,
    repository: &Path,
) -> Result<Vec<Figure>> {
    let parts = parts(&asked.only)?;
    let scratch = options.scratch()?;
    let machine = Machine::here(repository, scratch.path());
    machine.warn();
    let at = rfc3339(Clock::system().now_ms());
    let since = Instant::now();
    let say = |what: &str, store: Store| {
        eprintln!("{what}, {}, after {:.0} s", store.words(), since.elapsed().as_secs_f64());
    };
    let (mut waits, mut kills) = (Vec::new(), Vec::new());
    for (part, loads) in parts {
        for load in loads {
            for store in Store::ALL {
                say(load.words(), store);
                let wait = waits::measure(options, scratch.path(), store, *load).await;
                waits.push(wait.with_context(|| {
                    format!("waiting beside {}, {}", load.words(), store.words())
                })?);
            }
        }
        if part == "kills" {
            for store in Store::ALL {
                say("a task that kills its workers", store);
                let one = kills::measure(options, scratch.path(), store).await;
                kills.push(one.with_context(|| {
                    format!("working beside a task that kills its workers, {}", store.words())
                })?);
            }
        }
    }
    let (quick, minutes) = (options.quick, since.elapsed().as_secs_f64() / 60.0);
    let report = Report { at, machine, quick, minutes, waits, kills };
    let is_whole = !options.quick && asked.only.is_empty();
    let docs = if is_whole {
        repository.join("docs/benchmarks")
    } else {
        std::env::current_exe()?.with_file_name("neighbours")
    };
    keep(&report, &docs)?;
    Ok(report.figures())
}

/// The parts asked for, in their order; all of them if none is named.
fn parts(only: &[String]) -> Result<Vec<(&'static str, &'static [Load])>> {
    let is_part = |name: &String| PARTS.iter().any(|(part, _)| part == name);
    if let Some(unknown) = only.iter().find(|name| !is_part(name)) {
        bail!("--only {unknown}: there are {}", PARTS.map(|(part, _)| part).join(", "));
    }
    let is_asked = |part: &str| only.is_empty() || only.iter().any(|one| one == part);
    Ok(PARTS.into_iter().filter(|(part, _)| is_asked(part)).collect())
}

/// Writes the page and the numbers into `folder`.
fn keep(report: &Report, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    write("neighbours.json", &(serde_json::to_string_pretty(report)? + "\n"))?;
    write("neighbours.md", &page::text(report))?;
    eprintln!("written: {}", folder.join("neighbours.md").display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_kept_as_page_and_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let run = report::tests::report();
        keep(&run, folder.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&read("neighbours.json")).unwrap(), run);
        assert_eq!(read("neighbours.md"), page::text(&run));
    }

    #[test]
    fn parts_are_those_asked_for_in_their_order() {
        let names = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
            parts(&only).map(|parts| parts.into_iter().map(|(part, _)| part).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap(), ["queue", "rate", "bulk", "kills"]);
        assert_eq!(names(&["kills", "rate"]).unwrap(), ["rate", "kills"]);
        assert!(names(&["rates"]).unwrap_err().to_string().contains("queue, rate, bulk, kills"));
    }
}
