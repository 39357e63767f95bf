//! Every way an attempt can end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tasktonic_store::Table;
use tasktonic_worker::limits::{LOG_LINES_BURST, OUTPUT_BYTES_MAX};
use tasktonic_worker::{Failure, RunError};
use tokio_util::sync::CancellationToken;

use super::stage::{Draft, Stage, draft, handler, settings, start, worker};

#[tokio::test]
async fn a_task_runs_and_ends_with_output_progress_and_log() {
    let stage = Stage::new();
    let echo = handler("echo", async |payload, cx| {
        cx.progress(1, 2, "words", Some("half".to_owned()));
        cx.info("said it");
        assert_eq!((cx.attempt(), cx.is_last_attempt(), cx.fence() >> 32), (1, false, 1));
        Ok(json!({ "echo": payload }))
    });
    let running = start(worker(stage.store.clone(), "w-1", settings(), vec![echo]));
    let task = stage.submit(Draft { payload: json!([1, "a"]), ..draft("echo") }).await;
    let seen = stage.wait(&task, "completed").await;
    assert_eq!(seen.output.as_deref(), Some(r#"{"echo":[1,"a"]}"#));
    let body = seen.stored.unwrap().body;
    assert_eq!(body.wk.as_deref(), Some("the test machine-w-1"));
    assert_eq!(body.p.map(|p| (p.done, p.total)), Some((1, 2)));
    assert!(body.ho && body.st.is_some());
    assert_eq!(stage.log(&task).await, ["said it"]);

    let registry = stage.store.registry();
    assert!(registry.get(Table::Kinds, "echo").await.unwrap().is_some());
    assert!(registry.get(Table::Workers, "w-1").await.unwrap().is_some());
    running.stop().await;
    assert!(registry.get(Table::Workers, "w-1").await.unwrap().is_none(), "it has left");
}

#[tokio::test]
async fn a_failed_attempt_is_followed_by_another_after_its_wait_until_there_are_none() {
    let stage = Stage::new();
    let fails = handler("fails", async |_, cx| {
        Err(Failure::attempt("no_luck", format!("attempt {}", cx.attempt())))
    });
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![fails]));
    let task = stage.submit(draft("fails")).await;
    let seen = stage.wait(&task, "dead").await.stored.unwrap();
    assert_eq!(seen.a, 3);
    assert_eq!(seen.body.err.unwrap().message, "attempt 3");
    let attempts = stage.attempts(&task).await;
    assert_eq!(
        attempts.iter().map(|a| (a.a, a.o.as_str())).collect::<Vec<_>>(),
        [(1, "failed"), (2, "failed")]
    );
    assert!(attempts[1].st.unwrap() >= attempts[0].en + 50, "the backoff was waited for");
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_leaves_the_worker_at_work() {
    let stage = Stage::new();
    let panics = handler("panics", async |_, cx| {
        if cx.attempt() == 1 {
            panic!("the secret is 4711");
        }
        Ok(json!(2))
    });
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![panics]));
    let task = stage.submit(draft("panics")).await;
    let seen = stage.wait(&task, "completed").await;
    assert_eq!(seen.output.as_deref(), Some("2"));
    let error = stage.attempts(&task).await.remove(0).err.unwrap();
    assert_eq!(error.code, "handler_panicked");
    assert!(!error.message.contains("4711"), "the text of a panic may hold a payload");
}

#[tokio::test]
async fn a_final_failure_ends_the_task_at_once() {
    let stage = Stage::new();
    let bad = handler("bad", async |_, _| Err(Failure::fatal("bad_file", "no photo")));
    let huge = handler("huge", async |_, _| Ok(json!("x".repeat(OUTPUT_BYTES_MAX))));
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![bad, huge]));
    for (kind, code) in [("bad", "bad_file"), ("huge", "output_too_large")] {
        let task = stage.submit(draft(kind)).await;
        let seen = stage.wait(&task, "dead").await.stored.unwrap();
        assert_eq!((seen.a, seen.body.err.unwrap().code.as_str()), (1, code));
    }
}

#[tokio::test]
async fn a_snooze_comes_back_later_and_is_not_counted() {
    let stage = Stage::new();
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let sleepy = handler("sleepy", move |_, cx| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            assert_eq!(cx.attempt(), 1);
            if call < 2 {
                return Err(Failure::Snooze(Duration::from_millis(100)));
            }
            Ok(json!(call))
        }
    });
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![sleepy]));
    let task = stage.submit(draft("sleepy")).await;
    let seen = stage.wait(&task, "completed").await;
    assert_eq!(seen.output.as_deref(), Some("2"));
    assert_eq!(seen.stored.unwrap().a, 1);
    assert!(stage.attempts(&task).await.iter().all(|attempt| attempt.o == "snoozed"));
}

#[tokio::test]
async fn a_running_task_is_cancelled_and_says_that_it_is_stopping() {
    let stage = Stage::new();
    let (go, gone) = (Arc::new(tokio::sync::Notify::new()), CancellationToken::new());
    let (let_go, saw) = (go.clone(), gone.clone());
    let waits = handler("waits", move |_, cx| {
        let (go, saw) = (let_go.clone(), saw.clone());
        async move {
            cx.cancelled().await;
            saw.cancel();
            go.notified().await;
            Err(Failure::Cancelled)
        }
    });
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![waits]));
    let task = stage.submit(draft("waits")).await;
    stage.wait(&task, "running").await;
    stage.cancel(&task).await;
    gone.cancelled().await;
    let marked = |seen: &super::stage::Seen| seen.stored.as_ref().is_some_and(|s| s.body.x);
    stage.wait_for(&task, "the mark that it is stopping", marked).await;
    go.notify_one();
    let seen = stage.wait(&task, "cancelled").await.stored.unwrap();
    assert_eq!(seen.body.why.as_deref(), Some("cancelled on request"));
}

#[tokio::test]
async fn an_attempt_past_its_time_is_failed_whether_it_listens_or_not() {
    let stage = Stage::new();
    let listens = handler("listens", async |_, cx| {
        cx.cancelled().await;
        Err(Failure::Cancelled)
    });
    let deaf = handler("deaf", async |_, _| {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        Ok(json!(0))
    });
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![listens, deaf]));
    for (kind, at_least_s) in [("listens", 0), ("deaf", 5)] {
        let since = Instant::now();
        let draft = Draft { timeout_ms: Some(100), attempts_max: 1, ..draft(kind) };
        let task = stage.submit(draft).await;
        let seen = stage.wait(&task, "dead").await.stored.unwrap();
        assert_eq!(seen.body.err.unwrap().code, "timed_out", "{kind}");
        assert!(since.elapsed() >= Duration::from_secs(at_least_s), "{kind}");
    }
}

#[tokio::test]
async fn a_flood_of_lines_is_cut_and_all_that_is_kept_comes_before_the_end() {
    let stage = Stage::new();
    let talks = handler("talks", async |_, cx| {
        for i in 0..LOG_LINES_BURST * 2 {
            cx.info(format!("line {i}"));
            cx.progress(i.into(), 0, "", None);
        }
        Ok(json!(0))
    });
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![talks]));
    let task = stage.submit(draft("talks")).await;
    stage.wait(&task, "completed").await;
    let log = stage.log(&task).await;
    assert!((1_000..1_300).contains(&log.len()), "{} lines", log.len());
    assert_eq!(log[0], "line 0");
    assert!(log.last().unwrap().ends_with("left out: too many at once"), "{:?}", log.last());
}

#[tokio::test]
async fn a_task_nobody_has_a_handler_for_waits_and_does_not_fail() {
    let stage = Stage::new();
    // Submitted to a queue of this worker, but of another kind.
    let task = stage.submit(draft("known")).await;
    let other = super::trouble::renamed(stage.store.clone(), "unheard_of");
    let known = handler("known", async |_, _| Ok(json!(0)));
    let _running = start(worker(other, "w-1", settings(), vec![known]));
    let seen = stage.wait(&task, "scheduled").await.stored.unwrap();
    assert_eq!(seen.a, 1, "not counted");
    assert!(seen.due.unwrap() > seen.at + 29_000);
}

#[tokio::test]
async fn a_worker_that_cannot_serve_its_queues_says_so_and_does_not_start() {
    let stage = Stage::new();
    let run = |handlers, settings| {
        let worker = worker(stage.store.clone(), "w-1", settings, handlers);
        worker.run_until(CancellationToken::new())
    };
    let some = || handler("some", async |_, _| Ok(json!(0)));
    let settings_bad = tasktonic_worker::Settings { concurrency: 0, ..settings() };
    assert!(matches!(run(vec![], settings()).await, Err(RunError::Handlers(_))));
    assert!(matches!(run(vec![some(), some()], settings()).await, Err(RunError::Handlers(_))));
    assert!(matches!(run(vec![some()], settings_bad).await, Err(RunError::Settings(_))));

    let other = serde_json::json!({
        "kind": "other", "queue": "some", "schema": {}, "attempts_max": 1
    });
    let registry = stage.store.registry();
    let any = tasktonic_store::Expect::Any;
    registry.put(Table::Kinds, "other", other.to_string(), any).await.unwrap();
    let refused = run(vec![some()], settings()).await.unwrap_err();
    assert!(matches!(&refused, RunError::KindMissing { kind, .. } if kind == "other"));
    assert!(registry.get(Table::Kinds, "some").await.unwrap().is_none(), "nothing was announced");
}
