//! What follows when there is more of something: tasks that wait, users, masters, kills; and what a
//! fleet costs that has nothing to do.
//!
//! The stores alone are measured by the example `curves` of their crates; the rest from outside.

mod idle;
mod page;
mod recovery;
mod report;

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use tasktonic_protocol::time::rfc3339;
use tasktonic_store::clock::Clock;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::Options;
use crate::figures::Figure;
use crate::machine::Machine;
use report::{Head, Line, Report};

/// Tasks that wait at most: what memory and time do not hold is left out, and the page says so.
const WAITING_MAX: u64 = 10_000_000;
const WAITING_MAX_QUICK: u64 = 10_000;

/// What this verb takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct CurvesOptions {
    /// Only these: redis, embedded, idle, recovery; nothing is written to the documents then
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<String>,
}

const PARTS: [&str; 4] = ["idle", "redis", "embedded", "recovery"];

/// Measures all of them, or those asked for.
pub(crate) async fn measure(
    options: &Options,
    asked: &CurvesOptions,
    repository: &Path,
) -> Result<Vec<Figure>> {
    let mut terminated = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    tokio::select! {
        figures = all(options, asked, repository) => figures,
        _ = tokio::signal::ctrl_c() => bail!("interrupted; nothing was written"),
        _ = terminated.recv() => bail!("terminated; nothing was written"),
    }
}

async fn all(options: &Options, asked: &CurvesOptions, repository: &Path) -> Result<Vec<Figure>> {
    if let Some(unknown) = asked.only.iter().find(|part| !PARTS.contains(&part.as_str())) {
        bail!("--only {unknown}: there are {}", PARTS.join(", "));
    }
    let is_asked = |part: &str| asked.only.is_empty() || asked.only.iter().any(|one| one == part);
    let scratch = options.scratch()?;
    let machine = Machine::here(repository, scratch.path());
    machine.warn();
    let at = rfc3339(Clock::system().now_ms());
    for part in ["redis", "embedded"].into_iter().filter(|part| is_asked(part)) {
        build(repository, &format!("tasktonic-store-{part}")).await?;
    }
    let since = Instant::now();
    let mut lines = Vec::new();
    let say = |part: &str| eprintln!("{part}, after {:.0} s", since.elapsed().as_secs_f64());
    // What rests comes first, before there is load to recover from.
    if is_asked("idle") {
        say("fleets that rest");
        lines.extend(idle::measure(options, scratch.path()).await?);
    }
    let (waiting, point_ms, fill_s) =
        if options.quick { (WAITING_MAX_QUICK, 300, 10) } else { (WAITING_MAX, 2_500, 100) };
    let limits = [waiting, point_ms, fill_s].map(|number: u64| number.to_string());
    if is_asked("redis") {
        say("Redis");
        lines.extend(example(repository, "tasktonic-store-redis", &limits).await?);
    }
    if is_asked("embedded") {
        say("the embedded store");
        let folder = scratch.path().to_string_lossy().into_owned();
        let args = [&[folder][..], &limits].concat();
        lines.extend(example(repository, "tasktonic-store-embedded", &args).await?);
    }
    if is_asked("recovery") {
        say("kills");
        lines.extend(recovery::measure(options, scratch.path()).await?);
    }
    let head =
        Head { at, machine, quick: options.quick, minutes: since.elapsed().as_secs_f64() / 60.0 };
    let report = Report { head, lines };
    let is_whole = !options.quick && asked.only.is_empty();
    let docs = if is_whole {
        repository.join("docs")
    } else {
        std::env::current_exe()?.with_file_name("curves").join("docs")
    };
    keep(&report, &docs)?;
    Ok(report.figures())
}

/// Builds the example of a store before anything is measured.
async fn build(repository: &Path, package: &str) -> Result<()> {
    let status = Command::new("cargo")
        .args(["build", "--locked", "--release", "--quiet", "-p", package, "--example", "curves"])
        .current_dir(repository)
        .stdin(Stdio::null())
        .status()
        .await
        .context("building the example `curves`")?;
    anyhow::ensure!(status.success(), "building the example `curves` of {package}: {status}");
    Ok(())
}

/// Runs the example `curves` of a store's crate and reads its lines.
async fn example(repository: &Path, package: &str, args: &[String]) -> Result<Vec<Line>> {
    let mut child = Command::new("cargo")
        .args(["run", "--locked", "--release", "--quiet", "-p", package, "--example", "curves"])
        .arg("--")
        .args(args)
        .current_dir(repository)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("running the example `curves`")?;
    let mut said = BufReader::new(child.stdout.take().context("its output")?).lines();
    let mut lines = Vec::new();
    while let Some(text) = said.next_line().await? {
        eprintln!("{text}");
        lines.push(serde_json::from_str(&text).with_context(|| format!("a line of it: {text}"))?);
    }
    let status = child.wait().await?;
    anyhow::ensure!(status.success(), "the example `curves` of {package} ended: {status}");
    Ok(lines)
}

/// Writes the page, the numbers and the pictures below `docs`.
fn keep(report: &Report, docs: &Path) -> Result<()> {
    let (pages, images) = (docs.join("benchmarks"), docs.join("images"));
    for folder in [&pages, &images] {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let write = |path: std::path::PathBuf, text: &str| {
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    write(pages.join("curves.jsonl"), &report.json_lines()?)?;
    write(pages.join("curves.md"), &page::text(report))?;
    for (name, svg) in page::pictures(report) {
        write(images.join(name), &svg)?;
    }
    eprintln!("written: {}", pages.join("curves.md").display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_kept_as_page_lines_and_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let run = report::tests::report();
        keep(&run, folder.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(Report::of_json_lines(&read("benchmarks/curves.jsonl")).unwrap(), run);
        let page = read("benchmarks/curves.md");
        for (name, _) in page::pictures(&run) {
            assert!(page.contains(&format!("(../images/{name})")), "{name}");
            assert!(read(&format!("images/{name}")).starts_with("<svg"), "{name}");
        }
    }
}
