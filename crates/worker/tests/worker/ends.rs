//! Every way an attempt can end, on each store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::json;
use tasktonic_core::UserId;
use tasktonic_each_store::{On, on_each_store};
use tasktonic_store::{Table, UserEvent};
use tasktonic_worker::limits::{LOG_LINES_BURST, OUTPUT_FILE_BYTES_MAX, TIMEOUT_GRACE};
use tasktonic_worker::{Action, Failure, Rule, RunError, Stop};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::stage::{Draft, SOON, Seen, Stage, draft, handler, settings, start, worker};
use super::trouble::Troubled;

on_each_store! {
    a_task_runs_and_ends_with_output_progress_and_log
    a_failed_attempt_is_followed_by_another_after_its_wait_until_there_are_none
    a_panic_is_a_failed_attempt_and_leaves_the_worker_at_work
    a_final_failure_ends_the_task_at_once
    a_snooze_comes_back_later_and_is_not_counted
    a_running_task_is_cancelled_and_says_that_it_is_stopping
    an_attempt_past_its_time_is_failed_whether_it_listens_or_not
    a_handler_is_told_at_the_soft_limit_and_cut_off_at_the_hard_one
    rules_say_what_follows_an_error
    three_failed_attempts_are_three_rows_with_times_of_their_own
    a_flood_of_progress_is_sent_ten_times_a_second_and_the_last_is_kept
    phases_carry_the_bar_from_part_to_part
    a_flood_of_lines_is_cut_and_all_that_is_kept_comes_before_the_end
    a_task_nobody_has_a_handler_for_waits_and_does_not_fail
    a_worker_that_cannot_serve_its_queues_says_so_and_does_not_start
}

async fn a_task_runs_and_ends_with_output_progress_and_log(on: On) {
    let stage = Stage::over(on).await;
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

async fn a_failed_attempt_is_followed_by_another_after_its_wait_until_there_are_none(on: On) {
    let stage = Stage::over(on).await;
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

async fn a_panic_is_a_failed_attempt_and_leaves_the_worker_at_work(on: On) {
    let stage = Stage::over(on).await;
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

async fn a_final_failure_ends_the_task_at_once(on: On) {
    let stage = Stage::over(on).await;
    let bad = handler("bad", async |_, _| Err(Failure::fatal("bad_file", "no photo")));
    let huge = handler("huge", async |_, _| Ok(json!("x".repeat(OUTPUT_FILE_BYTES_MAX))));
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![bad, huge]));
    for (kind, code) in [("bad", "bad_file"), ("huge", "output_too_large")] {
        let task = stage.submit(draft(kind)).await;
        let seen = stage.wait(&task, "dead").await.stored.unwrap();
        assert_eq!((seen.a, seen.body.err.unwrap().code.as_str()), (1, code));
    }
    let task = stage.submit(draft("bad")).await;
    let why = stage.wait(&task, "dead").await.stored.unwrap().body.why;
    assert_eq!(why.as_deref(), Some("its handler wants no further attempt"));
}

async fn a_snooze_comes_back_later_and_is_not_counted(on: On) {
    let stage = Stage::over(on).await;
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

async fn a_running_task_is_cancelled_and_says_that_it_is_stopping(on: On) {
    let stage = Stage::over(on).await;
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
    let marked = |seen: &Seen| seen.stored.as_ref().is_some_and(|s| s.body.x);
    stage.wait_for(&task, "the mark that it is stopping", marked).await;
    go.notify_one();
    let seen = stage.wait(&task, "cancelled").await.stored.unwrap();
    assert_eq!(seen.body.why.as_deref(), Some("cancelled on request"));
}

async fn an_attempt_past_its_time_is_failed_whether_it_listens_or_not(on: On) {
    let stage = Stage::over(on).await;
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

async fn a_handler_is_told_at_the_soft_limit_and_cut_off_at_the_hard_one(on: On) {
    let stage = Stage::over(on).await;
    let saves = handler("saves", async |_, cx| {
        let since = Instant::now();
        cx.cancelled().await;
        assert_eq!(cx.why_stop(), Some(Stop::SoftLimit));
        // It still has the time until the limit, and may do with it what it likes.
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(json!(since.elapsed().as_millis() as u64))
    });
    let stops = handler("stops", async |_, cx| {
        cx.cancelled().await;
        Err(Failure::Cancelled)
    });
    let deaf = handler("deaf", async |_, _| {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        Ok(json!(0))
    });
    let handlers = vec![saves, stops, deaf];
    let _running = start(worker(stage.store.clone(), "w-1", settings(), handlers));
    let limits = |kind, soft, hard| Draft {
        soft_timeout_ms: Some(soft),
        timeout_ms: hard,
        attempts_max: 1,
        ..draft(kind)
    };
    let task = stage.submit(limits("saves", 200, Some(20_000))).await;
    let took: u64 = stage.wait(&task, "completed").await.output.unwrap().parse().unwrap();
    assert!((300..20_000).contains(&took), "told after 200 ms and not cut off: {took} ms");

    let task = stage.submit(limits("stops", 100, None)).await;
    let error = stage.wait(&task, "dead").await.stored.unwrap().body.err.unwrap();
    assert_eq!(error.code, "timed_out");
    assert!(error.message.contains("soft limit of 100 ms"), "{}", error.message);

    let since = Instant::now();
    let task = stage.submit(limits("deaf", 100, Some(600))).await;
    let error = stage.wait(&task, "dead").await.stored.unwrap().body.err.unwrap();
    assert_eq!(error.code, "timed_out");
    assert!(error.message.contains("its limit of 600 ms"), "{}", error.message);
    let took = since.elapsed();
    assert!(took >= Duration::from_millis(600), "not before the limit: {took:?}");
    assert!(took < TIMEOUT_GRACE, "it was told before, so there is no grace after: {took:?}");
}

async fn rules_say_what_follows_an_error(on: On) {
    let stage = Stage::over(on).await;
    let fails = handler("fails", async |payload, _| {
        Err(Failure::attempt(payload.as_str().unwrap_or_default(), "no luck"))
    });
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![fails]));
    let rules = vec![
        Rule { after_ms: Some(3_600_000), ..Rule::new("busy", Action::AgainAfter) },
        Rule::new("b*", Action::Bury),
    ];
    let with = |code| Draft { rules: rules.clone(), payload: json!(code), ..draft("fails") };
    let task = stage.submit(with("bad_file")).await;
    let seen = stage.wait(&task, "dead").await.stored.unwrap();
    assert_eq!((seen.a, seen.body.err.unwrap().code.as_str()), (1, "bad_file"));
    assert_eq!(seen.body.why.as_deref(), Some("no further attempt follows bad_file"));
    assert!(stage.attempts(&task).await.is_empty(), "there was one");

    let task = stage.submit(with("busy")).await;
    let seen = stage.wait(&task, "scheduled").await.stored.unwrap();
    let wait_ms = seen.due.unwrap() - seen.at;
    assert!((3_590_000..=3_600_000).contains(&wait_ms), "{wait_ms} ms");

    let task = stage.submit(with("other")).await;
    assert_eq!(stage.wait(&task, "dead").await.stored.unwrap().a, 3, "no rule: the backoff");
}

async fn three_failed_attempts_are_three_rows_with_times_of_their_own(on: On) {
    let stage = Stage::over(on).await;
    // Opened once per attempt, so that there is time to look between them.
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let fails = handler("fails", move |_, cx| {
        let gate = opened.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            if cx.attempt() == 4 {
                return Ok(json!(4));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            Err(Failure::attempt("no_luck", format!("attempt {}", cx.attempt())))
        }
    });
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![fails]));
    let task = stage.submit(Draft { attempts_max: 4, ..draft("fails") }).await;
    let mut known = Vec::new();
    for ended in 1..=3 {
        gate.add_permits(1);
        let next_runs = |seen: &Seen| {
            seen.stored.as_ref().is_some_and(|now| now.s == "running" && now.a == ended + 1)
        };
        stage.wait_for(&task, "the next attempt", next_runs).await;
        let rows = stage.attempt_rows(&task).await;
        assert_eq!(rows.len(), ended as usize, "{rows:?}");
        assert_eq!(rows[..known.len()], known, "a row never changes after its attempt ended");
        known = rows;
    }
    gate.add_permits(1);
    stage.wait(&task, "completed").await;
    assert_eq!(stage.attempt_rows(&task).await, known, "nor when the task ends");
    let rows = stage.attempts(&task).await;
    assert_eq!(rows.iter().map(|row| row.a).collect::<Vec<_>>(), [1, 2, 3]);
    let mut end_before = 0;
    for row in &rows {
        let (start, end) = (row.st.unwrap(), row.en);
        // The loop notes the start a moment after the handler began.
        assert!(start >= end_before && end >= start + 10, "{rows:?}");
        assert_eq!(row.wk.as_deref(), Some("the test machine-w-1"));
        assert_eq!(row.err.as_ref().unwrap().message, format!("attempt {}", row.a));
        end_before = end;
    }
}

async fn a_flood_of_progress_is_sent_ten_times_a_second_and_the_last_is_kept(on: On) {
    const REPORTS: u64 = 1_000;
    const SECOND: Duration = Duration::from_secs(1);
    let under = on.open(crate::PARTITIONS).await;
    let store = Arc::new(Troubled::on(under.store.clone()));
    let stage = Stage::on(store.clone());
    let counts = handler("counts", async |stays, cx| {
        let since = Instant::now();
        let mut done = 0;
        while done < REPORTS {
            // On a busy machine it catches up: a thousand in a second, however long a wait takes.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let due = u64::try_from(since.elapsed().as_millis()).unwrap().min(REPORTS);
            while done < due {
                done += 1;
                cx.progress(done, 0, "reports", None);
            }
        }
        if stays == json!(true) {
            cx.cancelled().await;
        }
        Ok(json!(done))
    });
    let mut events = stage.store.events(&UserId::encode("ana"));
    if !matches!(on, On::Model | On::Embedded) {
        // A store elsewhere begins with this.
        assert_eq!(events.next().await, Some(UserEvent::Lagged), "it listens");
    }
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![counts]));
    let said = |seen: &Seen| {
        let progress = seen.stored.as_ref().and_then(|stored| stored.body.p.as_ref());
        progress.map_or(0, |progress| progress.done)
    };
    // One that ends with its last report, and one that goes on after it.
    for stays in [false, true] {
        store.told.lock().unwrap().clear();
        let task = stage.submit(Draft { payload: json!(stays), ..draft("counts") }).await;
        let seen = if stays {
            stage.wait_for(&task, "the last report", |seen| said(seen) == REPORTS).await
        } else {
            stage.wait(&task, "completed").await
        };
        assert_eq!(said(&seen), REPORTS, "the last one is in the record");
        let told = store.told.lock().unwrap().clone();
        // A claim is write 1, and the end is one too.
        let writes = seen.stored.unwrap().n - if stays { 1 } else { 2 };
        assert!(writes >= 2, "it does not wait for the end: {told:?}");
        assert_eq!(writes as usize, told.len());
        for first in &told {
            // From before this one was sent: what comes within a second of that is in one second.
            let within = told
                .iter()
                .filter(|told| told.by >= first.by && told.by.duration_since(first.after) < SECOND);
            let (all, only) = (within.clone().count(), within.filter(|told| told.only).count());
            // What is sent for another reason takes the newest along: a look for work at the start.
            assert!(only <= 10 && all <= 11, "{all} within a second: {told:?}");
        }
        let (mut heard, mut last) = (0, 0);
        while heard < told.len() {
            let event = tokio::time::timeout(SOON, events.next()).await.expect("each is an event");
            let Some(UserEvent::Passing(text)) = event else { continue };
            let text: serde_json::Value = serde_json::from_str(&text).unwrap();
            let done = text["p"]["done"].as_u64().unwrap_or_else(|| panic!("{text}"));
            assert!(done > last, "{done} after {last}");
            (heard, last) = (heard + 1, done);
        }
        if stays {
            assert_eq!(last, REPORTS, "the last one is told");
            stage.cancel(&task).await;
            stage.wait(&task, "completed").await;
        }
    }
}

async fn phases_carry_the_bar_from_part_to_part(on: On) {
    let stage = Stage::over(on).await;
    let steps = handler("steps", async |_, cx| {
        cx.phase("fetch", 0.25);
        cx.progress(2, 2, "files", None);
        cx.phase("resize", 0.75);
        cx.progress(1, 3, "photos", None);
        cx.progress(0, 3, "photos", Some("back to the first".into()));
        Ok(json!(0))
    });
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![steps]));
    let task = stage.submit(draft("steps")).await;
    let progress = stage.wait(&task, "completed").await.stored.unwrap().body.p.unwrap();
    assert_eq!(progress.phase.as_deref(), Some("resize"));
    assert_eq!((progress.done, progress.part()), (1, Some(0.5)), "it does not go back");
    assert_eq!(progress.note.as_deref(), Some("back to the first"));
}

async fn a_flood_of_lines_is_cut_and_all_that_is_kept_comes_before_the_end(on: On) {
    let stage = Stage::over(on).await;
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

async fn a_task_nobody_has_a_handler_for_waits_and_does_not_fail(on: On) {
    let stage = Stage::over(on).await;
    // Submitted to a queue of this worker, but of another kind.
    let task = stage.submit(draft("known")).await;
    let other = super::trouble::renamed(stage.store.clone(), "unheard_of");
    let known = handler("known", async |_, _| Ok(json!(0)));
    let _running = start(worker(other, "w-1", settings(), vec![known]));
    let seen = stage.wait(&task, "scheduled").await.stored.unwrap();
    assert_eq!(seen.a, 1, "not counted");
    assert!(seen.due.unwrap() > seen.at + 29_000);
}

async fn a_worker_that_cannot_serve_its_queues_says_so_and_does_not_start(on: On) {
    let stage = Stage::over(on).await;
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
