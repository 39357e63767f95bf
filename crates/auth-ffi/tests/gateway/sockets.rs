//! WebSockets through the gateway: who may open one, what goes down it, and what a reload does.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tasktonic_testkit::nginx::Nginx;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::{Behind, HOST, SOON, bearer, ready};

type Socket = WebSocketStream<tokio::net::TcpStream>;

/// A socket and the subprotocol that was chosen, or the status that refused it.
async fn open(nginx: &Nginx, headers: &[(&str, &str)]) -> Result<(Socket, String), u16> {
    let mut request = format!("ws://{HOST}/ws").into_client_request().unwrap();
    for (name, value) in headers {
        let name = HeaderName::try_from(*name).unwrap();
        request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    }
    let stream = tokio::net::TcpStream::connect(nginx.address()).await.unwrap();
    let opened = tokio_tungstenite::client_async(request, stream);
    match timeout(SOON, opened).await.expect("an answer") {
        Ok((socket, answer)) => {
            let chosen = answer.headers().get("sec-websocket-protocol");
            Ok((socket, chosen.map_or("", |chosen| chosen.to_str().unwrap()).to_owned()))
        }
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

async fn say(socket: &mut Socket, frame: Value) {
    socket.send(Message::text(frame.to_string())).await.unwrap();
}

/// The next frame of type `t`.
async fn next_of(socket: &mut Socket, t: &str) -> Value {
    let next = async {
        loop {
            let message = socket.next().await.expect("still open").expect("still open");
            if let Message::Text(text) = message {
                let frame: Value = serde_json::from_str(&text).unwrap();
                if frame["t"] == t {
                    return frame;
                }
            }
        }
    };
    timeout(SOON, next).await.unwrap_or_else(|_| panic!("no frame {t}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_opens_by_each_way_a_token_may_come() {
    let behind = Behind::start().await;
    let nginx = behind.nginx();
    let token = behind.token("ada");
    let (protocol, origin) = (("Sec-WebSocket-Protocol", "tt.v1"), format!("https://{HOST}"));
    let (authorization, cookie) = (bearer(&token), format!("__Host-tt_at={token}"));
    let by_protocol = format!("tt.v1, tt.jwt.{token}");
    for (way, headers) in [
        ("header", vec![("Authorization", authorization.as_str()), protocol]),
        ("cookie", vec![("Cookie", cookie.as_str()), ("Origin", &origin), protocol]),
        ("subprotocol", vec![("Sec-WebSocket-Protocol", by_protocol.as_str())]),
    ] {
        let opened = open(&nginx, &headers).await;
        let (mut socket, chosen) = opened.unwrap_or_else(|status| panic!("{way}: {status}"));
        assert_eq!(chosen, "tt.v1", "{way}: a token is never echoed");
        say(&mut socket, json!({ "t": "hello", "v": 1, "watch": { "recent": 10 } })).await;
        next_of(&mut socket, "snapshot").await;
    }
    for (why, headers, status) in [
        ("no token", vec![protocol], 401),
        (
            "another site",
            vec![("Cookie", cookie.as_str()), ("Origin", "https://evil.example"), protocol],
            403,
        ),
        ("no origin", vec![("Cookie", cookie.as_str()), protocol], 403),
        (
            "another version",
            vec![
                ("Authorization", authorization.as_str()),
                protocol,
                ("Sec-WebSocket-Version", "12"),
            ],
            426,
        ),
    ] {
        assert_eq!(open(&nginx, &headers).await.err(), Some(status), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_so_many_sockets_and_no_more() {
    let behind = Behind::start().await;
    let mut gateway = behind.gateway();
    gateway.limits.sockets_per_user = 3;
    let nginx = behind.nginx_of(gateway);
    let (ada, bob) = (bearer(&behind.token("ada")), bearer(&behind.token("bob")));
    let protocol = ("Sec-WebSocket-Protocol", "tt.v1");
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(open(&nginx, &[("Authorization", &ada), protocol]).await.ok().unwrap());
    }
    assert_eq!(open(&nginx, &[("Authorization", &ada), protocol]).await.err(), Some(429));
    assert!(open(&nginx, &[("Authorization", &bob), protocol]).await.is_ok());
    // A place that is given up is free again.
    let (mut one, _) = held.remove(0);
    one.close(None).await.unwrap();
    while let Some(Ok(_)) = one.next().await {}
    drop(one);
    let freed = async {
        while open(&nginx, &[("Authorization", &ada), protocol]).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, freed).await.expect("a free place");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_socket_outlives_reloads_and_a_stop_that_waits() {
    let behind = Behind::start().await;
    let nginx = behind.nginx();
    let token = bearer(&behind.token("ada"));
    let headers = [("Authorization", token.as_str()), ("Sec-WebSocket-Protocol", "tt.v1")];
    let (mut socket, _) = open(&nginx, &headers).await.ok().unwrap();
    say(&mut socket, json!({ "t": "hello", "v": 1, "watch": { "recent": 10 } })).await;
    next_of(&mut socket, "snapshot").await;
    for _ in 0..2 {
        nginx.reload();
        ready(&nginx);
        say(&mut socket, json!({ "t": "ping" })).await;
        next_of(&mut socket, "pong").await;
    }
    nginx.quit();
    say(&mut socket, json!({ "t": "ping" })).await;
    next_of(&mut socket, "pong").await;
    // The server's own end reaches the client as what it is: come back elsewhere.
    behind.stop.cancel();
    let closed = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| u16::from(frame.code)),
                Some(Ok(_)) => {}
                other => panic!("no close frame but {other:?}"),
            }
        }
    };
    assert_eq!(timeout(SOON, closed).await.unwrap(), Some(1012));
    behind.ended.await.unwrap().unwrap();
}

/// A handshake that the server refuses leaves no tunnel: what follows is a request like others.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_down_a_tunnel_that_did_not_open() {
    let behind = Behind::start().await;
    let nginx = behind.nginx();
    let token = behind.token("ada");
    for odd in [
        "Sec-WebSocket-Version: 777\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
        "Sec-WebSocket-Version: 13\r\n",
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n",
    ] {
        let mut stream = TcpStream::connect(nginx.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let handshake = format!(
            "GET /ws HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: tt.v1\r\n{odd}\r\n"
        );
        let second =
            format!("GET /api/v1/tasks HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        stream.write_all((handshake + &second).as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(!answer.contains(" 101 ") && !answer.contains("HTTP/1.1 200"), "{odd}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 4"), "{odd}: {answer}");
    }
    // Down a tunnel that did open, a request is a broken frame: the connection ends.
    let mut stream = TcpStream::connect(nginx.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let handshake = format!(
        "GET /ws HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Protocol: tt.v1\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    let second = format!("GET /api/v1/tasks HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    stream.write_all((handshake + &second).as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(!answer.contains("HTTP/1.1 200") && !answer.contains("tasks"), "{answer}");
}
