//! A fleet of processes on one machine: all there, up again when one dies, gone together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tasktonic_testkit::{Process, wait};

use crate::support::{Installation, PATIENCE, refused, said, tasktonic};

/// The processes of a fleet by name.
fn pids(ready: &Value) -> BTreeMap<String, i32> {
    let processes = ready["processes"].as_array().expect("the ready line names processes");
    let one = |row: &Value| {
        let pid = row["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid");
        (row["name"].as_str().expect("a name").to_owned(), pid)
    };
    processes.iter().map(one).collect()
}

fn is_gone(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z")
}

fn all_gone(pids: &BTreeMap<String, i32>) {
    for (name, pid) in pids {
        wait::until(&format!("{name} to be gone"), PATIENCE, || is_gone(*pid));
    }
}

/// Every process whose command line names the folder.
fn named_by(folder: &std::path::Path) -> Vec<String> {
    let folder = folder.to_string_lossy().into_owned();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            entry.file_name().to_string_lossy().parse::<i32>().is_ok_and(|pid| !is_gone(pid))
        })
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok())
        .filter(|line| line.contains(&folder))
        .collect()
}

fn nothing_left(installation: &Installation, pids: &BTreeMap<String, i32>) {
    all_gone(pids);
    wait::until("no process to name the folder", PATIENCE, || {
        named_by(installation.scratch.path()).is_empty()
    });
}

fn crash(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it ran");
}

/// Kills one and answers with its next process id.
fn killed_and_back(installation: &mut Installation, name: &str, pid: i32) -> i32 {
    crash(pid);
    let server = installation.server.as_mut().expect("it runs");
    let (restarting, ready) = (
        format!("\"process\":\"{name}\",\"state\":\"restarting\""),
        format!("\"process\":\"{name}\",\"state\":\"ready\""),
    );
    server.line_with(&restarting, PATIENCE);
    let line: Value = serde_json::from_str(&server.line_with(&ready, PATIENCE)).expect("JSON");
    line["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid")
}

fn completes(installation: &Installation) {
    said(installation.client().args(["submit", "noop", "--follow"]));
}

#[test]
fn a_fleet_works_and_ends_with_nothing_left() {
    let mut installation = Installation::up(&["--redis", "--workers", "2"]);
    let pids = pids(&installation.ready);
    let names: Vec<_> = pids.keys().map(String::as_str).collect();
    assert_eq!(names, ["redis", "server-1", "worker-1", "worker-2"]);
    completes(&installation);
    let server = installation.server.as_mut().expect("it runs");
    server.signal(Signal::SIGTERM);
    assert!(server.wait(PATIENCE).success());
    nothing_left(&installation, &pids);
}

#[test]
fn whoever_is_killed_comes_back_and_what_was_accepted_is_there() {
    let mut installation = Installation::up(&["--redis", "--workers", "1"]);
    let pids = pids(&installation.ready);
    let id = installation.submit("noop", "{}", &["--delay-ms", "3600000"]);
    for name in ["worker-1", "server-1", "redis"] {
        let next = killed_and_back(&mut installation, name, pids[name]);
        assert_ne!(next, pids[name]);
        wait::until("a task to complete again", PATIENCE, || {
            let mut command = installation.client();
            crate::support::run(command.args(["submit", "noop", "--follow"])).status.success()
        });
    }
    assert_eq!(installation.task(&id)["status"], "scheduled");
}

#[test]
fn a_killed_fleet_leaves_nothing_behind_and_goes_on_with_its_data() {
    let mut installation = Installation::up(&["--redis", "--workers", "1"]);
    let first = pids(&installation.ready);
    let id = installation.submit("noop", "{}", &["--follow"]);
    let password = installation.ready["password"].clone();
    installation.server.as_mut().expect("it runs").crash();
    // Also where the next start does not wait for the end of the last.
    installation.start(&["--redis", "--workers", "1"]);
    all_gone(&first);
    assert_eq!(installation.ready["password"], password);
    assert_eq!(installation.task(&id)["status"], "completed");
    let second = pids(&installation.ready);
    installation.server.as_mut().expect("it runs").crash();
    nothing_left(&installation, &second);
}

#[test]
fn what_a_crash_of_everybody_leaves_is_ended_by_the_next_start() {
    let mut installation = Installation::up(&["--redis", "--workers", "1"]);
    let first = pids(&installation.ready);
    let caretaker = wait::for_some("the caretaker", PATIENCE, || {
        let up = installation.server.as_ref()?.id();
        let children = std::fs::read_to_string(format!("/proc/{up}/task/{up}/children")).ok()?;
        children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()).find(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.contains("caretaker"))
        })
    });
    crash(caretaker);
    installation.server.as_mut().expect("it runs").crash();
    assert!(!is_gone(first["redis"]), "nobody is there to end it");
    installation.start(&["--redis", "--workers", "1"]);
    all_gone(&first);
    completes(&installation);
}

#[test]
fn a_second_signal_ends_all_of_it_at_once() {
    let mut installation = Installation::up(&["--redis", "--workers", "1"]);
    let pids = pids(&installation.ready);
    let id = installation.submit("noop", r#"{"sleep_ms":600000}"#, &[]);
    installation.wait_for(&id, "running", PATIENCE);
    let server = installation.server.as_mut().expect("it runs");
    server.signal(Signal::SIGINT);
    server.line_with("again to stop at once", PATIENCE);
    server.signal(Signal::SIGINT);
    assert_eq!(server.wait(Duration::from_secs(5)).code(), Some(130));
    nothing_left(&installation, &pids);
}

#[test]
fn a_second_fleet_on_the_same_folder_is_refused_with_a_reason() {
    let installation = Installation::up(&["--redis", "--workers", "0"]);
    let args = ["--no-ui", "--port", "0", "--redis"];
    let (code, words) = refused(&mut installation.up_command(&args));
    assert_eq!(code, 1);
    assert!(words.contains("in use by another process") && words.contains("--data"), "{words}");
}

#[test]
fn a_program_that_is_missing_is_named_with_the_way_to_get_it() {
    let installation = Installation::new();
    let mut command = installation.up_command(&["--no-ui", "--port", "0", "--redis"]);
    let (code, words) = refused(command.env("TASKTONIC_REDIS_SERVER", "/nowhere/redis-server"));
    assert_eq!(code, 1);
    assert!(words.contains("/nowhere/redis-server"), "{words}");
}

#[test]
fn flags_that_make_no_sense_together_say_what_does() {
    let installation = Installation::new();
    for (args, word) in [
        (&["--workers", "2"][..], "--redis"),
        (&["--gateway"], "TASKTONIC_STORE"),
        (&["--redis", "--servers", "2"], "--gateway"),
        (&["--redis", "--store", "redis://127.0.0.1:1"], "leave out"),
        (&["--durability", "replicated"], "embedded"),
    ] {
        let (code, words) = refused(&mut installation.up_command(&[&["--no-ui"], args].concat()));
        assert_eq!(code, 2, "{args:?}: {words}");
        assert!(words.contains(word), "{args:?}: {words}");
    }
    let mut work = tasktonic();
    let (code, words) = refused(work.args(["work", "--store", "redis://127.0.0.1:1"]));
    assert_eq!(code, 2);
    assert!(words.contains("--files"), "{words}");
}

#[test]
fn a_password_on_the_command_line_is_warned_about_and_never_shown() {
    let installation = Installation::new();
    let mut command = tasktonic();
    command.args(["serve", "--port", "0", "--store", "redis://ana:hush@127.0.0.1:1", "--data"]);
    let mut server = Process::start(command.arg(installation.data()));
    server.line_with("warning", PATIENCE);
    assert!(!server.wait(PATIENCE).success(), "nobody listens there");
    let output = server.output();
    assert!(output.contains("TASKTONIC_STORE") && !output.contains("hush"), "{output}");
    let (code, words) =
        refused(tasktonic().args(["serve", "--store", "rediss//ana:hush@127.0.0.1"]));
    assert_eq!(code, 2);
    assert!(!words.contains("hush"), "{words}");
}

/// The library that nginx loads, which cargo builds for tests beside the crates it links.
fn gateway_library() -> std::path::PathBuf {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_tasktonic"));
    program.with_file_name("deps").join("libtasktonic_gateway.so")
}

fn behind_the_gateway(args: &[&str]) -> Installation {
    let mut installation = Installation::new();
    let mut command =
        installation.up_command(&[&["--no-ui", "--port", "0", "--gateway"], args].concat());
    installation.start_with(command.env("TASKTONIC_GATEWAY_LIB", gateway_library()));
    installation
}

/// The status of an answer.
fn status(url: &str) -> String {
    let mut command = std::process::Command::new("curl");
    said(command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", url]))
}

#[test]
fn behind_the_gateway_several_servers_are_one_and_heal() {
    let mut installation = behind_the_gateway(&["--redis", "--servers", "2", "--workers", "3"]);
    let pids = pids(&installation.ready);
    let names: Vec<_> = pids.keys().map(String::as_str).collect();
    let expected = ["gateway", "redis", "server-1", "server-2", "worker-1", "worker-2", "worker-3"];
    assert_eq!(names, expected);
    completes(&installation);
    let api = format!("{}/api/v1/tasks", installation.url());
    assert_eq!(status(&api), "401", "nobody comes in without a token");
    crash(pids["server-2"]);
    // The other one answers meanwhile, and nobody notices.
    for _ in 0..20 {
        said(installation.client().args(["task", "list"]));
    }
    let gateway = killed_and_back(&mut installation, "gateway", pids["gateway"]);
    assert_ne!(gateway, pids["gateway"]);
    completes(&installation);
    let server = installation.server.as_mut().expect("it runs");
    server.line_with("\"process\":\"server-2\",\"state\":\"ready\"", PATIENCE);
    server.crash();
    nothing_left(&installation, &pids);
}

/// Where a process takes connections, as /proc/net writes it: `0100007F:1F90` is 127.0.0.1:8080.
fn listening(pid: i32) -> BTreeSet<String> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let open: BTreeSet<String> = open
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter_map(|link| {
            Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned())
        })
        .collect();
    let tables = ["tcp", "tcp6"].map(|name| std::fs::read_to_string(format!("/proc/net/{name}")));
    let lines = tables.iter().flatten().flat_map(|table| table.lines());
    lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let listens = fields.get(3) == Some(&"0A") && open.contains(*fields.get(9)?);
            listens.then(|| fields[1].to_owned())
        })
        .collect()
}

#[test]
fn only_the_gateway_listens_for_others() {
    let installation =
        behind_the_gateway(&["--redis", "--workers", "1", "--servers", "2", "--host", "0.0.0.0"]);
    for (name, pid) in pids(&installation.ready) {
        let public: Vec<String> =
            listening(pid).into_iter().filter(|at| !at.starts_with("0100007F:")).collect();
        assert_eq!(public.is_empty(), name != "gateway", "{name}: {public:?}");
    }
    completes(&installation);
}

#[test]
fn a_cluster_works_and_goes_on_after_its_end_and_the_death_of_a_master() {
    let args = ["--cluster", "--servers", "2", "--workers", "1", "--durability", "replicated"];
    let mut installation = behind_the_gateway(&args);
    let id = installation.submit("noop", "{}", &["--delay-ms", "3600000"]);
    completes(&installation);
    let first = pids(&installation.ready);
    killed_and_back(&mut installation, "redis-1", first["redis-1"]);
    wait::until("a task to complete again", PATIENCE, || {
        let mut command = installation.client();
        crate::support::run(command.args(["submit", "noop", "--follow"])).status.success()
    });
    let server = installation.server.as_mut().expect("it runs");
    server.signal(Signal::SIGTERM);
    assert!(server.wait(PATIENCE).success());
    all_gone(&first);
    let mut again =
        installation.up_command(&[&["--no-ui", "--port", "0", "--gateway"], &args[..]].concat());
    installation.start_with(again.env("TASKTONIC_GATEWAY_LIB", gateway_library()));
    assert_eq!(installation.task(&id)["status"], "scheduled");
    completes(&installation);
}

#[test]
fn every_form_of_up_has_its_own_store_in_one_folder_and_says_which_others_are_there() {
    let mut installation = Installation::new();
    let forms: [(&[&str], &str); 4] = [
        (&[], ""),
        (&["--redis", "--workers", "1"], "`tasktonic up`, which"),
        (&["--cluster", "--workers", "1"], "`tasktonic up` and `tasktonic up --redis`, which"),
        (&[], "`tasktonic up --redis` and `tasktonic up --cluster`, which"),
    ];
    let mut ids: Vec<String> = Vec::new();
    for (args, others) in forms {
        installation.start(args);
        for (at, id) in ids.iter().enumerate() {
            let found = crate::support::run(installation.client().args(["task", "get", id])).status;
            // The fourth start is the first one's store again.
            assert_eq!(found.success(), ids.len() == 3 && at == 0, "{args:?}, task {at}");
        }
        ids.push(installation.submit("noop", "{}", &["--follow"]));
        let server = installation.server.as_mut().expect("it runs");
        server.signal(Signal::SIGTERM);
        server.line_with("running attempts have up to 10 s", PATIENCE);
        assert!(server.wait(PATIENCE).success());
        let output = server.output();
        let notes: Vec<_> = output.lines().filter(|line| line.starts_with("note:")).collect();
        assert_eq!(notes.len(), usize::from(!others.is_empty()), "{args:?}: {output}");
        assert!(notes.iter().all(|note| note.contains(others)), "{args:?}: {notes:?}");
    }
}

#[test]
fn each_promise_is_kept_by_the_redis_that_is_started_for_it() {
    for class in ["disk", "replicated"] {
        let args = ["--redis", "--workers", "1", "--durability", class];
        let installation = Installation::up(&args);
        let mut command = std::process::Command::new("curl");
        let answer = said(command.args(["-s", &format!("{}/readyz", installation.url())]));
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!((&answer["durability"], &answer["ready"]), (&class.into(), &true.into()));
        completes(&installation);
    }
}
