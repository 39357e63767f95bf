//! A bound server over the model store, real sockets, and raw requests.
#![expect(dead_code, reason = "each test file uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tasktonic_auth::{Issuer, NewToken, Role, SigningKey};
use tasktonic_core::command::{Claim, NewTask, Op, Report, Submit, Sync, Write};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{Lease, TaskId, Text, UserId};
use tasktonic_files::{FileLimits, Files};
use tasktonic_protocol::stored::SubmitEvent;
use tasktonic_server::{AUDIENCE, Config, ISSUER, Identity, IssuerFile, Limits, Server};
use tasktonic_store::clock::Clock;
use tasktonic_store::model::ModelStore;
use tasktonic_store::{Store, SyncReply};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::sync::CancellationToken;

/// Partitions of the store of these servers.
pub(crate) const PARTITIONS: u16 = 3;
/// How long anything may take that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) store: Arc<ModelStore>,
    pub(crate) identity: Identity,
    pub(crate) stop: CancellationToken,
    pub(crate) ended: tokio::task::JoinHandle<std::io::Result<()>>,
    pub(crate) scratch: Arc<tempfile::TempDir>,
    next: AtomicU64,
}

pub(crate) fn config() -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        origins: Vec::new(),
        pages: None,
        pages_static: None,
        metrics_public: false,
        gateway: None,
        trusted_proxies: Vec::new(),
        limits: Limits::default(),
    }
}

pub(crate) async fn start() -> Running {
    start_with(config()).await
}

pub(crate) async fn start_with(config: Config) -> Running {
    start_trusting(config, Vec::new()).await
}

pub(crate) async fn start_trusting(config: Config, issuers: Vec<IssuerFile>) -> Running {
    let scratch = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let store = Arc::new(ModelStore::with_partitions(clock.clone(), PARTITIONS));
    serve(config, issuers, store, Arc::new(scratch)).await
}

async fn serve(
    config: Config,
    issuers: Vec<IssuerFile>,
    store: Arc<ModelStore>,
    scratch: Arc<tempfile::TempDir>,
) -> Running {
    let clock = Clock::system();
    let url = format!("file://{}", scratch.path().join("files").display());
    let limits =
        FileLimits { file_bytes_max: 1 << 20, user_bytes_max: 1 << 24, user_files_max: 1_000 };
    let files = Files::open(&url, limits, || Clock::system().now_ms()).await.unwrap();
    let keys = scratch.path().join("keys");
    let identity = Identity::open(store.clone(), &keys, issuers, clock.clone()).unwrap();
    let server = Server::bind(config, store.clone(), files, identity.clone(), clock).await.unwrap();
    let (addr, stop) = (server.local_addr(), CancellationToken::new());
    let ended = tokio::spawn(server.run_until(stop.clone()));
    Running { addr, store, identity, stop, ended, scratch, next: AtomicU64::new(1) }
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::encode(name)
}

impl Running {
    /// A second server over the same store, with the same files and keys.
    pub(crate) async fn beside(&self) -> Self {
        self.beside_with(config()).await
    }

    pub(crate) async fn beside_with(&self, config: Config) -> Self {
        let mut other = serve(config, Vec::new(), self.store.clone(), self.scratch.clone()).await;
        // No two of them make the same task or the same call.
        other.next = AtomicU64::new(self.next.load(Ordering::SeqCst) + 1_000_000);
        other
    }

    pub(crate) fn token(&self, name: &str) -> String {
        self.identity.mint(name, Role::User, 600).unwrap()
    }

    /// The server's own issuer, for tokens that it would not give to anybody.
    pub(crate) fn issuer(&self) -> Issuer {
        let key = std::fs::read(self.scratch.path().join("keys/access.key")).unwrap();
        Issuer::new(ISSUER, SigningKey::from_pkcs8(&key).unwrap())
    }

    /// A token that allows these scopes and no others.
    pub(crate) fn scoped(&self, name: &str, scopes: &[&str]) -> String {
        let new = NewToken {
            subject: name.to_owned(),
            role: Role::User,
            name: None,
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            ttl_s: 600,
            audience: AUDIENCE.to_owned(),
        };
        self.issuer().mint(&new, Clock::system().now_ms() / 1_000)
    }

    pub(crate) fn new_task(&self, owner: &str) -> NewTask {
        let now_ms = Clock::system().now_ms();
        let id = TaskId::new(now_ms, self.next.fetch_add(1, Ordering::SeqCst));
        let event = SubmitEvent {
            k: "noop".into(),
            q: None,
            max: 3,
            tags: Vec::new(),
            key: None,
            to: None,
        };
        let descriptor =
            format!(r#"{{"v":1,"k":"noop","q":"noop","at":{now_ms},"max":3,"p":{{}}}}"#);
        NewTask {
            event: event.members(),
            ..NewTask::new(user(owner), id, "noop".parse().unwrap(), descriptor)
        }
    }

    pub(crate) async fn submit(&self, owner: &str) -> TaskId {
        let new = self.new_task(owner);
        let id = new.task;
        let batch = Submit { created_ms: Clock::system().now_ms(), tasks: vec![new] };
        self.store.submit(partition_of(&user(owner), PARTITIONS), batch).await.unwrap();
        id
    }

    async fn sync(&self, p: PartitionId, ops: Vec<Op>, claim: u32) -> SyncReply {
        let request = Sync {
            worker: "w-test".parse().unwrap(),
            call: self.next.fetch_add(1, Ordering::SeqCst),
            lease_ms: 60_000,
            ops,
            claim: (claim > 0).then(|| Claim::new(vec!["noop".parse().unwrap()], claim)),
            woken: Vec::new(),
            park: false,
        };
        self.store.sync(p, request).await.unwrap()
    }

    /// What a partition answers to a worker that wants nothing.
    pub(crate) async fn look(&self, p: PartitionId) -> SyncReply {
        self.sync(p, Vec::new(), 0).await
    }

    pub(crate) async fn claim(&self, limit: u32) -> Vec<Lease> {
        let mut leases = Vec::new();
        for p in (0..PARTITIONS).map(PartitionId) {
            let room = limit - u32::try_from(leases.len()).unwrap();
            let claimed = self.sync(p, Vec::new(), room).await.claimed;
            leases.extend(claimed.into_iter().map(|held| held.lease));
        }
        leases
    }

    pub(crate) async fn report(&self, lease: &Lease, report: Report) {
        let p = partition_of(&lease.user, PARTITIONS);
        let reply = self.sync(p, vec![Op { lease: lease.clone(), report }], 0).await;
        assert_eq!(reply.refused, Vec::<u32>::new(), "the lease is held");
    }

    pub(crate) async fn progress(&self, lease: &Lease, n: u32, done: u64) {
        let body = format!(r#""p":{{"done":{done},"total":100}}"#).into();
        self.report(lease, Report::Progress { write: Write { n, body, event: None } }).await;
    }

    pub(crate) async fn log(&self, lease: &Lease, text: &str) {
        let line: Text = json!({ "at": 1, "l": "info", "x": text }).to_string().into();
        self.report(lease, Report::Log { lines: vec![line] }).await;
    }

    pub(crate) async fn ack(&self, lease: &Lease, n: u32) {
        let write = Write { n, body: "".into(), event: None };
        self.report(lease, Report::Ack { write, keep_s: 3_600 }).await;
    }

    /// Sends bytes as they are and reads until the server closes, or `within` has passed.
    pub(crate) async fn raw(&self, request: &str, within: Duration) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(within, stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// One request on a connection of its own: status, head and body.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.addr);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            request.push_str(&format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            ));
        }
        request.push_str("\r\n");
        request.push_str(body);
        Answer::read(&self.raw(&request, SOON).await)
    }

    pub(crate) async fn open(&self, token: &str) -> Socket {
        let bearer = format!("Bearer {token}");
        self.open_with(&[("Authorization", &bearer)], "tt.v1").await.unwrap()
    }

    pub(crate) async fn open_with(
        &self,
        headers: &[(&str, &str)],
        protocols: &str,
    ) -> Result<Socket, WsError> {
        let mut request = format!("ws://{}/ws", self.addr).into_client_request().unwrap();
        let all = request.headers_mut();
        if !protocols.is_empty() {
            all.insert("Sec-WebSocket-Protocol", HeaderValue::from_str(protocols).unwrap());
        }
        for (name, value) in headers {
            let name = tokio_tungstenite::tungstenite::http::HeaderName::try_from(*name).unwrap();
            all.insert(name, HeaderValue::from_str(value).unwrap());
        }
        let stream = TcpStream::connect(self.addr).await.unwrap();
        let config = WebSocketConfig::default();
        let (ws, answer) =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
        if let Some(chosen) = answer.headers().get("Sec-WebSocket-Protocol") {
            assert_eq!(chosen, "tt.v1", "a token is never echoed");
        }
        Ok(Socket { ws })
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn read(raw: &str) -> Self {
        let (head, body) = raw.split_once("\r\n\r\n").unwrap_or((raw, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { dechunk(body) } else { body.to_owned() };
        Self { status, head: head.to_owned(), body }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("JSON, not {self:?}"))
    }

    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

fn dechunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else { break };
        if size == 0 || rest.len() < size {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

pub(crate) struct Socket {
    pub(crate) ws: WebSocketStream<TcpStream>,
}

impl Socket {
    pub(crate) async fn say(&mut self, frame: Value) {
        self.ws.send(Message::text(frame.to_string())).await.unwrap();
    }

    pub(crate) async fn hello(&mut self, cursor: Option<&str>) {
        self.say(json!({ "t": "hello", "v": 1, "cursor": cursor, "watch": { "recent": 100 } }))
            .await;
    }

    /// The next frame; `Err` with the code when the server closes, 1006 when it just goes.
    pub(crate) async fn next(&mut self) -> Result<Value, u16> {
        let next = timeout(SOON * 3, async {
            loop {
                match self.ws.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return Ok(serde_json::from_str(&text).expect("frames are JSON"));
                    }
                    Some(Ok(Message::Close(frame))) => {
                        return Err(frame.map_or(1005, |frame| frame.code.into()));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Err(1006),
                }
            }
        });
        next.await.expect("a frame or a close")
    }

    /// The next frame of type `t`; others are passed over.
    pub(crate) async fn next_of(&mut self, t: &str) -> Value {
        loop {
            let frame = self.next().await.unwrap_or_else(|code| panic!("closed {code}, not {t}"));
            if frame["t"] == t {
                return frame;
            }
        }
    }

    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }

    /// Everything that arrives until a pong does: what is not there by then was not sent.
    pub(crate) async fn until_pong(&mut self) -> Vec<Value> {
        self.say(json!({ "t": "ping" })).await;
        let mut seen = Vec::new();
        loop {
            let frame = self.next().await.expect("still open");
            if frame["t"] == "pong" {
                return seen;
            }
            seen.push(frame);
        }
    }
}
