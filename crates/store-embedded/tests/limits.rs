//! Bounded memory, the folder and its refusals.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use common::{P, draft, open, options, submit};
use tasktonic_core::command::{Claim, Op, Report, Sync, Write};
use tasktonic_core::reply::Submitted;
use tasktonic_core::{Lease, Text};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Durability, Error, Held, Query, QueryReply, Store as _};
use tasktonic_store_embedded::{EmbeddedStore, OpenError, Options};
use tasktonic_testkit::disk::needs_root;
use tasktonic_testkit::{Scratch, wait};

async fn sync(store: &EmbeddedStore, call: u64, ops: Vec<Op>, limit: u32) -> Vec<Held> {
    let request = Sync {
        worker: "w-1".parse().unwrap(),
        call,
        lease_ms: 60_000,
        ops,
        claim: Some(Claim::new(vec!["mail".parse().unwrap()], limit)),
        woken: Vec::new(),
        park: false,
    };
    let reply = store.sync(P, request).await.unwrap();
    assert_eq!(reply.refused, Vec::<u32>::new());
    reply.claimed
}

fn ack(lease: Lease, keep_s: u32, output: &str) -> Op {
    let body = Text::from(format!(r#""out":"{output}""#));
    Op { lease, report: Report::Ack { write: Write { n: 2, body, event: None }, keep_s } }
}

#[tokio::test]
async fn the_texts_of_ended_tasks_leave_memory_and_can_still_be_read() {
    let scratch = Scratch::new();
    let options = Options { fold_window_ms: 0, ..options() };
    let store = EmbeddedStore::open(scratch.path(), options).unwrap();
    let large = "y".repeat(100_000);
    for number in 0..40 {
        let mut new = draft("ana", number);
        new.descriptor = Text::from(format!(r#"{{"k":"mail","at":1,"p":"{large}"}}"#));
        store.submit(P, submit(vec![new])).await.unwrap();
    }
    let held = sync(&store, 1, Vec::new(), 40).await;
    assert_eq!(held.len(), 40);
    assert!(store.memory_bytes() > 4_000_000, "live texts are at hand");
    let write = |output: &str| Some(Text::from(format!(r#""ho":{output}"#)));
    let ops = held
        .into_iter()
        .map(|held| {
            let mut op = ack(held.lease, 1_000_000_000, &large);
            if let Report::Ack { write: w, .. } = &mut op.report {
                w.event = write("true");
            }
            op
        })
        .collect();
    sync(&store, 2, ops, 1).await;
    wait::until("the texts to leave memory", Duration::from_secs(20), || {
        store.memory_bytes() < 200_000
    });
    let query = Query::Tasks { user: draft("ana", 7).user, tasks: vec![draft("ana", 7).task] };
    let QueryReply::Tasks(tasks) = store.read(P, query).await.unwrap() else { panic!() };
    assert!(tasks[0].descriptor.contains(&large));
    assert!(tasks[0].state.as_ref().unwrap().contains(&large));
}

#[tokio::test]
async fn above_its_memory_submits_are_refused_and_work_goes_on() {
    let scratch = Scratch::new();
    let (clock, hand) = Clock::manual(1_700_000_000_000);
    let options = Options { memory_bytes_max: 60_000, fold_window_ms: 0, ..Options::new(clock) };
    let store = EmbeddedStore::open(scratch.path(), options).unwrap();
    let mut accepted = 0;
    let refusal = loop {
        match store.submit(P, submit(vec![draft("ana", accepted)])).await {
            Ok(answers) => assert_eq!(answers, [Submitted::Accepted]),
            Err(error) => break error,
        }
        accepted += 1;
        assert!(accepted < 1_000, "it is never full");
    };
    assert_eq!(refusal, Error::Full);
    let held = sync(&store, 1, Vec::new(), 128).await;
    assert_eq!(held.len(), usize::try_from(accepted).unwrap());
    let ops = held.into_iter().map(|held| ack(held.lease, 0, "")).collect();
    sync(&store, 2, ops, 1).await;
    hand.advance(2_000);
    sync(&store, 3, Vec::new(), 1).await;
    let answers = store.submit(P, submit(vec![draft("ana", 5_000)])).await.unwrap();
    assert_eq!(answers, [Submitted::Accepted]);
}

#[tokio::test]
async fn heartbeats_are_written_once_a_second_at_most() {
    let scratch = Scratch::new();
    let (clock, hand) = Clock::manual(1_700_000_000_000);
    let store = EmbeddedStore::open(scratch.path(), Options::new(clock)).unwrap();
    store.submit(P, submit(vec![draft("ana", 1)])).await.unwrap();
    let held = sync(&store, 1, Vec::new(), 1).await;
    // The claim was answered before it was on disk.
    store.dump().await.unwrap();
    let mark = || std::fs::read(scratch.join("acked")).unwrap();
    let mut written = vec![mark()];
    for call in 2..12 {
        hand.advance(300);
        let op = Op { lease: held[0].lease.clone(), report: Report::Heartbeat };
        assert!(sync(&store, call, vec![op], 1).await.is_empty());
        store.dump().await.unwrap();
        written.push(mark());
    }
    written.dedup();
    assert_eq!(written.len(), 3, "the claim, and two of the three seconds since");
    let before = mark();
    sync(&store, 12, vec![ack(held[0].lease.clone(), 60, "")], 1).await;
    assert_ne!(mark(), before);
}

#[tokio::test]
async fn texts_are_read_from_the_tables_when_a_task_is_claimed_after_a_restart() {
    let scratch = Scratch::new();
    let store = open(scratch.path()).unwrap();
    store.submit(P, submit(vec![draft("ana", 1), draft("ben", 2)])).await.unwrap();
    store.close().await;
    assert!(matches!(
        store.submit(P, submit(vec![draft("ana", 9)])).await,
        Err(Error::Unavailable(_))
    ));
    let store = open(scratch.path()).unwrap();
    let held = sync(&store, 1, Vec::new(), 5).await;
    let texts: Vec<_> = held.iter().map(|held| held.descriptor.clone()).collect();
    assert_eq!(texts, [draft("ana", 1).descriptor, draft("ben", 2).descriptor]);
}

#[tokio::test]
async fn the_mode_that_does_not_sync_survives_a_restart_and_says_what_it_is() {
    let scratch = Scratch::new();
    let memory = || Options { durability: Durability::Memory, ..options() };
    let store = EmbeddedStore::open(scratch.path(), memory()).unwrap();
    assert_eq!(store.durability().name(), "memory");
    store.submit(P, submit(vec![draft("ana", 1)])).await.unwrap();
    store.abandon();
    let store = EmbeddedStore::open(scratch.path(), memory()).unwrap();
    assert_eq!(sync(&store, 1, Vec::new(), 5).await.len(), 1);
}

#[test]
fn only_the_owner_may_look_into_the_folder() {
    let scratch = Scratch::new();
    let dir = scratch.join("a/b/data");
    let store = open(&dir).unwrap();
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.clone()), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&dir).unwrap().map(Result::unwrap) {
        assert_eq!(mode(entry.path()), 0o600, "{:?}", entry.path());
        names.push(entry.file_name());
    }
    assert!(names.len() >= 5, "{names:?}");
    drop(store);
}

#[test]
fn a_folder_that_is_in_use_or_is_none_is_refused_with_what_to_do() {
    let scratch = Scratch::new();
    let dir = scratch.join("data");
    let store = open(&dir).unwrap();
    let error = open(&dir).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    drop(store);
    drop(open(&dir).unwrap());

    let link = scratch.join("link");
    std::os::unix::fs::symlink(&dir, &link).unwrap();
    assert!(matches!(open(&link).unwrap_err(), OpenError::Symlink(_)));
    let file = scratch.join("file");
    std::fs::write(&file, "x").unwrap();
    assert!(matches!(open(&file).unwrap_err(), OpenError::NotAFolder(_)));
    needs_root();
    let theirs = scratch.join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    std::os::unix::fs::chown(&theirs, Some(12_345), None).unwrap();
    let error = open(&theirs).unwrap_err();
    assert!(matches!(error, OpenError::NotOurs { owner: 12_345, .. }), "{error}");
}

/// A tmpfs with these options, unmounted when dropped.
struct Tmpfs(std::path::PathBuf);

impl Tmpfs {
    fn new(scratch: &Scratch, options: &str) -> Self {
        needs_root();
        let point = scratch.join("mnt");
        std::fs::create_dir(&point).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&point)
            .status();
        assert!(mounted.unwrap().success());
        Self(point)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_read_only_or_has_no_inodes_is_refused_with_what_to_do() {
    for (options, advice) in [("ro", "mount it writable"), ("nr_inodes=4", "inodes")] {
        let scratch = Scratch::new();
        let disk = Tmpfs::new(&scratch, options);
        let error = open(&disk.0.join("data")).unwrap_err();
        assert!(error.to_string().contains(advice), "{options}: {error}");
    }
}
