//! `cargo xtask gen`: hands over to the generator, which links the crates it reads.

use anyhow::Result;

use crate::run;

/// Arguments of `gen`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change nothing; fail when a generated file is not what the sources say
    #[arg(long)]
    check: bool,
}

pub(crate) fn generate(args: &Args) -> Result<()> {
    run::guard()?;
    let done = run::run("gen", &mut command(args.check))?;
    for line in done.output.lines().filter(|line| line.starts_with("wrote ")) {
        run::say(line);
    }
    Ok(())
}

/// The generator as a command.
pub(crate) fn command(check: bool) -> std::process::Command {
    let mut cargo = run::cargo();
    cargo.args([
        "run",
        "--quiet",
        "--locked",
        "-p",
        "xtask",
        "--features",
        "gen",
        "--bin",
        "xtask-gen",
    ]);
    if check {
        cargo.args(["--", "--check"]);
    }
    cargo
}
