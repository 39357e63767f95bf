//! Plain users: each hands tasks over, with and without keys and delays, and stops, moves, changes,
//! sends back and removes what they have, one call at a time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use tasktonic_client::{Error, submission};
use tasktonic_protocol::http::{EditRequest, LinePlace, RescheduleRequest, SubmitRequest};

use super::caller::{AGAIN_MS, Caller, SETTLE_WITHIN_MS, ended, raw};
use crate::attempt::Payload;
use crate::deployment::{KIND, SHARED};
use crate::history::{Facts, Line, Op, Phase, now};

/// The pause between two calls of a user, ms: from, up to.
const PAUSE_MS: (u64, u64) = (60, 240);
/// Tasks a user still has in mind.
const KNOWN_MAX: usize = 40;
/// How long a task may be delayed, ms.
const DELAY_MS_MAX: u64 = 5_000;
/// How long one attempt takes, ms; one in six takes longer, so that some are always under way.
const SHORT_MS: (u64, u64) = (0, 250);
const LONG_MS: (u64, u64) = (1_000, 3_500);
/// The same where all users together may run only a few.
const SHARED_MS: (u64, u64) = (200, 1_500);

/// A task as its user knows it.
#[derive(Debug, Clone)]
struct Known {
    task: String,
    nonce: String,
    request: SubmitRequest,
    payload: Payload,
    /// Until when it waits, by the history's clock.
    waits_until: u64,
    /// Whether it was stopped, or is one that fails for good.
    ends_badly: bool,
}

/// Which of a user's tasks a call is about, where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Any.
    Any,
    /// One that waits for its time.
    Waiting,
    /// One that takes long, and is at it unless something is in the way.
    Running,
    /// One that has failed or was stopped.
    Ended,
}

/// One user.
pub(crate) struct User {
    by: Caller,
    known: VecDeque<Known>,
    /// Submissions under a key whose outcome nobody knows.
    unsettled: Vec<(SubmitRequest, Payload, Option<u64>)>,
}

impl User {
    pub(crate) fn new(by: Caller) -> Self {
        Self { by, known: VecDeque::new(), unsettled: Vec::new() }
    }

    /// Makes calls until `over`.
    pub(crate) async fn live(&mut self, over: &AtomicBool) {
        while !over.load(Ordering::SeqCst) {
            self.by.rest(PAUSE_MS).await;
            match self.by.seed.below(100) {
                0..56 if self.by.has_enough().await => {}
                0..56 => self.submit().await,
                56..64 => self.submit_again().await,
                64..67 => self.submit_other_body().await,
                67..77 => self.cancel().await,
                77..84 => self.reschedule().await,
                84..92 => self.edit().await,
                92..97 => self.retry().await,
                _ => self.purge().await,
            }
            if self.by.seed.one_in(4)
                && let Some(one) = self.unsettled.pop()
            {
                self.send(one.0, one.1, one.2).await;
            }
        }
    }

    /// Asks until it is known what became of every submission under a key; `false` if it is not
    /// in time.
    pub(crate) async fn settle(&mut self, stopped: &AtomicBool) -> bool {
        let mut since = now();
        while let Some(one) = self.unsettled.pop() {
            if now() - since > SETTLE_WITHIN_MS || stopped.load(Ordering::SeqCst) {
                self.unsettled.push(one);
                return false;
            }
            let others = self.unsettled.len();
            self.send(one.0, one.1, one.2).await;
            if self.unsettled.len() > others {
                self.by.rest(AGAIN_MS).await;
            } else {
                // However many they are: the time is for one that nobody answers.
                since = now();
            }
        }
        true
    }

    /// Hands one plain task over, under a key, once faults have stopped.
    pub(crate) async fn probe(&mut self) {
        let payload = self.by.payload(Payload {
            nonce: String::new(),
            version: 0,
            ms: 50,
            steps: 1,
            good_from: 1,
            fatal: false,
        });
        let mut request = submission(KIND, raw(&payload));
        request.idempotency_key = Some(format!("probe-{}", payload.nonce));
        self.send(request, payload, None).await;
    }

    async fn submit(&mut self) {
        let is_shared = self.by.seed.one_in(8);
        let takes = match self.by.seed.one_in(6) {
            _ if is_shared => SHARED_MS,
            true => LONG_MS,
            false => SHORT_MS,
        };
        let payload = Payload {
            nonce: String::new(),
            version: 0,
            ms: self.by.seed.between(takes.0, takes.1),
            steps: self.by.seed.between(1, 9),
            good_from: if self.by.seed.one_in(4) {
                1 + self.by.seed.between(1, 4) as u32
            } else {
                1
            },
            fatal: self.by.seed.one_in(3),
        };
        let payload = self.by.payload(payload);
        let kind = if is_shared { SHARED } else { KIND };
        let mut request = submission(kind, raw(&payload));
        request.attempts_max = Some(self.by.seed.between(3, 7) as u32);
        // Dying workers are what a run is made of; tasks are to outlive them.
        request.crashes_max = Some(request.attempts_max.unwrap_or(1));
        let delay = self.by.seed.one_in(4).then(|| self.by.seed.below(DELAY_MS_MAX));
        request.delay_ms = delay;
        if self.by.seed.one_in(15) {
            request.expire_after_ms = Some(delay.unwrap_or(0) + self.by.seed.between(200, 2_000));
        }
        if self.by.seed.below(3) > 0 {
            request.idempotency_key = Some(format!("key-{}", payload.nonce));
        }
        self.send(request, payload, delay).await;
    }

    /// One submission, and what came of it.
    async fn send(&mut self, request: SubmitRequest, payload: Payload, delay: Option<u64>) {
        let facts = match request.kind == SHARED {
            true => {
                let (bound, queue) = (Some("limit".into()), Some(SHARED.into()));
                Facts { bound, queue, ..Facts::default() }
            }
            false => Facts::default(),
        };
        let invoked = Line {
            nonce: Some(payload.nonce.clone()),
            key: request.idempotency_key.clone(),
            version: Some(payload.version),
            due: delay.map(|delay| now() + delay),
            attempts_max: request.attempts_max,
            facts,
            ..self.by.line(Op::Submit)
        };
        self.by.recorder.say(&invoked);
        let answer = self.by.client().submit(request.clone()).await;
        let is_unknown = answer.as_ref().is_err_and(Error::is_outcome_unknown);
        let is_passing = answer.as_ref().is_err_and(Error::is_passing);
        if let Ok(submitted) = &answer {
            let status = if submitted.is_new { "new" } else { "existing" };
            self.by.recorder.say(&Line {
                task: Some(submitted.task.id.clone()),
                rev: Some(submitted.task.rev),
                status: Some(status.into()),
                why: Some(submitted.task.durability.clone()),
                ..ended(&invoked, Phase::Ok)
            });
            let task = submitted.task.id.clone();
            if self.known.iter().all(|known| known.task != task) {
                self.by.board.accepted.fetch_add(1, Ordering::Relaxed);
                let nonce = payload.nonce.clone();
                let waits_until = now() + delay.unwrap_or(0);
                let ends_badly = payload.fatal && payload.good_from > 1;
                let known = Known { task, nonce, request, payload, waits_until, ends_badly };
                self.known.push_back(known);
                if self.known.len() > KNOWN_MAX {
                    self.known.pop_front();
                }
            }
            return;
        }
        if let Err(error) = &answer {
            self.by.refused(&invoked, error);
        }
        if (is_unknown || is_passing) && request.idempotency_key.is_some() {
            self.unsettled.push((request, payload, delay));
        }
    }

    /// The same key and body once more: it is that task.
    async fn submit_again(&mut self) {
        let Some(known) = self.one_of_mine(Wanted::Any) else { return };
        if known.request.idempotency_key.is_some() {
            self.send(known.request, known.payload, None).await;
        }
    }

    /// The same key with another body: it is refused.
    async fn submit_other_body(&mut self) {
        let Some(known) = self.one_of_mine(Wanted::Any) else { return };
        if known.request.idempotency_key.is_none() {
            return;
        }
        let payload = self.by.payload(known.payload);
        let request = SubmitRequest { payload: raw(&payload), ..known.request };
        let invoked = Line {
            nonce: Some(payload.nonce.clone()),
            key: request.idempotency_key.clone(),
            ..self.by.line(Op::Submit)
        };
        self.by.recorder.say(&invoked);
        match self.by.client().submit(request).await {
            Ok(submitted) => self.by.recorder.say(&Line {
                task: Some(submitted.task.id),
                status: Some("new".into()),
                ..ended(&invoked, Phase::Ok)
            }),
            Err(error) => self.by.refused(&invoked, &error),
        }
    }

    async fn cancel(&mut self) {
        let wanted = *self.by.seed.pick(&[Wanted::Any, Wanted::Waiting, Wanted::Running]);
        let Some(known) = self.one_of_mine(wanted) else { return };
        let invoked = self.about(Op::Cancel, &known);
        let answer = self.by.client().cancel(&known.task).await;
        if answer.is_ok()
            && let Some(mine) = self.known.iter_mut().find(|mine| mine.task == known.task)
        {
            mine.ends_badly = true;
        }
        self.by.told(&invoked, answer);
    }

    async fn retry(&mut self) {
        let Some(known) = self.one_of_mine(Wanted::Ended) else { return };
        let invoked = self.about(Op::Retry, &known);
        let answer = self.by.client().retry(&known.task).await;
        self.by.told(&invoked, answer);
    }

    async fn purge(&mut self) {
        let Some(known) = self.one_of_mine(Wanted::Ended) else { return };
        let invoked = self.about(Op::Purge, &known);
        match self.by.client().purge(&known.task).await {
            Ok(()) => self.by.recorder.say(&ended(&invoked, Phase::Ok)),
            Err(error) => {
                self.by.refused(&invoked, &error);
                if !error.is_outcome_unknown() {
                    return;
                }
            }
        }
        // Its key is gone with it: the same submission again would be another task.
        self.known.retain(|mine| mine.task != known.task);
        self.unsettled.retain(|(_, payload, _)| payload.nonce != known.nonce);
    }

    async fn reschedule(&mut self) {
        let Some(known) = self.one_of_mine(Wanted::Waiting) else { return };
        let mut request = RescheduleRequest::default();
        match self.by.seed.below(3) {
            0 => request.delay_ms = Some(self.by.seed.below(DELAY_MS_MAX)),
            1 => request.place = Some(LinePlace::Front),
            _ => request.place = Some(LinePlace::Back),
        }
        let due = now() + request.delay_ms.unwrap_or(0);
        let invoked = Line { due: Some(due), ..self.line_of(Op::Reschedule, &known) };
        self.by.recorder.say(&invoked);
        let answer = self.by.client().reschedule(&known.task, &request).await;
        self.by.told(&invoked, answer);
    }

    async fn edit(&mut self) {
        let Some(mut known) = self.one_of_mine(Wanted::Waiting) else { return };
        known.payload.version += 1;
        let request = EditRequest { payload: Some(raw(&known.payload)), ..EditRequest::default() };
        let version = Some(known.payload.version);
        let invoked = Line { version, ..self.line_of(Op::Edit, &known) };
        self.by.recorder.say(&invoked);
        // Whatever comes of it, no later edit has this number.
        if let Some(mine) = self.known.iter_mut().find(|mine| mine.task == known.task) {
            mine.payload.version = known.payload.version;
        }
        let answer = self.by.client().edit(&known.task, &request).await;
        self.by.told(&invoked, answer);
    }

    fn one_of_mine(&mut self, wanted: Wanted) -> Option<Known> {
        if self.known.is_empty() {
            return None;
        }
        // One in four is any: a refusal is part of it.
        if wanted != Wanted::Any && !self.by.seed.one_in(4) {
            let fits = |known: &Known| match wanted {
                Wanted::Waiting => known.waits_until > now(),
                Wanted::Running => {
                    let at_it = known.waits_until..known.waits_until + known.payload.ms;
                    known.payload.ms >= LONG_MS.0 && at_it.contains(&now())
                }
                Wanted::Ended => known.ends_badly,
                Wanted::Any => true,
            };
            let fitting: Vec<&Known> = self.known.iter().filter(|known| fits(known)).collect();
            if !fitting.is_empty() {
                return Some((*self.by.seed.pick(&fitting)).clone());
            }
        }
        // Mostly of the newest: they still wait or run.
        let near = self.known.len().min(8);
        let count = if self.by.seed.one_in(3) { self.known.len() } else { near };
        let back = self.by.seed.place(count);
        self.known.get(self.known.len() - 1 - back).cloned()
    }

    fn line_of(&self, op: Op, known: &Known) -> Line {
        let nonce = Some(known.nonce.clone());
        Line { task: Some(known.task.clone()), nonce, ..self.by.line(op) }
    }

    fn about(&self, op: Op, known: &Known) -> Line {
        let line = self.line_of(op, known);
        self.by.recorder.say(&line);
        line
    }
}
