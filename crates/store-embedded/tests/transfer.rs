//! A store out into lines and in again: nothing is lost, nothing is half there.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::sync::Arc;

use async_trait::async_trait;
use tasktonic_store::clock::Clock;
use tasktonic_store::conformance::{Subject, differential};
use tasktonic_store::transfer::{Target as _, TransferError, export, import};
use tasktonic_store::{Expect, Registry as _, Store, Table};
use tasktonic_store_embedded::{EmbeddedStore, Import, OpenError, Options};
use tasktonic_testkit::Scratch;

struct Walker(Arc<EmbeddedStore>);

#[async_trait]
impl Subject for Walker {
    fn store(&self) -> Arc<dyn Store> {
        self.0.clone()
    }
    fn restarts(&self) -> bool {
        false
    }
    async fn restart(&mut self, _: bool) {}
    async fn dump(&self) -> String {
        self.0.dump().await.unwrap()
    }
}

/// A store after a walk of `steps`.
async fn walked(seed: u64, steps: u32) -> (Scratch, Clock, Arc<EmbeddedStore>) {
    let (clock, hand) = Clock::manual(1_700_000_000_000);
    let scratch = Scratch::new();
    let options = Options { fold_window_ms: 0, ..Options::new(clock.clone()) };
    let store = Arc::new(EmbeddedStore::open(scratch.path(), options).unwrap());
    differential(seed, steps, clock.clone(), hand, &mut Walker(store.clone())).await.unwrap();
    for n in 0..5 {
        let (key, value) = (format!("k{n}"), format!("{{\"n\":{n}}}"));
        store.put(Table::Settings, &key, value.clone(), Expect::Any).await.unwrap();
        store.put(Table::Settings, &key, value, Expect::Any).await.unwrap();
    }
    (scratch, clock, store)
}

async fn lines(store: &EmbeddedStore, now_ms: i64) -> Vec<u8> {
    let mut out = Vec::new();
    export(store, &mut out, now_ms, &mut |_| {}).await.unwrap();
    out
}

async fn read(lines: &[u8], dir: &std::path::Path) -> Result<(), TransferError> {
    import(&mut &lines[..], &mut Import::into(dir), &mut |_| {}).await.map(|_| ())
}

/// The lines of a dump that an import keeps: not whose turn it is, nor event numbers, nor how many
/// run and started just now: none runs, and a rate begins anew, as after a restart.
fn kept(dump: &str) -> Vec<&str> {
    let passing = [
        "epoch ",
        "ring ",
        "full ",
        "aside ",
        "credit ",
        "seq ",
        "runs ",
        "pace ",
        "throttled ",
        "time ",
        "share ",
        "charged ",
    ];
    dump.lines().filter(|line| !passing.iter().any(|start| line.starts_with(start))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_out_comes_back_in_and_goes_out_the_same() {
    for seed in 0..6 {
        let (_scratch, clock, store) = walked(seed, 250).await;
        let first = lines(&store, clock.now_ms()).await;
        let dump = store.dump().await.unwrap();

        let into = Scratch::new();
        read(&first, into.path()).await.unwrap();
        let copy = EmbeddedStore::open(into.path(), Options::new(clock.clone())).unwrap();
        assert!(copy.check().is_empty(), "seed {seed}: {:?}", copy.check());
        let copied = copy.dump().await.unwrap();

        // What nobody held is the same; what was held waits in front under the next claim.
        let (before, after) = (kept(&dump), kept(&copied));
        let held: Vec<String> = before
            .iter()
            .filter(|line| line.contains(" running c"))
            .map(|line| line.split(' ').take(3).collect::<Vec<_>>()[1..].join(" "))
            .collect();
        let of_held = |line: &&str| held.iter().any(|id| line.contains(id.as_str()));
        // Whose turn it is passes on where its holder was to stop, and that end is to be told.
        let passing = |line: &&str| {
            ["lane ", "count ", "bytes ", "line ", "leads "]
                .iter()
                .any(|start| line.starts_with(start))
        };
        let same = |lines: &[&str]| -> Vec<String> {
            let lines = lines.iter().filter(|line| !passing(line) && !of_held(line));
            lines.map(|line| line.replace(" holds true", "").replace(" holds false", "")).collect()
        };
        assert_eq!(same(&before), same(&after), "seed {seed}");
        assert!(!copied.contains(" running c"), "seed {seed}");

        // Out again, and in again: now equal to the last byte but for the head line.
        let second = lines(&copy, clock.now_ms()).await;
        let again = Scratch::new();
        read(&second, again.path()).await.unwrap();
        let third = EmbeddedStore::open(again.path(), Options::new(clock.clone())).unwrap();
        assert_eq!(kept(&third.dump().await.unwrap()), after, "seed {seed}");
        let epoch = |text: &str| text.lines().next().unwrap().to_owned();
        assert_ne!(epoch(&dump), epoch(&copied));
        let record = third.get(Table::Settings, "k3").await.unwrap().unwrap();
        assert_eq!((record.version, record.value.as_str()), (2, "{\"n\":3}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_cut_short_does_not_open_and_begins_anew() {
    let (_scratch, clock, store) = walked(7, 250).await;
    let whole = lines(&store, clock.now_ms()).await;
    let text = String::from_utf8(whole.clone()).unwrap();
    let all: Vec<&str> = text.lines().collect();
    let into = Scratch::new();
    for cut in [2, all.len() / 2, all.len() - 1] {
        let short = all[..cut].join("\n");
        let error = read(short.as_bytes(), into.path()).await.unwrap_err();
        assert!(matches!(error, TransferError::Line { .. }), "{error}");
        let refused = EmbeddedStore::open(into.path(), Options::new(clock.clone())).unwrap_err();
        assert!(matches!(refused, OpenError::HalfImported(_)), "{refused}");
    }
    // A line that is missing in the middle is noticed too.
    let mut holed = all.clone();
    holed.remove(all.iter().position(|line| line.starts_with("{\"line\":\"task\"")).unwrap());
    let error = read(holed.join("\n").as_bytes(), into.path()).await.unwrap_err();
    assert!(matches!(error, TransferError::Line { .. }), "{error}");

    read(&whole, into.path()).await.unwrap();
    let copy = EmbeddedStore::open(into.path(), Options::new(clock)).unwrap();
    assert!(!copy.dump().await.unwrap().is_empty());
    drop(copy);
    // Nothing is imported over something.
    let error = read(&whole, into.path()).await.unwrap_err();
    assert!(matches!(error, TransferError::Target(_)), "{error}");
}

#[tokio::test]
async fn other_texts_are_refused_before_anything_is_written() {
    let into = Scratch::new();
    for text in [
        "",
        "\n",
        "hello\n",
        "{\"line\":\"end\"}\n",
        "{\"line\":\"head\",\"v\":2,\"from\":\"x\",\"epoch\":1,\"at_ms\":0}\n",
    ] {
        let error = read(text.as_bytes(), &into.join("new")).await.unwrap_err();
        assert!(matches!(error, TransferError::Line { line: 1, .. }), "{text:?}: {error}");
    }
    assert!(!into.join("new").exists());
    let mut import = Import::into(into.join("new"));
    assert!(import.finish().await.is_err());
}
