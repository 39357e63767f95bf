//! Whatever happens to the connection, a page ends up at what the record says.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use support::{Running, Socket, start, user};
use tasktonic_core::routing::partition_of;
use tasktonic_protocol::task::Task;
use tasktonic_store::{Query, QueryReply, Store as _, TaskFilter};

/// What a page knows: the rules of a client, in a few lines.
#[derive(Default)]
struct Page {
    cursor: Option<String>,
    epoch: u64,
    seq: u64,
    tasks: BTreeMap<String, (u64, String)>,
    resets: u32,
}

impl Page {
    fn know(&mut self, task: &Value) {
        let Some(id) = task["id"].as_str() else { return };
        let Some(rev) = task["rev"].as_u64() else { return };
        let status = task["status"].as_str().unwrap_or_default().to_owned();
        let known = self.tasks.entry(id.to_owned()).or_default();
        if rev > known.0 {
            *known = (rev, status);
        }
    }

    fn take(&mut self, frame: &Value) {
        match frame["t"].as_str() {
            Some("snapshot") => {
                self.epoch = frame["epoch"].as_u64().unwrap();
                self.seq = frame["seq"].as_u64().unwrap();
                self.cursor = frame["cursor"].as_str().map(ToOwned::to_owned);
                self.tasks.clear();
                for task in frame["tasks"].as_array().unwrap() {
                    self.know(task);
                }
            }
            Some("events") => {
                let seq = frame["seq"].as_u64().unwrap();
                assert_eq!(frame["epoch"].as_u64(), Some(self.epoch));
                assert_eq!(seq, self.seq + 1, "neither a gap nor a repeat on one connection");
                self.seq = seq;
                self.cursor = frame["cursor"].as_str().map(ToOwned::to_owned);
                for event in frame["events"].as_array().unwrap() {
                    self.know(&event["task"]);
                }
            }
            Some("progress") => {
                for patch in frame["patches"].as_array().unwrap() {
                    self.know(patch);
                }
            }
            Some("reset") => {
                self.resets += 1;
                self.cursor = None;
            }
            _ => {}
        }
    }
}

async fn work(server: Arc<Running>, tasks: u32) {
    for n in 0..tasks {
        server.submit("ana").await;
        if n % 3 == 0 {
            for lease in server.claim(2).await {
                server.progress(&lease, 1, 10).await;
                server.progress(&lease, 2, 20).await;
                server.ack(&lease, 3).await;
            }
        }
        if n % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
}

async fn truth(server: &Running) -> BTreeMap<String, (u64, String)> {
    let query =
        Query::List { user: user("ana"), filter: TaskFilter::default(), cursor: None, limit: 200 };
    let Ok(QueryReply::List(page)) =
        server.store.read(partition_of(&user("ana"), support::PARTITIONS), query).await
    else {
        panic!("a page")
    };
    let tasks = page.tasks.iter().map(|stored| {
        let id = stored.id.to_string();
        let state = stored.state.as_deref();
        let task =
            Task::from_stored(&id, &stored.descriptor, state, false, "memory", false).unwrap();
        (id, (task.rev, task.status.name().to_owned()))
    });
    tasks.collect()
}

async fn connect(server: &Running, page: &Page) -> Socket {
    let mut socket = server.open(&server.token("ana")).await;
    socket.hello(page.cursor.as_deref()).await;
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_disconnects_under_load_end_at_the_record_without_gap_or_repeat() {
    for seed in 0..12_u32 {
        let server = Arc::new(start().await);
        let mut page = Page::default();
        let load = tokio::spawn(work(server.clone(), 95));
        let mut dice = seed.wrapping_mul(2_654_435_761) | 1;
        let mut roll = |sides: u32| {
            dice ^= dice << 13;
            dice ^= dice >> 17;
            dice ^= dice << 5;
            dice % sides
        };
        while !load.is_finished() {
            let mut socket = connect(&server, &page).await;
            for _ in 0..roll(40) {
                if load.is_finished() {
                    break;
                }
                page.take(&socket.next().await.unwrap());
            }
        }
        load.await.unwrap();
        let expected = truth(&server).await;
        let mut socket = connect(&server, &page).await;
        // The pong comes after everything that the hello asked for.
        for frame in socket.until_pong().await {
            page.take(&frame);
        }
        assert_eq!(page.tasks, expected, "seed {seed}");
        assert_eq!(page.resets, 0, "nothing was older than the log, seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_between_subscription_and_snapshot_is_never_lost() {
    let server = Arc::new(start().await);
    for round in 0..60 {
        let load = tokio::spawn(work(server.clone(), 2));
        let mut page = Page::default();
        let mut socket = connect(&server, &page).await;
        load.await.unwrap();
        let expected = truth(&server).await;
        // Frames that are not numbered may come first; the last event is the end.
        while page.seq == 0
            || page.tasks.len() < expected.len().min(100)
            || behind(&page, &expected)
        {
            page.take(&socket.next().await.unwrap());
        }
        assert!(page.seq > 0, "round {round}");
        if expected.len() > 90 {
            break;
        }
    }
}

fn behind(page: &Page, expected: &BTreeMap<String, (u64, String)>) -> bool {
    expected.iter().any(|(id, known)| page.tasks.get(id) != Some(known))
}

#[tokio::test]
async fn a_cursor_older_than_the_log_gets_a_reset_and_a_snapshot() {
    let server = start().await;
    server.submit("ana").await;
    let mut page = Page::default();
    let mut socket = connect(&server, &page).await;
    while page.cursor.is_none() {
        page.take(&socket.next().await.unwrap());
    }
    drop(socket);
    for _ in 0..tasktonic_core::limits::EVENTS_KEPT_MAX + 5 {
        server.submit("ana").await;
    }
    let mut socket = connect(&server, &page).await;
    for frame in socket.until_pong().await {
        page.take(&frame);
    }
    assert_eq!((page.resets, page.tasks.len()), (1, 100));
}
