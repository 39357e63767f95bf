//! Following a task over a socket that breaks in every way.

#![expect(clippy::unwrap_used, reason = "a test fails by it, helpers included")]

mod common;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::IntoResponse as _;
use axum::routing::{any, get};
use common::{ID, task};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tasktonic_client::{Client, Following, Token, Update};
use tasktonic_protocol::frames::{ClientFrame, close};

/// What the server does on one socket, after the hello.
#[derive(Clone)]
enum Line {
    Say(String),
    Close(u16),
    Break,
}

#[derive(Clone, Default)]
struct Script {
    sockets: Arc<Mutex<VecDeque<Vec<Line>>>>,
    hellos: Arc<Mutex<Vec<ClientFrame>>>,
    task: Arc<Mutex<VecDeque<String>>>,
    logs: Arc<Mutex<String>>,
}

impl Script {
    async fn start(&self, has_sockets: bool) -> Client {
        let (sockets, tasks, logs, waits) =
            (self.clone(), self.clone(), self.clone(), self.clone());
        let next = |script: &Script| {
            let mut tasks = script.task.lock();
            let now = if tasks.len() > 1 { tasks.pop_front() } else { tasks.front().cloned() };
            ([("content-type", "application/json")], now.unwrap())
        };
        let mut router = Router::new()
            .route("/api/v1/tasks/{id}", get(move |_: Path<String>| async move { next(&tasks) }))
            .route(
                "/api/v1/tasks/{id}/wait",
                get(move |_: Path<String>| async move { next(&waits) }),
            )
            .route(
                "/api/v1/tasks/{id}/logs",
                get(move |_: Path<String>| async move {
                    ([("content-type", "application/json")], logs.logs.lock().clone())
                }),
            );
        if has_sockets {
            let open = move |upgrade: WebSocketUpgrade| async move {
                let upgrade = upgrade.protocols(["tt.v1"]);
                upgrade.on_upgrade(move |socket| sockets.serve(socket)).into_response()
            };
            router = router.route("/ws", any(open));
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Client::new(&url, Some(Token::new("t"))).unwrap()
    }

    async fn serve(self, mut socket: WebSocket) {
        let Some(Ok(Message::Text(hello))) = socket.recv().await else { return };
        self.hellos.lock().push(serde_json::from_str(&hello).unwrap());
        let lines = self.sockets.lock().pop_front().expect("one more socket");
        for line in lines {
            match line {
                Line::Say(text) => socket.send(Message::text(text)).await.unwrap(),
                Line::Close(code) => {
                    let frame = CloseFrame { code, reason: "".into() };
                    let _ = socket.send(Message::Close(Some(frame))).await;
                    return;
                }
                Line::Break => return,
            }
        }
        while let Some(Ok(message)) = socket.recv().await {
            if let Message::Text(text) = message {
                self.hellos.lock().push(serde_json::from_str(&text).unwrap());
            }
        }
    }

    fn cursors(&self) -> Vec<Option<String>> {
        let of = |hello: &ClientFrame| match hello {
            ClientFrame::Hello { cursor, .. } => cursor.clone(),
            other => panic!("{other:?}"),
        };
        self.hellos.lock().iter().map(of).collect()
    }
}

fn snapshot(seq: u64, status: &str, rev: u64) -> Line {
    let task = task(ID, status, rev);
    Line::Say(format!(
        r#"{{"t":"snapshot","epoch":1,"seq":{seq},"cursor":"1-{seq}","tasks":[{task}],"counts":{{"all":1,"scheduled":0,"waiting":0,"queued":1,"running":0,"completed":0,"failed":0,"cancelled":0}}}}"#
    ))
}

fn patch(status: &str, rev: u64) -> String {
    let state = if status == "failed" { "dead" } else { status };
    format!(
        r#"{{"id":"{ID}","rev":{rev},"status":"{status}","state":"{state}","attempt":1,"progress":null,"error":null,"reason":null,"worker":null,"started_at":null,"ended_at":null,"updated_at":"2026-01-01T00:00:00.000Z","has_output":false}}"#
    )
}

fn event(seq: u64, status: &str, rev: u64) -> Line {
    let patch = patch(status, rev);
    Line::Say(format!(
        r#"{{"t":"events","epoch":1,"seq":{seq},"cursor":"1-{seq}","events":[{{"task":{patch}}}]}}"#
    ))
}

fn log(lines: &[u32]) -> Line {
    Line::Say(format!(r#"{{"t":"log","task":"{ID}","lines":{}}}"#, lines_of(lines)))
}

fn lines_of(lines: &[u32]) -> String {
    let line = |n: &u32| {
        format!(r#"{{"n":{n},"at":"2026-01-01T00:00:00.000Z","level":"info","text":"line {n}"}}"#)
    };
    format!("[{}]", lines.iter().map(line).collect::<Vec<_>>().join(","))
}

fn log_page(lines: &[u32]) -> String {
    let last = lines.last().copied().unwrap_or(0);
    format!(r#"{{"lines":{},"first":1,"last":{last},"capped":false}}"#, lines_of(lines))
}

/// Everything it says, in short words.
async fn all(mut following: Following) -> Vec<String> {
    let mut said = Vec::new();
    loop {
        let next = tokio::time::timeout(Duration::from_secs(20), following.next()).await;
        match next.unwrap_or_else(|_| panic!("no end after {said:?}")) {
            Some(Ok(Update::Now(task))) => said.push(task.status.name().to_owned()),
            Some(Ok(Update::Log(lines))) => said.extend(lines.iter().map(|l| l.n.to_string())),
            Some(Ok(Update::Reconnecting(_))) => said.push("~".into()),
            Some(Ok(Update::Ended(task))) => said.push(format!("{}!", task.status.name())),
            Some(Err(error)) => said.push(format!("error: {error}")),
            None => return said,
        }
    }
}

fn script(sockets: Vec<Vec<Line>>, tasks: &[(&str, u64)], lines: &[u32]) -> Script {
    let script = Script::default();
    *script.sockets.lock() = sockets.into();
    *script.task.lock() = tasks.iter().map(|(status, rev)| task(ID, status, *rev)).collect();
    *script.logs.lock() = log_page(lines);
    script
}

#[tokio::test]
async fn a_task_is_followed_to_its_end_with_every_line_once() {
    let lines = vec![
        snapshot(1, "queued", 1),
        event(2, "running", 2),
        log(&[1, 2]),
        log(&[2, 3]),
        event(3, "completed", 3),
    ];
    let script = script(vec![lines], &[("queued", 1), ("completed", 3)], &[1, 2, 3, 4]);
    let client = script.start(true).await;
    let said = all(client.follow(ID)).await;
    assert_eq!(said, ["queued", "running", "1", "2", "3", "completed", "4", "completed!"]);
    assert_eq!(script.cursors(), [None]);
}

#[tokio::test]
async fn a_line_that_is_cut_is_resumed_by_cursor() {
    let sockets = vec![
        vec![snapshot(1, "queued", 1), event(2, "running", 2), Line::Break],
        vec![Line::Close(close::RESTART)],
        vec![event(3, "completed", 3)],
    ];
    let script = script(sockets, &[("queued", 1), ("completed", 3)], &[]);
    let client = script.start(true).await;
    let said = all(client.follow(ID)).await;
    assert_eq!(said, ["queued", "running", "~", "~", "completed", "completed!"]);
    let cursor = Some("1-2".to_owned());
    assert_eq!(script.cursors(), [None, cursor.clone(), cursor]);
}

#[tokio::test]
async fn a_hole_makes_it_say_hello_again_and_shows_nothing_from_beyond_it() {
    let sockets = vec![vec![
        snapshot(1, "queued", 1),
        event(3, "running", 3),
        // What the second hello would bring.
        event(2, "running", 2),
        event(3, "completed", 4),
    ]];
    let script = script(sockets, &[("queued", 1), ("completed", 4)], &[]);
    let client = script.start(true).await;
    let said = all(client.follow(ID)).await;
    assert_eq!(said, ["queued", "running", "completed", "completed!"]);
    assert_eq!(script.cursors()[..2], [None, Some("1-1".to_owned())]);
}

#[tokio::test]
async fn a_stale_change_is_not_shown() {
    let sockets = vec![vec![
        snapshot(1, "running", 5),
        Line::Say(format!(r#"{{"t":"progress","epoch":1,"patches":[{}]}}"#, patch("queued", 4))),
        event(2, "completed", 6),
    ]];
    let script = script(sockets, &[("running", 5), ("completed", 6)], &[]);
    let said = all(script.start(true).await.follow(ID)).await;
    assert_eq!(said, ["running", "completed", "completed!"]);
}

#[tokio::test]
async fn a_token_that_is_over_ends_it_when_there_is_no_other() {
    let sockets = vec![vec![snapshot(1, "queued", 1), Line::Close(close::TOKEN_EXPIRED)]];
    let script = script(sockets, &[("queued", 1)], &[]);
    let said = all(script.start(true).await.follow(ID)).await;
    assert_eq!(said[0], "queued");
    assert!(said[1].contains("sign in again"), "{said:?}");
}

#[tokio::test]
async fn without_sockets_it_asks_instead() {
    let tasks = [("queued", 1), ("running", 2), ("completed", 3)];
    let script = script(vec![], &tasks, &[1]);
    let client = script.start(false).await;
    let said = all(client.follow(ID)).await;
    let said: Vec<_> = said.iter().filter(|word| *word != "~").collect();
    assert_eq!(said, ["queued", "running", "1", "completed", "completed!"]);
}

#[tokio::test]
async fn a_task_that_has_ended_is_told_at_once() {
    let script = script(vec![], &[("failed", 9)], &[1]);
    let said = all(script.start(true).await.follow(ID)).await;
    assert_eq!(said, ["failed", "1", "failed!"]);
}
