//! `tasktonic import`: lines of JSON on standard input into an empty store.

use std::io::BufReader;

use anyhow::Result;
use tasktonic_store::clock::Clock;
use tasktonic_store::transfer::{self, Target};
use tasktonic_store_redis::RedisStore;

use crate::export::{Progress, done, named, refuse_if_used};
use crate::stores::{StoreArgs, StoreUrl};

/// Bytes read in one piece.
const BUFFER_BYTES: usize = 1024 * 1024;
/// Partitions of a new store on Redis.
const PARTITIONS_DEFAULT: u16 = 8;

/// Which store, and how.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tasktonic import --store embedded:new/store < tasks.ndjson\n  \
                  zstd -dc tasks.ndjson.zst | TASKTONIC_STORE=redis://redis:6379 tasktonic import\n\n\
                  The store must be empty. An import that was cut short leaves a store that does \
                  not open; run it again, it begins anew. Event cursors of the old store are void: \
                  every page takes one snapshot."
)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Partitions of a store on Redis that is new
    #[arg(long, value_name = "N", default_value_t = PARTITIONS_DEFAULT)]
    partitions: u16,
    /// Tell how much it was as one JSON object on standard error
    #[arg(long)]
    json: bool,
}

pub(crate) async fn import(args: Args) -> Result<u8> {
    match named(&args.store)?.url {
        StoreUrl::Embedded(folder) => {
            read(&mut tasktonic_store_embedded::Import::into(folder), args.json).await
        }
        StoreUrl::Redis(url) => {
            let options = tasktonic_store_redis::Options {
                reconcile_every: None,
                importing: true,
                partitions: args.partitions,
                ..tasktonic_store_redis::Options::new(Clock::system())
            };
            let store = RedisStore::open(&url, options).await?;
            refuse_if_used(&store, "import into another Redis").await?;
            let done =
                read(&mut tasktonic_store_redis::Import::into(store.clone()), args.json).await;
            store.close().await;
            done
        }
    }
}

async fn read(target: &mut dyn Target, json: bool) -> Result<u8> {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, std::io::stdin());
    let mut progress = Progress::new(json);
    let totals = transfer::import(&mut input, target, &mut |totals| progress.tell(totals)).await?;
    done("imported", &totals, json)
}
