//! Schedules: each of their times makes one task.

use std::collections::BTreeMap;

use super::Found;
use crate::check::world::{Call, World};
use crate::history::{Line, Op};

/// How far clocks that are read at different places may be apart, ms.
const SLACK_MS: i64 = 250;
/// How late the last time before a schedule was removed may be made up for, ms.
const LATE_MS: i64 = 15_000;

/// No time makes two tasks, all are as far apart as was said; where all are made up for none is
/// missing; and none comes after the schedule was removed.
pub(super) fn ticks(world: &World<'_>) -> Found {
    let mut found = Found::default();
    let mut made: BTreeMap<&str, Vec<(i64, &str)>> = BTreeMap::new();
    for (task, story) in &world.tasks {
        let Some(end) = story.ends else { continue };
        if let (Some(name), Some(tick_ms)) = (end.facts.schedule.as_deref(), end.facts.tick_ms) {
            made.entry(name).or_default().push((tick_ms, task));
        }
    }
    for (name, calls) in &world.schedules {
        let mut ticks = made.remove(name).unwrap_or_default();
        ticks.sort_unstable();
        found.looked_at += ticks.len();
        one(world, name, calls, &ticks, &mut found);
    }
    for (name, ticks) in made {
        found.say(format!("{} tasks are of schedule {name}, which nobody made", ticks.len()));
    }
    found
}

fn one(
    world: &World<'_>,
    name: &str,
    calls: &[Call<'_>],
    ticks: &[(i64, &str)],
    found: &mut Found,
) {
    let of = |op: Op| calls.iter().filter(move |call| call.invoked.op == op);
    let Some(first) = of(Op::Schedule).next() else { return };
    let every_ms = first.invoked.facts.per_ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(1);
    // What rests is not made up for.
    let rested = of(Op::Pause).next().is_some();
    let makes_up = first.invoked.facts.mode.as_deref() == Some("all") && !rested;
    for pair in ticks.windows(2) {
        let apart_ms = pair[1].0 - pair[0].0;
        if apart_ms == 0 {
            found.say(format!("{name} made {} and {} for one time", pair[0].1, pair[1].1));
        } else if apart_ms % every_ms != 0 {
            found.say(format!("times of {name} are {apart_ms} ms apart, and come each {every_ms}"));
        } else if makes_up && apart_ms != every_ms {
            let missing = apart_ms / every_ms - 1;
            found.say(format!("{missing} times of {name} are missing before {}", pair[1].1));
        }
    }
    let answered = |call: &Call<'_>| -> Option<(i64, u64)> {
        call.done_at()?;
        let end: &Line = call.ended?;
        Some((end.facts.at_ms?, end.t))
    };
    if let Some((removed_ms, t)) = of(Op::Unschedule).filter_map(answered).min() {
        let later = ticks.iter().find(|(tick_ms, _)| *tick_ms > removed_ms + SLACK_MS);
        if let Some((_, task)) = later
            && !world.may_be_forgotten(t, u64::MAX)
        {
            found.say(format!("{name} made {task} for a time after it was removed"));
        }
    }
    let removals = of(Op::Unschedule).filter(|call| call.may_have_happened());
    let until_ms = removals.filter_map(|call| call.invoked.facts.at_ms).min();
    let Some((since_ms, _)) = answered(first).filter(|_| makes_up) else { return };
    let healed = world.since("healed").unwrap_or(0);
    let removed_after = of(Op::Unschedule).all(|call| call.invoked.t > healed);
    if let Some(until_ms) = until_ms.filter(|_| removed_after) {
        let last_ms = ticks.last().map_or(since_ms, |(tick_ms, _)| *tick_ms);
        if last_ms + every_ms + LATE_MS < until_ms {
            let late_ms = until_ms - last_ms;
            found.say(format!("{name} made nothing in its last {late_ms} ms"));
        }
    }
}
