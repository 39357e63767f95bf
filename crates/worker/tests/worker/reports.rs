//! Lines and progress that a handler says one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::Semaphore;

use crate::stage::{SOON, Stage, draft, handler, settings, start, worker};

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
