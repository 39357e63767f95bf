//! What happened, one line each, in one file that the driver, the attempts and the observers all
//! append to. It knows no law: it is what the checker reads, and all that it reads.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Op {
    /// A task was handed over.
    Submit,
    /// A task was to be stopped.
    Cancel,
    /// A task was sent back to its queue.
    Retry,
    /// A waiting task got another time or place.
    Reschedule,
    /// A waiting task got another payload.
    Edit,
    /// An ended task was to be removed.
    Purge,
    /// A flow was handed over, or a batch opened.
    Open,
    /// A batch was closed to further tasks.
    Seal,
    /// A schedule was made, or another word said about it.
    Schedule,
    /// A schedule was removed.
    Unschedule,
    /// All work of a user, or a queue, was paused.
    Pause,
    /// It was to go on.
    Resume,
    /// A limit was set of each user in a queue.
    Limit,
    /// What a worker has: its labels.
    Labels,
    /// An attempt has begun.
    Start,
    /// An attempt has done its work: the write into the user's own database.
    Commit,
    /// A logged event was heard.
    Event,
    /// Progress was heard.
    Progress,
    /// A task as a snapshot has it.
    Snapshot,
    /// The stream said that a cursor is of another life or too old.
    Reset,
    /// A hole in the stream was seen, and asked about.
    Gap,
    /// A socket was opened with a cursor.
    Hello,
    /// Something was broken.
    Fault,
    /// A phase of the run has begun; or something that must not be was seen.
    Mark,
    /// A line of a task's log as it is at the end.
    LogLine,
    /// A task as it is at the end.
    Final,
    /// What a flow or batch has come to at the end.
    RollUp,
}

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// It was asked for.
    Invoke,
    /// It was done.
    Ok,
    /// It was refused: nothing was changed.
    Fail,
    /// Nobody knows.
    Info,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// When, by the machine's monotonic clock, ms.
    pub(crate) t: u64,
    /// Who says so.
    pub(crate) proc: String,
    /// What.
    pub(crate) op: Op,
    /// How far.
    pub(crate) phase: Phase,
    /// What holds an invocation and its end together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) call: Option<u64>,
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// Which task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<String>,
    /// Which intent to have a task: in its payload, and never used twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<String>,
    /// The idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// The fence of the claim: it stands for the lease token, which nobody outside sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<u64>,
    /// The counted attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<u32>,
    /// Attempts in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attempts_max: Option<u32>,
    /// The life of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) epoch: Option<u32>,
    /// The place in the user's stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seq: Option<u64>,
    /// The task's own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rev: Option<u64>,
    /// The task's status, a fault's name, a phase's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    /// Which edit of the payload, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u32>,
    /// Not to start before, by the same clock, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) due: Option<u64>,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// Whether a fault may make the store forget what it had not passed on yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) forgets: bool,
    /// What only some lines have to say.
    #[serde(flatten)]
    pub(crate) facts: Facts,
}

/// What is said of tasks and calls beyond the plain ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Facts {
    /// By the wall clock, ms: the store's stamp of a change, or ours of a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at_ms: Option<i64>,
    /// The kind of a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// The queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<String>,
    /// What else than a worker may be in the way of a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bound: Option<String>,
    /// What its key means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<String>,
    /// How long a key's window is, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) window_ms: Option<u64>,
    /// The serial key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) serial: Option<String>,
    /// Labels that a task needs or a worker has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) labels: Vec<String>,
    /// The call that handed a task over with others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) of_call: Option<u64>,
    /// The flow or batch that a task is part of, or that a call is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flow: Option<String>,
    /// Intents that must complete before this one may begin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) after: Vec<String>,
    /// Intents that must end before it, however.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) after_any: Vec<String>,
    /// The name of a schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<String>,
    /// The time of a schedule for which a task was made, by the wall clock, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tick_ms: Option<i64>,
    /// Whether a limit is over all users.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) over_all: bool,
    /// A limit of what runs at once, or the tasks of a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<u32>,
    /// The time of a rate or of a schedule, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) per_ms: Option<u64>,
    /// The burst of a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) burst: Option<u32>,
    /// Progress: how much of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) done: Option<u64>,
    /// Progress: of how much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<u64>,
    /// Of a flow: parts that failed, and that were cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<u64>,
    /// As above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cancelled: Option<u64>,
    /// Whether it is one that has to be refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_bad: bool,
}

impl Line {
    /// A line of now with nothing but this.
    pub(crate) fn new(proc: impl Into<String>, op: Op, phase: Phase) -> Self {
        Self {
            t: now(),
            proc: proc.into(),
            op,
            phase,
            call: None,
            user: None,
            task: None,
            nonce: None,
            key: None,
            token: None,
            attempt: None,
            attempts_max: None,
            epoch: None,
            seq: None,
            rev: None,
            status: None,
            version: None,
            due: None,
            why: None,
            forgets: false,
            facts: Facts::default(),
        }
    }
}

/// The machine's monotonic clock, ms: the same for every process.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every machine has this clock");
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    part(time.tv_sec()) * 1_000 + part(time.tv_nsec()) / 1_000_000
}

/// The wall clock, ms: that of the stores, which are on this machine.
pub(crate) fn wall() -> i64 {
    let time = clock_gettime(ClockId::CLOCK_REALTIME).expect("every machine has this clock");
    time.tv_sec() * 1_000 + time.tv_nsec() / 1_000_000
}

/// Appends to a history.
#[derive(Debug, Clone)]
pub(crate) struct Recorder(Arc<File>);

impl Recorder {
    /// One for the file at `path`, made if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| format!("opening {}", path.display()))?;
        Ok(Self(Arc::new(file)))
    }

    /// Writes a line in one go: lines of several processes never mix.
    pub(crate) fn say(&self, line: &Line) {
        let mut text = serde_json::to_vec(line).expect("a line of ours is JSON");
        text.push(b'\n');
        // A history with holes would acquit what it did not see.
        (&*self.0).write_all(&text).expect("the history can be written");
    }
}

/// All lines of a history that nobody writes any more, by time.
///
/// # Errors
/// When it cannot be read, or holds something else.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    lines(path, &text)
}

/// The lines that a history has so far, by time. A line that is being written does not count yet: a
/// reader may see the half of it.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_so_far(path: &Path) -> Result<Vec<Line>> {
    let text = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    lines(path, std::str::from_utf8(&text[..whole])?)
}

fn lines(path: &Path, text: &str) -> Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = serde_json::from_str(line)
            .with_context(|| format!("{}, line {}", path.display(), number + 1))?;
        lines.push(line);
    }
    lines.sort_by_key(|line| line.t);
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use tasktonic_testkit::Scratch;

    use super::*;

    #[test]
    fn what_several_write_at_once_is_read_whole_and_by_time() {
        let scratch = Scratch::new();
        let path = scratch.join("history.jsonl");
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let recorder = Recorder::open(&path).unwrap();
                std::thread::spawn(move || {
                    for n in 0..200 {
                        let mut line = Line::new(format!("p{thread}"), Op::Start, Phase::Ok);
                        line.token = Some(n);
                        line.why = Some("x".repeat(500));
                        recorder.say(&line);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let lines = read(&path).unwrap();
        assert_eq!(lines.len(), 800);
        assert!(lines.is_sorted_by_key(|line| line.t));
        let of_one: Vec<_> = lines.iter().filter(|l| l.proc == "p2").collect();
        assert!(of_one.is_sorted_by_key(|line| line.token), "each writer's order is kept");
    }

    #[test]
    fn half_a_line_at_the_end_counts_only_once_nobody_writes() {
        let scratch = Scratch::new();
        let path = scratch.join("history.jsonl");
        let recorder = Recorder::open(&path).unwrap();
        let said = Line { why: Some("ä".into()), ..Line::new("p", Op::Start, Phase::Ok) };
        recorder.say(&said);
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..whole.len() {
            std::fs::write(&path, [&whole[..], &whole[..cut]].concat()).unwrap();
            assert_eq!(read_so_far(&path).unwrap().len(), 1, "cut after {cut} bytes");
            // The last cut lacks but the end of the line, which is no part of what it says.
            assert_eq!(read(&path).is_err(), cut < whole.len() - 1, "cut after {cut} bytes");
        }
    }
}
