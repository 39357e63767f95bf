//! Damaged files: a torn tail costs nothing, anything else is refused and said.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use common::{P, copy, draft, open, options, submit};
use tasktonic_core::command::{Claim, Control, Op, Report, Sync, Write};
use tasktonic_core::settings::UserSettings;
use tasktonic_core::{TaskId, Text, UserId};
use tasktonic_store::{Error, Expect, Query, QueryReply, Store as _, StoredTask, Table};
use tasktonic_store_embedded::{EmbeddedStore, OpenError, Options};
use tasktonic_testkit::Scratch;

const USERS: [&str; 2] = ["ana", "ben"];

/// A store that folds only when it is closed.
fn lagging() -> Options {
    Options { fold_window_ms: 600_000, ..options() }
}

async fn submit_some(store: &EmbeddedStore, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let user = USERS[usize::try_from(number % 2).unwrap()];
        store.submit(P, submit(vec![draft(user, number)])).await.unwrap();
    }
}

fn len(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

async fn exist(store: &EmbeddedStore, numbers: std::ops::Range<u64>) -> usize {
    let id = |number: u64| {
        let new = draft(USERS[usize::try_from(number % 2).unwrap()], number);
        (new.user, new.task)
    };
    let query = Query::Exist { tasks: numbers.map(id).collect() };
    let QueryReply::Exist(there) = store.read(P, query).await.unwrap() else { panic!() };
    there.into_iter().filter(|there| *there).count()
}

#[tokio::test]
async fn a_log_cut_after_the_last_acknowledged_round_loses_nothing() {
    let scratch = Scratch::new();
    let (live, at_ack, at_end) = (scratch.join("live"), scratch.join("ack"), scratch.join("end"));
    let store = EmbeddedStore::open(&live, lagging()).unwrap();
    submit_some(&store, 0..20).await;
    copy(&live, &at_ack);
    submit_some(&store, 20..21).await;
    copy(&live, &at_end);
    store.abandon();
    let wal = "journal.db-wal";
    let (ack, end) = (len(&at_ack.join(wal)), len(&at_end.join(wal)));
    assert!(end > ack);
    for cut in (ack..end).step_by(211).chain([ack + 1, end - 1]) {
        let dir = scratch.join(format!("cut-{cut}"));
        copy(&at_end, &dir);
        std::fs::copy(at_ack.join("acked"), dir.join("acked")).unwrap();
        OpenOptions::new().write(true).open(dir.join(wal)).unwrap().set_len(cut).unwrap();
        let store = open(&dir).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        assert_eq!(exist(&store, 0..21).await, 20, "cut at {cut} of {ack}..{end}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_log_cut_before_it_is_refused_and_the_missing_rounds_are_named() {
    let scratch = Scratch::new();
    let (live, cut) = (scratch.join("live"), scratch.join("cut"));
    let store = EmbeddedStore::open(&live, lagging()).unwrap();
    submit_some(&store, 0..10).await;
    copy(&live, &cut);
    let whole = len(&cut.join("journal.db-wal"));
    submit_some(&store, 10..20).await;
    copy(&live, &cut);
    store.abandon();
    let wal = OpenOptions::new().write(true).open(cut.join("journal.db-wal")).unwrap();
    wal.set_len(whole).unwrap();

    let error = open(&cut).unwrap_err();
    let OpenError::Damaged { what, copy } = &error else { panic!("{error}") };
    assert_eq!(what, "the acknowledged rounds 11 to 20 are missing");
    assert_eq!(len(&copy.join("journal.db-wal")), whole);
    assert!(error.to_string().contains("--accept-older"));
    let OpenError::Damaged { copy: again, .. } = open(&cut).unwrap_err() else { panic!() };
    assert_eq!(*copy, again, "asking again changes nothing and makes no other copy");

    let store = EmbeddedStore::open(&cut, Options { accept_older: true, ..options() }).unwrap();
    assert_eq!(exist(&store, 0..20).await, 10);
    submit_some(&store, 30..31).await;
    store.close().await;
    let store = open(&cut).unwrap();
    assert_eq!((exist(&store, 0..20).await, exist(&store, 30..31).await), (10, 1));
    store.close().await;
}

#[tokio::test]
async fn a_round_missing_in_the_middle_is_refused_and_what_is_behind_it_never_comes_back() {
    let scratch = Scratch::new();
    let dir = scratch.join("data");
    let store = EmbeddedStore::open(&dir, lagging()).unwrap();
    submit_some(&store, 0..10).await;
    store.abandon();
    drop(store);
    let db = rusqlite::Connection::open(dir.join("journal.db")).unwrap();
    assert_eq!(db.execute("DELETE FROM rounds WHERE lsn IN (5, 6)", []).unwrap(), 2);
    drop(db);

    let error = open(&dir).unwrap_err();
    assert!(error.to_string().contains("rounds 5 to 6 are missing in the journal"), "{error}");
    for _ in 0..2 {
        let options = Options { accept_older: true, ..options() };
        let store = EmbeddedStore::open(&dir, options).unwrap();
        assert_eq!(exist(&store, 0..10).await, 4);
        store.abandon();
    }
    let store = open(&dir).unwrap();
    assert_eq!(exist(&store, 0..10).await, 4);
    submit_some(&store, 4..6).await;
    store.abandon();
    let store = open(&dir).unwrap();
    assert_eq!(exist(&store, 0..10).await, 6);
}

/// What was acknowledged, as it can be read.
type Kept = BTreeMap<(UserId, TaskId), StoredTask>;

async fn read_all(store: &EmbeddedStore, ids: &[(UserId, TaskId)]) -> Kept {
    let mut kept = Kept::new();
    for (user, task) in ids {
        let query = Query::Tasks { user: user.clone(), tasks: vec![*task] };
        let QueryReply::Tasks(mut tasks) = store.read(P, query).await.unwrap() else { panic!() };
        kept.insert((user.clone(), *task), tasks.pop().unwrap());
    }
    kept
}

/// Some life: tasks that wait, run and have ended; half in the tables, half in the journal.
/// Leaves them in `crashed` as a crash would and in `closed` after a close in order.
async fn make(scratch: &Scratch) -> Kept {
    let (live, crashed, closed) =
        (scratch.join("live"), scratch.join("crashed"), scratch.join("closed"));
    let mut ids = Vec::new();
    for half in [0..30_u64, 30..60] {
        let store = EmbeddedStore::open(&live, lagging()).unwrap();
        submit_some(&store, half.clone()).await;
        for number in half {
            let new = draft(USERS[usize::try_from(number % 2).unwrap()], number);
            ids.push((new.user, new.task));
        }
        let mut ops = Vec::new();
        for call in 1..3 {
            let request = Sync {
                worker: "w-1".parse().unwrap(),
                call,
                lease_ms: 60_000,
                ops: std::mem::take(&mut ops),
                claim: Some(Claim::new(vec!["mail".parse().unwrap()], 8)),
                woken: Vec::new(),
                park: false,
            };
            let reply = store.sync(P, request).await.unwrap();
            ops = reply
                .claimed
                .into_iter()
                .map(|held| Op {
                    lease: held.lease,
                    report: Report::Ack {
                        write: Write { n: 2, body: Text::from(r#""out":{"ok":1}"#), event: None },
                        keep_s: 86_400_000,
                    },
                })
                .collect();
        }
        store.registry().put(Table::Accounts, "ana", "secret".into(), Expect::Any).await.unwrap();
        if ids.len() == 60 {
            // The last claim answered before it was on disk.
            store.dump().await.unwrap();
            copy(&live, &crashed);
            store.close().await;
            copy(&live, &closed);
        } else {
            store.close().await;
        }
    }
    let store = open(&live).unwrap();
    let kept = read_all(&store, &ids).await;
    store.close().await;
    kept
}

/// What came of a flipped bit.
#[derive(Debug, Default)]
struct Seen {
    refused: u32,
    said_when_read: u32,
    harmless: u32,
}

async fn flip(from: &Path, to: &Path, file: &str, bit: u64, kept: &Kept, seen: &mut Seen) {
    let _ = std::fs::remove_dir_all(to);
    copy(from, to);
    let path = to.join(file);
    let damaged = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut byte = [0];
    damaged.read_exact_at(&mut byte, bit / 8).unwrap();
    byte[0] ^= 1 << (bit % 8);
    damaged.write_all_at(&byte, bit / 8).unwrap();
    drop(damaged);
    let store = match open(to) {
        Ok(store) => store,
        Err(_) => {
            seen.refused += 1;
            return;
        }
    };
    let mut said = false;
    for ((user, task), was) in kept {
        let query = Query::Tasks { user: user.clone(), tasks: vec![*task] };
        match store.read(P, query).await {
            Ok(QueryReply::Tasks(tasks)) => {
                assert_eq!(
                    tasks.first(),
                    Some(was),
                    "bit {bit} of {file}: {task} is not as it was"
                );
            }
            Ok(other) => panic!("{other:?}"),
            Err(Error::Unavailable(what)) => {
                assert!(what.contains("damaged") || what.contains("read"), "{what}");
                said = true;
            }
            Err(error) => panic!("bit {bit} of {file}: {error}"),
        }
    }
    match store.registry().get(Table::Accounts, "ana").await {
        Ok(Some(entry)) => assert_eq!(entry.value, "secret", "bit {bit} of {file}"),
        other => panic!("bit {bit} of {file}: {other:?}"),
    }
    store.abandon();
    if said {
        seen.said_when_read += 1;
    } else {
        seen.harmless += 1;
    }
}

#[tokio::test]
async fn a_flipped_bit_is_refused_or_said_and_never_hides_or_alters_a_task() {
    let scratch = Scratch::new();
    let kept = make(&scratch).await;
    assert!(kept.values().any(|task| task.state.as_deref().is_some_and(|s| s.contains("out"))));
    // A third state: the journal written back into its file, as under long load.
    let written = scratch.join("written");
    copy(&scratch.join("crashed"), &written);
    let db = rusqlite::Connection::open(written.join("journal.db")).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(db);

    let mut random = 7_u64;
    let cases = [
        ("crashed", "journal.db-wal", 120),
        ("crashed", "tasks.db", 60),
        ("written", "journal.db", 120),
        ("closed", "tasks.db", 120),
    ];
    for (state, file, flips) in cases {
        let from = scratch.join(state);
        let bits = len(&from.join(file)) * 8;
        let mut seen = Seen::default();
        for _ in 0..flips {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            let bit = (random >> 16) % bits;
            flip(&from, &scratch.join("flipped"), file, bit, &kept, &mut seen).await;
        }
        eprintln!("{state}/{file}, {bits} bits: {seen:?}");
        assert!(seen.refused + seen.said_when_read > 0, "{state}/{file}: nothing was noticed");
    }
}

#[tokio::test]
async fn files_of_every_form_open_with_all_that_is_in_them() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut forms = 0;
    for form in std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()) {
        if !form.is_dir() {
            continue;
        }
        forms += 1;
        let scratch = Scratch::new();
        copy(&form, scratch.path());
        let (clock, _) = tasktonic_store::clock::Clock::manual(1_700_000_000_000);
        let store = EmbeddedStore::open(scratch.path(), Options::new(clock)).unwrap();
        let dump = store.dump().await.unwrap();
        let records = |line: &&str| {
            ["d ", "t ", "o ", "a ", "key ", "count ", "weight "]
                .iter()
                .any(|word| line.starts_with(word))
        };
        let found: Vec<_> = dump.lines().filter(records).collect();
        let written = std::fs::read_to_string(form.join("records.txt")).unwrap();
        assert_eq!(found, written.lines().collect::<Vec<_>>(), "{}", form.display());
        let entry = store.registry().get(Table::Settings, "name").await.unwrap().unwrap();
        assert_eq!((entry.version, entry.value.as_str()), (2, "value-11"));
    }
    assert!(forms > 0);
}

#[tokio::test]
async fn a_store_of_form_1_opens_with_its_weights_and_goes_on() {
    let form = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/form-1");
    let scratch = Scratch::new();
    copy(&form, scratch.path());
    let db = rusqlite::Connection::open(scratch.join("tasks.db")).unwrap();
    let add = "INSERT INTO weights (queue, user, weight) SELECT 'mail', number, 3 FROM users";
    assert_eq!(db.execute(add, []).unwrap(), 1);
    drop(db);
    let (clock, _) = tasktonic_store::clock::Clock::manual(1_700_000_000_000);
    let open = || EmbeddedStore::open(scratch.path(), Options::new(clock.clone())).unwrap();
    let weigh = |queue: &str, weight| Control::User {
        queue: queue.parse().unwrap(),
        user: "ana".parse().unwrap(),
        settings: UserSettings { weight, ..UserSettings::default() },
    };
    let weights = |dump: String| -> Vec<String> {
        dump.lines().filter(|line| line.starts_with("weight ")).map(str::to_owned).collect()
    };

    let store = open();
    assert_eq!(weights(store.dump().await.unwrap()), ["weight mail ana = 3"]);
    store.control(P, weigh("media", 5)).await.unwrap();
    store.close().await;
    let store = open();
    let both = ["weight mail ana = 3", "weight media ana = 5"];
    assert_eq!(weights(store.dump().await.unwrap()), both);
    store.control(P, weigh("mail", 1)).await.unwrap();
    store.abandon();
    drop(store);
    let store = open();
    assert_eq!(weights(store.dump().await.unwrap()), ["weight media ana = 5"]);
    store.close().await;
}

#[test]
fn files_of_a_newer_version_are_refused() {
    for file in ["journal.db", "tasks.db"] {
        let scratch = Scratch::new();
        drop(open(scratch.path()).unwrap());
        let db = rusqlite::Connection::open(scratch.join(file)).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        drop(db);
        let error = open(scratch.path()).unwrap_err();
        assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
        assert!(error.to_string().contains("use the version that wrote it"), "{error}");
    }
}

#[test]
fn the_library_underneath_has_no_known_corruption_bug() {
    // Before 3.51.3 a reset of the write-ahead log could lose it.
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}
