//! Bodies and addresses nobody should send: refused with a 4xx, never an error of ours.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use proptest::prelude::*;
use serde_json::{Value, json};
use tasktonic_auth::Role;

use crate::support::{Answer, Site};

const TAKERS: &[(&str, Role)] = &[
    ("/api/v1/tasks", Role::User),
    ("/api/v1/tasks/batch", Role::User),
    ("/api/v1/tasks/cancel", Role::User),
    ("/api/v1/tasks/retry", Role::User),
    ("/api/v1/worker/sync", Role::Worker),
    ("/api/v1/worker/held", Role::Worker),
    ("/api/v1/worker/inputs", Role::Worker),
    ("/api/v1/worker/announce", Role::Worker),
];

async fn post(site: &Site, (path, role): (&str, Role), body: impl Into<Body>) -> Answer {
    let token = site.token("mallory", role);
    let request = site
        .request(Some(&token), "POST", path)
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap();
    site.send(request).await
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[tokio::test]
async fn malformed_json_of_every_kind_is_a_400() {
    let site = Site::open().await;
    let deep = "[".repeat(100_000);
    let object = r#"{"a":"#.repeat(20_000);
    let unclosed = format!(r#"{{"kind":"echo","payload":{}}}"#, "[".repeat(63));
    for taker in TAKERS {
        for body in [
            &b""[..],
            b" ",
            b"null",
            b"[]",
            b"7",
            b"\"x\"",
            b"{",
            b"}",
            b"{}",
            b"{\"kind\"}",
            b"{\"kind\":\"echo\",}",
            b"{\"kind\":\"echo\",\"payload\":}",
            b"{'kind':'echo'}",
            b"{\"kind\":\"echo\",\"payload\":NaN}",
            b"{\"kind\":\"echo\",\"payload\":01}",
            b"{\"kind\":\"echo\",\"kind\":\"echo\",\"payload\":1}",
            b"{\"ids\":[],\"ids\":[]}",
            b"{\"tasks\":{}}",
            b"{\"kind\":\"\xff\",\"payload\":1}",
            b"{\"kind\":\"echo\",\"payload\":\"\xed\xa0\x80\"}",
            b"\xef\xbb\xbf{}",
            b"\0\0\0",
            b"{\"kind\":\"echo\",\"payload\":\"\\ud800\"} x",
            b"\x1f\x8b\x08\0\0\0\0\0",
            deep.as_bytes(),
            object.as_bytes(),
            unclosed.as_bytes(),
        ] {
            let answer = post(&site, *taker, body.to_vec()).await;
            answer.refused(400, "bad_request");
        }
    }
}

#[tokio::test]
async fn valid_json_in_odd_forms_is_accepted() {
    let site = Site::open().await;
    for payload in [
        "null",
        "0",
        "-0",
        "-0.0",
        "1e-400",
        "\"\\u0000\"",
        "\"\\ud83d\\ude00\"",
        "[]",
        "{\"\":1}",
        "{\"\\u0061\":1}",
        "1E+2",
        "\"\u{10ffff}\"",
        "[[],[[]]]",
        "18446744073709551616",
    ] {
        let body = format!("\t\r\n {{ \"payload\" :\n{payload}\t, \"\\u006bind\":\"echo\" }} \n");
        let answer = post(&site, TAKERS[0], body).await;
        assert_eq!(answer.status, 202, "{payload}: {answer:?}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let site = Site::open().await;
    for taker in TAKERS {
        let chunk = Bytes::from(vec![b' '; 64 * 1024]);
        let endless = stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
        let answer = post(&site, *taker, Body::from_stream(endless)).await;
        answer.refused(413, "payload_too_large");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_error_of_ours() {
    let site = Site::open().await;
    let parts = || {
        stream::iter([
            Ok(Bytes::from_static(b"{\"kind\":")),
            Err(std::io::Error::other("the connection broke")),
        ])
    };
    post(&site, TAKERS[0], Body::from_stream(parts())).await.refused(400, "bad_request");
    let token = site.token("ana", Role::User);
    let request = site
        .request(Some(&token), "POST", "/api/v1/files?name=a")
        .body(Body::from_stream(parts()))
        .unwrap();
    site.send(request).await.refused(400, "bad_request");
}

/// JSON that often has the members that are looked for.
fn json_like() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("echo")),
        Just(json!("w-1")),
        Just(json!(1)),
        Just(json!("echo|ana|AAAAAAAAAAAAAAAA|1|1|w-1.1")),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let name = prop::sample::select(vec![
            "kind",
            "payload",
            "tasks",
            "ids",
            "v",
            "worker",
            "call",
            "lease_ms",
            "ops",
            "claim",
            "queues",
            "limit",
            "lease",
            "report",
            "write",
            "n",
            "body",
            "kinds",
            "schema",
            "queue",
            "attempts_max",
            "tags",
            "run_at",
            "delay_ms",
            "id",
            "host",
            "version",
            "concurrency",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.prop_map(ToOwned::to_owned), inner, 0..8)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_make_an_error_of_ours(body in prop::collection::vec(any::<u8>(), 0..200)) {
        runtime().block_on(async {
            let site = Site::open().await;
            for taker in TAKERS {
                let answer = post(&site, *taker, body.clone()).await;
                prop_assert!(answer.status.is_client_error(), "{taker:?} {answer:?}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_json_makes_an_error_of_ours(body in json_like()) {
        runtime().block_on(async {
            let site = Site::open().await;
            for taker in TAKERS {
                let answer = post(&site, *taker, body.to_string()).await;
                prop_assert!(!answer.status.is_server_error(), "{taker:?} {answer:?}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_query_makes_an_error_of_ours(query in "[a-z=&%0-9+;,.\\[\\]-]{0,40}", name in "[a-z]{1,8}") {
        runtime().block_on(async {
            let site = Site::open().await;
            for path in ["tasks", "tasks/AAAAAAAAAAAAAAAA/logs", "files/AAAAAAAAAAAAAAAAAAAAAA"] {
                let answer = site.get("ana", &format!("/api/v1/{path}?{name}={query}")).await;
                prop_assert!(!answer.status.is_server_error(), "{path} {answer:?}");
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn bodies_that_never_end_hold_no_more_memory_than_one_user_may() {
    use std::sync::Arc;

    let site = Arc::new(Site::open().await);
    let mut pending = Vec::new();
    let slow = |site: &Site, user: &str| {
        let token = site.token(user, Role::User);
        let body = Body::from_stream(futures_util::stream::pending::<std::io::Result<Bytes>>());
        site.request(Some(&token), "POST", "/api/v1/tasks/batch")
            .header("content-type", "application/json")
            .body(body)
            .unwrap()
    };
    // Eight of 8 MiB each are as much as may be on its way.
    for _ in 0..8 {
        let (site, request) = (site.clone(), slow(&site, "ana"));
        pending.push(tokio::spawn(async move { site.send(request).await.status }));
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    site.send(slow(&site, "ana")).await.refused(429, "too_many_requests");
    site.post("ben", "/api/v1/tasks", r#"{"kind":"echo","payload":1}"#).await.expect(202);
    for waiting in pending {
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
    }
    site.post("ana", "/api/v1/tasks", r#"{"kind":"echo","payload":1}"#).await.expect(202);
}
