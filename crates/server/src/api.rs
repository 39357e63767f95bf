//! The routes under `/api/v1`, but for signing in. Each is described where it is made, and the
//! OpenAPI document is built from the same list. Never knows which store there is, nor how a
//! caller proved who they are.

mod about;
pub(crate) mod access;
mod batch;
mod body;
mod bulk;
mod bytes;
mod change;
mod erase;
mod files;
mod flow_draft;
mod flow_read;
mod flows;
mod history;
mod json;
pub(crate) mod kinds;
pub(crate) mod operation;
mod output;
mod own_queues;
mod position;
mod queues;
pub(crate) mod rate;
mod read;
pub(crate) mod schedules;
pub(crate) mod settings;
mod submit;
mod wait;
mod waiting;
mod why;
pub(crate) mod worker;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use tasktonic_protocol::problem::Code;
use tower_http::catch_panic::CatchPanicLayer;

use self::operation::Operation;
use crate::problem::{Refusal, with_request_id};
use crate::{App, Limits};

/// What the routes share among themselves.
pub(crate) struct Shared {
    pub(crate) kinds: kinds::Kinds,
    pub(crate) remote_workers: worker::Sessions,
    pub(crate) partitions: worker::Parts,
    pub(crate) waits: wait::Waits,
    pub(crate) requests: rate::Limiter,
    pub(crate) coming: body::Coming,
    pub(crate) settings: settings::Told,
}

impl Shared {
    /// Nothing known yet.
    pub(crate) fn new(limits: &Limits, partitions: u16) -> Self {
        Self {
            kinds: kinds::Kinds::default(),
            remote_workers: worker::Sessions::default(),
            partitions: worker::Parts::new(partitions),
            waits: wait::Waits::default(),
            requests: rate::Limiter::new(limits.requests),
            coming: body::Coming::default(),
            settings: settings::Told::new(partitions),
        }
    }
}

/// Everything this part answers to.
pub(crate) fn operations() -> Vec<Operation> {
    [
        submit::operations(),
        batch::operations(),
        read::operations(),
        wait::operations(),
        history::operations(),
        output::operations(),
        position::operations(),
        change::operations(),
        bulk::operations(),
        waiting::operations(),
        flows::operations(),
        flow_read::operations(),
        why::operations(),
        queues::operations(),
        own_queues::operations(),
        bytes::operations(),
        schedules::operations(),
        kinds::operations(),
        about::operations(),
        erase::operations(),
        files::operations(),
        worker::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The routes, each behind the limit on requests, with a refusal for every other address under
/// `/api/`.
pub(crate) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let mut router = Router::new();
    for operation in operations() {
        router = router.route(operation.path, operation.handler);
    }
    router
        .route("/api/{*rest}", any(nothing_here))
        .method_not_allowed_fallback(wrong_method)
        .route_layer(from_fn_with_state(Arc::clone(app), rate::limit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(with_request_id))
}

/// A defect of ours ends one request and no connection.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Refusal::internal(&"a route panicked; the panic stands above").into_response()
}

async fn nothing_here() -> Refusal {
    Refusal::not_found()
}

async fn wrong_method() -> Refusal {
    Refusal::new(Code::MethodNotAllowed, "See the header `Allow` for what this address takes.")
}
