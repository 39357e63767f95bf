//! The front door over real TCP: what a hostile peer can write on a connection.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use support::{Answer, Running, SOON, start, start_with};
use tasktonic_server::Config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

#[tokio::test]
async fn targets_and_hosts_that_can_be_read_in_two_ways_are_refused() {
    let server = start().await;
    let host = server.addr.to_string();
    let bearer = format!("Authorization: Bearer {}\r\n", server.token("ana"));
    for (target, host, expected) in [
        ("http://evil.example/api/v1/me", host.as_str(), 400),
        ("//evil.example/", &host, 400),
        ("/api//v1/me", &host, 400),
        ("/a/%2e%2e/b", &host, 400),
        ("/a/../b", &host, 400),
        ("/api/v1%2fme", &host, 400),
        ("/api/v1/me;x", &host, 400),
        ("/a%00b", &host, 400),
        ("/api/v1/me", "evil.example", 421),
        ("/api/v1/me", "127.0.0.1.evil.example", 421),
        ("/api/v1/me", &host, 200),
        ("/api/v1/nothing", &host, 404),
        ("/ws", &host, 426),
        ("/ws/echo/x", &host, 404),
        ("/nothing", &host, 404),
    ] {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{bearer}Connection: close\r\n\r\n");
        let answer = Answer::read(&server.raw(&request, SOON).await);
        assert_eq!(answer.status, expected, "{target} at {host}: {answer:?}");
        assert_eq!(answer.header("x-content-type-options").as_deref(), Some("nosniff"), "{target}");
        assert!(answer.header("x-request-id").is_some(), "{target}");
        if answer.status >= 400 {
            assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
            assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
            assert_eq!(
                answer.json()["instance"].as_str(),
                answer.header("x-request-id").as_deref()
            );
        }
    }
    for raw in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let status = Answer::read(&server.raw(raw, SOON).await).status;
        assert!((400..500).contains(&status), "{raw}: {status}");
    }
}

#[tokio::test]
async fn two_requests_on_one_connection_never_become_three() {
    let server = start().await;
    let host = server.addr;
    for framing in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 60\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x5\r\n",
    ] {
        let smuggled = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let request = format!(
            "POST /api/v1/auth/token HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{framing}\r\n0\r\n\r\n{smuggled}"
        );
        let answer = server.raw(&request, Duration::from_secs(2)).await;
        let answers = answer.matches("HTTP/1.1 ").count();
        // A body of its own length may be followed by a request of its own; never by two.
        assert!(answers <= 2, "{framing}: {answer}");
        assert!(!answer.contains(" 200 ") || answers == 2, "{framing}: {answer}");
    }
}

#[tokio::test]
async fn many_headers_are_refused_with_an_explanation() {
    let server = start().await;
    let many: String = (0..110).map(|n| format!("X-N{n}: 1\r\n")).collect();
    let request = format!(
        "GET /healthz HTTP/1.1\r\nHost: {}\r\n{many}Connection: close\r\n\r\n",
        server.addr
    );
    let answer = Answer::read(&server.raw(&request, SOON).await);
    assert_eq!((answer.status, answer.code()), (431, "headers_too_large".into()));
    let giant = format!(
        "GET /healthz HTTP/1.1\r\nHost: {}\r\nX: {}\r\n\r\n",
        server.addr,
        "y".repeat(200_000)
    );
    assert_eq!(Answer::read(&server.raw(&giant, SOON).await).status, 431);
}

#[tokio::test]
async fn a_head_that_does_not_come_costs_ten_seconds_and_no_more() {
    let server = start().await;
    let began = Instant::now();
    let drip = async {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").await.unwrap();
        let (mut read, mut write) = stream.split();
        let mut sink = Vec::new();
        tokio::select! {
            _ = read.read_to_end(&mut sink) => {}
            () = async {
                loop {
                    let _ = write.write_all(b"x").await;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            } => {}
        }
    };
    let silent = async {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let mut sink = Vec::new();
        let _ = stream.read_to_end(&mut sink).await;
    };
    let both = timeout(Duration::from_secs(15), async { tokio::join!(drip, silent) });
    both.await.unwrap_or_else(|_| panic!("still open after {:?}", began.elapsed()));
    assert!(began.elapsed() > Duration::from_secs(8), "an honest slow client has some time");
}

#[tokio::test]
async fn connections_above_the_limit_are_told_so_at_once() {
    let mut config = support::config();
    config.limits.connections_max = 3;
    let server = start_with(config).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.addr);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        held.push(stream);
    }
    let mut fourth = TcpStream::connect(server.addr).await.unwrap();
    let mut answer = String::new();
    let _ = timeout(SOON, fourth.read_to_string(&mut answer)).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    drop(held);
    let again = timeout(SOON, async {
        while server.ask("GET", "/healthz", &[], "").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    again.await.expect("there is room again");
}

#[tokio::test]
async fn a_socket_takes_the_place_of_a_connection_until_its_end() {
    let mut config = support::config();
    config.limits.connections_max = 2;
    let server = start_with(config).await;
    let first = server.open(&server.token("ana")).await;
    let second = server.open(&server.token("bob")).await;
    let full = server.ask("GET", "/healthz", &[], "").await;
    assert_eq!(full.status, 503, "{full:?}");
    drop(first);
    let figures = timeout(SOON, async {
        loop {
            let figures = server.ask("GET", "/metrics", &[], "").await;
            if figures.status == 200 {
                return figures.body;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let figures = figures.await.expect("there is room again");
    assert!(figures.contains("tasktonic_connections 2"), "the socket and this one: {figures}");
    drop(second);
}

#[tokio::test]
async fn who_comes_to_the_socket_without_an_upgrade_is_told_to_which() {
    let server = start().await;
    let bearer = format!("Bearer {}", server.token("ana"));
    let old = [
        ("Authorization", bearer.as_str()),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "8"),
    ];
    for headers in [&old[..1], &old[..3], &old[..]] {
        let answer = server.ask("GET", "/ws", headers, "").await;
        assert_eq!((answer.status, answer.code()), (426, "upgrade_required".into()));
        assert_eq!(answer.header("upgrade").as_deref(), Some("websocket"));
        assert_eq!(answer.header("sec-websocket-version").as_deref(), Some("13"));
        let connection = answer.all("connection").join(",").to_ascii_lowercase();
        assert!(connection.contains("upgrade") && connection.contains("close"), "{answer:?}");
    }
}

#[tokio::test]
async fn http_2_passes_the_same_door() {
    use http_body_util::{BodyExt as _, Empty};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let server = start().await;
    let stream = TcpStream::connect(server.addr).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let bearer = format!("Bearer {}", server.token("ana"));
    let mut ask = async |host: &str, path: &str, token: Option<&str>, named: Option<&str>| {
        let mut request = hyper::Request::get(format!("http://{host}{path}"));
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        if let Some(named) = named {
            request = request.header("host", named);
        }
        let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
        let answer = timeout(SOON, client.send_request(request)).await.unwrap().unwrap();
        let status = answer.status().as_u16();
        (status, answer.into_body().collect().await.unwrap().to_bytes())
    };
    let own = server.addr.to_string();
    let me = ask(&own, "/api/v1/me", Some(&bearer), None).await;
    assert_eq!(me.0, 200);
    assert!(String::from_utf8_lossy(&me.1).contains("\"user\":\"ana\""));
    assert_eq!(ask(&own, "/api/v1/me", None, None).await.0, 401);
    assert_eq!(ask("evil.example", "/api/v1/me", Some(&bearer), None).await.0, 421);
    assert_eq!(ask(&own, "/api/v1/me", Some(&bearer), Some("evil.example")).await.0, 400);
    assert_eq!(ask(&own, "/api//v1/me", Some(&bearer), None).await.0, 400);
    assert_eq!(ask(&own, "/ws", Some(&bearer), None).await.0, 426);
    assert_eq!(ask(&own, "/healthz", None, None).await.0, 200, "the connection is still good");
}

#[tokio::test]
async fn status_says_what_is_and_figures_name_nobody() {
    let server = start().await;
    let _socket = server.open(&server.token("ana-secret-user")).await;
    assert_eq!(server.ask("GET", "/healthz", &[], "").await.body, "ok\n");
    let ready = server.ask("GET", "/readyz", &[], "").await;
    assert_eq!((ready.status, &ready.json()["durability"]), (200, &serde_json::json!("memory")));
    assert!(ready.json()["pages"].is_null());
    server.ask("GET", "/api/v1/tasks/AAAAAAAAAAAAAAAA", &[], "").await;
    let figures = server.ask("GET", "/metrics", &[], "").await;
    assert_eq!(figures.status, 200);
    assert!(figures.body.contains("tasktonic_sockets 1"), "{}", figures.body);
    assert!(figures.body.contains("tasktonic_http_requests_total{"), "{}", figures.body);
    for word in ["ana", "AAAAAAAAAAAAAAAA"] {
        assert!(!figures.body.contains(word), "{word} in {}", figures.body);
    }
    let through_a_proxy = [("X-Forwarded-For", "203.0.113.9")];
    assert_eq!(server.ask("GET", "/metrics", &through_a_proxy, "").await.status, 404);
}

#[cfg(not(feature = "test-hooks"))]
#[tokio::test]
async fn the_echo_of_test_builds_is_not_here() {
    let server = start().await;
    let request = format!(
        "GET /ws/echo HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        server.addr
    );
    assert_eq!(Answer::read(&server.raw(&request, Duration::from_secs(2)).await).status, 404);
}

#[cfg(feature = "test-hooks")]
#[tokio::test]
async fn the_echo_sends_texts_and_bytes_back_unchanged() {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message;

    let server = start().await;
    let stream = TcpStream::connect(server.addr).await.unwrap();
    let url = format!("ws://{}/ws/echo", server.addr);
    let (mut ws, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    for message in [
        Message::text(""),
        Message::text("é".repeat(70_000)),
        Message::binary(vec![7; 15 * 1024 * 1024]),
    ] {
        ws.send(message.clone()).await.unwrap();
        assert!(ws.next().await.unwrap().unwrap() == message, "unchanged");
    }
}

#[tokio::test]
async fn a_configured_proxy_may_name_the_host_it_was_asked_for_and_nobody_else_may() {
    let trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let server = start_with(Config { trusted_proxies, ..support::config() }).await;
    let unconfigured = start().await;
    let ask_at = async |server: &Running, host: &str, forwarded: &str| {
        let request = format!(
            "GET /healthz HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: {forwarded}\r\nConnection: close\r\n\r\n"
        );
        Answer::read(&server.raw(&request, SOON).await).status
    };
    let ask = async |host: &str, forwarded: &str| ask_at(&server, host, forwarded).await;
    let ours = server.addr.to_string();
    assert_eq!(ask("inner:8080", &ours).await, 200);
    assert_eq!(ask(&ours, "evil.example").await, 200, "it is asked under a name of ours");
    for forwarded in ["evil.example", "", "a, b"] {
        assert!((400..500).contains(&ask("inner:8080", forwarded).await), "{forwarded}");
    }
    let twice = format!("{ours}\r\nX-Forwarded-Host: {ours}");
    assert!((400..500).contains(&ask("inner:8080", &twice).await), "two names are none");

    // A page of a foreign name that now leads to this machine may send any header.
    let own = unconfigured.addr.to_string();
    assert_eq!(ask_at(&unconfigured, &own, "evil.example").await, 200);
    assert_eq!(ask_at(&unconfigured, "rebound.example:8080", &own).await, 421);
}
