//! `http.request` against servers of this process.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tasktonic_handlers::{HttpConfig, HttpRequest};
use tasktonic_worker::Failure;
use tasktonic_worker::testing::{Attempt, Ran};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{MemoryFiles, attempt_code, final_code};

/// A server that answers every request by a function and remembers what it got.
struct Server {
    at: SocketAddr,
    got: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), got.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answer, seen) = (answer.clone(), seen.clone());
                tokio::spawn(async move {
                    let request = read(&mut stream).await;
                    seen.lock().unwrap().push(request.clone());
                    let _ = stream.write_all(&answer(&request)).await;
                });
            }
        });
        Self { at, got }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    fn got(&self) -> Vec<String> {
        self.got.lock().unwrap().clone()
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = header(head, "content-length").map_or(0, |value| value.parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}

fn header(request: &str, name: &str) -> Option<String> {
    let mut lines = request.lines().take_while(|line| !line.is_empty());
    lines.find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut all = format!(
        "HTTP/1.1 {status} Said\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    )
    .into_bytes();
    all.extend_from_slice(body);
    all
}

fn near() -> HttpRequest {
    HttpRequest::new(HttpConfig { allow_private: true, ..HttpConfig::default() })
}

async fn request(payload: Value) -> Ran {
    Attempt::new(payload).files(MemoryFiles::new()).run(&near()).await
}

#[tokio::test]
async fn an_answer_comes_back_with_its_text_and_without_its_cookies() {
    let server = Server::start(|_| {
        answer(
            200,
            "Content-Type: application/json\r\nSet-Cookie: id=s3cret\r\nETag: \"7\"\r\n",
            b"{\"a\":1}",
        )
    })
    .await;
    let attempt = Attempt::new(
        json!({ "url": server.url("/x?y=1"), "headers": { "Accept": "application/json" } }),
    );
    let task = attempt.context().task().to_string();
    let output = attempt.run(&near()).await.output();
    assert_eq!(
        (&output["status"], &output["body"], &output["bytes"]),
        (&json!(200), &json!("{\"a\":1}"), &json!(7))
    );
    assert_eq!(output["headers"]["etag"], "\"7\"");
    assert!(!output.to_string().contains("s3cret"));
    let got = &server.got()[0];
    assert!(got.starts_with("GET /x?y=1 HTTP/1.1"), "{got}");
    assert_eq!(header(got, "idempotency-key"), Some(task));
    assert_eq!(header(got, "accept").as_deref(), Some("application/json"));
    assert!(header(got, "user-agent").unwrap().starts_with("TaskTonic/"));
}

#[tokio::test]
async fn bodies_go_out_as_what_they_are() {
    let server = Server::start(|_| answer(204, "", b"")).await;
    for (payload, media_type, body) in [
        (json!({ "body": { "json": { "a": [1, null] } } }), "application/json", "{\"a\":[1,null]}"),
        (json!({ "body": { "text": "hé" } }), "text/plain; charset=utf-8", "hé"),
        (
            json!({ "body": { "text": "a=1" }, "headers": { "content-type": "application/x-www-form-urlencoded", "Idempotency-Key": "mine" } }),
            "application/x-www-form-urlencoded",
            "a=1",
        ),
    ] {
        let mut payload = payload;
        payload["url"] = server.url("/").into();
        payload["method"] = "POST".into();
        let own_key = payload["headers"]["Idempotency-Key"].is_string();
        let _ = request(payload).await.output();
        let got = server.got().pop().unwrap();
        assert_eq!(header(&got, "content-type").as_deref(), Some(media_type));
        assert!(got.starts_with("POST ") && got.ends_with(&format!("\r\n\r\n{body}")), "{got}");
        assert_eq!(header(&got, "idempotency-key").as_deref() == Some("mine"), own_key);
    }
}

#[tokio::test]
async fn statuses_decide_between_another_attempt_and_none() {
    for (status, headers, again, wait) in [
        (500, "", true, None),
        (503, "Retry-After: 7\r\n", true, Some(7)),
        (
            429,
            "Date: Wed, 21 Oct 2015 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2015 07:29:00 GMT\r\n",
            true,
            Some(60),
        ),
        (408, "", true, None),
        (400, "Retry-After: 7\r\n", false, None),
        (404, "", false, None),
        (304, "", false, None),
    ] {
        let server = Server::start(move |_| answer(status, headers, b"")).await;
        let ran = request(json!({ "url": server.url("/?token=s3cret") })).await;
        let message = match ran.failure() {
            Failure::Attempt { error, wait: found } if again => {
                assert_eq!(*found, wait.map(Duration::from_secs), "{status}");
                error
            }
            Failure::Final(error) if !again => error,
            other => panic!("{status}: {other:?}"),
        };
        assert_eq!(message.code, format!("http_{status}"));
        assert!(!message.message.contains("s3cret"));
    }
}

#[tokio::test]
async fn what_is_expected_is_success_and_nothing_else() {
    let server = Server::start(|_| answer(404, "", b"gone")).await;
    let output = request(json!({ "url": server.url("/"), "expect": [404, 410] })).await.output();
    assert_eq!((&output["status"], &output["body"]), (&json!(404), &json!("gone")));
    let server = Server::start(|_| answer(200, "", b"")).await;
    assert_eq!(
        final_code(&request(json!({ "url": server.url("/"), "expect": [201] })).await).0,
        "http_200"
    );
    let server = Server::start(|_| answer(302, "Location: /on\r\n", b"")).await;
    assert_eq!(
        request(json!({ "url": server.url("/"), "expect": [302] })).await.output()["headers"]["location"],
        "/on"
    );
}

#[tokio::test]
async fn redirects_are_followed_as_browsers_do() {
    for (status, method, then, body) in [
        (301, "POST", "GET", false),
        (302, "POST", "GET", false),
        (303, "PUT", "GET", false),
        (307, "POST", "POST", true),
        (308, "PUT", "PUT", true),
        (302, "PUT", "PUT", true),
    ] {
        let server = Server::start(move |request| {
            if request.contains(" /end ") {
                answer(200, "", b"end")
            } else {
                answer(status, "Location: end\r\n", b"")
            }
        })
        .await;
        let output = request(json!({ "url": server.url("/start"), "method": method, "body": { "text": "hello" }, "headers": { "Authorization": "Bearer s3cret" } })).await.output();
        assert_eq!((&output["redirects"], &output["body"]), (&json!(1), &json!("end")));
        let got = server.got();
        assert!(got[1].starts_with(&format!("{then} /end ")), "{status}: {}", got[1]);
        assert_eq!(got[1].ends_with("hello"), body, "{status}: {}", got[1]);
        // The same origin may know it.
        assert_eq!(header(&got[1], "authorization").as_deref(), Some("Bearer s3cret"));
    }
}

#[tokio::test]
async fn credentials_do_not_go_along_to_another_origin() {
    let other = Server::start(|_| answer(200, "", b"")).await;
    let location = format!("Location: {}\r\n", other.url("/"));
    let server = Server::start(move |_| answer(307, &location, b"")).await;
    let headers = json!({ "Authorization": "Bearer s3cret", "Cookie": "s3cret", "X-Api-Key": "s3cret", "Accept": "text/plain" });
    let _ = request(json!({ "url": server.url("/"), "headers": headers })).await.output();
    assert!(server.got()[0].contains("s3cret"));
    let got = &other.got()[0];
    assert!(
        !got.contains("s3cret") && header(got, "accept").as_deref() == Some("text/plain"),
        "{got}"
    );
}

#[tokio::test]
async fn redirects_end() {
    let server = Server::start(|_| answer(302, "Location: /again\r\n", b"")).await;
    assert_eq!(final_code(&request(json!({ "url": server.url("/") })).await).0, "redirect_refused");
    assert_eq!(server.got().len(), 6);
}

#[tokio::test]
async fn private_addresses_are_refused_before_anything_is_sent() {
    let server = Server::start(|_| answer(200, "", b"")).await;
    let port = server.at.port();
    for host in ["127.0.0.1", "localhost", "LOCALHOST", "127.1", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let ran = Attempt::new(json!({ "url": format!("http://{host}:{port}/") }))
            .run(&HttpRequest::new(HttpConfig::default()))
            .await;
        assert_eq!(final_code(&ran).0, "address_refused", "{host}");
    }
    assert!(server.got().is_empty());
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused_too() {
    let inside = Server::start(|_| answer(200, "", b"")).await;
    let port = inside.at.port();
    for location in [
        format!("http://localhost:{port}/"),
        "http://169.254.169.254/latest".into(),
        format!("//localhost:{port}/"),
        "http://[::1]/".into(),
    ] {
        let headers = format!("Location: {location}\r\n");
        let server = Server::start(move |_| answer(302, &headers, b"")).await;
        let config = HttpConfig { allow_hosts: vec!["127.0.0.1".into()], ..HttpConfig::default() };
        let ran =
            Attempt::new(json!({ "url": server.url("/") })).run(&HttpRequest::new(config)).await;
        assert_eq!(final_code(&ran).0, "address_refused", "{location}");
    }
    for location in ["file:///etc/passwd", "http://a:b@127.0.0.1/"] {
        let headers = format!("Location: {location}\r\n");
        let server = Server::start(move |_| answer(302, &headers, b"")).await;
        assert_eq!(
            final_code(&request(json!({ "url": server.url("/") })).await).0,
            "url_refused",
            "{location}"
        );
    }
    assert!(inside.got().is_empty());
}

#[tokio::test]
async fn a_long_answer_and_one_that_is_no_text_become_files() {
    let long = "line\n".repeat(100_000);
    for (media_type, body, name) in [
        ("text/csv; charset=utf-8", long.into_bytes(), "response.csv"),
        ("image/png", vec![0xFF; 10], "response.png"),
        ("application/octet-stream", vec![0; 20_000], "response.bin"),
    ] {
        let (headers, content) = (format!("Content-Type: {media_type}\r\n"), body.clone());
        let server = Server::start(move |_| answer(200, &headers, &content)).await;
        let files = MemoryFiles::new();
        let output = Attempt::new(json!({ "url": server.url("/") }))
            .files(files.clone())
            .run(&near())
            .await
            .output();
        assert_eq!((&output["file"]["name"], &output["bytes"]), (&json!(name), &json!(body.len())));
        assert!(output.get("body").is_none());
        assert_eq!(files.bytes(output["file"]["file"].as_str().unwrap()), body);
    }
}

#[tokio::test]
async fn an_answer_larger_than_any_may_be_is_refused_by_what_it_says_of_itself() {
    let server =
        Server::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n".to_vec())
            .await;
    assert_eq!(final_code(&request(json!({ "url": server.url("/") })).await).0, "answer_too_large");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_failed_attempt() {
    for sent in [10, 100_000] {
        let server = Server::start(move |_| {
            [b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n".to_vec(), vec![b'x'; sent]]
                .concat()
        })
        .await;
        let ran = request(json!({ "url": server.url("/?token=s3cret") })).await;
        let (code, message) = attempt_code(&ran);
        assert_eq!(code, "not_answered");
        assert_eq!(message, format!("The answer of {} broke off before its end.", server.at));
        assert!(!logs(&ran).contains("s3cret") && !logs(&ran).is_empty(), "{}", logs(&ran));
    }
}

fn logs(ran: &Ran) -> String {
    ran.logs.iter().map(|(_, text)| format!("{text}\n")).collect()
}

/// Takes every connection, says `words` and closes it.
async fn saying(words: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(words).await;
        }
    });
    at
}

#[tokio::test]
async fn why_there_is_no_answer_is_said_in_plain_words_and_the_causes_are_in_the_log() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let plain = saying(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let mail = saying(b"220 mail.example ESMTP\r\n").await;
    for (address, code, words) in [
        (
            "http://nowhere.invalid".to_owned(),
            "not_connected",
            "The name nowhere.invalid could not be resolved.".to_owned(),
        ),
        (format!("http://{gone}"), "not_connected", format!("{gone} refused the connection.")),
        (
            format!("https://{plain}"),
            "not_connected",
            format!("{plain} does not speak TLS on that port."),
        ),
        (format!("http://{mail}"), "not_answered", mail.to_string()),
    ] {
        let ran = request(json!({ "url": format!("{address}/?token=s3cret") })).await;
        let (found, message) = attempt_code(&ran);
        assert_eq!(found, code, "{address}: {message}");
        assert!(message.starts_with(&words), "{address}: {message}");
        for raw in ["error", "os error", "client", "hyper", "s3cret"] {
            assert!(!message.contains(raw), "{address}: {message}");
        }
        let logs = logs(&ran);
        assert!(logs.contains(": ") && !logs.contains("s3cret"), "{address}: {logs}");
    }
}

#[tokio::test]
async fn nobody_there_and_no_answer_in_time_are_failed_attempts() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/?token=s3cret", silent.local_addr().unwrap());
    let ran = request(json!({ "url": url, "timeout_ms": 100 })).await;
    let (code, message) = attempt_code(&ran);
    let at = silent.local_addr().unwrap();
    assert_eq!(
        (code, message),
        ("timed_out", &*format!("{at} gave no whole answer within 100 ms."))
    );
    drop(silent);
    let ran = request(json!({ "url": url })).await;
    let (code, message) = attempt_code(&ran);
    assert!(code == "not_connected" && !message.contains("s3cret"), "{code}: {message}");
}

#[tokio::test]
async fn it_stops_when_cancelled() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let attempt =
        Attempt::new(json!({ "url": format!("http://{}/", silent.local_addr().unwrap()) }));
    let stop = attempt.cancel_token();
    let handler = near();
    let (ran, ()) = tokio::join!(attempt.run(&handler), async {
        let _held = silent.accept().await.unwrap();
        stop.cancel();
    });
    assert_eq!(ran.failure(), &Failure::Cancelled);
}

#[tokio::test]
async fn what_no_request_may_hold_is_refused_without_quoting_values() {
    for (payload, code) in [
        (json!({ "headers": { "Host": "s3cret" } }), "header_refused"),
        (json!({ "headers": { "Transfer-Encoding": "chunked" } }), "header_refused"),
        (json!({ "headers": { "a b": "s3cret" } }), "header_refused"),
        (json!({ "headers": { "X": "s3cret\r\nY: 1" } }), "header_refused"),
        (json!({ "url": "example.com" }), "url_refused"),
        (json!({ "url": "ftp://127.0.0.1/" }), "url_refused"),
    ] {
        let mut payload = payload;
        if payload.get("url").is_none() {
            payload["url"] = "http://127.0.0.1:9/".into();
        }
        let ran = request(payload).await;
        let (found, message) = final_code(&ran);
        assert!(found == code && !message.contains("s3cret"), "{found}: {message}");
    }
}
