//! Whoever makes calls as one user: by which servers, by which choices, and how a call and its end
//! are written down. It knows no verb.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::value::{RawValue, to_raw_value};
use tasktonic_client::{Client, Error};
use tasktonic_protocol::task::Task;

use crate::attempt::Payload;
use crate::board::Board;
use crate::history::{Line, Op, Phase, Recorder, now};
use crate::seed::Seed;

/// The pause before something unknown is asked about again, ms: from, up to.
pub(super) const AGAIN_MS: (u64, u64) = (100, 600);
/// How long one call of unknown outcome is asked about once faults have stopped.
pub(super) const SETTLE_WITHIN_MS: u64 = 30_000;

/// Tasks of a user that may be queued before nothing more is handed over. A load that went on
/// whatever waits would measure how fast the machine is, not whether what can run starts in time.
const QUEUED_MAX: u64 = 30;
/// How long an answer about it counts, ms.
const LOOK_EVERY_MS: u64 = 1_000;

/// One user's calls.
pub(crate) struct Caller {
    pub(super) name: String,
    pub(super) clients: Vec<Client>,
    pub(super) seed: Seed,
    pub(super) recorder: Recorder,
    pub(super) board: Arc<Board>,
    calls: Arc<AtomicU64>,
    count: u64,
    /// What was queued when it was last asked, and when that was.
    queued: (u64, u64),
}

impl Caller {
    /// One that reaches the servers by `clients`, one for each.
    pub(crate) fn new(
        name: String,
        clients: Vec<Client>,
        seed: u64,
        recorder: Recorder,
        board: Arc<Board>,
        calls: Arc<AtomicU64>,
    ) -> Self {
        let seed = Seed::of(seed, &name);
        Self { name, clients, seed, recorder, board, calls, count: 0, queued: (0, 0) }
    }

    pub(super) fn client(&mut self) -> Client {
        self.seed.pick(&self.clients).clone()
    }

    /// Waits a little, as long as its seed says.
    pub(super) async fn rest(&mut self, ms: (u64, u64)) {
        let ms = self.seed.between(ms.0, ms.1);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Whether so much is queued that nothing is to be added. As long as nobody answers, what was
    /// heard last counts.
    pub(super) async fn has_enough(&mut self) -> bool {
        if now() > self.queued.1 + LOOK_EVERY_MS {
            let counts = self.client().counts().await;
            let queued = counts.map_or(self.queued.0, |counts| counts.queued);
            self.queued = (queued, now());
        }
        self.queued.0 > QUEUED_MAX
    }

    /// A payload that nobody else has.
    pub(super) fn payload(&mut self, payload: Payload) -> Payload {
        self.count += 1;
        Payload { nonce: format!("{}-{}", self.name, self.count), ..payload }
    }

    /// One that takes `ms` and completes.
    pub(super) fn work(&mut self, ms: (u64, u64)) -> Payload {
        let ms = self.seed.between(ms.0, ms.1);
        let nonce = String::new();
        self.payload(Payload { nonce, version: 0, ms, steps: 2, good_from: 1, fatal: false })
    }

    /// The beginning of a call.
    pub(super) fn line(&self, op: Op) -> Line {
        Line {
            call: Some(self.calls.fetch_add(1, Ordering::Relaxed)),
            user: Some(self.name.clone()),
            ..Line::new(self.name.clone(), op, Phase::Invoke)
        }
    }

    /// The beginning of a call about a task, said at once.
    pub(super) fn about(&self, op: Op, task: &str) -> Line {
        let line = Line { task: Some(task.to_owned()), ..self.line(op) };
        self.recorder.say(&line);
        line
    }

    /// Says that a task was accepted.
    pub(super) fn accepted(&self, invoked: &Line, task: &Task, is_new: bool) {
        self.recorder.say(&Line {
            task: Some(task.id.clone()),
            rev: Some(task.rev),
            status: Some(if is_new { "new" } else { "existing" }.into()),
            why: Some(task.durability.clone()),
            ..ended(invoked, Phase::Ok)
        });
        if is_new {
            self.board.accepted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says what became of a call about a task.
    pub(super) fn told(&self, invoked: &Line, answer: Result<Task, Error>) {
        match answer {
            Ok(task) => self.recorder.say(&Line {
                rev: Some(task.rev),
                status: Some(task.status.name().into()),
                ..ended(invoked, Phase::Ok)
            }),
            Err(error) => self.refused(invoked, &error),
        }
    }

    /// Says that a call failed, or that nobody knows.
    pub(super) fn refused(&self, invoked: &Line, error: &Error) {
        let phase = if error.is_outcome_unknown() { Phase::Info } else { Phase::Fail };
        let why = match error.code() {
            Some(code) => code.name().to_owned(),
            None => error.to_string(),
        };
        self.recorder.say(&Line { why: Some(why), ..ended(invoked, phase) });
    }

    /// Makes a call that may be repeated until it is answered with what it does, as long as
    /// [`SETTLE_WITHIN_MS`]. Whether it was.
    pub(super) async fn insist(
        &mut self,
        stopped: &AtomicBool,
        mut call: impl AsyncFnMut(&mut Self) -> bool,
    ) -> bool {
        let since = now();
        while !call(self).await {
            if now() - since > SETTLE_WITHIN_MS || stopped.load(Ordering::SeqCst) {
                return false;
            }
            self.rest(AGAIN_MS).await;
        }
        true
    }
}

/// Whether there was an answer after which nothing is to be asked again.
pub(super) fn is_settled<T>(answer: &Result<T, Error>) -> bool {
    !answer.as_ref().is_err_and(|error| error.is_outcome_unknown() || error.is_passing())
}

/// The end of what was invoked.
pub(super) fn ended(invoked: &Line, phase: Phase) -> Line {
    Line { t: now(), phase, ..invoked.clone() }
}

pub(super) fn raw(payload: &Payload) -> Box<RawValue> {
    to_raw_value(payload).expect("a payload of ours is JSON")
}
