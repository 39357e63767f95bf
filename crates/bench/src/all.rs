//! Every figure in one run, kept in the repository: a line per run in `figures.jsonl`, and the
//! latest as a table. Nothing is left out because it is poor.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tasktonic_protocol::time::rfc3339;
use tasktonic_store::clock::Clock;

use crate::figures::{Figure, table};
use crate::machine::Machine;
use crate::{
    Options, floors, gateway, lifecycles, lists, pickup, redis, scaling, sockets, startup, submits,
};

/// One run of everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Run {
    /// RFC 3339.
    at: String,
    machine: Machine,
    groups: Vec<Group>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Group {
    name: String,
    figures: Vec<Figure>,
}

pub(crate) async fn measure(options: &Options, repository: &Path) -> Result<Vec<Figure>> {
    let scratch = options.scratch()?;
    let machine = Machine::here(repository, scratch.path());
    machine.warn();
    let at = rfc3339(Clock::system().now_ms());
    let mut groups = Vec::new();
    let mut add = |name: &str, figures: Vec<Figure>| {
        eprintln!("## {name}\n{}", table(&figures));
        groups.push(Group { name: name.into(), figures });
    };
    add("Startup", startup::measure(options).await?);
    add("Submitting", submits::measure(options).await?);
    add("Picking up", pickup::measure(options).await?);
    add("Sockets", sockets::measure(options, sockets::COUNT).await?);
    add("The embedded store alone", lifecycles::measure(options, repository).await?);
    add("The store on Redis alone", redis::measure(options, repository).await?);
    add("Lists", lists::measure(options, repository).await?);
    add("More workers", scaling::measure(options).await?);
    add("The gateway", gateway::measure(options).await?);
    add("The disk again", floors::fdatasync_figures(scratch.path())?);
    let run = Run { at, machine, groups };
    if options.quick {
        eprintln!("--quick: nothing is written");
    } else {
        keep(&run, &repository.join("docs/benchmarks"))?;
    }
    Ok(run.groups.into_iter().flat_map(|group| group.figures).collect())
}

/// Adds the run to the history and writes the page anew.
fn keep(run: &Run, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let history = folder.join("figures.jsonl");
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&history)?;
    writeln!(file, "{}", serde_json::to_string(run)?)
        .with_context(|| format!("writing {}", history.display()))?;
    let page = folder.join("README.md");
    let is_there = |name: &str| folder.join(name).is_file();
    std::fs::write(&page, text(run, is_there))
        .with_context(|| format!("writing {}", page.display()))
}

/// Pages of other benches, and what they show.
const BESIDE: [(&str, &str); 4] = [
    ("curves.md", "what follows when there is more of something"),
    ("neighbours.md", "what one does to the others"),
    ("peers.md", "beside its peers"),
    ("chaos.md", "half an hour of faults"),
];

/// The page; it names those pages of other benches that `is_there`.
fn text(run: &Run, is_there: impl Fn(&str) -> bool) -> String {
    let Run { at, machine, groups } = run;
    let mut text = format!(
        "# Benchmarks\n\n\
         Written by `cargo xtask bench -- all`; every run so far is a line of \
         [figures.jsonl](figures.jsonl). Rates and times hold for this machine and this moment: \
         compare them with the floors measured in the same run, not with other machines.\n\n\
         `cargo xtask bench -- everything` measures this, the curves, what one does to the \
         others and the peers, one after the other, in about fifty minutes{}.\n\n\
         | | |\n|---|---|\n\
         | When | {at} |\n{}{}",
        beside(is_there),
        machine.rows("load, bench and product share them"),
        machine.busy_mark(),
    );
    for Group { name, figures } in groups {
        // Writing to a text cannot fail.
        let _ = write!(text, "\n## {name}\n\n{}", table(figures));
    }
    text
}

fn beside(is_there: impl Fn(&str) -> bool) -> String {
    let there = BESIDE.iter().filter(|(page, _)| is_there(page));
    there.map(|(page, what)| format!("; [{what}]({page})")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(value: f64) -> Run {
        let here = std::env::current_dir().unwrap();
        let figures = vec![Figure::new("submissions", value, "per s", "1 producer")];
        let groups = vec![Group { name: "Submitting".into(), figures }];
        Run { at: rfc3339(0), machine: Machine::here(&here, &here), groups }
    }

    #[test]
    fn every_run_is_kept_and_the_latest_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        for value in [4_321.0, 12.0] {
            keep(&run(value), folder.path()).unwrap();
        }
        let history = std::fs::read_to_string(folder.path().join("figures.jsonl")).unwrap();
        let kept: Vec<Run> =
            history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[0].groups[0].figures[0].value, 4_321.0);
        let page = std::fs::read_to_string(folder.path().join("README.md")).unwrap();
        assert!(page.contains("| submissions | 12.0 per s | 1 producer |"), "{page}");
        assert!(!page.contains("4,321"), "{page}");
        assert!(!page.contains("curves.md"), "nothing is named that is not there: {page}");
        std::fs::write(folder.path().join("curves.md"), "").unwrap();
        keep(&run(1.0), folder.path()).unwrap();
        let page = std::fs::read_to_string(folder.path().join("README.md")).unwrap();
        assert!(page.contains("(curves.md)") && !page.contains("(peers.md)"), "{page}");
    }
}
