//! What passes between a handler, which runs anywhere, and the loop, which runs on a thread of
//! its own. Bounded: the newest progress, some lines, one end.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use serde_json::value::RawValue;
use tasktonic_protocol::stored::{LogLevel, Progress};
use tasktonic_store::clock::Clock;
use tokio::sync::Notify;

use crate::Outcome;
use crate::context::Reports;
use crate::limits::{PROGRESS_NOTE_BYTES_MAX, PROGRESS_PHASE_BYTES_MAX, PROGRESS_UNIT_BYTES_MAX};
use crate::log_lines::LogLines;

/// How a handler ended, before anybody decides what that means.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It returned.
    Returned(Outcome),
    /// It completed with an output that is the content of a file: this names it.
    InFile(Box<RawValue>),
    /// It panicked.
    Panicked,
    /// It was cut off: it did not end by itself in time, or its runtime ended.
    CutOff,
}

/// Attempts that have something to say, each at most twice: for its news and for its end.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    keys: Mutex<Vec<u64>>,
    pub(crate) news: Notify,
}

impl Mailbox {
    fn post(&self, key: u64) {
        self.keys.lock().push(key);
        self.news.notify_one();
    }

    pub(crate) fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.keys.lock())
    }
}

/// The desk of one attempt.
#[derive(Debug)]
pub(crate) struct Desk {
    key: u64,
    mailbox: Arc<Mailbox>,
    clock: Clock,
    /// Whether progress may go back.
    rewinds: bool,
    said: Mutex<Said>,
}

#[derive(Debug)]
struct Said {
    posted: bool,
    /// What was said last, whether it waits or was taken.
    latest: Option<Progress>,
    progress: Option<Progress>,
    lines: LogLines,
    ended: Option<Ended>,
}

impl Desk {
    pub(crate) fn new(key: u64, mailbox: Arc<Mailbox>, clock: Clock, rewinds: bool) -> Self {
        let lines = LogLines::new(Instant::now());
        let said = Said { posted: false, latest: None, progress: None, lines, ended: None };
        Self { key, mailbox, clock, rewinds, said: Mutex::new(said) }
    }

    fn say(&self, what: impl FnOnce(&mut Said)) {
        let mut said = self.said.lock();
        what(&mut said);
        if !std::mem::replace(&mut said.posted, true) {
            drop(said);
            self.mailbox.post(self.key);
        }
    }

    fn end(&self, ended: Ended) {
        let now_ms = self.clock.now_ms();
        let mut said = self.said.lock();
        said.lines.say_what_is_left_out(now_ms);
        said.ended.get_or_insert(ended);
        said.posted = true;
        drop(said);
        self.mailbox.post(self.key);
    }

    /// What was said since the last look: the newest progress, and the end. While something
    /// waits to be sent the desk stays quiet, so that a handler that reports in a tight loop
    /// wakes nobody for what [`Desk::catch_up`] will find anyway.
    pub(crate) fn look(&self) -> (Option<Progress>, Option<Ended>) {
        let mut said = self.said.lock();
        said.posted = said.progress.is_some() || !said.lines.is_empty();
        (said.progress.take(), said.ended.take())
    }

    /// The newest progress, at the moment of sending; what is said from now on is announced.
    pub(crate) fn catch_up(&self) -> Option<Progress> {
        let mut said = self.said.lock();
        said.posted = false;
        said.progress.take()
    }

    /// The lines that wait.
    pub(crate) fn lines<T>(&self, with: impl FnOnce(&mut LogLines) -> T) -> T {
        with(&mut self.said.lock().lines)
    }
}

/// What a handler writes with.
pub(crate) struct Pen(pub(crate) Arc<Desk>);

impl Reports for Pen {
    fn progress(&self, mut progress: Progress) {
        progress.note = progress.note.map(|note| cut(note, PROGRESS_NOTE_BYTES_MAX));
        progress.unit = progress.unit.map(|unit| cut(unit, PROGRESS_UNIT_BYTES_MAX));
        progress.phase = progress.phase.map(|phase| cut(phase, PROGRESS_PHASE_BYTES_MAX));
        let rewinds = self.0.rewinds;
        self.0.say(|said| {
            let progress = match &said.latest {
                Some(known) if !rewinds => forward(known, progress),
                _ => progress,
            };
            said.latest = Some(progress.clone());
            said.progress = Some(progress);
        });
    }

    fn log(&self, level: LogLevel, text: String) {
        let (now, now_ms) = (Instant::now(), self.0.clock.now_ms());
        self.0.say(|said| said.lines.push(now, now_ms, level, text));
    }
}

/// Says how a handler ended, also when it is dropped halfway.
pub(crate) struct EndOnDrop(pub(crate) Option<Arc<Desk>>);

impl EndOnDrop {
    pub(crate) fn end(mut self, ended: Ended) {
        if let Some(desk) = self.0.take() {
            desk.end(ended);
        }
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if let Some(desk) = self.0.take() {
            desk.end(Ended::CutOff);
        }
    }
}

/// What is shown where `known` was and `new` is said: `new`, or if that went back, `known` with the
/// new note. A phase without a weight has a bar of its own.
fn forward(known: &Progress, new: Progress) -> Progress {
    let same_phase = known.phase == new.phase;
    if !same_phase && known.weight.is_none() && new.weight.is_none() {
        return new;
    }
    let goes_back = match (known.part(), new.part()) {
        (Some(before), Some(after)) => after < before,
        (Some(_), None) => true,
        _ => same_phase && known.unit == new.unit && new.done < known.done,
    };
    if goes_back { Progress { note: new.note, ..known.clone() } } else { new }
}

/// A text of at most `bytes_max` bytes, cut at a character.
pub(crate) fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said() -> impl Strategy<Value = Vec<(u64, u64, usize, bool)>> {
        proptest::collection::vec((0..20_u64, 0..20_u64, 0..3_usize, any::<bool>()), 1..40)
    }

    fn progress((done, total, phase, weighted): (u64, u64, usize, bool)) -> Progress {
        Progress {
            done,
            total,
            phase: (phase > 0).then(|| phase.to_string()),
            weight: weighted.then_some(0.25),
            before: weighted.then_some(phase as f64 / 4.0),
            ..Progress::default()
        }
    }

    fn taken(rewinds: bool, said: &[(u64, u64, usize, bool)]) -> Vec<Progress> {
        let desk = Arc::new(Desk::new(1, Arc::default(), Clock::system(), rewinds));
        let pen = Pen(desk.clone());
        said.iter()
            .map(|said| {
                pen.progress(progress(*said));
                desk.catch_up().expect("it was just said")
            })
            .collect()
    }

    proptest! {
        #[test]
        fn progress_goes_back_only_if_declared(said in said()) {
            let seen = taken(false, &said);
            for pair in seen.windows(2) {
                let [before, after] = pair else { unreachable!("windows of two") };
                let own_bar = before.phase != after.phase
                    && before.weight.is_none()
                    && after.weight.is_none();
                // What was known once stays known.
                prop_assert!(own_bar || after.part() >= before.part(), "{before:?}, {after:?}");
            }
            let expected: Vec<Progress> = said.iter().copied().map(progress).collect();
            prop_assert_eq!(taken(true, &said), expected, "declared: as it was said");
        }
    }

    #[test]
    fn what_goes_back_keeps_the_bar_and_takes_the_note() {
        let desk = Arc::new(Desk::new(1, Arc::default(), Clock::system(), false));
        let pen = Pen(desk.clone());
        let said = |done, note: &str| Progress {
            done,
            total: 10,
            note: Some(note.into()),
            ..Progress::default()
        };
        pen.progress(said(5, "five"));
        pen.progress(said(3, "again"));
        let shown = desk.catch_up().expect("it was said");
        assert_eq!((shown.done, shown.note.as_deref()), (5, Some("again")));
        pen.progress(said(6, "six"));
        assert_eq!(desk.catch_up().expect("it was said").done, 6);
    }
}
