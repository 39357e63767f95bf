//! Figures of the product as it is shipped: each verb starts the real program in a scratch folder
//! and measures it from outside, beside the floors of the same machine.
//!
//! It knows the program's command line and the API, nothing of its insides.

mod all;
mod curves;
mod figures;
mod floors;
mod gateway;
mod goals;
mod lifecycles;
mod lists;
mod machine;
mod neighbours;
mod peers;
mod pickup;
mod plot;
mod product;
mod redis;
mod scaling;
mod sockets;
mod startup;
mod submits;
mod wire;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use figures::Figure;

/// Measures a release build of `tasktonic`, in scratch folders that are removed afterwards.
#[derive(Parser)]
#[command(name = "tasktonic-bench", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    options: Options,
}

/// What every verb takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The program to measure [default: `tasktonic` beside this one]
    #[arg(long, global = true, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where scratch folders are made: the disk that is measured [default: beside the program]
    #[arg(long, global = true, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Short runs, for trying the bench itself; not for figures
    #[arg(long, global = true)]
    pub(crate) quick: bool,
    /// Print figures as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Durable submissions per second and how long one waits, with 1 and 256 producers
    Submits,
    /// From a submission to `running` on its owner's socket, with an idle worker
    Pickup,
    /// Memory of the server per idle socket
    Sockets {
        /// How many sockets
        #[arg(long, default_value_t = sockets::COUNT)]
        count: usize,
    },
    /// From start to ready, on a new folder and on one that is in use
    Startup,
    /// The embedded store alone: durable lifecycles in bulk
    Lifecycles,
    /// The first page of what is rare among 100,000 and 1,000,000 tasks of one user, on both stores
    Lists,
    /// The store on Redis alone: lifecycles in bulk, and what each costs Redis
    Redis,
    /// What more workers add: 1, 2 and 4 processes over one Redis
    Scaling,
    /// What authentication at the gateway costs: nginx with the guard and without
    Gateway,
    /// Task Tonic beside BullMQ, Celery, Dramatiq, arq, RQ, taskiq and apalis, on the same Redis;
    /// written to `docs/benchmarks/peers.md`
    Peers(peers::PeersOptions),
    /// What follows when there is more: tasks that wait, users, masters, kills; and what rests
    /// costs. Written to `docs/benchmarks/curves.md`
    Curves(curves::CurvesOptions),
    /// What one user or one kind of task does to the others: a long queue, a rate limit, a bulk
    /// operation, a task that kills its workers. Written to `docs/benchmarks/neighbours.md`
    Neighbours(neighbours::NeighboursOptions),
    /// `all`, `peers`, `curves` and `neighbours`, one after the other on a machine that has come to rest
    Everything,
    /// The single figures, written to `docs/benchmarks` of the repository
    All {
        /// The repository [default: the folder above this one that holds Cargo.lock]
        #[arg(long, value_name = "DIR")]
        repository: Option<PathBuf>,
    },
}

impl Options {
    /// The program to measure.
    pub(crate) fn program(&self) -> Result<PathBuf> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().context("finding myself")?.with_file_name("tasktonic"),
        };
        anyhow::ensure!(
            program.is_file(),
            "{} is not there; build it with `cargo build --release -p tasktonic-cli`, or name it \
             with --program",
            program.display()
        );
        // It is started in another folder.
        std::path::absolute(&program).with_context(|| format!("finding {}", program.display()))
    }

    /// A folder that is gone when it is dropped, on the disk to measure.
    pub(crate) fn scratch(&self) -> Result<tempfile::TempDir> {
        // A folder for temporary files is often memory, where an fdatasync costs nothing.
        let place = match &self.scratch {
            Some(place) => std::path::absolute(place).context("finding the scratch folder")?,
            None => std::env::current_exe()
                .context("finding myself")?
                .parent()
                .context("a folder of my own")?
                .to_owned(),
        };
        tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(&place)
            .with_context(|| format!("making a folder in {}", place.display()))
    }
}

/// All four benches. Each begins when the load of the one before has faded.
async fn everything(options: &Options) -> Result<Vec<Figure>> {
    let repository = machine::repository(None)?;
    machine::settle().await;
    let mut figures = all::measure(options, &repository).await?;
    machine::settle().await;
    let asked = peers::PeersOptions::default();
    figures.extend(peers::measure(options, &asked, &repository).await?);
    machine::settle().await;
    let asked = curves::CurvesOptions::default();
    figures.extend(curves::measure(options, &asked, &repository).await?);
    machine::settle().await;
    let asked = neighbours::NeighboursOptions::default();
    figures.extend(neighbours::measure(options, &asked, &repository).await?);
    Ok(figures)
}

fn main() -> Result<()> {
    let Cli { verb, options } = Cli::parse();
    machine::allow_many_files()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let figures: Vec<Figure> = runtime.block_on(async {
        match verb {
            Verb::Submits => submits::measure(&options).await,
            Verb::Pickup => pickup::measure(&options).await,
            Verb::Sockets { count } => sockets::measure(&options, count).await,
            Verb::Startup => startup::measure(&options).await,
            Verb::Lifecycles => lifecycles::measure(&options, &machine::repository(None)?).await,
            Verb::Lists => lists::measure(&options, &machine::repository(None)?).await,
            Verb::Redis => redis::measure(&options, &machine::repository(None)?).await,
            Verb::Scaling => scaling::measure(&options).await,
            Verb::Gateway => gateway::measure(&options).await,
            Verb::Peers(asked) => {
                peers::measure(&options, &asked, &machine::repository(None)?).await
            }
            Verb::Curves(asked) => {
                curves::measure(&options, &asked, &machine::repository(None)?).await
            }
            Verb::Neighbours(asked) => {
                neighbours::measure(&options, &asked, &machine::repository(None)?).await
            }
            Verb::Everything => everything(&options).await,
            Verb::All { repository } => {
                all::measure(&options, &machine::repository(repository)?).await
            }
        }
    })?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print!("{}", figures::table(&figures));
    }
    Ok(())
}
