//! Many tasks handed over from a file or from standard input.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Installation, refused, run, said, tasktonic, write};

fn task(n: usize) -> Value {
    json!({ "kind": "noop", "payload": {}, "idempotency_key": format!("k{n}"), "delay_ms": 3_600_000 })
}

#[test]
fn of_a_file_with_bad_lines_the_good_ones_are_accepted_and_each_bad_one_says_where() {
    let installation = Installation::up(&[]);
    let file = installation.scratch.join("tasks.ndjson");
    let mut text = String::new();
    for n in 1..=1_100 {
        match n {
            7 => text.push_str("{\"kind\":\"noop\",\n"),
            300 => text.push_str(&format!("{}\n", json!({ "kind": "no.such", "payload": {} }))),
            1_050 => {
                let bad = json!({ "kind": "noop", "payload": { "sleep_ms": "long" } });
                text.push_str(&format!("{bad}\n"));
            }
            _ => text.push_str(&format!("{}\n", task(n))),
        }
    }
    write(&file, &text);
    let mut command = installation.client();
    let output = run(command.args(["submit", "--batch"]).arg(&file));
    let (ids, words) = (
        String::from_utf8(output.stdout).expect("text"),
        String::from_utf8(output.stderr).expect("text"),
    );
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert_eq!(ids.lines().count(), 1_097);
    for word in
        ["line 7: ", "line 300: ", "line 1050: ", "/sleep_ms", "1097 tasks accepted, 3 refused"]
    {
        assert!(words.contains(word), "{word}: {words}");
    }
    let counts = |args: &[&str]| said(installation.client().args(args));
    let matched = counts(&["task", "cancel", "--all", "--dry-run"]);
    assert_eq!(matched, "1097 tasks match\n");

    // The same again under the same keys makes none; what each line became is there as JSON.
    let mut command = installation.client();
    let output = run(command.args(["submit", "--json", "--batch"]).arg(&file));
    assert_eq!(output.status.code(), Some(1));
    let said: Vec<Value> = String::from_utf8(output.stdout)
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(said.len(), 1_100);
    let tasks: Vec<_> = said.iter().filter_map(|one| one["task"]["id"].as_str()).collect();
    assert_eq!(tasks, ids.lines().collect::<Vec<_>>());
    assert_eq!((&said[6]["line"], &said[6]["error"]["code"]), (&json!(7), &json!("bad_request")));
    assert_eq!(said[1_049]["error"]["errors"][0]["pointer"], "/sleep_ms");
    assert_eq!(counts(&["task", "cancel", "--all", "--dry-run"]), matched);
}

#[test]
fn a_batch_comes_from_standard_input_too() {
    let installation = Installation::up(&[]);
    let mut command = installation.client();
    command.args(["submit", "--batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("our program starts");
    let mut input = child.stdin.take().expect("piped");
    write!(input, "{}\n\n{}", task(1), task(2)).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
}

#[test]
fn a_batch_that_is_not_taken_says_from_where_to_go_on() {
    let installation = Installation::new();
    let file = installation.scratch.join("tasks.ndjson");
    write(&file, &format!("\n{}\n{}\n", task(1), task(2)));
    let mut command = tasktonic();
    command.env("TASKTONIC_URL", "http://127.0.0.1:1").env("TASKTONIC_TOKEN", "t");
    let (code, words) = refused(command.args(["submit", "--batch"]).arg(&file));
    assert!(code == 1 && words.contains("lines 2 to 3 were not taken"), "{code}: {words}");
    assert!(words.contains("go on from line 2") && words.contains("cannot be reached"), "{words}");
    let mut command = tasktonic();
    command.env("TASKTONIC_URL", "http://127.0.0.1:1").env("TASKTONIC_TOKEN", "t");
    let (code, words) = refused(command.args(["submit", "noop", "--batch"]).arg(&file));
    assert_eq!(code, 2, "{words}");
    let mut command = tasktonic();
    command.env("TASKTONIC_URL", "http://127.0.0.1:1").env("TASKTONIC_TOKEN", "t");
    let (code, words) = refused(command.args(["submit", "--batch", "/no/such/file"]));
    assert!(code == 1 && words.contains("/no/such/file"), "{code}: {words}");
}
