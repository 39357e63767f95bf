//! An installation of a test, and our program run against it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tasktonic_testkit::{Process, Scratch, wait};

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Our program, with nothing of the environment that could point it elsewhere.
pub(crate) fn tasktonic() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tasktonic"));
    for name in [
        "TASKTONIC_URL",
        "TASKTONIC_TOKEN",
        "TASKTONIC_DATA",
        "TASKTONIC_WEB_DIR",
        "TASKTONIC_STORE",
        "TASKTONIC_FILES",
        "TASKTONIC_DURABILITY",
    ] {
        command.env_remove(name);
    }
    command
}

/// A folder for an installation, and its server while one runs.
pub(crate) struct Installation {
    pub(crate) scratch: Scratch,
    pub(crate) server: Option<Process>,
    pub(crate) ready: Value,
}

impl Installation {
    /// An installation that was never started.
    pub(crate) fn new() -> Self {
        Self { scratch: Scratch::new(), server: None, ready: Value::Null }
    }

    /// A running one without pages; `args` go to `up` as well.
    pub(crate) fn up(args: &[&str]) -> Self {
        let mut installation = Self::new();
        installation.start(args);
        installation
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.scratch.join("data")
    }

    /// `up --no-ui --json` on a port that is free, and its ready line.
    pub(crate) fn start(&mut self, args: &[&str]) {
        let mut all = vec!["--no-ui", "--port", "0"];
        all.extend(args);
        self.start_with(&mut self.up_command(&all));
    }

    pub(crate) fn up_command(&self, args: &[&str]) -> Command {
        let mut command = tasktonic();
        command.arg("up").arg("--json").arg("--data").arg(self.data()).args(args);
        command.current_dir(self.scratch.path());
        command
    }

    pub(crate) fn start_with(&mut self, command: &mut Command) {
        let mut server = Process::start(command);
        let line = server.line_with("\"ready\":true", PATIENCE);
        self.ready = serde_json::from_str(&line).expect("the ready line is JSON");
        self.server = Some(server);
    }

    pub(crate) fn url(&self) -> &str {
        self.ready["url"].as_str().expect("the ready line has a url")
    }

    pub(crate) fn port(&self) -> String {
        self.url().rsplit(':').next().expect("the url has a port").to_owned()
    }

    /// The program as the demo user's client of this installation.
    pub(crate) fn client(&self) -> Command {
        let mut command = tasktonic();
        command.env("TASKTONIC_URL", self.url());
        command.env("TASKTONIC_TOKEN", self.ready["token"].as_str().expect("a token"));
        command
    }

    /// A worker in a process of its own.
    pub(crate) fn work_command(&self, args: &[&str]) -> Command {
        let mut command = tasktonic();
        command.args(["work", "--server", self.url()]).args(args);
        command.env("TASKTONIC_TOKEN", self.mint("a-worker", "worker"));
        command.current_dir(self.scratch.path());
        command
    }

    /// A token for `user` in `role`.
    pub(crate) fn mint(&self, user: &str, role: &str) -> String {
        let mut command = tasktonic();
        command.args(["token", "mint", "--user", user, "--role", role]);
        said(command.arg("--data").arg(self.data())).trim().to_owned()
    }

    /// Hands a task over and answers with its id.
    pub(crate) fn submit(&self, kind: &str, data: &str, args: &[&str]) -> String {
        let mut command = self.client();
        command.args(["submit", kind, "--data", data, "--json"]).args(args);
        let task: Value = serde_json::from_str(&said(&mut command)).expect("a task as JSON");
        task["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) fn task(&self, id: &str) -> Value {
        let text = said(self.client().args(["task", "get", id, "--json"]));
        serde_json::from_str(&text).expect("a task as JSON")
    }

    /// Waits until a task is in `status`.
    #[track_caller]
    pub(crate) fn wait_for(&self, id: &str, status: &str, within: Duration) -> Value {
        wait::for_some(&format!("{id} to be {status}"), within, || {
            let task = self.task(id);
            (task["status"] == status).then_some(task)
        })
    }
}

/// Runs `command`, which must succeed, and answers with its standard output.
#[track_caller]
pub(crate) fn said(command: &mut Command) -> String {
    let output = run(command);
    assert!(
        output.status.success(),
        "{command:?} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// A command of somebody who may set what holds in queues.
pub(crate) fn operator(installation: &Installation) -> Command {
    let mut command = installation.client();
    command.env("TASKTONIC_TOKEN", installation.mint("olga", "operator"));
    command
}

#[track_caller]
pub(crate) fn run(command: &mut Command) -> Output {
    command.output().expect("our program starts")
}

/// The exit code and the words on standard error.
#[track_caller]
pub(crate) fn refused(command: &mut Command) -> (i32, String) {
    let output = run(command.stdin(std::process::Stdio::null()));
    let code = output.status.code().expect("it ended by itself");
    (code, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A file with these lines.
pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a scratch folder");
    std::fs::write(path, text).expect("a scratch file");
}
