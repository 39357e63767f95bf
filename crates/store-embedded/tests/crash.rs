//! Crashes: a killed process and a machine without power lose nothing that was acknowledged.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::{P, Said, draft, load, open, submit};
use tasktonic_core::command::{Claim, Sync};
use tasktonic_store::clock::Clock;
use tasktonic_store::{KillPoint, Store as _, SyncReply};
use tasktonic_store_embedded::{EmbeddedStore, Options};
use tasktonic_testkit::disk::Powered;
use tasktonic_testkit::{Process, Scratch, kill_point};

/// How long a process may take to start or to end.
const WITHIN: Duration = Duration::from_secs(30);

/// Numbers that look random and are the same in every run (splitmix64).
fn mixed(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 31)
}

#[tokio::test]
async fn kill_9_at_any_moment_loses_nothing_acknowledged() {
    let scratch = Scratch::new();
    let dir = scratch.join("data");
    let (mut all, mut kills_with_work) = (Said::default(), 0);
    for round in 0..50 {
        let mut process = Process::start(load(&dir).arg((10 + mixed(round) % 90).to_string()));
        process.line_with("ready", WITHIN);
        // Not a wait for something: the moment of the kill is what is tested.
        std::thread::sleep(Duration::from_millis(mixed(round + 1_000) % 150));
        process.crash();
        let said = Said::of(&process.output());
        kills_with_work += u32::from(!said.submitted.is_empty());
        all.submitted.extend(said.submitted);
        all.completed.extend(said.completed);
        if round % 10 == 9 {
            let store = open(&dir).unwrap();
            all.is_in(&store).await;
            store.close().await;
        }
    }
    assert!(kills_with_work > 25, "only {kills_with_work} kills hit a process at work");
    assert!(!all.completed.is_empty());
}

#[tokio::test]
async fn a_power_cut_at_any_moment_loses_nothing_acknowledged() {
    let mut cuts_with_work = 0;
    for round in 0..20 {
        let mut disk = Powered::new(32);
        let dir = disk.path().join("data");
        let mut process = Process::start(load(&dir).arg("60"));
        process.line_with("ready", WITHIN);
        std::thread::sleep(Duration::from_millis(20 + mixed(round + 77) % 400));
        let after = disk.cut(&mut process);
        process.wait(WITHIN);
        let said = Said::of(&process.output());
        cuts_with_work += u32::from(!said.submitted.is_empty());
        let store = open(&after.path().join("data")).unwrap();
        said.is_in(&store).await;
        store.close().await;
    }
    assert!(cuts_with_work > 10, "only {cuts_with_work} cuts hit a process at work");
}

#[tokio::test]
async fn a_crash_at_each_kill_point_loses_nothing_acknowledged() {
    use KillPoint::{
        StoreAfterCommit, StoreBeforeCommit, StoreBeforeTrim, StoreInCheckpoint, StoreInFold,
        StoreInMigration,
    };
    let points = [
        (StoreBeforeCommit, 40),
        (StoreAfterCommit, 40),
        (StoreInFold, 3),
        (StoreBeforeTrim, 3),
        (StoreInCheckpoint, 2),
        (StoreInCheckpoint, 6),
        (StoreInMigration, 2),
    ];
    for (point, nth) in points {
        let scratch = Scratch::new();
        let dir = scratch.join("data");
        let mut command = load(&dir);
        let mut process = Process::start(kill_point::at(command.arg("20"), point.name(), nth));
        let ended = process.wait(WITHIN);
        assert!(kill_point::killed(ended), "{} was not passed: {ended}", point.name());
        let said = Said::of(&process.output());
        let store = open(&dir).unwrap_or_else(|error| panic!("{}: {error}", point.name()));
        said.is_in(&store).await;
        store.close().await;
        // And once more, on what this start has made of it.
        let mut again = Process::start(&mut load(&dir));
        again.line_with("submitted", WITHIN);
    }
}

#[test]
fn a_second_process_is_refused_and_a_killed_one_gives_the_folder_back() {
    let scratch = Scratch::new();
    let dir = scratch.join("data");
    let mut first = Process::start(&mut load(&dir));
    first.line_with("ready", WITHIN);
    let mut second = Process::start(&mut load(&dir));
    let ended = second.wait(WITHIN);
    assert_eq!(ended.code(), Some(1));
    assert!(second.output().contains("in use by another process"), "{}", second.output());
    first.crash();
    let mut third = Process::start(&mut load(&dir));
    third.line_with("submitted", WITHIN);
}

/// One worker takes a task and is never heard of again, while the store crashes every other second;
/// the next takes one and goes on.
#[tokio::test]
async fn a_store_that_crashes_again_and_again_frees_what_a_dead_worker_had() {
    let scratch = Scratch::new();
    let (clock, hand) = Clock::manual(1_700_000_000_000);
    let start = || EmbeddedStore::open(scratch.path(), Options::new(clock.clone())).unwrap();
    let mut store = start();
    store.submit(P, submit(vec![draft("ana", 1), draft("ana", 2)])).await.unwrap();
    let dead = look(&store, "dead", 1, 1).await.claimed.remove(0);
    let (mut waited_ms, mut adopted) = (0, Vec::new());
    for call in 2.. {
        store.abandon();
        hand.advance(700);
        store = start();
        adopted.extend(look(&store, "w-2", call, 0).await.adopted);
        if !adopted.is_empty() {
            break;
        }
        hand.advance(900);
        adopted.extend(look(&store, "w-2", call + 100, 0).await.adopted);
        waited_ms += 1_600;
        assert!(waited_ms <= 12_000, "the lease of a dead worker outlives {call} crashes");
    }
    assert!(waited_ms >= 8_000, "lost after {waited_ms} ms");
    assert_eq!(adopted.len(), 1);
    assert_eq!((adopted[0].lease.task, adopted[0].lease.claim), (dead.lease.task, 2));
}

/// A look of a worker, which asks for `limit` tasks.
async fn look(store: &EmbeddedStore, worker: &str, call: u64, limit: u32) -> SyncReply {
    let request = Sync {
        worker: worker.parse().unwrap(),
        call,
        lease_ms: 10_000,
        ops: Vec::new(),
        claim: (limit > 0).then(|| Claim::new(vec!["mail".parse().unwrap()], limit)),
        woken: Vec::new(),
        park: false,
    };
    store.sync(P, request).await.unwrap()
}
