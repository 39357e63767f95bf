//! Pages that are rendered by another server, which may be slow, or die.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use futures_util::StreamExt as _;
use support::{Running, SOON, start_with};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

async fn echo(request: Request) -> String {
    let mut lines = vec![format!("{} {}", request.method(), request.uri())];
    for (name, value) in request.headers() {
        lines.push(format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    }
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    lines.push(format!("body {}", body.len()));
    lines.join("\n")
}

/// Sends a piece back for each piece it gets.
async fn stream(request: Request) -> Body {
    Body::from_stream(
        request
            .into_body()
            .into_data_stream()
            .map(|piece| piece.map(|_| Bytes::from_static(b"got"))),
    )
}

async fn upstream() -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let router = Router::new().route("/tasks/stream", axum::routing::any(stream)).fallback(echo);
    (addr, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

async fn with_pages(pages: SocketAddr) -> Running {
    let mut config = support::config();
    config.pages = Some(pages);
    start_with(config).await
}

#[tokio::test]
async fn a_page_is_passed_on_with_what_it_may_know_and_nothing_else() {
    let (pages, _upstream) = upstream().await;
    let server = with_pages(pages).await;
    let cookie = format!("tt_at={}; tt_rt=secret-refresh; theme=dark", server.token("ana"));
    let headers = [
        ("Cookie", cookie.as_str()),
        ("Accept", "text/html"),
        ("Accept-Encoding", "br, gzip"),
        ("X-TT-User", "bob"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Middleware-Subrequest", "1"),
        ("X-Request-Id", "request-7"),
        ("Keep-Alive", "timeout=5"),
    ];
    let page = server.ask("GET", "/tasks?status=failed&q=a%20b", &headers, "").await;
    assert_eq!(page.status, 200, "{page:?}");
    let own = server.addr;
    for line in [
        "GET /tasks?status=failed&q=a%20b",
        &format!("host: {own}"),
        &format!("x-forwarded-host: {own}"),
        "x-forwarded-proto: http",
        "x-forwarded-for: 6.6.6.6",
        "x-request-id: request-7",
        "accept-encoding: br, gzip",
    ] {
        assert!(page.body.lines().any(|l| l == line), "{line} in {}", page.body);
    }
    assert!(page.body.contains("theme=dark"));
    for word in ["bob", "evil", "secret-refresh", "x-middleware", "keep-alive", "connection:"] {
        assert!(!page.body.contains(word), "{word} in {}", page.body);
    }
    assert_eq!(page.header("x-request-id").as_deref(), Some("request-7"));
}

#[tokio::test]
async fn pages_ask_for_a_sign_in_and_programs_get_a_problem() {
    let (pages, _upstream) = upstream().await;
    let server = with_pages(pages).await;
    let navigation = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate")];
    let page = server.ask("GET", "/tasks?x=1", &navigation, "").await;
    assert_eq!(
        (page.status, page.header("location").as_deref()),
        (302, Some("/login?next=%2Ftasks%3Fx%3D1")),
        "{page:?}"
    );
    let rsc = server.ask("GET", "/tasks", &[("RSC", "1")], "").await;
    assert_eq!(
        (rsc.status, rsc.header("www-authenticate").as_deref()),
        (401, Some("Bearer")),
        "{rsc:?}"
    );
    assert_eq!(server.ask("GET", "/login", &navigation, "").await.status, 200);
    let foreign = [("Origin", "http://evil.example"), ("Next-Action", "abc")];
    assert_eq!(server.ask("POST", "/login", &foreign, "{}").await.status, 403);
    let own = format!("http://{}", server.addr);
    let action = [("Origin", own.as_str()), ("Next-Action", "abc")];
    assert_eq!(server.ask("POST", "/login", &action, "{}").await.status, 200);
}

#[tokio::test]
async fn bodies_stream_both_ways_without_waiting_for_their_end() {
    let (pages, _upstream) = upstream().await;
    let server = with_pages(pages).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "POST /tasks/stream HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\nAuthorization: Bearer {1}\r\nTransfer-Encoding: chunked\r\n\r\n",
        server.addr,
        server.token("ana")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = String::new();
    for piece in 1..=3 {
        stream.write_all(b"5\r\nhello\r\n").await.unwrap();
        // The answer to this piece is here before the next one is sent.
        let answered = timeout(SOON, async {
            let mut buffer = [0; 4096];
            while seen.matches("got").count() < piece {
                let n = stream.read(&mut buffer).await.unwrap();
                assert!(n > 0, "the answer ended: {seen}");
                seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        });
        answered.await.unwrap_or_else(|_| panic!("piece {piece} was held back: {seen}"));
    }
}

#[tokio::test]
async fn an_upgrade_is_never_passed_on() {
    let (pages, _upstream) = upstream().await;
    let server = with_pages(pages).await;
    let bearer = format!("Bearer {}", server.token("ana"));
    for upgrade in ["websocket", "h2c"] {
        let request = format!(
            "GET /tasks HTTP/1.1\r\nHost: {}\r\nAuthorization: {bearer}\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n",
            server.addr
        );
        let answer = server.raw(&request, Duration::from_millis(500)).await;
        assert!(!answer.contains(" 101 ") && !answer.contains("upgrade: "), "{answer}");
    }
}

#[tokio::test]
async fn while_the_pages_are_away_people_get_a_page_that_looks_again_and_the_api_goes_on() {
    let (pages, upstream) = upstream().await;
    let server = with_pages(pages).await;
    let bearer = format!("Bearer {}", server.token("ana"));
    let html = [("Authorization", bearer.as_str()), ("Accept", "text/html")];
    assert_eq!(server.ask("GET", "/tasks", &html, "").await.status, 200);
    upstream.abort();
    let _ = upstream.await;
    let gone = timeout(SOON, async {
        loop {
            let page = server.ask("GET", "/tasks", &html, "").await;
            if page.status == 502 {
                return page;
            }
        }
    });
    let page = gone.await.expect("502");
    assert!(page.body.contains("http-equiv=\"refresh\""), "{page:?}");
    let json = [("Authorization", bearer.as_str()), ("Accept", "application/json")];
    let problem = server.ask("GET", "/tasks", &json, "").await;
    assert_eq!((problem.status, problem.code()), (502, "pages_unavailable".into()));
    assert_eq!(server.ask("GET", "/api/v1/me", &json, "").await.status, 200);
    let ready = server.ask("GET", "/readyz", &[], "").await;
    assert_eq!((ready.status, &ready.json()["pages"]), (200, &serde_json::json!(false)));
    // Up again, on the same port: passed on at once.
    let listener = TcpListener::bind(pages).await.unwrap();
    let _again =
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(echo)).await });
    assert_eq!(server.ask("GET", "/tasks", &html, "").await.status, 200);
}

#[tokio::test]
async fn immutable_files_come_from_disk_without_a_token_and_nothing_else_does() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("static");
    std::fs::create_dir_all(folder.join("chunks/[id]")).unwrap();
    std::fs::write(folder.join("chunks/[id]/a-1.js"), "let a;").unwrap();
    std::fs::write(folder.join(".env"), "secret").unwrap();
    std::fs::write(scratch.path().join("outside"), "secret").unwrap();
    std::os::unix::fs::symlink(scratch.path().join("outside"), folder.join("link.js")).unwrap();
    let mut config = support::config();
    config.pages_static = Some(folder);
    let server = start_with(config).await;
    let found = server.ask("GET", "/_next/static/chunks/%5Bid%5D/a-1.js", &[], "").await;
    assert_eq!((found.status, found.body.as_str()), (200, "let a;"), "{found:?}");
    assert_eq!(
        found.header("cache-control").as_deref(),
        Some("public, max-age=31536000, immutable")
    );
    assert_eq!(found.header("content-type").as_deref(), Some("text/javascript; charset=utf-8"));
    let head = server.ask("HEAD", "/_next/static/chunks/%5Bid%5D/a-1.js", &[], "").await;
    assert_eq!(
        (head.status, head.header("content-length").as_deref(), head.body.as_str()),
        (200, Some("6"), "")
    );
    for bad in
        [".env", "../outside", "..%2foutside", "%2e%2e/outside", "link.js", "chunks", "", "none.js"]
    {
        let answer = server.ask("GET", &format!("/_next/static/{bad}"), &[], "").await;
        assert!(
            (400..500).contains(&answer.status) && !answer.body.contains("secret"),
            "{bad}: {answer:?}"
        );
    }
}
