//! Stored texts as socket frames. It knows spellings only: no socket, no store.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use tasktonic_core::{TaskId, TaskState};
use tasktonic_protocol::frames::{Event, ServerFrame, StreamCursor};
use tasktonic_protocol::http;
use tasktonic_protocol::priority::Priority;
use tasktonic_protocol::stored::{LogLine, StoredState, rev};
use tasktonic_protocol::task::{Patch, Task, needs_of};
use tasktonic_protocol::time::rfc3339;
use tasktonic_store::{Counts, LogRow, StoredTask};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Tasks remembered as asked to stop; beyond it a bar may show *running* for one report too long.
const ASKED_MAX: usize = 4_096;

/// What a stored event says beside the state.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    t: &'a str,
    #[serde(borrow, default)]
    x: Option<&'a RawValue>,
    #[serde(default)]
    c: Option<u32>,
    #[serde(default)]
    n: Option<u32>,
    #[serde(default)]
    k: Option<String>,
    #[serde(default)]
    q: Option<String>,
    #[serde(borrow, default)]
    pr: Option<&'a str>,
    #[serde(default)]
    max: Option<u32>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    to: Option<u64>,
    #[serde(default)]
    ed: Option<Vec<String>>,
}

/// The priority that the engine spells by a letter.
fn priority(letter: Option<&str>) -> Priority {
    letter.and_then(tasktonic_core::Priority::of_letter).unwrap_or_default().into()
}

/// Something unlogged.
pub(super) enum Passing {
    /// Progress of a task, as the JSON text of its patch.
    Progress(TaskId, Box<str>),
    /// A task's log grew.
    Log(TaskId),
}

/// Reads one user's events in order.
#[derive(Debug, Default)]
pub(super) struct Converter {
    /// Tasks that were asked to stop and have not said that they know.
    asked: HashSet<TaskId>,
}

impl Converter {
    /// The frame of one entry of the log. What cannot be read in it is left out: the number must
    /// arrive, and the record says the rest.
    pub(super) fn logged(
        &mut self,
        epoch: u32,
        seq: u64,
        text: &str,
        durability: &str,
    ) -> Utf8Bytes {
        let list: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
        let events = list.into_iter().filter_map(|raw| self.event(raw.get(), durability));
        let cursor = StreamCursor { epoch, seq }.to_string();
        encode(&ServerFrame::Events { epoch, seq, cursor, events: events.collect() })
    }

    fn event(&mut self, text: &str, durability: &str) -> Option<Event> {
        let head: Head<'_> = serde_json::from_str(text).ok()?;
        let task: TaskId = head.t.parse().ok()?;
        let id = head.t.to_owned();
        if head.x.is_some_and(|x| x.get() == "\"cancel_requested\"") {
            if self.asked.len() < ASKED_MAX {
                self.asked.insert(task);
            }
            return Some(Event::CancelRequested { id, cancel_requested: true });
        }
        if head.x.is_some_and(|x| x.get() == "\"removed\"") {
            self.asked.remove(&task);
            let rev = rev(head.c?, head.n.unwrap_or(0));
            return Some(Event::Removed { id, removed: true, rev });
        }
        let state: StoredState = serde_json::from_str(text).ok()?;
        self.asked.remove(&task);
        let patch = Patch { tags: head.ed, ..Patch::of(&id, &state, false) };
        Some(match head.k {
            Some(kind) => Event::New {
                task: Box::new(Task {
                    id,
                    needs: head.q.as_deref().map(needs_of).unwrap_or_default(),
                    queue: head.q.unwrap_or_else(|| kind.clone()),
                    kind,
                    priority: priority(head.pr),
                    status: patch.status,
                    state: patch.state,
                    attempt: patch.attempt,
                    attempts_max: head.max.unwrap_or(1),
                    rev: patch.rev,
                    progress: patch.progress,
                    payload: None,
                    output: None,
                    error: patch.error,
                    reason: patch.reason,
                    tags: head.tags,
                    idempotency_key: head.key,
                    serial_key: None,
                    schedule: None,
                    worker: patch.worker,
                    created_at: rfc3339(state.at),
                    run_at: patch.run_at,
                    expires_at: patch.expires_at,
                    started_at: patch.started_at,
                    ended_at: patch.ended_at,
                    updated_at: patch.updated_at,
                    timeout_ms: head.to,
                    policy: None,
                    durability: durability.to_owned(),
                    has_output: patch.has_output,
                    output_in_file: false,
                }),
            },
            None => Event::Changed { task: patch },
        })
    }

    /// What an unlogged text says, if it can be read.
    pub(super) fn passing(&self, text: &str) -> Option<Passing> {
        #[derive(Deserialize)]
        struct Passed<'a> {
            #[serde(borrow)]
            t: &'a str,
            #[serde(borrow, default)]
            log: Option<&'a RawValue>,
        }
        let passed: Passed<'_> = serde_json::from_str(text).ok()?;
        let task: TaskId = passed.t.parse().ok()?;
        if passed.log.is_some() {
            return Some(Passing::Log(task));
        }
        let state: StoredState = serde_json::from_str(text).ok()?;
        let patch = Patch::of(passed.t, &state, self.asked.contains(&task));
        Some(Passing::Progress(task, serde_json::to_string(&patch).ok()?.into_boxed_str()))
    }
}

/// A frame as it is sent.
pub(super) fn encode(frame: &ServerFrame) -> Utf8Bytes {
    serde_json::to_string(frame).expect("frames are strings, numbers and valid JSON").into()
}

/// The frame of some patches that are spelled already.
pub(super) fn progress<'a>(epoch: u32, patches: impl Iterator<Item = &'a str>) -> Utf8Bytes {
    let mut json = format!(r#"{{"t":"progress","epoch":{epoch},"patches":["#);
    for (at, patch) in patches.enumerate() {
        if at > 0 {
            json.push(',');
        }
        json.push_str(patch);
    }
    json.push_str("]}");
    json.into()
}

/// A task for a snapshot: without payload and output.
pub(super) fn task(stored: &StoredTask, durability: &str) -> Option<Task> {
    let id = stored.id.to_string();
    let (descriptor, state) = (&stored.descriptor, stored.state.as_deref());
    match Task::from_stored(&id, descriptor, state, stored.cancel_asked, durability, false) {
        Ok(task) => Some(task),
        Err(error) => {
            tracing::error!(task = %stored.id, %error, "left out of a snapshot");
            None
        }
    }
}

/// What is known of a task's present state, spelled as a patch.
pub(super) fn patch(stored: &StoredTask, durability: &str) -> Option<Box<str>> {
    let task = task(stored, durability)?;
    let patch = Patch {
        id: task.id,
        rev: task.rev,
        status: task.status,
        state: task.state,
        attempt: task.attempt,
        progress: task.progress,
        error: task.error,
        reason: task.reason,
        worker: task.worker,
        run_at: task.run_at,
        expires_at: task.expires_at,
        tags: Some(task.tags),
        started_at: task.started_at,
        ended_at: task.ended_at,
        updated_at: task.updated_at,
        has_output: task.has_output,
    };
    Some(serde_json::to_string(&patch).ok()?.into_boxed_str())
}

/// Tasks by state, as they are shown.
pub(crate) fn counts(stored: &Counts) -> http::Counts {
    http::Counts {
        all: stored.all(),
        scheduled: stored.of(TaskState::Scheduled),
        waiting: stored.of(TaskState::Waiting),
        queued: stored.of(TaskState::Queued),
        running: stored.of(TaskState::Running),
        completed: stored.of(TaskState::Completed),
        failed: stored.of(TaskState::Dead),
        cancelled: stored.of(TaskState::Cancelled),
        bytes: stored.bytes,
    }
}

/// A log line as it is shown; one that cannot be read is left out.
pub(super) fn line(row: &LogRow) -> Option<http::LogLine> {
    let line: LogLine = serde_json::from_str(&row.text).ok()?;
    Some(http::LogLine { n: row.number, at: rfc3339(line.at), level: line.l, text: line.x })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AAAAAAAAAAAAAAAA";

    fn events(text: &str) -> serde_json::Value {
        let frame = Converter::default().logged(3, 7, text, "memory");
        serde_json::from_str(frame.as_str()).unwrap()
    }

    #[test]
    fn an_entry_keeps_its_number_even_if_nothing_in_it_can_be_read() {
        for text in ["", "nonsense", r#"[{"t":"no id"}]"#, "[1,2]"] {
            let frame = events(text);
            assert_eq!((frame["seq"].as_u64(), frame["cursor"].as_str()), (Some(7), Some("3-7")));
            assert_eq!(frame["events"].as_array().unwrap().len(), 0, "{text}");
        }
    }

    #[test]
    fn the_kinds_of_event_are_told_apart() {
        let text = format!(
            r#"[{{"t":"{ID}","s":"queued","c":1,"n":0,"at":5,"a":1,"k":"noop","q":"q","max":3}},
               {{"t":"{ID}","s":"running","c":1,"n":1,"at":6,"a":1,"w":"w-1.7"}},
               {{"t":"{ID}","x":"cancel_requested","at":7}},
               {{"t":"{ID}","x":"removed","c":2,"n":3,"at":8}},
               {{"t":"{ID}","s":"queued","c":1,"n":0,"at":5,"a":1,"k":"noop","max":3}}]"#
        );
        let frame = events(&text);
        let removed = serde_json::json!({ "id": ID, "removed": true, "rev": 200_000_003 });
        assert_eq!(frame["events"][3], removed);
        assert_eq!(frame["events"][0]["task"]["kind"], "noop");
        assert_eq!(frame["events"][0]["task"]["queue"], "q");
        assert_eq!(frame["events"][0]["task"]["rev"], 100_000_000);
        assert_eq!(frame["events"][1]["task"]["status"], "running");
        assert!(frame["events"][1]["task"].get("kind").is_none());
        assert_eq!(frame["events"][2]["cancel_requested"], true);
        assert_eq!(frame["events"][4]["task"]["queue"], "noop", "its kind's, unless it says so");
    }

    #[test]
    fn progress_after_a_request_to_stop_still_says_cancelling() {
        let mut converter = Converter::default();
        let report = format!(
            r#"{{"t":"{ID}","s":"running","c":1,"n":2,"at":6,"a":1,"p":{{"done":1,"total":2}}}}"#
        );
        let status = |converter: &Converter| match converter.passing(&report) {
            Some(Passing::Progress(_, patch)) => {
                serde_json::from_str::<Patch>(&patch).unwrap().status.name()
            }
            _ => panic!("progress"),
        };
        assert_eq!(status(&converter), "running");
        converter.logged(
            1,
            1,
            &format!(r#"[{{"t":"{ID}","x":"cancel_requested","at":7}}]"#),
            "fast",
        );
        assert_eq!(status(&converter), "cancelling");
    }

    #[test]
    fn lines_of_a_log_are_told_from_progress() {
        let text = format!(r#"{{"t":"{ID}","log":{{"first":1,"lines":[]}}}}"#);
        assert!(matches!(Converter::default().passing(&text), Some(Passing::Log(_))));
    }
}
