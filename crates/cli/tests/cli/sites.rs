//! An installation on each kind of store, with its server and workers as processes of their own that
//! are killed and started again; and what its store has on record.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tasktonic_protocol::http::{Attempt, AttemptList, Counts, WorkerList};
use tasktonic_protocol::task::Task;
use tasktonic_protocol::time::parse_rfc3339;
use tasktonic_testkit::{Cluster, Process, Redis, kill_point, redis, wait};

use crate::support::{Installation, PATIENCE, said, tasktonic, write};

/// Masters of a cluster. What happens to replicas is looked at elsewhere.
const MASTERS: usize = 3;
/// Characters of a worker's id that are the same everywhere.
const TAIL_CHARS: usize = 4;

/// A store in processes of its own, which end with it.
enum Beside {
    Nothing,
    Redis(Box<Redis>),
    Cluster(Cluster),
}

/// An installation whose workers are other processes than its server.
pub(crate) struct Site {
    pub(crate) installation: Installation,
    beside: Beside,
    worker_token: String,
}

impl Site {
    /// Its workers go through the server.
    pub(crate) fn embedded() -> Self {
        Self::on(Beside::Nothing)
    }

    /// Its workers ask Redis themselves.
    pub(crate) fn redis() -> Self {
        Self::redis_with(redis::Options::default())
    }

    /// The same with a Redis that is set up in another way.
    pub(crate) fn redis_with(options: redis::Options) -> Self {
        Self::on(Beside::Redis(Box::new(Redis::start(options))))
    }

    /// Its workers ask every part of the cluster themselves.
    pub(crate) fn cluster() -> Self {
        Self::on(Beside::Cluster(Cluster::start_with(MASTERS, 0, &redis::Options::default())))
    }

    fn on(beside: Beside) -> Self {
        let (installation, worker_token) = (Installation::new(), String::new());
        let mut site = Self { installation, beside, worker_token };
        let mut first = site.server("0");
        site.installation.start_with(&mut first);
        site.worker_token = site.installation.mint("a-worker", "worker");
        site
    }

    fn ours(&self, verb: &str) -> Command {
        let mut command = tasktonic();
        command.arg(verb).current_dir(self.installation.scratch.path());
        match &self.beside {
            Beside::Nothing => &mut command,
            Beside::Redis(redis) => command.env("TASKTONIC_STORE", redis.url()),
            Beside::Cluster(cluster) => command.env("TASKTONIC_STORE", cluster.url()),
        };
        command
    }

    fn server(&self, port: &str) -> Command {
        let mut command = self.ours("up");
        command.args(["--json", "--no-ui", "--no-workers", "--port", port, "--data"]);
        command.arg(self.installation.data());
        command
    }

    pub(crate) fn crash_server(&mut self) {
        self.installation.server.take().expect("it runs").crash();
    }

    /// The server again, at the same address.
    pub(crate) fn start_server(&mut self) {
        let mut again = self.server(&self.installation.port());
        self.installation.start_with(&mut again);
    }

    /// One more server over the same store, with the same keys and files, at a port of its own.
    pub(crate) fn another_server(&self) -> Command {
        let mut command = self.ours("serve");
        command.args(["--port", "0", "--data"]).arg(self.installation.data());
        command
    }

    /// The one Redis that it is on.
    pub(crate) fn its_redis(&self) -> &Redis {
        match &self.beside {
            Beside::Redis(redis) => redis,
            _ => panic!("it is on something else"),
        }
    }

    fn work(&self, args: &[&str]) -> Command {
        let mut command = self.ours("work");
        match &self.beside {
            Beside::Nothing => {
                command.args(["--server", self.installation.url()]);
                command.env("TASKTONIC_TOKEN", &self.worker_token)
            }
            _ => command.arg("--data").arg(self.installation.data()),
        };
        command.args(args);
        command
    }

    /// A worker that may not be known to anybody yet.
    pub(crate) fn worker(&self, args: &[&str]) -> Worker {
        Worker::start(&mut self.work(args))
    }

    /// A worker that kills itself when it passes `point` for the `nth` time.
    pub(crate) fn doomed_worker(&self, args: &[&str], point: &str, nth: u32) -> Worker {
        Worker::start(kill_point::at(&mut self.work(args), point, nth))
    }

    /// Waits until all of `workers` have said what they do.
    #[track_caller]
    pub(crate) fn wait_until_known<'w>(&self, workers: impl IntoIterator<Item = &'w Worker>) {
        let mut unknown: Vec<&str> = workers.into_iter().map(|one| one.tail.as_str()).collect();
        wait::until("the workers to be known", PATIENCE, || {
            let lists: Vec<WorkerList> = self.read(&self.demo(), &["/api/v1/workers".into()]);
            unknown.retain(|tail| !lists[0].workers.iter().any(|row| is_by(tail, Some(&row.id))));
            unknown.is_empty()
        });
    }

    /// The token of the demo user.
    pub(crate) fn demo(&self) -> String {
        self.installation.ready["token"].as_str().expect("a token").to_owned()
    }

    /// Hands tasks over for whoever `token` is of, and answers with them in the same order.
    #[track_caller]
    pub(crate) fn submit(&self, token: &str, tasks: &[Value]) -> Vec<Task> {
        let file = self.installation.scratch.join("tasks.ndjson");
        write(&file, &tasks.iter().map(|task| format!("{task}\n")).collect::<String>());
        let mut command = self.installation.client();
        command.env("TASKTONIC_TOKEN", token).args(["submit", "--json", "--batch"]).arg(&file);
        let lines = said(&mut command);
        let one = |line: &str| {
            let outcome: Value = serde_json::from_str(line).expect("JSON");
            serde_json::from_value(outcome["task"].clone())
                .unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        let taken: Vec<Task> = lines.lines().map(one).collect();
        assert_eq!(taken.len(), tasks.len(), "{lines}");
        taken
    }

    /// What the server answers to `GET` of each path, asked over one connection: there are
    /// hundreds of tasks in a test.
    #[track_caller]
    pub(crate) fn read<T: DeserializeOwned>(&self, token: &str, paths: &[String]) -> Vec<T> {
        let url = self.installation.url();
        let mut asked = format!("header = \"Authorization: Bearer {token}\"\n");
        asked.extend(paths.iter().map(|path| format!("url = \"{url}{path}\"\n")));
        let mut curl = Command::new("curl");
        curl.args(["-fsS", "-K", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut curl = curl.stderr(Stdio::piped()).spawn().expect("this test needs curl");
        let mut stdin = curl.stdin.take().expect("it is piped");
        // It has read all of it before it says anything, and hears the end of it here.
        stdin.write_all(asked.as_bytes()).expect("it reads what to ask");
        drop(stdin);
        let output = curl.wait_with_output().expect("it ends");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{paths:?}: {words}");
        let answers = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<T>();
        let answers: Vec<T> = answers.map(|answer| answer.expect("JSON as promised")).collect();
        assert_eq!(answers.len(), paths.len());
        answers
    }

    pub(crate) fn counts(&self, token: &str) -> Counts {
        self.read(token, &["/api/v1/tasks/counts".into()]).remove(0)
    }

    /// Tasks as they are now, with the history of each.
    #[track_caller]
    pub(crate) fn histories(&self, token: &str, ids: &[String]) -> Vec<History> {
        let path = |id: &String| format!("/api/v1/tasks/{id}");
        let tasks = self.read(token, &ids.iter().map(path).collect::<Vec<_>>());
        let path = |id: &String| format!("/api/v1/tasks/{id}/attempts");
        let lists = self.read::<AttemptList>(token, &ids.iter().map(path).collect::<Vec<_>>());
        tasks
            .into_iter()
            .zip(lists)
            .map(|(task, list)| History { task, rows: list.attempts })
            .collect()
    }

    /// Waits until none of the tasks of whoever `token` is of is still to be done.
    #[track_caller]
    pub(crate) fn wait_until_done(&self, token: &str) {
        wait::until("everything to have ended", PATIENCE, || {
            let counts = self.counts(token);
            counts.scheduled + counts.waiting + counts.queued + counts.running == 0
        });
    }
}

/// A worker, and the end of its id: all that is left of it where it goes through a server.
pub(crate) struct Worker {
    pub(crate) process: Process,
    pub(crate) tail: String,
}

impl Worker {
    fn start(command: &mut Command) -> Self {
        let mut process = Process::start(command);
        let line = process.line_with("name this worker by", PATIENCE);
        let said: Value = serde_json::from_str(&line).expect("a line of the log is JSON");
        let id = said["fields"]["worker"].as_str().unwrap_or_else(|| panic!("no id: {line}"));
        let tail = id[id.len() - TAIL_CHARS..].to_owned();
        Self { process, tail }
    }
}

/// Whether the id of a worker ends like this.
pub(crate) fn is_by(tail: &str, worker: Option<&str>) -> bool {
    worker.is_some_and(|worker| worker.ends_with(tail))
}

/// A task and everything that was tried.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) task: Task,
    pub(crate) rows: Vec<Attempt>,
}

impl History {
    /// It was completed once, by the last of its attempts; the others ended in one of `ways`.
    #[track_caller]
    pub(crate) fn completed_once_after(&self, ways: &[&str]) {
        assert_eq!(self.task.status.name(), "completed", "{self:?}");
        let (last, before) = self.rows.split_last().unwrap_or_else(|| panic!("no rows: {self:?}"));
        assert_eq!(last.outcome, "succeeded", "{self:?}");
        assert_eq!(last.number, self.task.attempt, "{self:?}");
        assert!(before.iter().all(|row| ways.contains(&row.outcome.as_str())), "{self:?}");
        let counted = before.iter().filter(|row| row.outcome != "released").count();
        assert_eq!(usize::try_from(last.number), Ok(counted + 1), "{self:?}");
    }

    /// It was completed by its first attempt, of which there is one row.
    #[track_caller]
    pub(crate) fn ran_once(&self) {
        self.completed_once_after(&[]);
        assert_eq!((self.task.attempt, self.rows.len()), (1, 1), "{self:?}");
    }
}

/// When an attempt started, by the store's clock.
#[track_caller]
pub(crate) fn started_ms(row: &Attempt) -> i64 {
    ms(row.started_at.as_deref())
}

/// A time on record.
#[track_caller]
pub(crate) fn ms(time: Option<&str>) -> i64 {
    time.and_then(parse_rfc3339).unwrap_or_else(|| panic!("no time: {time:?}"))
}

/// The value that `percent` of `values` do not exceed.
pub(crate) fn percentile(values: &mut [i64], percent: usize) -> i64 {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100);
    *values.get(rank.saturating_sub(1)).expect("there are values")
}
