//! `cargo xtask chaos`: builds the product with its kill points and the program that breaks it, and
//! becomes that program.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::{places, run};

/// The program, as cargo names it.
pub(crate) const PROGRAM: &str = "tasktonic-chaos";

/// Arguments of `chaos`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Handed to `tasktonic-chaos` as they are: `--form embedded|redis|cluster`, `--minutes N`,
    /// `--seed S`, `--json`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn chaos(args: &Args) -> Result<()> {
    run::guard()?;
    let mut cargo = run::cargo();
    cargo.args(["build", "--locked", "-p", PROGRAM, "-p", "tasktonic-cli"]);
    run::run("chaos", cargo.args(["--features", "tasktonic-cli/test-hooks"]))?;
    let binary = places::target().join("debug").join(PROGRAM);
    run::unguard();
    let mut command = run::program(&binary.to_string_lossy());
    Err(command.args(&args.args).exec()).with_context(|| format!("becoming {}", binary.display()))
}
