//! Handing tasks over and looking at them: words and exit codes.

use serde_json::Value;

use crate::support::{Installation, PATIENCE, refused, run, said, tasktonic, write};

#[test]
fn exit_codes_tell_completed_from_failed_from_bad_use() {
    let installation = Installation::up(&[]);
    let code = |args: &[&str]| run(installation.client().args(args)).status.code();
    assert_eq!(code(&["submit", "noop", "--follow"]), Some(0));
    let failing = ["submit", "noop", "--data", r#"{"fail_rate":1}"#, "--attempts-max", "1"];
    assert_eq!(code(&[&failing[..], &["--follow"]].concat()), Some(1));
    assert_eq!(code(&failing), Some(0), "it was accepted");
    assert_eq!(code(&["submit", "noop", "--no-such-flag"]), Some(2));
    assert_eq!(code(&["submit", "noop", "--data", "{"]), Some(2));
    assert_eq!(code(&["task", "get", "AAAAAAAAAAAAAAAA"]), Some(1));
    assert_eq!(code(&["task", "list", "--status", "gone"]), Some(2));
}

#[test]
fn a_payload_that_does_not_fit_says_where_and_nothing_is_stored() {
    let installation = Installation::up(&[]);
    let mut command = installation.client();
    let (code, words) =
        refused(command.args(["submit", "noop", "--data", r#"{"sleep_ms":"long"}"#]));
    assert_eq!(code, 1);
    assert!(words.contains("/sleep_ms"), "{words}");
    let page: Value =
        serde_json::from_str(&said(installation.client().args(["task", "list", "--json"])))
            .expect("a page");
    assert_eq!(page["tasks"], Value::Array(vec![]));
}

#[test]
fn files_go_up_and_come_back_profiled() {
    let installation = Installation::up(&[]);
    let table = installation.scratch.join("t.csv");
    write(&table, "id,city\n1,Rome\n2,Oslo\n3,Rome\n");
    let mut command = installation.client();
    command.args(["submit", "csv.profile", "--follow", "--json", "--file"]).arg(&table);
    let task: Value = serde_json::from_str(&said(&mut command)).expect("a task");
    assert_eq!(task["status"], "completed");
    assert_eq!(task["output"]["rows"], 3, "{task}");
}

#[test]
fn tasks_are_listed_cancelled_tried_again_and_their_logs_shown() {
    let installation = Installation::up(&["--no-workers"]);
    // A kind is known once a worker has announced it.
    let worker =
        tasktonic_testkit::Process::start(&mut installation.work_command(&["--kinds", "noop"]));
    tasktonic_testkit::wait::until("the kind to be known", PATIENCE, || {
        run(installation.client().args(["submit", "noop", "--delay-ms", "3600000"]))
            .status
            .success()
    });
    drop(worker);
    let id = installation.submit("noop", "{}", &["--tag", "blue"]);
    let counted = said(installation.client().args(["task", "counts", "--json"]));
    let counted: Value = serde_json::from_str(&counted).expect("numbers");
    assert_eq!((&counted["queued"], &counted["scheduled"]), (&1.into(), &1.into()), "{counted}");
    assert!(counted["bytes"].as_u64().is_some_and(|bytes| bytes > 100), "{counted}");
    let words = said(installation.client().args(["task", "counts"]));
    assert!(words.contains("They hold ") && words.contains("queued"), "{words}");
    let listed = said(installation.client().args(["task", "list", "--tag", "blue"]));
    assert!(listed.contains(&id) && listed.contains("STATUS"), "{listed}");
    let cancelled = said(installation.client().args(["task", "cancel", &id]));
    assert!(cancelled.contains("cancelled"), "{cancelled}");
    let (code, words) = refused(installation.client().args(["task", "cancel", &id]));
    assert_eq!(code, 1, "{words}");
    said(installation.client().args(["task", "retry", &id]));
    assert_eq!(installation.task(&id)["status"], "queued");
    said(installation.client().args(["task", "logs", &id]));
}

#[test]
fn all_that_match_are_counted_stopped_tried_again_and_removed() {
    let installation = Installation::up(&[]);
    let task = |args: &[&str]| said(installation.client().arg("task").args(args));
    for _ in 0..70 {
        installation.submit("noop", "{}", &["--delay-ms", "3600000", "--tag", "blue"]);
    }
    let kept = installation.submit("noop", "{}", &["--delay-ms", "3600000"]);
    let counted = task(&["cancel", "--tag", "blue", "--dry-run"]);
    assert_eq!(counted, "70 tasks match\n");
    assert_eq!(task(&["cancel", "--tag", "blue"]), "70 tasks changed\n");
    assert_eq!(installation.task(&kept)["status"], "scheduled");
    assert_eq!(task(&["retry", "--tag", "blue", "--dry-run"]), "0 tasks match\n", "none failed");
    let purge = task(&["purge", "--tag", "blue", "--status", "cancelled", "--json"]);
    let operation: Value = serde_json::from_str(&purge).expect("a task");
    assert_eq!(operation["output"]["changed"], 70, "{operation}");
    assert_eq!(operation["kind"], "tasktonic.bulk");
    // One dead letter, corrected.
    let broken = ["--attempts-max", "1"];
    let id = installation.submit("noop", r#"{"fail_rate":1}"#, &broken);
    tasktonic_testkit::wait::until("it to fail", PATIENCE, || {
        installation.task(&id)["status"] == "failed"
    });
    task(&["retry", &id, "--data", r#"{"sleep_ms":1}"#]);
    tasktonic_testkit::wait::until("it to complete", PATIENCE, || {
        installation.task(&id)["status"] == "completed"
    });
    assert!(task(&["purge", &id]).contains("removed"));
    let (code, words) = refused(installation.client().args(["task", "purge", &kept]));
    assert!(code == 1 && words.contains("Cancel it first"), "{words}");
    for bad in [&["cancel"][..], &["purge", &id, "--all"], &["retry", &id, "--dry-run"]] {
        let (code, _) = refused(installation.client().arg("task").args(bad));
        assert_eq!(code, 2, "{bad:?}");
    }
}

#[test]
fn help_is_for_everybody_and_shows_examples() {
    for verb in [&["up"][..], &["work"], &["submit"], &["task", "list"], &["token", "mint"]] {
        let help = said(tasktonic().args(verb).arg("--help"));
        assert!(help.contains("Example") && help.contains("Usage: tasktonic"), "{verb:?}: {help}");
    }
}

#[test]
fn there_are_no_colours_where_nobody_looks() {
    let installation = Installation::up(&[]);
    let id = installation.submit("noop", "{}", &["--follow"]);
    assert!(!said(installation.client().args(["task", "get", &id])).contains('\u{1b}'));
}

#[test]
fn a_missing_token_is_explained() {
    let (code, words) = refused(tasktonic().args(["task", "list"]));
    assert_eq!(code, 1);
    assert!(words.contains("TASKTONIC_TOKEN") && words.contains("token mint"), "{words}");
}
