//! Records as every store keeps them. Forms only grow: members are added, readers ignore what
//! they do not know, meanings never change.
//!
//! A state is one JSON object that the engine and the holder write together: the engine puts
//! `s`, `c`, `n`, `at`, `a` (and `exp`, `keep`, `due`, `w`) first, the holder's members ([`StateBody`]) follow.

mod descriptor;
mod schedule;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tasktonic_core::{Text, limits};

pub use descriptor::{Descriptor, QUEUE_IN_BYTES, StoredBackoff, queue_in};
pub use schedule::{PassedTick, ScheduleText};

/// How far along a task is.
#[derive(
    Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema, schemars::JsonSchema,
)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all; 0 while unknown.
    pub total: u64,
    /// What is being done, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What is counted (`photos`, `bytes`, `rows`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The part of the work that is being done, where it has parts; `done` and `total` count it
    /// alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// How much of the whole this phase is, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// How much of the whole the phases before it were, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<f64>,
}

impl Progress {
    /// How much of the whole is done, 0 to 1; nothing while the total is unknown.
    #[must_use]
    pub fn part(&self) -> Option<f64> {
        let within = (self.total > 0).then(|| (self.done as f64 / self.total as f64).min(1.0));
        match self.weight {
            // Of a phase that cannot be counted yet, at least the phases before it are done.
            Some(weight) => {
                let part = self.before.unwrap_or(0.0) + weight * within.unwrap_or(0.0);
                Some(part.clamp(0.0, 1.0))
            }
            None => within,
        }
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskError {
    /// A stable word.
    pub code: String,
    /// For people.
    pub message: String,
}

/// The members of a state that its holder (or whoever ends it) writes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StateBody {
    /// When the attempt started, wall clock, ms.
    #[serde(rename = "st", default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<i64>,
    /// Who ran it, for people.
    #[serde(rename = "wk", default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Latest progress.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The holder has been asked to stop and knows it.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelling: bool,
    /// The last error.
    #[serde(rename = "err", default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// Why it ended, in a word or sentence.
    #[serde(rename = "why", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether there is an output.
    #[serde(rename = "ho", default, skip_serializing_if = "std::ops::Not::not")]
    pub has_output: bool,
    /// Whether the output is the content of a file, which [`OutputFile`] names in its place.
    #[serde(rename = "fo", default, skip_serializing_if = "std::ops::Not::not")]
    pub output_in_file: bool,
    /// The output, byte for byte.
    #[serde(rename = "out", default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Box<RawValue>>,
}

impl StateBody {
    /// The members without braces, as the engine wants them.
    #[must_use]
    pub fn members(&self) -> Text {
        members(self)
    }

    /// The members for the event, without an output above the limit; `None` if nothing is left
    /// out.
    #[must_use]
    pub fn event_members(&self) -> Option<Text> {
        let output = self.output.as_ref()?;
        if output.get().len() <= EVENT_OUTPUT_BYTES_MAX {
            return None;
        }
        Some(Self { output: None, ..self.clone() }.members())
    }
}

/// Longest output that travels inside an event, in bytes.
pub const EVENT_OUTPUT_BYTES_MAX: usize = 1_024;

/// A whole state as it is read.
#[derive(Debug, Clone, Deserialize)]
pub struct StoredState {
    /// The state's name.
    pub s: String,
    /// Claim number.
    pub c: u32,
    /// Writes on this claim.
    pub n: u32,
    /// When it was written, wall clock, ms.
    pub at: i64,
    /// Attempt that runs, ran last, or would run next.
    pub a: u32,
    /// Due, for scheduled ones, wall clock, ms.
    #[serde(default)]
    pub due: Option<i64>,
    /// When it is cancelled if nobody takes it, while it waits and nobody ever did; wall clock, ms.
    #[serde(default)]
    pub exp: Option<i64>,
    /// The holder as its lease names it: worker id, full stop, claiming call.
    #[serde(default)]
    pub w: Option<String>,
    /// The holder's members.
    #[serde(flatten)]
    pub body: StateBodyRead,
}

impl StoredState {
    /// Who runs or ran it, for people: as its holder calls itself, or by the end of its id, which is
    /// the end of that name too, until it has said something.
    #[must_use]
    pub fn worker(&self) -> Option<String> {
        let by_id = || {
            let holder = self.w.as_deref()?;
            Some(tail(holder.split_once('.').map_or(holder, |(id, _)| id)).to_owned())
        };
        self.body.wk.clone().or_else(by_id)
    }
}

/// What people see of a worker: its machine, and the end of its id, for there may be several on
/// one machine.
#[must_use]
pub fn worker_name(host: &str, id: &str) -> String {
    format!("{host}-{}", tail(id))
}

fn tail(id: &str) -> &str {
    let start = id.char_indices().rev().nth(WORKER_TAIL_CHARS - 1).map_or(0, |(at, _)| at);
    &id[start..]
}

/// Characters of a worker's id that people see.
const WORKER_TAIL_CHARS: usize = 4;

/// The members of [`StateBody`] as read back; the output is found apart, see [`output_of`].
#[derive(Debug, Clone, Default, Deserialize)]
pub struct StateBodyRead {
    /// When the attempt started, ms.
    #[serde(default)]
    pub st: Option<i64>,
    /// Who ran it, for people.
    #[serde(default)]
    pub wk: Option<String>,
    /// Progress.
    #[serde(default)]
    pub p: Option<Progress>,
    /// Known to be cancelling.
    #[serde(default)]
    pub x: bool,
    /// Error.
    #[serde(default)]
    pub err: Option<TaskError>,
    /// Reason.
    #[serde(default)]
    pub why: Option<String>,
    /// Whether there is an output.
    #[serde(default)]
    pub ho: bool,
    /// Whether it is the content of a file.
    #[serde(default)]
    pub fo: bool,
}

/// What stands for an output that is too long for the record, where the state says so: the file that
/// it is the content of, spelled as outputs name files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Its id.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Content type.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Bytes.
    pub size: u64,
}

impl OutputFile {
    /// The file in which the output of this state is, if it is in one.
    #[must_use]
    pub fn of(state: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Only {
            #[serde(default)]
            fo: bool,
            #[serde(default)]
            out: Option<OutputFile>,
        }
        // Any other output is no file, whatever it looks like.
        serde_json::from_str::<Only>(state).ok().filter(|only| only.fo)?.out
    }
}

/// Longest output that is kept as a file, in bytes of JSON.
pub const OUTPUT_FILE_BYTES_MAX: usize = 16 * 1_024 * 1_024;

/// The output inside a stored state, byte for byte.
#[must_use]
pub fn output_of(state: &str) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Only<'a> {
        #[serde(borrow, default)]
        out: Option<&'a RawValue>,
    }
    serde_json::from_str::<Only<'_>>(state).ok()?.out.map(ToOwned::to_owned)
}

/// What the submit event carries beside its state, so that a list can show the new row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SubmitEvent {
    /// Kind.
    pub k: String,
    /// Queue, where it is not named like the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Attempts in all.
    pub max: u32,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The idempotency key, by which an optimistic row finds its task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Longest run of one attempt, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

impl SubmitEvent {
    /// The members without braces.
    #[must_use]
    pub fn members(&self) -> Text {
        members(self)
    }
}

/// What the event of an edit carries beside the state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EditEvent {
    /// The labels from now on.
    pub ed: Vec<String>,
}

impl EditEvent {
    /// The members without braces.
    #[must_use]
    pub fn members(&self) -> Text {
        members(self)
    }
}

/// One ended attempt in the history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// Attempt number.
    pub a: u32,
    /// How it ended: failed, lost, released, snoozed, cancelled, succeeded.
    pub o: String,
    /// Who ran it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wk: Option<String>,
    /// When it started, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub st: Option<i64>,
    /// When it ended, ms.
    pub en: i64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub err: Option<TaskError>,
}

impl AttemptRecord {
    /// The stored text.
    #[must_use]
    pub fn text(&self) -> Text {
        serde_json::to_string(self).expect("strings and numbers serialise").into()
    }
}

/// How grave a log line is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For whoever looks closely.
    Debug,
    /// As expected.
    Info,
    /// Unexpected, went on.
    Warn,
    /// Went wrong.
    Error,
}

/// One line of a task's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, ms.
    pub at: i64,
    /// How grave.
    pub l: LogLevel,
    /// The line, at most [`LOG_LINE_BYTES_MAX`] bytes.
    pub x: String,
}

/// Longest log line kept, in bytes.
pub const LOG_LINE_BYTES_MAX: usize = 4_096;

impl LogLine {
    /// The stored text; a longer line is cut at a character.
    #[must_use]
    pub fn text(&self) -> Text {
        let mut end = self.x.len().min(LOG_LINE_BYTES_MAX);
        while !self.x.is_char_boundary(end) {
            end -= 1;
        }
        let line = Self { x: self.x[..end].to_owned(), ..*self };
        serde_json::to_string(&line).expect("strings and numbers serialise").into()
    }
}

/// The `rev` of a write: rises with every change of one task, exact in a double.
#[must_use]
pub const fn rev(claim: u32, n: u32) -> u64 {
    claim as u64 * limits::REV_PER_CLAIM + n as u64
}

fn members(of: &impl Serialize) -> Text {
    let json = serde_json::to_string(of).expect("strings, numbers and valid JSON serialise");
    json[1..json.len() - 1].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_parts_of_the_whole() {
        let progress = Progress { done: 1, total: 4, ..Progress::default() };
        assert_eq!(progress.part(), Some(0.25));
        let phase = Progress { weight: Some(0.5), before: Some(0.5), ..progress };
        assert_eq!(phase.part(), Some(0.625));
        assert_eq!(Progress { total: 0, ..phase }.part(), Some(0.5));
        assert_eq!(Progress::default().part(), None);
    }

    #[test]
    fn two_workers_of_one_machine_have_two_names() {
        assert_eq!(worker_name("vm", "in-00ffa1b2"), "vm-a1b2");
        assert_eq!(worker_name("vm", "a1"), "vm-a1");
    }

    #[test]
    fn a_worker_that_has_said_nothing_is_known_by_the_end_of_its_name() {
        let read = |members: &str| {
            let text = format!(
                r#"{{"s":"running","c":1,"n":1,"at":9,"a":1,"w":"in-00ffa1b2.7"{members}}}"#
            );
            serde_json::from_str::<StoredState>(&text).unwrap().worker().unwrap()
        };
        let name = worker_name("vm", "in-00ffa1b2");
        assert_eq!(read(r#","wk":"vm-a1b2""#), name);
        assert!(name.ends_with(&format!("-{}", read(""))), "{} is not the end of {name}", read(""));
    }

    #[test]
    fn a_state_reads_back_what_its_holder_wrote() {
        let body = StateBody {
            started_ms: Some(7),
            progress: Some(Progress { done: 1, total: 2, ..Progress::default() }),
            has_output: true,
            output: Some(RawValue::from_string("{\"a\": 1.50}".into()).unwrap()),
            ..StateBody::default()
        };
        let state = format!(r#"{{"s":"completed","c":2,"n":4,"at":9,"a":1,{}}}"#, body.members());
        let read: StoredState = serde_json::from_str(&state).unwrap();
        assert_eq!((read.c, read.n, read.body.st), (2, 4, Some(7)));
        assert_eq!(output_of(&state).unwrap().get(), "{\"a\": 1.50}");
    }

    #[test]
    fn an_event_leaves_out_a_long_output_only() {
        let long = format!("\"{}\"", "x".repeat(EVENT_OUTPUT_BYTES_MAX));
        let mut body = StateBody {
            output: Some(RawValue::from_string(long).unwrap()),
            has_output: true,
            ..StateBody::default()
        };
        assert_eq!(&*body.event_members().unwrap(), r#""ho":true"#);
        body.output = Some(RawValue::from_string("1".into()).unwrap());
        assert_eq!(body.event_members(), None);
    }

    #[test]
    fn a_long_log_line_is_cut_at_a_character() {
        let line = LogLine { at: 1, l: LogLevel::Info, x: "é".repeat(LOG_LINE_BYTES_MAX) };
        let read: LogLine = serde_json::from_str(&line.text()).unwrap();
        assert_eq!(read.x.len(), LOG_LINE_BYTES_MAX);
    }
}
