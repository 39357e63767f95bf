//! Lines and progress that a handler says one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::Semaphore;

use crate::stage::{SOON, Stage, draft, handler, settings, start, worker};
use crate::trouble::Troubled;

/// How often a line is followed by progress.
const ROUNDS: u64 = 8;
/// What they may take in all: far less than a heartbeat each, which takes along whatever waits.
const AT_ONCE: Duration = Duration::from_secs(12);

#[tokio::test]
async fn what_is_said_after_a_line_does_not_wait_for_a_heartbeat() {
    let stage = Stage::new();
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let talks = handler("talks", move |_, cx| {
        let gate = opened.clone();
        async move {
            for done in 1..=ROUNDS {
                gate.acquire().await.unwrap().forget();
                cx.info(format!("line {done}"));
                gate.acquire().await.unwrap().forget();
                cx.progress(done, ROUNDS, "rounds", None);
            }
            gate.acquire().await.unwrap().forget();
            Ok(json!(0))
        }
    });
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![talks]));
    let task = stage.submit(draft("talks")).await;
    stage.wait(&task, "running").await;
    let since = Instant::now();
    for done in 1..=ROUNDS {
        gate.add_permits(1);
        let asked = Instant::now();
        while u64::try_from(stage.log(&task).await.len()).unwrap() < done {
            assert!(asked.elapsed() < SOON, "line {done} did not come");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        gate.add_permits(1);
        stage
            .wait_for(&task, "its progress", |seen| {
                let said = seen.stored.as_ref().and_then(|stored| stored.body.p.as_ref());
                said.is_some_and(|progress| progress.done == done)
            })
            .await;
    }
    let took = since.elapsed();
    assert!(took < AT_ONCE, "{ROUNDS} lines and as much progress took {took:?}");
    gate.add_permits(1);
    stage.wait(&task, "completed").await;
}

/// Other tasks of the same worker end all the time, and each end is a call that could take progress
/// along: a flood of it is sent ten times a second all the same.
#[tokio::test]
async fn a_flood_of_progress_beside_short_tasks_is_sent_ten_times_a_second() {
    const REPORTS: u64 = 1_000;
    const SHORT: usize = 1_000;
    let store = Arc::new(Troubled::new());
    let stage = Stage::on(store.clone());
    let counts = handler("counts", async |_, cx| {
        let (since, mut done) = (Instant::now(), 0);
        while done < REPORTS {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let due = u64::try_from(since.elapsed().as_millis()).unwrap().min(REPORTS);
            while done < due {
                done += 1;
                cx.progress(done, 0, "reports", None);
            }
        }
        Ok(json!(done))
    });
    let short = handler("short", async |_, _| {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(json!(0))
    });
    let task = stage.submit(draft("counts")).await;
    for _ in 0..SHORT {
        stage.submit(draft("short")).await;
    }
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![counts, short]));
    let seen = stage.wait(&task, "completed").await;
    let done = seen.stored.unwrap().body.p.unwrap().done;
    assert_eq!(done, REPORTS, "the last one is in the record");
    let told = store.told.lock().unwrap().clone();
    for first in &told {
        let within = told.iter().filter(|told| {
            told.by >= first.by && told.by.duration_since(first.after) < Duration::from_secs(1)
        });
        assert!(within.count() <= 10, "within a second: {told:?}");
    }
    assert!(told.iter().any(|told| !told.only), "none went with the end of another: {told:?}");
}
