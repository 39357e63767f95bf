//! A history put together by task, by intent and by phase: facts, no judgement.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Facts, Line, Op, Phase};

/// How long before and after the loss of a server something may be that it had not passed on, ms.
/// Within its class a submission is not; ends of attempts, claims and changes are.
pub(super) const FORGOTTEN_BEFORE_MS: u64 = 2_000;
pub(super) const FORGOTTEN_AFTER_MS: u64 = 2_000;

/// Everything that is known of one task. What no line says is looked up in the [`World`].
#[derive(Debug, Default)]
pub(super) struct Story<'a> {
    pub(super) task: Option<&'a str>,
    pub(super) starts: Vec<&'a Line>,
    pub(super) commits: Vec<&'a Line>,
    /// Logged events, as they were heard.
    pub(super) events: Vec<&'a Line>,
    pub(super) snapshots: Vec<&'a Line>,
    pub(super) progress: Vec<&'a Line>,
    pub(super) log_lines: Vec<&'a Line>,
    pub(super) ends: Option<&'a Line>,
    /// Calls about it, with their ends.
    pub(super) calls: Vec<Call<'a>>,
}

/// A call and how it ended, if it did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) invoked: &'a Line,
    pub(super) ended: Option<&'a Line>,
}

impl Call<'_> {
    /// Whether it was asked for at `t` and not answered yet.
    pub(super) fn was_under_way(&self, t: u64) -> bool {
        self.invoked.t <= t && self.ended.is_none_or(|end| t <= end.t)
    }

    /// Whether it may have been carried out.
    pub(super) fn may_have_happened(&self) -> bool {
        self.ended.is_none_or(|end| end.phase != Phase::Fail)
    }

    /// When it was known to be carried out.
    pub(super) fn done_at(&self) -> Option<u64> {
        self.ended.filter(|end| end.phase == Phase::Ok).map(|end| end.t)
    }
}

impl<'a> Story<'a> {
    /// The calls of a sort that may have been carried out.
    pub(super) fn calls_of(&self, op: Op) -> impl Iterator<Item = &Call<'a>> {
        self.calls.iter().filter(move |c| c.invoked.op == op && c.may_have_happened())
    }

    /// The newest fence under which an attempt began.
    pub(super) fn newest_start(&self) -> Option<&'a Line> {
        self.starts.iter().max_by_key(|start| start.token).copied()
    }
}

/// One intent to have a task: all sendings of it.
#[derive(Debug, Default)]
pub(super) struct Intent<'a> {
    pub(super) sendings: Vec<Call<'a>>,
}

impl Intent<'_> {
    /// Whether something else than a worker may be in the way of its tasks.
    pub(super) fn is_bound(&self) -> bool {
        self.sendings.iter().any(|call| call.invoked.facts.bound.is_some())
    }

    /// Whether every sending of it was refused.
    pub(super) fn is_refused(&self) -> bool {
        self.sendings.iter().all(|call| !call.may_have_happened())
    }

    /// The tasks that its sendings were answered with.
    pub(super) fn tasks(&self) -> BTreeSet<&str> {
        let answered = self.sendings.iter().filter(|call| call.done_at().is_some());
        answered.filter_map(|call| call.ended?.task.as_deref()).collect()
    }
}

/// All of a history.
#[derive(Debug, Default)]
pub(super) struct World<'a> {
    pub(super) tasks: BTreeMap<&'a str, Story<'a>>,
    pub(super) intents: BTreeMap<&'a str, Intent<'a>>,
    /// Phases of the run, and what must not be, by name.
    pub(super) marks: Vec<&'a Line>,
    pub(super) faults: Vec<&'a Line>,
    /// What each observer heard, in its order.
    pub(super) streams: BTreeMap<&'a str, Vec<&'a Line>>,
    /// Flows and batches by their own id.
    pub(super) flows: BTreeMap<&'a str, Gathering<'a>>,
    /// What each worker has.
    pub(super) labels: BTreeMap<&'a str, &'a [String]>,
    /// What was set of queues.
    pub(super) limits: Vec<Call<'a>>,
    /// Pauses and their ends, schedules' ones not among them.
    pub(super) pauses: Vec<Call<'a>>,
    /// What was said of schedules.
    pub(super) schedules: BTreeMap<&'a str, Vec<Call<'a>>>,
    /// The intent of each task, and the tasks of each.
    nonces: BTreeMap<&'a str, &'a str>,
    by_nonce: BTreeMap<&'a str, Vec<&'a str>>,
    /// The tasks of each flow, of each key by its mode, and of each serial key: a long history has
    /// too many of them to look at all for each.
    by_flow: BTreeMap<&'a str, Vec<&'a str>>,
    by_key: BTreeMap<(&'a str, &'a str), Vec<&'a str>>,
    by_serial: BTreeMap<&'a str, Vec<&'a str>>,
    of_schedules: BTreeSet<&'a str>,
    forgets: Vec<u64>,
}

/// One flow or batch.
#[derive(Debug, Default)]
pub(super) struct Gathering<'a> {
    pub(super) seals: Vec<Call<'a>>,
    pub(super) roll_up: Option<&'a Line>,
}

impl<'a> World<'a> {
    pub(super) fn of(lines: &'a [Line]) -> Self {
        let mut ends: BTreeMap<u64, &Line> = BTreeMap::new();
        for line in lines.iter().filter(|line| line.phase != Phase::Invoke) {
            ends.extend(line.call.map(|call| (call, line)));
        }
        let mut world = Self::default();
        for line in lines {
            world.take(line, &ends);
        }
        world.name();
        world
    }

    fn take(&mut self, line: &'a Line, ends: &BTreeMap<u64, &'a Line>) {
        let call =
            || Call { invoked: line, ended: line.call.and_then(|call| ends.get(&call).copied()) };
        let story = line.task.as_deref().map(|task| {
            let story = self.tasks.entry(task).or_default();
            story.task = Some(task);
            story
        });
        match (line.op, story) {
            (Op::Submit, _) if line.phase == Phase::Invoke => {
                let nonce = line.nonce.as_deref().unwrap_or_default();
                self.intents.entry(nonce).or_default().sendings.push(call());
            }
            (Op::Cancel | Op::Retry | Op::Reschedule | Op::Edit | Op::Purge, Some(story))
                if line.phase == Phase::Invoke =>
            {
                story.calls.push(call());
            }
            (Op::Start, Some(story)) => story.starts.push(line),
            (Op::Commit, Some(story)) => story.commits.push(line),
            (Op::Progress, Some(story)) => story.progress.push(line),
            (Op::LogLine, Some(story)) => story.log_lines.push(line),
            (Op::Final, Some(story)) => story.ends = Some(line),
            (Op::Event, Some(story)) if line.status.is_some() => story.events.push(line),
            (Op::Snapshot, Some(story)) => story.snapshots.push(line),
            (Op::Seal, _) if line.phase == Phase::Invoke => {
                let call = call();
                if let Some(flow) = line.facts.flow.as_deref() {
                    self.flows.entry(flow).or_default().seals.push(call);
                }
            }
            (Op::RollUp, _) => {
                if let Some(flow) = line.facts.flow.as_deref() {
                    self.flows.entry(flow).or_default().roll_up = Some(line);
                }
            }
            (Op::Labels, _) => drop(self.labels.insert(&line.proc, &line.facts.labels)),
            (Op::Limit, _) if line.phase == Phase::Invoke => {
                let call = call();
                self.limits.push(call);
            }
            (Op::Schedule | Op::Unschedule | Op::Pause | Op::Resume, _)
                if line.phase == Phase::Invoke =>
            {
                let call = call();
                match line.facts.schedule.as_deref() {
                    Some(name) => self.schedules.entry(name).or_default().push(call),
                    None => self.pauses.push(call),
                }
                self.of_schedules.extend(line.nonce.as_deref());
            }
            (Op::Mark, _) => self.marks.push(line),
            (Op::Fault, _) => {
                if line.forgets && line.phase == Phase::Invoke {
                    self.forgets.push(line.t);
                }
                self.faults.push(line);
            }
            _ => {}
        }
        if matches!(line.op, Op::Event | Op::Snapshot | Op::Reset | Op::Gap | Op::Hello) {
            self.streams.entry(&line.proc).or_default().push(line);
        }
    }

    /// Learns which intent each task is of.
    fn name(&mut self) {
        for (nonce, intent) in &self.intents {
            for call in &intent.sendings {
                // A key may have found a task of another intent.
                let is_new = |line: &&Line| line.status.as_deref() == Some("new");
                if let Some(task) = call.ended.filter(is_new).and_then(|l| l.task.as_deref()) {
                    self.nonces.insert(task, nonce);
                }
            }
        }
        for (task, story) in &self.tasks {
            let said =
                story.starts.iter().chain(story.ends.iter()).find_map(|l| l.nonce.as_deref());
            if let Some(nonce) = said {
                self.nonces.insert(task, nonce);
            }
        }
        for (task, nonce) in &self.nonces {
            self.by_nonce.entry(nonce).or_default().push(task);
            let intent = self.intents.get(nonce);
            let Some(first) = intent.and_then(|it| it.sendings.first()) else { continue };
            let facts = &first.invoked.facts;
            if let Some(flow) = facts.flow.as_deref() {
                self.by_flow.entry(flow).or_default().push(task);
            }
            if let (Some(mode), Some(key)) = (facts.mode.as_deref(), first.invoked.key.as_deref()) {
                self.by_key.entry((mode, key)).or_default().push(task);
            }
            if let Some(serial) = facts.serial.as_deref() {
                self.by_serial.entry(serial).or_default().push(task);
            }
        }
    }

    /// The tasks whose submission named a flow or batch, itself too where it did.
    pub(super) fn of_flow(&self, flow: &str) -> &[&'a str] {
        self.by_flow.get(flow).map_or(&[], Vec::as_slice)
    }

    /// The tasks of a key in a mode.
    pub(super) fn of_key(&self, mode: &'a str, key: &'a str) -> &[&'a str] {
        self.by_key.get(&(mode, key)).map_or(&[], Vec::as_slice)
    }

    /// The tasks of a serial key.
    pub(super) fn of_serial(&self, serial: &str) -> &[&'a str] {
        self.by_serial.get(serial).map_or(&[], Vec::as_slice)
    }

    /// The intent of a task, where one is known.
    pub(super) fn intent(&self, task: &str) -> Option<(&'a str, &Intent<'a>)> {
        let nonce = *self.nonces.get(task)?;
        Some((nonce, self.intents.get(nonce)?))
    }

    /// What was said when a task was handed over.
    pub(super) fn facts(&self, task: &str) -> Option<&'a Facts> {
        let (_, intent) = self.intent(task)?;
        Some(&intent.sendings.first()?.invoked.facts)
    }

    /// The tasks of an intent, with what is known of them.
    pub(super) fn tasks_of(&self, nonce: &str) -> Vec<(&'a str, &Story<'a>)> {
        let of_it = self.by_nonce.get(nonce).into_iter().flatten();
        of_it.filter_map(|task| Some((*task, self.tasks.get(task)?))).collect()
    }

    /// Whether an intent stands for a schedule.
    pub(super) fn is_of_schedule(&self, nonce: &str) -> bool {
        self.of_schedules.contains(nonce)
    }

    /// Whether somebody may have removed a task.
    pub(super) fn may_be_removed(&self, task: &str) -> bool {
        self.tasks.get(task).is_some_and(|story| story.calls_of(Op::Purge).next().is_some())
    }

    /// The calls that may have sent a task back, alone or with its flow.
    pub(super) fn sendings_back<'b>(
        &'b self,
        story: &'b Story<'a>,
    ) -> impl Iterator<Item = &'b Call<'a>> {
        let of_another = self.flow_of(story).filter(|flow| flow.task != story.task);
        story.calls_of(Op::Retry).chain(of_another.into_iter().flat_map(|s| s.calls_of(Op::Retry)))
    }

    /// Whether its flow as a whole may have been sent back at `t`.
    pub(super) fn may_have_sent_flow_back(&self, story: &Story<'a>, t: u64) -> bool {
        let mut calls = self.flow_of(story).into_iter().flat_map(|flow| flow.calls_of(Op::Retry));
        calls.any(|call| call.was_under_way(t))
    }

    /// The flow that a task is of, which may be the task itself.
    fn flow_of<'b>(&'b self, story: &'b Story<'a>) -> Option<&'b Story<'a>> {
        let task = story.task?;
        if self.flows.contains_key(task) {
            return Some(story);
        }
        self.tasks.get(self.facts(task)?.flow.as_deref()?)
    }

    /// Whether what was true at `t` may have been forgotten since, before `seen`.
    pub(super) fn may_be_forgotten(&self, t: u64, seen: u64) -> bool {
        self.forgets.iter().any(|lost| {
            t + FORGOTTEN_BEFORE_MS >= *lost && t <= lost + FORGOTTEN_AFTER_MS && seen >= *lost
        })
    }

    /// When the phase of this name began.
    pub(super) fn since(&self, name: &str) -> Option<u64> {
        self.marks
            .iter()
            .find(|mark| mark.phase == Phase::Ok && mark.status.as_deref() == Some(name))
            .map(|mark| mark.t)
    }

    /// The intents and the tasks they were answered with.
    pub(super) fn accepted(&self) -> impl Iterator<Item = (&'a str, &Intent<'a>, BTreeSet<&str>)> {
        self.intents.iter().map(|(nonce, intent)| (*nonce, intent, intent.tasks()))
    }
}

/// Whether a task is one of the product's own kinds, which no worker of a run takes.
pub(super) fn is_built_in(end: &Line) -> bool {
    end.facts.kind.as_deref().is_some_and(|kind| kind.starts_with("tasktonic."))
}

/// Whether a status says that a worker has the task.
pub(super) fn is_running(status: &str) -> bool {
    matches!(status, "running" | "cancelling")
}

/// Whether a status is an end.
pub(super) fn is_end(status: Option<&str>) -> bool {
    matches!(status, Some("completed" | "failed" | "cancelled"))
}
