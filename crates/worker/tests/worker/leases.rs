//! Leases that are lost, and leases that must not be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tasktonic_worker::{Failure, Settings};
use tokio_util::sync::CancellationToken;

use super::stage::{Stage, draft, handler, settings, start, worker};
use super::trouble::Troubled;

fn short() -> Settings {
    Settings { lease: Duration::from_secs(5), ..settings() }
}

#[tokio::test]
async fn a_worker_cut_off_for_longer_than_its_lease_stops_and_changes_nothing_afterwards() {
    let store = Arc::new(Troubled { waits: "w-stale".into(), ..Troubled::new() });
    let stage = Stage::on(store.clone());
    let stopped = CancellationToken::new();
    let (tell, started) = (stopped.clone(), CancellationToken::new());
    let begin = started.clone();
    let stale = handler("fragile", move |_, cx| {
        let (tell, begin) = (tell.clone(), begin.clone());
        async move {
            begin.cancel();
            cx.cancelled().await;
            tell.cancel();
            // All it says from here on must be seen by nobody.
            cx.info("said by the stale one");
            cx.progress(99, 100, "", None);
            Ok(json!("stale"))
        }
    });
    let first = start(worker(stage.store.clone(), "w-stale", short(), vec![stale]));
    let task = stage.submit(draft("fragile")).await;
    started.cancelled().await;
    let since = Instant::now();
    store.open.send_replace(false);

    let fresh = handler("fragile", async |_, cx| Ok(json!(cx.attempt())));
    let second = start(worker(stage.store.clone(), "w-fresh", short(), vec![fresh]));
    stopped.cancelled().await;
    assert!(since.elapsed() < Duration::from_secs(5), "it stopped before its lease could be taken");
    assert_eq!(stage.see(&task).await.state, "running", "nobody has taken it yet");
    let seen = stage.wait(&task, "completed").await;
    assert_eq!(seen.output.as_deref(), Some("2"));

    // What the stale one said in the meantime arrives now.
    store.open.send_replace(true);
    let late = std::mem::take(&mut *store.waiting.lock().unwrap());
    let mut said = 0;
    for (ops, late) in late {
        said += ops;
        let reply = late.await.unwrap().unwrap();
        assert_eq!(reply.refused, (0..ops).collect::<Vec<_>>(), "all of it is refused");
    }
    assert!(said > 0, "it had something to say");
    first.stop().await;
    let after = stage.see(&task).await;
    assert_eq!(after.output, seen.output);
    assert_eq!(after.stored.unwrap().n, seen.stored.unwrap().n, "not one write came after it");
    assert!(stage.log(&task).await.is_empty());
    let attempts = stage.attempts(&task).await;
    assert_eq!(attempts.iter().map(|a| a.o.as_str()).collect::<Vec<_>>(), ["lost"]);
    second.stop().await;
}

#[test]
fn handlers_that_block_every_thread_keep_their_leases() {
    let stage = Stage::new();
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    };
    let (busy, idle, looker) = (runtime(), runtime(), runtime());
    let block = handler("block", async |_, _| {
        // Longer than the lease, on a thread of the runtime, without a single await.
        let until = Instant::now() + Duration::from_secs(7);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        Ok(json!(0))
    });
    let other = handler("block", async |_, _| Ok(json!("taken over")));
    let tasks = looker.block_on(async {
        vec![stage.submit(draft("block")).await, stage.submit(draft("block")).await]
    });
    let settings = Settings { concurrency: 2, ..short() };
    let store = stage.store.clone();
    let _busy = busy.block_on(async { start(worker(store, "w-busy", settings, vec![block])) });
    looker.block_on(async {
        for task in &tasks {
            stage.wait(task, "running").await;
        }
    });
    let store = stage.store.clone();
    let _idle = idle.block_on(async { start(worker(store, "w-idle", short(), vec![other])) });
    looker.block_on(async {
        for task in &tasks {
            let seen = stage.wait(task, "completed").await;
            assert_eq!(seen.output.as_deref(), Some("0"));
            let stored = seen.stored.unwrap();
            assert_eq!((stored.a, stored.c), (1, 1), "it was never taken over");
        }
    });
}

#[tokio::test]
async fn a_drain_lets_short_work_end_and_gives_the_rest_back_uncounted() {
    let stage = Stage::new();
    let both_run = Arc::new(AtomicU32::new(0));
    let runs = both_run.clone();
    let work = handler("work", move |payload, cx| {
        runs.fetch_add(1, Ordering::SeqCst);
        async move {
            let long = payload["long"] == json!(true);
            let takes = Duration::from_millis(if long { 3_600_000 } else { 300 });
            tokio::select! {
                () = tokio::time::sleep(takes) => Ok(json!(cx.attempt())),
                () = cx.cancelled() => Err(Failure::Cancelled),
            }
        }
    });
    let drained = Settings { drain: Duration::from_secs(1), concurrency: 2, ..settings() };
    let first = start(worker(stage.store.clone(), "w-1", drained, vec![work]));
    let mut tasks = Vec::new();
    for long in [true, false, false] {
        let payload = json!({ "long": long });
        tasks.push(stage.submit(super::stage::Draft { payload, ..draft("work") }).await);
    }
    let runs = both_run.clone();
    let two = move || runs.load(Ordering::SeqCst) == 2;
    tokio::task::spawn_blocking(|| {
        tasktonic_testkit::wait::until("two to run", Duration::from_secs(20), two);
    })
    .await
    .unwrap();
    let since = Instant::now();
    first.stop().await;
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    assert_eq!(both_run.load(Ordering::SeqCst), 2, "nothing more was claimed");
    assert_eq!(stage.see(&tasks[1]).await.state, "completed", "it had the time");
    let released = stage.see(&tasks[0]).await;
    assert_eq!((released.state.as_str(), released.stored.unwrap().a), ("queued", 1));
    assert_eq!(stage.attempts(&tasks[0]).await[0].o, "released");

    let again = handler("work", async |_, cx| Ok(json!(cx.attempt())));
    let _second = start(worker(stage.store.clone(), "w-2", settings(), vec![again]));
    for task in [&tasks[0], &tasks[2]] {
        assert_eq!(stage.wait(task, "completed").await.output.as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn a_drain_ends_though_the_store_does_not_answer() {
    let store = Arc::new(Troubled { waits: "w-1".into(), ..Troubled::new() });
    let stage = Stage::on(store.clone());
    let waits = handler("waits", async |_, cx| {
        cx.cancelled().await;
        Err(Failure::Cancelled)
    });
    let running = start(worker(stage.store.clone(), "w-1", settings(), vec![waits]));
    let task = stage.submit(draft("waits")).await;
    stage.wait(&task, "running").await;
    store.open.send_replace(false);
    let since = Instant::now();
    running.stop().await;
    assert!(since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
}
