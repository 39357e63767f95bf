//! Queues and one's own work, paused and resumed: words, exit codes, and why a task does not run.

use std::process::Command;

use serde_json::Value;

use crate::support::{Installation, PATIENCE, operator, refused, run, said};

fn why(installation: &Installation, id: &str) -> Value {
    let told = said(installation.client().args(["task", "why", id, "--json"]));
    serde_json::from_str(&told).expect("a reason")
}

fn notes(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_paused_queue_starts_nothing_says_why_and_goes_on_when_it_is_resumed() {
    let installation = Installation::up(&[]);
    let (code, _) = refused(installation.client().args(["queue", "pause", "noop"]));
    assert_eq!(code, 1, "queues are set by operators");
    let told = said(operator(&installation).args(["queue", "pause", "noop"]));
    assert!(told.contains("QUEUE") && told.contains("paused"), "{told}");
    let id = installation.submit("noop", "{}", &[]);
    assert_eq!(why(&installation, &id)["reason"], "queue_paused");
    let words = said(installation.client().args(["task", "why", &id]));
    assert!(words.contains("paused"), "{words}");
    let list = said(operator(&installation).args(["queue", "list", "--json"]));
    let list: Value = serde_json::from_str(&list).expect("queues");
    let noop = list["queues"].as_array().expect("a list").iter().find(|of| of["queue"] == "noop");
    assert_eq!(noop.expect("the queue")["paused"], true, "{list}");

    let set = ["queue", "user", "noop", "demo", "--weight", "3", "--json"];
    let set: Value =
        serde_json::from_str(&said(operator(&installation).args(set))).expect("a user");
    assert_eq!(set["weight"], 3);
    said(operator(&installation).args(["queue", "set", "noop", "--waiting-max", "1"]));
    let (code, words) = refused(installation.client().args(["submit", "noop"]));
    assert_eq!(code, 1, "one waits already: {words}");
    said(operator(&installation).args(["queue", "set", "noop", "--waiting-max", "default"]));
    let set = ["queue", "set", "noop", "--running-max", "2", "--json"];
    let set: Value =
        serde_json::from_str(&said(operator(&installation).args(set))).expect("a queue");
    assert_eq!(set["running_max"], 2);
    let told = said(operator(&installation).args(["queue", "show", "noop"]));
    assert!(told.contains("RUNNING MAX"), "{told}");
    said(operator(&installation).args(["queue", "user", "noop", "demo", "--running-max", "5"]));
    let set = ["queue", "set", "noop", "--running-total-max", "20", "--json"];
    let set: Value =
        serde_json::from_str(&said(operator(&installation).args(set))).expect("a queue");
    assert_eq!((&set["running_total_max"], &set["running_max"]), (&20.into(), &2.into()));
    let told = said(operator(&installation).args(["queue", "list"]));
    assert!(told.contains("RUNNING TOTAL") && told.contains("0 of 20"), "{told}");
    let set = ["queue", "set", "noop", "--rate", "500/60s", "--burst", "50", "--json"];
    let set: Value =
        serde_json::from_str(&said(operator(&installation).args(set))).expect("a queue");
    assert_eq!(set["rate"], serde_json::json!({ "tasks": 500, "per_ms": 60_000, "burst": 50 }));
    let set = ["queue", "set", "noop", "--rate-total", "9000/60s", "--burst-total", "70", "--json"];
    let set: Value =
        serde_json::from_str(&said(operator(&installation).args(set))).expect("a queue");
    let rate = serde_json::json!({ "tasks": 9_000, "per_ms": 60_000, "burst": 70 });
    assert_eq!((&set["rate_total"], &set["rate"]["tasks"]), (&rate, &500.into()));
    let told = said(operator(&installation).args(["queue", "list"]));
    assert!(told.contains("RATE TOTAL") && told.contains("9000/1m, 70 at once"), "{told}");
    let set = ["queue", "set", "noop", "--turns", "run_time", "--json"];
    let set: Value =
        serde_json::from_str(&said(operator(&installation).args(set))).expect("a queue");
    assert_eq!(set["turns"], "run_time");
    let told = said(operator(&installation).args(["queue", "list"]));
    assert!(told.contains("TURNS") && told.contains("run_time"), "{told}");
    let (code, words) =
        refused(operator(&installation).args(["queue", "set", "noop", "--turns", "time"]));
    assert!(code == 2 && words.contains("`count` or `run_time`"), "{words}");
    for bad in [&["queue", "set", "noop"][..], &["queue", "user", "noop", "demo", "--weight", "0"]]
    {
        assert_eq!(refused(operator(&installation).args(bad)).0, 2, "{bad:?}");
    }

    said(operator(&installation).args(["queue", "resume", "noop"]));
    installation.wait_for(&id, "completed", PATIENCE);
}

#[test]
fn ones_own_work_is_paused_and_resumed_and_an_operators_pause_is_another() {
    let installation = Installation::up(&[]);
    let told = notes(installation.client().arg("pause"));
    assert!(told.contains("none of your tasks are started until `tasktonic resume`"), "{told}");
    let id = installation.submit("noop", "{}", &[]);
    assert_eq!(why(&installation, &id)["reason"], "user_paused");

    let told = notes(operator(&installation).args(["pause", "--user", "demo"]));
    assert!(told.contains("`tasktonic resume --user demo`"), "{told}");
    let told = notes(installation.client().arg("resume"));
    assert!(told.contains("whoever runs the installation"), "{told}");
    assert_eq!(why(&installation, &id)["reason"], "operator_paused");
    let told = notes(operator(&installation).args(["resume", "--user", "demo"]));
    assert!(told.contains("the tasks of demo are started again"), "{told}");
    installation.wait_for(&id, "completed", PATIENCE);
}
