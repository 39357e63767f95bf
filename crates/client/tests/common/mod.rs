//! A small server that answers as a test says, and remembers what it was asked.

#![expect(dead_code, reason = "each test binary uses its part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use tasktonic_client::{Client, Token, Waits};
use tasktonic_protocol::problem::Code;
use tokio::net::TcpListener;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What to do with a request.
pub(crate) enum Say {
    /// Answer.
    This(Response<Body>),
    /// Read it all, then break the connection: its sender cannot know what became of it.
    Nothing,
}

pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _serving: Abort,
}

struct Abort(tokio::task::JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Fake {
    /// A server that answers request number `n` (from 0) with `say(n, request)`.
    pub(crate) async fn start(say: impl Fn(usize, &Seen) -> Say + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let say = Arc::new(say);
        let record = seen.clone();
        let router = Router::new().fallback(move |request: Request<Body>| {
            let (record, say) = (record.clone(), say.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 24).await.unwrap_or_default();
                let target = parts.uri.to_string();
                let seen = Seen { method: parts.method, target, headers: parts.headers, body };
                let n = {
                    let mut record = record.lock();
                    record.push(seen.clone());
                    record.len() - 1
                };
                match say(n, &seen) {
                    Say::This(response) => response,
                    // Unwinding in its service breaks the connection without an answer.
                    Say::Nothing => std::panic::resume_unwind(Box::new("no answer")),
                }
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen, _serving: Abort(serving) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of it with the token `t0` and little patience.
    pub(crate) fn client(&self) -> Client {
        Client::with(&self.url(), Arc::new(Token::new("t0")), waits()).unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

pub(crate) fn waits() -> Waits {
    Waits {
        connect: Duration::from_secs(5),
        answer: Duration::from_secs(5),
        part: Duration::from_secs(5),
        repeat: Duration::from_secs(10),
    }
}

pub(crate) fn json(status: u16, body: impl Into<String>) -> Say {
    Say::This(
        Response::builder()
            .status(StatusCode::from_u16(status).unwrap())
            .header("content-type", "application/json")
            .body(Body::from(body.into()))
            .unwrap(),
    )
}

pub(crate) fn problem(code: Code, detail: &str, retry_after: Option<&str>) -> Say {
    let (status, title, name) = (code.status(), code.title(), code.name());
    let body = serde_json::json!({
        "type": format!("/docs/errors/{name}"), "title": title, "status": status,
        "code": name, "detail": detail,
    });
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", "application/problem+json");
    if let Some(after) = retry_after {
        response = response.header("retry-after", after);
    }
    Say::This(response.body(Body::from(body.to_string())).unwrap())
}

/// The JSON of a task.
pub(crate) fn task(id: &str, status: &str, rev: u64) -> String {
    let state = match status {
        "failed" => "dead",
        "cancelling" => "running",
        other => other,
    };
    let ended = matches!(status, "completed" | "failed" | "cancelled")
        .then_some("2026-01-01T00:00:02.000Z");
    serde_json::json!({
        "id": id, "kind": "demo.sleep", "queue": "demo.sleep", "status": status, "state": state,
        "attempt": 1, "attempts_max": 5, "rev": rev, "progress": null, "error": null,
        "reason": null, "tags": [], "idempotency_key": null, "worker": null,
        "created_at": "2026-01-01T00:00:00.000Z", "run_at": null, "started_at": null,
        "ended_at": ended, "updated_at": "2026-01-01T00:00:00.000Z", "timeout_ms": null,
        "durability": "disk", "has_output": false,
    })
    .to_string()
}

/// The id of some task.
pub(crate) const ID: &str = "AZrPAAAAAAAAAAAA";
