//! All parts put together: one address that answers for the API, the sockets, signing in and the
//! pages.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tasktonic_auth::door::Route;
use tasktonic_core::routing::PartitionId;
use tasktonic_files::Files;
use tasktonic_protocol::problem::Code;
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::schedules;
use crate::door::{Passed, Peer};
use crate::identity::Identity;
use crate::ledger::FileLedger;
use crate::live::Hub;
use crate::metrics::Metrics;
use crate::pages::Pages;
use crate::problem::{Refusal, with_request_id};
use crate::proxies::Network;
use crate::{
    App, Config, api, door, error_pages, gateway, housekeeping, identity, live, openapi, pages,
    serve, status,
};

/// A server that is bound to its address and takes connections once it runs.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    local_addr: SocketAddr,
    gateway: Option<gateway::Listener>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

impl Server {
    /// Binds to `config.listen`.
    ///
    /// # Errors
    /// The address is taken or is not ours; an origin that is none.
    pub async fn bind(
        config: Config,
        store: Arc<dyn Store>,
        files: Files,
        identity: Identity,
        clock: Clock,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let local_addr = listener.local_addr()?;
        let policy = door::policy(&config.origins, local_addr.port())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let gateway = match &config.gateway {
            Some(listen) => Some(gateway::Listener::bind(listen).await?),
            None => None,
        };
        if store.is_shared() {
            // What others keep in the same place counts too.
            files.share(Arc::new(FileLedger::new(store.clone())));
        }
        let gateway_policy = gateway::policy(&policy, &config.origins);
        let app = Arc::new(App {
            api: api::Shared::new(&config.limits, store.partitions()),
            store,
            files,
            clock,
            limits: config.limits,
            identity,
            policy,
            gateway_policy,
            live: Arc::new(Hub::default()),
            sockets: TaskTracker::new(),
            metrics: Metrics::new(),
            pages: config.pages.map(Pages::new),
            pages_static: config.pages_static,
            metrics_public: config.metrics_public,
            trusted_proxies: [&config.trusted_proxies[..], &Network::LOOPBACK].concat(),
            naming_proxies: config.trusted_proxies,
            stop: CancellationToken::new(),
        });
        // Before any submission is taken: each says how many bytes a user may hold.
        if let Err(refusal) = api::settings::learn(&app).await {
            tracing::warn!(why = refusal.code.name(), "what is set could not be read yet");
        }
        Ok(Self { app, listener, local_addr, gateway })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where gateways get the door document, if that is a TCP port.
    #[must_use]
    pub fn gateway_addr(&self) -> Option<SocketAddr> {
        self.gateway.as_ref().and_then(gateway::Listener::local_addr)
    }

    /// What its routes share.
    #[must_use]
    pub fn app(&self) -> Arc<App> {
        self.app.clone()
    }

    /// Every route behind the door, for tests that call it without a connection.
    #[doc(hidden)]
    pub fn router(&self) -> Router {
        router(&self.app)
    }

    /// What a stop begins with: waiting requests end. For tests without a connection.
    #[doc(hidden)]
    pub fn begin_stop(&self) {
        self.app.stop.cancel();
    }

    /// What housekeeping does once an hour. For tests with a clock of their own.
    #[doc(hidden)]
    pub async fn clean(&self) {
        housekeeping::clean(&self.app).await;
    }

    /// Takes every tick that is due. For tests with a clock of their own.
    #[doc(hidden)]
    pub async fn ticks(&self) {
        for p in (0..self.app.store.partitions()).map(PartitionId) {
            while schedules::take_due(&self.app, p).await {}
        }
    }

    /// Serves until `stop` is cancelled, then takes no more connections, closes sockets with 1012
    /// and gives requests under way ten seconds.
    ///
    /// # Errors
    /// If the listener fails for good.
    pub async fn run_until(self, stop: CancellationToken) -> io::Result<()> {
        housekeeping::start(&self.app);
        if let Some(gateway) = self.gateway {
            tokio::spawn(gateway::serve(gateway, self.app.clone()));
        }
        let router = router(&self.app);
        serve::serve(self.listener, router, self.app, stop).await
    }
}

/// Every route behind the door.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new()
        .merge(api::routes(app))
        .merge(identity::routes())
        .merge(live::routes())
        .merge(status::routes())
        .merge(openapi::routes())
        .merge(error_pages::routes());
    if app.pages_static.is_some() {
        router = router.route("/_next/static/{*file}", get(pages::immutable));
    }
    router
        .method_not_allowed_fallback(other_method)
        .fallback(elsewhere)
        .layer(from_fn_with_state(app.clone(), door::stand))
        .layer(from_fn(with_request_id))
        .with_state(app.clone())
}

async fn other_method() -> Refusal {
    Refusal::new(Code::MethodNotAllowed, "Use one of the methods in the header Allow.")
}

/// What no route of ours answers: a page, or nothing.
async fn elsewhere(
    State(app): State<Arc<App>>,
    peer: Peer,
    passed: Passed,
    request: Request,
) -> Response {
    match passed.route {
        Route::Page | Route::Login | Route::Static => {
            pages::pass(State(app), peer, passed, request).await
        }
        _ => Refusal::not_found().into_response(),
    }
}
