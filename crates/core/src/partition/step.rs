//! What one step collects on its way, and how states and events are spelled.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::line::Touched;
use super::submit::{End, bytes_of};
use crate::Text;
use crate::changes::{Changes, EventEntry, Place, Record, Signal, TaskControl};
use crate::command::Expiry;
use crate::ids::{Name, TaskId, UserId};

/// The changes of one step in the making.
pub(super) struct Step {
    pub(super) now_ms: i64,
    /// Tasks that ends were told to.
    pub(super) led: usize,
    records: Vec<Record>,
    /// Events per user, joined by commas.
    events: BTreeMap<UserId, String>,
    signals: Vec<Signal>,
    /// Users whose tasks run no more, each with the queue, in the order in which that was said.
    left: Vec<(Name, UserId)>,
    /// Queues in which lanes got in again.
    pub(super) roomy: BTreeSet<Name>,
    /// Queues with a limit over all users in which a task runs no more.
    pub(super) freed: BTreeSet<Name>,
    /// What tasks of users held when this step first asked, with what it accepted since.
    held: Vec<(UserId, u64)>,
    /// Lines that were changed, in order.
    touched: Vec<Touched>,
    /// At which end of its line a task has entered it.
    entered: Vec<(UserId, TaskId, End)>,
}

impl Step {
    pub(super) fn new(now_ms: i64) -> Self {
        Self {
            now_ms,
            led: 0,
            records: Vec::new(),
            events: BTreeMap::new(),
            signals: Vec::new(),
            left: Vec::new(),
            roomy: BTreeSet::new(),
            freed: BTreeSet::new(),
            held: Vec::new(),
            touched: Vec::new(),
            entered: Vec::new(),
        }
    }

    pub(super) fn record(&mut self, record: Record) {
        self.records.push(record);
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        self.signals.push(signal);
    }

    /// A task of the user runs no more in a queue that counts.
    pub(super) fn leaves(&mut self, queue: &Name, user: &UserId) {
        if !self.left.iter().any(|(of, who)| of == queue && who == user) {
            self.left.push((queue.clone(), user.clone()));
        }
    }

    pub(super) fn take_left(&mut self) -> Vec<(Name, UserId)> {
        std::mem::take(&mut self.left)
    }

    /// What the tasks of a user hold, for those that are to be accepted: `now` if nobody has asked
    /// in this step.
    pub(super) fn held(&mut self, user: &UserId, now: u64) -> u64 {
        if let Some((_, held)) = self.held.iter().find(|(of, _)| of == user) {
            return *held;
        }
        self.held.push((user.clone(), now));
        now
    }

    /// So many bytes were accepted of a user.
    pub(super) fn hold(&mut self, user: &UserId, bytes: u64) {
        if let Some((_, held)) = self.held.iter_mut().find(|(of, _)| of == user) {
            *held += bytes;
        }
    }

    /// Notes that a line has changed.
    pub(super) fn touch(&mut self, line: Touched) {
        if !self.touched.contains(&line) {
            self.touched.push(line);
        }
    }

    pub(super) fn take_touched(&mut self) -> Vec<Touched> {
        std::mem::take(&mut self.touched)
    }

    /// Notes at which end a task has entered its line.
    pub(super) fn entered(&mut self, user: &UserId, task: TaskId, end: End) {
        self.entered.push((user.clone(), task, end));
    }

    /// At which end a task whose turn it has become enters its lane: before what came since, if it
    /// has waited.
    pub(super) fn entry_of(&self, user: &UserId, task: TaskId) -> End {
        let of = self.entered.iter().rev().find(|(owner, id, _)| *id == task && owner == user);
        of.map_or(End::Front, |(_, _, end)| *end)
    }

    /// Logs an event of `user`: one JSON object.
    pub(super) fn event(&mut self, user: &UserId, json: &str) {
        match self.events.get_mut(user) {
            Some(list) => {
                list.push(',');
                list.push_str(json);
            }
            None => {
                self.events.insert(user.clone(), json.to_owned());
            }
        }
    }

    /// Writes a task's state: the record, and its event unless it is mere progress. Answers the bytes
    /// of the state.
    pub(super) fn write(
        &mut self,
        user: &UserId,
        task: TaskId,
        control: &TaskControl,
        text: &StateText<'_>,
    ) -> u32 {
        let state = text.spell(control, None, text.body);
        if text.logged {
            let event = text.spell(control, Some(task), text.event.unwrap_or(text.body));
            self.event(user, &event);
        } else {
            let event = text.spell(control, Some(task), text.body);
            self.signal(Signal::Publish { user: user.clone(), text: event.into() });
        }
        let bytes = bytes_of(&state);
        self.record(Record::Task {
            user: user.clone(),
            task,
            control: control.clone(),
            text: Some(state.into()),
        });
        bytes
    }

    /// The finished changes; `next_seq` numbers a user's entry.
    pub(super) fn finish(self, epoch: u32, mut next_seq: impl FnMut(&UserId) -> u64) -> Changes {
        let numbered = |(user, list): (UserId, String)| {
            let seq = next_seq(&user);
            EventEntry { user, epoch, seq, text: Text::from(format!("[{list}]")) }
        };
        Changes {
            records: self.records,
            events: self.events.into_iter().map(numbered).collect(),
            signals: self.signals,
        }
    }
}

/// The parts of a state's text that the engine does not know from the control record.
pub(super) struct StateText<'a> {
    /// When it is written, wall clock, ms.
    pub(super) at_ms: i64,
    /// The writer's members, without braces.
    pub(super) body: &'a str,
    /// What the event says instead.
    pub(super) event: Option<&'a str>,
    /// Whether it goes into the event log; progress does not.
    pub(super) logged: bool,
}

impl StateText<'_> {
    /// `{"s":"queued","c":1,"n":0,"at":5,"a":1…}`; with `t` first where it is an event, and with
    /// `exp` and `keep`, `pr` and `sk` before `a` where it expires, has a priority or a serial key:
    /// behind it anybody's members may stand.
    fn spell(&self, control: &TaskControl, task: Option<TaskId>, body: &str) -> String {
        let mut json = String::with_capacity(96 + body.len());
        json.push('{');
        if let Some(task) = task {
            let _ = write!(json, "\"t\":\"{task}\",");
        }
        let TaskControl { claim, n, attempt, place, expires, serial, priority, .. } = control;
        let (state, at_ms) = (place.state().name(), self.at_ms);
        // Writing to a String cannot fail.
        let _ = write!(json, r#""s":"{state}","c":{claim},"n":{n},"at":{at_ms}"#);
        if let Some(Expiry { at_ms, keep_s }) = expires.as_deref() {
            let _ = write!(json, r#","exp":{at_ms},"keep":{keep_s}"#);
        }
        if let Some(letter) = priority.letter() {
            let _ = write!(json, r#","pr":"{letter}""#);
        }
        if let Some(serial) = serial.as_deref() {
            let _ = write!(json, r#","sk":"{:032x}""#, serial.key);
        }
        let _ = write!(json, r#","a":{attempt}"#);
        match place {
            Place::Scheduled { due_ms } => {
                let _ = write!(json, r#","due":{due_ms}"#);
            }
            Place::Waiting { pending } => {
                let _ = write!(json, r#","on":{pending}"#);
            }
            Place::Running { worker, call, .. } => {
                let _ = write!(json, r#","w":"{worker}.{call}""#);
            }
            Place::Queued { .. } | Place::Ended { .. } => {}
        }
        if !body.is_empty() {
            json.push(',');
            json.push_str(body);
        }
        json.push('}');
        json
    }

    /// The event of a state that has no record of its own: queued and untouched.
    pub(super) fn event_only(&self, task: TaskId, control: &TaskControl) -> String {
        self.spell(control, Some(task), self.body)
    }
}
