//! The `tasktonic` program: a file per verb. The only place where a store is chosen, and where
//! server, workers and the pages' process are put together and stopped together.

mod account;
mod api;
mod built_in;
mod bytes;
mod config;
mod data;
mod doctor;
mod erase;
mod export;
mod fleet;
mod flow;
mod forms;
mod gateway;
mod handlers;
mod import;
mod kill_points;
mod kinds;
mod logging;
mod pages;
mod parent;
mod product;
mod queue;
mod schedule;
mod screen;
mod serve;
mod shutdown;
mod stores;
mod submit;
mod task;
mod token;
mod up;
mod verify;
mod work;
mod workers;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Ended well.
const DONE: u8 = 0;
/// What was asked for did not come about.
const FAILED: u8 = 1;
/// What was asked for makes no sense, whatever the server thinks of it; also clap's own code.
const BAD_USE: u8 = 2;

/// What is wrong with the arguments, where clap cannot see it.
#[derive(Debug)]
struct BadUse(String);

impl std::fmt::Display for BadUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadUse {}

fn bad_use(text: impl Into<String>) -> anyhow::Error {
    BadUse(text.into()).into()
}

fn exit_code(error: &anyhow::Error) -> u8 {
    let invalid = |cause: &(dyn std::error::Error + 'static)| {
        cause.is::<BadUse>()
            || matches!(cause.downcast_ref(), Some(tasktonic_client::Error::Invalid(_)))
    };
    // A context of ours is no link of the chain by its type.
    let is_bad_use = error.is::<BadUse>() || error.chain().any(invalid);
    if is_bad_use { BAD_USE } else { FAILED }
}

#[derive(Parser)]
#[command(
    name = "tasktonic",
    version,
    about = "Background tasks for the users of your product, live",
    after_help = "Begin with `tasktonic up`. Clients read TASKTONIC_URL and TASKTONIC_TOKEN.\n\
                  Exit codes: 0 done, 1 not done, 2 bad use."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start the whole product: in one process, or as a fleet of processes over Redis
    Up(up::Args),
    /// Start a server without workers and pages
    Serve(serve::Args),
    /// Start a worker
    Work(work::Args),
    /// Put nginx in front of servers: it checks every token before anything else sees a request
    Gateway(gateway::Args),
    /// Look at a running gateway from outside, and say what is not as it should be
    Doctor(doctor::Args),
    /// Hand a task over
    Submit(submit::Args),
    /// List the kinds of tasks that can be handed over
    Kinds(kinds::Args),
    /// List the workers that are at work, and what they have
    Workers(workers::Args),
    /// Look at tasks and change them
    #[command(subcommand)]
    Task(task::Verb),
    /// Tasks that wait for each other
    #[command(subcommand)]
    Flow(flow::Verb),
    /// Many tasks, and one that follows when all have ended
    #[command(subcommand)]
    Batch(flow::BatchVerb),
    /// Say how many bytes tasks hold, and set how many they may
    #[command(subcommand)]
    Bytes(bytes::Verb),
    /// Look at queues, pause them, and set what holds for users there
    #[command(subcommand)]
    Queue(queue::Verb),
    /// Start none of your tasks until you resume; those that run go on
    Pause(queue::Pause),
    /// Start your tasks again
    Resume(queue::Pause),
    /// Tasks that the clock makes: look at schedules and change them
    #[command(subcommand)]
    Schedule(schedule::Verb),
    /// Built-in accounts (of an embedded store: while the server is stopped)
    #[command(subcommand)]
    Account(account::Verb),
    /// Erase all that is kept of one user. There is no way back
    Erase(erase::Args),
    /// Write a whole store as lines of JSON to standard output
    Export(export::Args),
    /// Read an export on standard input into an empty store
    Import(import::Args),
    /// Access tokens signed with this installation's key
    #[command(subcommand)]
    Token(token::Verb),
    /// Check a signature or a token with the verifier the server uses
    #[command(subcommand)]
    Verify(verify::Verb),
    /// End the processes of a fleet once whoever started them is gone
    #[command(hide = true)]
    Caretaker,
    /// List the points at which a build for tests can be killed
    #[command(hide = true)]
    KillPoints,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // One provider of cryptography for every TLS connection of this process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let done = match cli.verb {
        Verb::Up(args) => runtime(up::up(args)),
        Verb::Serve(args) => runtime(serve::serve(args)),
        Verb::Work(args) => runtime(work::work(args)),
        Verb::Gateway(args) => gateway::gateway(args),
        Verb::Doctor(args) => doctor::doctor(&args),
        Verb::Submit(args) => runtime(submit::submit(args)),
        Verb::Kinds(args) => runtime(kinds::kinds(args)),
        Verb::Workers(args) => runtime(workers::workers(args)),
        Verb::Task(verb) => runtime(task::task(verb)),
        Verb::Flow(verb) => runtime(flow::flow(verb)),
        Verb::Batch(verb) => runtime(flow::batch(verb)),
        Verb::Queue(verb) => runtime(queue::queue(verb)),
        Verb::Bytes(verb) => runtime(bytes::bytes(verb)),
        Verb::Pause(args) => runtime(queue::pause(args, true)),
        Verb::Resume(args) => runtime(queue::pause(args, false)),
        Verb::Schedule(verb) => runtime(schedule::schedule(verb)),
        Verb::Account(verb) => runtime(account::account(verb)),
        Verb::Erase(args) => runtime(erase::erase(args)),
        Verb::Export(args) => runtime(export::export(args)),
        Verb::Import(args) => runtime(import::import(args)),
        Verb::Token(verb) => token::token(verb),
        Verb::Verify(verb) => return verify::verify(&verb),
        Verb::Caretaker => fleet::caretaker(),
        Verb::KillPoints => kill_points::list(),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            screen::error(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

fn runtime(work: impl Future<Output = anyhow::Result<u8>>) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // A handler that ignores everything must not keep the program from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_task_is_shown_by_the_word_that_shows_one_of_anything_else_too() {
        for word in ["get", "show"] {
            let asked = Cli::try_parse_from(["tasktonic", "task", word, "AZrS0mXvQ4yKcD1e"]);
            let Ok(Cli { verb: Verb::Task(verb) }) = asked else { panic!("{word}") };
            assert!(matches!(verb, task::Verb::Get { .. }), "{word}");
        }
    }
}
