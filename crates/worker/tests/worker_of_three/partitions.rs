//! What several partitions ask of a worker: each is served, and none that is slow or away keeps
//! the places that another's work is waiting for.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tasktonic_core::command::{Control, Submit, Sync as SyncCommand};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{UserId, WorkerId};
use tasktonic_store::clock::Clock;
use tasktonic_store::model::ModelStore;
use tasktonic_store::{
    Durability, Error, EventStream, Query, QueryReply, Registry, Result, Store, SyncReply,
    WakeStream,
};
use tasktonic_worker::Settings;
use tokio::sync::Semaphore;

use super::stage::{Draft, Stage, draft, handler, settings, start, worker};
use crate::PARTITIONS;

/// What is wrong with one partition.
const NONE: u16 = u16::MAX;

/// Checks where operations are sent; one of its partitions may hang, or be away.
struct Watched {
    inner: ModelStore,
    /// Syncs of this one get no answer.
    hangs: AtomicU16,
    /// Syncs of this one fail.
    away: AtomicU16,
    syncs: AtomicU32,
}

impl Watched {
    fn new() -> Arc<Self> {
        let inner = ModelStore::with_partitions(Clock::system(), PARTITIONS);
        let (hangs, away) = (AtomicU16::new(0), AtomicU16::new(NONE));
        Arc::new(Self { inner, hangs, away, syncs: AtomicU32::new(0) })
    }
}

#[async_trait]
impl Store for Watched {
    async fn submit(&self, p: PartitionId, batch: Submit) -> Result<Vec<Submitted>> {
        self.inner.submit(p, batch).await
    }

    async fn sync(&self, p: PartitionId, request: SyncCommand) -> Result<SyncReply> {
        for op in &request.ops {
            assert_eq!(partition_of(&op.lease.user, PARTITIONS), p, "sent to its partition");
        }
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) & (1 << p.0) != 0 {
            return std::future::pending().await;
        }
        if self.away.load(Ordering::SeqCst) == p.0 {
            return Err(Error::Unavailable("this part of it is down".into()));
        }
        self.inner.sync(p, request).await
    }

    async fn control(&self, p: PartitionId, control: Control) -> Result<Vec<Controlled>> {
        self.inner.control(p, control).await
    }

    async fn read(&self, p: PartitionId, query: Query) -> Result<QueryReply> {
        self.inner.read(p, query).await
    }

    fn wakes(&self, worker: &WorkerId) -> WakeStream {
        self.inner.wakes(worker)
    }

    fn events(&self, user: &UserId) -> EventStream {
        self.inner.events(user)
    }

    fn partitions(&self) -> u16 {
        PARTITIONS
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }

    fn registry(&self) -> &dyn Registry {
        self.inner.registry()
    }
}

const USERS: [&str; 12] =
    ["ana", "ben", "cem", "dee", "eva", "flo", "gus", "hal", "ida", "jon", "kim", "leo"];

/// A user of partition `p`.
fn user_of(p: u16) -> &'static str {
    let of_p = |user: &&&str| partition_of(&UserId::encode(user), PARTITIONS).0 == p;
    USERS.iter().find(of_p).expect("twelve users are in all partitions")
}

#[tokio::test]
async fn every_partition_is_served_and_never_more_runs_than_the_worker_may() {
    let stage = Stage::on(Watched::new());
    let places = Arc::new(Semaphore::new(2));
    let work = handler("work", move |_, _| {
        let free = places.clone().try_acquire_owned().expect("at most two at once");
        async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            drop(free);
            Ok(json!(0))
        }
    });
    let two = Settings { concurrency: 2, ..settings() };
    let _running = start(worker(stage.store.clone(), "w-1", two, vec![work]));
    // Twice: the second time it is idle and must be woken, whichever partition it is.
    for _ in 0..2 {
        let mut tasks = Vec::new();
        for user in USERS.into_iter().cycle().take(36) {
            tasks.push(stage.submit(Draft { user, attempts_max: 1, ..draft("work") }).await);
        }
        for task in &tasks {
            stage.wait(task, "completed").await;
        }
    }
}

/// How the only place of a worker went round among partitions, from the start until one of them had no
/// more to do: each has as many tasks, which take so long.
async fn went_round(tasks_each: usize, for_ms: u64) -> Vec<u16> {
    let stage = Stage::on(Watched::new());
    let order: Arc<Mutex<Vec<u16>>> = Arc::default();
    let seen = order.clone();
    let work = handler("work", move |_, cx| {
        let p = partition_of(cx.user(), PARTITIONS).0;
        seen.lock().unwrap().push(p);
        async move {
            tokio::time::sleep(Duration::from_millis(for_ms)).await;
            Ok(json!(0))
        }
    });
    let mut tasks = Vec::new();
    for p in 0..PARTITIONS {
        for _ in 0..tasks_each {
            tasks.push(stage.submit(Draft { user: user_of(p), ..draft("work") }).await);
        }
    }
    let one = Settings { concurrency: 1, ..settings() };
    let _running = start(worker(stage.store.clone(), "w-1", one, vec![work]));
    for task in &tasks {
        stage.wait(task, "completed").await;
    }
    let mut order = order.lock().unwrap().clone();
    let of = |upto: &[u16], p: u16| upto.iter().filter(|one| **one == p).count();
    let all_of_one =
        (0..order.len()).find(|at| (0..PARTITIONS).any(|p| of(&order[..*at], p) == tasks_each));
    order.truncate(all_of_one.unwrap());
    order
}

fn assert_each_has_its_turn_within(stretch: usize, order: &[u16]) {
    for stretch in order.windows(stretch) {
        let served: BTreeSet<u16> = stretch.iter().copied().collect();
        assert_eq!(served.len(), usize::from(PARTITIONS), "{order:?}");
    }
}

#[tokio::test]
async fn a_worker_with_one_place_starves_no_partition() {
    // While each has work, any stretch of six has work of each.
    let order = went_round(20, 0).await;
    assert!(order.len() >= 45, "{order:?}");
    assert_each_has_its_turn_within(2 * usize::from(PARTITIONS), &order);
}

#[tokio::test]
async fn the_only_place_goes_round_with_every_task_that_is_longer_than_a_turn() {
    let order = went_round(12, 30).await;
    assert_each_has_its_turn_within(2 * usize::from(PARTITIONS), &order);
}

/// Runs 30 tasks of the partitions other than 1 beside whatever is wrong with that one.
async fn others_go_on(stage: &Stage) {
    let mut tasks = Vec::new();
    for _ in 0..15 {
        for p in [0, 2] {
            tasks.push(stage.submit(Draft { user: user_of(p), ..draft("work") }).await);
        }
    }
    for task in &tasks {
        stage.wait(task, "completed").await;
    }
}

#[tokio::test]
async fn a_partition_that_hangs_keeps_its_share_of_the_places_and_no_more() {
    let store = Watched::new();
    let stage = Stage::on(store.clone());
    store.hangs.store(1 << 1, Ordering::SeqCst);
    let work = handler("work", |_, _| async { Ok(json!(0)) });
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![work]));
    let before = std::time::Instant::now();
    others_go_on(&stage).await;
    let took = before.elapsed();
    assert!(took < Duration::from_secs(4), "they waited for the one that hangs: {took:?}");
}

/// Where more waits than there are places, calls ask for many at once: never for all.
#[tokio::test]
async fn two_partitions_that_hang_with_more_to_do_leave_places_to_the_third() {
    let store = Watched::new();
    let stage = Stage::on(store.clone());
    let mut tasks = Vec::new();
    for number in 0..900 {
        let user = user_of(number % PARTITIONS);
        tasks.push((user, stage.submit(Draft { user, ..draft("work") }).await));
    }
    let done = Arc::new(AtomicU32::new(0));
    let (counted, hanging) = (done.clone(), store.clone());
    let work = handler("work", move |_, _| {
        // By now each has given all that it was asked for.
        if counted.fetch_add(1, Ordering::SeqCst) == 100 {
            hanging.hangs.store((1 << 1) | (1 << 2), Ordering::SeqCst);
        }
        async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(json!(0))
        }
    });
    let twelve = Settings { concurrency: 12, ..settings() };
    let _running = start(worker(stage.store.clone(), "w-1", twelve, vec![work]));
    let before = std::time::Instant::now();
    for (_, task) in tasks.iter().filter(|(user, _)| *user == user_of(0)) {
        stage.wait(task, "completed").await;
    }
    let took = before.elapsed();
    assert!(took < Duration::from_secs(4), "it waited for those that hang: {took:?}");
}

/// All places have tasks of one partition, which falls silent while it is told of the first end.
#[tokio::test]
async fn what_ended_where_nobody_answers_leaves_its_places_to_the_others() {
    let store = Watched::new();
    let stage = Stage::on(store.clone());
    let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (begins, ends) = (begun.clone(), may_end.clone());
    let held = handler("held", move |_, _| {
        begins.add_permits(1);
        let ends = ends.clone();
        async move {
            ends.acquire().await.expect("it is never closed").forget();
            Ok(json!(0))
        }
    });
    let work = handler("work", |_, _| async { Ok(json!(0)) });
    let places = settings().concurrency;
    for _ in 0..places {
        stage.submit(Draft { user: user_of(1), ..draft("held") }).await;
    }
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![held, work]));
    begun.acquire_many(places).await.expect("it is never closed").forget();
    store.hangs.store(1 << 1, Ordering::SeqCst);
    let syncs = store.syncs.load(Ordering::SeqCst);
    may_end.add_permits(1);
    while store.syncs.load(Ordering::SeqCst) == syncs {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    may_end.add_permits(places as usize - 1);
    let before = std::time::Instant::now();
    others_go_on(&stage).await;
    let took = before.elapsed();
    assert!(took < Duration::from_secs(4), "they waited for the one that hangs: {took:?}");
}

/// The end of a task and the claim of the next one are one call, also where there is one place.
#[tokio::test]
async fn the_claim_of_a_place_rides_with_the_end_that_frees_it() {
    let store = Watched::new();
    let stage = Stage::on(store.clone());
    let mut tasks = Vec::new();
    for _ in 0..200 {
        let user = user_of(1);
        tasks.push(stage.submit(Draft { user, ..draft("work") }).await);
    }
    let work = handler("work", |_, _| async { Ok(json!(0)) });
    let one = Settings { concurrency: 1, ..settings() };
    let _running = start(worker(stage.store.clone(), "w-1", one, vec![work]));
    for task in &tasks {
        stage.wait(task, "completed").await;
    }
    let syncs = store.syncs.load(Ordering::SeqCst);
    assert!(syncs < 240, "{syncs} calls for 200 tasks");
}

#[tokio::test]
async fn a_partition_that_is_away_is_asked_now_and_then_and_served_when_it_is_back() {
    let store = Watched::new();
    let stage = Stage::on(store.clone());
    store.away.store(1, Ordering::SeqCst);
    let work = handler("work", |_, _| async { Ok(json!(0)) });
    let one = Settings { concurrency: 1, ..settings() };
    let _running = start(worker(stage.store.clone(), "w-1", one, vec![work]));
    let waits = stage.submit(Draft { user: user_of(1), ..draft("work") }).await;
    others_go_on(&stage).await;
    let syncs = store.syncs.swap(0, Ordering::SeqCst);
    assert!(syncs < 400, "{syncs} syncs for 30 tasks is a storm");
    store.away.store(NONE, Ordering::SeqCst);
    stage.wait(&waits, "completed").await;
}
