//! One process of the fleet: started, watched until it does its work, started again when it ends
//! or hangs, ended when it is time. It knows neither what the process does nor who else there is.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::future::try_join_all;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::board::{Board, Row};
use super::processes::Group;
use super::roster::{End, Member, Roster};
use crate::{logging, parent};

/// How long a start may take, where nothing has to be read first.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often a process that starts is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// The pause before a second start; doubles up to the longest.
const RESTART_FIRST: Duration = Duration::from_millis(250);
const RESTART_LONGEST: Duration = Duration::from_secs(30);
/// A process that lived this long is started again as soon as the first time.
const STEADY: Duration = Duration::from_secs(60);
/// How often a hanging process is looked for, how long one answer may take, and how many looks in
/// a row must fail before it is killed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const LOOK_WAIT: Duration = Duration::from_secs(5);
const LOOKS_FAILED_MAX: u32 = 3;
/// Lines of its log that a failed first start shows.
const TAIL_LINES: usize = 6;
/// Bytes of its log that are read for that.
const TAIL_BYTES: u64 = 8_192;

/// What a process answers when it is asked how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It does its work.
    Ready,
    /// It will, and has something else to do now.
    Busy,
    /// It does not answer.
    None,
}

/// A question that a process answers.
pub(crate) type Probe = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// A process to be kept up.
pub(crate) struct Spec {
    /// `server-1`; also the name of its log.
    pub(crate) name: String,
    /// Where it listens, if it does.
    pub(crate) port: Option<u16>,
    /// How it ends when we are gone. One that does so by itself is of ours or reads its input.
    pub(crate) end: End,
    /// How long a start may take.
    pub(crate) patience: Duration,
    /// How long it may take to end when asked.
    pub(crate) grace: Duration,
    /// How to start it.
    pub(crate) command: Box<dyn Fn() -> Result<Command> + Send + Sync>,
    /// Whether it is ready, and later whether it still answers. Without one it says on its output
    /// that it is ready.
    pub(crate) probe: Option<Probe>,
}

/// A program that does not look at its input, started so that it runs only once it is on the list
/// of those who are ended with us.
pub(crate) fn gated(program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "read -r go && exec \"$0\" \"$@\""]).arg(program);
    command
}

/// What all processes of a fleet share.
#[derive(Clone)]
pub(crate) struct Shared {
    /// Who belongs to it.
    pub(crate) roster: Arc<Roster>,
    /// Who looks at it.
    pub(crate) board: Arc<Board>,
    /// The folder of the logs.
    pub(crate) logs: PathBuf,
}

/// A process that is kept up.
pub(crate) struct Kept {
    stop: CancellationToken,
    keeper: tokio::task::JoinHandle<()>,
}

/// Starts all of `specs` at once. What comes back is the processes, and a future that is done when
/// all are ready or one of them could not be started.
pub(crate) fn start(
    shared: &Shared,
    specs: Vec<Spec>,
) -> (Vec<Kept>, impl Future<Output = Result<()>> + use<>) {
    let mut kept = Vec::new();
    let mut firsts = Vec::new();
    for spec in specs {
        shared.board.announce(&spec.name, spec.port);
        let (first, ready) = oneshot::channel();
        let stop = CancellationToken::new();
        let keeper = Keeper { spec, shared: shared.clone(), stop: stop.clone() };
        kept.push(Kept { stop, keeper: tokio::spawn(keeper.keep(first)) });
        firsts.push(async { ready.await.unwrap_or_else(|_| Err(anyhow!("it was ended"))) });
    }
    (kept, async { try_join_all(firsts).await.map(|_| ()) })
}

/// Ends all of `kept` at the same time.
pub(crate) async fn end(kept: &mut Vec<Kept>) {
    let all = std::mem::take(kept);
    all.iter().for_each(|one| one.stop.cancel());
    for one in all {
        // A keeper that panicked has told so, and the caretaker sees to its process.
        let _ = one.keeper.await;
    }
}

struct Keeper {
    spec: Spec,
    shared: Shared,
    stop: CancellationToken,
}

/// A started process. The pipe is its sign that we live: waiting for a child closes the pipe that
/// it still owns, so it is taken out.
struct Running {
    child: Child,
    pid: u32,
    pipe: Option<ChildStdin>,
}

impl Keeper {
    async fn keep(self, first: oneshot::Sender<Result<()>>) {
        let mut first = Some(first);
        let mut pause = RESTART_FIRST;
        loop {
            let since = Instant::now();
            let why = match self.once(&mut first).await {
                // It was asked to end.
                Ok(None) => return self.ended(),
                Ok(Some(why)) => why,
                Err(error) => format!("{error:#}"),
            };
            if let Some(first) = first.take() {
                // Nobody waits for it who is not told.
                let _ = first.send(Err(anyhow!("{} did not start: {why}", self.spec.name)));
                return self.ended();
            }
            if since.elapsed() > STEADY {
                pause = RESTART_FIRST;
            }
            self.shared.board.restarting(&self.spec.name, &why, pause);
            tokio::select! {
                () = sleep(pause) => {}
                () = self.stop.cancelled() => return self.ended(),
            }
            pause = (pause * 2).min(RESTART_LONGEST);
        }
    }

    /// One life of the process: why it ended, or nothing if it was asked to.
    async fn once(
        &self,
        first: &mut Option<oneshot::Sender<Result<()>>>,
    ) -> Result<Option<String>> {
        let log = logging::log_file(&self.shared.logs, &self.log_name())?;
        let from = log.metadata().map_or(0, |meta| meta.len());
        let mut running = self.spawn(log).await?;
        let ended = tokio::select! {
            ready = timeout(self.spec.patience, self.ready(&mut running)) => match ready {
                Ok(Ok(())) => {
                    let Spec { name, port, .. } = &self.spec;
                    let row = Row { name: name.clone(), pid: running.pid, port: *port };
                    self.shared.board.ready(row);
                    if let Some(first) = first.take() {
                        let _ = first.send(Ok(()));
                    }
                    self.life(&mut running).await
                }
                Ok(Err(error)) => Some(format!("{error:#}{}", self.tail(from))),
                Err(_) => Some(format!("not ready within {} s", self.spec.patience.as_secs())),
            },
            () = self.stop.cancelled() => None,
        };
        self.finish(running, ended.is_none()).await;
        Ok(ended)
    }

    async fn spawn(&self, log: File) -> Result<Running> {
        let says_it = self.spec.probe.is_none();
        let mut command = (self.spec.command)()?;
        command.stdin(Stdio::piped()).process_group(0).kill_on_drop(true);
        command.stdout(if says_it { Stdio::piped() } else { Stdio::from(log.try_clone()?) });
        let mut child = command.stderr(log).spawn().with_context(|| {
            let program = command.as_std().get_program().to_string_lossy();
            format!("starting {program}")
        })?;
        let pid = child.id().context("it has no number")?;
        let mut pipe = child.stdin.take();
        if let Some(group) = Group::of(pid) {
            let Spec { name, port, end, .. } = &self.spec;
            let member = Member { name: name.clone(), port: *port, group, end: *end };
            self.shared.roster.put(member)?;
        }
        // It may be gone already, which is seen soon enough.
        if let Some(pipe) = &mut pipe {
            let _ = pipe.write_all(b"go\n").await;
        }
        Ok(Running { child, pid, pipe })
    }

    /// Returns when it is ready.
    async fn ready(&self, running: &mut Running) -> Result<()> {
        let Some(probe) = &self.spec.probe else {
            let output = running.child.stdout.take().context("its output is not ours")?;
            let mut lines = BufReader::new(output).lines();
            while let Some(line) = lines.next_line().await? {
                if line == parent::READY {
                    // A reader stays, so that it can go on writing.
                    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                    return Ok(());
                }
            }
            let status = running.child.wait().await?;
            bail!("it ended at once ({status})");
        };
        loop {
            if let Some(status) = running.child.try_wait()? {
                bail!("it ended at once ({status})");
            }
            if timeout(LOOK_WAIT, probe()).await == Ok(Answer::Ready) {
                return Ok(());
            }
            sleep(ASK_EVERY).await;
        }
    }

    /// Why it is of no use any more, or nothing if it is to end.
    async fn life(&self, running: &mut Running) -> Option<String> {
        tokio::select! {
            status = running.child.wait() => {
                Some(status.map_or_else(|error| error.to_string(), |status| status.to_string()))
            }
            () = self.hangs() => Some("it does not answer".into()),
            () = self.stop.cancelled() => None,
        }
    }

    /// Returns once it has stopped answering. One that was only stopped still takes connections,
    /// so an answer is asked for.
    async fn hangs(&self) {
        let Some(probe) = &self.spec.probe else { return std::future::pending().await };
        let mut failed = 0;
        while failed < LOOKS_FAILED_MAX {
            sleep(LOOK_EVERY).await;
            let answer = timeout(LOOK_WAIT, probe()).await.unwrap_or(Answer::None);
            failed = if answer == Answer::None { failed + 1 } else { 0 };
        }
    }

    /// Makes sure that nothing is left of it. With `in_order` it is asked first.
    async fn finish(&self, mut running: Running, in_order: bool) {
        let Ok(pid) = i32::try_from(running.pid).map(Pid::from_raw) else { return };
        // A process that is gone already is what we want.
        if in_order {
            let _ = kill(pid, Signal::SIGTERM);
            let _ = timeout(self.spec.grace, running.child.wait()).await;
        }
        let _ = killpg(pid, Signal::SIGKILL);
        let _ = running.child.wait().await;
        drop(running.pipe);
    }

    fn ended(&self) {
        self.shared.board.ended(&self.spec.name);
        if let Err(error) = self.shared.roster.remove(&self.spec.name) {
            tracing::warn!("{error:#}");
        }
    }

    fn log_name(&self) -> String {
        format!("{}.log", self.spec.name)
    }

    /// Its last words since `from`, and where the rest is.
    fn tail(&self, from: u64) -> String {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let path = self.shared.logs.join(self.log_name());
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|mut file| {
            let end = file.metadata()?.len();
            file.seek(SeekFrom::Start(from.max(end.saturating_sub(TAIL_BYTES))))?;
            file.take(TAIL_BYTES).read_to_end(&mut text)
        });
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        if read.is_err() || lines.is_empty() {
            return String::new();
        }
        let last = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n    ");
        format!("\n    {last}\n  all of it: {}", path.display())
    }
}
