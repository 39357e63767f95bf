//! A process of the product under fault: started until it is ready, killed, stopped, frozen, and
//! its words kept. It knows no history: whoever breaks something says so.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::signal::Signal;
use tasktonic_testkit::{Process, kill_point};

/// How long one may take to be ready, starts that were refused included: a store that is away at
/// the start ends the process, and whoever runs it starts it again.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// The pause before it is started again.
const AGAIN_AFTER: Duration = Duration::from_millis(300);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long one that was asked to stop may take: its drain, and what a busy machine adds.
const STOPS_WITHIN: Duration = Duration::from_secs(25);

/// What it says once it does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadyWord {
    /// Of a server.
    Listening,
    /// Of a worker.
    Working,
}

impl ReadyWord {
    const fn text(self) -> &'static str {
        match self {
            Self::Listening => "\"message\":\"listening\"",
            Self::Working => "name this worker by the end of its id",
        }
    }
}

/// One place in the deployment, and the process that is in it.
pub(crate) struct Slot {
    /// Its name in the history.
    pub(crate) name: String,
    command: Box<dyn Fn() -> Command + Send>,
    ready: ReadyWord,
    log: PathBuf,
    process: Option<Process>,
}

impl Slot {
    /// An empty one; `command` makes the command that fills it.
    pub(crate) fn new(
        name: String,
        ready: ReadyWord,
        log: PathBuf,
        command: impl Fn() -> Command + Send + 'static,
    ) -> Self {
        Self { name, command: Box::new(command), ready, log, process: None }
    }

    /// Starts it, again if it is refused, until it is ready.
    ///
    /// # Errors
    /// When it is not within a minute.
    pub(crate) fn start(&mut self) -> Result<()> {
        let since = Instant::now();
        while since.elapsed() < READY_WITHIN {
            if self.start_once(&mut (self.command)(), since) {
                return Ok(());
            }
            std::thread::sleep(AGAIN_AFTER);
        }
        bail!("{} was not ready within {READY_WITHIN:?}; see {}", self.name, self.log.display())
    }

    /// Starts it so that it kills itself when it passes `point` for the `nth` time; once it
    /// does its work, `meanwhile` is done at every look. Whether it came to that within `within`.
    pub(crate) fn dies_at(
        &mut self,
        point: &str,
        nth: u32,
        within: Duration,
        mut meanwhile: impl FnMut(),
    ) -> bool {
        let mut command = (self.command)();
        kill_point::at(&mut command, point, nth);
        let mut process = Process::start(&mut command);
        let since = Instant::now();
        let mut is_ready = false;
        let died = loop {
            match process.ended() {
                Some(status) => break kill_point::killed(status),
                None if since.elapsed() >= within => break false,
                None => std::thread::sleep(LOOK_EVERY),
            }
            is_ready = is_ready || process.output().contains(self.ready.text());
            if is_ready {
                meanwhile();
            }
        };
        self.process = Some(process);
        self.kill();
        died
    }

    fn start_once(&mut self, command: &mut Command, since: Instant) -> bool {
        let mut process = Process::start(command);
        let is_ready = loop {
            // Asked before the output is read, so that its last words are not missed.
            let ended = process.ended().is_some();
            if process.output().contains(self.ready.text()) {
                break true;
            }
            if ended || since.elapsed() >= READY_WITHIN {
                break false;
            }
            std::thread::sleep(LOOK_EVERY);
        };
        self.process = Some(process);
        if !is_ready {
            self.kill();
        }
        is_ready
    }

    /// Kills it as a crash would. What its attempts have started lives on.
    pub(crate) fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            process.crash();
        }
        self.bury();
    }

    /// Asks it to stop, and waits. How it ended; nothing if it did not in time, and was killed.
    pub(crate) fn stop(&mut self) -> Option<ExitStatus> {
        let process = self.process.as_mut()?;
        process.signal(Signal::SIGTERM);
        let since = Instant::now();
        let status = loop {
            match process.ended() {
                Some(status) => break Some(status),
                None if since.elapsed() >= STOPS_WITHIN => break None,
                None => std::thread::sleep(LOOK_EVERY),
            }
        };
        self.kill();
        status
    }

    /// Stops it where it stands.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    /// How it ended, if it did and nobody here made it.
    pub(crate) fn ended_by_itself(&mut self) -> Option<ExitStatus> {
        self.process.as_mut()?.ended()
    }

    /// Keeps what it said.
    fn bury(&mut self) {
        let Some(process) = self.process.take() else { return };
        let mut said = process.output();
        said.push_str("---- ended\n");
        let kept = std::fs::OpenOptions::new().create(true).append(true).open(&self.log);
        // Without its words a run is judged all the same.
        let _ = kept.and_then(|mut file| std::io::Write::write_all(&mut file, said.as_bytes()));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// How something ended, in words.
pub(crate) fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use tasktonic_testkit::Scratch;

    use super::*;

    fn slot(scratch: &Scratch, script: &str) -> Slot {
        let script = script.to_owned();
        let log = scratch.join("slot.log");
        Slot::new("slot".into(), ReadyWord::Working, log, move || {
            let mut command = Command::new("sh");
            command.args(["-c", &script]);
            command
        })
    }

    #[test]
    fn one_that_is_refused_at_first_is_started_again() {
        let scratch = Scratch::new();
        let mark = scratch.join("mark");
        let script = format!(
            "if [ -e {0} ]; then echo name this worker by the end of its id; sleep 100; fi; \
             touch {0}; exit 1",
            mark.display()
        );
        let mut slot = slot(&scratch, &script);
        slot.start().unwrap();
        assert!(slot.ended_by_itself().is_none());
        slot.kill();
        let log = std::fs::read_to_string(scratch.join("slot.log")).unwrap();
        assert_eq!(log.matches("---- ended").count(), 2, "{log}");
    }

    #[test]
    fn how_one_ends_that_is_asked_to_is_known() {
        let scratch = Scratch::new();
        let mut slot = slot(
            &scratch,
            "trap 'exit 7' TERM; echo name this worker by the end of its id; \
             while :; do sleep 0.02; done",
        );
        slot.start().unwrap();
        assert_eq!(slot.stop().map(ending), Some("exit code 7".into()));
        slot.start().unwrap();
        assert!(!slot.dies_at("nowhere", 1, Duration::from_millis(100), || {}), "it lives");
    }
}
