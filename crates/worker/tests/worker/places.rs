//! Kinds whose tasks take several places of a worker.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use serde_json::value::RawValue;
use tasktonic_core::command::Submit;
use tasktonic_core::routing::partition_of;
use tasktonic_core::{TaskId, UserId};
use tasktonic_protocol::worker::{KindRecord, WorkerRecord};
use tasktonic_store::Table;
use tasktonic_worker::limits::SAVE_FOR;
use tasktonic_worker::{AnyHandler, Context, Outcome, Settings};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::stage::{Draft, SOON, Stage, draft, handler, now_ms, settings, start, worker};
use super::trouble::Troubled;

/// A handler whose tasks take so many places.
struct Takes(u32, Arc<dyn AnyHandler>);

#[async_trait::async_trait]
impl AnyHandler for Takes {
    fn record(&self) -> KindRecord {
        KindRecord { places: self.0, ..self.1.record() }
    }

    async fn run_any(&self, payload: &RawValue, cx: &Context) -> Outcome {
        self.1.run_any(payload, cx).await
    }
}

/// What runs here, in places, and when each kind started.
#[derive(Clone)]
struct House {
    places: Arc<Semaphore>,
    started: Arc<Mutex<Vec<&'static str>>>,
    /// One kind that waits to be let go, and how many of its tasks may.
    held: (&'static str, Arc<Semaphore>),
}

impl House {
    fn of(places: usize, held: &'static str) -> Self {
        let held = (held, Arc::new(Semaphore::new(0)));
        Self { places: Arc::new(Semaphore::new(places)), started: Arc::default(), held }
    }

    /// A kind whose tasks take `places` for `ms`; more than there are must never be taken.
    fn kind(&self, kind: &'static str, places: u32, ms: u64) -> Arc<dyn AnyHandler> {
        let house = self.clone();
        let runs = handler(kind, move |_, _| {
            let taken = house.places.clone().try_acquire_many_owned(places);
            let taken = taken.expect("never more places than there are");
            house.started.lock().unwrap().push(kind);
            let held = (house.held.0 == kind).then(|| house.held.1.clone());
            async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                if let Some(held) = held {
                    held.acquire().await.unwrap().forget();
                }
                drop(taken);
                Ok(json!(0))
            }
        });
        Arc::new(Takes(places, runs))
    }

    fn let_go(&self, tasks: usize) {
        self.held.1.add_permits(tasks);
    }

    fn started(&self, kind: &str) -> usize {
        self.started.lock().unwrap().iter().filter(|one| **one == kind).count()
    }
}

fn with(concurrency: u32) -> Settings {
    Settings { concurrency, ..settings() }
}

const USERS: [&str; 6] = ["ana", "ben", "cem", "dee", "eva", "flo"];

/// Submits so many of a kind, one user after the other.
async fn submit(stage: &Stage, kind: &'static str, count: usize) -> Vec<(UserId, TaskId)> {
    let mut tasks = Vec::new();
    for user in USERS.into_iter().cycle().take(count) {
        tasks.push(stage.submit(Draft { user, ..draft(kind) }).await);
    }
    tasks
}

async fn until(what: &str, is: impl AsyncFn() -> bool) {
    let since = Instant::now();
    while !is().await {
        assert!(since.elapsed() < SOON, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_runs_never_takes_more_places_than_there_are() {
    let (stage, house) = (Stage::new(), House::of(5, ""));
    let kinds = vec![house.kind("one", 1, 3), house.kind("two", 2, 5), house.kind("all", 5, 4)];
    let mut tasks = Vec::new();
    let _running = start(worker(stage.store.clone(), "w-1", with(5), kinds));
    for kind in ["one", "two", "all", "one", "two", "all"] {
        tasks.extend(submit(&stage, kind, 20).await);
    }
    for task in &tasks {
        stage.wait(task, "completed").await;
    }
}

#[tokio::test]
async fn a_large_task_gets_its_turn_beside_a_stream_of_small_ones() {
    let (stage, house) = (Stage::new(), House::of(4, ""));
    let kinds = vec![house.kind("large", 4, 1), house.kind("small", 1, 5)];
    submit(&stage, "small", 600).await;
    let _running = start(worker(stage.store.clone(), "w-1", with(4), kinds));
    for user in USERS {
        let before = house.started("small");
        let task = stage.submit(Draft { user, ..draft("large") }).await;
        stage.wait(&task, "completed").await;
        let meanwhile = house.started("small") - before;
        // Some for each partition whose turn is before, and those that ended until there was room.
        assert!(meanwhile < 60, "{meanwhile} small ones started before it");
    }
    assert!(house.started("small") < 600, "there were small ones all the time");
}

#[tokio::test]
async fn a_worker_that_saves_up_asks_now_and_then_and_others_may_have_the_task() {
    let store = Arc::new(Troubled::new());
    let (stage, house) = (Stage::on(store.clone()), House::of(2, "small"));
    let kinds = || vec![house.kind("large", 2, 1), house.kind("small", 1, 1)];
    let first = stage.submit(draft("small")).await;
    let running = start(worker(stage.store.clone(), "w-1", with(2), kinds()));
    stage.wait(&first, "running").await;
    let calls = || store.syncs.load(Ordering::SeqCst);
    let before = calls();
    let large = stage.submit(draft("large")).await;
    until("a look at it", async || calls() > before).await;
    tokio::time::sleep(SAVE_FOR / 20).await;
    let next = stage.submit(draft("small")).await;
    tokio::time::sleep(SAVE_FOR).await;
    let before = calls();
    tokio::time::sleep(2 * SAVE_FOR).await;
    let calls = calls() - before;
    assert!((1..=6).contains(&calls), "{calls} calls in {:?}", 2 * SAVE_FOR);
    assert_eq!(stage.see(&large).await.state, "queued", "it is not held meanwhile");
    assert_eq!(stage.see(&next).await.state, "queued", "nor is its place taken");
    let other = House::of(2, "");
    let one = worker(stage.store.clone(), "w-2", with(2), vec![other.kind("large", 2, 1)]);
    let _other = start(one);
    stage.wait(&large, "completed").await;
    // What was kept for it is free for others again.
    stage.wait(&next, "running").await;
    house.let_go(2);
    stage.wait(&next, "completed").await;
    running.stop().await;
}

#[tokio::test]
async fn places_that_only_the_same_kind_could_make_enough_are_not_kept_idle() {
    let (stage, house) = (Stage::new(), House::of(5, "large"));
    let kinds = vec![house.kind("large", 4, 0), house.kind("small", 1, 1)];
    let _running = start(worker(stage.store.clone(), "w-1", with(5), kinds));
    let large = [stage.submit(draft("large")).await, stage.submit(draft("large")).await];
    until("one of them", async || house.started("large") == 1).await;
    for task in submit(&stage, "small", 30).await {
        stage.wait(&task, "completed").await;
    }
    assert_eq!(house.started("large"), 1);
    // It is idle but for the first; the second starts when that has ended, though nobody wakes it.
    house.let_go(2);
    for task in &large {
        stage.wait(task, "completed").await;
    }
}

#[tokio::test]
async fn two_workers_share_tasks_of_all_sizes() {
    let stage = Stage::new();
    let houses = [House::of(3, ""), House::of(6, "")];
    let mut running = Vec::new();
    for (id, places, house) in [("w-1", 3, &houses[0]), ("w-2", 6, &houses[1])] {
        let kinds = vec![house.kind("small", 1, 4), house.kind("large", 3, 4)];
        running.push(start(worker(stage.store.clone(), id, with(places), kinds)));
    }
    let mut tasks = submit(&stage, "small", 120).await;
    tasks.extend(submit(&stage, "large", 40).await);
    for task in &tasks {
        stage.wait(task, "completed").await;
    }
    assert!(houses.iter().all(|house| house.started("large") > 3), "each has had some");
    let late = submit(&stage, "large", 6).await;
    for task in &late {
        stage.wait(task, "completed").await;
    }
}

#[tokio::test]
async fn a_task_in_a_queue_of_smaller_ones_takes_its_places_all_the_same() {
    let (stage, house) = (Stage::new(), House::of(3, ""));
    let kinds = vec![house.kind("large", 3, 3), house.kind("small", 1, 3)];
    let mut tasks = submit(&stage, "small", 30).await;
    for user in USERS {
        let mut new = stage.new_task(Draft { user, ..draft("large") });
        new.queue = "small".parse().unwrap();
        tasks.push((new.user.clone(), new.task));
        let p = partition_of(&new.user, stage.store.partitions());
        let batch = Submit { created_ms: now_ms(), tasks: vec![new] };
        stage.store.submit(p, batch).await.unwrap();
    }
    tasks.extend(submit(&stage, "small", 30).await);
    let _running = start(worker(stage.store.clone(), "w-1", with(3), kinds));
    for task in &tasks {
        let seen = stage.wait(task, "completed").await;
        assert_eq!(seen.stored.unwrap().a, 1, "given back, it was not counted");
    }
}

#[tokio::test]
async fn what_is_taken_is_announced() {
    let (stage, house) = (Stage::new(), House::of(8, "large"));
    let kinds = vec![house.kind("large", 3, 0)];
    let running = start(worker(stage.store.clone(), "w-1", with(8), kinds));
    until("the worker", async || {
        !stage.store.registry().list(Table::Workers).await.unwrap().is_empty()
    })
    .await;
    let entries = stage.store.registry().list(Table::Kinds).await.unwrap();
    let kind: KindRecord = serde_json::from_str(&entries[0].value).unwrap();
    assert_eq!(kind.places, 3);
    let entries = stage.store.registry().list(Table::Workers).await.unwrap();
    let known: WorkerRecord = serde_json::from_str(&entries[0].value).unwrap();
    assert_eq!((known.concurrency, known.running, known.taken), (8, 0, None));
    running.stop().await;
}

#[tokio::test]
async fn a_kind_that_takes_more_than_the_worker_has_is_refused_at_its_start() {
    let (stage, house) = (Stage::new(), House::of(4, ""));
    let run = async |concurrency: u32, places: u32| {
        let stop = CancellationToken::new();
        stop.cancel();
        let kinds = vec![house.kind("render", places, 1)];
        let one = worker(stage.store.clone(), "w-1", with(concurrency), kinds);
        one.run_until(stop).await.map_err(|error| error.to_string())
    };
    assert_eq!(run(4, 4).await, Ok(()));
    let told = run(3, 4).await.unwrap_err();
    assert!(told.contains("render takes 4 places, and this worker has 3"), "{told}");
    assert!(run(4, 0).await.unwrap_err().contains("kind render: places is 1 to 1024"));
    assert!(run(9_999, 1_025).await.unwrap_err().contains("places is 1 to 1024"));
}

#[tokio::test]
async fn a_large_task_whose_partition_is_away_keeps_nobody_waiting() {
    let store = Arc::new(Troubled::new());
    let (stage, house) = (Stage::on(store.clone()), House::of(2, "small"));
    let kinds = vec![house.kind("large", 2, 1), house.kind("small", 1, 1)];
    let _running = start(worker(stage.store.clone(), "w-1", with(2), kinds));
    let first = stage.submit(draft("small")).await;
    stage.wait(&first, "running").await;
    let large = stage.submit(draft("large")).await;
    store.down.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    store.down.store(false, Ordering::SeqCst);
    house.let_go(1);
    stage.wait(&large, "completed").await;
    let before = store.syncs.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let more = store.syncs.load(Ordering::SeqCst) - before;
    assert!(more < 10, "an idle worker is quiet: {more} calls");
}
