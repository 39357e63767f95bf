//! Starting, stopping, starting again.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use tasktonic_testkit::process::wait_for_empty_group;

use nix::sys::signal::Signal;

use crate::support::{Installation, PATIENCE, refused, said};

#[test]
fn it_says_when_it_is_ready_and_ends_with_nothing_left_when_asked() {
    let mut installation = Installation::up(&[]);
    let ready = &installation.ready;
    assert_eq!(ready["user"], "demo");
    assert!(ready["password"].as_str().is_some_and(|password| password.len() > 20), "{ready}");
    said(installation.client().args(["submit", "noop", "--follow"]));
    let server = installation.server.as_mut().expect("it runs");
    let group = server.id();
    server.signal(Signal::SIGTERM);
    assert!(server.wait(PATIENCE).success());
    wait_for_empty_group(group, PATIENCE);
}

#[test]
fn what_is_secret_is_for_its_owner_alone() {
    let installation = Installation::up(&[]);
    let mode = |name: &str| {
        let found = std::fs::metadata(installation.data().join(name)).expect("it is there");
        found.permissions().mode() & 0o777
    };
    assert_eq!(mode(""), 0o700);
    for folder in ["store", "keys", "files", "log"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    for file in ["keys/access.key", "keys/demo-password", "log/tasktonic.log"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
}

#[test]
fn the_same_login_works_after_a_second_start_and_after_a_kill() {
    let mut installation = Installation::up(&[]);
    let first = installation.ready["password"].clone();
    let id = installation.submit("noop", r#"{"sleep_ms":1}"#, &["--follow"]);
    installation.server.as_mut().expect("it runs").crash();
    installation.start(&[]);
    assert_eq!(installation.ready["password"], first);
    assert_eq!(installation.task(&id)["status"], "completed");
}

#[test]
fn a_second_process_on_the_same_folder_is_refused_with_a_reason() {
    let installation = Installation::up(&[]);
    let (code, words) = refused(&mut installation.up_command(&["--no-ui", "--port", "0"]));
    assert_eq!(code, 1);
    assert!(words.contains("in use by another process"), "{words}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let installation = Installation::up(&[]);
    let other = Installation::new();
    let (code, words) =
        refused(&mut other.up_command(&["--no-ui", "--port", &installation.port()]));
    assert_eq!(code, 1);
    assert!(words.contains(&installation.port()) && words.contains("--port"), "{words}");
}

#[test]
fn a_worker_that_cannot_work_ends_it_with_a_reason() {
    let mut installation = Installation::new();
    let kinds = |names: &[&str]| {
        let one = |name: &&str| {
            format!("[[exec]]\nkind = \"{name}\"\nqueue = \"shared\"\ncommand = [\"true\"]\n")
        };
        names.iter().map(one).collect::<String>()
    };
    let config = installation.data().join("tasktonic.toml");
    crate::support::write(&config, &kinds(&["a.one", "a.two"]));
    installation.start(&[]);
    let server = installation.server.as_mut().expect("it runs");
    server.signal(Signal::SIGTERM);
    assert!(server.wait(PATIENCE).success());
    // The tasks of the second kind may still be there, and nobody could run them.
    crate::support::write(&config, &kinds(&["a.one"]));
    let (code, words) = refused(&mut installation.up_command(&["--no-ui", "--port", "0"]));
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("a.two") && words.contains("shared"), "{words}");
}

#[test]
fn attempts_may_finish_when_it_is_asked_to_stop() {
    let mut installation = Installation::up(&[]);
    let id = installation.submit("noop", r#"{"sleep_ms":1500}"#, &[]);
    installation.wait_for(&id, "running", PATIENCE);
    let server = installation.server.as_mut().expect("it runs");
    server.signal(Signal::SIGINT);
    assert!(server.wait(PATIENCE).success());
    installation.start(&["--no-workers"]);
    let task = installation.task(&id);
    assert_eq!((&task["status"], &task["attempt"]), (&"completed".into(), &1.into()));
}

#[test]
fn an_attempt_that_takes_too_long_for_that_is_given_back_unharmed() {
    let installation = Installation::up(&["--no-workers"]);
    let mut worker = tasktonic_testkit::Process::start(
        &mut installation.work_command(&["--kinds", "noop", "--drain", "1"]),
    );
    // The kind is known once the worker has announced it.
    let id = tasktonic_testkit::wait::for_some("an accepted task", PATIENCE, || {
        let mut submit = installation.client();
        submit.args(["submit", "noop", "--json", "--data", r#"{"sleep_ms":600000}"#]);
        let output = crate::support::run(&mut submit);
        let task: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(task["id"].as_str()?.to_owned())
    });
    installation.wait_for(&id, "running", PATIENCE);
    worker.signal(Signal::SIGTERM);
    worker.wait(Duration::from_secs(20));
    let task = installation.task(&id);
    assert_eq!((&task["status"], &task["attempt"]), (&"queued".into(), &0.into()), "{task}");
}

#[test]
fn serve_answers_and_says_when_it_is_not_asked_properly() {
    let installation = Installation::new();
    let mut command = crate::support::tasktonic();
    command.args(["serve", "--store", "sqlite:x"]);
    let (code, words) = refused(&mut command);
    assert_eq!(code, 2);
    assert!(words.contains("embedded:FOLDER"), "{words}");

    let mut command = crate::support::tasktonic();
    let store = format!("embedded:{}", installation.scratch.join("store").display());
    command.args(["serve", "--port", "0", "--store", &store, "--data"]).arg(installation.data());
    let mut server = tasktonic_testkit::Process::start(&mut command);
    let line = server.line_with("listening", PATIENCE);
    assert!(line.contains("127.0.0.1:"), "{line}");
    server.signal(Signal::SIGTERM);
    assert!(server.wait(PATIENCE).success());
}
