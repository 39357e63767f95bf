//! Exit codes: 0 done, 1 not done, 2 bad use; and words that say what to do.

use std::time::{Duration, Instant};

use crate::support::{Installation, refused, run, said, tasktonic};

#[test]
fn what_is_wrong_with_the_arguments_is_bad_use() {
    let nowhere = |arguments: &[&str]| {
        let mut command = tasktonic();
        command.env("TASKTONIC_URL", "http://127.0.0.1:1").env("TASKTONIC_TOKEN", "t");
        command.args(arguments);
        refused(&mut command)
    };
    for (arguments, word) in [
        (&["submit", "noop", "--data", "{bad"][..], "not JSON"),
        (&["submit", "noop", "--data", "[1]"], "JSON object"),
        (&["task", "list", "--url", "nonsense"], "http://"),
        (&["task", "list", "--url", "ftp://a"], "http://"),
        (&["task", "get", "nope"], "task id"),
        (&["task", "list", "--status", "done"], "completed"),
        (&["work", "--kinds", "no.such"], "no handler for the kind no.such"),
        // TASKTONIC_URL is set for all of these, and says nothing against --store.
        (&["work", "--store", "embedded:x"], "--server URL"),
        (&["submit"], "KIND"),
    ] {
        let (code, words) = nowhere(arguments);
        assert_eq!(code, 2, "{arguments:?}: {words}");
        assert!(words.to_lowercase().contains(&word.to_lowercase()), "{arguments:?}: {words}");
    }
}

#[test]
fn what_the_server_refuses_is_not_done() {
    let installation = Installation::up(&[]);
    for (arguments, word) in [
        (&["submit", "no.such"][..], "error: No worker has ever announced this kind.\n"),
        (&["submit", "no.such"], "`tasktonic kinds`"),
        (&["submit", "csv.profil", "--file", "x"], "`tasktonic kinds`"),
        (&["submit", "noop", "--data", r#"{"sleep_ms":"x"}"#], "/sleep_ms"),
        (&["submit", "noop", "--data", "@/no/such/file"], "/no/such/file"),
        (&["task", "get", "AaITj02jbA5it55E"], "nothing here that you may see"),
        (&["task", "cancel", "AaITj02jbA5it55E"], "AaITj02jbA5it55E: There is nothing here"),
    ] {
        let (code, words) = refused(installation.client().args(arguments));
        assert_eq!(code, 1, "{arguments:?}: {words}");
        assert!(words.contains(word), "{arguments:?}: {words}");
    }
    let mut command = installation.client();
    let (code, words) = refused(command.env("TASKTONIC_TOKEN", "wrong").args(["task", "list"]));
    assert_eq!(code, 1, "{words}");
}

#[test]
fn the_kinds_that_can_be_handed_over_are_listed() {
    let installation = Installation::up(&[]);
    let listed = said(installation.client().arg("kinds"));
    assert!(listed.starts_with("KIND") && listed.contains("csv.profile"), "{listed}");
    let kinds: serde_json::Value =
        serde_json::from_str(&said(installation.client().args(["kinds", "--json"]))).expect("JSON");
    let noop = kinds.as_array().expect("a list").iter().find(|kind| kind["kind"] == "noop");
    assert!(noop.expect("noop")["schema"].is_object(), "{kinds}");
}

#[test]
fn a_server_that_is_not_there_is_said_soon() {
    let since = Instant::now();
    let mut command = tasktonic();
    command.env("TASKTONIC_URL", "http://127.0.0.1:1").env("TASKTONIC_TOKEN", "t");
    let (code, words) = refused(command.args(["task", "list"]));
    assert_eq!(code, 1);
    assert!(words.contains("cannot be reached") && words.contains("127.0.0.1:1"), "{words}");
    assert!(since.elapsed() < Duration::from_secs(25), "{:?}", since.elapsed());
}

#[test]
fn a_reader_that_goes_away_breaks_nothing() {
    let installation = Installation::up(&[]);
    for _ in 0..3 {
        installation.submit("noop", "{}", &[]);
    }
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = run(installation.client().args(["task", "list"]).stdout(writer));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !words.contains("panicked"), "{}: {words}", output.status);
}

#[test]
fn looking_for_accounts_makes_no_installation() {
    let scratch = tasktonic_testkit::Scratch::new();
    let typo = scratch.join("typo");
    let (code, words) = refused(tasktonic().args(["account", "list", "--data"]).arg(&typo));
    assert_eq!(code, 1);
    assert!(words.contains("no installation"), "{words}");
    assert!(!typo.exists());
}
