//! What is left of a request that was refused: its page, for whoever was refused, and its lines in
//! the log, for whoever has to find out why.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;
use support::{config, start, start_with};
use tasktonic_auth::Role;
use tasktonic_core::command::{Report, Write};
use tasktonic_protocol::problem::Code;
use tasktonic_server::Config;
use tracing_subscriber::fmt::MakeWriter;

/// All that was logged in this process.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(ToOwned::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(part)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn each_request_is_in_the_log_by_its_id_and_no_secret_is() {
    let log = Log::default();
    // For every thread of this process: nextest runs each test in one of its own.
    let _ = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .try_init();
    // Nobody listens there.
    let away = Some(([127, 0, 0, 1], 1).into());
    let server = start_with(Config { pages: away, ..config() }).await;
    let token = server.token("ana");
    let bearer = format!("Bearer {token}");

    let refused = server.ask("GET", &format!("/api/v1/me?access_token={token}"), &[], "").await;
    assert_eq!((refused.status, refused.code()), (401, "token_invalid".into()));
    let headers = [("X-Request-Id", "from-a-proxy.1"), ("Authorization", bearer.as_str())];
    let asked = server.ask("GET", "/api/v1/me?note=between-us", &headers, "").await;
    assert_eq!(asked.status, 200);
    let misplaced = server.ask("GET", &format!("/docs/errors/{token}"), &[], "").await;
    assert_eq!(misplaced.status, 404);
    let page = server.ask("GET", "/tasks", &[("Authorization", bearer.as_str())], "").await;
    assert_eq!(page.status, 502);

    let ended = |id: &str| -> Option<serde_json::Value> {
        let lines = log.lines();
        let mut of_it = lines.iter().map(|line| serde_json::from_str(line).unwrap()).filter(
            |line: &serde_json::Value| {
                line["span"]["id"] == id && line["fields"]["status"].is_u64()
            },
        );
        let found = of_it.next();
        assert!(of_it.next().is_none(), "{id} ended twice: {lines:#?}");
        found
    };
    let line = ended(&refused.header("x-request-id").unwrap()).unwrap();
    assert_eq!((&line["level"], &line["fields"]["status"]), (&"DEBUG".into(), &401.into()));
    assert_eq!(
        (&line["span"]["method"], &line["span"]["path"]),
        (&"GET".into(), &"/api/v1/me".into())
    );
    assert!(line["fields"]["ms"].is_u64(), "{line}");
    let line = ended("from-a-proxy.1").unwrap();
    assert_eq!(line["fields"]["status"], 200);
    let line = ended(&misplaced.header("x-request-id").unwrap()).unwrap();
    assert_eq!(line["span"]["path"], "/docs/errors/…");
    let id = page.header("x-request-id").unwrap();
    assert_eq!(ended(&id).unwrap()["level"], "WARN");
    let said = |line: &String| line.contains("does not answer") && line.contains(&id);
    assert!(log.lines().iter().any(said), "a line written meanwhile carries the id");

    let all = log.lines().join("\n");
    let signature = token.rsplit('.').next().unwrap();
    assert!(!all.contains(&token) && !all.contains(signature), "a token is in the log");
    assert!(!all.contains("between-us"), "a query is in the log");
}

/// What forges a line of its own, and what clears the screen of whoever reads on.
const HOSTILE: &str = "x\r\n2026-01-01T00:00:00Z ERROR forged\x1b[2J\x07\u{9b}2J";

#[tokio::test]
async fn what_people_write_reaches_no_terminal_through_the_log() {
    let log = Log::default();
    // As on a terminal: JSON would spell all of it out anyway.
    let _ = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .try_init();
    let server = start().await;
    let bearer = format!("Bearer {}", server.token("ana"));
    let headers = [("Authorization", bearer.as_str())];
    let ask = async |method: &str, path: &str, body: serde_json::Value| {
        server.ask(method, path, &headers, &body.to_string()).await
    };
    let record = json!({
        "id": "w-1", "host": HOSTILE, "version": HOSTILE, "kinds": ["noop"], "concurrency": 1,
    });
    let kinds = json!([{ "kind": "noop", "queue": "noop", "schema": true, "attempts_max": 3 }]);
    let crew = format!("Bearer {}", server.identity.mint("crew", Role::Worker, 600).unwrap());
    let announce = json!({ "v": 1, "worker": record, "kinds": kinds }).to_string();
    let place = "/api/v1/worker/announce";
    server.ask("POST", place, &[("Authorization", &crew)], &announce).await;
    let plain = announce.replace(&json!(HOSTILE).to_string(), "\"h\"");
    let announced = server.ask("POST", place, &[("Authorization", &crew)], &plain).await;
    assert_eq!(announced.status, 204, "{announced:?}");

    let whole = json!({ "kind": "noop", "payload": { HOSTILE: HOSTILE } });
    let task = ask("POST", "/api/v1/tasks", whole.clone()).await;
    assert_eq!(task.status, 202, "{task:?}");
    for member in ["kind", "queue", "idempotency_key", "serial_key", "run_at", HOSTILE] {
        let mut body = whole.clone();
        body[member] = HOSTILE.into();
        ask("POST", "/api/v1/tasks", body).await;
    }
    let mut body = whole.clone();
    body["tags"] = json!([HOSTILE]);
    ask("POST", "/api/v1/tasks", body).await;
    // In the address, as it is sent and as it is read.
    let coded = "x%0D%0A2026%20ERROR%20forged%1B%5B2J%07%C2%9B2J";
    for path in ["/api/v1/tasks/", "/api/v1/queues/", "/api/v1/schedules/", "/docs/errors/", "/"] {
        ask("GET", &format!("{path}{coded}"), json!({})).await;
        ask("PUT", &format!("{path}{coded}"), whole.clone()).await;
        ask("GET", &format!("{path}x\x1b[2J\u{9b}2J"), json!({})).await;
    }
    for name in ["X-Request-Id", "X-Forwarded-For", "User-Agent", "Origin"] {
        let sent = [headers[0], (name, "x\x1b[2J\u{9b}2J")];
        server.ask("GET", "/api/v1/me", &sent, "").await;
    }
    // What a worker says of a task: its note, its line and its error.
    let lease = server.claim(1).await.remove(0);
    let note = json!({ "done": 1, "total": 2, "note": HOSTILE });
    let body = format!(r#""p":{note}"#).into();
    server.report(&lease, Report::Progress { write: Write { n: 2, body, event: None } }).await;
    server.log(&lease, HOSTILE).await;
    let error = json!({ "code": HOSTILE, "message": HOSTILE });
    let body = format!(r#""err":{error}"#).into();
    let write = Write { n: 3, body, event: None };
    server.report(&lease, Report::Bury { write, keep_s: 60 }).await;
    let id = task.json()["id"].as_str().unwrap().to_owned();
    let read = ask("GET", &format!("/api/v1/tasks/{id}"), json!({})).await;
    assert_eq!(read.json()["error"]["message"], HOSTILE, "it was there to be logged: {read:?}");
    ask("GET", "/api/v1/tasks?q=forged", json!({})).await;
    server.stop.cancel();
    server.ended.await.unwrap().unwrap();

    let lines = log.lines();
    assert!(lines.len() > 20, "all was logged: {lines:#?}");
    for line in lines {
        assert!(!line.chars().any(|c| c.is_control() && c != '\t'), "{line:?}");
        let time = line.split(' ').next().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z') && time.len() > 20, "{line:?}");
    }
}

#[tokio::test]
async fn the_page_that_a_refusal_names_is_there_without_a_token() {
    let server = start().await;
    let refused = server.ask("GET", "/api/v1/me", &[], "").await;
    let place = refused.json()["type"].as_str().unwrap().to_owned();
    let page = server.ask("GET", &place, &[], "").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    assert!(page.body.contains(">token_missing<"), "{}", page.body);

    for code in Code::ALL {
        let page = server.ask("GET", &format!("/docs/errors/{}", code.name()), &[], "").await;
        assert_eq!(page.status, 200, "{code:?}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline'"), "{policy}");
        assert_eq!(page.header("x-content-type-options").as_deref(), Some("nosniff"));
        assert_eq!(page.header("cache-control").as_deref(), Some("public, max-age=3600"));
        assert!(page.header("set-cookie").is_none());
    }
    for list in ["/docs/errors", "/docs/errors/"] {
        let list = server.ask("GET", list, &[], "").await;
        assert_eq!((list.status, list.body.matches("<li>").count()), (200, Code::ALL.len()));
    }
    for nothing in ["/docs/errors/nonsense", "/docs/errors/lost_lease.md", "/docs/errors/a/b"] {
        let answer = server.ask("GET", nothing, &[], "").await;
        assert_eq!((answer.status, answer.code()), (404, "not_found".into()), "{nothing}");
    }
    assert_eq!(server.ask("POST", "/docs/errors/internal", &[], "{}").await.status, 405);
}
