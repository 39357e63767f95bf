//! After a user is erased and the store written anew, no file of it holds a byte of theirs.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::P;
use tasktonic_core::command::{Control, Gathers, Idempotency, NewTask, Node, Submit};
use tasktonic_core::reply::Controlled;
use tasktonic_core::{TaskId, UserId};
use tasktonic_store::clock::Clock;
use tasktonic_store::conformance::{Person, Scene, everything, whole};
use tasktonic_store::{Query, QueryReply, Store as _, TaskFilter};
use tasktonic_store_embedded::{EmbeddedStore, Options};
use tasktonic_testkit::Scratch;
use tasktonic_testkit::traces::{Found, Texts};

/// What only the erased user's records have.
const MARKS: [&str; 3] = ["erasable-person", "erasable-payload", "erasable-key"];

async fn submit(store: &EmbeddedStore, user: &str, mark: &str, from: u64, count: u64) {
    let user: UserId = user.parse().unwrap();
    let mut tasks = Vec::new();
    for number in from..from + count {
        let text = format!(
            r#"{{"v":1,"k":"mail","q":"mail","at":1,"max":2,"p":{{"{mark}-payload":{number}}}}}"#
        );
        let key = Idempotency::new(format!("{mark}-key-{number}"), 7, 3_600_000);
        tasks.push(NewTask {
            idempotency: Some(key),
            ..NewTask::new(user.clone(), TaskId::new(1, number), "mail".parse().unwrap(), text)
        });
    }
    for tasks in tasks.chunks(128) {
        let batch = Submit { created_ms: 1, tasks: tasks.to_vec() };
        store.submit(P, batch).await.unwrap();
    }
}

/// A flow with a hundred parts beside each other.
async fn flow(store: &EmbeddedStore, user: &str, text: &str) {
    let user: UserId = user.parse().unwrap();
    let node = |part: u64| Node {
        new: NewTask::new(user.clone(), TaskId::new(2, part), "mail".parse().unwrap(), text),
        part_of: (part > 0).then(|| TaskId::new(2, 0)),
        gathers: (part == 0).then_some(Gathers::Flow),
        after: Vec::new(),
    };
    let nodes = (0..100).map(node).collect();
    let control = Control::Flow { at_ms: 1, user: user.clone(), nodes };
    store.control(P, control).await.unwrap();
}

/// Files of the store that hold one of the marks.
fn traces(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for mark in MARKS {
            if bytes.windows(mark.len()).any(|window| window == mark.as_bytes()) {
                found.push(format!("{} holds {mark}", path.display()));
            }
        }
    }
    found
}

async fn erase(store: &EmbeddedStore, user: &str) {
    let user: UserId = user.parse().unwrap();
    loop {
        let control = Control::Erase { user: user.clone() };
        if store.control(P, control).await.unwrap() == [Controlled::Done] {
            break;
        }
    }
    store.compact().await.unwrap();
}

async fn count(store: &EmbeddedStore, user: &str) -> usize {
    let (user, filter) = (user.parse().unwrap(), TaskFilter::default());
    let query = Query::List { user, filter, cursor: None, limit: 200 };
    let QueryReply::List(page) = store.read(P, query).await.unwrap() else { panic!() };
    page.tasks.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_holds_a_byte_of_an_erased_user_and_the_others_are_all_there() {
    let folder = Scratch::new();
    let dir = folder.path().join("store");
    let open = || EmbeddedStore::open(&dir, Options::new(Clock::system())).unwrap();
    let store = open();
    submit(&store, "ben", "other", 0, 100).await;
    submit(&store, "erasable-person", "erasable", 1_000, 500).await;
    flow(&store, "erasable-person", "erasable").await;
    assert!(!traces(&dir).is_empty(), "the scan finds what is there");
    // What was folded into the tables before, and what is only in the journal.
    store.close().await;
    let store = open();
    submit(&store, "erasable-person", "erasable", 2_000, 300).await;
    erase(&store, "erasable-person").await;
    assert_eq!(traces(&dir), Vec::<String>::new(), "while it is open");
    // It goes on, and a crash right after loses nothing.
    submit(&store, "ben", "other", 500, 7).await;
    store.abandon();
    let store = open();
    assert_eq!(traces(&dir), Vec::<String>::new(), "after a crash");
    assert_eq!((count(&store, "ben").await, count(&store, "erasable-person").await), (107, 0));
    submit(&store, "erasable-person", "again", 5_000, 3).await;
    assert_eq!(count(&store, "erasable-person").await, 3, "who comes back is like anybody");
    store.close().await;
    let store = open();
    assert_eq!(store.check(), Vec::<String>::new());
    assert_eq!((count(&store, "ben").await, count(&store, "erasable-person").await), (107, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_used_while_it_is_written_anew() {
    let folder = Scratch::new();
    let dir = folder.path().join("store");
    let store = EmbeddedStore::open(&dir, Options::new(Clock::system())).unwrap();
    submit(&store, "erasable-person", "erasable", 0, 1_000).await;
    for round in 0..5 {
        let at = 10_000 + round * 100;
        tokio::join!(erase(&store, "erasable-person"), submit(&store, "ben", "other", at, 100));
        assert!(count(&store, "ben").await > 0);
    }
    assert_eq!(traces(&dir), Vec::<String>::new());
    assert_eq!(store.check(), Vec::<String>::new());
    store.close().await;
    let store = EmbeddedStore::open(&dir, Options::new(Clock::system())).unwrap();
    assert_eq!(count(&store, "ben").await, 200, "a page of the 500");
}

/// Of all that can be kept of anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_holds_a_byte_of_whoever_had_everything_and_the_other_is_whole() {
    let folder = Scratch::new();
    let dir = folder.path().join("store");
    let (clock, hand) = Clock::manual(1_700_000_000_000);
    let store = EmbeddedStore::open(&dir, Options::new(clock.clone())).unwrap();
    let store = Arc::new(store);
    let scene = Scene::new(store.clone(), hand);
    let people = [("beside", "others-text"), ("erasable-person", "erasable-text")];
    let [Person { user: other, .. }, person] =
        everything(&scene, &people).await.try_into().expect("as many as were asked for");
    let (had, before) = (whole(&*store, &person.user).await, whole(&*store, &other).await);
    assert!(had.tasks.len() > 200 && had.counts.values().all(|count| *count > 0));
    let traces = person.traces(&had);
    let texts = Texts::new(traces.clone());
    for text in &traces[..3] {
        assert!(!Texts::new([text]).in_files(&dir).is_empty(), "the scan finds {text}");
    }
    erase(&store, person.user.as_str()).await;
    assert_eq!(texts.in_files(&dir), Vec::<Found>::new());
    assert_eq!(before.differences(&whole(&*store, &other).await), Vec::<String>::new());
    assert_eq!(store.check(), Vec::<String>::new());
    store.close().await;
    drop((scene, store));
    let store = EmbeddedStore::open(&dir, Options::new(clock)).unwrap();
    assert_eq!(texts.in_files(&dir), Vec::<Found>::new(), "opened again");
    assert_eq!(before.differences(&whole(&store, &other).await), Vec::<String>::new());
    assert_eq!(whole(&store, &person.user).await.tasks.len(), 0);
}
