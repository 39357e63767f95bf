//! `tasktonic-chaos`: a full deployment under faults that a seed chose, and a judge who reads only
//! what was written down. `cargo xtask chaos` builds and starts it.
//!
//! It knows the product from outside: its program, its API, its sockets.

mod attempt;
mod board;
mod check;
mod deployment;
mod ending;
mod faults;
mod history;
mod load;
mod process;
mod report;
mod run;
mod seed;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use deployment::Form;

/// Seeds that are chosen for whoever names none are below this: short enough to be typed.
const SEEDS: u32 = 1_000_000;

#[derive(Parser)]
#[command(
    name = "tasktonic-chaos",
    about = "Break a full deployment, and judge what became of its tasks",
    version
)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(clap::Args)]
struct RunArgs {
    /// What the tasks are kept in
    #[arg(long, value_enum, default_value = "embedded")]
    form: Form,
    /// How long things are broken, in minutes; every fault happens at least once all the same
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    minutes: f64,
    /// What chooses the faults and the users' calls [default: a fresh one, printed]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Print the report as one line of JSON instead of the table
    #[arg(long)]
    json: bool,
    /// The product's program, built with kill points [default: beside this one]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where history, logs and report are kept [default: chaos in the target folder]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Verb {
    /// Run one attempt of a task: what workers of a run start
    #[command(hide = true)]
    Attempt,
    /// Judge a history again
    Check {
        /// The file `history.jsonl` of a run
        history: PathBuf,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.verb {
        Some(Verb::Attempt) => attempt::attempt(),
        Some(Verb::Check { history }) => judge(&history),
        None => run(cli.run),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: RunArgs) -> Result<u8> {
    if !(args.minutes > 0.0 && args.minutes <= 24.0 * 60.0) {
        bail!("--minutes is a number above 0 and at most 1440");
    }
    let ours = std::env::current_exe().context("finding our own program")?;
    let beside = ours.with_file_name("tasktonic");
    let program = args.program.unwrap_or(beside);
    if !program.is_file() {
        bail!(
            "{} is not there: `cargo xtask chaos` builds it, or name it with --program",
            program.display()
        );
    }
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>() % SEEDS));
    let target = ours.parent().and_then(|folder| folder.parent()).context("no target folder")?;
    let folder = args.folder.unwrap_or_else(|| target.join("chaos"));
    let folder = std::path::absolute(folder.join(format!("{}-{seed}", args.form.name())))?;
    let stopped = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, stopped.clone()).context("listening for signals")?;
    }
    eprintln!("{} · seed {seed} · {} min of faults", args.form.name(), args.minutes);
    let plan = run::Plan { form: args.form, seed, minutes: args.minutes, program, folder };
    let report = run::run(&plan, &stopped)?;
    report.keep(&plan.folder)?;
    if args.json {
        println!("{}", report.json()?);
    } else {
        println!("{}", report.table(&plan.folder));
    }
    Ok(u8::from(!report.passed))
}

/// Judges a history that is there already; the laws only, not what it met with.
fn judge(path: &std::path::Path) -> Result<u8> {
    let verdict = check::check(&history::read(path)?);
    println!("{}", serde_json::to_string_pretty(&verdict)?);
    Ok(u8::from(!verdict.is_clean()))
}
