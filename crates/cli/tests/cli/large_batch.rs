//! A batch of ten thousand tasks that is opened, filled in parts and closed while its server and its
//! workers are killed: what follows it runs once, after all of it, and its bar is right.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tasktonic_testkit::{Process, Redis, redis, wait};

use crate::support::{Installation, PATIENCE, said, tasktonic, write};

/// Tasks in all, and in one request.
const TASKS: usize = 10_000;
const CHUNK: usize = 125;
/// After how many requests a worker, and the server, is killed again.
const WORKER_EVERY: usize = 16;
const SERVER_EVERY: usize = 30;
/// How long all may take that is left when the last part is in, leases of killed workers included.
const DONE_WITHIN: Duration = Duration::from_secs(120);
const WORKERS: usize = 2;

/// What follows the batch: a program that leaves a mark each time it runs.
const CONFIG: &str = r#"
[[exec]]
kind = "batch.over"
command = ["sh", "-c", "cat > /dev/null; echo over >> marks"]
"#;

fn part(from: usize) -> String {
    let task =
        |n: usize| json!({ "name": format!("n{n}"), "task": { "kind": "noop", "payload": {} } });
    Value::from((from..from + CHUNK).map(task).collect::<Vec<_>>()).to_string()
}

/// `server` is the command of a server on the port of an installation, `worker` that of a worker.
fn of_ten_thousand(
    mut installation: Installation,
    server: &dyn Fn(&Installation) -> Command,
    worker: &dyn Fn(&Installation) -> Command,
) {
    write(&config(&installation), CONFIG);
    let start = |installation: &Installation| Process::start(&mut worker(installation));
    let mut workers: Vec<Process> = (0..WORKERS).map(|_| start(&installation)).collect();
    wait::until("the kinds to be known", PATIENCE, || {
        let kinds = said(installation.client().args(["kinds", "--json"]));
        kinds.contains("batch.over") && kinds.contains("noop")
    });
    let open = ["batch", "open", "--then", "batch.over", "--json"];
    let opened: Value =
        serde_json::from_str(&said(installation.client().args(open))).expect("JSON");
    let id = opened["task"]["id"].as_str().expect("an id").to_owned();

    // The names make each part the same when it is said again after a lost answer.
    let added = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (file, client) = (installation.scratch.join("part.json"), || installation.client());
        let (id, added) = (&id, &added);
        let commands: Vec<Command> = (0..TASKS / CHUNK).map(|_| client()).collect();
        let adder = scope.spawn(move || {
            for (n, mut command) in commands.into_iter().enumerate() {
                write(&file, &part(n * CHUNK));
                let at = format!("@{}", file.display());
                command.args(["batch", "add", id, &at]);
                wait::until("a part to be taken", PATIENCE, || {
                    command.output().is_ok_and(|output| output.status.success())
                });
                added.fetch_add(1, Ordering::SeqCst);
            }
        });
        let (mut server_kills, mut worker_kills) = (0, 0);
        while !adder.is_finished() {
            let parts = added.load(Ordering::SeqCst);
            if parts / WORKER_EVERY > worker_kills {
                let doomed = worker_kills % WORKERS;
                workers[doomed].crash();
                workers[doomed] = start(&installation);
                worker_kills += 1;
            }
            if parts / SERVER_EVERY > server_kills {
                let mut running = installation.server.take().expect("it runs");
                running.crash();
                let mut next = Process::start(&mut server(&installation));
                next.line_with("\"ready\":true", PATIENCE);
                installation.server = Some(next);
                server_kills += 1;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(server_kills >= 2 && worker_kills >= 4, "{server_kills} and {worker_kills} kills");
    });
    said(installation.client().args(["batch", "seal", &id]));
    let task = installation.wait_for(&id, "completed", DONE_WITHIN);
    assert_eq!(task["attempt"], 1, "{task}");
    let marks = std::fs::read_to_string(marks(&installation)).expect("it left a mark");
    assert_eq!(marks, "over\n", "what follows the batch ran once");
    let flow: Value =
        serde_json::from_str(&said(installation.client().args(["batch", "show", &id, "--json"])))
            .expect("JSON");
    let all = u64::try_from(TASKS).expect("a number");
    let numbers = json!({ "total": all, "completed": all, "failed": 0, "cancelled": 0 });
    assert_eq!(flow["roll_up"], numbers);
}

fn marks(installation: &Installation) -> PathBuf {
    installation.scratch.join("marks")
}

fn config(installation: &Installation) -> PathBuf {
    installation.scratch.join("tasktonic.toml")
}

/// What a worker is told: whatever the store, it does both kinds.
fn both_kinds(mut command: Command, installation: &Installation) -> Command {
    command.args(["--concurrency", "32", "--kinds", "noop,batch.over", "--config"]);
    command.arg(config(installation));
    command
}

#[test]
fn ten_thousand_tasks_are_followed_by_one_whatever_is_killed_on_an_embedded_store() {
    let installation = Installation::up(&["--no-workers"]);
    let server =
        |one: &Installation| one.up_command(&["--no-ui", "--no-workers", "--port", &one.port()]);
    let worker = |one: &Installation| both_kinds(one.work_command(&[]), one);
    of_ten_thousand(installation, &server, &worker);
}

#[test]
fn ten_thousand_tasks_are_followed_by_one_whatever_is_killed_on_redis() {
    let redis = Redis::start(redis::Options::default());
    let ours = |verb: &str, data: &Path, from: &Path| {
        let mut command = tasktonic();
        command.arg(verb).arg("--data").arg(data).env("TASKTONIC_STORE", redis.url());
        command.current_dir(from);
        command
    };
    let up = |one: &Installation, port: &str| {
        let mut command = ours("up", &one.data(), one.scratch.path());
        command.args(["--json", "--no-ui", "--no-workers", "--port", port]);
        command
    };
    let mut installation = Installation::new();
    let mut first = up(&installation, "0");
    installation.start_with(&mut first);
    let worker =
        |one: &Installation| both_kinds(ours("work", &one.data(), one.scratch.path()), one);
    of_ten_thousand(installation, &|one| up(one, &one.port()), &worker);
}
