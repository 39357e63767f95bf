//! Killed at every named point, and what is there afterwards.

use std::process::Command;
use std::time::Duration;

use tasktonic_testkit::{Process, kill_point, wait};

use crate::support::{Installation, PATIENCE, write};

/// Lease, tick and a second start, on a busy machine; the promise of 15 s is measured elsewhere.
const RECOVERY: Duration = Duration::from_secs(40);

/// A worker that dies at `point` leaves its task to another, and it is completed all the same.
fn a_worker_killed_at(point: &str, data: &str) -> serde_json::Value {
    let installation = Installation::up(&["--no-workers"]);
    let kinds = ["--kinds", "noop", "--concurrency", "2"];
    let mut doomed_command = installation.work_command(&kinds);
    let mut doomed = Process::start(kill_point::at(&mut doomed_command, point, 1));
    let mut known = None;
    wait::until("the kind to be known", PATIENCE, || {
        let mut command = installation.client();
        command.args(["submit", "noop", "--data", data, "--json"]);
        let output = crate::support::run(&mut command);
        known = serde_json::from_slice::<serde_json::Value>(&output.stdout).ok();
        output.status.success()
    });
    let id = known.expect("accepted")["id"].as_str().expect("an id").to_owned();
    assert!(kill_point::killed(doomed.wait(PATIENCE)), "it was not killed at {point}");
    let _next = Process::start(&mut installation.work_command(&kinds));
    installation.wait_for(&id, "completed", RECOVERY)
}

#[test]
fn a_worker_killed_after_its_claim_costs_one_attempt() {
    let task = a_worker_killed_at("worker_after_claim", "{}");
    assert_eq!(task["attempt"], 2, "{task}");
}

#[test]
fn a_worker_killed_in_the_middle_costs_one_attempt() {
    let task = a_worker_killed_at("worker_mid_run", r#"{"sleep_ms":400,"progress_steps":4}"#);
    assert_eq!(task["attempt"], 2, "{task}");
}

#[test]
fn a_worker_killed_before_its_ack_costs_one_attempt() {
    let task = a_worker_killed_at("worker_before_ack", "{}");
    assert_eq!(task["attempt"], 2, "{task}");
}

#[test]
fn a_worker_killed_after_its_ack_costs_nothing() {
    let task = a_worker_killed_at("worker_after_ack", "{}");
    assert_eq!(task["attempt"], 1, "{task}");
}

#[test]
fn a_server_killed_before_it_answers_has_the_task_once() {
    let mut installation = Installation::new();
    let mut command = installation.up_command(&["--no-ui", "--port", "0"]);
    installation.start_with(kill_point::at(&mut command, "server_before_reply", 1));
    let port = installation.port();
    let mut submit = installation.client();
    submit.args(["submit", "noop", "--json", "--idempotency-key", "once"]);
    let client = std::thread::spawn(move || crate::support::run(&mut submit));
    let mut killed = installation.server.take().expect("it ran");
    assert!(kill_point::killed(killed.wait(PATIENCE)));
    drop(killed);
    let mut again = installation.up_command(&["--no-ui", "--port", &port]);
    installation.start_with(&mut again);
    let output = client.join().expect("the client ends");
    assert!(output.status.success(), "the client asks again: {output:?}");
    let task: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a task");
    installation.wait_for(task["id"].as_str().expect("an id"), "completed", RECOVERY);
    let list = crate::support::said(installation.client().args(["task", "list", "--json"]));
    let page: serde_json::Value = serde_json::from_str(&list).expect("a page");
    assert_eq!(page["tasks"].as_array().map(Vec::len), Some(1), "{page}");
}

#[test]
fn a_server_killed_before_a_snapshot_is_followed_on_by_its_clients() {
    let mut installation = Installation::new();
    let mut command = installation.up_command(&["--no-ui", "--port", "0"]);
    installation.start_with(kill_point::at(&mut command, "server_before_snapshot", 1));
    let port = installation.port();
    let mut submit = installation.client();
    submit.args(["submit", "noop", "--data", r#"{"sleep_ms":500}"#, "--follow", "--json"]);
    let client = std::thread::spawn(move || crate::support::run(&mut submit));
    let mut killed = installation.server.take().expect("it ran");
    assert!(kill_point::killed(killed.wait(PATIENCE)));
    drop(killed);
    let mut again = installation.up_command(&["--no-ui", "--port", &port]);
    installation.start_with(&mut again);
    let output = client.join().expect("the client ends");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_server_killed_in_its_drain_has_all_it_accepted() {
    let mut installation = Installation::new();
    let mut command = installation.up_command(&["--no-ui", "--port", "0"]);
    installation.start_with(kill_point::at(&mut command, "server_in_drain", 1));
    let id = installation.submit("noop", "{}", &["--delay-ms", "3600000"]);
    let mut killed = installation.server.take().expect("it ran");
    killed.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(kill_point::killed(killed.wait(PATIENCE)));
    drop(killed);
    installation.start(&[]);
    assert_eq!(installation.task(&id)["status"], "scheduled");
}

#[test]
fn every_point_has_a_name_that_the_program_lists() {
    let names = kill_point::names(std::path::Path::new(env!("CARGO_BIN_EXE_tasktonic")));
    for point in tasktonic_store::KillPoint::ALL {
        assert!(names.iter().any(|name| name == point.name()), "{}", point.name());
    }
}

/// A task whose process dies with it uses up its attempts like any other.
#[test]
fn a_killed_server_takes_its_own_attempts_as_lost_and_goes_on() {
    let mut installation = Installation::up(&[]);
    let id = installation.submit("noop", r#"{"sleep_ms":3000}"#, &[]);
    installation.wait_for(&id, "running", PATIENCE);
    installation.server.as_mut().expect("it runs").crash();
    installation.start(&[]);
    let task = installation.wait_for(&id, "completed", RECOVERY);
    assert_eq!(task["attempt"], 2, "{task}");
}

/// How a process ends that aborts, that touches foreign memory or fills its stack, and that the kernel
/// ends because it eats all memory.
const POISON: [&str; 3] = ["ABRT", "SEGV", "KILL"];
/// Three leases that run out, one after the other, and as many starts, on a busy machine.
const POISON_PATIENCE: Duration = Duration::from_secs(150);

/// Tasks of another queue that run meanwhile.
const OTHERS_MAX: usize = 40;

/// Submits a task once its kind is known.
fn submit_once_known(installation: &Installation, kind: &str) -> String {
    let mut known = None;
    wait::until("the kind to be known", PATIENCE, || {
        let mut command = installation.client();
        let output = crate::support::run(command.args(["submit", kind, "--json"]));
        known = serde_json::from_slice::<serde_json::Value>(&output.stdout).ok();
        output.status.success()
    });
    known.expect("accepted")["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_task_that_kills_its_workers_ends_as_worker_lost_and_others_go_on() {
    let installation = Installation::up(&["--no-workers"]);
    let declared = POISON.map(|signal| {
        // Sent until it works: a first SIGSEGV may be taken for a full stack and forgiven.
        let script = format!("while kill -{signal} $PPID; do sleep 0.1; done");
        format!(
            "[[exec]]\nkind = \"poison.{signal}\"\ncommand = [\"sh\", \"-c\", \"{script}\"]\n\
             backoff = {{ wait = \"100ms\" }}\nattempts_max = 50\n"
        )
    });
    write(&installation.scratch.join("tasktonic.toml"), &declared.concat());
    let start = |kind: &str| Process::start(&mut installation.work_command(&["--kinds", kind]));
    let _healthy = start("noop");
    let kinds = POISON.map(|signal| format!("poison.{signal}"));
    let mut workers: Vec<Process> = kinds.iter().map(|kind| start(kind)).collect();
    let mut others = vec![submit_once_known(&installation, "noop")];
    let poisons: Vec<String> =
        kinds.iter().map(|kind| submit_once_known(&installation, kind)).collect();
    let mut deaths = [0; POISON.len()];
    wait::until("the poison to be dead", POISON_PATIENCE, || {
        for ((worker, kind), deaths) in workers.iter_mut().zip(&kinds).zip(&mut deaths) {
            if worker.ended().is_some() {
                *deaths += 1;
                *worker = start(kind);
            }
        }
        if others.len() < OTHERS_MAX {
            others.push(installation.submit("noop", r#"{"sleep_ms":50}"#, &[]));
        }
        poisons.iter().all(|id| installation.task(id)["status"] == "failed")
    });
    assert_eq!(deaths, [3; POISON.len()], "each took three workers, and no more");
    for id in &poisons {
        let task = installation.task(id);
        assert_eq!((&task["attempt"], &task["error"]["code"]), (&3.into(), &"worker_lost".into()));
        let reason = task["reason"].as_str().expect("a reason");
        assert!(reason.starts_with("worker_lost 3 times"), "{reason}");
        let text =
            crate::support::said(installation.client().args(["task", "attempts", id, "--json"]));
        let attempts: serde_json::Value = serde_json::from_str(&text).expect("attempts");
        let rows = attempts.as_array().expect("a list");
        assert_eq!(rows.len(), 3, "{attempts}");
        for row in rows {
            assert_eq!(row["outcome"], "lost", "{attempts}");
            let times = row["started_at"].is_string() && row["ended_at"].is_string();
            assert!(times && row["worker"].is_string(), "{attempts}");
        }
    }
    for id in &others {
        let task = installation.wait_for(id, "completed", PATIENCE);
        assert_eq!(task["attempt"], 1, "another queue's task is not touched: {task}");
    }
}

#[test]
fn a_stopped_worker_that_wakes_up_late_changes_nothing() {
    use nix::sys::signal::Signal;
    let installation = Installation::up(&["--no-workers"]);
    let kinds = ["--kinds", "noop"];
    let mut stale = Process::start(&mut installation.work_command(&kinds));
    let mut id = String::new();
    wait::until("the kind to be known", PATIENCE, || {
        let mut command: Command = installation.client();
        command.args(["submit", "noop", "--json"]);
        command.args(["--data", r#"{"sleep_ms":4000,"progress_steps":40}"#]);
        let output = crate::support::run(&mut command);
        let task = serde_json::from_slice::<serde_json::Value>(&output.stdout).ok();
        id = task.and_then(|t| t["id"].as_str().map(str::to_owned)).unwrap_or_default();
        output.status.success()
    });
    installation.wait_for(&id, "running", PATIENCE);
    stale.signal(Signal::SIGSTOP);
    let _next = Process::start(&mut installation.work_command(&kinds));
    wait::until("another attempt", RECOVERY, || installation.task(&id)["attempt"] == 2);
    stale.signal(Signal::SIGCONT);
    // Either it stops by its own clock, or what it says is refused: whichever comes first.
    stale.line_with("lease", PATIENCE);
    let task = installation.wait_for(&id, "completed", RECOVERY);
    assert_eq!(task["attempt"], 2, "the first attempt's end is not shown: {task}");
}
