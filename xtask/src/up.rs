//! `cargo xtask up`: builds what changed and becomes the product.
//!
//! The last step is an exec: the process somebody started is then `tasktonic up` itself, so a
//! Ctrl-C, a `kill` or a closing terminal reaches the one who has to stop the children.

use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::{node, places, prerequisites, run};

/// Built for speed without the minutes that a release takes (Cargo.toml says what it leaves out).
pub(crate) const PROFILE: &str = "product";

/// Arguments of `up`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only build; print where the binary is
    #[arg(long)]
    build_only: bool,
    /// Handed to `tasktonic up` as they are (`cargo xtask up -- --help` shows what it takes)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn up(args: &Args) -> Result<()> {
    let since = Instant::now();
    let pages = !args.args.iter().any(|arg| arg == "--no-ui");
    prerequisites::for_rust()?;
    if pages {
        prerequisites::for_node()?;
    }
    run::guard()?;
    std::thread::scope(|scope| {
        let web = scope.spawn(|| if pages { build_pages() } else { Ok(()) });
        let product = build_product();
        if product.is_err() {
            run::stop_all();
        }
        let web = web.join().map_err(|_| anyhow::anyhow!("the build of the pages panicked"))?;
        product.and(web)
    })?;
    let binary = places::target().join(PROFILE).join("tasktonic");
    if args.build_only {
        run::say(&format!("{}", binary.display()));
        return Ok(());
    }
    run::say(&format!("starting ({} since you asked)", run::clock(since.elapsed())));
    let mut command = run::program(&binary.to_string_lossy());
    command.arg("up").args(&args.args);
    if let Some(dir) = places::web_server().filter(|_| pages) {
        command.env("TASKTONIC_WEB_DIR", dir);
    }
    run::unguard();
    Err(command.exec()).with_context(|| format!("becoming {}", binary.display()))
}

fn build_pages() -> Result<()> {
    step("npm packages", node::packages)?;
    step("pages", node::web)
}

fn build_product() -> Result<()> {
    let mut cargo = run::cargo();
    cargo.args(["build", "--locked", "--profile", PROFILE, "-p", "tasktonic-cli"]);
    let done = run::run("tasktonic", &mut cargo)?;
    tell("tasktonic", done.output.contains("Compiling"), done.took);
    Ok(())
}

fn step(title: &str, work: impl FnOnce() -> Result<bool>) -> Result<()> {
    let since = Instant::now();
    let built = work()?;
    tell(title, built, since.elapsed());
    Ok(())
}

fn tell(title: &str, built: bool, took: Duration) {
    if built {
        run::say(&format!("built {title} in {}", run::clock(took)));
    } else {
        run::say(&format!("{title}: nothing to do"));
    }
}
