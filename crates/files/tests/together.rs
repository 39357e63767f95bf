//! Several processes over one folder: their limits are one limit, and none of them removes what
//! another has just put to use.

#![expect(clippy::unwrap_used, reason = "in tests and what only tests use")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use proptest::prelude::*;
use tasktonic_core::{TaskId, UserId};
use tasktonic_files::{Content, Error, FileId, FileLimits, Files, Ledger, NewFile, UPLOAD_KEPT_MS};
use tasktonic_testkit::Scratch;

/// Added to the time of these tests, which stands still otherwise.
static AHEAD_MS: AtomicI64 = AtomicI64::new(0);
/// Files of the folder have the machine's time, so the clock begins there.
static BEGAN_MS: AtomicI64 = AtomicI64::new(0);

fn now_ms() -> i64 {
    if BEGAN_MS.load(Ordering::SeqCst) == 0 {
        let scratch = Scratch::new();
        std::fs::write(scratch.join("now"), "").unwrap();
        let at = scratch.join("now").metadata().unwrap().modified().unwrap();
        let at = at.duration_since(std::time::UNIX_EPOCH).unwrap();
        BEGAN_MS.store(i64::try_from(at.as_millis()).unwrap(), Ordering::SeqCst);
    }
    BEGAN_MS.load(Ordering::SeqCst) + AHEAD_MS.load(Ordering::SeqCst)
}

const SMALL: FileLimits =
    FileLimits { file_bytes_max: 1_000, user_bytes_max: 2_500, user_files_max: 6 };

/// Records in memory, as a registry keeps them.
#[derive(Debug, Default)]
struct Table {
    records: Mutex<BTreeMap<String, (u64, String)>>,
    changes: AtomicU64,
}

#[async_trait]
impl Ledger for Table {
    async fn read(&self, user: &UserId) -> Result<Option<(u64, String)>, Error> {
        tokio::task::yield_now().await;
        Ok(self.records.lock().unwrap().get(user.as_str()).cloned())
    }

    async fn write(&self, user: &UserId, seen: Option<u64>, record: String) -> Result<bool, Error> {
        tokio::task::yield_now().await;
        let mut records = self.records.lock().unwrap();
        let known = records.get(user.as_str()).map(|(version, _)| *version);
        if known != seen {
            return Ok(false);
        }
        self.changes.fetch_add(1, Ordering::SeqCst);
        records.insert(user.to_string(), (known.unwrap_or(0) + 1, record));
        Ok(true)
    }
}

async fn open(scratch: &Scratch, ledger: &Arc<Table>, limits: FileLimits) -> Files {
    let url = format!("file://{}", scratch.join("files").display());
    let files = Files::open(&url, limits, now_ms).await.unwrap();
    files.share(ledger.clone());
    files
}

fn ana() -> UserId {
    UserId::encode("ana")
}

fn new() -> NewFile {
    NewFile { name: "a.bin".into(), media_type: None, task: None }
}

fn content(size: usize) -> Content {
    let chunks: Vec<_> = vec![7_u8; size].chunks(300).map(Bytes::copy_from_slice).collect();
    Box::pin(stream::iter(chunks.into_iter().map(Ok)))
}

/// Bytes and files of ana that can be seen in the folder.
fn seen(scratch: &Scratch) -> (u64, u64) {
    let (mut bytes, mut files) = (0, 0);
    for folder in std::fs::read_dir(scratch.join("files/ana")).into_iter().flatten().flatten() {
        if folder.path().join("meta.json").exists() {
            files += 1;
            bytes += folder.path().join("content").metadata().unwrap().len();
        }
    }
    (bytes, files)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Keep(usize),
    BreakOff(usize),
    Delete,
}

fn moves() -> impl Strategy<Value = Vec<(usize, Move)>> {
    let one = prop_oneof![
        4 => (0_usize..1_000).prop_map(Move::Keep),
        1 => (0_usize..1_000).prop_map(Move::BreakOff),
        2 => Just(Move::Delete),
    ];
    prop::collection::vec((0..3_usize, one), 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn three_processes_at_once_keep_one_limit_and_agree_in_the_end(moves in moves()) {
        runtime().block_on(async {
            let (scratch, ledger) = (Scratch::new(), Arc::new(Table::default()));
            let mut processes = Vec::new();
            for _ in 0..3 {
                processes.push(open(&scratch, &ledger, SMALL).await);
            }
            let kept: Arc<Mutex<Vec<FileId>>> = Arc::default();
            let mut running = tokio::task::JoinSet::new();
            for (at, step) in moves {
                let (files, kept) = (processes[at].clone(), kept.clone());
                running.spawn(async move {
                    match step {
                        Move::Keep(size) => match files.keep(&ana(), new(), content(size)).await {
                            Ok(meta) => kept.lock().unwrap().push(meta.id),
                            Err(Error::Quota { .. } | Error::TooMany { .. }) => {}
                            Err(other) => panic!("{other}"),
                        },
                        Move::BreakOff(size) => {
                            let begun = content(size);
                            let broken = stream::iter([Err(std::io::Error::other("gone"))]);
                            let all = futures_util::StreamExt::chain(begun, broken);
                            files.keep(&ana(), new(), Box::pin(all)).await.unwrap_err();
                        }
                        Move::Delete => {
                            let file = kept.lock().unwrap().pop();
                            if let Some(file) = file {
                                files.delete(&ana(), &file).await.unwrap();
                            }
                        }
                    }
                });
            }
            while let Some(done) = running.join_next().await {
                done.unwrap();
                let (bytes, files) = seen(&scratch);
                assert!(bytes <= SMALL.user_bytes_max && files <= SMALL.user_files_max);
            }
            // What broke off is noted a moment later; then exactly what is left fits.
            let (bytes, files) = seen(&scratch);
            let left = SMALL.user_bytes_max - bytes;
            if files < SMALL.user_files_max && left > 0 {
                let size = usize::try_from(left.min(SMALL.file_bytes_max)).unwrap();
                let mut tries = 0;
                while let Err(error) = processes[0].keep(&ana(), new(), content(size)).await {
                    tries += 1;
                    assert!(tries < 200, "{left} bytes are left, {error}");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_of_one_process_never_takes_what_another_puts_to_use() {
    let (scratch, ledger) = (Scratch::new(), Arc::new(Table::default()));
    let many = FileLimits { user_files_max: 1_000, user_bytes_max: 1 << 20, ..SMALL };
    let sweeper = open(&scratch, &ledger, many).await;
    let server = open(&scratch, &ledger, many).await;
    let (mut attached, mut refused) = (0, 0);
    for round in 0..40_u64 {
        let file = server.keep(&ana(), new(), content(10)).await.unwrap().id;
        let task = TaskId::new(1, round);
        // A day later nothing uses it, and at this very moment somebody begins to.
        let late = now_ms() + UPLOAD_KEPT_MS + 60_000;
        let sweep = tokio::spawn({
            let sweeper = sweeper.clone();
            async move {
                if round % 2 == 0 {
                    tokio::time::sleep(Duration::from_micros(700 * (round % 12))).await;
                }
                sweeper
                    .sweep(
                        late,
                        async |tasks| Ok(vec![true; tasks.len()]),
                        async |kept| Ok(vec![false; kept.len()]),
                    )
                    .await
                    .unwrap()
            }
        });
        if round % 2 == 1 {
            tokio::time::sleep(Duration::from_micros(300 * (round % 7))).await;
        }
        let outcome = server.attach(&ana(), &file, task).await;
        let swept = sweep.await.unwrap();
        match outcome {
            Ok(()) => {
                attached += 1;
                assert_eq!(swept.files, 0, "round {round}: it is in use");
                server.meta(&ana(), &file).await.expect("it is in use");
                server.delete(&ana(), &file).await.unwrap();
            }
            Err(Error::NotFound) => {
                refused += 1;
                // Both may have given way to each other. What then stays is not the next round's.
                match server.delete(&ana(), &file).await {
                    Ok(()) => assert_eq!(swept.files, 0, "round {round}: it was there"),
                    Err(Error::NotFound) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(attached > 0 && refused > 0, "both happen: {attached} and {refused}");
}

#[tokio::test]
async fn what_a_killed_process_announced_is_counted_anew_when_its_time_is_over() {
    let (scratch, ledger) = (Scratch::new(), Arc::new(Table::default()));
    let files = open(&scratch, &ledger, SMALL).await;
    let first = files.keep(&ana(), new(), content(1_000)).await.unwrap().id;
    // Another process was killed while two files came in and one went.
    let version = ledger.records.lock().unwrap()["ana"].0;
    let until = now_ms() + 50_000;
    let lost = format!(
        r#"{{"bytes":1000,"files":1,"coming":{{"a":{{"bytes":1200,"until_ms":{until}}}}},"going":{{"{first}":{until}}}}}"#
    );
    assert!(ledger.write(&ana(), Some(version), lost).await.unwrap());
    let refused = files.keep(&ana(), new(), content(1_000)).await;
    assert!(matches!(refused, Err(Error::Quota { .. })), "{refused:?}");
    assert!(matches!(files.attach(&ana(), &first, TaskId::new(1, 1)).await, Err(Error::NotFound)));
    AHEAD_MS.store(60_000, Ordering::SeqCst);
    files.attach(&ana(), &first, TaskId::new(1, 1)).await.unwrap();
    files.keep(&ana(), new(), content(1_000)).await.unwrap();
    AHEAD_MS.store(0, Ordering::SeqCst);
}

#[tokio::test]
async fn what_was_kept_before_there_was_a_ledger_counts() {
    let scratch = Scratch::new();
    let url = format!("file://{}", scratch.join("files").display());
    let before = Files::open(&url, SMALL, now_ms).await.unwrap();
    for _ in 0..2 {
        before.keep(&ana(), new(), content(1_000)).await.unwrap();
    }
    let ledger = Arc::new(Table::default());
    let files = open(&scratch, &ledger, SMALL).await;
    let refused = files.keep(&ana(), new(), content(600)).await;
    assert!(matches!(refused, Err(Error::Quota { .. })), "{refused:?}");
    files.keep(&ana(), new(), content(500)).await.unwrap();
    assert!(ledger.changes.load(Ordering::SeqCst) <= 8, "a few records for each file");
}
