//! A user who says what keys mean, in every mode but the plain one, and which tasks may not run
//! beside each other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use tasktonic_client::submission;
use tasktonic_protocol::http::{KeyMode, SubmitRequest};

use super::caller::{Caller, raw};
use crate::deployment::KIND;
use crate::history::{Facts, Line, Op, now};

/// The pause between two calls, ms: from, up to.
const PAUSE_MS: (u64, u64) = (150, 500);
/// How long an attempt takes, ms.
const TAKES_MS: (u64, u64) = (50, 700);
/// Keys of a mode, and serial keys.
const KEYS: u64 = 2;
const SERIAL_KEYS: u64 = 3;
/// The window of keys that have one, ms: from, up to.
const WINDOW_MS: (u64, u64) = (800, 3_000);
/// Attempts of a task.
const ATTEMPTS_MAX: u32 = 6;
/// Tasks that are still in mind.
const KNOWN_MAX: usize = 20;

/// The modes, and what the API calls them. What `ttl` means plain users find out.
const MODES: &[(KeyMode, &str)] = &[
    (KeyMode::UntilDone, "until_done"),
    (KeyMode::UntilStarted, "until_started"),
    (KeyMode::Unique, "unique"),
    (KeyMode::Throttle, "throttle"),
    (KeyMode::Debounce, "debounce"),
    (KeyMode::Replace, "replace"),
    (KeyMode::Latest, "latest"),
    (KeyMode::Restart, "restart"),
];

pub(crate) struct User {
    by: Caller,
    known: VecDeque<String>,
}

impl User {
    pub(crate) fn new(by: Caller) -> Self {
        Self { by, known: VecDeque::new() }
    }

    pub(crate) async fn live(&mut self, over: &AtomicBool) {
        while !over.load(Ordering::SeqCst) {
            self.by.rest(PAUSE_MS).await;
            match self.by.seed.below(100) {
                0..45 => {
                    let (mode, name) = *self.by.seed.pick(MODES);
                    let key = format!("{name}-{}", self.by.seed.below(KEYS));
                    self.keyed(mode, name, &key).await;
                    // The next comes while this one waits, or at least may.
                    if self.by.seed.one_in(2) {
                        self.keyed(mode, name, &key).await;
                    }
                }
                45..88 => self.serial().await,
                88..95 => self.cancel().await,
                _ => self.retry().await,
            }
        }
    }

    /// Under a key, in one of the modes. What the key means for a task goes with its key: the same
    /// key is never used in two modes.
    async fn keyed(&mut self, mode: KeyMode, name: &str, key: &str) {
        let payload = self.by.work(TAKES_MS);
        let mut request = submission(KIND, raw(&payload));
        request.idempotency_key = Some(key.to_owned());
        request.key_mode = Some(mode);
        let has_window = matches!(mode, KeyMode::Throttle | KeyMode::Debounce);
        // One window for one key: what is judged is between any two submissions.
        let window_ms = has_window.then(|| {
            let spread = key.bytes().fold(0, |sum, byte| sum + u64::from(byte));
            WINDOW_MS.0 + spread * 97 % (WINDOW_MS.1 - WINDOW_MS.0)
        });
        request.key_window_ms = window_ms;
        let serial = matches!(mode, KeyMode::Latest | KeyMode::Restart);
        let facts = Facts {
            bound: Some("key".into()),
            mode: Some(name.into()),
            window_ms,
            serial: serial.then(|| key.to_owned()),
            ..Facts::default()
        };
        let due = if mode == KeyMode::Debounce { window_ms.map(|ms| now() + ms) } else { None };
        let key = Some(key.to_owned());
        let line = Line { key, due, facts, ..self.by.line(Op::Submit) };
        self.send(request, Line { nonce: Some(payload.nonce), ..line }).await;
    }

    async fn serial(&mut self) {
        let mut payload = self.by.work(TAKES_MS);
        if self.by.seed.one_in(4) {
            payload.good_from = 2;
        }
        payload.fatal = self.by.seed.one_in(4);
        let mut request = submission(KIND, raw(&payload));
        let serial = format!("line-{}", self.by.seed.below(SERIAL_KEYS));
        request.serial_key = Some(serial.clone());
        if self.by.seed.one_in(5) {
            request.delay_ms = Some(self.by.seed.below(1_500));
        }
        let due = request.delay_ms.map(|ms| now() + ms);
        let facts = Facts { bound: Some("key".into()), serial: Some(serial), ..Facts::default() };
        // A key of its own, so that an answer that is lost makes no second task.
        request.idempotency_key = Some(format!("once-{}", payload.nonce));
        let key = request.idempotency_key.clone();
        let line = Line { key, due, facts, ..self.by.line(Op::Submit) };
        self.send(request, Line { nonce: Some(payload.nonce), ..line }).await;
    }

    async fn send(&mut self, mut request: SubmitRequest, invoked: Line) {
        request.attempts_max = Some(ATTEMPTS_MAX);
        request.crashes_max = Some(ATTEMPTS_MAX);
        let invoked = Line { attempts_max: request.attempts_max, ..invoked };
        self.by.recorder.say(&invoked);
        match self.by.client().submit(request).await {
            Ok(submitted) => {
                self.by.accepted(&invoked, &submitted.task, submitted.is_new);
                if submitted.is_new {
                    self.known.push_back(submitted.task.id);
                    if self.known.len() > KNOWN_MAX {
                        self.known.pop_front();
                    }
                }
            }
            Err(error) => self.by.refused(&invoked, &error),
        }
    }

    async fn cancel(&mut self) {
        let Some(task) = self.one() else { return };
        let invoked = self.by.about(Op::Cancel, &task);
        let answer = self.by.client().cancel(&task).await;
        self.by.told(&invoked, answer);
    }

    async fn retry(&mut self) {
        let Some(task) = self.one() else { return };
        let invoked = self.by.about(Op::Retry, &task);
        let answer = self.by.client().retry(&task).await;
        self.by.told(&invoked, answer);
    }

    fn one(&mut self) -> Option<String> {
        let count = self.known.len();
        if count == 0 {
            return None;
        }
        self.known.get(self.by.seed.place(count)).cloned()
    }
}
