//! `cargo xtask check`: the part of the tests that answers in the time of a cup of tea.

use anyhow::Result;

use crate::test::steps;
use crate::{run, tidy};

pub(crate) fn check() -> Result<()> {
    run::guard()?;
    run::run("fmt", run::cargo().args(["fmt", "--all", "--check"]))?;
    run::say("fmt ok");
    tidy::check()?;
    run::say("tidy ok");
    steps::packages()?;
    steps::types()?;
    run::say("types ok");
    steps::clippy()?;
    run::say("clippy ok");
    run::run("gen", &mut crate::gen_verb::command(true))?;
    run::say("gen ok");
    Ok(())
}
