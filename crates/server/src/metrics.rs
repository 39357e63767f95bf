//! Figures for operators, as Prometheus reads them. Labels are words of ours and route patterns,
//! never a user or a task: their number is bounded, and nobody's habits can be read from them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tasktonic_store::{Error as StoreError, Health};

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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    queue: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreCode {
    code: &'static str,
}

/// Figures are told without those of a store that has not answered by then.
const HEALTH_WAIT: Duration = Duration::from_secs(1);
/// Queues that have figures of their own; what ends in others is counted together.
const QUEUES_MAX: usize = 256;
/// The name of all other queues.
const OTHER_QUEUES: &str = "other";

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
    ended: Family<Ended, Counter>,
    queues: Mutex<BTreeSet<String>>,
    store_bytes: Gauge,
    store_bytes_max: Gauge,
    store_errors: Family<StoreCode, Counter>,
    sync_seconds: Histogram,
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
        let ended = Family::<Ended, Counter>::default();
        registry.register(
            "attempts_ended",
            "Attempts of workers in other processes that ended, as this server heard of them",
            ended.clone(),
        );
        let store_bytes = Gauge::default();
        registry.register(
            "store_bytes",
            "What the store takes, where it says so",
            store_bytes.clone(),
        );
        let store_bytes_max = Gauge::default();
        registry.register(
            "store_bytes_max",
            "Above this the store refuses submits, where it says so",
            store_bytes_max.clone(),
        );
        let store_errors = Family::<StoreCode, Counter>::default();
        registry.register(
            "store_errors",
            "Calls of the store that failed, by code",
            store_errors.clone(),
        );
        let sync_seconds = Histogram::new(BUCKETS_S);
        registry.register(
            "sync_seconds",
            "Time that one partition takes for a sync of this server or of a worker behind it",
            sync_seconds.clone(),
        );
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
            ended,
            queues: Mutex::default(),
            store_bytes,
            store_bytes_max,
            store_errors,
            sync_seconds,
        }
    }

    /// An attempt has ended; `outcome` is one of a few words.
    pub(crate) fn ended(&self, queue: &str, outcome: &'static str) {
        let mut queues = self.queues.lock();
        let known = queues.contains(queue);
        let room = queues.len() < QUEUES_MAX;
        if !known && room {
            queues.insert(queue.to_owned());
        }
        let queue = if known || room { queue } else { OTHER_QUEUES };
        self.ended.get_or_create(&Ended { queue: queue.to_owned(), outcome }).inc();
    }

    /// How the store is.
    pub(crate) fn store(&self, health: &Health) {
        let number = |bytes: Option<u64>| i64::try_from(bytes.unwrap_or(0)).unwrap_or(i64::MAX);
        self.store_bytes.set(number(health.bytes));
        self.store_bytes_max.set(number(health.bytes_max));
    }

    /// A call of the store failed.
    pub(crate) fn store_failed(&self, error: &StoreError) {
        let code = match error {
            StoreError::Full => "full",
            StoreError::DiskFull => "disk_full",
            StoreError::Busy => "busy",
            StoreError::Unavailable(_) => "unavailable",
            StoreError::OutcomeUnknown => "outcome_unknown",
            StoreError::Invalid(_) => "invalid",
        };
        self.store_errors.get_or_create(&StoreCode { code }).inc();
    }

    /// One sync of one partition.
    pub(crate) fn synced(&self, took: Duration) {
        self.sync_seconds.observe(took.as_secs_f64());
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
    if let Ok(health) = tokio::time::timeout(HEALTH_WAIT, app.store.health()).await {
        app.metrics.store(&health);
    }
    app.metrics.sockets_open.set(i64::try_from(app.live.open()).unwrap_or(i64::MAX));
    let mut text = String::new();
    encode(&mut text, &app.metrics.registry).map_err(|error| Refusal::internal(&error))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}
