//! What a fleet is to consist of: the flags of `up`, and what they mean together.

use anyhow::Result;
use tasktonic_core::Labels;

use super::redis::Layout;
use crate::stores::{Class, StoreArgs, StoreUrl};
use crate::up::Args;
use crate::{bad_use, work};

/// Most workers and servers of one machine; more than it has use for.
const MANY: i64 = 64;

/// The flags that make a fleet.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "As a fleet of processes")]
pub(crate) struct Shape {
    /// Start a Redis of its own, private to this installation
    #[arg(long, conflicts_with = "cluster")]
    redis: bool,
    /// Start a Redis Cluster of its own: three masters with a replica each
    #[arg(long)]
    cluster: bool,
    /// Put nginx in front: it checks every token before anything else sees a request
    #[arg(long)]
    gateway: bool,
    /// Worker processes [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=MANY))]
    workers: Option<u16>,
    /// Server processes; several need --gateway [default: 1, with --gateway 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MANY))]
    servers: Option<u16>,
    /// Processes that render pages; several need --gateway [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=MANY))]
    pages: Option<u16>,
}

/// Whose store it is.
#[derive(Debug, Clone)]
pub(crate) enum StoreOf {
    /// One that is started here.
    Ours(Layout, Class),
    /// One that runs somewhere: its URL, with the password.
    Named(String, Class),
}

/// What is to be there.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) store: StoreOf,
    pub(crate) gateway: bool,
    pub(crate) servers: usize,
    pub(crate) workers: usize,
    pub(crate) pages: usize,
    /// What the workers have.
    pub(crate) labels: Labels,
}

impl Shape {
    /// Whether anything but the one process is asked for.
    pub(crate) fn is_wanted(&self) -> bool {
        let Self { redis, cluster, gateway, workers, servers, pages } = self;
        *redis || *cluster || *gateway || workers.is_some() || servers.is_some() || pages.is_some()
    }

    /// What it means.
    pub(crate) fn plan(&self, args: &Args) -> Result<Plan> {
        let class = args.store.durability.unwrap_or(Class::Fast);
        let ours = self.redis || self.cluster;
        let store = match (ours, args.store.text()?) {
            (true, None) => {
                let layout = match (self.cluster, class) {
                    (true, _) => Layout::Cluster,
                    (false, Class::Replicated) => Layout::Pair,
                    (false, _) => Layout::One,
                };
                StoreOf::Ours(layout, class)
            }
            (true, Some(_)) => {
                return Err(bad_use(
                    "--redis and --cluster start a store of their own: leave out --store and \
                     --store-file, or those two",
                ));
            }
            (false, named) => {
                let named = match named {
                    Some(text) => Some(text),
                    None => StoreArgs::text_of_environment(),
                };
                match named.map(|text| (text.parse(), text)) {
                    Some((Ok(StoreUrl::Redis(_)), text)) => StoreOf::Named(text, class),
                    _ => {
                        return Err(bad_use(
                            "several processes share a store on Redis: add --redis or --cluster, \
                             or name one that runs with TASKTONIC_STORE=redis://HOST:PORT",
                        ));
                    }
                }
            }
        };
        let servers = self.servers.unwrap_or(if self.gateway { 2 } else { 1 });
        let pages = if args.no_ui { 0 } else { self.pages.unwrap_or(1) };
        let workers = if args.no_workers { 0 } else { self.workers.unwrap_or(1) };
        if !self.gateway && (servers > 1 || pages > 1) {
            return Err(bad_use(
                "several servers or several processes for pages need one door in front of them: \
                 add --gateway",
            ));
        }
        Ok(Plan {
            store,
            gateway: self.gateway,
            servers: servers.into(),
            workers: workers.into(),
            pages: pages.into(),
            labels: work::labels(&args.labels)?,
        })
    }
}
