//! A task handed over as the guide of the API says it, letter by letter, and on the command line: what
//! is answered is what a look at the task by its id shows. The third way, a Server Action of the pages,
//! is in `tests/e2e/verbs.test.mjs`.

use std::process::Command;

use serde_json::{Value, json};
use tasktonic_testkit::{Cluster, Process, Redis, ports, redis, wait};

use crate::support::{Installation, PATIENCE, said, write};

const GUIDE: &str = include_str!("../../../../docs/guides/http-api.md");
/// Where the guide says that the server is, and the address of its tasks.
const SAID_AT: &str = "localhost:8080";
const TASKS: &str = "http://localhost:8080/api/v1/tasks";
/// What an answer has to hold, whatever else is in it.
const HELD: [&str; 4] = ["id", "status", "rev", "durability"];

/// The command in the guide by which a task is submitted.
fn curl_line() -> &'static str {
    let section = GUIDE.split("\n## Submit\n").nth(1).expect("the guide says how to submit");
    let block = section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    let line = block.expect("it shows a command").trim();
    assert!(line.starts_with("curl ") && line.contains(TASKS), "{line}");
    line
}

/// A server that answers to the address of the guide as well, over a store at `url` or an embedded one.
/// Nobody works, so that a task stays as it was accepted.
fn installation(store: Option<&str>) -> Installation {
    let (mut installation, port) = (Installation::new(), ports::free());
    let own = format!("http://localhost:{port}");
    let port = port.to_string();
    let args = ["--no-ui", "--no-workers", "--port", &port, "--origin", &own, "--origin"];
    let mut command = installation.up_command(&args);
    command.arg(format!("http://{SAID_AT}"));
    if let Some(url) = store {
        command.env("TASKTONIC_STORE", url);
    }
    installation.start_with(&mut command);
    // The commands are typed as they stand: what differs here stands in curl's own configuration, as
    // does that the status is printed in a line of its own.
    let curlrc = format!(
        "connect-to = \"{SAID_AT}:127.0.0.1:{port}\"\nwrite-out = \"\\n%{{http_code}}\"\n\
         show-error\n"
    );
    write(&installation.scratch.join(".curlrc"), &curlrc);
    // A kind is known once a worker has announced it.
    let worker = Process::start(&mut installation.work_command(&["--kinds", "noop"]));
    wait::until("the kind to be known", PATIENCE, || {
        said(installation.client().args(["kinds"])).contains("noop")
    });
    drop(worker);
    installation
}

/// What somebody gets who types this in a shell.
fn typed(installation: &Installation, line: &str) -> (u16, Value) {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).env("HOME", installation.scratch.path()).env_remove("CURL_HOME");
    shell.env("TOKEN", installation.ready["token"].as_str().expect("a token"));
    let text = said(&mut shell);
    let (body, status) = text.rsplit_once('\n').unwrap_or_else(|| panic!("no status: {text}"));
    let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}"));
    (status.parse().expect("a status"), body)
}

fn seen(installation: &Installation, id: &str) -> Value {
    let (status, task) =
        typed(installation, &format!("curl -s {TASKS}/{id} -H \"Authorization: Bearer $TOKEN\""));
    assert_eq!(status, 200, "{task}");
    task
}

/// An answer to a submission is what is there, in each of its members.
fn is_there(installation: &Installation, answer: &Value, durability: &str) -> String {
    let members = answer.as_object().expect("a task");
    for name in HELD {
        assert!(members.contains_key(name), "no {name}: {answer}");
    }
    let id = answer["id"].as_str().expect("an id");
    assert_eq!(id.len(), 16, "{answer}");
    assert_eq!((&answer["status"], &answer["durability"]), (&json!("queued"), &json!(durability)));
    assert!(answer["rev"].as_u64().is_some_and(|rev| rev > 0), "{answer}");
    let seen = seen(installation, id);
    for (name, value) in members {
        assert_eq!(&seen[name], value, "{name} of {id} is another one than was answered: {seen}");
    }
    assert_eq!(&seen, answer, "there is more to see than was answered");
    assert_eq!(&installation.task(id), answer, "as the command line shows it");
    id.to_owned()
}

fn what_is_answered_is_what_is_there(store: Option<&str>, durability: &str) {
    let installation = installation(store);
    let (status, by_curl) = typed(&installation, curl_line());
    assert_eq!(status, 202, "{by_curl}");
    let first = is_there(&installation, &by_curl, durability);
    assert_eq!(by_curl["payload"], json!({ "sleep_ms": 2_000 }), "what the guide sends");
    // The same line once more, as the guide says: 200, and the task that is there.
    assert_eq!(typed(&installation, curl_line()), (200, by_curl.clone()));

    let mut submit = installation.client();
    submit.args(["submit", "noop", "--data", "{\"sleep_ms\":1}", "--json"]);
    let by_command: Value = serde_json::from_str(&said(&mut submit)).expect("a task as JSON");
    let second = is_there(&installation, &by_command, durability);
    assert_ne!(first, second);
    let names = |task: &Value| {
        task.as_object().map(|task| task.keys().cloned().collect::<Vec<_>>()).expect("a task")
    };
    assert_eq!(names(&by_curl), names(&by_command), "both ways are answered alike");

    let _worker = Process::start(&mut installation.work_command(&["--kinds", "noop"]));
    for (id, answer) in [(first, by_curl), (second, by_command)] {
        let ended = installation.wait_for(&id, "completed", PATIENCE);
        assert!(ended["rev"].as_u64() > answer["rev"].as_u64(), "{answer} became {ended}");
        for name in ["id", "kind", "payload", "created_at", "durability"] {
            assert_eq!(ended[name], answer[name], "{name} of {ended}");
        }
    }
}

#[test]
fn the_guides_curl_line_and_a_submit_are_answered_with_what_is_there_on_an_embedded_store() {
    what_is_answered_is_what_is_there(None, "disk");
}

#[test]
fn the_guides_curl_line_and_a_submit_are_answered_with_what_is_there_on_redis() {
    let redis = Redis::start(redis::Options::default());
    what_is_answered_is_what_is_there(Some(&redis.url()), "fast");
}

#[test]
fn the_guides_curl_line_and_a_submit_are_answered_with_what_is_there_on_a_cluster() {
    let cluster = Cluster::start_with(3, 0, &redis::Options::default());
    what_is_answered_is_what_is_there(Some(&cluster.url()), "fast");
}
