//! The table of attacks, and what is generated from it: every byte goes over a connection as it
//! stands, and what counts is what arrives behind the gateway.

use std::time::{Duration, Instant};

use serde::Deserialize;
use tasktonic_testkit::nginx::Nginx;

use crate::support::{Behind, HOST, Spy, ask, bearer, raw, ready};

#[derive(Deserialize)]
struct Cases {
    attack: Vec<Attack>,
}

#[derive(Deserialize)]
struct Attack {
    id: String,
    name: String,
    send: String,
    answers: Vec<u16>,
    reaches: Vec<String>,
    #[serde(default)]
    arrives: Vec<String>,
    #[serde(default)]
    never: Vec<String>,
}

/// nginx before a spy that stands for servers and pages alike; the keys come from a real server.
struct Watched {
    behind: Behind,
    spy: Spy,
    nginx: Nginx,
    words: Vec<(&'static str, String)>,
}

impl Watched {
    async fn start() -> Self {
        let behind = Behind::start().await;
        let spy = behind.pages.clone();
        let mut gateway = behind.gateway();
        gateway.servers = vec![spy.address.to_string()];
        gateway.limits.sign_in_burst = 10_000;
        let nginx = behind.nginx_of(gateway);
        let mut words = behind.words();
        let last = format!("GET /healthz HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        words.push(("{last}", last));
        Self { behind, spy, nginx, words }
    }

    /// All that comes back before the connection ends, and the requests that arrived.
    fn throw(&self, send: &[u8]) -> (String, Vec<String>) {
        self.spy.forget();
        let began = Instant::now();
        let answer = raw(self.nginx.address(), send, |_| false);
        let shown = String::from_utf8_lossy(send).into_owned();
        assert!(began.elapsed() < Duration::from_secs(8), "the connection stays open: {shown:?}");
        let mut seen = self.spy.seen();
        seen.retain(|line| line != "GET /healthz");
        (String::from_utf8_lossy(&answer).into_owned(), seen)
    }
}

fn statuses(answer: &str) -> Vec<u16> {
    // Bodies here are short and never hold this.
    let heads = answer.split("HTTP/1.1 ").skip(1);
    heads.map(|head| head[..3].parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_of_the_table_ends_as_the_table_says() {
    let watched = Watched::start().await;
    let cases: Cases = toml::from_str(include_str!("../../../../gateway/cases.toml")).unwrap();
    let mut wrong = Vec::new();
    for attack in &cases.attack {
        let fill = |text: &str| {
            let words = watched.words.iter();
            words.fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
        };
        let (answer, seen) = watched.throw(fill(&attack.send).as_bytes());
        let name = format!("{} {}", attack.id, attack.name);
        if statuses(&answer) != attack.answers || seen != attack.reaches {
            wrong.push(format!("{name}: {seen:?} reached, {answer}"));
            continue;
        }
        // The first answer is the spy's; the last belongs to the request that ends the connection.
        let first = answer.split("HTTP/1.1 ").nth(1).unwrap_or_default();
        for line in &attack.arrives {
            let line = fill(line);
            if !first.lines().any(|arrived| arrived == line) {
                wrong.push(format!("{name}: {line:?} does not arrive in {first}"));
            }
        }
        let body = first.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_ascii_lowercase();
        for word in &attack.never {
            if body.contains(word) {
                wrong.push(format!("{name}: {word} arrives in {body}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.attack.len(), wrong.join("\n"));
    assert!(cases.attack.len() >= 40, "{} rows", cases.attack.len());
}

/// A reader who believes the length sees one request here, one who believes the encoding sees two.
#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_an_encoding_smuggles_a_request_past_the_guard() {
    let watched = Watched::start().await;
    let token = watched.behind.token("ada");
    let last = &watched.words.last().unwrap().1;
    let smuggled = format!("0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let odd: &[&[u8]] = &[
        b" ", b"\t", b"\x0b", b"\x0c", b"\r", b"\n", b"\x00", b"\x7f", b"\xa0", b"\xff", b"_",
        b"-", b":", b";", b",", b"\"", b"\\", b"\x1f",
    ];
    let (name, value): (&[u8], &[u8]) = (b"Transfer-Encoding", b"chunked");
    let mut fields: Vec<Vec<u8>> = Vec::new();
    for byte in odd.iter().copied() {
        fields.push([byte, name, b": ", value].concat());
        fields.push([&name[..8], byte, &name[8..], b": ", value].concat());
        fields.push([name, byte, b": ", value].concat());
        fields.push([name, b":", byte, value].concat());
        fields.push([name, b": ", &value[..4], byte, &value[4..]].concat());
        fields.push([name, b": ", value, byte].concat());
        fields.push([name, b": identity", byte, value].concat());
        fields.push([&b"X: y"[..], byte, name, b": ", value].concat());
    }
    fields.push(b"TRANSFER-ENCODING: CHUNKED".to_vec());
    fields.push(b"Transfer_Encoding: chunked".to_vec());
    fields.push(b"Transfer-Encoding:\r\n chunked".to_vec());
    fields.push(b"Transfer-Encoding: \"chunked\"".to_vec());
    fields.push(b"Transfer-Encoding: chunked;q=1".to_vec());
    fields.push(b"Transfer-Encoding: gzip, chunked".to_vec());
    let mut passed = 0;
    for field in &fields {
        let head = format!(
            "POST /api/v1/tasks HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {}\r\n",
            smuggled.len()
        );
        let send =
            [head.as_bytes(), field, b"\r\n\r\n", smuggled.as_bytes(), last.as_bytes()].concat();
        let (answer, seen) = watched.throw(&send);
        let shown = String::from_utf8_lossy(field).into_owned();
        let ours = seen.iter().filter(|line| *line == "POST /api/v1/tasks").count();
        assert!(ours <= 1 && seen.len() == ours, "{shown:?}: {seen:?} reached\n{answer}");
        passed += ours;
    }
    assert!(passed > 0, "some spellings are fields that mean nothing, and pass");
    assert!(fields.len() > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_listed_public_routes_gets_past_without_a_token() {
    let watched = Watched::start().await;
    let forged = &watched.words.iter().find(|(word, _)| *word == "{forged}").unwrap().1;
    let public = [
        "/healthz",
        "/readyz",
        "/metrics",
        "/.well-known/jwks.json",
        "/openapi.json",
        "/docs/errors",
        "/docs/errors/not_found",
        "/login",
        "/favicon.ico",
        "/icon.svg",
        "/robots.txt",
        "/_next/static/chunks/a.js",
        "/api/v1/auth/refresh",
    ];
    let closed = [
        "/",
        "/tasks",
        "/api",
        "/api/",
        "/api/v1/tasks",
        "/api/v1/files",
        "/api/v1/files/f_1",
        "/api/v1/worker/sync",
        "/api/v1/kinds",
        "/api/v2/x",
        "/api/v1/authx",
        "/api/v1/auth",
        "/healthz/",
        "/healthzx",
        "/metrics/x",
        "/_next/image",
        "/_next/data/x.json",
        "/_next",
        "/ws",
        "/ws/",
        "/ws/echo/x",
        "/login/",
        "/loginx",
        "/Login",
        "/API/v1/tasks",
        "/docs",
        "/docs/guides",
        "/nginx_status",
        "/.git/config",
        "/.env",
        "/@page",
        "/tasktonic",
        "/door",
        "/server-status",
        "/index.html",
        "/admin",
        "/%F0%9F%92%A9",
    ];
    let at = watched.nginx.address();
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"] {
        for path in closed {
            for headers in [
                vec![],
                vec![("Authorization", bearer(forged))],
                vec![("Cookie", format!("__Host-tt_at={forged}; tt_at={forged}"))],
                vec![("Connection", "upgrade".to_owned()), ("Upgrade", "websocket".to_owned())],
            ] {
                let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
                watched.spy.forget();
                let answer = ask(at, method, path, &headers, "");
                assert!(
                    watched.spy.seen().is_empty() && !(200..300).contains(&answer.status),
                    "{method} {path} {headers:?}: {answer:?}"
                );
            }
        }
    }
    for path in public {
        watched.spy.forget();
        let answer = ask(at, "GET", path, &[], "");
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(watched.spy.seen(), [format!("GET {path}")]);
    }
    ready(&watched.nginx);
    // What nginx writes down knows no query and no token.
    ask(at, "GET", "/tasks?secret=shown", &[("Authorization", &bearer(forged))], "");
    let log = watched.nginx.access_log();
    assert!(log.contains("\"path\":\"/tasks\"") && !log.contains("shown"), "{log}");
    assert!(!log.contains(forged.as_str()));
    let whole = log.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
    assert!(whole, "every line of the log is JSON");
}

/// HTTP/2 says method, path and host in other words; the door hears the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_by_http_2_gets_the_same_verdicts() {
    let watched = Watched::start().await;
    let mut nginx = watched.nginx;
    let port = tasktonic_testkit::ports::free();
    nginx.gateway().listen.push(format!("127.0.0.1:{port} http2"));
    nginx.reload();
    ready(&nginx);
    let token = bearer(&watched.behind.token("ada"));
    let curl = |path: &str, args: &[&str]| {
        let mut curl = std::process::Command::new("curl");
        curl.args(["-sS", "--http2-prior-knowledge", "--path-as-is", "-m", "10", "-o", "-"]);
        curl.args(["-w", "\nstatus: %{http_code} %{http_version}"]).args(args);
        let done = curl.arg(format!("http://127.0.0.1:{port}{path}")).output();
        let done = done.expect("curl is among the tools of the tests");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let host = format!("Host: {HOST}");
    let auth = format!("Authorization: {token}");
    let page = curl("/tasks?a=%2F", &["-H", &host, "-H", &auth, "-H", "X-TT-User: eve"]);
    assert!(page.ends_with("status: 200 2"), "{page}");
    for line in ["GET /tasks?a=%2F", "x-tt-user: ada", "host: tasks.example.com"] {
        assert!(page.lines().any(|arrived| arrived == line), "{line} is not in {page}");
    }
    let cookie = format!("Cookie: a=1; __Host-tt_rt=r; __Host-tt_at={}", &token[7..]);
    let page = curl("/tasks", &["-H", &host, "-H", &cookie]);
    assert!(page.contains("cookie: a=1; __Host-tt_at=") && !page.contains("tt_rt"), "{page}");
    for (path, args, expected) in [
        ("/api/v1/tasks", vec!["-H", &host], "status: 401 2"),
        ("/api/v1/tasks", vec!["-H", "Host: evil.example", "-H", &auth], "status: 421 2"),
        ("/login/../tasks", vec!["-H", &host, "-H", &auth], "status: 400 2"),
        ("/tasks", vec!["-H", &host, "-X", "POST", "-H", &auth], "status: 403 2"),
        ("/ws", vec!["-H", &host, "-H", &auth], "status: 426 2"),
    ] {
        watched.spy.forget();
        let answer = curl(path, &args);
        assert!(answer.ends_with(expected), "{path} {expected}: {answer}");
        assert_eq!(watched.spy.seen(), Vec::<String>::new(), "{path}");
    }
}
