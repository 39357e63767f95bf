//! Files in a folder: kept whole or not at all, under their user, within their limits, and swept
//! when nothing uses them.

#![expect(clippy::unwrap_used, reason = "in tests and what only tests use")]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use tasktonic_core::{Lease, TaskId, UserId};
use tasktonic_files::{
    Content, Error, FileId, FileLimits, FileMeta, Files, KeptOutput, LEFTOVER_KEPT_MS,
    NAME_BYTES_MAX, NewFile, Swept, TASK_FILE_KEPT_MS, TaskFiles, UPLOAD_KEPT_MS, USE_KEPT_MS,
};
use tasktonic_testkit::Scratch;

/// What the clock of these tests says. Files of the folder have the machine's times, so it begins
/// there.
static NOW_MS: AtomicI64 = AtomicI64::new(0);

fn now_ms() -> i64 {
    let known = NOW_MS.load(Ordering::SeqCst);
    if known > 0 {
        return known;
    }
    let scratch = Scratch::new();
    std::fs::write(scratch.join("now"), "").unwrap();
    let at = scratch.join("now").metadata().unwrap().modified().unwrap();
    let at = at.duration_since(std::time::UNIX_EPOCH).unwrap();
    let at = i64::try_from(at.as_millis()).unwrap();
    NOW_MS.store(at, Ordering::SeqCst);
    at
}

const SMALL: FileLimits =
    FileLimits { file_bytes_max: 1_000, user_bytes_max: 2_500, user_files_max: 20 };

async fn open(scratch: &Scratch, limits: FileLimits) -> Files {
    let url = format!("file://{}", scratch.join("files").display());
    Files::open(&url, limits, now_ms).await.unwrap()
}

fn user(name: &str) -> UserId {
    UserId::encode(name)
}

fn new(name: &str) -> NewFile {
    NewFile { name: name.into(), media_type: None, task: None }
}

fn content(bytes: impl Into<Vec<u8>>) -> Content {
    let chunks: Vec<_> =
        bytes.into().chunks(400).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    Box::pin(stream::iter(chunks))
}

async fn all(content: Content) -> Vec<u8> {
    content.map_ok(|chunk| chunk.to_vec()).try_concat().await.unwrap()
}

async fn keep(files: &Files, name: &str, bytes: &[u8]) -> FileMeta {
    files.keep(&user("ana"), new(name), content(bytes)).await.unwrap()
}

/// Every file below the folder.
fn on_disk(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    found
}

#[tokio::test]
async fn a_user_is_erased_with_every_file_and_folder_and_nobody_else_is() {
    let scratch = Scratch::new();
    let files = open(&scratch, FileLimits::default()).await;
    let (ana, ben) = (UserId::encode("ana"), UserId::encode("ben"));
    let keep = async |user: &UserId, name: &str| {
        let content: Content = Box::pin(stream::iter([Ok(Bytes::from_static(b"content"))]));
        let new = NewFile { name: name.into(), media_type: None, task: None };
        files.keep(user, new, content).await.unwrap().id
    };
    let first = keep(&ana, "a.txt").await;
    files.attach(&ana, &first, TaskId::new(1, 1)).await.unwrap();
    keep(&ana, "b.txt").await;
    let bens = keep(&ben, "c.txt").await;
    assert_eq!(files.erase(&ana).await.unwrap(), 2);
    assert_eq!(files.erase(&ana).await.unwrap(), 0);
    assert!(matches!(files.meta(&ana, &first).await, Err(Error::NotFound)));
    files.meta(&ben, &bens).await.unwrap();
    let mut folders = vec![scratch.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            assert!(path.file_name().unwrap() != "ana", "not even a folder names them");
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    keep(&ana, "d.txt").await;
}

#[tokio::test]
async fn a_file_comes_back_as_it_went_in() {
    let scratch = Scratch::new();
    let files = open(&scratch, FileLimits::DEFAULT).await;
    let meta = keep(&files, "notes.txt", b"hello").await;
    assert_eq!((meta.name.as_str(), meta.size), ("notes.txt", 5));
    assert_eq!(meta.media_type, "text/plain");
    assert!(meta.is_inline_safe());
    let hex: String = Sha256::digest(b"hello").iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(meta.sha256, hex);
    let (read, bytes) = files.read(&user("ana"), &meta.id, None).await.unwrap();
    assert_eq!((read, all(bytes).await), (meta.clone(), b"hello".to_vec()));
    // As another process finds it.
    assert_eq!(open(&scratch, SMALL).await.meta(&user("ana"), &meta.id).await.unwrap(), meta);
    let root = scratch.join("files");
    assert_eq!(root.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn large_content_in_odd_chunks_survives_its_parts() {
    let scratch = Scratch::new();
    let files = open(&scratch, FileLimits::DEFAULT).await;
    let sizes = [1_usize, 5_000_000, 3_388_608, 7, 0, 9_000_000, 4_095, 2];
    let chunks: Vec<Bytes> = (0_u8..).zip(sizes).map(|(i, n)| vec![i; n].into()).collect();
    let expected = chunks.concat();
    let stream: Content = Box::pin(stream::iter(chunks.into_iter().map(Ok)));
    let meta = files.keep(&user("ana"), new("big"), stream).await.unwrap();
    assert_eq!(meta.size, expected.len() as u64);
    let (_, bytes) = files.read(&user("ana"), &meta.id, None).await.unwrap();
    assert!(all(bytes).await == expected);
    let (_, bytes) = files.read(&user("ana"), &meta.id, Some(8_388_600..8_388_620)).await.unwrap();
    assert_eq!(all(bytes).await, &expected[8_388_600..8_388_620]);
}

#[tokio::test]
async fn another_users_file_is_no_file() {
    let scratch = Scratch::new();
    let files = open(&scratch, SMALL).await;
    let meta = keep(&files, "a", b"x").await;
    let ben = user("ben");
    assert!(matches!(files.meta(&ben, &meta.id).await, Err(Error::NotFound)));
    assert!(matches!(files.read(&ben, &meta.id, None).await, Err(Error::NotFound)));
    assert!(matches!(files.delete(&ben, &meta.id).await, Err(Error::NotFound)));
    let task = TaskId::new(1, 1);
    assert!(matches!(files.attach(&ben, &meta.id, task).await, Err(Error::NotFound)));
    // A subject that is folded into its hash has a folder like any other.
    let odd = user("../../etc/passwd");
    let kept = files.keep(&odd, new("b"), content("y")).await.unwrap();
    assert_eq!(files.meta(&odd, &kept.id).await.unwrap().size, 1);
    let root = scratch.join("files");
    assert!(on_disk(&root).iter().all(|path| path.starts_with("ana/") || path.starts_with('~')));
}

#[tokio::test]
async fn nothing_is_left_of_a_file_that_is_too_large_or_breaks_off() {
    let scratch = Scratch::new();
    let files = open(&scratch, SMALL).await;
    let ana = user("ana");
    let refused = files.keep(&ana, new("a"), content(vec![0; 1_001])).await;
    assert!(matches!(refused, Err(Error::TooLarge { limit_bytes: 1_000 })));
    let broken = stream::iter([Ok(Bytes::from("x")), Err(std::io::Error::other("gone"))]);
    let refused = files.keep(&ana, new("a"), Box::pin(broken)).await;
    assert!(matches!(refused, Err(Error::Content(_))));
    assert_eq!(on_disk(&scratch.join("files")).len(), 0);
    // Nor is its space taken.
    keep(&files, "a", &[0; 1_000]).await;
    keep(&files, "b", &[0; 1_000]).await;
    keep(&files, "c", &[0; 500]).await;
}

#[tokio::test]
async fn the_quota_holds_with_any_number_of_uploads_at_once_and_after_a_restart() {
    let scratch = Scratch::new();
    let files = open(&scratch, SMALL).await;
    let uploads = (0..20).map(|i| {
        let files = files.clone();
        let name = format!("f{i}");
        async move { files.keep(&user("ana"), new(&name), content(vec![0; 400])).await }
    });
    let kept: Vec<_> = futures_util::future::join_all(uploads).await;
    let (kept, refused): (Vec<_>, Vec<_>) = kept.into_iter().partition(Result::is_ok);
    assert!(refused.iter().all(|r| matches!(r, Err(Error::Quota { limit_bytes: 2_500 }))));
    let bytes: u64 = kept.iter().map(|meta| meta.as_ref().unwrap().size).sum();
    assert!((1..=2_500).contains(&bytes), "{bytes}");
    keep_until_full(&files).await;

    let files = open(&scratch, SMALL).await;
    let refused = files.keep(&user("ana"), new("more"), content(vec![0; 400])).await;
    assert!(matches!(refused, Err(Error::Quota { .. })));
    files.keep(&user("ben"), new("mine"), content(vec![0; 400])).await.unwrap();
    let first = kept.into_iter().next().unwrap().unwrap();
    files.delete(&user("ana"), &first.id).await.unwrap();
    assert!(matches!(files.delete(&user("ana"), &first.id).await, Err(Error::NotFound)));
    keep(&files, "now", &vec![0; 400]).await;
}

async fn keep_until_full(files: &Files) {
    while files.keep(&user("ana"), new("fill"), content(vec![0; 400])).await.is_ok() {}
}

#[tokio::test]
async fn empty_files_have_their_limit_too_also_after_a_restart() {
    let scratch = Scratch::new();
    let files = open(&scratch, SMALL).await;
    let first = keep(&files, "0", b"").await;
    for n in 1..SMALL.user_files_max {
        keep(&files, &n.to_string(), b"").await;
    }
    let full = Error::TooMany { limit_files: SMALL.user_files_max }.to_string();
    for files in [files, open(&scratch, SMALL).await] {
        let refused = files.keep(&user("ana"), new("more"), content("")).await.unwrap_err();
        assert_eq!(refused.to_string(), full);
        files.keep(&user("ben"), new("mine"), content("")).await.unwrap();
    }
    let files = open(&scratch, SMALL).await;
    files.delete(&user("ana"), &first.id).await.unwrap();
    let broken = stream::iter([Err(std::io::Error::other("gone"))]);
    files.keep(&user("ana"), new("a"), Box::pin(broken)).await.unwrap_err();
    keep(&files, "a place that was given back", b"").await;
    files.keep(&user("ana"), new("more"), content("")).await.unwrap_err();
}

#[tokio::test]
async fn what_was_never_seen_does_not_widen_the_limit_when_it_is_swept() {
    let scratch = Scratch::new();
    let files = open(&scratch, SMALL).await;
    let kept = keep(&files, "kept", &[0; 1_000]).await;
    files.attach(&user("ana"), &kept.id, TaskId::new(1, 1)).await.unwrap();
    let second = keep(&files, "kept", &[0; 1_000]).await;
    files.attach(&user("ana"), &second.id, TaskId::new(1, 1)).await.unwrap();
    // An upload that was cut off between its content and what makes it visible.
    let lost = scratch.join(format!("files/ana/{}", FileId::from_bytes([9; 16])));
    std::fs::create_dir_all(&lost).unwrap();
    std::fs::write(lost.join("content"), [0; 1_000]).unwrap();
    let swept = sweep(&files, LEFTOVER_KEPT_MS + 10_000, &[TaskId::new(1, 1)]).await;
    assert_eq!((swept.leftovers, swept.bytes), (1, 1_000));
    let over = files.keep(&user("ana"), new("over"), content(vec![0; 600])).await;
    assert!(matches!(over, Err(Error::Quota { .. })), "{over:?}");
    keep(&files, "fits", &[0; 500]).await;
}

#[tokio::test]
async fn a_name_is_data_and_has_bounds() {
    let scratch = Scratch::new();
    let files = open(&scratch, SMALL).await;
    for name in ["../../x", "/etc/passwd", "a\\b", ".", "ü.png", &"x".repeat(NAME_BYTES_MAX)] {
        assert_eq!(keep(&files, name, b"x").await.name, name);
    }
    for name in ["", "a\nb", "a\0", "photo\u{202e}gnp.exe", &"x".repeat(NAME_BYTES_MAX + 1)] {
        let refused = files.keep(&user("ana"), new(name), content("x")).await;
        assert!(matches!(refused, Err(Error::Name { .. })), "{name:?}");
    }
    let words = |path: &String| {
        let last = path.rsplit('/').next().unwrap();
        last == "content" || last == "meta.json"
    };
    assert!(on_disk(&scratch.join("files")).iter().all(words));
}

#[tokio::test]
async fn the_holder_of_a_lease_reads_and_makes_files_of_its_user() {
    let scratch = Scratch::new();
    let files = open(&scratch, SMALL).await;
    let task = TaskId::new(1, 7);
    let lease: Lease = format!("q|ana|{task}|1|1|w.1").parse().unwrap();
    let through: Arc<dyn TaskFiles> = Arc::new(files.clone());
    let kept = through.keep(&lease, "out.csv", content("a,b\n")).await.unwrap();
    assert_eq!(kept.media_type, "text/csv");
    let (_, bytes) = through.read(&lease, &kept.id).await.unwrap();
    assert_eq!(all(bytes).await, b"a,b\n");
    let used = format!("ana/{}/uses/{task}", kept.id);
    assert!(on_disk(&scratch.join("files")).contains(&used));
}

async fn none_vain(kept: Vec<KeptOutput>) -> Result<Vec<bool>, Error> {
    Ok(vec![false; kept.len()])
}

/// Sweeps at `after_ms` from now, with these tasks in existence.
async fn sweep(files: &Files, after_ms: i64, living: &[TaskId]) -> Swept {
    let living = living.to_vec();
    let files = files.clone();
    // On a service of its own, as the server does it.
    tokio::spawn(async move {
        let exists = |asked: Vec<(UserId, TaskId)>| {
            let living = living.clone();
            async move { Ok(asked.iter().map(|(_, task)| living.contains(task)).collect()) }
        };
        files.sweep(now_ms() + after_ms, exists, none_vain).await.unwrap()
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_sweep_takes_what_nothing_uses_when_its_time_is_over() {
    let scratch = Scratch::new();
    let files = open(&scratch, SMALL).await;
    let ana = user("ana");
    let (living, gone) = (TaskId::new(1, 1), TaskId::new(1, 2));
    let used = keep(&files, "used", b"1").await;
    files.attach(&ana, &used.id, living).await.unwrap();
    files.attach(&ana, &used.id, gone).await.unwrap();
    let upload = keep(&files, "upload", b"22").await;
    let made = NewFile { task: Some(gone), ..new("made") };
    let made = files.keep(&ana, made, content("333")).await.unwrap();
    let there = async |meta: &FileMeta| files.meta(&ana, &meta.id).await.is_ok();

    let young = sweep(&files, USE_KEPT_MS - 10_000, &[living]).await;
    assert_eq!(young, Swept::default());
    let hour = TASK_FILE_KEPT_MS.max(USE_KEPT_MS) + 10_000;
    let swept = sweep(&files, hour, &[living]).await;
    assert_eq!((swept.uses, swept.files, swept.bytes), (2, 1, 3));
    assert!(there(&used).await && there(&upload).await && !there(&made).await);
    let swept = sweep(&files, UPLOAD_KEPT_MS + 10_000, &[living]).await;
    assert_eq!((swept.uses, swept.files, swept.bytes), (0, 1, 2));
    assert!(there(&used).await && !there(&upload).await);
    let swept = sweep(&files, UPLOAD_KEPT_MS + 10_000, &[]).await;
    assert_eq!((swept.uses, swept.files), (1, 1));
    assert_eq!(on_disk(&scratch.join("files")).len(), 0);
}

#[tokio::test]
async fn an_output_that_its_task_did_not_end_with_is_swept_and_the_one_it_has_is_not() {
    let scratch = Scratch::new();
    let files = open(&scratch, SMALL).await;
    let (ana, task) = (user("ana"), TaskId::new(1, 1));
    let stale = files.keep_output(&ana, task, 1, content("[1]")).await.unwrap();
    let whole = files.keep_output(&ana, task, 2, content("[22]")).await.unwrap();
    let own = NewFile { task: Some(task), ..new("output.json") };
    let own = files.keep(&ana, own, content("[333]")).await.unwrap();
    assert_eq!(
        (whole.name.as_str(), whole.media_type.as_str()),
        ("output.json", "application/json")
    );
    let sweep = async |after_ms, answers: Result<bool, ()>| {
        let (files, ana) = (files.clone(), ana.clone());
        let (stale, mut both) = (stale.id, vec![(1, stale.id), (2, whole.id)]);
        both.sort_by_key(|(_, file)| *file);
        tokio::spawn(async move {
            let is_vain = |kept: Vec<KeptOutput>| {
                for one in &kept {
                    assert_eq!((&one.user, one.task), (&ana, task));
                    assert!(both.contains(&(one.claim, one.file)), "no file of a handler: {one:?}");
                }
                let all = kept.iter().map(|one| one.file == stale).collect();
                let answer = answers.map(|all_told| if all_told { all } else { Vec::new() });
                async move { answer.map_err(|()| Error::Unavailable("down".into())) }
            };
            let there = async |tasks: Vec<_>| Ok(vec![true; tasks.len()]);
            files.sweep(now_ms() + after_ms, there, is_vain).await
        })
        .await
        .unwrap()
    };
    // Its end may still be on its way.
    assert_eq!(sweep(TASK_FILE_KEPT_MS - 10_000, Ok(true)).await.unwrap(), Swept::default());
    let later = TASK_FILE_KEPT_MS + 10_000;
    for nobody_knows in [Err(()), Ok(false)] {
        assert!(sweep(later, nobody_knows).await.is_err());
        files.meta(&ana, &stale.id).await.unwrap();
    }
    let swept = sweep(later, Ok(true)).await.unwrap();
    assert_eq!((swept.uses, swept.files, swept.bytes), (1, 1, 3));
    assert!(files.meta(&ana, &stale.id).await.is_err());
    for kept in [&whole, &own] {
        files.meta(&ana, &kept.id).await.unwrap();
    }
}

#[tokio::test]
async fn a_sweep_that_cannot_ask_removes_nothing() {
    let scratch = Scratch::new();
    let files = open(&scratch, SMALL).await;
    let made = NewFile { task: Some(TaskId::new(1, 1)), ..new("made") };
    let made = files.keep(&user("ana"), made, content("x")).await.unwrap();
    for answer in [Err(()), Ok(vec![])] {
        let exists = |_| {
            let answer = answer.clone();
            async { answer.map_err(|()| Error::Unavailable("down".into())) }
        };
        let failed = files.sweep(now_ms() + 10 * UPLOAD_KEPT_MS, exists, none_vain).await;
        assert!(matches!(failed, Err(Error::Unavailable(_))));
    }
    files.meta(&user("ana"), &made.id).await.unwrap();
}

#[tokio::test]
async fn what_a_killed_upload_left_is_never_seen_and_is_swept_after_a_day() {
    let scratch = Scratch::new();
    let files = open(&scratch, SMALL).await;
    let ana = user("ana");
    let kept = keep(&files, "kept", b"x").await;
    // Killed while the content came in, and killed between content and meta.
    let root = scratch.join("files");
    let (early, late) = (FileId::from_bytes([1; 16]), FileId::from_bytes([2; 16]));
    for (file, name) in [(early, "content#1"), (late, "content")] {
        std::fs::create_dir_all(root.join(format!("ana/{file}"))).unwrap();
        std::fs::write(root.join(format!("ana/{file}/{name}")), "half").unwrap();
        assert!(matches!(files.meta(&ana, &file).await, Err(Error::NotFound)));
        assert!(matches!(files.read(&ana, &file, None).await, Err(Error::NotFound)));
    }
    files.attach(&ana, &kept.id, TaskId::new(1, 1)).await.unwrap();
    let living = [TaskId::new(1, 1)];
    assert_eq!(sweep(&files, LEFTOVER_KEPT_MS - 10_000, &living).await, Swept::default());
    let swept = sweep(&files, LEFTOVER_KEPT_MS + 10_000, &living).await;
    assert_eq!((swept.leftovers, swept.files), (2, 0));
    let left = on_disk(&root);
    assert!(left.iter().all(|path| path.starts_with(&format!("ana/{}", kept.id))), "{left:?}");
    assert!(!root.join(format!("ana/{early}")).exists());
}

#[tokio::test]
async fn an_upload_that_is_dropped_halfway_leaves_nothing_to_be_seen() {
    let scratch = Scratch::new();
    let files = open(&scratch, FileLimits::DEFAULT).await;
    let chunks = stream::iter([Ok(Bytes::from(vec![0; 9_000_000]))]).chain(stream::pending());
    let ana = user("ana");
    let upload = files.keep(&ana, new("a"), Box::pin(chunks));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(300), upload).await.is_err());
    let root = scratch.join("files");
    let gone = tokio::task::spawn_blocking(move || {
        let within = std::time::Duration::from_secs(10);
        tasktonic_testkit::wait::until("the half to be removed", within, || {
            on_disk(&root).is_empty()
        });
    });
    gone.await.unwrap();
}

#[tokio::test]
async fn an_address_that_cannot_be_used_says_why() {
    for url in ["nonsense", "file://host/x", "gopher://x", "file:///proc/nothing/here"] {
        let refused = Files::open(url, SMALL, now_ms).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{url}");
    }
    let files = Files::open("memory:///", SMALL, now_ms).await.unwrap();
    let kept = keep(&files, "a", b"x").await;
    let (_, bytes) = files.read(&user("ana"), &kept.id, None).await.unwrap();
    assert_eq!(all(bytes).await, b"x");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_range_gives_what_there_is_of_it(
        bytes in proptest::collection::vec(any::<u8>(), 0..900), start in 0_u64..1_000, len in 0_u64..1_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let files = Files::open("memory:///", SMALL, now_ms).await.unwrap();
            let kept = keep(&files, "a", &bytes).await;
            let range = Some(start..start + len);
            let (_, read) = files.read(&user("ana"), &kept.id, range).await.unwrap();
            let (from, to) = (start.min(kept.size) as usize, (start + len).min(kept.size) as usize);
            assert_eq!(all(read).await, &bytes[from..to]);
        });
    }
}
