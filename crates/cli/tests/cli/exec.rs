//! Programs declared in tasktonic.toml.

use std::time::Duration;

use tasktonic_store::clock::Clock;
use tasktonic_testkit::wait;

use crate::sites::{Site, ms, started_ms};
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

/// A program that loops for ever beside a child that does, each attempt of which leaves both their
/// process ids; and one that pays no attention to being asked to end.
const LOOPING: &str = r#"
[[exec]]
kind = "loops"
command = ["sh", "-c", "while :; do :; done & echo $$ $! >> loops.pids; while :; do :; done"]

[[exec]]
kind = "loops.on"
command = ["sh", "-c", "trap '' TERM; while :; do :; done & echo $$ $! >> loops.on.pids; while :; do :; done"]
"#;
const LIMIT_MS: i64 = 500;
/// How long a worker leaves to a handler whose time is over.
const GRACE_MS: i64 = 5_000;
const LOOPED_ATTEMPTS: usize = 2;

fn loops_no_longer_than_it_may(site: &Site) {
    let config = site.installation.scratch.join("tasktonic.toml");
    write(&config, LOOPING);
    let config = config.to_str().expect("a path of ours");
    let worker = site.worker(&["--kinds", "loops,loops.on", "--config", config]);
    site.wait_until_known([&worker]);
    let clock = Clock::system();
    for kind in ["loops", "loops.on"] {
        let task = serde_json::json!({
            "kind": kind, "payload": {}, "timeout_ms": LIMIT_MS, "attempts_max": LOOPED_ATTEMPTS,
            "backoff": { "form": "fixed", "wait_ms": 0, "jitter": 0.0 },
        });
        let id = site.submit(&site.demo(), &[task]).remove(0).id;
        // The end is on record after the programs have ended, never before.
        site.installation.wait_for(&id, "failed", PATIENCE);
        let pids = site.installation.scratch.join(format!("{kind}.pids"));
        let pids = std::fs::read_to_string(pids).expect("they wrote it");
        let left: Vec<&str> = pids.split_whitespace().filter(|pid| !is_gone(pid)).collect();
        let seen_ms = clock.now_ms();
        assert!(left.is_empty(), "{kind}: {left:?} of {pids:?} go on");
        assert_eq!(pids.split_whitespace().count(), 2 * LOOPED_ATTEMPTS, "{kind}: {pids:?}");

        let history = site.histories(&site.demo(), &[id]).remove(0);
        let error = history.task.error.as_ref().map(|error| error.code.as_str());
        assert_eq!(error, Some("timed_out"), "{history:?}");
        assert_eq!(history.rows.len(), LOOPED_ATTEMPTS, "{history:?}");
        let longest_ms = LIMIT_MS + GRACE_MS;
        for row in &history.rows {
            let code = row.error.as_ref().map(|error| error.code.as_str());
            assert_eq!((row.outcome.as_str(), code), ("failed", Some("timed_out")), "{history:?}");
            let took = ms(row.ended_at.as_deref()) - started_ms(row);
            assert!((LIMIT_MS..longest_ms).contains(&took), "{kind}: {took} ms: {history:?}");
        }
        let last = history.rows.last().expect("there are rows");
        let gone_after = seen_ms - started_ms(last);
        eprintln!("{kind}: both were gone {gone_after} ms after the start");
        assert!(gone_after < longest_ms, "{kind}: gone after {gone_after} ms: {history:?}");
    }
}

fn is_gone(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z")
}

#[test]
fn a_program_that_loops_is_cut_off_at_its_limit_with_its_child_on_an_embedded_store() {
    loops_no_longer_than_it_may(&Site::embedded());
}

#[test]
fn a_program_that_loops_is_cut_off_at_its_limit_with_its_child_on_redis() {
    loops_no_longer_than_it_may(&Site::redis());
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
