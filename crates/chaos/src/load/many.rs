//! A user who hands many tasks over in a call, some of which have to be refused, some of which need a
//! label; and who stops, sends back and removes many in a call.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use tasktonic_client::{Error, submission};
use tasktonic_protocol::http::{BulkItem, SubmitRequest};

use super::caller::{Caller, ended, raw};
use crate::deployment::{KIND, LABELS};
use crate::history::{Facts, Line, Op, Phase};

/// The pause between two calls, ms: from, up to.
const PAUSE_MS: (u64, u64) = (500, 1_200);
/// How long an attempt takes, ms.
const TAKES_MS: (u64, u64) = (0, 500);
/// Tasks in a call: from, up to.
const TASKS: (u64, u64) = (2, 9);
/// Tasks that are still in mind, and how many a call changes at most.
const KNOWN_MAX: usize = 40;
const CHANGED_MAX: u64 = 8;
/// Attempts of a task.
const ATTEMPTS_MAX: u32 = 6;
/// A kind that nobody has announced.
const NO_KIND: &str = "chaos.nobody";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Cancel,
    Retry,
    Purge,
}

impl Verb {
    const fn op(self) -> Op {
        match self {
            Self::Cancel => Op::Cancel,
            Self::Retry => Op::Retry,
            Self::Purge => Op::Purge,
        }
    }
}

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
            match self.by.seed.below(10) {
                0..6 if self.by.has_enough().await => {}
                0..6 => self.submit().await,
                6 | 7 => self.change(Verb::Cancel).await,
                8 => self.change(Verb::Retry).await,
                _ => self.change(Verb::Purge).await,
            }
        }
    }

    async fn submit(&mut self) {
        let count = self.by.seed.between(TASKS.0, TASKS.1);
        let mut requests = Vec::new();
        let mut lines = Vec::new();
        for _ in 0..count {
            let (request, line) = self.one();
            self.by.recorder.say(&line);
            requests.push(request);
            lines.push(line);
        }
        match self.by.client().submit_batch(requests).await {
            Ok(items) => {
                for (line, item) in lines.iter().zip(items) {
                    match (item.task, item.error) {
                        (Some(task), None) => {
                            self.by.accepted(line, &task, true);
                            self.learn(task.id);
                        }
                        (_, error) => {
                            let why = error.map(|problem| problem.code);
                            self.by.recorder.say(&Line { why, ..ended(line, Phase::Fail) });
                        }
                    }
                }
            }
            Err(error) => lines.iter().for_each(|line| self.by.refused(line, &error)),
        }
    }

    fn one(&mut self) -> (SubmitRequest, Line) {
        let payload = self.by.work(TAKES_MS);
        let is_bad = self.by.seed.one_in(5);
        let mut request = submission(if is_bad { NO_KIND } else { KIND }, raw(&payload));
        request.attempts_max = Some(ATTEMPTS_MAX);
        request.crashes_max = Some(ATTEMPTS_MAX);
        request.idempotency_key = Some(format!("once-{}", payload.nonce));
        let needed: &[&str] = match self.by.seed.below(4) {
            0 => &LABELS[..1],
            1 => LABELS,
            _ => &[],
        };
        let labels: Vec<String> = needed.iter().map(|label| (*label).to_owned()).collect();
        request.needs = (!labels.is_empty()).then(|| labels.clone());
        let bound = (!labels.is_empty()).then(|| "label".to_owned());
        let facts = Facts { labels, bound, is_bad, ..Facts::default() };
        let line = Line {
            nonce: Some(payload.nonce),
            key: request.idempotency_key.clone(),
            attempts_max: request.attempts_max,
            facts,
            ..self.by.line(Op::Submit)
        };
        (request, line)
    }

    async fn change(&mut self, verb: Verb) {
        let count = self.by.seed.between(1, CHANGED_MAX) as usize;
        let mut ids = Vec::new();
        for _ in 0..count.min(self.known.len()) {
            let place = self.by.seed.place(self.known.len());
            let id = self.known[place].clone();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        if ids.is_empty() {
            return;
        }
        let lines: Vec<Line> = ids.iter().map(|id| self.by.about(verb.op(), id)).collect();
        let client = self.by.client();
        let answer = match verb {
            Verb::Cancel => client.cancel_many(ids).await,
            Verb::Retry => client.retry_many(ids).await,
            Verb::Purge => client.purge_many(ids).await,
        };
        self.answered(verb, &lines, answer);
    }

    fn answered(&mut self, verb: Verb, lines: &[Line], answer: Result<Vec<BulkItem>, Error>) {
        let items = match answer {
            Ok(items) => items,
            Err(error) => {
                lines.iter().for_each(|line| self.by.refused(line, &error));
                return;
            }
        };
        for (line, item) in lines.iter().zip(items) {
            if let Some(error) = item.error {
                let why = Some(error.code);
                self.by.recorder.say(&Line { why, ..ended(line, Phase::Fail) });
                continue;
            }
            let status = item.task.as_ref().map(|task| task.status.name().to_owned());
            let rev = item.task.as_ref().map(|task| task.rev);
            self.by.recorder.say(&Line { status, rev, ..ended(line, Phase::Ok) });
            if verb == Verb::Purge {
                self.known.retain(|id| *id != item.id);
            }
        }
    }

    fn learn(&mut self, id: String) {
        self.known.push_back(id);
        if self.known.len() > KNOWN_MAX {
            self.known.pop_front();
        }
    }
}
