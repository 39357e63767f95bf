//! The door document on its way: what a server gives, what nginx makes of a bad one, and how fast a
//! changed key gets there.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tasktonic_auth::{Algorithm, Issuer, SigningKey};
use tasktonic_server::{GatewayListen, IssuerFile};
use tasktonic_testkit::nginx::Nginx;
use tasktonic_testkit::wait;

use crate::support::{Behind, SOON, ask, bearer, new_token, now_s, ready};

const EXTERNAL: &str = "https://id.example";

fn whole(mut stream: impl std::io::Read + std::io::Write, host: &str) -> String {
    stream.write_all(format!("GET /door HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The document that the server gives over its Unix socket.
fn document(door: &Path) -> String {
    let answer = whole(UnixStream::connect(door).unwrap(), "tasktonic-gateway");
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Somebody who gives any document, and counts how often it was asked for.
#[derive(Clone)]
struct Giver {
    document: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    address: String,
}

impl Giver {
    async fn start(document: String) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let giver =
            Self { document: Arc::new(Mutex::new(document)), asked: Arc::default(), address };
        let router = Router::new().route("/door", get(give)).with_state(giver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        giver
    }

    fn set(&self, document: String) {
        *self.document.lock().unwrap() = document;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until it was asked twice more: the first answer was dealt with by then.
    fn wait_until_seen(&self) {
        let before = self.asked();
        wait::until("two more questions", SOON, || self.asked() >= before + 2);
    }
}

async fn give(State(giver): State<Giver>) -> String {
    giver.asked.fetch_add(1, Ordering::SeqCst);
    giver.document.lock().unwrap().clone()
}

fn status(nginx: &Nginx, token: &str) -> u16 {
    ask(nginx.address(), "GET", "/api/v1/tasks", &[("Authorization", &bearer(token))], "").status
}

/// Whether every worker gives this status; connections spread over them.
fn all(nginx: &Nginx, token: &str, expected: u16) -> bool {
    (0..20).all(|_| status(nginx, token) == expected)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_document_leaves_the_old_one_also_across_a_reload() {
    let behind = Behind::start().await;
    let good = document(&behind.door);
    let giver = Giver::start(good.clone()).await;
    let mut gateway = behind.gateway();
    gateway.door = vec![giver.address.clone()];
    let nginx = behind.nginx_of(gateway);
    let token = behind.token("ada");
    let mut other: Value = serde_json::from_str(&good).unwrap();
    other["v"] = json!(2);
    giver.set(other.to_string());
    giver.wait_until_seen();
    let log = nginx.error_log();
    assert!(log.contains("version 2") && log.contains("what there was stays"), "{log}");
    assert!(all(&nginx, &token, 200));
    nginx.reload();
    assert!(all(&nginx, &token, 200), "new workers begin with what the old ones had");

    // A good one with other keys is taken over, and what was signed before is worth nothing.
    let stranger = Issuer::new(tasktonic_server::ISSUER, SigningKey::generate());
    let mut rotated: Value = serde_json::from_str(&good).unwrap();
    let keys: Value = serde_json::from_str(&stranger.jwks_json()).unwrap();
    rotated["issuers"][0]["keys"] = keys["keys"].clone();
    giver.set(rotated.to_string());
    wait::until("the new keys", Duration::from_secs(10), || status(&nginx, &token) == 401);
    wait::until("every worker", Duration::from_secs(3), || all(&nginx, &token, 401));
    // Garbage cannot make nginx ask all the time.
    let before = giver.asked();
    let began = Instant::now();
    for _ in 0..300 {
        let thief = Issuer::new(tasktonic_server::ISSUER, SigningKey::generate());
        status(&nginx, &thief.mint(&new_token("ada", "tasktonic"), now_s()));
    }
    let most = usize::try_from(began.elapsed().as_secs()).unwrap() / 5 + 2;
    assert!(giver.asked() - before <= most, "{} questions", giver.asked() - before);
}

fn issuer_file(jwks: PathBuf, secrets: bool) -> IssuerFile {
    IssuerFile {
        issuer: EXTERNAL.to_owned(),
        audience: "tasks".to_owned(),
        jwks,
        algorithm: secrets.then_some(Algorithm::Hs256),
        secrets,
        role_claim: None,
        roles: Vec::new(),
    }
}

/// Replaces a file as one should: whole, by renaming.
fn replace(path: &Path, text: &str) {
    let unfinished = path.with_extension("new");
    std::fs::write(&unfinished, text).unwrap();
    std::fs::rename(unfinished, path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_key_file_of_an_issuer_reaches_nginx_in_seconds() {
    let scratch = tasktonic_testkit::Scratch::new();
    let jwks = scratch.join("jwks.json");
    let issuer = |key: SigningKey| Issuer::new(EXTERNAL, key);
    let (old, new) = (issuer(SigningKey::generate()), issuer(SigningKey::generate()));
    std::fs::write(&jwks, old.jwks_json()).unwrap();
    let behind = Behind::trusting(vec![issuer_file(jwks.clone(), false)]).await;
    let nginx = behind.nginx();
    let by = |issuer: &Issuer| issuer.mint(&new_token("carol", "tasks"), now_s());
    let (with_old, with_new) = (by(&old), by(&new));
    assert!(all(&nginx, &with_old, 200));
    replace(&jwks, &new.jwks_json());
    // The first token with the new key has nginx ask at once.
    let began = Instant::now();
    wait::until("the new key", Duration::from_secs(4), || status(&nginx, &with_new) == 200);
    wait::until("every worker", Duration::from_secs(3), || all(&nginx, &with_new, 200));
    assert!(all(&nginx, &with_old, 401), "the withdrawn key counts no more");
    // A broken file changes nothing.
    replace(&jwks, "{ no keys");
    let third = issuer(SigningKey::generate());
    assert_eq!(status(&nginx, &by(&third)), 401);
    assert!(all(&nginx, &with_new, 200));
    // And the regular round finds what nobody asked for.
    replace(&jwks, &old.jwks_json());
    wait::until("the old key", Duration::from_secs(10), || status(&nginx, &with_old) == 200);
    assert!(began.elapsed() < Duration::from_secs(25));
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_secrets_travel_by_the_unix_socket_only() {
    let scratch = tasktonic_testkit::Scratch::new();
    let jwks = scratch.join("jwks.json");
    let secret = "c2hhcmVkIHNlY3JldCBvZiB0aGlydHktdHdvIGJ5dGVzISE";
    let keys = json!({ "keys": [{ "kty": "oct", "kid": "s", "k": secret }] });
    std::fs::write(&jwks, keys.to_string()).unwrap();
    let issuers = || vec![issuer_file(jwks.clone(), true)];
    let behind = Behind::trusting(issuers()).await;
    let nginx = behind.nginx();
    let claims = json!({ "iss": EXTERNAL, "aud": "tasks", "sub": "dave", "iat": now_s(), "exp": now_s() + 600 });
    let header = Header { kid: Some("s".to_owned()), ..Header::default() };
    let key = EncodingKey::from_base64_secret(&format!(
        "{}=",
        secret.replace('-', "+").replace('_', "/")
    ));
    let token = jsonwebtoken::encode(&header, &claims, &key.unwrap()).unwrap();
    assert_eq!(status(&nginx, &token), 200, "{}", nginx.error_log());
    assert!(document(&behind.door).contains(secret));

    // The same server by TCP.
    let listen: GatewayListen = "127.0.0.1:0".parse().unwrap();
    let by_tcp = Behind::with(issuers(), Some(listen)).await;
    let stream = || std::net::TcpStream::connect(by_tcp.door_address.unwrap()).unwrap();
    let answer = whole(stream(), "tasktonic-gateway");
    assert!(answer.contains("\"origins\"") && answer.contains("\"tasktonic\""), "{answer}");
    assert!(!answer.contains(secret) && !answer.contains(EXTERNAL), "{answer}");
    // A browser that was led here names somebody else.
    let answer = whole(stream(), "localhost");
    assert!(answer.starts_with("HTTP/1.0 421") && !answer.contains("origins"), "{answer}");
    let mut gateway = by_tcp.gateway();
    gateway.door = vec![by_tcp.door_address.unwrap().to_string()];
    let nginx = Nginx::start(gateway);
    ready(&nginx);
    assert_eq!(status(&nginx, &token), 401, "this gateway cannot check it");
    assert_eq!(status(&nginx, &by_tcp.token("ada")), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_server_is_asked_when_one_has_no_document() {
    let behind = Behind::start().await;
    let mut gateway = behind.gateway();
    gateway.door.insert(0, format!("unix:{}", behind.scratch.join("gone.sock").display()));
    let nginx = behind.nginx_of(gateway);
    assert!(all(&nginx, &behind.token("ada"), 200));
    let (log, path) = (nginx.error_log(), "gone.sock");
    assert!(log.contains(path) && !log.contains("eyJ"), "{log}");
}
