//! Several workers, several users, several partitions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tasktonic_worker::Settings;

use super::stage::{Draft, Stage, draft, handler, settings, start, worker};

#[tokio::test]
async fn two_workers_share_the_work_and_nothing_runs_twice() {
    let stage = Stage::new();
    let mut tasks = Vec::new();
    for _ in 0..60 {
        tasks.push(stage.submit(draft("shared")).await);
    }
    let counts: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let mut running = Vec::new();
    for id in ["w-1", "w-2"] {
        let counts = counts.clone();
        let shared = handler("shared", move |_, cx| {
            let counts = counts.clone();
            async move {
                *counts.lock().unwrap().entry(cx.task().to_string()).or_default() += 1;
                *counts.lock().unwrap().entry(id.into()).or_default() += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(json!(0))
            }
        });
        running.push(start(worker(stage.store.clone(), id, settings(), vec![shared])));
    }
    for task in &tasks {
        stage.wait(task, "completed").await;
    }
    let counts = counts.lock().unwrap();
    assert!(tasks.iter().all(|(_, task)| counts[&task.to_string()] == 1));
    assert!(counts["w-1"] > 10 && counts["w-2"] > 10, "{} and {}", counts["w-1"], counts["w-2"]);
}

#[tokio::test]
async fn one_users_many_tasks_do_not_keep_anothers_first_waiting() {
    let stage = Stage::new();
    for _ in 0..200 {
        stage.submit(draft("fair")).await;
    }
    let place = Arc::new(AtomicU32::new(0));
    let next = place.clone();
    let fair = handler("fair", move |_, _| {
        let place = next.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(json!(place))
        }
    });
    let last = stage.submit(Draft { user: "ben", ..draft("fair") }).await;
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![fair]));
    let seen = stage.wait(&last, "completed").await;
    let place: u32 = seen.output.unwrap().parse().unwrap();
    assert!(place < 12, "it came {place}th, though its user had nothing else");
}

#[tokio::test]
async fn a_full_worker_passes_its_wake_on() {
    let stage = Stage::new();
    let block = Arc::new(tokio::sync::Semaphore::new(0));
    let mut running = Vec::new();
    for id in ["w-1", "w-2"] {
        let block = block.clone();
        let waits = handler("waits", move |_, _| {
            let block = block.clone();
            async move {
                let _permit = block.acquire().await.unwrap();
                Ok(json!(0))
            }
        });
        let one = Settings { concurrency: 1, ..settings() };
        running.push(start(worker(stage.store.clone(), id, one, vec![waits])));
    }
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let task = stage.submit(draft("waits")).await;
        stage.wait(&task, "running").await;
        tasks.push(task);
    }
    block.add_permits(2);
    for task in &tasks {
        stage.wait(task, "completed").await;
    }
}
