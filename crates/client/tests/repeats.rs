//! What is asked again, what is not, and that a submission is made once.

#![expect(clippy::unwrap_used, reason = "a test fails by it, helpers included")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{Fake, ID, Say, json, problem, task, waits};
use serde_json::value::RawValue;
use tasktonic_client::{Client, Error, Session, Token, TokenFile, submission};
use tasktonic_protocol::http::{KeyMode, Tokens};
use tasktonic_protocol::problem::Code;

fn payload() -> Box<RawValue> {
    RawValue::from_string(r#"{"b":1, "a":1.0}"#.into()).unwrap()
}

fn key(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    body["idempotency_key"].as_str().expect("a key").to_owned()
}

#[tokio::test]
async fn a_submission_whose_answer_was_lost_is_sent_again_under_the_same_key() {
    let fake = Fake::start(|n, _| match n {
        0 => Say::Nothing,
        1 => problem(Code::OutcomeUnknown, "Send it again.", None),
        _ => json(200, task(ID, "queued", 1)),
    })
    .await;
    let submitted = fake.client().submit(submission("demo.sleep", payload())).await.unwrap();
    assert_eq!(submitted.task.id, ID);
    assert!(submitted.is_new, "the lost sending was this call's own");
    let seen = fake.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|request| request.body == seen[0].body), "byte for byte");
    assert!(!key(&seen[0].body).is_empty());
    assert!(String::from_utf8_lossy(&seen[0].body).contains(r#"{"b":1, "a":1.0}"#));
}

#[tokio::test]
async fn two_submissions_have_two_keys_and_a_key_that_was_given_stays() {
    let fake = Fake::start(|_, _| json(202, task(ID, "queued", 1))).await;
    let client = fake.client();
    for _ in 0..2 {
        client.submit(submission("demo.sleep", payload())).await.unwrap();
    }
    let mut mine = submission("demo.sleep", payload());
    mine.idempotency_key = Some("order-17".into());
    client.submit(mine).await.unwrap();
    let keys: Vec<_> = fake.seen().iter().map(|request| key(&request.body)).collect();
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keys[2], "order-17");
}

#[tokio::test]
async fn an_existing_task_under_a_given_key_is_not_new() {
    let fake = Fake::start(|_, _| json(200, task(ID, "queued", 1))).await;
    let mut mine = submission("demo.sleep", payload());
    mine.idempotency_key = Some("order-17".into());
    assert!(!fake.client().submit(mine).await.unwrap().is_new);
}

#[tokio::test]
async fn a_key_that_goes_by_where_its_task_is_is_sent_once() {
    let fake = Fake::start(|_, _| problem(Code::OutcomeUnknown, "Look first.", None)).await;
    let client = fake.client();
    let mut mine = submission("demo.sleep", payload());
    mine.idempotency_key = Some("order-17".into());
    mine.key_mode = Some(KeyMode::Unique);
    let error = client.submit(mine.clone()).await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
    client.submit_batch(vec![submission("demo.sleep", payload()), mine]).await.unwrap_err();
    assert_eq!(fake.seen().len(), 2);
    // A key made up here would be nobody's: what is said about one waits for the caller's.
    let mut keyless = submission("demo.sleep", payload());
    keyless.key_mode = Some(KeyMode::Unique);
    client.submit(keyless).await.unwrap_err();
    let seen: serde_json::Value = serde_json::from_slice(&fake.seen()[2].body).unwrap();
    assert_eq!(seen.get("idempotency_key"), None);
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let fake = Fake::start(|n, _| match n {
        0 => problem(Code::TooManyRequests, "Slow down.", Some("1")),
        _ => json(200, task(ID, "queued", 1)),
    })
    .await;
    let since = Instant::now();
    fake.client().task(ID).await.unwrap();
    assert!(since.elapsed() >= Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn a_retry_after_beyond_the_bound_is_the_callers_to_wait_for() {
    let fake = Fake::start(|_, _| problem(Code::TooManyRequests, "Slow down.", Some("3600"))).await;
    let since = Instant::now();
    let error = fake.client().task(ID).await.unwrap_err();
    assert!(since.elapsed() < Duration::from_secs(5));
    let Error::Problem { retry_after: Some(after), .. } = error else { panic!("{error}") };
    assert_eq!(after, Duration::from_secs(3600));
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn refusals_that_would_stay_are_not_repeated_and_say_where_the_fault_is() {
    for code in Code::ALL.iter().copied() {
        let passes = matches!(
            code,
            Code::TooManyRequests
                | Code::StoreFull
                | Code::StoreUnavailable
                | Code::ServerUnavailable
                | Code::OutcomeUnknown
        );
        if passes {
            continue;
        }
        let fake = Fake::start(move |_, _| problem(code, "Do this instead.", None)).await;
        let error = fake.client().submit(submission("demo.sleep", payload())).await.unwrap_err();
        assert_eq!(error.code(), Some(code), "{error}");
        assert!(error.to_string().contains("Do this instead."), "{error}");
        assert!(!error.is_passing() && !error.is_outcome_unknown(), "{error}");
        assert_eq!(fake.seen().len(), 1, "{code:?}");
    }
}

#[tokio::test]
async fn giving_up_says_whether_the_request_may_have_been_carried_out() {
    let fake = Fake::start(|_, _| Say::Nothing).await;
    let mut short = waits();
    short.repeat = Duration::from_millis(300);
    let client = Client::with(&fake.url(), Arc::new(Token::new("t")), short.clone()).unwrap();
    let error = client.submit(submission("demo.sleep", payload())).await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
    assert!(fake.seen().len() > 1);

    let port = tasktonic_testkit::ports::free();
    let client =
        Client::with(&format!("http://127.0.0.1:{port}"), Arc::new(Token::new("t")), short);
    let error = client.unwrap().submit(submission("demo.sleep", payload())).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(!error.is_outcome_unknown() && error.is_passing(), "{error}");
    assert!(error.to_string().contains(&port.to_string()), "it says where: {error}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for_forever() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut short = waits();
    (short.answer, short.repeat) = (Duration::from_millis(200), Duration::ZERO);
    let client = Client::with(&url, Arc::new(Token::new("t")), short).unwrap();
    let error = client.task(ID).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn another_program_at_the_address_is_named_as_such() {
    let fake = Fake::start(|_, request| match request.target.ends_with("counts") {
        true => json(200, "<html>"),
        false => json(404, "nope"),
    })
    .await;
    for error in
        [fake.client().task(ID).await.unwrap_err(), fake.client().counts().await.unwrap_err()]
    {
        assert!(matches!(error, Error::BadAnswer { .. }), "{error}");
        assert!(error.to_string().contains("check the address"), "{error}");
    }
}

#[tokio::test]
async fn a_token_is_not_carried_to_another_address() {
    let other = Fake::start(|_, _| json(200, task(ID, "queued", 1))).await;
    let target = other.url();
    let fake = Fake::start(move |_, _| {
        let response = axum::http::Response::builder().status(307).header("location", &target);
        Say::This(response.body(axum::body::Body::empty()).unwrap())
    })
    .await;
    let error = fake.client().task(ID).await.unwrap_err();
    assert!(matches!(error, Error::BadAnswer { status: 307, .. }), "{error}");
    assert_eq!(other.seen().len(), 0);
}

#[tokio::test]
async fn a_task_whose_sending_back_got_no_answer_is_sent_back_from_the_end_that_was_seen() {
    let fake = Fake::start(|n, request| match n {
        0 => json(200, task(ID, "failed", 7)),
        1 => Say::Nothing,
        _ if request.target.ends_with("/retry") => {
            problem(Code::ChangedMeanwhile, "It was sent back.", None)
        }
        _ => json(200, task(ID, "failed", 12)),
    })
    .await;
    assert_eq!(fake.client().retry(ID).await.unwrap().rev, 12, "it has failed anew by then");
    let seen = fake.seen();
    let said: Vec<&[u8]> = seen[1..3].iter().map(|request| &request.body[..]).collect();
    assert_eq!(said, [br#"{"rev":7}"#, br#"{"rev":7}"#]);

    // Whoever has an answer is told.
    let fake = Fake::start(|n, _| match n {
        0 => json(200, task(ID, "failed", 7)),
        _ => problem(Code::ChangedMeanwhile, "Somebody was quicker.", None),
    })
    .await;
    let error = fake.client().retry(ID).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::ChangedMeanwhile));
}

#[tokio::test]
async fn a_cancellation_whose_answer_was_lost_succeeds_when_it_was_done() {
    let fake = Fake::start(|n, request| match n {
        0 => Say::Nothing,
        _ if request.target.ends_with("/cancel") => {
            problem(Code::AlreadyEnded, "It has ended.", None)
        }
        _ => json(200, task(ID, "cancelled", 2)),
    })
    .await;
    assert_eq!(fake.client().cancel(ID).await.unwrap().status.name(), "cancelled");

    let fake = Fake::start(|_, _| problem(Code::AlreadyEnded, "It has ended.", None)).await;
    let error = fake.client().cancel(ID).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::AlreadyEnded), "a first answer stands");
}

#[tokio::test]
async fn an_id_that_is_none_is_refused_before_it_is_sent() {
    let fake = Fake::start(|_, _| json(200, task(ID, "queued", 1))).await;
    for bad in ["", "..", "a/b", "AZrPAAAAAAAAAAA", "AZrPAAAAAAAAAAAA?x"] {
        let error = fake.client().cancel(bad).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{bad}: {error}");
    }
    assert_eq!(fake.seen().len(), 0);
}

#[tokio::test]
async fn a_refused_token_is_read_again_from_its_file_once() {
    let scratch = tasktonic_testkit::Scratch::new();
    let path = scratch.join("token");
    std::fs::write(&path, "old").unwrap();
    let fake = Fake::start(|_, request| match request.headers["authorization"].as_bytes() {
        b"Bearer new" => json(200, task(ID, "queued", 1)),
        _ => problem(Code::TokenExpired, "Sign in again.", None),
    })
    .await;
    let file = Arc::new(TokenFile::new(&path));
    let client = Client::with(&fake.url(), file, waits()).unwrap();
    let error = client.task(ID).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::TokenExpired));
    assert_eq!(fake.seen().len(), 1, "the same token is not sent twice");
    std::fs::write(&path, "new").unwrap();
    client.task(ID).await.unwrap();
}

#[tokio::test]
async fn many_calls_refresh_a_session_once() {
    let refreshes = Arc::new(AtomicUsize::new(0));
    let count = refreshes.clone();
    let tokens = |n: usize| {
        format!(
            r#"{{"access_token":"a{n}","token_type":"Bearer","expires_in":9,"refresh_token":"r{n}","refresh_expires_in":9,"user":"ana"}}"#
        )
    };
    let fake = Fake::start(move |_, request| {
        if request.target.ends_with("/auth/refresh") {
            // A second use of one refresh token ends the session, as the server does it.
            let n = count.fetch_add(1, Ordering::SeqCst);
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            return match body["refresh_token"] == format!("r{n}") {
                true => json(200, tokens(n + 1)),
                false => problem(Code::TokenInvalid, "It was used before.", None),
            };
        }
        match request.headers["authorization"].as_bytes() {
            b"Bearer a1" => json(200, task(ID, "queued", 1)),
            _ => problem(Code::TokenExpired, "Refresh it.", None),
        }
    })
    .await;
    let bare = Client::new(&fake.url(), None).unwrap();
    let first: Tokens = serde_json::from_str(&tokens(0)).unwrap();
    let kept = Arc::new(AtomicUsize::new(0));
    let told = kept.clone();
    let session = Session::new(bare.clone(), first).on_renewed(move |_| {
        told.fetch_add(1, Ordering::SeqCst);
    });
    let client = bare.with_credentials(Arc::new(session));
    let calls = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.task(ID).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert_eq!(refreshes.load(Ordering::SeqCst), 1);
    assert_eq!(kept.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_login_is_tried_once_and_shows_no_password() {
    let fake = Fake::start(|_, _| problem(Code::TooManyRequests, "Wait.", Some("1"))).await;
    let client = Client::new(&fake.url(), None).unwrap();
    let error = client.login("ana", "correct horse").await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("horse"));
    assert_eq!(fake.seen().len(), 1, "repeating would use up the account's attempts");
    assert!(fake.seen()[0].headers.get("authorization").is_none());
}

#[tokio::test]
async fn a_batch_gives_every_task_a_key_of_its_own() {
    let fake = Fake::start(|_, _| json(200, r#"{"results":[]}"#)).await;
    let tasks = (0..50).map(|_| submission("demo.sleep", payload())).collect();
    fake.client().submit_batch(tasks).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&fake.seen()[0].body).unwrap();
    let keys: std::collections::BTreeSet<_> = body["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["idempotency_key"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(keys.len(), 50);
    let many = (0..1_001).map(|_| submission("demo.sleep", payload())).collect();
    let error = fake.client().submit_batch(many).await.unwrap_err();
    assert!(error.to_string().contains("1000"), "{error}");
}
