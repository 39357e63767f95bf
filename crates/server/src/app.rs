//! What every route shares.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tasktonic_files::Files;
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::rate::RequestLimit;
use crate::gateway::GatewayListen;
use crate::identity::Identity;
use crate::live::Hub;
use crate::metrics::Metrics;
use crate::pages::Pages;
use crate::proxies::Network;

/// How the server is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The origins under which people reach it, e.g. `http://localhost:8080`; only their
    /// authorities are accepted as `Host`. Empty: `http://localhost:<port>` and
    /// `http://127.0.0.1:<port>` of the address it listens on.
    pub origins: Vec<String>,
    /// Where the server that renders the pages listens, e.g. `127.0.0.1:41234`; absent without
    /// pages.
    pub pages: Option<SocketAddr>,
    /// The folder of the pages' immutable files (`/_next/static/`), served from disk.
    pub pages_static: Option<PathBuf>,
    /// Where gateways (nginx) get what the front door goes by; absent without one.
    pub gateway: Option<GatewayListen>,
    /// Whether `/metrics` is answered to other machines too.
    pub metrics_public: bool,
    /// Proxies that are believed when they say whose request they pass on, besides those on this
    /// machine, and under which name they were asked for it, which this machine may not say.
    pub trusted_proxies: Vec<Network>,
    /// Limits.
    pub limits: Limits,
}

/// Limits of the server's doors. Each has a default named in this module.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one task's payload.
    pub payload_bytes_max: usize,
    /// Bytes of a JSON body.
    pub body_bytes_max: usize,
    /// Connections at once.
    pub connections_max: usize,
    /// Sockets of one user at once.
    pub sockets_per_user_max: usize,
    /// Waiting tasks of one user in one queue.
    pub lane_max: u32,
    /// Requests to the API of one user.
    pub requests: RequestLimit,
    /// How long a server that was asked to stop still takes connections, while `/readyz` says that
    /// it is no longer ready: so long a load balancer may take to notice. Zero: not at all.
    pub drain_notice: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload_bytes_max: 64 * 1024,
            body_bytes_max: 8 * 1024 * 1024,
            connections_max: 10_000,
            sockets_per_user_max: 50,
            lane_max: tasktonic_core::limits::LANE_MAX_DEFAULT,
            requests: RequestLimit::DEFAULT,
            drain_notice: Duration::ZERO,
        }
    }
}

/// What every route shares.
pub struct App {
    /// Where tasks live.
    pub store: Arc<dyn Store>,
    /// Where files live.
    pub files: Files,
    /// The wall clock.
    pub clock: Clock,
    /// Limits.
    pub limits: Limits,
    /// What the API's routes share.
    pub(crate) api: crate::api::Shared,
    /// Who is who.
    pub identity: Identity,
    /// What the front door goes by.
    pub(crate) policy: tasktonic_auth::door::Policy,
    /// What gateways go by.
    pub(crate) gateway_policy: tasktonic_auth::door::Policy,
    /// All open sockets.
    pub(crate) live: Arc<Hub>,
    /// The loops of open sockets.
    pub(crate) sockets: TaskTracker,
    /// Figures for operators.
    pub(crate) metrics: Metrics,
    /// The server that renders the pages.
    pub(crate) pages: Option<Pages>,
    /// Where the pages' immutable files are.
    pub(crate) pages_static: Option<PathBuf>,
    /// Whether `/metrics` is answered to other machines too.
    pub(crate) metrics_public: bool,
    /// Proxies that are believed when they name a client, those on this machine among them.
    pub(crate) trusted_proxies: Vec<Network>,
    /// Those that were configured. They are also believed when they name the host; this machine by
    /// itself is not, because a page that a browser here fetched under a foreign name could set
    /// that header, and would be let past the check of names.
    pub(crate) naming_proxies: Vec<Network>,
    /// Cancelled when the server stops.
    pub(crate) stop: CancellationToken,
}
