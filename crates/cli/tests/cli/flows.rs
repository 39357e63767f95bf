//! Tasks that wait for each other, by the verbs of `flow`.

use std::time::Duration;

use serde_json::json;

use crate::support::{Installation, run, said, write};

/// How long what is not held back may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a line says of a task: its status, its name, and what it waits for.
fn told(text: &str) -> Vec<String> {
    let tasks = text.lines().skip(1).map(|line| line.split_whitespace().skip(1));
    tasks.map(|words| words.collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_flow_is_handed_over_added_to_stopped_and_sent_back() {
    let installation = Installation::up(&[]);
    let flow = |args: &[&str]| said(installation.client().arg("flow").args(args));
    said(installation.client().arg("pause"));

    let noop = |name: &str, after: &[&str]| {
        let task = json!({ "kind": "noop", "payload": {} });
        json!({ "name": name, "after": after, "task": task })
    };
    let tasks = [
        noop("report", &["resize", "count"]),
        noop("count", &["fetch"]),
        noop("fetch", &[]),
        noop("resize", &["fetch"]),
    ];
    let file = installation.scratch.join("flow.json");
    write(&file, &json!({ "tasks": tasks }).to_string());
    let file = file.display().to_string();

    // The name of a file alone is no flow, and the error says what is missing.
    let refused = run(installation.client().args(["flow", "submit", &file]));
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8(refused.stderr).expect("text");
    assert!(words.contains(&format!("'@{file}'")), "{words}");

    let text = flow(&["submit", &format!("@{file}")]);
    let id = text.split_whitespace().next().expect("the id").to_owned();
    assert!(text.contains("0 of 4 completed, 0 failed, 0 cancelled"), "{text}");
    // Whatever order they were written in, none stands before one that it waits for.
    let shown = told(&flow(&["show", &id]));
    assert_eq!(shown[0], "queued fetch");
    assert!(shown[1..3].contains(&"waiting resize after fetch".to_owned()), "{shown:?}");
    assert!(shown[1..3].contains(&"waiting count after fetch".to_owned()), "{shown:?}");
    assert!(shown[3].starts_with("waiting report after "), "{shown:?}");

    let added = flow(&["add", &id, &json!([noop("mail", &[])]).to_string()]);
    assert!(added.contains("of 5 completed"), "{added}");
    flow(&["cancel", &id]);
    installation.wait_for(&id, "cancelled", PATIENCE);
    let shown = told(&flow(&["show", &id]));
    assert!(shown.iter().all(|line| line.starts_with("cancelled ")), "{shown:?}");

    said(installation.client().arg("resume"));
    assert_eq!(flow(&["retry", &id]), format!("{id}  5 sent back\n"));
    installation.wait_for(&id, "completed", PATIENCE);
    assert!(flow(&["show", &id]).contains("5 of 5 completed, 0 failed, 0 cancelled"));
}
