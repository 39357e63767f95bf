//! What is held back: by a limit of what runs, by a rate, by a pause. What runs is counted in the
//! store's order; times are the store's stamps.

use std::collections::BTreeMap;

use super::Found;
use crate::check::stream::{Heard, replay, status};
use crate::check::world::{World, is_running};
use crate::history::{Line, Op, Phase};

/// How far stamps of different parts of a store may be apart, ms.
const APART_MS: i64 = 20;
/// How far a stamp of the store and a reading of the clock elsewhere may be apart, ms.
const SLACK_MS: i64 = 250;

fn queue_of<'a>(world: &World<'a>, task: &str) -> Option<&'a str> {
    world.facts(task)?.queue.as_deref()
}

/// Never do more of a user's tasks run in a queue than the highest limit that was set there. What is
/// lost and not yet taken over counts as running.
pub(super) fn running(world: &World<'_>) -> Found {
    let mut found = Found::default();
    let limit = |queue: &str| {
        let of_it =
            world.limits.iter().filter(|call| call.invoked.facts.queue.as_deref() == Some(queue));
        let all = of_it.filter(|call| {
            let facts = &call.invoked.facts;
            facts.per_ms.is_none() && !facts.over_all
        });
        all.filter_map(|call| call.invoked.facts.max).max()
    };
    replay(world, |heard| {
        let Heard::Event(task, line, known) = heard else { return };
        let queue = queue_of(world, task).filter(|_| is_running(status(line)));
        let Some((queue, max)) = queue.and_then(|queue| Some((queue, limit(queue)?))) else {
            return;
        };
        found.look();
        let beside = known.iter().filter(|(other, last)| {
            **other != task && is_running(status(last)) && queue_of(world, other) == Some(queue)
        });
        let at_once = beside.count() + 1;
        if at_once > usize::try_from(max).unwrap_or(usize::MAX) {
            found.say(format!("{at_once} tasks ran at once in {queue} with {task}; {max} may"));
        }
    });
    found
}

/// Never do more tasks run in a queue, whose they are, than the limit over all users. Each user's
/// stream has an order of its own, so that those of several are laid beside each other by the store's
/// stamps; of what is not known whole nothing is said.
pub(super) fn total(world: &World<'_>) -> Found {
    let mut found = Found::default();
    for call in world.limits.iter().filter(|call| call.invoked.facts.over_all) {
        let facts = &call.invoked.facts;
        let (Some(queue), Some(max)) = (facts.queue.as_deref(), facts.max) else { continue };
        // An end stands before a beginning of the same time.
        let mut steps: Vec<(i64, i64, &str)> = Vec::new();
        for (task, from_ms, to_ms) in runs(world, queue) {
            found.look();
            if from_ms < to_ms - APART_MS {
                steps.push((from_ms, 1, task));
                steps.push((to_ms - APART_MS, -1, task));
            }
        }
        steps.sort_unstable();
        let mut at_once = 0;
        for (at_ms, step, task) in steps {
            at_once += step;
            if step > 0 && at_once > i64::from(max) {
                found.say(format!(
                    "{at_once} ran at once in {queue} at {at_ms} with {task}; {max} may"
                ));
            }
        }
    }
    found
}

/// What ran in a queue, from when to when, by the store's stamps.
fn runs<'a>(world: &World<'a>, queue: &str) -> Vec<(&'a str, i64, i64)> {
    let mut runs = Vec::new();
    let mut begun: BTreeMap<&str, i64> = BTreeMap::new();
    replay(world, |heard| {
        let Heard::Event(task, line, _) = heard else {
            begun.clear();
            return;
        };
        let Some(at_ms) = line.facts.at_ms.filter(|_| queue_of(world, task) == Some(queue)) else {
            return;
        };
        if is_running(status(line)) {
            begun.entry(task).or_insert(at_ms);
        } else if let Some(from_ms) = begun.remove(task) {
            runs.push((task, from_ms, at_ms));
        }
    });
    runs
}

/// In no stretch of time more of a user's tasks start in a queue than the burst and what the rate
/// makes of the stretch. Each life of a store may give the burst once more: the embedded one keeps
/// in memory what has started.
pub(super) fn rate(world: &World<'_>) -> Found {
    let mut found = Found::default();
    for call in world.limits.iter().filter(|call| call.done_at().is_some()) {
        let facts = &call.invoked.facts;
        let (Some(queue), Some(tasks), Some(per_ms)) =
            (facts.queue.as_deref(), facts.max, facts.per_ms)
        else {
            continue;
        };
        let burst = facts.burst.unwrap_or(tasks);
        let mut starts: Vec<(i64, u32)> = Vec::new();
        replay(world, |heard| {
            if let Heard::Event(task, line, _) = heard
                && status(line) == "running"
                && queue_of(world, task) == Some(queue)
                && let (Some(at_ms), Some(epoch)) = (line.facts.at_ms, line.epoch)
            {
                starts.push((at_ms, epoch));
            }
        });
        starts.sort_unstable();
        found.looked_at += starts.len();
        for (from, (since_ms, first)) in starts.iter().enumerate() {
            for (count, (at_ms, last)) in (1_i64..).zip(&starts[from..]) {
                let stretch_ms = at_ms - since_ms + SLACK_MS;
                let made =
                    stretch_ms * i64::from(tasks) / i64::try_from(per_ms).unwrap_or(1).max(1);
                let lives = i64::from(last.abs_diff(*first)) + 1;
                if count > i64::from(burst) * lives + made {
                    found.say(format!("{count} tasks started in {queue} within {stretch_ms} ms"));
                    return found;
                }
            }
        }
    }
    found
}

/// From the answer to a pause to the call that ends it nothing of it is handed out.
pub(super) fn paused(world: &World<'_>) -> Found {
    let mut found = Found::default();
    let mut handed_out: Vec<(&str, &Line)> = Vec::new();
    replay(world, |heard| {
        if let Heard::Event(task, line, _) = heard
            && status(line) == "running"
        {
            handed_out.push((task, line));
        }
    });
    for call in world.pauses.iter().filter(|call| call.invoked.op == Op::Pause) {
        let Some(answer) = call.ended.filter(|end| end.phase == Phase::Ok) else { continue };
        let facts = &call.invoked.facts;
        let resumes = world.pauses.iter().filter(|other| {
            other.invoked.op == Op::Resume
                && other.invoked.facts.queue == facts.queue
                && other.invoked.user == call.invoked.user
                && other.invoked.t >= answer.t
        });
        let until_ms = resumes.filter_map(|resume| resume.invoked.facts.at_ms).min();
        let (Some(since_ms), until_ms) = (answer.facts.at_ms, until_ms.unwrap_or(i64::MAX)) else {
            continue;
        };
        found.look();
        for (task, line) in &handed_out {
            let is_of_it = match &facts.queue {
                Some(queue) => queue_of(world, task) == Some(queue),
                None => line.user == call.invoked.user,
            };
            let within = line.facts.at_ms.is_some_and(|at_ms| {
                (since_ms + SLACK_MS..until_ms.saturating_sub(SLACK_MS)).contains(&at_ms)
            });
            if is_of_it && within && !world.may_be_forgotten(answer.t, line.t) {
                let after = line.facts.at_ms.unwrap_or(0) - since_ms;
                found.say(format!("{task} was handed out {after} ms after a pause was answered"));
            }
        }
    }
    found
}
