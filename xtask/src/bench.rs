//! `cargo xtask bench`: builds the load driver for release and becomes it.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::{places, run};

/// Arguments of `bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Handed to `tasktonic-bench` as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn bench(args: &Args) -> Result<()> {
    run::guard()?;
    let mut cargo = run::cargo();
    cargo.args(["build", "--locked", "--release", "-p", "tasktonic-bench"]);
    cargo.args(["-p", "tasktonic-cli", "-p", "tasktonic-auth-ffi"]);
    run::run("bench", &mut cargo)?;
    let binary = places::target().join("release/tasktonic-bench");
    run::unguard();
    let mut command = run::program(&binary.to_string_lossy());
    Err(command.args(&args.args).exec()).with_context(|| format!("becoming {}", binary.display()))
}
