//! Whether it is alive and ready.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tasktonic_store::Health;

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
    /// What sort of store it is.
    store: &'static str,
    /// How sure an accepted task is.
    durability: &'static str,
    /// Why it is not ready, or what endangers it.
    reasons: Vec<String>,
    /// Whether the pages' server is up; null without pages.
    pages: Option<bool>,
    /// False once the server stops.
    accepting: bool,
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let asked = tokio::time::timeout(STORE_WAIT, app.store.health()).await;
    let mut health = asked.unwrap_or_else(|_| Health {
        ready: false,
        reasons: vec!["the store does not answer".to_owned()],
        ..Health::default()
    });
    app.metrics.store(&health);
    let pages = match &app.pages {
        Some(pages) => Some(pages.is_up().await),
        None => None,
    };
    let accepting = !app.stop.is_cancelled();
    if !accepting {
        health.reasons.push("the server stops".to_owned());
    }
    // Without pages the API and the workers still do their part.
    let ready = health.ready && accepting;
    let (store, durability) = (app.store.name(), app.store.durability().name());
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Ready { ready, store, durability, reasons: health.reasons, pages, accepting };
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
