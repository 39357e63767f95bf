//! The steps of a test round, in the order of the table they end up in.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::browsers;
use super::chaos;
use super::counts::{self, Counts};
use crate::{metadata, node, places, prerequisites, readme, run, tidy, tools};

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
    Step {
        name: "instructions",
        what: "what the hot paths take, counted",
        lane: Lane::Cargo,
        work: instructions,
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
    Step {
        name: "e2e",
        what: "the whole product, in Chromium",
        lane: Lane::Last,
        work: browsers::one,
    },
    Step {
        name: "e2e-full",
        what: "the same with Redis, nginx, many workers and servers",
        lane: Lane::Last,
        work: browsers::full,
    },
    Step {
        name: "e2e-cluster",
        what: "the same over a Redis Cluster",
        lane: Lane::Last,
        work: browsers::cluster,
    },
    Step {
        name: "chaos",
        what: "full deployments of every form while everything breaks",
        lane: Lane::Last,
        work: chaos::all,
    },
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

fn instructions() -> Result<Done> {
    let mut cargo = run::cargo();
    cargo.args(["bench", "--locked", "-p", "tasktonic-instructions"]);
    counted("instructions", cargo.env("GUNGRAUN_RUNNER", tools::gungraun()?), "")
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

fn documents() -> Result<Done> {
    readme::check(&binary("tasktonic")?)?;
    Ok(Done::one(""))
}

/// Runs a test runner and insists that it ran something: no test is not a pass.
pub(super) fn counted(
    title: &str,
    command: &mut std::process::Command,
    note: &str,
) -> Result<Done> {
    let done = run::run(title, command)?;
    let counts = counts::read(&done.output);
    if counts.passed == 0 {
        bail!("{title} ended well but names no test that passed; its output has changed?");
    }
    Ok(Done { counts, note: note.into() })
}

pub(super) fn binary(name: &str) -> Result<PathBuf> {
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
    fn names_of_steps_are_unique() {
        let mut names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STEPS.len());
    }
}
