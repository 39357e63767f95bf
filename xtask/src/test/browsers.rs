//! The steps that drive a browser: which test files run in which form of the product, and once more
//! when a machine was too busy.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::browsed;
use super::counts::{self, Counts};
use super::steps::{Done, binary, counted};
use crate::{places, run, sources};

/// In which form the product runs while a browser looks at it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One process with its own store.
    One,
    /// Redis, nginx, three workers, two servers, two servers of pages.
    Full,
    /// The same over a cluster of Redis.
    Cluster,
}

impl Form {
    /// As the tests are told.
    const fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Full => "full",
            Self::Cluster => "cluster",
        }
    }

    const fn step(self) -> &'static str {
        match self {
            Self::One => "e2e",
            Self::Full => "e2e-full",
            Self::Cluster => "e2e-cluster",
        }
    }

    /// Test files at once. Where parts die, most of the time is spent waiting for leases and
    /// restarts, and each file has an installation of its own.
    const fn at_once(self) -> usize {
        match self {
            Self::One => 1,
            Self::Full | Self::Cluster => 2,
        }
    }

    /// Whether the file of this name is tested in this form.
    fn tests(self, name: &str) -> bool {
        match self {
            Self::One => browsed::in_one(name),
            Self::Full => browsed::in_full(name),
            Self::Cluster => browsed::in_cluster(name),
        }
    }
}

pub(crate) fn one() -> Result<Done> {
    in_form(Form::One)
}

pub(crate) fn full() -> Result<Done> {
    in_form(Form::Full)
}

pub(crate) fn cluster() -> Result<Done> {
    in_form(Form::Cluster)
}

fn in_form(form: Form) -> Result<Done> {
    let files: Vec<PathBuf> =
        e2e_files().into_iter().filter(|file| form.tests(&test_name(file))).collect();
    if files.is_empty() {
        bail!("there is no tests/e2e/*.test.mjs: the product is not tested as a whole");
    }
    let first = browse(form.step(), form, &files);
    let Err(error) = first else { return first };
    // A browser on a busy machine can miss a deadline. What fails is run once more, alone, and the
    // table says so; what fails twice has failed.
    // The error holds the end of the output; a suite's verdict may stand far before it.
    let report = std::fs::read_to_string(run::log_of(form.step())).unwrap_or_default();
    let failed = files_of_failures(&run::plain(&report));
    if failed.is_empty() {
        return Err(error);
    }
    run::say(&format!("\n{error:#}\n\nonce more: {}\n", spell(&failed)));
    let Done { counts, .. } = browse(&format!("{} once more", form.step()), form, &failed)?;
    let all = counts::read(&report);
    let passed = all.passed.max(counts.passed);
    Ok(Done {
        counts: Counts { passed: passed + all.failed, failed: 0 },
        note: format!("{} failed once and then passed: {}", all.failed, spell(&failed)),
    })
}

/// `two-users` of `tests/e2e/two-users.test.mjs`.
fn test_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.split(".test.").next().unwrap_or_default().to_owned()
}

fn spell(files: &[PathBuf]) -> String {
    let shown: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    shown.join(" ")
}

/// Runs test files that drive a browser.
fn browse(title: &str, form: Form, files: &[PathBuf]) -> Result<Done> {
    let Some(web) = places::web_server() else {
        bail!("the pages are not built: `cargo xtask test --only pages` first");
    };
    let mut node = run::program("node");
    // This reporter tells of every failure once more at its end, which is what a log shows.
    node.args(["--test", "--test-reporter=spec"]);
    node.arg(format!("--test-concurrency={}", form.at_once())).args(files);
    node.env("TASKTONIC_BIN", binary("tasktonic")?).env("TASKTONIC_WEB_DIR", web);
    node.env("TASKTONIC_E2E_MODE", form.name());
    counted(title, &mut node, "")
}

/// The test files whose suite failed: each is named like its suite, which a report tells of at the
/// beginning of a line (`✖ sign-in (27371.3ms)`).
fn files_of_failures(report: &str) -> Vec<PathBuf> {
    let suite = |line: &str| {
        let (name, took) = line.strip_prefix("✖ ")?.split_once(" (")?;
        let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        let is_suite = is_name && took.ends_with("ms)");
        is_suite.then(|| PathBuf::from(format!("tests/e2e/{name}.test.mjs")))
    };
    let mut files: Vec<PathBuf> = report.lines().filter_map(suite).collect();
    files.sort();
    files.dedup();
    files
}

fn e2e_files() -> Vec<PathBuf> {
    let is_test = |file: &PathBuf| {
        let name = file.to_string_lossy();
        name.ends_with(".test.mjs") || name.ends_with(".test.js")
    };
    sources::under(&["tests/e2e"]).into_iter().filter(is_test).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_failures_names_its_files_once() {
        let report = "▶ isolation\n  ✖ a subject is refused (17.4ms)\n✖ isolation (8697.0155ms)\n\
                      ✔ photos (3.1ms)\n✖ sign-in (27371.3ms)\n\n✖ failing tests:\n\n\
                      ✖ a subject is refused (17.4ms)\n✖ sign-in (27371.3ms)\n";
        let expected = ["tests/e2e/isolation.test.mjs", "tests/e2e/sign-in.test.mjs"];
        assert_eq!(files_of_failures(report), expected.map(PathBuf::from));
    }

    #[test]
    fn every_browser_test_is_run_in_some_form_and_every_name_here_is_a_file() {
        let names: Vec<String> = e2e_files().iter().map(|file| test_name(file)).collect();
        for name in &names {
            assert!(Form::One.tests(name) || Form::Full.tests(name), "{name} is never run");
        }
        for name in [browsed::FLEET_ONLY, browsed::FULL, browsed::CLUSTER].concat() {
            assert!(names.iter().any(|there| there == name), "tests/e2e/{name}.test.mjs");
        }
    }
}
