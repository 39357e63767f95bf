//! Schedules on the command line, and what becomes of their ticks when the server is killed.

use serde_json::{Value, json};
use tasktonic_testkit::wait;

use crate::support::{Installation, PATIENCE, refused, run, said, write};

/// A running installation whose kinds are known.
fn installation() -> Installation {
    let installation = Installation::up(&[]);
    wait::until("the kinds to be known", PATIENCE, || {
        said(installation.client().arg("kinds")).contains("noop")
    });
    installation
}

fn one(installation: &Installation, args: &[&str]) -> Value {
    let mut command = installation.client();
    let text = said(command.arg("schedule").args(args).arg("--json"));
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_schedule_is_made_looked_at_changed_and_removed() {
    let installation = installation();
    let words = |args: &[&str]| said(installation.client().arg("schedule").args(args));
    assert_eq!(words(&["list"]), "", "nothing yet");
    let cron = ["--cron", "0 3 * * mon-fri", "--zone", "Europe/Berlin", "--tag", "night"];
    let made = words(&[&["add", "nightly", "noop"][..], &cron].concat());
    assert!(made.contains("at 03:00 on Monday to Friday, Europe/Berlin"), "{made}");
    let (code, said) = refused(
        installation.client().args(["schedule", "add", "nightly", "noop", "--every", "5m"]),
    );
    assert!(code == 1 && said.contains("another name"), "{said}");
    let wrong = ["schedule", "add", "x", "noop", "--cron", "0 25 * * *"];
    let (code, said) = refused(installation.client().args(wrong));
    assert!(code == 1 && said.contains("hour: `25`"), "{said}");
    let code = |args: &[&str]| run(installation.client().arg("schedule").args(args)).status.code();
    assert_eq!(code(&["add", "x", "noop"]), Some(2), "when, it does not say");
    assert_eq!(code(&["add", "x", "noop", "--every", "soon"]), Some(2));
    assert_eq!(code(&["show", "nothing"]), Some(1));

    let paused = one(&installation, &["pause", "nightly"]);
    assert_eq!((&paused["status"], &paused["next_at"]), (&json!("paused"), &Value::Null));
    assert!(words(&["list"]).contains("paused"));
    let edited =
        one(&installation, &["edit", "nightly", "--every", "1h 30m", "--data", "{\"sleep_ms\":1}"]);
    assert_eq!((&edited["cron"], &edited["every_ms"]), (&Value::Null, &json!(5_400_000)));
    assert_eq!((&edited["status"], &edited["task"]["tags"]), (&json!("paused"), &json!(["night"])));
    assert_eq!(one(&installation, &["resume", "nightly"])["status"], "active");
    let task = one(&installation, &["run", "nightly"]);
    installation.wait_for(task["id"].as_str().expect("an id"), "completed", PATIENCE);
    assert_eq!(words(&["next", "nightly", "--count", "3"]).lines().count(), 3);
    let preview = one(&installation, &["next", "--cron", "@daily", "--count", "2"]);
    assert_eq!((&preview["words"], &preview["zone"]), (&json!("at 00:00"), &json!("UTC")));

    let file = installation.scratch.join("set.json");
    let declared = json!({ "set": "ours", "schedules": [
        { "name": "a", "every_ms": 3_600_000, "task": { "kind": "noop", "payload": {} } },
        { "name": "b", "cron": "@weekly", "task": { "kind": "noop", "payload": {} } },
    ] });
    write(&file, &declared.to_string());
    let path = file.to_str().expect("a path");
    assert_eq!(one(&installation, &["apply", path])["added"], json!(["a", "b"]));
    write(&file, &json!({ "set": "ours", "schedules": [declared["schedules"][0]] }).to_string());
    let done = words(&["apply", path]);
    assert!(done.contains("removed    b") && done.contains("unchanged  a"), "{done}");
    words(&["remove", "nightly"]);
    let left = one(&installation, &["list"]);
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");
}

/// The ticks that made tasks, in order, in ms.
fn ticks(installation: &Installation) -> Vec<i64> {
    let text = said(installation.client().args(["task", "list", "--limit", "200", "--json"]));
    let page: Value = serde_json::from_str(&text).expect("a page");
    let at = |task: &Value| {
        let at = task["schedule"]["at"].as_str().expect("made by a schedule");
        tasktonic_protocol::time::parse_rfc3339(at).expect("a time")
    };
    let mut ticks: Vec<i64> = page["tasks"].as_array().expect("tasks").iter().map(at).collect();
    ticks.sort_unstable();
    ticks
}

#[test]
fn a_server_that_is_killed_again_and_again_takes_each_tick_once() {
    let mut installation = installation();
    let often = ["add", "often", "noop", "--every", "1s", "--catch-up", "all"];
    one(&installation, &often);
    for round in 1..=3 {
        wait::until("ticks to be taken", PATIENCE, || ticks(&installation).len() >= 2 * round);
        // Without a word, at whatever it is.
        drop(installation.server.take());
        installation.start(&[]);
    }
    wait::until("ticks to be taken again", PATIENCE, || ticks(&installation).len() >= 12);
    let all = ticks(&installation);
    for pair in all.windows(2) {
        assert_eq!(pair[1] - pair[0], 1_000, "each once, and none left out: {all:?}");
    }
}
