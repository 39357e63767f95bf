//! A user of schedules: makes them, lets them rest and go on, removes them.

use std::sync::atomic::{AtomicBool, Ordering};

use tasktonic_client::submission;
use tasktonic_protocol::http::{CatchUp, ScheduleRequest};
use tasktonic_protocol::problem::Code;

use super::caller::{AGAIN_MS, Caller, SETTLE_WITHIN_MS, ended, raw};
use crate::deployment::KIND;
use crate::history::{Facts, Line, Op, Phase, now, wall};

/// The pause between two calls, ms: from, up to.
const PAUSE_MS: (u64, u64) = (400, 1_200);
/// How long an attempt takes, ms.
const TAKES_MS: (u64, u64) = (0, 200);
/// How far the times of a schedule are apart, ms: from, up to.
const EVERY_MS: (u64, u64) = (1_000, 2_500);
/// Schedules at once: most of what is made up for after a fault is theirs.
const AT_ONCE: usize = 4;

struct Known {
    name: String,
    rests: bool,
}

pub(crate) struct User {
    by: Caller,
    made: u64,
    known: Vec<Known>,
}

impl User {
    pub(crate) fn new(by: Caller) -> Self {
        Self { by, made: 0, known: Vec::new() }
    }

    pub(crate) async fn live(&mut self, over: &AtomicBool) {
        while !over.load(Ordering::SeqCst) {
            self.by.rest(PAUSE_MS).await;
            match self.by.seed.below(10) {
                0..5 if self.known.len() < AT_ONCE => self.add().await,
                5..8 => self.rest().await,
                8 => {
                    let place = self.by.seed.below(AT_ONCE as u64) as usize;
                    if place < self.known.len() {
                        self.remove(place).await;
                    }
                }
                _ => {}
            }
        }
    }

    /// Removes all there are, so that tasks come to an end: also those that were removed, as a failover
    /// may have forgotten it.
    pub(crate) async fn settle(&mut self, stopped: &AtomicBool) -> bool {
        let since = now();
        loop {
            if let Ok(there) = self.by.client().schedules().await {
                if there.is_empty() {
                    return true;
                }
                for schedule in there {
                    self.known.insert(0, Known { name: schedule.name, rests: false });
                    self.remove(0).await;
                }
            }
            if now() - since > SETTLE_WITHIN_MS || stopped.load(Ordering::SeqCst) {
                return false;
            }
            self.by.rest(AGAIN_MS).await;
        }
    }

    /// The tasks of a schedule have one payload, and its nonce stands for the schedule.
    async fn add(&mut self) {
        self.made += 1;
        let name = format!("each-{}", self.made);
        let payload = self.by.work(TAKES_MS);
        let mut task = submission(KIND, raw(&payload));
        task.attempts_max = Some(6);
        task.crashes_max = Some(6);
        let (catch_up, word) = *self.by.seed.pick(&[
            (CatchUp::All, "all"),
            (CatchUp::All, "all"),
            (CatchUp::One, "one"),
            (CatchUp::Skip, "skip"),
        ]);
        let every_ms = self.by.seed.between(EVERY_MS.0, EVERY_MS.1);
        let asked = ScheduleRequest {
            name: name.clone(),
            cron: None,
            zone: None,
            every_ms: Some(every_ms),
            starts_at: None,
            ends_at: None,
            catch_up,
            paused: None,
            version: None,
            task,
        };
        let facts = Facts { mode: Some(word.into()), per_ms: Some(every_ms), ..self.facts(&name) };
        let invoked = Line { nonce: Some(payload.nonce), facts, ..self.by.line(Op::Schedule) };
        self.by.recorder.say(&invoked);
        // Under its name it is made once, however often it is said.
        match self.by.client().put_schedule(&name, &asked).await {
            Ok(_) => self.by.recorder.say(&ended(&invoked, Phase::Ok)),
            Err(error) => self.by.refused(&invoked, &error),
        }
        self.known.push(Known { name, rests: false });
    }

    fn facts(&self, name: &str) -> Facts {
        Facts { schedule: Some(name.to_owned()), at_ms: Some(wall()), ..Facts::default() }
    }

    async fn rest(&mut self) {
        let count = self.known.len();
        if count == 0 {
            return;
        }
        let place = self.by.seed.place(count);
        let (name, rests) = (self.known[place].name.clone(), !self.known[place].rests);
        let op = if rests { Op::Pause } else { Op::Resume };
        let invoked = Line { facts: self.facts(&name), ..self.by.line(op) };
        self.by.recorder.say(&invoked);
        match self.by.client().rest_schedule(&name, rests).await {
            Ok(_) => {
                self.by.recorder.say(&ended(&invoked, Phase::Ok));
                self.known[place].rests = rests;
            }
            Err(error) => self.by.refused(&invoked, &error),
        }
    }

    async fn remove(&mut self, place: usize) {
        let name = self.known[place].name.clone();
        let invoked = Line { facts: self.facts(&name), ..self.by.line(Op::Unschedule) };
        self.by.recorder.say(&invoked);
        match self.by.client().remove_schedule(&name).await {
            Ok(()) => {
                let mut line = ended(&invoked, Phase::Ok);
                line.facts.at_ms = Some(wall());
                self.by.recorder.say(&line);
            }
            Err(error) => {
                self.by.refused(&invoked, &error);
                // One that was never made, or was removed by a call without an answer.
                if error.code() != Some(Code::NotFound) {
                    return;
                }
            }
        }
        self.known.remove(place);
    }
}
