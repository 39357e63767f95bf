//! What is counted beside the laws: how much happened, how long recovery took, and what a run must
//! have met with to prove anything.

use std::collections::BTreeSet;

use serde::Serialize;

use super::world::{Call, Story, World, is_end, is_running};
use crate::history::{Line, Op, Phase};

/// How long before its worker died an attempt may have begun that died with it, ms.
const UNDER_WAY_MS: u64 = 5_000;

/// How much happened.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// Tasks that a submission was answered with.
    pub(crate) accepted: usize,
    /// Tasks of submissions that had no answer, and that were there all the same.
    pub(crate) recovered: usize,
    /// Attempts that began.
    pub(crate) attempts: usize,
    /// Tasks whose work was done more than once.
    pub(crate) done_again: usize,
    /// Tasks at the end, by status.
    pub(crate) completed: usize,
    /// As above.
    pub(crate) failed: usize,
    /// As above.
    pub(crate) cancelled: usize,
    /// From the death of a worker until its tasks were taken from it, ms: how many, the middle one, the
    /// 99th percentile, the longest. Other faults meanwhile are part of it.
    pub(crate) taken_over: usize,
    /// As above.
    pub(crate) taken_over_p50_ms: u64,
    /// As above.
    pub(crate) taken_over_p99_ms: u64,
    /// As above.
    pub(crate) taken_over_max_ms: u64,
    /// The same until their next attempt began: with the wait for their turn.
    pub(crate) recoveries: usize,
    /// As above.
    pub(crate) recovery_p50_ms: u64,
    /// As above.
    pub(crate) recovery_p99_ms: u64,
    /// As above.
    pub(crate) recovery_max_ms: u64,
    /// From the end of faults to the end of all work, ms.
    pub(crate) drained_after_ms: u64,
    /// What was met with, and how often.
    pub(crate) met: Vec<Met>,
}

/// Something that a run met with.
#[derive(Debug, Serialize)]
pub(crate) struct Met {
    /// What.
    pub(crate) what: String,
    /// How often.
    pub(crate) times: usize,
}

impl Figures {
    pub(super) fn of(world: &World<'_>) -> Self {
        let mut figures = Self::default();
        let mut accepted = BTreeSet::new();
        for (_, _, tasks) in world.accepted() {
            accepted.extend(tasks);
        }
        figures.accepted = accepted.len();
        for (task, story) in &world.tasks {
            figures.attempts += story.starts.len();
            let done: BTreeSet<_> = story.commits.iter().map(|commit| commit.token).collect();
            figures.done_again += usize::from(done.len() > 1);
            let status = story.ends.and_then(|end| end.status.as_deref());
            figures.completed += usize::from(status == Some("completed"));
            figures.failed += usize::from(status == Some("failed"));
            figures.cancelled += usize::from(status == Some("cancelled"));
            figures.recovered += usize::from(is_end(status) && !accepted.contains(task));
        }
        let (taken, begun) = recoveries(world);
        (figures.taken_over, figures.recoveries) = (taken.len(), begun.len());
        [figures.taken_over_p50_ms, figures.taken_over_p99_ms, figures.taken_over_max_ms] =
            parts(taken);
        [figures.recovery_p50_ms, figures.recovery_p99_ms, figures.recovery_max_ms] = parts(begun);
        if let (Some(healed), Some(drained)) = (world.since("healed"), world.since("drained")) {
            figures.drained_after_ms = drained.saturating_sub(healed);
        }
        figures.met = met(world);
        figures
    }

    /// How often something was met with.
    pub(crate) fn times(&self, what: &str) -> usize {
        self.met.iter().find(|met| met.what == what).map_or(0, |met| met.times)
    }
}

/// The middle one, the 99th percentile and the longest.
fn parts(mut waits: Vec<u64>) -> [u64; 3] {
    waits.sort_unstable();
    let Some(longest) = waits.last() else { return [0; 3] };
    let at = |part: usize| waits[(waits.len() * part / 100).min(waits.len() - 1)];
    [at(50), at(99), *longest]
}

/// How long tasks of workers that died were still theirs, and waited for their next attempt, ms.
fn recoveries(world: &World<'_>) -> (Vec<u64>, Vec<u64>) {
    let deaths = world.faults.iter().filter(|fault| {
        fault.phase == Phase::Ok
            && fault.proc.starts_with("worker")
            && fault
                .status
                .as_deref()
                .is_some_and(|name| name.contains("kill") || name.contains("dies"))
    });
    let (mut taken, mut begun_again) = (Vec::new(), Vec::new());
    let stories = world.tasks.values();
    let mut begins: Vec<_> =
        stories.flat_map(|story| story.starts.iter().map(move |start| (*start, story))).collect();
    begins.sort_by_key(|(start, _)| start.t);
    for death in deaths {
        let before = begins.partition_point(|(start, _)| start.t <= death.t);
        let first = begins[..before].partition_point(|(start, _)| start.t + UNDER_WAY_MS < death.t);
        for (start, story) in &begins[first..before] {
            let Some(begun) = story.starts.iter().rfind(|start| start.t <= death.t) else {
                continue;
            };
            let is_of_it = begun.proc == death.proc && std::ptr::eq(*begun, *start);
            let is_done = story.commits.iter().any(|c| c.token == begun.token && c.t <= death.t);
            let next = story.starts.iter().find(|s| s.t > death.t && s.token > begun.token);
            let heard = story.events.iter().chain(&story.snapshots).filter(|line| {
                line.t > begun.t && line.status.as_deref().is_some_and(|is| !is_running(is))
            });
            let over = heard.map(|line| line.t).chain(next.map(|next| next.t)).min();
            // An attempt that had failed before was nobody's any more: its task waited for its turn.
            let was_over = over.is_some_and(|t| t <= death.t);
            if !is_of_it || is_done || was_over {
                continue;
            }
            taken.extend(over.map(|t| t - death.t));
            begun_again.extend(next.map(|next| next.t - death.t));
        }
    }
    (taken, begun_again)
}

/// What no fault's name says and a run must have met with.
pub(crate) const SITUATIONS: &[&str] = &[
    "a submission without an answer",
    "a key that found its task",
    "a key with another body, refused",
    "a waiting task cancelled",
    "a running task asked to stop",
    "an ended task sent back",
    "a waiting task moved",
    "a waiting task edited",
    "a change refused because its task no longer waited",
    "a task begun again by another worker",
    "a stream resumed by its cursor",
    "progress shown",
    "an ended task removed",
    "a flow sent back",
    "a batch closed",
    "a task that gave way to a newer one of its key",
    "a schedule rested",
];
/// Of a store whose epoch rises.
pub(crate) const RESET: &str = "a stream reset by another life of the store";

fn met(world: &World<'_>) -> Vec<Met> {
    let sendings = || world.intents.values().flat_map(|intent| &intent.sendings);
    let ends = |op: Op| {
        let of_all = world.tasks.values().flat_map(|story| &story.calls);
        of_all.filter(move |call| call.invoked.op == op).filter_map(|call| call.ended)
    };
    let with = |op: Op, phase: Phase, status: Option<&'static str>| {
        let fits = move |line: &&Line| {
            line.phase == phase
                && status.is_none_or(|wanted| line.status.as_deref() == Some(wanted))
        };
        ends(op).filter(fits).count()
    };
    let submits =
        |fits: fn(&Line) -> bool| sendings().filter(|call| call.ended.is_some_and(fits)).count();
    let heard = |op: Op| world.streams.values().flatten().filter(move |line| line.op == op);
    let not_waiting = |op| ends(op).filter(|l| l.why.as_deref() == Some("not_waiting")).count();
    let elsewhere = world.tasks.values().filter(|story| {
        let workers: BTreeSet<_> = story.starts.iter().map(|start| &start.proc).collect();
        workers.len() > 1
    });
    let resumed = heard(Op::Hello).filter(|line| line.status.as_deref() == Some("resumed"));
    // One that the observer asked for itself has a status.
    let resets = heard(Op::Reset).filter(|line| line.status.is_none());
    let sealed = world.flows.values().flat_map(|flow| &flow.seals);
    let sealed = sealed.filter(|call| call.done_at().is_some()).count();
    let gave_way =
        |line: &&Line| line.why.as_deref().is_some_and(|why| why.starts_with("replaced by"));
    let replaced = world.tasks.values().filter_map(|story| story.ends).filter(gave_way);
    let replaced = replaced.count().max(heard(Op::Event).filter(|l| gave_way(l)).count());
    let flow_sent_back = |story: &Story<'_>| {
        story.calls_of(Op::Retry).filter(|call| call.done_at().is_some()).count()
    };
    let is_rest = |call: &&Call<'_>| call.invoked.op == Op::Pause && call.done_at().is_some();
    let counts = [
        submits(|line| line.phase == Phase::Info),
        submits(|line| line.status.as_deref() == Some("existing")),
        submits(|line| line.why.as_deref() == Some("idempotency_conflict")),
        with(Op::Cancel, Phase::Ok, Some("cancelled")),
        with(Op::Cancel, Phase::Ok, Some("cancelling")),
        with(Op::Retry, Phase::Ok, None),
        with(Op::Reschedule, Phase::Ok, None),
        with(Op::Edit, Phase::Ok, None),
        not_waiting(Op::Edit) + not_waiting(Op::Reschedule),
        elsewhere.count(),
        resumed.count(),
        world.tasks.values().map(|story| story.progress.len()).sum(),
        with(Op::Purge, Phase::Ok, None),
        world.flows.keys().filter_map(|flow| world.tasks.get(flow)).map(flow_sent_back).sum(),
        sealed,
        replaced,
        world.schedules.values().flatten().filter(is_rest).count(),
    ];
    let mut all: Vec<Met> = SITUATIONS
        .iter()
        .zip(counts)
        .map(|(what, times)| Met { what: (*what).to_owned(), times })
        .collect();
    all.push(Met { what: RESET.to_owned(), times: resets.count() });
    for fault in world.faults.iter().filter(|fault| fault.phase == Phase::Ok) {
        let name = fault.status.as_deref().unwrap_or_default();
        match all.iter_mut().find(|met| met.what == name) {
            Some(met) => met.times += 1,
            None => all.push(Met { what: name.to_owned(), times: 1 }),
        }
    }
    all
}
