//! The lines of one attempt that wait for the next sync: bounded in number, bytes and rate. What
//! is left out is counted, and the log says so.

use std::collections::VecDeque;
use std::time::Instant;

use tasktonic_core::Text;
use tasktonic_protocol::stored::{LogLevel, LogLine};

use crate::limits::{LOG_LINES_BURST, LOG_LINES_PER_S, LOG_LINES_PER_SYNC, LOG_WAITING_BYTES_MAX};

#[derive(Debug)]
pub(crate) struct LogLines {
    waiting: VecDeque<Text>,
    waiting_bytes: usize,
    room: f64,
    since: Instant,
    left_out: u32,
}

impl LogLines {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            room: f64::from(LOG_LINES_BURST),
            since: now,
            left_out: 0,
        }
    }

    pub(crate) fn push(&mut self, now: Instant, at_ms: i64, level: LogLevel, text: String) {
        let grown = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        self.room = (self.room + grown * f64::from(LOG_LINES_PER_S)).min(LOG_LINES_BURST.into());
        if self.room < 1.0 || self.waiting_bytes >= LOG_WAITING_BYTES_MAX {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        self.room -= 1.0;
        self.say_what_is_left_out(at_ms);
        self.add(&LogLine { at: at_ms, l: level, x: text });
    }

    /// Adds a line about those that are not there, if any.
    pub(crate) fn say_what_is_left_out(&mut self, at_ms: i64) {
        let count = std::mem::take(&mut self.left_out);
        if count > 0 {
            let x = format!("{count} lines left out: too many at once");
            self.add(&LogLine { at: at_ms, l: LogLevel::Warn, x });
        }
    }

    fn add(&mut self, line: &LogLine) {
        let text = line.text();
        self.waiting_bytes += text.len();
        self.waiting.push_back(text);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The oldest lines, as many as one sync takes and within `bytes`, but one at least.
    pub(crate) fn take(&mut self, bytes: usize) -> Vec<Text> {
        let mut taken = Vec::new();
        let mut left = bytes;
        while taken.len() < LOG_LINES_PER_SYNC
            && let Some(line) = self.waiting.front()
            && (taken.is_empty() || line.len() <= left)
        {
            left = left.saturating_sub(line.len());
            self.waiting_bytes -= line.len();
            taken.extend(self.waiting.pop_front());
        }
        taken
    }

    /// Puts lines back that were not taken over after all.
    pub(crate) fn put_back(&mut self, lines: Vec<Text>) {
        for line in lines.into_iter().rev() {
            self.waiting_bytes += line.len();
            self.waiting.push_front(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn all(lines: &mut LogLines) -> Vec<String> {
        let mut texts = Vec::new();
        while !lines.is_empty() {
            for text in lines.take(1_000) {
                texts.push(serde_json::from_str::<LogLine>(&text).unwrap().x);
            }
        }
        texts
    }

    #[test]
    fn a_flood_is_cut_and_says_so() {
        let start = Instant::now();
        let mut lines = LogLines::new(start);
        for i in 0..LOG_LINES_BURST + 37 {
            lines.push(start, 0, LogLevel::Info, i.to_string());
        }
        lines.push(start + Duration::from_secs(1), 0, LogLevel::Info, "after".into());
        let texts = all(&mut lines);
        assert_eq!(texts.len(), LOG_LINES_BURST as usize + 2);
        assert_eq!(texts[LOG_LINES_BURST as usize], "37 lines left out: too many at once");
        assert_eq!(texts.last().unwrap(), "after");
    }

    proptest! {
        #[test]
        fn lines_keep_their_order_when_they_are_put_back(count in 1_usize..300, bytes in 0_usize..3_000) {
            let mut lines = LogLines::new(Instant::now());
            for i in 0..count {
                lines.push(Instant::now(), 0, LogLevel::Info, i.to_string());
            }
            let taken = lines.take(bytes);
            prop_assert!(!taken.is_empty());
            lines.put_back(taken);
            let expected: Vec<_> = (0..count).map(|i| i.to_string()).collect();
            prop_assert_eq!(all(&mut lines), expected);
            prop_assert_eq!(lines.waiting_bytes, 0);
        }

        #[test]
        fn what_waits_is_bounded(sizes in proptest::collection::vec(0_usize..9_000, 0..400)) {
            let mut lines = LogLines::new(Instant::now());
            for size in sizes {
                lines.push(Instant::now(), 0, LogLevel::Info, "x".repeat(size));
                prop_assert!(lines.waiting_bytes <= LOG_WAITING_BYTES_MAX + 2 * 5_000);
            }
        }
    }
}
