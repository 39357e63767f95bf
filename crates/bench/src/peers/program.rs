//! The program of one peer as processes: one that submits and is talked to, one that works. Both
//! are ended with everything they started.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::server::Cores;
use super::spent::{Stat, cpu_us, tree};
use super::starts;

/// How long a program may take until it can be told something.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long one thing that it is told may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
/// Fills a payload up to 100 bytes of JSON.
pub(crate) const PAD: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
/// How much of what a program wrote is shown when it fails, bytes.
const SHOWN_BYTES: usize = 600;

/// How to start a peer's programs.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// The words before `submit` or `worker N`.
    pub(crate) words: Vec<PathBuf>,
    /// Where they are started.
    pub(crate) folder: PathBuf,
    /// The folder of modules that all Python programs share.
    pub(crate) shared: PathBuf,
    pub(crate) cores: Cores,
}

/// Where one phase happens.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) redis_url: String,
    /// The file of starts.
    pub(crate) log: PathBuf,
    /// How long a task takes.
    pub(crate) task: Duration,
}

/// A running program.
struct Running {
    child: Child,
    id: u32,
    said: PathBuf,
}

impl Running {
    fn start(launch: &Launch, stage: &Stage, words: &[&str], talks: bool) -> Result<Self> {
        let said = stage.log.with_extension(format!("{}.txt", words[0]));
        let errors = File::create(&said).context("a file for what a program says")?;
        let (stdin, stdout) = if talks {
            (Stdio::piped(), Stdio::piped())
        } else {
            (Stdio::null(), errors.try_clone()?.into())
        };
        let child = Command::new("setsid")
            .args(["taskset", "-c", &launch.cores.rest])
            .args(&launch.words)
            .args(words)
            .current_dir(&launch.folder)
            .env("REDIS_URL", &stage.redis_url)
            .env("LOG", &stage.log)
            .env("TASK_MS", stage.task.as_millis().to_string())
            .env("PYTHONPATH", &launch.shared)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NODE_ENV", "production")
            .stdin(stdin)
            .stdout(stdout)
            .stderr(errors)
            .spawn()
            .context("starting a peer's program by setsid and taskset (util-linux)")?;
        let id = child.id().context("it has ended")?;
        Ok(Self { child, id, said })
    }

    /// The end of what it wrote, for an error.
    fn last_words(&self) -> String {
        let text = std::fs::read(&self.said).unwrap_or_default();
        let from = text.len().saturating_sub(SHOWN_BYTES);
        String::from_utf8_lossy(&text[from..]).trim().to_owned()
    }

    /// Ends it and all it started, as `kill -9` does.
    fn end(&self) {
        // What is started meanwhile is found at the next look.
        for _ in 0..3 {
            for one in tree(&Stat::all(), self.id) {
                if let Ok(id) = i32::try_from(one.id) {
                    let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
                }
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.id().is_some() {
            self.end();
            let _ = self.child.try_wait();
            return;
        }
        // It was waited for and has given its number back; what it left behind is still in its
        // session.
        for one in Stat::all().iter().filter(|one| one.session == self.id && one.id != self.id) {
            if let Ok(id) = i32::try_from(one.id) {
                let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
            }
        }
    }
}

/// A worker.
pub(crate) struct Worker(Running);

impl Worker {
    pub(crate) fn start(launch: &Launch, stage: &Stage, concurrency: usize) -> Result<Self> {
        let words = ["worker", &concurrency.to_string()];
        Ok(Self(Running::start(launch, stage, &words, false)?))
    }

    /// CPU that it has used, µs.
    pub(crate) fn cpu_us(&self) -> f64 {
        cpu_us(self.0.id)
    }

    /// Waits until `count` handlers have begun.
    pub(crate) async fn wait(&mut self, log: &Path, count: u64, within: Duration) -> Result<()> {
        let since = Instant::now();
        loop {
            let begun = starts::count(log);
            if begun >= count {
                return Ok(());
            }
            if let Some(status) = self.0.child.try_wait()? {
                bail!("the worker ended with {status}: {}", self.0.last_words());
            }
            anyhow::ensure!(
                since.elapsed() < within,
                "only {begun} of {count} tasks began within {} s. {}",
                within.as_secs(),
                self.0.last_words()
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Kills it, and all it started, at once.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.0.end();
        self.0.child.wait().await.context("waiting for a killed worker")?;
        Ok(())
    }
}

/// How long submissions took.
#[derive(Debug, Deserialize)]
pub(crate) struct Took {
    pub(crate) took_ns: u64,
    /// Each call alone; none where calls had their times.
    pub(crate) waits_ns: Vec<u64>,
}

/// A program that submits what it is told to.
pub(crate) struct Submitter {
    running: Running,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    next: u64,
}

impl Submitter {
    /// Starts one and waits until it is ready.
    pub(crate) async fn start(launch: &Launch, stage: &Stage) -> Result<Self> {
        let mut running = Running::start(launch, stage, &["submit"], true)?;
        let stdin = running.child.stdin.take().context("its input")?;
        let lines = BufReader::new(running.child.stdout.take().context("its output")?).lines();
        let mut submitter = Self { running, stdin, lines, next: 0 };
        submitter.hear(READY_WITHIN).await.context("starting the program that submits")?;
        Ok(submitter)
    }

    async fn hear(&mut self, within: Duration) -> Result<String> {
        match tokio::time::timeout(within, self.lines.next_line()).await {
            Ok(Ok(Some(line))) => Ok(line),
            Ok(_) => bail!("it ended: {}", self.running.last_words()),
            Err(_) => bail!("no answer within {} s", within.as_secs()),
        }
    }

    async fn say(&mut self, words: serde_json::Value) -> Result<Took> {
        self.stdin.write_all(format!("{words}\n").as_bytes()).await?;
        self.stdin.flush().await?;
        let line = self.hear(ANSWER_WITHIN).await.context("submitting")?;
        serde_json::from_str(&line).with_context(|| format!("its answer {line:.200}"))
    }

    /// Submits `count` more, `size` in each call.
    pub(crate) async fn submit(&mut self, count: u64, size: u64) -> Result<Took> {
        let first = self.next;
        self.next += count;
        self.say(json!({ "first": first, "count": count, "size": size, "pad": PAD })).await
    }

    /// Submits one at each of these offsets, however long those before it took.
    pub(crate) async fn paced(&mut self, offsets_ns: &[u64]) -> Result<Took> {
        let first = self.next;
        self.next += offsets_ns.len() as u64;
        self.say(json!({ "first": first, "offsets_ns": offsets_ns, "pad": PAD })).await
    }

    /// How many it has submitted, which is the number of the next one.
    pub(crate) fn submitted(&self) -> u64 {
        self.next
    }

    /// CPU that it has used, µs.
    pub(crate) fn cpu_us(&self) -> f64 {
        cpu_us(self.running.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_a_hundred_bytes() {
        let payload = json!({ "n": 123_456, "at": 27_000_000_000_000_u64, "pad": PAD });
        assert!((95..=105).contains(&payload.to_string().len()), "{}", payload.to_string().len());
    }

    /// A program of two lines of shell, in place of a peer's.
    fn launch(folder: &Path, script: &str) -> Launch {
        std::fs::write(folder.join("program.sh"), script).unwrap();
        Launch {
            words: vec!["sh".into(), "program.sh".into()],
            folder: folder.to_owned(),
            shared: folder.to_owned(),
            cores: Cores { redis: "0".into(), rest: "0".into() },
        }
    }

    fn stage(folder: &Path) -> Stage {
        let log = folder.join("starts");
        Stage { redis_url: "redis://127.0.0.1:1".into(), log, task: Duration::ZERO }
    }

    #[tokio::test]
    async fn a_worker_that_ends_says_why_and_one_that_is_killed_leaves_nobody_behind() {
        let folder = tempfile::tempdir().unwrap();
        let stage = stage(folder.path());
        let broken = launch(folder.path(), "echo no such thing >&2; exit 3");
        let mut worker = Worker::start(&broken, &stage, 1).unwrap();
        let error = worker.wait(&stage.log, 1, READY_WITHIN).await.unwrap_err();
        assert!(error.to_string().contains("no such thing"), "{error}");

        let script = "sleep 60 & head -c 24 /dev/zero > $LOG; wait";
        let mut worker = Worker::start(&launch(folder.path(), script), &stage, 1).unwrap();
        worker.wait(&stage.log, 1, READY_WITHIN).await.unwrap();
        let family = tree(&Stat::all(), worker.0.id);
        assert!(family.len() >= 2, "{family:?}");
        worker.kill().await.unwrap();
        let is_left = |stat: &Stat| {
            let path = format!("/proc/{}/stat", stat.id);
            std::fs::read_to_string(path).is_ok_and(|text| !text.contains(") Z "))
        };
        let since = Instant::now();
        while family.iter().any(is_left) {
            assert!(since.elapsed() < READY_WITHIN, "{family:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn submissions_are_numbered_on() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo '{\"ready\":true}'; while read line; do echo \"$line\" >> told; \
                      echo '{\"took_ns\":5,\"waits_ns\":[1,2]}'; done";
        let launch = launch(folder.path(), script);
        let mut submitter = Submitter::start(&launch, &stage(folder.path())).await.unwrap();
        assert_eq!(submitter.submit(3, 2).await.unwrap().waits_ns, [1, 2]);
        assert_eq!(submitter.paced(&[5, 9]).await.unwrap().took_ns, 5);
        assert_eq!(submitter.submitted(), 5);
        let told = std::fs::read_to_string(folder.path().join("told")).unwrap();
        let lines: Vec<serde_json::Value> =
            told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["first"], &lines[0]["size"]), (&json!(0), &json!(2)));
        assert_eq!((&lines[1]["first"], &lines[1]["offsets_ns"]), (&json!(3), &json!([5, 9])));
    }
}
