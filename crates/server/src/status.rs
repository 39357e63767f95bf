//! Whether it is alive and ready.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tasktonic_core::UserId;
use tasktonic_core::routing::PartitionId;
use tasktonic_store::Query;

use crate::{App, metrics};

/// A store that has not answered by then is not reachable.
const STORE_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

/// `/healthz`, `/readyz`, `/metrics`.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::show))
}

async fn alive() -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], "ok\n")
}

/// `GET /readyz`.
#[derive(Debug, Serialize)]
struct Ready {
    /// Whether requests should be sent here.
    ready: bool,
    /// Whether the store answers.
    store: bool,
    /// How sure an accepted task is.
    durability: &'static str,
    /// Whether the pages' server is up; null without pages.
    pages: Option<bool>,
    /// False once the server stops.
    accepting: bool,
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let probe = Query::Exist { tasks: Vec::<(UserId, _)>::new() };
    let read = app.store.read(PartitionId(0), probe);
    let store = matches!(tokio::time::timeout(STORE_WAIT, read).await, Ok(Ok(_)));
    let pages = match &app.pages {
        Some(pages) => Some(pages.is_up().await),
        None => None,
    };
    let accepting = !app.stop.is_cancelled();
    // Without pages the API and the workers still do their part.
    let ready = store && accepting;
    let durability = app.store.durability().name();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Ready { ready, store, durability, pages, accepting };
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
