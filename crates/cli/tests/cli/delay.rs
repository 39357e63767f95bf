//! Tasks that wait for their time while everything that would run them is killed and started again:
//! each runs once, not before it is due, and soon after.

use std::time::Instant;

use serde_json::{Value, json};
use tasktonic_store::clock::Clock;

use crate::sites::{Site, Worker, ms, percentile, started_ms};

const TASKS: i64 = 40;
/// From when until when they are due, after they were handed over.
const FIRST_MS: i64 = 5_000;
const SPREAD_MS: i64 = 7_000;
/// How late they may start, but for one in twenty.
const LATE_MS_MAX: i64 = 1_000;
const WORKERS: usize = 2;
/// How often everything is killed while they wait.
const KILLS: u32 = 2;

/// Kills whatever is there with SIGKILL and starts it again, until the workers are known.
fn all_anew(site: &mut Site, workers: &mut Vec<Worker>) {
    site.crash_server();
    for mut worker in workers.drain(..) {
        worker.process.crash();
    }
    site.start_server();
    workers.extend((0..WORKERS).map(|_| site.worker(&["--kinds", "noop", "--concurrency", "4"])));
    site.wait_until_known(&*workers);
}

fn each_runs_once_in_time(mut site: Site) {
    let (clock, token) = (Clock::system(), site.demo());
    let mut workers = Vec::new();
    // How long that takes on this machine now: the first task is due after the last start, or
    // nothing would be said of how late it is.
    let since = Instant::now();
    all_anew(&mut site, &mut workers);
    let once_ms = i64::try_from(since.elapsed().as_millis()).expect("a short time");
    let first_ms = FIRST_MS.max(2 * i64::from(KILLS) * once_ms);

    let delay = |n| first_ms + n * SPREAD_MS / (TASKS - 1);
    let task = |n| json!({ "kind": "noop", "payload": {}, "delay_ms": delay(n) });
    let accepted = site.submit(&token, &(0..TASKS).map(task).collect::<Vec<Value>>());
    for _ in 0..KILLS {
        all_anew(&mut site, &mut workers);
    }
    let up_ms = clock.now_ms();
    let due: Vec<i64> = accepted.iter().map(|task| ms(task.run_at.as_deref())).collect();
    eprintln!("up {} ms before the first is due", due[0] - up_ms);
    site.wait_until_done(&token);

    let ids: Vec<String> = accepted.into_iter().map(|task| task.id).collect();
    let mut late_ms = Vec::new();
    for (one, due_ms) in site.histories(&token, &ids).iter().zip(due) {
        one.ran_once();
        let late = started_ms(&one.rows[0]) - due_ms;
        assert!(late >= 0, "started {late} ms too early: {one:?}");
        if due_ms >= up_ms {
            late_ms.push(late);
        }
    }
    let (count, p95) = (late_ms.len(), percentile(&mut late_ms, 95));
    eprintln!("{count} started {:?} to {:?} ms late, p95 {p95}", late_ms.first(), late_ms.last());
    assert!(count > 20, "of most nothing is known, the machine was too slow: {count}");
    assert!(p95 <= LATE_MS_MAX, "started so many ms late: {late_ms:?}");
}

#[test]
fn what_is_delayed_runs_once_in_time_whatever_is_killed_meanwhile_on_an_embedded_store() {
    each_runs_once_in_time(Site::embedded());
}

#[test]
fn what_is_delayed_runs_once_in_time_whatever_is_killed_meanwhile_on_redis() {
    each_runs_once_in_time(Site::redis());
}

#[test]
fn what_is_delayed_runs_once_in_time_whatever_is_killed_meanwhile_on_a_cluster() {
    each_runs_once_in_time(Site::cluster());
}
