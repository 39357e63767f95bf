//! A program that runs for a test and ends with it, with everything it has started.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::{Scratch, wait};

/// How many lines of its output a failing test shows.
const TAIL_LINES: usize = 60;

/// A running program in a process group of its own. Dropping it kills the group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    output: PathBuf,
    // Holds the folder of `output` for as long as the program may write to it.
    _scratch: Scratch,
}

impl Process {
    /// Starts `command`; both of its streams go into one file.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let scratch = Scratch::new();
        let output = scratch.join("output.log");
        let name = command.get_program().to_string_lossy().into_owned();
        let file = File::create(&output).expect("a scratch folder can be written");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file can be shared"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { child, name, output, _scratch: scratch }
    }

    /// Its process id, which is also that of its group.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read(&self.output)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The file that its output goes to.
    #[must_use]
    pub fn output_path(&self) -> &Path {
        &self.output
    }

    /// Waits for a line that contains `needle` and returns it.
    ///
    /// # Panics
    /// When `within` passes, or the program ends without having said it.
    #[track_caller]
    pub fn line_with(&mut self, needle: &str, within: Duration) -> String {
        let since = Instant::now();
        loop {
            // Asked before the output is read, so that its last words are not missed.
            let ended = self.ended();
            let output = self.output();
            if let Some(line) = output.lines().find(|line| line.contains(needle)) {
                return line.to_owned();
            }
            assert!(
                ended.is_none() && since.elapsed() < within,
                "{} did not say {needle:?} within {within:?} (ended: {ended:?}):\n{}",
                self.name,
                tail(&output)
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends `signal` to the program alone.
    pub fn signal(&self, signal: Signal) {
        // One that has ended already is no concern of a test that stops it.
        let _ = kill(self.pid(), signal);
    }

    /// Sends `signal` to the program and all it has started.
    pub fn signal_group(&self, signal: Signal) {
        let _ = killpg(self.pid(), signal);
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// When the system does not know its own child.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours can be asked")
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When `within` passes first; the text holds the end of its output.
    #[track_caller]
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            if since.elapsed() >= within {
                panic!("{} did not end within {within:?}:\n{}", self.name, tail(&self.output()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the program alone, as a crash would, and waits until it is gone. Its children live.
    pub fn crash(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait(Duration::from_secs(10));
    }

    /// The processes that are still in its group, zombies not counted.
    #[must_use]
    pub fn group(&self) -> Vec<u32> {
        members(self.id())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.id()).expect("a process id is small"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} said:\n{}", self.name, tail(&self.output()));
        }
        self.signal_group(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// The processes of a group, zombies not counted, from /proc.
#[must_use]
pub fn members(group: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok())
        .filter(|id| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            // After the name in brackets: state, parent, group.
            let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
            let state = fields.next().unwrap_or("Z");
            state != "Z" && fields.nth(1).and_then(|g| g.parse().ok()) == Some(group)
        })
        .collect()
}

/// Waits until no process of `group` is left.
///
/// # Panics
/// When `within` passes first; the text names those that are left.
#[track_caller]
pub fn wait_for_empty_group(group: u32, within: Duration) {
    wait::until(&format!("group {group} to be empty"), within, || members(group).is_empty());
}

fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        Process::start(command.args(["-c", script]))
    }

    #[test]
    fn dropping_it_ends_its_children_too() {
        let mut process = shell("sleep 100 & sleep 100 & echo started; wait");
        process.line_with("started", Duration::from_secs(10));
        let group = process.id();
        assert_eq!(members(group).len(), 3);
        drop(process);
        wait_for_empty_group(group, Duration::from_secs(10));
    }

    #[test]
    fn a_crash_leaves_the_children_to_be_looked_at() {
        let mut process = shell("sleep 100 & echo started; wait");
        process.line_with("started", Duration::from_secs(10));
        process.crash();
        assert_eq!(process.group().len(), 1);
    }

    #[test]
    fn its_end_and_its_words_are_known() {
        let mut process = shell("echo out; echo err >&2; exit 7");
        assert_eq!(process.wait(Duration::from_secs(10)).code(), Some(7));
        assert!(process.output().contains("out") && process.output().contains("err"));
    }

    #[test]
    #[should_panic(expected = "did not say \"hello\"")]
    fn one_that_ends_without_the_awaited_words_is_told_at_once() {
        shell("echo goodbye").line_with("hello", Duration::from_secs(600));
    }
}
