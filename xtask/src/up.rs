//! `cargo xtask up`: builds what changed and becomes the product.
//!
//! The last step is an exec: the process somebody started is then `tasktonic up` itself, so a
//! Ctrl-C, a `kill` or a closing terminal reaches the one who has to stop the children.

use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::{node, places, prerequisites, run, tools};

/// Built for speed without the minutes that a release takes (Cargo.toml says what it leaves out).
pub(crate) const PROFILE: &str = "product";

/// What is said before a build from nothing.
const FIRST_BUILD: &str = "The first build compiles everything from source: some minutes, on two \
                           cores five to fifteen. Later starts take seconds.";

/// Arguments of `up`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask up                                   everything in one process\n  \
    cargo xtask up --redis --gateway --workers 3     Redis, nginx, a server and three workers\n  \
    cargo xtask up --cluster --gateway --pages 2     Redis Cluster, nginx, two servers")]
pub(crate) struct Args {
    /// Only build; print where the binary is
    #[arg(long)]
    build_only: bool,
    /// Everything else is handed to `tasktonic up` (`cargo xtask up -- --help` shows what it takes)
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "FLAGS OF tasktonic up"
    )]
    args: Vec<String>,
}

impl Args {
    fn has(&self, flag: &str) -> bool {
        self.args.iter().any(|arg| arg == flag)
    }
}

pub(crate) fn up(args: &Args) -> Result<()> {
    let since = Instant::now();
    let pages = !args.has("--no-ui");
    let gateway = args.has("--gateway");
    prerequisites::for_rust()?;
    if pages {
        prerequisites::for_node()?;
    }
    run::guard()?;
    tools::ensure_for_up(args.has("--redis") || args.has("--cluster"), gateway)?;
    let binary = places::target().join(PROFILE).join("tasktonic");
    if !binary.exists() {
        run::say(FIRST_BUILD);
    }
    std::thread::scope(|scope| {
        let web = scope.spawn(|| if pages { build_pages() } else { Ok(()) });
        let product = build_product(gateway);
        if product.is_err() {
            run::stop_all();
        }
        let web = web.join().map_err(|_| anyhow::anyhow!("the build of the pages panicked"))?;
        product.and(web)
    })?;
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

/// The program, and with `gateway` the library that nginx loads.
fn build_product(gateway: bool) -> Result<()> {
    let mut cargo = run::cargo();
    cargo.args(["build", "--locked", "--profile", PROFILE, "-p", "tasktonic-cli"]);
    if gateway {
        cargo.args(["-p", "tasktonic-auth-ffi"]);
    }
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn flags_of_the_product_need_no_dashes_before_them() {
        let parsed = |line: &str| {
            Cli::try_parse_from(std::iter::once("up").chain(line.split(' '))).map(|cli| cli.args)
        };
        for line in ["--redis --gateway --workers 3", "-- --redis --gateway --workers 3"] {
            let args = parsed(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(args.args, ["--redis", "--gateway", "--workers", "3"], "{line}");
            assert!(args.has("--gateway") && !args.build_only);
        }
        let args = parsed("--build-only --gateway").unwrap_or_else(|error| panic!("{error}"));
        assert!(args.build_only && args.has("--gateway"));
    }
}
