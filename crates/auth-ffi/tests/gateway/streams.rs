//! What takes its time or comes in pieces: pages, uploads, waiting workers, and files from disk.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use tasktonic_auth::Role;
use tasktonic_testkit::nginx::Nginx;

use crate::support::{Behind, HOST, SOON, ask, bearer, ready_by};

/// A server for one connection at a time, driven by the test.
struct Puppet {
    address: SocketAddr,
    /// All that it was sent so far.
    heard: Receiver<Vec<u8>>,
    /// What it sends.
    say: Sender<Vec<u8>>,
}

impl Puppet {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ((heard_in, heard), (say, to_say)) = (channel(), channel::<Vec<u8>>());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = stream.try_clone().unwrap();
            std::thread::spawn(move || {
                let mut part = [0; 64 * 1024];
                while let Ok(n) = reader.read(&mut part) {
                    if n == 0 || heard_in.send(part[..n].to_vec()).is_err() {
                        break;
                    }
                }
            });
            for bytes in to_say {
                stream.write_all(&bytes).unwrap();
            }
        });
        Self { address, heard, say }
    }

    /// Waits until it was sent `word`; all it was sent since the last question.
    fn hears(&self, word: &str) -> String {
        let mut all = String::new();
        while !all.contains(word) {
            let part = self.heard.recv_timeout(SOON).unwrap_or_else(|_| panic!("{word}: {all}"));
            all.push_str(&String::from_utf8_lossy(&part));
        }
        all
    }
}

fn reads(stream: &mut TcpStream, word: &str) -> String {
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut all = String::new();
    let mut part = [0; 4096];
    while !all.contains(word) {
        let n = stream.read(&mut part).unwrap();
        assert!(n > 0, "{word} was not in {all}");
        all.push_str(&String::from_utf8_lossy(&part[..n]));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_pieces_arrives_piece_by_piece() {
    let behind = Behind::start().await;
    let puppet = Puppet::start();
    let mut gateway = behind.gateway();
    gateway.pages = vec![puppet.address.to_string()];
    let nginx = behind.nginx_of(gateway);
    let mut stream = TcpStream::connect(nginx.address()).unwrap();
    let token = behind.token("ada");
    let request =
        format!("GET /tasks HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    puppet.hears("\r\n\r\n");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n";
    puppet.say.send(format!("{head}5\r\nfirst\r\n").into_bytes()).unwrap();
    // The rest is not sent before the first piece is here.
    reads(&mut stream, "first");
    puppet.say.send(b"6\r\nsecond\r\n".to_vec()).unwrap();
    reads(&mut stream, "second");
    puppet.say.send(b"0\r\n\r\n".to_vec()).unwrap();
    reads(&mut stream, "0\r\n\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_begins_to_arrive_before_it_is_whole() {
    let behind = Behind::start().await;
    let puppet = Puppet::start();
    let mut gateway = behind.gateway();
    gateway.servers = vec![puppet.address.to_string()];
    let nginx = Nginx::start(gateway);
    ready_by(&nginx, "/login", 200);
    let mut stream = TcpStream::connect(nginx.address()).unwrap();
    let token = behind.token("ada");
    // Longer than the limit of other bodies.
    let length = 100 << 20;
    let request = format!(
        "POST /api/v1/files?name=a HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {length}\r\n\r\nbegin-of-it"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let heard = puppet.hears("begin-of-it");
    assert!(heard.contains(&format!("Content-Length: {length}")), "{heard}");
    stream.write_all(b"more-of-it").unwrap();
    puppet.hears("more-of-it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_wait_for_work_behind_the_gateway() {
    let behind = Behind::start().await;
    let nginx = behind.nginx();
    let token = bearer(&behind.identity.mint("robot", Role::Worker, 600).unwrap());
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    let sync = |more: serde_json::Value| {
        let mut body = serde_json::json!({
            "v": tasktonic_protocol::worker::V, "worker": "w-1", "call": 1, "lease_ms": 60_000,
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask(nginx.address(), "POST", "/api/v1/worker/sync", &headers, &body.to_string())
    };
    // It looks, finds nothing, and then waits for a word.
    let claim = serde_json::json!({ "queues": ["noop"], "limit": 1 });
    let looked = sync(serde_json::json!({ "claim": claim, "park": true }));
    assert_eq!(looked.status, 200, "{looked:?}");
    let began = Instant::now();
    let waited = sync(serde_json::json!({ "call": 2, "wait_ms": 3_000 }));
    assert_eq!(waited.status, 200, "{waited:?}");
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}: {waited:?}", began.elapsed());
    // Nothing counts workers as one user who asks too much.
    let log = nginx.access_log();
    assert!(log.contains("/api/v1/worker/sync"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn immutable_files_come_from_disk_and_nothing_else_does() {
    let behind = Behind::start().await;
    let folder = behind.scratch.join("static");
    std::fs::create_dir_all(folder.join("chunks/[id]")).unwrap();
    std::fs::write(folder.join("chunks/a.js"), "let a;".repeat(1_000)).unwrap();
    std::fs::write(folder.join("chunks/[id]/b.css"), "b{}").unwrap();
    std::fs::write(behind.scratch.join("secret.txt"), "secret").unwrap();
    std::os::unix::fs::symlink(behind.scratch.join("secret.txt"), folder.join("link.txt")).unwrap();
    let mut gateway = behind.gateway();
    gateway.static_files = Some(folder);
    let nginx = behind.nginx_of(gateway);
    let get = |path: &str, headers: &[(&str, &str)]| {
        behind.pages.forget();
        let answer = ask(nginx.address(), "GET", &format!("/_next/static/{path}"), headers, "");
        assert!(behind.pages.seen().is_empty(), "{path} is not asked for elsewhere");
        answer
    };
    let script = get("chunks/a.js", &[]);
    assert_eq!(script.status, 200, "{script:?}");
    let header = |name| script.header(name);
    assert_eq!(header("content-type").as_deref(), Some("text/javascript; charset=utf-8"));
    assert_eq!(header("cache-control").as_deref(), Some("public, max-age=31536000, immutable"));
    assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"));
    let packed = get("chunks/a.js", &[("Accept-Encoding", "gzip")]);
    assert_eq!(packed.header("content-encoding").as_deref(), Some("gzip"));
    assert_eq!(get("chunks/%5Bid%5D/b.css", &[]).body, "b{}");
    for path in ["none.js", "", "chunks", "chunks/", "link.txt", ".env", "a.js/x"] {
        let answer = get(path, &[]);
        assert_eq!((answer.status, answer.code().as_deref()), (404, Some("not_found")), "{path}");
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"), "{path}");
    }
    for path in ["../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "chunks//a.js"] {
        assert_eq!(get(path, &[]).code().as_deref(), Some("ambiguous_target"), "{path}");
    }
    let posted = ask(nginx.address(), "POST", "/_next/static/chunks/a.js", &[], "");
    assert_eq!(posted.code().as_deref(), Some("method_not_allowed"), "{posted:?}");
    let foreign = get("chunks/a.js", &[("Host", "evil.example")]);
    assert_eq!(foreign.code().as_deref(), Some("unknown_host"));
}
