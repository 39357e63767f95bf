//! `tasktonic serve`: a server over a store, without workers and pages of its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;

use crate::data::{self, Data};
use crate::product::{self, Door, PagesAt, Product};
use crate::store_url::StoreUrl;
use crate::{config, logging, shutdown};

/// Arguments of `serve`.
#[derive(clap::Args)]
#[command(after_help = "Example: tasktonic serve --store embedded:/var/lib/tasktonic/store \
                        --data /var/lib/tasktonic --port 8080")]
pub(crate) struct Args {
    /// The store: embedded:FOLDER [default: embedded:DATA/store]
    #[arg(long, value_name = "URL")]
    store: Option<StoreUrl>,
    /// The folder for keys, files and logs
    #[arg(long, env = "TASKTONIC_DATA", default_value = data::DEFAULT, value_name = "DIR")]
    data: PathBuf,
    /// Where a server of the pages listens already
    #[arg(long, value_name = "ADDRESS:PORT")]
    pages: Option<SocketAddr>,
    #[command(flatten)]
    door: Door,
}

pub(crate) async fn serve(args: Args) -> Result<u8> {
    logging::to_stderr();
    let stop = shutdown::on_signal()?;
    let data = Data::open(&args.data)?;
    let config = config::read(args.door.config.as_deref(), &config::usual(&data))?;
    let folder = match args.store {
        Some(StoreUrl::Embedded(folder)) => folder,
        None => data.store(),
    };
    let pages = args.pages.map(|address| PagesAt { address, static_files: None });
    let Product { store, server, .. } =
        Product::open(&data, &folder, &args.door, &config.file, pages).await?;
    tracing::info!(address = %server.local_addr(), "listening");
    let code = tokio::select! {
        ended = server.run_until(stop) => {
            ended?;
            crate::DONE
        }
        why = store.failed() => return Ok(product::store_failed(&why)),
    };
    store.close().await;
    Ok(code)
}
