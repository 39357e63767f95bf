//! The steps of a test round, in the order of the table they end up in.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::counts::{self, Counts};
use crate::{metadata, node, places, prerequisites, readme, run, sources, tidy, tools};

/// What runs beside what.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Before anything else.
    First,
    /// One after the other, beside [`Lane::Node`].
    Cargo,
    /// One after the other, beside [`Lane::Cargo`].
    Node,
    /// When both lanes are through.
    Last,
}

/// One row of the table.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) lane: Lane,
    pub(crate) work: fn() -> Result<Done>,
}

/// What a step that passed has to say.
pub(crate) struct Done {
    pub(crate) counts: Counts,
    pub(crate) note: String,
}

impl Done {
    /// A step that is one check in itself.
    fn one(note: impl Into<String>) -> Self {
        Self { counts: Counts { passed: 1, failed: 0 }, note: note.into() }
    }
}

/// All steps.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "tools",
        what: "what the tests need is installed",
        lane: Lane::First,
        work: tools,
    },
    Step { name: "fmt", what: "Rust is formatted", lane: Lane::Cargo, work: fmt },
    Step { name: "tidy", what: "the rules of this repository", lane: Lane::Cargo, work: tidied },
    Step { name: "clippy", what: "no warning in any target", lane: Lane::Cargo, work: clippy },
    Step {
        name: "build",
        what: "all targets, once, for all that follows",
        lane: Lane::Cargo,
        work: build,
    },
    Step {
        name: "gen",
        what: "generated files are what the sources say",
        lane: Lane::Cargo,
        work: generated,
    },
    Step {
        name: "rust",
        what: "unit, property, conformance and crash tests",
        lane: Lane::Cargo,
        work: rust,
    },
    Step {
        name: "docs",
        what: "examples in the documentation of the crates",
        lane: Lane::Cargo,
        work: docs,
    },
    Step { name: "npm", what: "JavaScript packages as locked", lane: Lane::Node, work: packages },
    Step { name: "types", what: "TypeScript types, and lint", lane: Lane::Node, work: types },
    Step {
        name: "vitest",
        what: "tests of the client and the components",
        lane: Lane::Node,
        work: vitest,
    },
    Step { name: "pages", what: "the build of the pages", lane: Lane::Node, work: pages },
    Step { name: "e2e", what: "the whole product, in Chromium", lane: Lane::Last, work: e2e },
    Step {
        name: "readme",
        what: "the commands and links in the documents",
        lane: Lane::Last,
        work: documents,
    },
];

fn tools() -> Result<Done> {
    prerequisites::for_rust()?;
    prerequisites::for_node()?;
    tools::ensure().map(Done::one)
}

fn fmt() -> Result<Done> {
    run::run("fmt", run::cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Done::one(""))
}

fn tidied() -> Result<Done> {
    tidy::check()?;
    Ok(Done::one(""))
}

pub(crate) fn clippy() -> Result<Done> {
    let mut cargo = run::cargo();
    cargo.args(["clippy", "--workspace", "--all-targets", "--locked"]);
    cargo.args(metadata::test_features()?).args(["--", "-D", "warnings"]);
    run::run("clippy", &mut cargo)?;
    Ok(Done::one(""))
}

fn build() -> Result<Done> {
    let mut cargo = run::cargo();
    cargo.args(["build", "--workspace", "--lib", "--bins", "--tests", "--examples", "--locked"]);
    run::run("build", cargo.args(metadata::test_features()?))?;
    Ok(Done::one(""))
}

fn generated() -> Result<Done> {
    run::run("gen", run::program(&binary("xtask-gen")?.to_string_lossy()).arg("--check"))?;
    Ok(Done::one(""))
}

fn rust() -> Result<Done> {
    let mut cargo = run::cargo();
    let nextest = run::ask(run::cargo().args(["nextest", "--version"])).is_ok();
    if nextest {
        cargo.args(["nextest", "run", "--no-fail-fast"]);
    } else {
        cargo.args(["test", "--no-fail-fast", "--lib", "--bins", "--tests"]);
    }
    cargo.args(["--workspace", "--locked"]).args(metadata::test_features()?);
    counted("rust", &mut cargo, if nextest { "cargo nextest" } else { "cargo test" })
}

fn docs() -> Result<Done> {
    let mut cargo = run::cargo();
    cargo.args(["test", "--doc", "--workspace", "--locked"]).args(metadata::test_features()?);
    let done = run::run("docs", &mut cargo)?;
    let counts = counts::read(&done.output);
    Ok(Done { counts, note: String::new() })
}

pub(crate) fn packages() -> Result<Done> {
    let installed = node::packages()?;
    Ok(Done::one(if installed { "installed" } else { "already there" }))
}

pub(crate) fn types() -> Result<Done> {
    run::run("types", run::program("npm").args(["run", "check"]))?;
    Ok(Done::one(""))
}

fn vitest() -> Result<Done> {
    counted("vitest", run::program("npm").args(["test"]), "")
}

fn pages() -> Result<Done> {
    let built = node::web()?;
    Ok(Done::one(if built { "built" } else { "unchanged" }))
}

fn e2e() -> Result<Done> {
    let files = e2e_files();
    if files.is_empty() {
        bail!("there is no tests/e2e/*.test.mjs: the product is not tested as a whole");
    }
    let first = browse("e2e", &files);
    let Err(error) = first else { return first };
    // A browser on a busy machine can miss a deadline. What fails is run once more, alone, and the
    // table says so; what fails twice has failed.
    let failed = files_of_failures(&error.to_string());
    if failed.is_empty() {
        return Err(error);
    }
    run::say(&format!("\n{error:#}\n\nonce more: {}\n", spell(&failed)));
    let Done { counts, .. } = browse("e2e once more", &failed)?;
    let all = counts::read(&error.to_string());
    let passed = all.passed.max(counts.passed);
    Ok(Done {
        counts: Counts { passed: passed + all.failed, failed: 0 },
        note: format!("{} failed once and then passed: {}", all.failed, spell(&failed)),
    })
}

fn spell(files: &[PathBuf]) -> String {
    let shown: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    shown.join(" ")
}

/// Runs test files that drive a browser, one after the other.
fn browse(title: &str, files: &[PathBuf]) -> Result<Done> {
    let Some(web) = places::web_server() else {
        bail!("the pages are not built: `cargo xtask test --only pages` first");
    };
    let mut node = run::program("node");
    // This reporter tells of every failure once more at its end, which is what a log shows.
    node.args(["--test", "--test-reporter=spec", "--test-concurrency=1"]).args(files);
    node.env("TASKTONIC_BIN", binary("tasktonic")?).env("TASKTONIC_WEB_DIR", web);
    counted(title, &mut node, "")
}

/// The test files that a report of failures names (`test at tests/e2e/x.test.mjs:3:1`).
fn files_of_failures(report: &str) -> Vec<PathBuf> {
    let at = |line: &str| {
        let place = line.trim().strip_prefix("test at ")?.split(':').next()?.to_owned();
        // A scenario is defined in a helper; the pictures' folder of its message is named like its file.
        place.ends_with(".test.mjs").then(|| PathBuf::from(place))
    };
    let suite = |line: &str| {
        let name = line.split("logs: target/e2e/").nth(1)?.split('/').next()?.to_owned();
        Some(PathBuf::from(format!("tests/e2e/{name}.test.mjs")))
    };
    let mut files: Vec<PathBuf> =
        report.lines().filter_map(|l| at(l).or_else(|| suite(l))).collect();
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

fn documents() -> Result<Done> {
    readme::check(&binary("tasktonic")?)?;
    Ok(Done::one(""))
}

/// Runs a test runner and insists that it ran something: no test is not a pass.
fn counted(title: &str, command: &mut std::process::Command, note: &str) -> Result<Done> {
    let done = run::run(title, command)?;
    let counts = counts::read(&done.output);
    if counts.passed == 0 {
        bail!("{title} ended well but names no test that passed; its output has changed?");
    }
    Ok(Done { counts, note: note.into() })
}

fn binary(name: &str) -> Result<PathBuf> {
    let path = places::target().join("debug").join(name);
    if !path.is_file() {
        bail!("{} is not there: `cargo xtask test --only build` makes it", path.display());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_failures_names_its_files_once() {
        let report = "✖ failing tests:\n\ntest at tests/e2e/guides.test.mjs:69:3\n✖ starts\n\
                      test at tests/e2e/lib/suite.mjs:31:7\n✖ resized\n  pictures: none; logs: \
                      target/e2e/photos/\n  again; logs: target/e2e/photos/";
        let expected = ["tests/e2e/guides.test.mjs", "tests/e2e/photos.test.mjs"];
        assert_eq!(files_of_failures(report), expected.map(PathBuf::from));
    }

    #[test]
    fn names_of_steps_are_unique() {
        let mut names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STEPS.len());
    }
}
