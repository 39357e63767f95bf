//! A disk that is full costs nobody an acknowledged task and heals by itself; a disk that fails
//! stops the process.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::{P, Said, draft, load_path, open, options, state_of, submit};
use tasktonic_core::Text;
use tasktonic_core::command::{Claim, Op, Report, Sync, Write};
use tasktonic_core::reply::Submitted;
use tasktonic_store::{Error, Query, QueryReply, Store as _, SyncReply};
use tasktonic_store_embedded::{EmbeddedStore, Options};
use tasktonic_testkit::disk::Small;
use tasktonic_testkit::{Process, Scratch};

const WITHIN: Duration = Duration::from_secs(60);

fn request(call: u64, ops: Vec<Op>, limit: u32) -> Sync {
    Sync {
        worker: "w-1".parse().unwrap(),
        call,
        lease_ms: 60_000,
        ops,
        claim: Some(Claim::new(vec!["mail".parse().unwrap()], limit)),
        woken: Vec::new(),
        park: false,
    }
}

fn acks(reply: &SyncReply) -> Vec<Op> {
    let ack = |held: &tasktonic_store::Held| Op {
        lease: held.lease.clone(),
        report: Report::Ack {
            write: Write { n: 2, body: Text::default(), event: None },
            keep_s: 1_000_000_000,
        },
    };
    reply.claimed.iter().map(ack).collect()
}

/// Submits until it is taken.
async fn submit_at_last(store: &EmbeddedStore, number: u64) {
    let taken = async {
        while store.submit(P, submit(vec![draft("ana", number)])).await
            != Ok(vec![Submitted::Accepted])
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WITHIN, taken).await.expect("there is space again");
}

async fn submit_until_refused(store: &EmbeddedStore, first: u64) -> u64 {
    for number in first.. {
        match store.submit(P, submit(vec![draft("ana", number)])).await {
            Ok(answers) => assert_eq!(answers, [Submitted::Accepted]),
            Err(error) => {
                assert_eq!(error, Error::DiskFull);
                return number;
            }
        }
        // The free space is asked a few times per second.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    unreachable!("the disk is small")
}

#[tokio::test]
async fn a_disk_that_fills_up_refuses_submits_keeps_reports_and_heals_without_a_restart() {
    let disk = Small::new(6 * 1024);
    let dir = disk.path().join("data");
    let options = Options { disk_reserve_bytes: 2 * 1024 * 1024, fold_window_ms: 10, ..options() };
    let store = Arc::new(EmbeddedStore::open(&dir, options).unwrap());
    submit_at_last(&store, 0).await;
    submit_at_last(&store, 1).await;
    let claimed = store.sync(P, request(1, Vec::new(), 2)).await.unwrap();
    let mut ops = acks(&claimed);
    let late = ops.pop().unwrap();

    // Little is left: submits are refused, a report may use the reserve.
    let next = submit_until_refused(&store, 10).await;
    let reply = store.sync(P, request(2, ops, 0)).await.unwrap();
    assert!(reply.refused.is_empty());

    // Nothing is left: the report waits in memory, others are answered meanwhile.
    let filler = disk.fill();
    let reporter = Arc::clone(&store);
    let waiting = tokio::spawn(async move { reporter.sync(P, request(3, vec![late], 0)).await });
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!waiting.is_finished(), "it is acknowledged and cannot be on disk");
    let refused = store.submit(P, submit(vec![draft("ana", 5_000)])).await;
    assert_eq!(refused, Err(Error::DiskFull));
    let heartbeat = store.sync(P, request(4, Vec::new(), 0));
    tokio::time::timeout(WITHIN, heartbeat).await.expect("answered").unwrap();

    drop(filler);
    let reply = tokio::time::timeout(WITHIN, waiting).await.expect("there is space").unwrap();
    assert!(reply.unwrap().refused.is_empty());
    store.close().await;
    drop(store);

    let store = open_roomy(&dir);
    for number in (0..2).chain(10..next) {
        let new = draft("ana", number);
        let state = state_of(&store, &new.user, new.task).await;
        if number < 2 {
            assert!(state.starts_with(r#"{"s":"completed""#), "task {number}: {state}");
        }
    }
    submit_at_last(&store, 6_000).await;
}

fn open_roomy(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, Options { disk_reserve_bytes: 0, ..options() }).unwrap()
}

#[tokio::test]
async fn without_a_reserve_a_round_that_does_not_fit_waits_and_is_kept_in_order() {
    let disk = Small::new(3 * 1024);
    let dir = disk.path().join("data");
    let store = Arc::new(open_roomy(&dir));
    submit_at_last(&store, 0).await;
    let filler = disk.fill();
    let submitter = Arc::clone(&store);
    let waiting =
        tokio::spawn(async move { submitter.submit(P, submit(vec![draft("ana", 1)])).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!waiting.is_finished(), "it is acknowledged and cannot be on disk");
    let refused = store.submit(P, submit(vec![draft("ana", 2)])).await;
    assert_eq!(refused, Err(Error::DiskFull));

    // A task that is on disk is handed out at once; one that is not waits for its submit.
    let sure = tokio::time::timeout(WITHIN, store.sync(P, request(1, Vec::new(), 1))).await;
    assert_eq!(sure.expect("answered").unwrap().claimed.len(), 1);
    let claimer = Arc::clone(&store);
    let unsure = tokio::spawn(async move { claimer.sync(P, request(2, Vec::new(), 1)).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!unsure.is_finished(), "a task is handed out that a crash would take back");

    drop(filler);
    let answers = tokio::time::timeout(WITHIN, waiting).await.expect("there is space").unwrap();
    assert_eq!(answers, Ok(vec![Submitted::Accepted]));
    let claimed = tokio::time::timeout(WITHIN, unsure).await.expect("there is space").unwrap();
    assert_eq!(claimed.unwrap().claimed[0].lease.task, draft("ana", 1).task);
    submit_at_last(&store, 3).await;
    store.abandon();
    let store = open_roomy(&dir);
    let held = Query::Held { worker: "w-1".parse().unwrap() };
    let QueryReply::Held(held) = store.read(P, held).await.unwrap() else { panic!() };
    let mut held: Vec<_> = held.iter().map(|held| held.lease.task).collect();
    held.sort();
    assert_eq!(held, [0, 1].map(|number| draft("ana", number).task));
    let reply = store.sync(P, request(3, Vec::new(), 9)).await.unwrap();
    let tasks: Vec<_> = reply.claimed.iter().map(|held| held.lease.task).collect();
    assert_eq!(tasks, [draft("ana", 3).task]);
}

/// Runs the load while `inject` makes system calls fail; asserts that it stops and that a start
/// finds all it acknowledged.
async fn stops_and_keeps(inject: &str) {
    let scratch = Scratch::new();
    let dir = scratch.join("data");
    let calls = inject.split(':').next().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    strace.args(["-e", &format!("inject={inject}")]).arg(load_path()).arg(&dir).arg("20");
    let mut process = Process::start(&mut strace);
    let ended = process.wait(WITHIN);
    let output = process.output();
    assert_eq!(ended.code(), Some(1), "{inject}: {output}");
    assert!(output.lines().any(|line| line.starts_with("failed the ")), "{inject}: {output}");
    let said = Said::of(&output);
    assert!(!said.submitted.is_empty(), "{inject}: it failed before it had work: {output}");
    let store = open(&dir).unwrap_or_else(|error| panic!("{inject}: {error}"));
    said.is_in(&store).await;
    store.close().await;
}

#[tokio::test]
async fn a_sync_that_fails_once_stops_the_process_and_nothing_acknowledged_is_lost() {
    for when in [60, 61, 90, 140] {
        stops_and_keeps(&format!("fdatasync,fsync:error=EIO:when={when}")).await;
    }
}

#[tokio::test]
async fn a_write_that_fails_stops_the_process_and_nothing_acknowledged_is_lost() {
    for when in [600, 1_201] {
        stops_and_keeps(&format!("pwrite64:error=EIO:when={when}+")).await;
    }
}
