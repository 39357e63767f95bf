//! A user of flows and batches: fan-outs that come together again, with a rule for failures on each
//! tie, that grow, are stopped and sent back; batches that are filled in parts, closed, and followed
//! by one task.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use tasktonic_client::{Error, fresh_id, submission};
use tasktonic_protocol::http::{
    After, AfterWith, BatchOpenRequest, Flow, FlowRequest, FlowSort, FlowTask, OnFailure,
    SubmitRequest,
};

use super::caller::{AGAIN_MS, Caller, SETTLE_WITHIN_MS, ended, is_settled, raw};
use crate::deployment::KIND;
use crate::history::{Facts, Line, Op, Phase, now};

/// The pause between two calls, ms: from, up to.
const PAUSE_MS: (u64, u64) = (250, 700);
/// How long an attempt takes, ms.
const TAKES_MS: (u64, u64) = (0, 400);
/// Flows and batches that are still in mind.
const KNOWN_MAX: usize = 12;
/// Tasks beside each other in a flow, and in one part of a batch: from, up to.
const BESIDE: (u64, u64) = (2, 5);
const CHUNK: (u64, u64) = (3, 9);
/// Parts of a batch in all.
const BATCH_MAX: usize = 60;
/// Attempts of a task.
const ATTEMPTS_MAX: u32 = 6;

/// A part as it is handed over, and what is said of it.
#[derive(Clone)]
struct Part {
    name: String,
    nonce: String,
    request: SubmitRequest,
    /// Names of those it waits for.
    after: Vec<(String, OnFailure)>,
}

#[derive(Clone)]
struct Known {
    id: String,
    sort: FlowSort,
    parts: Vec<Part>,
    sealed: bool,
}

/// A request that may be sent again.
#[derive(Clone)]
enum Request {
    Submit(Known),
    Open { id: String, then: Box<Part> },
    Add { known: Known, parts: Vec<Part> },
    Seal { id: String },
}

pub(crate) struct User {
    by: Caller,
    known: VecDeque<Known>,
    /// Every batch there may be.
    batches: Vec<String>,
    /// Requests whose outcome nobody knows.
    unsettled: Vec<Request>,
}

impl User {
    pub(crate) fn new(by: Caller) -> Self {
        Self { by, known: VecDeque::new(), batches: Vec::new(), unsettled: Vec::new() }
    }

    pub(crate) async fn live(&mut self, over: &AtomicBool) {
        while !over.load(Ordering::SeqCst) {
            self.by.rest(PAUSE_MS).await;
            match self.by.seed.below(100) {
                0..30 => self.submit().await,
                30..40 => self.open().await,
                40..66 => self.add().await,
                66..76 => self.seal().await,
                76..82 => self.again().await,
                82..90 => self.cancel().await,
                _ => self.retry().await,
            }
            if self.by.seed.one_in(3)
                && let Some(one) = self.unsettled.pop()
            {
                self.send(one).await;
            }
        }
    }

    /// Finds out what became of every request, and closes every batch: also those that were closed, as
    /// a failover may have forgotten it.
    pub(crate) async fn settle(&mut self, stopped: &AtomicBool) -> bool {
        let since = now();
        let mut left = std::mem::take(&mut self.unsettled);
        left.extend(self.batches.iter().cloned().map(|id| Request::Seal { id }));
        for request in left {
            self.send(request).await;
            while let Some(again) = self.unsettled.pop() {
                if now() - since > SETTLE_WITHIN_MS || stopped.load(Ordering::SeqCst) {
                    return false;
                }
                self.by.rest(AGAIN_MS).await;
                self.send(again).await;
            }
        }
        true
    }

    fn part(&mut self, name: String, after: Vec<(String, OnFailure)>) -> Part {
        let mut payload = self.by.work(TAKES_MS);
        payload.good_from = if self.by.seed.one_in(6) { 2 } else { 1 };
        payload.fatal = self.by.seed.one_in(2);
        let mut request = submission(KIND, raw(&payload));
        request.attempts_max = Some(ATTEMPTS_MAX);
        request.crashes_max = Some(ATTEMPTS_MAX);
        Part { name, nonce: payload.nonce, request, after }
    }

    fn rule(&mut self) -> OnFailure {
        *self.by.seed.pick(&[OnFailure::Fail, OnFailure::Ignore, OnFailure::Continue])
    }

    /// One, then several beside each other, then one again.
    async fn submit(&mut self) {
        let mut parts = vec![self.part("first".into(), Vec::new())];
        let rule = self.rule();
        let beside = self.by.seed.between(BESIDE.0, BESIDE.1);
        for n in 0..beside {
            parts.push(self.part(format!("beside-{n}"), vec![("first".into(), rule)]));
        }
        let ties = (0..beside).map(|n| (format!("beside-{n}"), self.rule())).collect();
        parts.push(self.part("last".into(), ties));
        let known = Known { id: fresh_id(), sort: FlowSort::Flow, parts, sealed: true };
        self.send(Request::Submit(known)).await;
    }

    async fn open(&mut self) {
        let mut then = self.part("then".into(), Vec::new());
        then.after.clear();
        let id = fresh_id();
        self.batches.push(id.clone());
        self.send(Request::Open { id, then: Box::new(then) }).await;
    }

    /// More tasks: behind what a flow has, or beside what is in a batch.
    async fn add(&mut self) {
        let batches = self.by.seed.below(3) > 0;
        let fits = |known: &&Known| match known.sort {
            FlowSort::Batch => batches && !known.sealed && known.parts.len() < BATCH_MAX,
            FlowSort::Flow => !batches,
        };
        let fitting: Vec<Known> = self.known.iter().filter(fits).cloned().collect();
        if fitting.is_empty() {
            return;
        }
        let known = self.by.seed.pick(&fitting).clone();
        let count = match known.sort {
            FlowSort::Batch => self.by.seed.between(CHUNK.0, CHUNK.1),
            FlowSort::Flow => 1,
        };
        let mut parts = Vec::new();
        for n in 0..count {
            let behind = match known.sort {
                FlowSort::Batch => Vec::new(),
                FlowSort::Flow => vec![("last".to_owned(), self.rule())],
            };
            let name = format!("more-{}-{n}", known.parts.len());
            parts.push(self.part(name, behind));
        }
        self.send(Request::Add { known, parts }).await;
    }

    async fn seal(&mut self) {
        let ripe = |known: &&Known| known.sort == FlowSort::Batch && !known.sealed;
        let Some(known) = self.known.iter().find(ripe) else { return };
        let id = known.id.clone();
        self.send(Request::Seal { id }).await;
    }

    /// The same flow once more: it is that flow.
    async fn again(&mut self) {
        let flows = |known: &&Known| known.sort == FlowSort::Flow;
        let all: Vec<Known> = self.known.iter().filter(flows).cloned().collect();
        if !all.is_empty() {
            let mut known = self.by.seed.pick(&all).clone();
            known.parts.retain(|part| !part.name.starts_with("more"));
            self.send(Request::Submit(known)).await;
        }
    }

    async fn cancel(&mut self) {
        let Some(known) = self.one() else { return };
        let invoked = self.by.about(Op::Cancel, &known.id);
        let answer = match known.sort {
            FlowSort::Flow => self.by.client().cancel_flow(&known.id).await,
            FlowSort::Batch => self.by.client().cancel(&known.id).await,
        };
        self.by.told(&invoked, answer);
    }

    async fn retry(&mut self) {
        let Some(known) = self.one().filter(|known| known.sort == FlowSort::Flow) else { return };
        let invoked = self.by.about(Op::Retry, &known.id);
        let answer = self.by.client().retry_flow(&known.id).await;
        self.by.told(&invoked, answer.map(|retried| retried.task));
    }

    fn one(&mut self) -> Option<Known> {
        let all: Vec<Known> = self.known.iter().cloned().collect();
        if all.is_empty() { None } else { Some(self.by.seed.pick(&all).clone()) }
    }

    /// One request, and what came of it.
    async fn send(&mut self, request: Request) {
        let client = self.by.client();
        match request.clone() {
            Request::Submit(known) => {
                let invoked = self.invoke(Op::Open, &known.id, &known.parts, &known.parts);
                let tasks = known.parts.iter().map(handed_over).collect();
                let flow = FlowRequest { id: Some(known.id.clone()), tags: Vec::new(), tasks };
                let answer = client.submit_flow(flow).await;
                self.answered(&invoked, &answer);
                self.settled(request, &answer);
                if answer.is_ok() {
                    self.learn(known);
                }
            }
            Request::Open { id, then } => {
                let mut invoked = self.invoke(Op::Open, &id, &[], &[]);
                // The batch is the task that follows it.
                let line = self.said_of(&then, &id, &[]);
                self.by.recorder.say(&line);
                invoked.push(((*then).clone(), line));
                let ask = BatchOpenRequest {
                    id: Some(id.clone()),
                    tags: Vec::new(),
                    then: Some(then.request.clone()),
                };
                let answer = client.open_batch(ask).await;
                self.answered(&invoked, &answer);
                self.settled(request, &answer);
                if answer.is_ok() {
                    let sort = FlowSort::Batch;
                    self.learn(Known { id, sort, parts: Vec::new(), sealed: false });
                }
            }
            Request::Add { known, parts } => {
                let all: Vec<Part> = known.parts.iter().chain(&parts).cloned().collect();
                let invoked = self.invoke(Op::Open, &known.id, &parts, &all);
                let tasks = parts.iter().map(handed_over).collect();
                let answer = client.add_to_flow(known.sort, &known.id, tasks).await;
                self.answered(&invoked, &answer);
                self.settled(request, &answer);
                if answer.is_ok()
                    && let Some(mine) = self.known.iter_mut().find(|mine| mine.id == known.id)
                {
                    mine.parts.extend(parts);
                }
            }
            Request::Seal { id } => {
                let line = Line {
                    facts: Facts { flow: Some(id.clone()), ..Facts::default() },
                    ..self.by.line(Op::Seal)
                };
                self.by.recorder.say(&line);
                let answer = client.seal_batch(&id).await;
                match &answer {
                    Ok(_) => self.by.recorder.say(&ended(&line, Phase::Ok)),
                    Err(error) => self.by.refused(&line, error),
                }
                let is_settled = is_settled(&answer);
                self.settled(request, &answer);
                // One that was refused has ended or is closed: nothing waits for it any more.
                if is_settled && let Some(mine) = self.known.iter_mut().find(|mine| mine.id == id) {
                    mine.sealed = true;
                }
            }
        }
    }

    fn settled<T>(&mut self, request: Request, answer: &Result<T, Error>) {
        if !is_settled(answer) {
            self.unsettled.push(request);
        }
    }

    /// Says what is about to be asked: of the flow, and of each part.
    fn invoke(&self, op: Op, id: &str, parts: &[Part], all: &[Part]) -> Vec<(Part, Line)> {
        let facts = Facts { flow: Some(id.to_owned()), ..Facts::default() };
        let request = Line { facts, ..self.by.line(op) };
        self.by.recorder.say(&request);
        let mut lines: Vec<_> =
            parts.iter().map(|part| (part.clone(), self.said_of(part, id, all))).collect();
        lines.iter_mut().for_each(|(_, line)| line.facts.of_call = request.call);
        lines.iter().for_each(|(_, line)| self.by.recorder.say(line));
        lines
    }

    fn said_of(&self, part: &Part, id: &str, all: &[Part]) -> Line {
        let nonces = |wanted: fn(OnFailure) -> bool| {
            let ties = part.after.iter().filter(move |(_, rule)| wanted(*rule));
            let named = |name: &str| all.iter().find(|part| part.name == name);
            ties.filter_map(|(name, _)| Some(named(name)?.nonce.clone())).collect()
        };
        let facts = Facts {
            flow: Some(id.to_owned()),
            bound: Some("flow".into()),
            after: nonces(|rule| rule == OnFailure::Fail),
            after_any: nonces(|rule| rule != OnFailure::Fail),
            ..Facts::default()
        };
        let attempts_max = part.request.attempts_max;
        Line { nonce: Some(part.nonce.clone()), attempts_max, facts, ..self.by.line(Op::Submit) }
    }

    fn answered(&self, invoked: &[(Part, Line)], answer: &Result<Flow, Error>) {
        match answer {
            Ok(flow) => {
                for (part, line) in invoked {
                    let node =
                        flow.tasks.iter().find(|node| node.name.as_deref() == Some(&part.name));
                    let task = node.map(|node| node.id.clone());
                    let task = task.or((part.name == "then").then(|| flow.task.id.clone()));
                    // A part on another page: that it was accepted is known, and not as what.
                    let Some(task) = task else {
                        self.by.recorder.say(&ended(line, Phase::Info));
                        continue;
                    };
                    let status = Some("new".to_owned());
                    self.by.recorder.say(&Line {
                        task: Some(task),
                        status,
                        ..ended(line, Phase::Ok)
                    });
                }
            }
            Err(error) => invoked.iter().for_each(|(_, line)| self.by.refused(line, error)),
        }
    }

    fn learn(&mut self, known: Known) {
        if self.known.iter().any(|mine| mine.id == known.id) {
            return;
        }
        self.known.push_back(known);
        // Batches that are open must be closed in the end.
        let done = self.known.iter().position(|known| known.sealed);
        if self.known.len() > KNOWN_MAX
            && let Some(done) = done
        {
            self.known.remove(done);
        }
    }
}

fn handed_over(part: &Part) -> FlowTask {
    let after = part.after.iter().map(|(task, rule)| match rule {
        OnFailure::Fail => After::Name(task.clone()),
        rule => After::With(AfterWith { task: task.clone(), on_failure: *rule }),
    });
    FlowTask { name: Some(part.name.clone()), after: after.collect(), task: part.request.clone() }
}
