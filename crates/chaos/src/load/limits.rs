//! A user whose tasks are held back: by a limit of what runs, by a rate, by pauses of their own and of
//! an operator.

use std::sync::atomic::{AtomicBool, Ordering};

use tasktonic_client::{Client, submission};
use tasktonic_protocol::http::{QueueChange, RateChange};

use super::caller::{AGAIN_MS, Caller, SETTLE_WITHIN_MS, ended, raw};
use crate::deployment::{LIMITED, PAUSED, RATED, SHARED};
use crate::history::{Facts, Line, Op, Phase, now, wall};

/// The pause between two calls, ms: from, up to.
const PAUSE_MS: (u64, u64) = (100, 400);
/// How long an attempt takes, ms.
const TAKES_MS: (u64, u64) = (100, 700);
/// How many of the user's tasks may run at once: from, up to.
const RUNNING_MAX: (u64, u64) = (2, 5);
/// How many of all users' tasks may run at once: from, up to.
const RUNNING_TOTAL_MAX: (u64, u64) = (3, 7);
/// How many may wait in each of the queues, so that all of it can end in time.
const WAITING_MAX: u32 = 20;
/// How many may start in [`PER_MS`], and after a rest: from, up to.
const TASKS: (u64, u64) = (4, 9);
const BURST: (u64, u64) = (1, 5);
const PER_MS: u32 = 2_000;
/// Attempts of a task.
const ATTEMPTS_MAX: u32 = 6;

/// What a pause is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// All work of the user, by themselves.
    Work,
    /// A queue, by an operator.
    Queue,
}

pub(crate) struct User {
    by: Caller,
    operator: Vec<Client>,
    /// What may be paused now.
    paused: Vec<Of>,
}

impl User {
    pub(crate) fn new(by: Caller, operator: Vec<Client>) -> Self {
        Self { by, operator, paused: Vec::new() }
    }

    /// Sets what is to hold from the first task on.
    pub(crate) async fn prepare(&mut self, stopped: &AtomicBool) -> bool {
        let running_max = self.by.seed.between(RUNNING_MAX.0, RUNNING_MAX.1) as u32;
        let tasks = self.by.seed.between(TASKS.0, TASKS.1) as u32;
        let burst = self.by.seed.between(BURST.0, BURST.1) as u32;
        let bounded =
            QueueChange { waiting_max: Some(Some(WAITING_MAX)), ..QueueChange::default() };
        let limit = QueueChange { running_max: Some(Some(running_max)), ..bounded };
        let said = Facts { max: Some(running_max), ..Facts::default() };
        let rate = RateChange { tasks, per_ms: PER_MS, burst: Some(burst) };
        let rated = QueueChange { rate: Some(Some(rate)), ..bounded };
        let per_ms = Some(u64::from(PER_MS));
        let total = self.by.seed.between(RUNNING_TOTAL_MAX.0, RUNNING_TOTAL_MAX.1) as u32;
        let shared = QueueChange { running_total_max: Some(Some(total)), ..bounded };
        let of_all = Facts { max: Some(total), over_all: true, ..Facts::default() };
        let paced = Facts { max: Some(tasks), per_ms, burst: Some(burst), ..Facts::default() };
        let mut done = true;
        let all = [
            (LIMITED, limit, said),
            (SHARED, shared, of_all),
            (RATED, rated, paced),
            (PAUSED, bounded, Facts::default()),
        ];
        for (queue, change, facts) in all {
            let operator = self.operator.clone();
            let facts = Facts { queue: Some(queue.into()), ..facts };
            done &= self
                .by
                .insist(stopped, async |by: &mut Caller| {
                    let invoked = Line { facts: facts.clone(), ..by.line(Op::Limit) };
                    by.recorder.say(&invoked);
                    let client = by.seed.pick(&operator).clone();
                    match client.set_queue(queue, &change).await {
                        Ok(_) => by.recorder.say(&ended(&invoked, Phase::Ok)),
                        Err(error) => {
                            by.refused(&invoked, &error);
                            return false;
                        }
                    }
                    true
                })
                .await;
        }
        done
    }

    pub(crate) async fn live(&mut self, over: &AtomicBool) {
        while !over.load(Ordering::SeqCst) {
            self.by.rest(PAUSE_MS).await;
            match self.by.seed.below(100) {
                0..86 => self.submit().await,
                86..93 => self.turn(Of::Work).await,
                _ => self.turn(Of::Queue).await,
            }
        }
    }

    /// Lets everything go on: also what was to go on before, as a failover may have forgotten it.
    pub(crate) async fn settle(&mut self, stopped: &AtomicBool) -> bool {
        let since = now();
        for of in [Of::Work, Of::Queue] {
            while !self.pause(of, false).await {
                if now() - since > SETTLE_WITHIN_MS || stopped.load(Ordering::SeqCst) {
                    return false;
                }
                self.by.rest(AGAIN_MS).await;
            }
        }
        true
    }

    async fn submit(&mut self) {
        let queue = *self.by.seed.pick(&[LIMITED, SHARED, RATED, PAUSED]);
        let payload = self.by.work(TAKES_MS);
        let mut request = submission(queue, raw(&payload));
        request.attempts_max = Some(ATTEMPTS_MAX);
        request.crashes_max = Some(ATTEMPTS_MAX);
        request.idempotency_key = Some(format!("once-{}", payload.nonce));
        let facts =
            Facts { bound: Some("limit".into()), queue: Some(queue.into()), ..Facts::default() };
        let invoked = Line {
            nonce: Some(payload.nonce),
            key: request.idempotency_key.clone(),
            attempts_max: request.attempts_max,
            facts,
            ..self.by.line(Op::Submit)
        };
        self.by.recorder.say(&invoked);
        match self.by.client().submit(request).await {
            Ok(submitted) => self.by.accepted(&invoked, &submitted.task, submitted.is_new),
            Err(error) => self.by.refused(&invoked, &error),
        }
    }

    /// Pauses what goes on, or the other way round.
    async fn turn(&mut self, of: Of) {
        let is_paused = self.paused.contains(&of);
        self.pause(of, !is_paused).await;
    }

    async fn pause(&mut self, of: Of, paused: bool) -> bool {
        let op = if paused { Op::Pause } else { Op::Resume };
        let queue = (of == Of::Queue).then(|| PAUSED.to_owned());
        let facts = Facts { queue, at_ms: Some(wall()), ..Facts::default() };
        let invoked = Line { facts, ..self.by.line(op) };
        self.by.recorder.say(&invoked);
        // Whatever comes of it, it has to be taken back.
        if paused && !self.paused.contains(&of) {
            self.paused.push(of);
        }
        let done = match of {
            Of::Work => self.by.client().pause(None, paused).await.map(drop),
            Of::Queue => {
                let client = self.by.seed.pick(&self.operator).clone();
                let change = QueueChange { paused: Some(paused), ..QueueChange::default() };
                client.set_queue(PAUSED, &change).await.map(drop)
            }
        };
        match done {
            Ok(()) => {
                let mut line = ended(&invoked, Phase::Ok);
                line.facts.at_ms = Some(wall());
                self.by.recorder.say(&line);
                if !paused {
                    self.paused.retain(|known| *known != of);
                }
                true
            }
            Err(error) => {
                self.by.refused(&invoked, &error);
                false
            }
        }
    }
}
