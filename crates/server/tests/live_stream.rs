//! What a page sees of its user's tasks, over real sockets.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{SOON, start, start_with, user};
use tasktonic_core::command::Control;
use tasktonic_core::routing::partition_of;
use tasktonic_store::Store as _;
use tasktonic_store::clock::Clock;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

#[tokio::test]
async fn a_snapshot_is_followed_by_numbered_events() {
    let server = start().await;
    let first = server.submit("ana").await;
    let mut socket = server.open(&server.token("ana")).await;
    socket.hello(None).await;
    let welcome = socket.next().await.unwrap();
    assert_eq!((&welcome["t"], &welcome["user"]), (&json!("welcome"), &json!("ana")));
    assert_eq!(welcome["heartbeat_ms"], 25_000);
    let snapshot = socket.next().await.unwrap();
    assert_eq!(snapshot["tasks"][0]["id"], first.to_string());
    assert_eq!(snapshot["counts"]["queued"], 1);
    assert!(snapshot["tasks"][0].get("payload").is_none());

    let second = server.submit("ana").await;
    let event = socket.next_of("events").await;
    assert_eq!(event["seq"].as_u64(), snapshot["seq"].as_u64().map(|seq| seq + 1));
    assert_eq!(event["events"][0]["task"]["id"], second.to_string());
    assert_eq!(event["events"][0]["task"]["kind"], "noop");
    assert_eq!(event["events"][0]["task"]["attempts_max"], 3);
    let counts = socket.next_of("counts").await;
    assert_eq!(counts["counts"]["all"], 2);
}

#[tokio::test]
async fn a_whole_life_arrives_in_order_with_rising_revs() {
    let server = start().await;
    let mut socket = server.open(&server.token("ana")).await;
    socket.hello(None).await;
    socket.next_of("snapshot").await;
    server.submit("ana").await;
    let lease = server.claim(1).await.remove(0);
    server.progress(&lease, 1, 40).await;
    let progress = socket.next_of("progress").await;
    assert_eq!(progress["patches"][0]["progress"]["done"], 40);
    assert!(progress["epoch"].as_u64() > Some(0), "progress names the epoch it belongs to");
    let ask = Control::Cancel {
        at_ms: Clock::system().now_ms(),
        user: user("ana"),
        tasks: vec![lease.task],
        body: "".into(),
        keep_s: 60,
    };
    server.store.control(partition_of(&user("ana"), support::PARTITIONS), ask).await.unwrap();
    let asked = socket.next_of("events").await;
    assert_eq!(asked["events"][0]["cancel_requested"], true);
    server.progress(&lease, 2, 50).await;
    assert_eq!(socket.next_of("progress").await["patches"][0]["status"], "cancelling");
    server.ack(&lease, 3).await;
    let done = socket.next_of("events").await;
    assert_eq!(done["events"][0]["task"]["status"], "completed");
    assert!(done["events"][0]["task"]["rev"].as_u64() > progress["patches"][0]["rev"].as_u64());
}

#[tokio::test]
async fn progress_is_coalesced_to_the_newest() {
    let server = start().await;
    server.submit("ana").await;
    let lease = server.claim(1).await.remove(0);
    let mut socket = server.open(&server.token("ana")).await;
    socket.hello(None).await;
    socket.next_of("snapshot").await;
    let began = Instant::now();
    for n in 1..=1_000 {
        server.progress(&lease, n, n.into()).await;
    }
    let mut frames = 0;
    loop {
        frames += 1;
        if socket.next_of("progress").await["patches"][0]["progress"]["done"] == 1_000 {
            break;
        }
    }
    let most = 3 + began.elapsed().as_millis() / 100;
    assert!(frames <= most, "{frames} frames, at most {most}");
}

#[tokio::test]
async fn nothing_of_a_strangers_tasks_ever_appears() {
    let server = start().await;
    let theirs = server.submit("bob").await.to_string();
    let lease = server.claim(1).await.remove(0);
    server.log(&lease, "secret line").await;
    let mut socket = server.open(&server.token("ana")).await;
    let watch = json!({ "recent": 200, "tasks": [theirs, "*", "bob", "../bob"], "logs": { theirs.clone(): 0 } });
    socket.say(json!({ "t": "hello", "v": 1, "cursor": null, "watch": watch })).await;
    socket.next_of("welcome").await;
    let mut seen = socket.until_pong().await;
    socket.say(json!({ "t": "watch", "tasks": [theirs], "logs": { theirs.clone(): 0 } })).await;
    server.log(&lease, "secret line").await;
    server.progress(&lease, 1, 7).await;
    server.ack(&lease, 2).await;
    server.submit("bob").await;
    // An event of our own, which comes after all of theirs.
    let mine = server.submit("ana").await.to_string();
    let event = socket.next_of("events").await;
    assert_eq!(event["events"][0]["task"]["id"], mine);
    seen.push(event);
    seen.extend(socket.until_pong().await);
    let all = json!(seen).to_string();
    for word in [theirs.as_str(), "secret", "bob"] {
        assert!(!all.contains(word), "{word} in {all}");
    }
}

#[tokio::test]
async fn a_watched_log_is_replayed_after_the_line_given_and_then_followed() {
    let server = start().await;
    let task = server.submit("ana").await.to_string();
    let lease = server.claim(1).await.remove(0);
    for line in 1..=1_203 {
        server.log(&lease, &format!("line {line}")).await;
    }
    let mut socket = server.open(&server.token("ana")).await;
    let watch = json!({ "recent": 0, "tasks": [], "logs": { task.clone(): 200 } });
    socket.say(json!({ "t": "hello", "v": 1, "cursor": null, "watch": watch })).await;
    let mut last = 200;
    let follow = async |socket: &mut support::Socket, last: &mut u64, end: u64| {
        while *last < end {
            let frame = socket.next_of("log").await;
            assert_eq!(frame["task"], task);
            for line in frame["lines"].as_array().unwrap() {
                *last += 1;
                assert_eq!(line["n"].as_u64(), Some(*last), "no gap and no repeat");
                assert_eq!(line["text"], format!("line {last}"));
            }
        }
    };
    follow(&mut socket, &mut last, 1_203).await;
    for line in 1_204..=1_300 {
        server.log(&lease, &format!("line {line}")).await;
    }
    follow(&mut socket, &mut last, 1_300).await;
    socket.say(json!({ "t": "watch", "tasks": [], "logs": {} })).await;
    socket.until_pong().await;
    server.log(&lease, "unseen").await;
    server.submit("ana").await;
    socket.next_of("counts").await;
    assert!(socket.until_pong().await.iter().all(|frame| frame["t"] != "log"));
}

#[tokio::test]
async fn a_resumed_socket_gets_what_it_missed_or_is_told_that_it_starts_anew() {
    let server = start().await;
    server.submit("ana").await;
    let mut socket = server.open(&server.token("ana")).await;
    socket.hello(None).await;
    let cursor = socket.next_of("snapshot").await["cursor"].as_str().unwrap().to_owned();
    drop(socket);
    let missed = [server.submit("ana").await, server.submit("ana").await];

    let mut back = server.open(&server.token("ana")).await;
    back.hello(Some(&cursor)).await;
    back.next_of("welcome").await;
    for id in missed {
        let frame = back.next().await.unwrap();
        assert_eq!(frame["events"][0]["task"]["id"], id.to_string(), "{frame}");
    }
    assert_eq!(back.next_of("counts").await["counts"]["all"], 3);

    // The store lives on under a new epoch: the old cursor says nothing any more.
    server.store.restart();
    let mut late = server.open(&server.token("ana")).await;
    for bad in [cursor.as_str(), "nonsense", "1-99999"] {
        late.hello(Some(bad)).await;
        late.next_of("reset").await;
        let snapshot = late.next().await.unwrap();
        assert_eq!(
            (&snapshot["t"], snapshot["tasks"].as_array().unwrap().len()),
            (&json!("snapshot"), 3)
        );
    }
    // The socket that stayed hears of it with the next event.
    server.submit("ana").await;
    back.next_of("reset").await;
    assert_eq!(back.next_of("snapshot").await["tasks"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_socket_ends_with_its_token_unless_a_fresh_one_of_the_same_user_comes() {
    let server = start().await;
    let role = tasktonic_auth::Role::User;
    let short = server.identity.mint("ana", role, 2).unwrap();
    let mut left = server.open(&short).await;
    let mut renewed = server.open(&short).await;
    left.hello(None).await;
    renewed.hello(None).await;
    renewed.next_of("snapshot").await;
    renewed.say(json!({ "t": "auth", "token": server.token("bob") })).await;
    assert_eq!(renewed.next_of("error").await["code"], "forbidden");
    renewed.say(json!({ "t": "auth", "token": "rubbish" })).await;
    assert_eq!(renewed.next_of("error").await["code"], "token_invalid");
    renewed.say(json!({ "t": "auth", "token": server.token("ana") })).await;
    renewed.next_of("welcome").await;
    let began = Instant::now();
    assert_eq!(left.closed().await, 4401);
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    renewed.until_pong().await;
}

#[tokio::test]
async fn handshakes_that_must_not_be_are_refused_with_their_reason() {
    let server = start().await;
    let bearer = format!("Bearer {}", server.token("ana"));
    let cookie = format!("tt_at={}", server.token("ana"));
    let own = format!("http://{}", server.addr);
    let upper = own.to_uppercase();
    let status = async |headers: &[(&str, &str)], protocols: &str| match server
        .open_with(headers, protocols)
        .await
    {
        Ok(_) => 101,
        Err(WsError::Http(answer)) => answer.status().as_u16(),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(status(&[], "tt.v1").await, 401);
    assert_eq!(status(&[("Authorization", "Bearer rubbish")], "tt.v1").await, 401);
    assert_eq!(status(&[("Authorization", &bearer)], "").await, 400);
    assert_eq!(status(&[("Authorization", &bearer)], "other").await, 400);
    assert_eq!(status(&[("Cookie", &cookie)], "tt.v1").await, 403, "a missing origin");
    for origin in
        ["null", "http://evil.example", "file://", &upper, "http://127.0.0.1.evil.example"]
    {
        assert_eq!(
            status(&[("Cookie", &cookie), ("Origin", origin)], "tt.v1").await,
            403,
            "{origin}"
        );
    }
    assert_eq!(status(&[("Cookie", &cookie), ("Origin", &own)], "tt.v1").await, 101);
    let with_token = format!("tt.v1, tt.jwt.{}", server.token("ana"));
    assert_eq!(status(&[("Origin", &own)], &with_token).await, 101);
}

#[tokio::test]
async fn a_client_that_breaks_the_rules_is_closed_with_the_code_for_it() {
    let server = start().await;
    let open = async || {
        let mut socket = server.open(&server.token("ana")).await;
        socket.hello(None).await;
        socket.next_of("snapshot").await;
        socket
    };
    use futures_util::SinkExt as _;
    let mut binary = open().await;
    binary.ws.send(Message::binary(vec![1, 2])).await.unwrap();
    assert_eq!(binary.closed().await, 1003);

    let mut giant = open().await;
    let _ = giant.ws.send(Message::text("x".repeat(70_000))).await;
    assert_eq!(giant.closed().await, 1009);

    let mut flood = open().await;
    for _ in 0..200 {
        if flood.ws.send(Message::text(r#"{"t":"ping"}"#)).await.is_err() {
            break;
        }
    }
    assert_eq!(flood.closed().await, 1008);

    let mut odd = open().await;
    let many: Vec<String> = (0..501).map(|n| format!("{n:016}")).collect();
    for frame in
        [json!({ "t": "shout" }), json!({ "t": "watch", "tasks": many, "logs": {} }), json!([])]
    {
        odd.say(frame).await;
        assert_eq!(odd.next_of("error").await["code"], "bad_request");
    }
    odd.until_pong().await;
}

#[tokio::test]
async fn one_user_has_so_many_sockets_and_no_more() {
    let mut config = support::config();
    config.limits.sockets_per_user_max = 2;
    let server = start_with(config).await;
    let bearer = format!("Bearer {}", server.token("ana"));
    let first = server.open(&server.token("ana")).await;
    let _second = server.open(&server.token("ana")).await;
    let third = server.open_with(&[("Authorization", &bearer)], "tt.v1").await;
    let Err(WsError::Http(answer)) = third else { panic!("a refusal") };
    assert_eq!(
        (answer.status().as_u16(), answer.headers().contains_key("retry-after")),
        (429, true)
    );
    let _other = server.open(&server.token("bob")).await;
    drop(first);
    let again = timeout(SOON, async {
        while server.open_with(&[("Authorization", &bearer)], "tt.v1").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    again.await.expect("the place of a socket that has gone is free again");
}

#[tokio::test]
async fn a_drain_closes_sockets_with_1012_and_refuses_new_connections() {
    let server = start().await;
    let mut socket = server.open(&server.token("ana")).await;
    socket.hello(None).await;
    socket.next_of("snapshot").await;
    server.stop.cancel();
    assert_eq!(socket.closed().await, 1012);
    timeout(SOON, server.ended).await.expect("the drain ends").unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(server.addr).await.is_err());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_as_too_slow_and_others_do_not_notice() {
    let server = start().await;
    let mut slow = server.open(&server.token("ana")).await;
    slow.hello(None).await;
    let mut quick = server.open(&server.token("ana")).await;
    quick.hello(None).await;
    quick.next_of("snapshot").await;
    // More than the kernel keeps for a connection: large entries, and nobody reads the first.
    let (mut sent, began) = (0_u64, Instant::now());
    let mut worst = Duration::ZERO;
    while began.elapsed() < Duration::from_secs(13) {
        let tasks: Vec<_> = (0..128).map(|_| server.new_task("ana")).collect();
        let at = Instant::now();
        let batch = tasktonic_core::command::Submit { created_ms: 1, tasks };
        server.store.submit(partition_of(&user("ana"), support::PARTITIONS), batch).await.unwrap();
        sent += 1;
        let event = quick.next_of("events").await;
        worst = worst.max(at.elapsed());
        assert_eq!(event["seq"].as_u64(), Some(sent), "the quick one misses nothing");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(worst < Duration::from_secs(2), "the quick one waited {worst:?}");
    assert_eq!(slow.closed().await, 1013);
}

#[tokio::test]
async fn a_socket_asks_for_the_right_to_read_tasks_also_when_its_token_is_renewed() {
    let server = start().await;
    server.submit("ana").await;
    let blind = server.scoped("ana", &["tasks:submit"]);
    let worker = server.identity.mint("ana", tasktonic_auth::Role::Worker, 600).unwrap();
    for token in [&blind, &worker] {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        assert_eq!(server.ask("GET", "/api/v1/tasks", &headers, "").await.code(), "forbidden");
        let Err(WsError::Http(answer)) = server.open_with(&headers, "tt.v1").await else {
            panic!("a refusal")
        };
        assert_eq!(answer.status(), 403);
    }
    let mut socket = server.open(&server.scoped("ana", &["tasks:read"])).await;
    socket.hello(None).await;
    assert_eq!(socket.next_of("snapshot").await["tasks"].as_array().unwrap().len(), 1);
    for token in [&blind, &worker] {
        socket.say(json!({ "t": "auth", "token": token })).await;
        assert_eq!(socket.next_of("error").await["code"], "forbidden");
    }
}

#[tokio::test]
async fn a_socket_that_never_says_hello_is_closed() {
    let server = start().await;
    let mut socket = server.open(&server.token("ana")).await;
    let began = Instant::now();
    assert_eq!(socket.closed().await, 1008);
    assert!(began.elapsed() > Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_socket_whose_client_is_gone_without_a_word_is_closed_after_a_ping() {
    let server = start().await;
    let mut gone = server.open(&server.token("ana")).await;
    gone.hello(None).await;
    gone.next_of("snapshot").await;
    // Nobody reads, so nobody answers the ping. Time passes as fast as all who wait allow.
    tokio::time::pause();
    tokio::time::sleep(Duration::from_millis(tasktonic_protocol::frames::HEARTBEAT_MS) * 5 / 2)
        .await;
    tokio::time::resume();
    assert_eq!(gone.closed().await, 1008);
    let figures = server.ask("GET", "/metrics", &[], "").await.body;
    assert!(figures.contains("tasktonic_sockets 0"), "{figures}");
}
