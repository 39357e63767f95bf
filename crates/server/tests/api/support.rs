//! A server without a connection, a cast of callers, and short words for calls.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tasktonic_auth::Role;
use tasktonic_each_store::traces::{Found, Texts};
use tasktonic_each_store::{On, Opened};
use tasktonic_files::{FileLimits, Files};
use tasktonic_server::{Config, Identity, Limits, RequestLimit, Server};
use tasktonic_store::Store;
use tasktonic_store::clock::{Clock, ManualClock};
use tasktonic_store::model::ModelStore;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt as _;

/// Files in tests: small enough to meet the limits.
pub(crate) const FILE_BYTES_MAX: u64 = 100_000;

/// For more calls at once than one user may make.
pub(crate) const UNLIMITED: RequestLimit = RequestLimit { per_s: 0, burst: 0 };

/// A server in process.
pub(crate) struct Site {
    pub(crate) router: Router,
    pub(crate) hand: ManualClock,
    pub(crate) clock: Clock,
    identity: Identity,
    host: String,
    /// Gone once it serves.
    server: Option<Server>,
    /// Ends what it does by itself.
    _stop: Option<DropGuard>,
    /// Where its files are.
    folder: tempfile::TempDir,
    /// What its store is on, if it is on anything.
    under: Option<Opened>,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts the status and answers the body.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Asserts a refusal by this code, in its proper form.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store");
        let instance = self.header("x-request-id").to_owned();
        let body = self.expect(status);
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["instance"], instance.as_str(), "{body}");
        assert_eq!(body["type"], format!("/docs/errors/{code}"));
        body
    }
}

impl Site {
    pub(crate) async fn open() -> Self {
        Self::open_with(Limits::default()).await
    }

    pub(crate) async fn open_with(limits: Limits) -> Self {
        let (clock, hand) = Clock::manual(1_700_000_000_000);
        let store = ModelStore::with_partitions(clock.clone(), crate::PARTITIONS);
        Self::on(Arc::new(store), clock, hand, limits).await
    }

    /// The same on another store.
    pub(crate) async fn over(on: On) -> Self {
        Self::over_with(on, Limits::default()).await
    }

    pub(crate) async fn over_with(on: On, limits: Limits) -> Self {
        let (clock, hand) = Clock::manual(1_700_000_000_000);
        let under = on.open_at(clock.clone(), crate::PARTITIONS).await;
        let site = Self::on(under.store.clone(), clock, hand, limits).await;
        Self { under: Some(under), ..site }
    }

    /// A server on this store, which stays as long as it.
    pub(crate) async fn standing(under: Opened, clock: Clock, hand: ManualClock) -> Self {
        Self::standing_with(under, clock, hand, Limits::default()).await
    }

    pub(crate) async fn standing_with(
        under: Opened,
        clock: Clock,
        hand: ManualClock,
        limits: Limits,
    ) -> Self {
        let site = Self::on(under.store.clone(), clock, hand, limits).await;
        Self { under: Some(under), ..site }
    }

    /// A server that serves, with the time of the machine and all that it does by itself.
    pub(crate) async fn serving(on: On) -> Self {
        // Nothing reads what this hand shows.
        let (_, hand) = Clock::manual(0);
        let under = on.open(crate::PARTITIONS).await;
        let mut site = Self::standing(under, Clock::system(), hand).await;
        let (server, stop) = (site.server.take().unwrap(), CancellationToken::new());
        tokio::spawn(server.run_until(stop.clone()));
        Self { _stop: Some(stop.drop_guard()), ..site }
    }

    /// A server on a store of several partitions.
    pub(crate) async fn with_partitions(count: u16) -> Self {
        let (clock, hand) = Clock::manual(1_700_000_000_000);
        let store = ModelStore::with_partitions(clock.clone(), count);
        Self::on(Arc::new(store), clock, hand, Limits::default()).await
    }

    /// A server on this store.
    pub(crate) async fn on(
        store: Arc<dyn Store>,
        clock: Clock,
        hand: ManualClock,
        limits: Limits,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let limits_of_files = FileLimits {
            file_bytes_max: FILE_BYTES_MAX,
            user_bytes_max: 3 * FILE_BYTES_MAX,
            ..FileLimits::DEFAULT
        };
        let url = format!("file://{}/files", folder.path().display());
        let files = Files::open(&url, limits_of_files, || 1_700_000_000_000).await.unwrap();
        let keys = folder.path().join("keys");
        let identity = Identity::open(store.clone(), &keys, Vec::new(), clock.clone()).unwrap();
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            origins: Vec::new(),
            pages: None,
            pages_static: None,
            metrics_public: false,
            gateway: None,
            trusted_proxies: Vec::new(),
            limits,
        };
        let server =
            Server::bind(config, store, files, identity.clone(), clock.clone()).await.unwrap();
        let host = format!("localhost:{}", server.local_addr().port());
        let site = Self {
            router: server.router(),
            hand,
            clock,
            identity,
            host,
            server: Some(server),
            _stop: None,
            folder,
            under: None,
        };
        site.announce("crew").await;
        site
    }

    /// Announces the kinds of these tests.
    pub(crate) async fn announce(&self, worker: &str) {
        let file = json!({ "type": "string", "format": "file" });
        let photos = json!({ "type": "array", "items": file });
        let kinds = json!([
            { "kind": "echo", "queue": "echo", "schema": true, "attempts_max": 3 },
            { "kind": "mail", "queue": "mail", "attempts_max": 2, "timeout_ms": 60_000, "schema": {
                "type": "object",
                "properties": {
                    "to": { "type": "array", "items": { "type": "string" } },
                    "photos": photos,
                },
                "required": ["to"],
                "additionalProperties": false,
            } },
        ]);
        let record = json!({
            "id": worker, "host": "h", "version": "1", "kinds": ["echo", "mail"], "concurrency": 2,
        });
        let body = json!({ "v": 1, "worker": record, "kinds": kinds });
        self.post_as(Role::Worker, "crew", "/api/v1/worker/announce", body).await.expect(204);
    }

    /// Announces that `mail` wants a subject too.
    pub(crate) async fn announce_strict_mail(&self) {
        let kinds = json!([
            { "kind": "mail", "queue": "mail", "attempts_max": 2, "schema": {
                "type": "object", "required": ["to", "subject"],
            } },
        ]);
        let record = json!({
            "id": "crew", "host": "h", "version": "2", "kinds": ["mail"], "concurrency": 2,
        });
        let body = json!({ "v": 1, "worker": record, "kinds": kinds });
        self.post_as(Role::Worker, "crew", "/api/v1/worker/announce", body).await.expect(204);
    }

    /// Where there is one of these texts: in files of users, and in whatever the store is on.
    pub(crate) fn traces(&self, of: &Texts) -> Vec<Found> {
        let mut found = of.in_files(self.folder.path());
        found.extend(self.under.iter().flat_map(|under| under.traces(of)));
        found
    }

    pub(crate) fn token(&self, subject: &str, role: Role) -> String {
        self.identity.mint(subject, role, 3_600 * 24).unwrap()
    }

    /// Tells the server to stop, as far as requests under way notice.
    pub(crate) fn stop(&self) {
        self.server.as_ref().unwrap().begin_stop();
    }

    /// What housekeeping does once an hour.
    pub(crate) async fn clean(&self) {
        self.server.as_ref().unwrap().clean().await;
    }

    /// Takes the ticks that are due, as housekeeping does.
    pub(crate) async fn ticks(&self) {
        self.server.as_ref().unwrap().ticks().await;
    }

    /// A request with everything that the door wants.
    pub(crate) fn request(
        &self,
        token: Option<&str>,
        method: &str,
        path: &str,
    ) -> axum::http::request::Builder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request =
            Request::builder().method(method).uri(path).header("host", self.host.as_str());
        match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("a router answers");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, user: &str, path: &str) -> Answer {
        let token = self.token(user, Role::User);
        self.send(self.request(Some(&token), "GET", path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn put(&self, user: &str, path: &str, body: impl ToString) -> Answer {
        let token = self.token(user, Role::User);
        let request = self
            .request(Some(&token), "PUT", path)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        self.send(request).await
    }

    pub(crate) async fn delete(&self, user: &str, path: &str) -> Answer {
        let token = self.token(user, Role::User);
        self.send(self.request(Some(&token), "DELETE", path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post_as(
        &self,
        role: Role,
        user: &str,
        path: &str,
        body: impl ToString,
    ) -> Answer {
        let token = self.token(user, role);
        let request = self
            .request(Some(&token), "POST", path)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        self.send(request).await
    }

    pub(crate) async fn post(&self, user: &str, path: &str, body: impl ToString) -> Answer {
        self.post_as(Role::User, user, path, body).await
    }

    /// Submits all of these at once, each for its user; the answers in the same order.
    pub(crate) async fn submit_at_once(
        self: &Arc<Self>,
        tasks: Vec<(&'static str, Value)>,
    ) -> Vec<Answer> {
        let (start, mut calls) = (Arc::new(Barrier::new(tasks.len())), JoinSet::new());
        let mut tokens = HashMap::new();
        for (number, (user, body)) in tasks.into_iter().enumerate() {
            let token = tokens.entry(user).or_insert_with(|| self.token(user, Role::User));
            let request = self
                .request(Some(token), "POST", "/api/v1/tasks")
                .header("content-type", "application/json")
                .header("content-length", body.to_string().len())
                .body(Body::from(body.to_string()))
                .unwrap();
            let (site, start) = (self.clone(), start.clone());
            calls.spawn(async move {
                start.wait().await;
                (number, site.send(request).await)
            });
        }
        let mut answers = calls.join_all().await;
        answers.sort_by_key(|(number, _)| *number);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Submits and answers the task.
    pub(crate) async fn submit(&self, user: &str, body: Value) -> Value {
        self.post(user, "/api/v1/tasks", body).await.expect(202)
    }

    /// Submits a task of kind `echo` and answers its id.
    pub(crate) async fn echo(&self, user: &str) -> String {
        let task = self.submit(user, json!({ "kind": "echo", "payload": {} })).await;
        task["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn sync(&self, body: Value) -> Answer {
        self.post_as(Role::Worker, "crew", "/api/v1/worker/sync", body).await
    }

    /// Claims up to `limit` tasks as `worker`; leases with their counts of writes.
    pub(crate) async fn claim(&self, worker: &str, limit: u32) -> Vec<(String, u64)> {
        let claim = json!({ "queues": ["echo", "mail"], "limit": limit });
        let body =
            json!({ "v": 1, "worker": worker, "call": 1, "lease_ms": 10_000, "claim": claim });
        let answer = self.sync(body).await.expect(200);
        let claimed = answer["claimed"].as_array().cloned().unwrap_or_default();
        let held = |held: &Value| {
            (held["lease"].as_str().unwrap().to_owned(), held["n"].as_u64().unwrap())
        };
        claimed.iter().map(held).collect()
    }

    /// Sends one report; whether it was accepted.
    pub(crate) async fn report(&self, worker: &str, lease: &str, report: Value) -> bool {
        let mut op = report;
        op["lease"] = lease.into();
        let body = json!({ "v": 1, "worker": worker, "call": 2, "lease_ms": 10_000, "ops": [op] });
        let answer = self.sync(body).await.expect(200);
        answer.get("refused").is_none()
    }

    /// Uploads and answers the file's id.
    pub(crate) async fn upload(&self, user: &str, name: &str, content: &[u8]) -> String {
        let token = self.token(user, Role::User);
        let request = self
            .request(Some(&token), "POST", &format!("/api/v1/files?name={name}"))
            .body(Body::from(content.to_vec()))
            .unwrap();
        self.send(request).await.expect(201)["id"].as_str().unwrap().to_owned()
    }
}

/// A report that a task is done.
pub(crate) fn ack(n: u64) -> Value {
    json!({ "report": "ack", "keep_s": 60, "write": { "n": n + 1, "body": r#""st":5,"ho":true,"out":{"a":1.50}"# } })
}

/// A report that a task failed for good.
pub(crate) fn bury(n: u64) -> Value {
    let body = r#""st":5,"err":{"code":"boom","message":"It broke."}"#;
    json!({ "report": "bury", "keep_s": 60, "write": { "n": n + 1, "body": body } })
}
