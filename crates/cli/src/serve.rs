//! `tasktonic serve`: a server over a store, without workers and pages of its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use tasktonic_server::GatewayListen;

use crate::built_in::BuiltIn;
use crate::data::{self, Data};
use crate::parent::Parent;
use crate::product::{self, Door, PagesAt, Product};
use crate::stores::StoreArgs;
use crate::{config, logging, shutdown};

/// Arguments of `serve`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tasktonic serve --store embedded:/var/lib/tasktonic/store --data /var/lib/tasktonic\n  \
    TASKTONIC_STORE=redis://tasktonic:PASSWORD@redis:6379 \\\n    \
    tasktonic serve --data /var/lib/tasktonic --origin https://tasks.example.com\n\n\
    Several servers over one Redis need the same keys (DATA/keys) and the same files (--files).\n\
    The first signal drains: sockets move on, requests under way end. The second stops at once.")]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The folder for keys, files and logs
    #[arg(long, env = "TASKTONIC_DATA", default_value = data::DEFAULT, value_name = "DIR")]
    data: PathBuf,
    /// Users' files, where all servers and workers find them [default: file://DATA/files]
    #[arg(long, env = "TASKTONIC_FILES", value_name = "URL")]
    files: Option<String>,
    /// Where a server of the pages listens already
    #[arg(long, value_name = "ADDRESS:PORT")]
    pages: Option<SocketAddr>,
    /// Where gateways (nginx) ask what to let in: unix:PATH[,mode=0660] or ADDRESS:PORT. Never an
    /// address that others reach
    #[arg(long, value_name = "WHERE")]
    gateway_listen: Option<GatewayListen>,
    #[command(flatten)]
    door: Door,
    #[command(flatten)]
    parent: Parent,
}

pub(crate) async fn serve(args: Args) -> Result<u8> {
    logging::to_stderr();
    let stop = shutdown::on_signal("requests under way may finish".into())?;
    args.parent.follow(&stop);
    let data = Data::open(&args.data)?;
    let config = config::read(args.door.config.as_deref(), &config::usual(&data))?;
    let choice = args.store.choose(data.store())?;
    let pages = args.pages.map(|address| PagesAt { address, static_files: None });
    let files = args.files.unwrap_or_else(|| data.files_url());
    let Product { store, files: shared_files, server, .. } =
        Product::open(&data, choice, &files, &args.door, &config.file, pages, args.gateway_listen)
            .await?;
    tracing::info!(address = %server.local_addr(), "listening");
    let mut built_in = BuiltIn::start(store.shared(), shared_files).await;
    let served = tokio::select! {
        ended = server.run_until(stop) => ended.map_err(anyhow::Error::new),
        why = store.failed() => return Ok(product::store_failed(&why)),
        why = built_in.failed() => Err(why),
    };
    let worked = built_in.end().await;
    store.close().await;
    served.and(worked).map(|()| crate::DONE)
}
