//! What passes between a handler, which runs anywhere, and the loop, which runs on a thread of
//! its own. Bounded: the newest progress, some lines, one end.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tasktonic_protocol::stored::{LogLevel, Progress};
use tasktonic_store::clock::Clock;
use tokio::sync::Notify;

use crate::Outcome;
use crate::context::Reports;
use crate::limits::{PROGRESS_NOTE_BYTES_MAX, PROGRESS_UNIT_BYTES_MAX};
use crate::log_lines::LogLines;

/// How a handler ended, before anybody decides what that means.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It returned.
    Returned(Outcome),
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
    said: Mutex<Said>,
}

#[derive(Debug)]
struct Said {
    posted: bool,
    progress: Option<Progress>,
    lines: LogLines,
    ended: Option<Ended>,
}

impl Desk {
    pub(crate) fn new(key: u64, mailbox: Arc<Mailbox>, clock: Clock) -> Self {
        let lines = LogLines::new(Instant::now());
        let said = Said { posted: false, progress: None, lines, ended: None };
        Self { key, mailbox, clock, said: Mutex::new(said) }
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
        self.0.say(|said| said.progress = Some(progress));
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
