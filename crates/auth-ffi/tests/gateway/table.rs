//! The table of the front door's verdicts, held to nginx row by row; the server's tests hold the
//! server to the same rows. Then the table of attacks that only a gateway meets.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::support::{Answer, Behind, HOST, raw};

/// Rows that end otherwise behind nginx, with the code they end with, and why.
const OTHERWISE: &[(&str, &str)] = &[
    // nginx cannot read these, and says so itself.
    ("no host", "bad_request"),
    ("asterisk form", "bad_request"),
    ("authority form", "bad_request"),
    ("empty target", "bad_request"),
    ("encoded NUL", "bad_request"),
    ("broken escape", "bad_request"),
    ("cut escape", "bad_request"),
    ("space", "bad_request"),
    // Room is left for the fields that nginx adds.
    ("as many fields as may be", "headers_too_large"),
    // Whoever comes by the gateway is not on the server's machine.
    ("metrics", "not_found"),
];
/// What the parser of HTTP has taken off before the door, or anybody behind it, sees it.
const TAKEN_OFF: &[&str] = &["a space behind"];

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
    expect: String,
    #[serde(default)]
    behind: BTreeMap<String, String>,
}

type Words = [(&'static str, String)];

fn fill(text: &str, words: &Words) -> String {
    words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
}

/// One request as it stands: nothing is added that the row does not say.
fn request(case: &Case, words: &Words) -> String {
    let method = case.method.as_deref().unwrap_or("GET");
    let mut request = format!("{method} {} HTTP/1.1\r\n", fill(&case.target, words));
    let host = case.host.as_deref().unwrap_or(HOST);
    if !host.is_empty() {
        request.push_str(&format!("Host: {host}\r\n"));
    }
    for n in 0..case.filler {
        request.push_str(&format!("x-filler-{n}: x\r\n"));
    }
    for (name, value) in &case.headers {
        request.push_str(&format!("{name}: {}\r\n", fill(value, words)));
    }
    if case.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade")) {
        request.push_str("Sec-WebSocket-Version: 13\r\n");
        request.push_str("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n");
    }
    request.push_str("\r\n");
    request
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

/// Whether an answer shows the verdict of the row, as far as it does.
fn fits(case: &Case, answer: &Answer) -> bool {
    let words: Vec<&str> = case.expect.split(' ').collect();
    let code = answer.code();
    if let Some((_, other)) = OTHERWISE.iter().find(|(name, _)| *name == case.name) {
        return code.as_deref() == Some(other);
    }
    match words[..] {
        ["refuse", expected] => code.as_deref() == Some(expected),
        ["redirect", location, ref cleared @ ..] => {
            matches!(answer.status, 302 | 303)
                && answer.header("location").as_deref() == Some(location)
                && answer.all("set-cookie").len() == cleared.len()
                && cleared.iter().zip(answer.all("set-cookie")).all(|(name, cookie)| {
                    cookie.starts_with(&format!("{name}=;")) && cookie.contains("Max-Age=0")
                })
        }
        // Without `tt.v1` the door lets it pass, and the handshake asks for it.
        ["pass", "socket", _] => answer.status == 101 || answer.body.contains("subprotocol"),
        ["pass", "page" | "login" | "static" | "public", _] => answer.status == 200,
        ["pass", "api", _] => !matches!(answer.status, 401 | 403 | 404 | 421 | 426 | 431),
        ["pass", "auth", _] => code.as_deref() != Some("foreign_origin"),
        ["pass", "echo", _] => answer.status == 101,
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_doors_table_gets_its_verdict_from_nginx() {
    let behind = Behind::start().await;
    let mut gateway = behind.gateway();
    gateway.limits.sign_in_burst = 1_000;
    let nginx = behind.nginx_of(gateway);
    let words = behind.words();
    let table = include_str!("../../../auth/tests/door_cases.toml");
    let mut cases = toml::from_str::<Cases>(table).unwrap().case;
    cases.retain(|case| {
        !TAKEN_OFF.contains(&case.name.as_str()) && !case.target.starts_with("/ws/echo")
    });
    let mut wrong = Vec::new();
    for case in &cases {
        let method = case.method.as_deref().unwrap_or("GET");
        behind.pages.forget();
        let sent = request(case, &words);
        let answer = raw(nginx.address(), sent.as_bytes(), |raw| is_whole(raw, method));
        let answer = Answer::read(&answer);
        if !fits(case, &answer) {
            wrong.push(format!("{}: {} but {answer:?}", case.name, case.expect));
            continue;
        }
        let to_pages = ["pass page", "pass login", "pass static"];
        let page = to_pages.iter().any(|pass| case.expect.starts_with(pass));
        if page == behind.pages.seen().is_empty() {
            wrong.push(format!("{}: pages saw {:?}", case.name, behind.pages.seen()));
        }
        for (_, token) in words.iter().filter(|(name, _)| *name != "{huge}") {
            if !page && answer.body.contains(token) || answer.head.contains(token) {
                wrong.push(format!("{}: the answer shows a token", case.name));
            }
        }
        for (name, value) in case.behind.iter().filter(|_| page) {
            let value = fill(value, &words);
            // The gateway says whose request it is; the client may not.
            let expected = match name.as_str() {
                "x-forwarded-for" => vec!["127.0.0.1".to_owned()],
                _ if value.is_empty() => vec![],
                _ => vec![value],
            };
            let arrived = answer.arrived(name);
            if arrived != expected {
                wrong.push(format!("{}: {name} arrives as {arrived:?}", case.name));
            }
        }
    }
    let log = nginx.access_log() + &nginx.error_log();
    for (word, token) in &words {
        if log.contains(token.as_str()) {
            wrong.push(format!("the log shows {word}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() > 100, "{} rows", cases.len());
}
