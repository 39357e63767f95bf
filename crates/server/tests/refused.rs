//! What is left of a request that was refused: its page, for whoever was refused, and its lines in
//! the log, for whoever has to find out why.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};

use support::{config, start, start_with};
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

impl Write for Log {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(part)
    }

    fn flush(&mut self) -> std::io::Result<()> {
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
