//! Workers replaced one by one while there is work, and workers that are stopped harder than that
//! while they drain.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tasktonic_protocol::http::{Attempt, TaskPage};
use tasktonic_testkit::{kill_point, wait};

use crate::sites::{Site, Worker, is_by};
use crate::support::PATIENCE;

const WORKERS: usize = 4;
/// One task in so many is longer than the drain, so that workers have something to give back.
const LONG_EVERY: usize = 6;
const LONG_MS: u64 = 6_000;
const DRAIN: [&str; 2] = ["--drain", "1"];
const WORK: [&str; 4] = ["--kinds", "noop", "--concurrency", "2"];
/// Tasks in line below which more are handed over, and how many then.
const IN_LINE_MIN: u64 = 12;
const PORTION: usize = 24;
/// A task that is running when its worker is stopped, whatever holds the test up.
const HELD_MS: u64 = 8_000;
/// How soon a process is gone that is to stop at once.
const AT_ONCE: Duration = Duration::from_secs(3);

fn task(sleep_ms: u64) -> Value {
    json!({ "kind": "noop", "payload": { "sleep_ms": sleep_ms, "progress_steps": 4 } })
}

/// Tasks of one user that never come to an end.
struct Load<'s> {
    site: &'s Site,
    token: String,
    ids: Vec<String>,
}

impl Load<'_> {
    /// Sees to it that more waits than can run.
    fn keep_up(&mut self) {
        if self.site.counts(&self.token).queued >= IN_LINE_MIN {
            return;
        }
        let one = |n: usize| if n.is_multiple_of(LONG_EVERY) { task(LONG_MS) } else { task(250) };
        let portion: Vec<Value> = (0..PORTION).map(one).collect();
        let accepted = self.site.submit(&self.token, &portion);
        self.ids.extend(accepted.into_iter().map(|task| task.id));
    }

    /// Waits for something under load.
    #[track_caller]
    fn until(&mut self, what: &str, mut ready: impl FnMut() -> bool) {
        wait::until(what, PATIENCE, || {
            self.keep_up();
            ready()
        });
    }
}

/// Whether the worker is at some task of the demo user.
fn is_at_work(site: &Site, worker: &Worker) -> bool {
    let pages: Vec<TaskPage> =
        site.read(&site.demo(), &["/api/v1/tasks?status=running&limit=100".into()]);
    pages[0].tasks.iter().any(|task| is_by(&worker.tail, task.worker.as_deref()))
}

fn a_rolling_restart_costs_no_attempt(site: &Site) {
    let args = [&WORK[..], &DRAIN].concat();
    let mut workers: Vec<Worker> = (0..WORKERS).map(|_| site.worker(&args)).collect();
    site.wait_until_known(&workers);
    let mut load = Load { site, token: site.demo(), ids: Vec::new() };
    let mut replaced = Vec::new();
    for worker in &mut workers {
        load.until("a worker to have work", || is_at_work(site, worker));
        worker.process.signal(Signal::SIGTERM);
        let next = site.worker(&args);
        site.wait_until_known([&next]);
        load.until("its replacement to have work", || is_at_work(site, &next));
        load.until("the worker to end", || worker.process.ended().is_some());
        let status = worker.process.wait(PATIENCE);
        assert!(status.success(), "{status}: {}", worker.process.output());
        replaced.push(next);
    }
    site.wait_until_done(&load.token);

    let counts = site.counts(&load.token);
    assert_eq!((counts.failed, counts.cancelled), (0, 0), "{counts:?}");
    let all = site.histories(&load.token, &load.ids);
    let old = |row: &Attempt| workers.iter().any(|old| is_by(&old.tail, row.worker.as_deref()));
    let mut given_back = 0;
    for one in &all {
        one.completed_once_after(&["released"]);
        assert_eq!(one.task.attempt, 1, "{one:?}");
        let back = one.rows.iter().filter(|row| row.outcome == "released");
        for row in back {
            assert!(old(row), "by a worker that stays: {one:?}");
            given_back += 1;
        }
    }
    eprintln!("{} tasks, {given_back} times one was given back", all.len());
    assert!(given_back > 0, "no worker had anything to give back");
}

#[test]
fn four_workers_are_replaced_under_load_and_no_attempt_is_spent_on_an_embedded_store() {
    a_rolling_restart_costs_no_attempt(&Site::embedded());
}

#[test]
fn four_workers_are_replaced_under_load_and_no_attempt_is_spent_on_redis() {
    a_rolling_restart_costs_no_attempt(&Site::redis());
}

#[test]
fn four_workers_are_replaced_under_load_and_no_attempt_is_spent_on_a_cluster() {
    a_rolling_restart_costs_no_attempt(&Site::cluster());
}

/// A worker that has one task in hand and drains.
fn draining(site: &Site) -> (Worker, String) {
    // One place each: the next task goes to the next worker.
    let mut worker = site.worker(&["--kinds", "noop", "--concurrency", "1"]);
    site.wait_until_known([&worker]);
    let id = site.submit(&site.demo(), &[task(HELD_MS)]).remove(0).id;
    let task = site.installation.wait_for(&id, "running", PATIENCE);
    assert!(is_by(&worker.tail, task["worker"].as_str()), "{task}");
    worker.process.signal(Signal::SIGTERM);
    worker.process.line_with("again to stop at once", PATIENCE);
    (worker, id)
}

fn a_drain_that_is_cut_short_loses_nothing(site: &Site) {
    let (mut told_twice, its_task) = draining(site);
    told_twice.process.signal(Signal::SIGTERM);
    let status = told_twice.process.wait(AT_ONCE);
    assert_eq!(status.code(), Some(128 + 15), "{}", told_twice.process.output());
    let (mut killed, the_other) = draining(site);
    killed.process.signal(Signal::SIGKILL);
    assert!(kill_point::killed(killed.process.wait(AT_ONCE)));

    let _next = site.worker(&WORK);
    site.wait_until_done(&site.demo());
    let histories = site.histories(&site.demo(), &[its_task, the_other]);
    let [of_told, of_killed] = histories.as_slice() else { panic!("two tasks: {histories:?}") };
    // Stopped at once is stopped without a word, but nothing accepted is lost by that.
    for (one, worker) in [(of_told, &told_twice), (of_killed, &killed)] {
        one.completed_once_after(&["lost"]);
        assert_eq!((one.task.attempt, one.rows.len()), (2, 2), "{one:?}");
        assert!(is_by(&worker.tail, one.rows[0].worker.as_deref()), "{one:?}");
    }
}

#[test]
fn a_second_signal_and_a_kill_in_a_drain_cost_an_attempt_and_no_task_on_an_embedded_store() {
    a_drain_that_is_cut_short_loses_nothing(&Site::embedded());
}

#[test]
fn a_second_signal_and_a_kill_in_a_drain_cost_an_attempt_and_no_task_on_redis() {
    a_drain_that_is_cut_short_loses_nothing(&Site::redis());
}

#[test]
fn a_second_signal_and_a_kill_in_a_drain_cost_an_attempt_and_no_task_on_a_cluster() {
    a_drain_that_is_cut_short_loses_nothing(&Site::cluster());
}
