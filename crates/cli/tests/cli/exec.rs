//! Programs declared in tasktonic.toml.

use std::time::Duration;

use tasktonic_testkit::wait;

use crate::support::{Installation, PATIENCE, refused, said, write};

const CONFIG: &str = r#"
[[exec]]
kind = "letters.count"
command = ["sh", "-c", "read -r line; echo '{\"progress\":{\"done\":1,\"total\":2}}'; echo counting; echo \"{\\\"output\\\":{\\\"bytes\\\":${#line}}}\""]

[[exec]]
kind = "letters.many"
command = ["sh", "-c", "printf '{\"output\":\"'; head -c 300000 /dev/zero | tr '\\0' x; echo '\"}'"]

[[exec]]
kind = "sleeper"
command = ["sh", "-c", "sleep 600 & echo $! > sleeper.pid; wait"]
"#;

#[test]
fn a_long_output_of_a_program_is_printed_as_it_came() {
    let mut installation = Installation::new();
    write(&installation.data().join("tasktonic.toml"), CONFIG);
    installation.start(&[]);
    let mut command = installation.client();
    let text = said(command.args(["submit", "letters.many", "--follow", "--json"]));
    let task: serde_json::Value = serde_json::from_str(&text).expect("a task");
    assert_eq!(task["output_in_file"], true, "{task}");
    assert_eq!(task["output"]["size"], 300_002, "{task}");
    let id = task["id"].as_str().expect("an id");
    let whole = format!("\"{}\"", "x".repeat(300_000));
    let printed = said(installation.client().args(["task", "output", id]));
    assert!(printed.trim_end() == whole, "{} bytes", printed.len());
    let to = installation.scratch.join("output.json");
    said(installation.client().args(["task", "output", id, "--to"]).arg(&to));
    assert!(std::fs::read_to_string(&to).expect("it is there") == whole);
    let (code, words) =
        refused(installation.client().args(["task", "output", id, "--to"]).arg(&to));
    assert!(code != 0 && words.contains("cannot be made"), "{words}");
}

#[test]
fn any_program_is_a_kind() {
    let mut installation = Installation::new();
    write(&installation.data().join("tasktonic.toml"), CONFIG);
    installation.start(&[]);
    let mut command = installation.client();
    let text = said(command.args(["submit", "letters.count", "--follow", "--json"]));
    let task: serde_json::Value = serde_json::from_str(&text).expect("a task");
    assert_eq!(task["output"]["bytes"], 2, "{task}");
    let id = task["id"].as_str().expect("an id");
    let log = said(installation.client().args(["task", "logs", id]));
    assert!(log.contains("counting"), "{log}");
}

#[test]
fn a_cancelled_program_is_killed_with_all_it_has_started() {
    let mut installation = Installation::new();
    write(&installation.data().join("tasktonic.toml"), CONFIG);
    installation.start(&[]);
    let id = installation.submit("sleeper", "{}", &[]);
    let pid = installation.scratch.join("sleeper.pid");
    let child = wait::for_some("the program's child", PATIENCE, || {
        std::fs::read_to_string(&pid).ok()?.trim().parse::<u32>().ok()
    });
    said(installation.client().args(["task", "cancel", &id]));
    installation.wait_for(&id, "cancelled", PATIENCE);
    wait::until("the child to be gone", Duration::from_secs(20), || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z")
    });
}

#[test]
fn a_second_signal_ends_programs_too_and_they_see_no_token() {
    let mut installation = Installation::new();
    let config = r#"
[[exec]]
kind = "sleeper"
command = ["sh", "-c", "trap '' TERM; env > env.txt; sleep 600 & echo $! > sleeper.pid; wait"]
"#;
    write(&installation.data().join("tasktonic.toml"), config);
    let mut command = installation.up_command(&["--no-ui", "--port", "0"]);
    installation.start_with(command.env("TASKTONIC_TOKEN", "a-secret"));
    installation.submit("sleeper", "{}", &[]);
    let pid = installation.scratch.join("sleeper.pid");
    let child = wait::for_some("the program's child", PATIENCE, || {
        std::fs::read_to_string(&pid).ok()?.trim().parse::<u32>().ok()
    });
    let seen = std::fs::read_to_string(installation.scratch.join("env.txt")).expect("it wrote it");
    assert!(seen.contains("TASKTONIC_FENCE=") && !seen.contains("a-secret"), "{seen}");
    let server = installation.server.as_mut().expect("it runs");
    server.signal(nix::sys::signal::Signal::SIGINT);
    server.line_with("again to stop at once", PATIENCE);
    server.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(server.wait(PATIENCE).code(), Some(130));
    wait::until("the child to be gone", Duration::from_secs(20), || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z")
    });
}

#[test]
fn a_configuration_that_is_wrong_stops_the_start_and_names_the_line() {
    let installation = Installation::new();
    write(&installation.data().join("tasktonic.toml"), "[server]\norigin = []\n");
    let (code, words) = refused(&mut installation.up_command(&["--no-ui", "--port", "0"]));
    assert_eq!(code, 1);
    assert!(words.contains("line 2") && words.contains("tasktonic.toml"), "{words}");
}
