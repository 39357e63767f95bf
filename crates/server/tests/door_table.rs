//! The table of the front door's verdicts, sent row by row over TCP to a bound server with an
//! upstream that says what arrives behind the door.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use serde::Deserialize;
use support::{Answer, Running, SOON, start_with};
use tasktonic_auth::{Issuer, NewToken, Role, SigningKey};
use tasktonic_server::{AUDIENCE, ISSUER};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Targets that the parser of HTTP refuses before the door sees them: 400 and no explanation.
const NO_HTTP: &[&str] = &["empty target", "space", "letters beyond ASCII"];
/// What the parser of HTTP has taken off before the door, or anybody behind it, sees it.
const TAKEN_OFF: &[&str] = &["fragment", "a space behind"];

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    method: Option<String>,
    target: String,
    host: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    filler: usize,
    #[serde(default)]
    test_hooks: bool,
    expect: String,
    #[serde(default)]
    behind: BTreeMap<String, String>,
}

/// Says what arrived.
async fn arrived(request: Request) -> String {
    let fields = request.headers().iter();
    let line = |(name, value): (_, &axum::http::HeaderValue)| {
        format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
    };
    fields.map(line).collect::<Vec<_>>().join("\n")
}

async fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let router = Router::new().fallback(arrived);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    addr
}

fn tokens(server: &Running) -> Vec<(&'static str, String)> {
    let ours = server.issuer();
    let thief = Issuer::new(ISSUER, SigningKey::generate());
    let new = |audience: &str| NewToken {
        subject: "ada".to_owned(),
        role: Role::User,
        name: None,
        scopes: Vec::new(),
        ttl_s: 600,
        audience: audience.to_owned(),
    };
    let now_s = tasktonic_store::clock::Clock::system().now_ms() / 1_000;
    let good = ours.mint(&new(AUDIENCE), now_s);
    let (_, payload) = good.split_once('.').unwrap();
    // {"alg":"none","typ":"at+jwt"}
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{payload}");
    vec![
        ("{expired}", ours.mint(&new(AUDIENCE), now_s - 10_000)),
        ("{forged}", thief.mint(&new(AUDIENCE), now_s)),
        ("{foreign}", ours.mint(&new("other"), now_s)),
        ("{none}", none),
        ("{huge}", "a".repeat(9_000)),
        ("{good}", good),
    ]
}

/// One request as it stands, and its answer: nothing is added that the row does not say.
async fn send(server: &Running, case: &Case, tokens: &[(&'static str, String)]) -> Answer {
    let fill = |text: &str| {
        tokens.iter().fold(text.to_owned(), |text, (name, token)| text.replace(name, token))
    };
    let method = case.method.as_deref().unwrap_or("GET");
    let mut request = format!("{method} {} HTTP/1.1\r\n", fill(&case.target));
    let host = case.host.as_deref().unwrap_or("tasks.example.com");
    if !host.is_empty() {
        request.push_str(&format!("Host: {host}\r\n"));
    }
    for n in 0..case.filler {
        request.push_str(&format!("x-filler-{n}: x\r\n"));
    }
    for (name, value) in &case.headers {
        request.push_str(&format!("{name}: {}\r\n", fill(value)));
    }
    if case.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade")) {
        request.push_str("Sec-WebSocket-Version: 13\r\n");
        request.push_str("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n");
    }
    request.push_str("\r\n");
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut raw = Vec::new();
    let whole = timeout(SOON, async {
        while !is_whole(&raw, method) {
            if stream.read_buf(&mut raw).await.unwrap_or(0) == 0 {
                break;
            }
        }
    });
    whole.await.unwrap_or_else(|_| panic!("{}: no answer", case.name));
    Answer::read(&String::from_utf8_lossy(&raw))
}

fn is_whole(raw: &[u8], method: &str) -> bool {
    let text = String::from_utf8_lossy(raw).into_owned();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    if head.starts_with("http/1.1 101") || method == "HEAD" {
        return true;
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    match length {
        Some(length) => body.len() >= length.trim().parse::<usize>().unwrap(),
        None if head.contains("transfer-encoding: chunked") => body.ends_with("0\r\n\r\n"),
        None => head.starts_with("http/1.1 204") || head.starts_with("http/1.1 304"),
    }
}

/// The verdict that an answer shows, as far as it does, in the words of the table.
fn fits(case: &Case, answer: &Answer) -> bool {
    let words: Vec<&str> = case.expect.split(' ').collect();
    let code = || {
        let problem = serde_json::from_str::<serde_json::Value>(&answer.body).ok();
        problem.and_then(|problem| Some(problem["code"].as_str()?.to_owned()))
    };
    match words[..] {
        ["refuse", expected] => {
            code().as_deref() == Some(expected)
                || (answer.status == 400 && NO_HTTP.contains(&case.name.as_str()))
        }
        ["redirect", location, ref cleared @ ..] => {
            matches!(answer.status, 302 | 303)
                && answer.header("location").as_deref() == Some(location)
                && answer.all("set-cookie").len() == cleared.len()
                && cleared.iter().zip(answer.all("set-cookie")).all(|(name, cookie)| {
                    cookie.starts_with(&format!("{name}=;")) && cookie.contains("Max-Age=0")
                })
        }
        ["pass", "socket", _] => {
            // Without `tt.v1` the door lets it pass, and the handshake asks for it.
            answer.status == 101 || answer.body.contains("subprotocol")
        }
        ["pass", "page" | "login" | "static", _] => answer.status == 200,
        ["pass", "public", _] => answer.status == 200,
        ["pass", "api", _] => !matches!(answer.status, 401 | 403 | 404 | 421 | 426 | 431),
        ["pass", "auth", _] => code().as_deref() != Some("foreign_origin"),
        ["pass", "echo", _] => answer.status == 101,
        _ => false,
    }
}

#[tokio::test]
async fn every_row_of_the_table_gets_its_verdict_over_tcp() {
    let mut config = support::config();
    config.origins =
        vec!["https://tasks.example.com".to_owned(), "http://localhost:8080".to_owned()];
    config.pages = Some(upstream().await);
    let server = start_with(config).await;
    let tokens = tokens(&server);
    let table = include_str!("../../auth/tests/door_cases.toml");
    let mut cases = toml::from_str::<Cases>(table).unwrap().case;
    cases.retain(|case| !TAKEN_OFF.contains(&case.name.as_str()));
    let mut wrong = Vec::new();
    let mut asked = 0;
    for case in cases.iter().filter(|case| {
        case.test_hooks == cfg!(feature = "test-hooks") || !case.target.starts_with("/ws/echo")
    }) {
        asked += 1;
        let answer = send(&server, case, &tokens).await;
        if !fits(case, &answer) {
            wrong.push(format!("{}: {} but {answer:?}", case.name, case.expect));
            continue;
        }
        for (_, token) in tokens.iter().filter(|(name, _)| *name != "{huge}") {
            let page =
                case.expect.starts_with("pass page") || case.expect.starts_with("pass login");
            if !page && answer.body.contains(token) || answer.head.contains(token) {
                wrong.push(format!("{}: the answer shows a token", case.name));
            }
        }
        let page = ["pass page", "pass login", "pass static"];
        if !page.iter().any(|pass| case.expect.starts_with(pass)) {
            continue;
        }
        for (name, value) in &case.behind {
            let value = tokens.iter().fold(value.clone(), |text, (n, t)| text.replace(n, t));
            let lines: Vec<&str> =
                answer.body.lines().filter_map(|l| l.strip_prefix(&format!("{name}: "))).collect();
            // The proxy says whose request it is; the client may not.
            let expected = match name.as_str() {
                "x-forwarded-for" => vec!["127.0.0.1"],
                _ if value.is_empty() => vec![],
                _ => vec![value.as_str()],
            };
            if lines != expected {
                wrong.push(format!("{}: {name} arrives as {lines:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 100, "{asked} rows");
}
