//! Figures for operators, as Prometheus reads them. Labels are words of ours and route patterns,
//! never a user or a task: their number is bounded, and nobody's habits can be read from them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::App;
use crate::door::Peer;
use crate::problem::Refusal;

/// Upper bounds of the latency buckets, seconds.
const BUCKETS_S: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    /// The pattern of the route, e.g. `/api/v1/tasks/{id}`.
    route: String,
    /// `2xx` and so on.
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Closed {
    code: u32,
}

/// Figures for operators.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    seconds: Histogram,
    connections: Gauge,
    shed: Counter,
    sockets_opened: Counter,
    sockets_closed: Family<Closed, Counter>,
    sockets_open: Gauge,
    submits: Family<Outcome, Counter>,
    sign_ins: Family<Outcome, Counter>,
    adopted: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("tasktonic");
        let requests = Family::<Request, Counter>::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let seconds = Histogram::new(BUCKETS_S);
        registry.register(
            "http_request_seconds",
            "Time to the head of the answer",
            seconds.clone(),
        );
        let connections = Gauge::default();
        registry.register("connections", "Connections that are open", connections.clone());
        let shed = Counter::default();
        registry.register("connections_shed", "Connections above the limit", shed.clone());
        let sockets_open = Gauge::default();
        registry.register("sockets", "WebSockets that are open", sockets_open.clone());
        let sockets_opened = Counter::default();
        registry.register("sockets_opened", "WebSockets ever opened", sockets_opened.clone());
        let sockets_closed = Family::<Closed, Counter>::default();
        registry.register("sockets_closed", "WebSockets closed by us", sockets_closed.clone());
        let submits = Family::<Outcome, Counter>::default();
        registry.register("submits", "Submitted tasks by what became of them", submits.clone());
        let sign_ins = Family::<Outcome, Counter>::default();
        registry.register("sign_ins", "Attempts to sign in", sign_ins.clone());
        let adopted = Counter::default();
        registry.register("leases_adopted", "Lost leases settled by this server", adopted.clone());
        Self {
            registry,
            requests,
            seconds,
            connections,
            shed,
            sockets_opened,
            sockets_closed,
            sockets_open,
            submits,
            sign_ins,
            adopted,
        }
    }

    pub(crate) fn answered(&self, route: String, status: u16, took: Duration) {
        let status = match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&Request { route, status }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn connections(&self, change: i64) {
        self.connections.inc_by(change);
    }

    pub(crate) fn connection_shed(&self) {
        self.shed.inc();
    }

    pub(crate) fn socket_opened(&self) {
        self.sockets_opened.inc();
    }

    pub(crate) fn socket_closed(&self, code: u16) {
        self.sockets_closed.get_or_create(&Closed { code: code.into() }).inc();
    }

    /// Tasks handed over; `outcome` is one of a few words.
    pub(crate) fn submitted(&self, outcome: &'static str, tasks: u64) {
        self.submits.get_or_create(&Outcome { outcome }).inc_by(tasks);
    }

    pub(crate) fn signed_in(&self, outcome: &'static str) {
        self.sign_ins.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn adopted(&self, leases: u64) {
        self.adopted.inc_by(leases);
    }
}

/// `GET /metrics`: for programs on the same machine.
pub(crate) async fn show(State(app): State<Arc<App>>, peer: Peer) -> Result<Response, Refusal> {
    if !peer.is_local() && !app.metrics_public {
        return Err(Refusal::not_found());
    }
    app.metrics.sockets_open.set(i64::try_from(app.live.open()).unwrap_or(i64::MAX));
    let mut text = String::new();
    encode(&mut text, &app.metrics.registry).map_err(|error| Refusal::internal(&error))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}
