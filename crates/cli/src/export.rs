//! `tasktonic export`: a whole store, or one user's tasks, as lines of JSON on standard output.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tasktonic_core::UserId;
use tasktonic_protocol::transfer::Totals;
use tasktonic_store::clock::Clock;
use tasktonic_store::transfer::{self, Source};
use tasktonic_store_embedded::EmbeddedStore;
use tasktonic_store_redis::RedisStore;

use crate::screen;
use crate::stores::{Choice, StoreArgs, StoreUrl};

/// How often progress is told.
const TOLD_EVERY: Duration = Duration::from_secs(2);
/// Bytes written in one piece.
const BUFFER_BYTES: usize = 1024 * 1024;

/// Which store, and how.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
                  (umask 077; tasktonic export --store embedded:.tasktonic/store > tasks.ndjson)\n  \
                  export TASKTONIC_STORE=redis://redis:6379\n  \
                  (umask 077; tasktonic export | zstd > tasks.ndjson.zst)\n\n\
                  Accounts and signing records are in the export: keep it as secret as the store; \
                  with `umask 077` only you can read the file. \
                  Users' files are not; copy the folder or bucket of --files beside it.")]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Also while servers or workers use the store (on Redis): each task is whole by itself, but
    /// what changes meanwhile may be in the export as it was before or after
    #[arg(long)]
    while_running: bool,
    /// Only this user's tasks, by id (`/api/v1/me` says it); accounts and other records are left out
    #[arg(long, value_name = "ID")]
    user: Option<UserId>,
    /// Tell how much it was as one JSON object on standard error
    #[arg(long)]
    json: bool,
}

/// The store that the command line or the environment names: there is no default, so that nobody
/// moves the wrong one.
pub(super) fn named(store: &StoreArgs) -> Result<Choice> {
    let url = match store.named()? {
        Some(url) => url,
        None => StoreArgs::of_environment()?.ok_or_else(|| {
            crate::bad_use(
                "say which store: --store embedded:FOLDER, or TASKTONIC_STORE=redis://HOST:PORT",
            )
        })?,
    };
    store.choice(url)
}

pub(crate) async fn export(args: Args) -> Result<u8> {
    let clock = Clock::system();
    match named(&args.store)?.url {
        StoreUrl::Embedded(folder) => {
            must_hold_a_store(&folder)?;
            let options = tasktonic_store_embedded::Options::new(clock.clone());
            let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(folder, options));
            let store = opened.await??;
            let done = write(&store, &clock, args.user.as_ref(), args.json).await;
            store.close().await;
            done
        }
        StoreUrl::Redis(url) => {
            let options = tasktonic_store_redis::Options {
                reconcile_every: None,
                ..tasktonic_store_redis::Options::new(clock.clone())
            };
            let store = RedisStore::open(&url, options).await?;
            if !args.while_running {
                refuse_if_used(&store, "export it with --while-running").await?;
            }
            let done = write(&store, &clock, args.user.as_ref(), args.json).await;
            store.close().await;
            done
        }
    }
}

/// Opening would make one.
fn must_hold_a_store(folder: &std::path::Path) -> Result<()> {
    if folder.join("tasks.db").is_file() {
        return Ok(());
    }
    let shown: PathBuf = folder.to_owned();
    bail!("there is no store in {}; name the folder that holds tasks.db", shown.display())
}

/// Refuses while others listen or work on a store.
pub(super) async fn refuse_if_used(store: &RedisStore, or_else: &str) -> Result<()> {
    let listeners = store.listeners().await?;
    if listeners > 0 {
        bail!(
            "{listeners} servers or workers use this store; stop them first (their tasks wait), or \
             {or_else}"
        );
    }
    if store.is_worked_on().await? {
        bail!(
            "a server or a worker uses this store; stop all of them first (their tasks wait), or \
             {or_else}"
        );
    }
    Ok(())
}

async fn write(
    source: &dyn Source,
    clock: &Clock,
    user: Option<&UserId>,
    json: bool,
) -> Result<u8> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, std::io::stdout());
    let mut progress = Progress::new(json);
    let mut tell = |totals: &Totals| progress.tell(totals);
    let totals = match user {
        Some(user) => {
            transfer::export_user(source, user, &mut out, clock.now_ms(), &mut tell).await?
        }
        None => transfer::export(source, &mut out, clock.now_ms(), &mut tell).await?,
    };
    out.flush()?;
    done("exported", &totals, json)
}

/// Tells from time to time how far it is.
pub(super) struct Progress {
    told: Instant,
    quiet: bool,
}

impl Progress {
    /// One that says nothing where a program reads.
    pub(super) fn new(json: bool) -> Self {
        Self { told: Instant::now(), quiet: json }
    }

    /// So much is done.
    pub(super) fn tell(&mut self, totals: &Totals) {
        if !self.quiet && self.told.elapsed() >= TOLD_EVERY {
            self.told = Instant::now();
            screen::note(&format!("{} tasks of {} users so far", totals.tasks, totals.users));
        }
    }
}

/// Tells how much it was, where it does not stand between the lines.
pub(super) fn done(verb: &str, totals: &Totals, json: bool) -> Result<u8> {
    if json {
        screen::note(&serde_json::to_string(totals)?);
        return Ok(0);
    }
    let Totals { records, users, tasks, released, keys, settings, schedules } = totals;
    screen::note(&format!(
        "{verb} {tasks} tasks of {users} users, {keys} idempotency keys, {schedules} schedules, \
         {settings} settings of queues and users, {records} accounts and other records"
    ));
    if *released > 0 {
        screen::note(&format!(
            "{released} of these tasks were running; they wait in front and will run again"
        ));
    }
    Ok(0)
}
