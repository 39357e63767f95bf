//! The machine: what it is, and what a process may do on it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// What is known of the machine and the moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) processor: String,
    /// Its cores.
    pub(crate) cores: usize,
    /// Memory, bytes.
    pub(crate) memory_bytes: u64,
    /// The kernel.
    pub(crate) kernel: String,
    /// The file system of the scratch folder.
    pub(crate) file_system: String,
    /// Load of the last minute, before.
    pub(crate) load: f64,
    /// The commit of the repository, with a `+` if something in it had changed.
    pub(crate) commit: String,
}

/// A machine with more load than this before a run was not quiet.
const LOAD_QUIET: f64 = 1.5;
/// How long one bench waits at most for the load of another to fade from the average.
const SETTLE_WITHIN: Duration = Duration::from_secs(180);

fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

/// Waits until the last minute was quiet, or long enough.
pub(crate) async fn settle() {
    let since = Instant::now();
    while load() > LOAD_QUIET && since.elapsed() < SETTLE_WITHIN {
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

impl Machine {
    /// Whether something else ran before: rates and times are too poor then.
    pub(crate) fn was_busy(&self) -> bool {
        self.load > LOAD_QUIET
    }

    /// Says aloud that the run means little, if it does.
    pub(crate) fn warn(&self) {
        if self.was_busy() {
            eprintln!(
                "warning: the load before was {:.2}, above {LOAD_QUIET}; let nothing else run, and \
                 try again: rates and times will be too poor, and the page says so",
                self.load
            );
        }
    }

    /// What a page says of such a run; nothing of one on a quiet machine.
    pub(crate) fn busy_mark(&self) -> &'static str {
        if self.was_busy() {
            "\n**The machine was busy before the run: rates and times are too poor, for all of them; \
             counts are right.**\n"
        } else {
            ""
        }
    }

    /// The rows of a page's first table, `cores` saying who has them.
    pub(crate) fn rows(&self, cores: &str) -> String {
        format!(
            "| Commit | {} |\n\
             | Processor | {}, {} cores; {cores} |\n\
             | Memory | {:.1} GiB |\n\
             | Kernel, file system | {}, {} |\n\
             | Load before | {:.2} |\n",
            self.commit,
            self.processor,
            self.cores,
            self.memory_bytes as f64 / f64::from(1 << 30),
            self.kernel,
            self.file_system,
            self.load,
        )
    }

    /// This machine, now; `scratch` is on the disk that is measured.
    pub(crate) fn here(repository: &Path, scratch: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = after(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kib: u64 = memory.trim_end_matches("kB").trim().parse().unwrap_or_default();
        Self {
            processor: after(&read("/proc/cpuinfo"), "model name")
                .unwrap_or_else(|| "unknown".into()),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_bytes: kib * 1_024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: said(
                "findmnt",
                &["-n", "-o", "FSTYPE", "-T", &scratch.to_string_lossy()],
                repository,
            ),
            load: load(),
            commit: commit(repository),
        }
    }
}

/// The commit that is measured, with a `+` if there is more than that. The pages that benches
/// write are not what they measure: of several in a row, all but the first find them changed.
fn commit(repository: &Path) -> String {
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"], repository);
    let pages = [":!docs/benchmarks", ":!docs/images"];
    let asked = ["status", "--porcelain", "--untracked-files=no", "--", "."];
    let changed = said("git", &[&asked[..], &pages].concat(), repository);
    if changed.is_empty() { commit } else { format!("{commit}+") }
}

fn said(program: &str, args: &[&str], folder: &Path) -> String {
    let output = Command::new(program).args(args).current_dir(folder).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

/// The repository: the folder given, or the nearest one above this that holds `Cargo.lock`.
pub(crate) fn repository(given: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(folder) = given {
        return Ok(folder);
    }
    let here = std::env::current_dir().context("the present folder")?;
    let found = here.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    found
        .map(Path::to_owned)
        .context("this is not inside the repository; go there, or name it with --repository")
}

/// Lets this process and its children open as many files as the system allows.
pub(crate) fn allow_many_files() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("reading the limit of files")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raising the limit of files")
}

/// How many files this process may open.
pub(crate) fn files_max() -> Result<u64> {
    Ok(getrlimit(Resource::RLIMIT_NOFILE).context("reading the limit of files")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_it_is() {
        let here = std::env::current_dir().unwrap();
        let machine = Machine::here(&here, &here);
        assert!(machine.cores > 0 && machine.memory_bytes > 1 << 20, "{machine:?}");
        assert!(!machine.kernel.is_empty() && !machine.file_system.is_empty(), "{machine:?}");
    }

    #[test]
    fn the_limit_of_files_is_raised_to_what_is_allowed() {
        allow_many_files().unwrap();
        assert!(files_max().unwrap() >= 1_024);
    }
}
