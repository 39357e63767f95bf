//! Waiting for the end of a task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use serde_json::json;
use tasktonic_core::command::{Control, Submit, Sync as SyncCommand};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{UserId, WorkerId};
use tasktonic_each_store::{On, Opened, on_each_store};
use tasktonic_server::Limits;
use tasktonic_store::clock::Clock;
use tasktonic_store::{
    Durability, EventStream, Query, QueryReply, Registry, Result, Store, SyncReply, UserEvent,
    WakeStream,
};

use crate::support::{Site, ack};

/// How long anything may take that should happen at once.
const SOON: Duration = Duration::from_secs(10);

on_each_store! {
    a_wait_is_answered_when_the_task_ends_and_not_before
    a_wait_whose_time_is_over_answers_the_task_as_it_is
    a_wait_looks_at_the_record_when_its_task_changes_and_at_no_other_time
}

/// A store that counts how often its record is read.
struct Counted {
    inner: Arc<dyn Store>,
    reads: AtomicU64,
}

#[async_trait]
impl Store for Counted {
    async fn submit(&self, p: PartitionId, batch: Submit) -> Result<Vec<Submitted>> {
        self.inner.submit(p, batch).await
    }

    async fn sync(&self, p: PartitionId, request: SyncCommand) -> Result<SyncReply> {
        self.inner.sync(p, request).await
    }

    async fn control(&self, p: PartitionId, control: Control) -> Result<Vec<Controlled>> {
        self.inner.control(p, control).await
    }

    async fn read(&self, p: PartitionId, query: Query) -> Result<QueryReply> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.read(p, query).await
    }

    fn wakes(&self, worker: &WorkerId) -> WakeStream {
        self.inner.wakes(worker)
    }

    fn events(&self, user: &UserId) -> EventStream {
        self.inner.events(user)
    }

    fn partitions(&self) -> u16 {
        self.inner.partitions()
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn registry(&self) -> &dyn Registry {
        self.inner.registry()
    }
}

async fn a_wait_is_answered_when_the_task_ends_and_not_before(on: On) {
    let site = Arc::new(Site::over(on).await);
    let id = site.echo("ana").await;
    let path = format!("/api/v1/tasks/{id}/wait");
    let short = site.get("ana", &format!("{path}?timeout_ms=0")).await.expect(200);
    assert_eq!(short["status"], "queued");
    let waiting = tokio::spawn({
        let (site, path) = (site.clone(), format!("{path}?timeout_ms=50000"));
        async move { site.get("ana", &path).await.expect(200) }
    });
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    assert!(!waiting.is_finished());
    assert!(site.report("w-1", &lease, ack(n)).await);
    let ended = tokio::time::timeout(SOON, waiting).await.expect("it ends");
    assert_eq!(ended.unwrap()["status"], "completed");
    let at_once = site.get("ana", &path).await.expect(200);
    assert_eq!(at_once["status"], "completed");
}

/// A server over a store that counts, what the store is on, and a task of ana's that runs: its id, its
/// lease and its count of writes. All that happened to it so far has been told.
async fn running(on: On) -> (Arc<Site>, Arc<Counted>, Opened, (String, String, u64)) {
    let (clock, hand) = Clock::manual(1_700_000_000_000);
    let under = on.open_at(clock.clone(), crate::PARTITIONS).await;
    let store = Arc::new(Counted { inner: under.store.clone(), reads: AtomicU64::new(0) });
    let site = Arc::new(Site::on(store.clone(), clock, hand, Limits::default()).await);
    let mut events = store.events(&UserId::encode("ana"));
    if is_elsewhere(on) {
        assert_eq!(events.next().await, Some(UserEvent::Lagged), "it listens");
    }
    let id = site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    for _ in ["queued", "running"] {
        let told = tokio::time::timeout(SOON, events.next()).await.expect("it is told");
        assert!(matches!(told, Some(UserEvent::Logged { text, .. }) if text.contains(&id)));
    }
    (site, store, under, (id, lease, n))
}

/// Whether it has to begin to listen before it hears.
fn is_elsewhere(on: On) -> bool {
    !matches!(on, On::Model | On::Embedded)
}

async fn a_wait_whose_time_is_over_answers_the_task_as_it_is(on: On) {
    let (site, store, _under, (runs, lease, n)) = running(on).await;
    let later = json!({ "kind": "echo", "payload": 1, "delay_ms": 3_600_000 });
    let later = site.submit("ana", later).await["id"].as_str().unwrap().to_owned();
    let waits = site.echo("ana").await;
    let before = store.reads.load(Ordering::SeqCst);
    let wait = |id: &String, timeout_ms: u64| {
        let (site, path) =
            (site.clone(), format!("/api/v1/tasks/{id}/wait?timeout_ms={timeout_ms}"));
        tokio::spawn(async move {
            let since = Instant::now();
            let answer = site.get("ana", &path).await;
            (since.elapsed().as_millis(), answer.expect(200))
        })
    };
    let held = [wait(&later, 300), wait(&waits, 300), wait(&runs, 2_000)];
    while store.reads.load(Ordering::SeqCst) < before + 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Said while it is waited for: what is answered is of the end of the wait, not of its beginning.
    let body = r#""p":{"done":1,"total":3}"#;
    let said = json!({ "report": "progress", "write": { "n": n + 1, "body": body } });
    assert!(site.report("w-1", &lease, said).await);
    let expected = [(later, "scheduled", 300), (waits, "queued", 300), (runs, "running", 2_000)];
    for (held, (id, status, at_least_ms)) in held.into_iter().zip(expected) {
        let (took_ms, shown) = held.await.unwrap();
        let range = at_least_ms..at_least_ms + 10_000;
        assert!(range.contains(&took_ms), "{status} was answered after {took_ms} ms");
        assert_eq!(shown["status"], status);
        let read = site.get("ana", &format!("/api/v1/tasks/{id}")).await.expect(200);
        assert_eq!(shown, read, "as it is now");
    }
}

async fn a_wait_looks_at_the_record_when_its_task_changes_and_at_no_other_time(on: On) {
    let (site, store, _under, (id, lease, n)) = running(on).await;
    let reads = || store.reads.load(Ordering::SeqCst);
    let before = reads();
    let waiting = tokio::spawn({
        let site = site.clone();
        let path = format!("/api/v1/tasks/{id}/wait?timeout_ms=50000");
        async move { site.get("ana", &path).await.expect(200) }
    });
    // Time in which it could poll is what this test is about.
    tokio::time::sleep(Duration::from_secs(1)).await;
    // What was before a store listens has to be looked at once more.
    let looks = if is_elsewhere(on) { 2 } else { 1 };
    let looked = reads() - before;
    assert!((1..=looks).contains(&looked), "it looked {looked} times");
    let other = site.echo("ana").await;
    site.post("ana", &format!("/api/v1/tasks/{other}/cancel"), "").await.expect(200);
    let before_idle = reads();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(reads(), before_idle, "another task of its user is none of its business");
    assert!(!waiting.is_finished());
    assert!(site.report("w-1", &lease, ack(n)).await);
    let ended = tokio::time::timeout(SOON, waiting).await.expect("it ends");
    assert_eq!(ended.unwrap()["status"], "completed");
    assert_eq!(reads() - before_idle, 1, "one look, when it had ended");
}
