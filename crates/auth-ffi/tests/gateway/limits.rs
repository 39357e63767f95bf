//! Limits that really limit, and what nginx says by itself: every answer is a problem document with
//! a code of ours.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tasktonic_testkit::nginx::Nginx;
use tasktonic_testkit::{ports, wait};

use crate::support::{Answer, Behind, HOST, SOON, ask, bearer, ready, ready_by};

fn api(nginx: &Nginx, token: &str) -> Answer {
    ask(nginx.address(), "GET", "/api/v1/tasks", &[("Authorization", &bearer(token))], "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_asks_too_much_is_told_so_and_others_are_not() {
    let behind = Behind::start().await;
    let mut gateway = behind.gateway();
    (gateway.limits.user_rate_per_s, gateway.limits.user_burst) = (1, 5);
    (gateway.limits.sign_in_rate_per_min, gateway.limits.sign_in_burst) = (1, 3);
    let nginx = behind.nginx_of(gateway);
    let (ada, bob) = (behind.token("ada"), behind.token("bob"));
    let statuses: Vec<u16> = (0..30).map(|_| api(&nginx, &ada).status).collect();
    let good = statuses.iter().filter(|status| **status == 200).count();
    assert!((6..=12).contains(&good), "a burst, and one a second: {statuses:?}");
    assert!(statuses.ends_with(&[429]) && statuses.iter().all(|s| [200, 429].contains(s)));
    let refused = api(&nginx, &ada);
    assert_eq!(refused.code().as_deref(), Some("too_many_requests"), "{refused:?}");
    assert_eq!(refused.header("retry-after").as_deref(), Some("1"));
    assert_eq!(api(&nginx, &bob).status, 200, "each user has a count of their own");
    // The same user by another token, and on the pages.
    let other = behind.token("ada");
    assert_eq!(api(&nginx, &other).status, 429);
    let headers = [("Authorization", bearer(&other))];
    let headers = [(headers[0].0, headers[0].1.as_str())];
    let page = ask(nginx.address(), "GET", "/tasks", &headers, "");
    assert_eq!((page.status, page.code().as_deref()), (429, Some("too_many_requests")), "{page:?}");
    assert_eq!(page.header("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(ask(nginx.address(), "GET", "/healthz", &[], "").status, 200, "open to anybody");

    // Sign-ins are counted by address, and only those that could guess.
    let sign_in = || {
        let body = r#"{"username":"ada","password":"wrong wrong wrong"}"#;
        let headers = [("Content-Type", "application/json")];
        ask(nginx.address(), "POST", "/api/v1/auth/token", &headers, body)
    };
    let codes: Vec<Option<String>> = (0..8).map(|_| sign_in().code()).collect();
    assert_eq!(codes.last().unwrap().as_deref(), Some("too_many_requests"), "{codes:?}");
    let by_server = codes.iter().take(4);
    assert!(
        by_server.into_iter().all(|code| code.as_deref() != Some("too_many_requests")),
        "{codes:?}"
    );
    assert_eq!(ask(nginx.address(), "GET", "/login", &[], "").status, 200, "looking is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_the_limit_of_their_place() {
    let behind = Behind::start().await;
    let mut gateway = behind.gateway();
    gateway.servers = vec![behind.pages.address.to_string()];
    let nginx = behind.nginx_of(gateway);
    let token = bearer(&behind.token("ada"));
    let post = |path: &str, length: usize| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {token}\r\n\
             Connection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        let send = [head.into_bytes(), vec![b'x'; length]].concat();
        Answer::read(&crate::support::raw(nginx.address(), &send, |_| false))
    };
    let (fits, much) = (8 << 20, (8 << 20) + 1);
    assert_eq!(post("/api/v1/tasks", fits).arrived("body-bytes"), [fits.to_string()]);
    let refused = post("/api/v1/tasks", much);
    assert_eq!((refused.status, refused.code().as_deref()), (413, Some("payload_too_large")));
    assert_eq!(post("/api/v1/files", much).arrived("body-bytes"), [much.to_string()]);
    let refused = post("/tasks", much);
    assert_eq!((refused.status, refused.code().as_deref()), (413, Some("payload_too_large")));
    // In chunks no length is known before.
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
    let head = format!(
        "POST /api/v1/tasks HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {token}\r\n\
         Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let send = head.clone() + &chunk.repeat(9) + "0\r\n\r\n";
    let answer = Answer::read(&crate::support::raw(nginx.address(), send.as_bytes(), |_| false));
    assert_eq!(answer.status, 413, "{answer:?}");
    // On the pages it is seen only there, beyond the guard.
    let head = head.replace("POST /api/v1/tasks", "POST /tasks");
    let head = head.replace("Connection:", &format!("Origin: https://{HOST}\r\nConnection:"));
    for (rest, status, code) in [
        (chunk.repeat(9) + "0\r\n\r\n", 413, "payload_too_large"),
        ("zz\r\n\r\n".to_owned(), 400, "bad_request"),
    ] {
        let send = head.clone() + &rest;
        let answer = crate::support::raw(nginx.address(), send.as_bytes(), |_| false);
        let answer = Answer::read(&answer);
        assert_eq!((answer.status, answer.code().as_deref()), (status, Some(code)), "{answer:?}");
        let kind = answer.header("content-type");
        assert_eq!(kind.as_deref(), Some("application/problem+json"));
    }
}

/// A page asks the API through the gateway for the person before it. Who that is, is believed from
/// the servers of the pages and from nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn the_client_that_a_trusted_address_names_is_the_one_who_is_counted() {
    let behind = Behind::start().await;
    let mut gateway = behind.gateway();
    gateway.servers = vec![behind.pages.address.to_string()];
    gateway.trusted = vec!["127.0.0.1".to_owned()];
    (gateway.limits.sign_in_rate_per_min, gateway.limits.sign_in_burst) = (1, 2);
    let sign_in = |nginx: &Nginx, named: &str| {
        let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", named)];
        ask(nginx.address(), "POST", "/api/v1/auth/token", &headers, "{}")
    };
    let nginx = behind.nginx_of(gateway.clone());
    let first = sign_in(&nginx, "203.0.113.1");
    assert_eq!(first.arrived("x-forwarded-for"), ["203.0.113.1"], "{first:?}");
    let mut last = first.status;
    for _ in 0..6 {
        last = sign_in(&nginx, "203.0.113.1").status;
    }
    assert_eq!(last, 429, "one who asks too much is told so");
    // What stands before the last address was written by the client itself.
    let other = sign_in(&nginx, "203.0.113.1, 203.0.113.2, 127.0.0.1");
    assert_eq!((other.status, other.arrived("x-forwarded-for")), (200, vec!["203.0.113.2".into()]));
    // A line of the log is written when the answer is out.
    wait::until("the log to name the client", SOON, || {
        nginx.access_log().contains("\"client\":\"203.0.113.2\"")
    });

    gateway.trusted = vec!["192.0.2.0/24".to_owned()];
    let nginx = behind.nginx_of(gateway);
    let alone = sign_in(&nginx, "203.0.113.1");
    assert_eq!(alone.arrived("x-forwarded-for"), ["127.0.0.1"], "{alone:?}");
    let statuses: Vec<u16> =
        (3..10).map(|n| sign_in(&nginx, &format!("203.0.113.{n}")).status).collect();
    assert!(statuses.ends_with(&[429]), "another name is no other address: {statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_too_large_are_explained() {
    let behind = Behind::start().await;
    let nginx = behind.nginx();
    let long = "x".repeat(40_000);
    for (path, headers) in [
        (format!("/{long}"), vec![]),
        ("/login".to_owned(), vec![("X-Long", long.as_str())]),
        (format!("/login?{}", &long[..9_000]), vec![]),
    ] {
        let answer = ask(nginx.address(), "GET", &path, &headers, "");
        assert_eq!((answer.status, answer.code().as_deref()), (431, Some("headers_too_large")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_told_in_the_words_of_its_place() {
    let behind = Behind::start().await;
    let mut gateway = behind.gateway();
    gateway.servers = vec![format!("127.0.0.1:{}", ports::free())];
    gateway.pages = vec![format!("127.0.0.1:{}", ports::free())];
    let nginx = Nginx::start(gateway);
    let token = bearer(&behind.token("ada"));
    ready_by(&nginx, "/tasks", 302);
    let auth = ("Authorization", token.as_str());
    let get = ask(nginx.address(), "GET", "/api/v1/tasks", &[auth], "");
    assert_eq!((get.status, get.code().as_deref()), (503, Some("server_unavailable")), "{get:?}");
    // It may have been done: the client asks again with its key.
    let post = ask(nginx.address(), "POST", "/api/v1/tasks", &[auth], "{}");
    assert_eq!((post.status, post.code().as_deref()), (503, Some("outcome_unknown")), "{post:?}");
    let page = ask(nginx.address(), "GET", "/tasks", &[auth, ("Accept", "text/html, */*")], "");
    assert_eq!(page.status, 502, "{page:?}");
    assert!(page.body.contains("The pages are starting"), "{page:?}");
    assert_eq!(page.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    let data = ask(nginx.address(), "GET", "/tasks", &[auth, ("RSC", "1")], "");
    assert_eq!((data.status, data.code().as_deref()), (502, Some("pages_unavailable")), "{data:?}");
    for answer in [get, post, page, data] {
        assert_eq!(answer.header("retry-after").as_deref(), Some("2"));
        assert!(!answer.body.contains("<center>nginx"), "{answer:?}");
        assert_eq!(answer.header("server").as_deref(), Some("nginx"), "no version");
    }
}

/// Takes requests and ends each connection instead of answering.
fn silent() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            if stream.read(&mut head).is_ok_and(|n| n > 0) {
                count.fetch_add(1, Ordering::SeqCst);
            }
            let _ = stream.flush();
        }
    });
    (address, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_is_asked_unless_the_first_may_have_done_it() {
    let behind = Behind::start().await;
    let (address, asked) = silent();
    let mut gateway = behind.gateway();
    gateway.servers = vec![address.clone(), behind.pages.address.to_string()];
    gateway.workers = Some(1);
    let nginx = behind.nginx_of(gateway);
    let token = bearer(&behind.token("ada"));
    let auth = ("Authorization", token.as_str());
    for _ in 0..20 {
        let answer = ask(nginx.address(), "GET", "/api/v1/tasks", &[auth], "");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert!(asked.load(Ordering::SeqCst) > 0, "the silent one was tried");

    // After two failures it is left alone for a second; a fresh nginx has not noticed yet.
    let mut gateway = behind.gateway();
    gateway.servers = vec![address];
    gateway.workers = Some(1);
    let nginx = Nginx::start(gateway);
    ready_by(&nginx, "/login", 200);
    asked.store(0, Ordering::SeqCst);
    let answer = ask(nginx.address(), "POST", "/api/v1/tasks", &[auth], "{}");
    assert_eq!(answer.code().as_deref(), Some("outcome_unknown"), "{answer:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 1, "sent once, and not again");

    // One that takes no connection has done nothing: there a write goes to the next, too.
    let mut gateway = behind.gateway();
    let gone = format!("127.0.0.1:{}", ports::free());
    gateway.servers = vec![gone, behind.pages.address.to_string()];
    gateway.workers = Some(1);
    let nginx = behind.nginx_of(gateway);
    ready(&nginx);
    for _ in 0..20 {
        let answer = ask(nginx.address(), "POST", "/api/v1/tasks", &[auth], "{}");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}
