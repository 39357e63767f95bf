//! The one door to this repository: every entry point, in CI and on a desk, is a verb here.
//!
//! A file per verb. This binary stays quick to compile, for `cargo xtask up` is the first command
//! anybody gives; it never links the product (the generator, which must, is the binary
//! `xtask-gen`).

mod bench;
mod chaos;
mod check;
mod gen_verb;
mod metadata;
mod node;
mod packages;
mod places;
mod prerequisites;
mod readme;
mod run;
mod sources;
mod test;
mod tidy;
mod tools;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, start and check Task Tonic", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build everything and start the whole product
    Up(up::Args),
    /// Install what the tests need, and run all of them
    Test(test::Args),
    /// Format, clippy, tidy and types: the quick part of `test`
    Check,
    /// The rules of this repository: arrows between crates, words, sizes, claims
    Tidy,
    /// Write what is generated from the transition table and the error codes
    Gen(gen_verb::Args),
    /// Measure: arguments go to the `tasktonic-bench` binary, built for release
    Bench(bench::Args),
    /// Break a full deployment for a while, and judge what became of its tasks
    Chaos(chaos::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.verb {
        Verb::Up(args) => up::up(&args),
        Verb::Test(args) => test::test(&args),
        Verb::Check => check::check(),
        Verb::Tidy => tidy::tidy(),
        Verb::Gen(args) => gen_verb::generate(&args),
        Verb::Bench(args) => bench::bench(&args),
        Verb::Chaos(args) => chaos::chaos(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
