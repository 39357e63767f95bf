//! A gateway as it is shipped: nginx before a real server over the model store, and before a server
//! of pages that says and remembers what reached it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use tasktonic_auth::{Issuer, NewToken, Role, SigningKey};
use tasktonic_files::{FileLimits, Files};
use tasktonic_server::{
    AUDIENCE, Config, GatewayListen, ISSUER, Identity, IssuerFile, Limits, Server,
};
use tasktonic_store::clock::Clock;
use tasktonic_store::model::ModelStore;
use tasktonic_testkit::nginx::{self, Gateway, Nginx};
use tasktonic_testkit::{Scratch, wait};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long anything may take that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// The origin that requests name if they do not say.
pub(crate) const HOST: &str = "tasks.example.com";
/// The other one.
pub(crate) const PLAIN_HOST: &str = "localhost:8080";

/// Everything behind nginx, in this process.
pub(crate) struct Behind {
    pub(crate) scratch: Scratch,
    pub(crate) server: SocketAddr,
    pub(crate) identity: Identity,
    pub(crate) door: PathBuf,
    pub(crate) door_address: Option<SocketAddr>,
    pub(crate) pages: Spy,
    pub(crate) stop: CancellationToken,
    pub(crate) ended: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// A server that takes everything, says what arrived, and remembers the first lines.
#[derive(Clone)]
pub(crate) struct Spy {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Spy {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let spy = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let router = Router::new().fallback(arrived).with_state(spy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        spy
    }

    /// Requests that reached it, as `GET /path`.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }
}

async fn arrived(State(spy): State<Spy>, request: Request) -> String {
    let mut text = format!("{} {}\n", request.method(), request.uri());
    spy.seen.lock().unwrap().push(text.trim_end().to_owned());
    for (name, value) in request.headers() {
        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    let body = axum::body::to_bytes(request.into_body(), 1 << 24).await.unwrap_or_default();
    text.push_str(&format!("body-bytes: {}\n", body.len()));
    text
}

impl Behind {
    pub(crate) async fn start() -> Self {
        Self::trusting(Vec::new()).await
    }

    pub(crate) async fn trusting(issuers: Vec<IssuerFile>) -> Self {
        Self::with(issuers, None).await
    }

    /// The same with its door document elsewhere than on a Unix socket.
    pub(crate) async fn with(issuers: Vec<IssuerFile>, listen: Option<GatewayListen>) -> Self {
        let scratch = Scratch::new();
        let door = scratch.join("door.sock");
        let pages = Spy::start().await;
        let clock = Clock::system();
        let store = Arc::new(ModelStore::new(clock.clone()));
        let url = format!("file://{}", scratch.join("files").display());
        let limits =
            FileLimits { file_bytes_max: 1 << 26, user_bytes_max: 1 << 28, user_files_max: 1_000 };
        let files = Files::open(&url, limits, || Clock::system().now_ms()).await.unwrap();
        let keys = scratch.join("keys");
        let identity = Identity::open(store.clone(), &keys, issuers, clock.clone()).unwrap();
        let unix = GatewayListen::Unix { path: door.clone(), mode: 0o600 };
        let listen = listen.unwrap_or(unix);
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            origins: vec![format!("https://{HOST}"), format!("http://{PLAIN_HOST}")],
            pages: None,
            pages_static: None,
            gateway: Some(listen),
            metrics_public: false,
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
        };
        let server = Server::bind(config, store, files, identity.clone(), clock).await.unwrap();
        let door_address = server.gateway_addr();
        let (address, stop) = (server.local_addr(), CancellationToken::new());
        let ended = tokio::spawn(server.run_until(stop.clone()));
        Self { scratch, server: address, identity, door, door_address, pages, stop, ended }
    }

    /// A gateway in front of it that can still be changed.
    pub(crate) fn gateway(&self) -> Gateway {
        let mut gateway = nginx::gateway();
        gateway.servers = vec![self.server.to_string()];
        gateway.pages = vec![self.pages.address.to_string()];
        gateway.door = vec![format!("unix:{}", self.door.display())];
        gateway
    }

    /// nginx in front of it, once it has the door document.
    pub(crate) fn nginx(&self) -> Nginx {
        self.nginx_of(self.gateway())
    }

    pub(crate) fn nginx_of(&self, gateway: Gateway) -> Nginx {
        let nginx = Nginx::start(gateway);
        ready(&nginx);
        nginx
    }

    pub(crate) fn token(&self, name: &str) -> String {
        self.identity.mint(name, Role::User, 600).unwrap()
    }

    /// The server's own issuer, for tokens that it would not give to anybody.
    pub(crate) fn issuer(&self) -> Issuer {
        let key = std::fs::read(self.scratch.join("keys/access.key")).unwrap();
        Issuer::new(ISSUER, SigningKey::from_pkcs8(&key).unwrap())
    }

    /// The words in braces of a table, and what they stand for.
    pub(crate) fn words(&self) -> Vec<(&'static str, String)> {
        let thief = Issuer::new(ISSUER, SigningKey::generate());
        let now_s = now_s();
        let good = self.issuer().mint(&new_token("ada", AUDIENCE), now_s);
        let (_, payload) = good.split_once('.').unwrap();
        // {"alg":"none","typ":"at+jwt"}
        let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{payload}");
        vec![
            ("{expired}", self.issuer().mint(&new_token("ada", AUDIENCE), now_s - 10_000)),
            ("{forged}", thief.mint(&new_token("ada", AUDIENCE), now_s)),
            ("{foreign}", self.issuer().mint(&new_token("ada", "other"), now_s)),
            ("{none}", none),
            ("{huge}", "a".repeat(9_000)),
            ("{good}", good),
        ]
    }
}

pub(crate) fn now_s() -> i64 {
    Clock::system().now_ms() / 1_000
}

pub(crate) fn new_token(subject: &str, audience: &str) -> NewToken {
    NewToken {
        subject: subject.to_owned(),
        role: Role::User,
        name: None,
        scopes: Vec::new(),
        ttl_s: 600,
        audience: audience.to_owned(),
    }
}

/// Waits until every worker of `nginx` has the door document.
pub(crate) fn ready(nginx: &Nginx) {
    ready_by(nginx, "/healthz", 200);
}

/// The same, where nothing behind answers: by a path and the status that the guard alone gives it.
pub(crate) fn ready_by(nginx: &Nginx, path: &str, status: u16) {
    let mut good = 0;
    wait::until("the gateway to have the door document", SOON, || {
        let now = ask(nginx.address(), "GET", path, &[], "").status;
        good = if now == status { good + 1 } else { 0 };
        // Connections spread over the workers; a row of good ones is all of them.
        good >= 20
    });
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn read(raw: &[u8]) -> Self {
        let raw = String::from_utf8_lossy(raw).into_owned();
        let (head, body) = raw.split_once("\r\n\r\n").unwrap_or((&raw, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { dechunk(body) } else { body.to_owned() };
        Self { status, head: head.to_owned(), body }
    }

    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    pub(crate) fn code(&self) -> Option<String> {
        let problem = serde_json::from_str::<serde_json::Value>(&self.body).ok()?;
        Some(problem["code"].as_str()?.to_owned())
    }

    /// The values of a header as a spy says that it arrived.
    pub(crate) fn arrived(&self, name: &str) -> Vec<String> {
        let lines = self.body.lines().filter_map(|line| line.strip_prefix(&format!("{name}: ")));
        lines.map(ToOwned::to_owned).collect()
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

/// Sends bytes as they are and reads until the other side ends, or the answer is `whole`.
pub(crate) fn raw(at: SocketAddr, request: &[u8], whole: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    // It may have been refused before all of it was sent.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let mut part = [0; 16 * 1024];
    while !whole(&answer) {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(n) => answer.extend_from_slice(&part[..n]),
        }
    }
    answer
}

/// One request on a connection of its own.
pub(crate) fn ask(
    at: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request.push_str(&format!("Host: {HOST}\r\n"));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    request.push_str(body);
    Answer::read(&raw(at, request.as_bytes(), |_| false))
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}
