//! Keys: what the same key means to the next submission, and which tasks do not run beside each other.
//! Both are judged in the order of the store, by the stream of their user.

use std::collections::BTreeMap;

use super::Found;
use crate::check::stream::{Heard, Known, replay, status};
use crate::check::world::{World, is_end, is_running};
use crate::history::{Line, Op};

/// How much earlier than its window another task of a key may be taken, ms: clocks are read at
/// different places.
const WINDOW_SLACK_MS: u64 = 250;

fn key_of<'a>(world: &World<'a>, task: &str) -> Option<(&'a str, &'a str, Option<u64>)> {
    let (_, intent) = world.intent(task)?;
    let invoked = intent.sendings.first()?.invoked;
    Some((invoked.facts.mode.as_deref()?, invoked.key.as_deref()?, invoked.facts.window_ms))
}

fn was_sent_back(world: &World<'_>, task: &str, before: u64) -> bool {
    let story = world.tasks.get(task);
    story.is_some_and(|story| world.sendings_back(story).any(|call| call.invoked.t <= before))
}

/// What a key means, in each of its modes.
pub(super) fn modes(world: &World<'_>) -> Found {
    let mut found = Found::default();
    // Who gave way, and to whom: the next that is heard of them is that they were cancelled.
    let mut gave_way: BTreeMap<&str, &str> = BTreeMap::new();
    replay(world, |heard| {
        let Heard::Event(task, line, known) = heard else {
            gave_way.clear();
            return;
        };
        if let Some(newer) = gave_way.remove(task)
            && status(line) != "cancelled"
        {
            found.say(format!("task {task} gave way to {newer}, and was {} then", status(line)));
        }
        // The first event of a task says all of it, the others what changed.
        let is_new = line.facts.kind.is_some();
        let Some((mode, key, window_ms)) = key_of(world, task).filter(|_| is_new) else { return };
        let others = of_key(world, known, task, (mode, key));
        // One that has run and waits again lost the key to whoever came meanwhile.
        let holder = others.iter().map(|(older, _)| *older).max_by_key(|older| asked(world, older));
        for (older, last) in others {
            found.look();
            let was = status(last);
            let waits = !is_running(was) && !is_end(Some(was));
            match mode {
                "unique" | "until_done" if !is_end(Some(was)) => {
                    found.say(format!("{key} became task {task} while {older} was {was}"));
                }
                "until_started" if waits && holder == Some(older) => {
                    found.say(format!("{key} became task {task} while {older} was {was}"));
                }
                "debounce" | "replace" | "latest" | "restart" if waits && holder == Some(older) => {
                    gave_way.insert(older, task);
                }
                "throttle" => {
                    let apart = taken(world, task).zip(taken(world, older));
                    let apart = apart.map(|(new, old)| new.1.saturating_sub(old.0));
                    let window_ms = window_ms.unwrap_or(0);
                    if let Some(apart) = apart.filter(|ms| ms + WINDOW_SLACK_MS < window_ms) {
                        found.say(format!(
                            "{key} became {task} at most {apart} ms after {older}, within \
                             {window_ms} ms"
                        ));
                    }
                }
                _ => {}
            }
        }
    });
    found
}

/// When a task was first asked for. Of one user that is the order in which tasks were taken.
fn asked(world: &World<'_>, task: &str) -> Option<u64> {
    let (_, intent) = world.intent(task)?;
    intent.sendings.iter().map(|call| call.invoked.t).min()
}

/// From when to when a task may have been taken: after it was asked for, and before anybody knew of
/// it. What a server stamped on it may be long before, if the server was frozen meanwhile.
fn taken(world: &World<'_>, task: &str) -> Option<(u64, u64)> {
    let asked = asked(world, task)?;
    let (_, intent) = world.intent(task)?;
    let answered = intent.sendings.iter().filter_map(|call| call.ended);
    let answered = answered.filter(|end| end.task.as_deref() == Some(task)).map(|end| end.t);
    let heard = world.tasks.get(task)?.events.iter().map(|event| event.t);
    Some((asked, answered.chain(heard).min()?))
}

/// Tasks of the same key that are known, but for those that were sent back: the key is no longer
/// theirs.
fn of_key<'a>(
    world: &World<'a>,
    known: &Known<'a>,
    task: &str,
    (mode, key): (&'a str, &'a str),
) -> Vec<(&'a str, &'a Line)> {
    let others = world.of_key(mode, key).iter().filter(|older| **older != task);
    let there = others.filter_map(|older| Some((*older, *known.get(older)?)));
    there.filter(|(older, last)| !was_sent_back(world, older, last.t)).collect()
}

/// Of a serial key one task runs at a time, whose turn it is keeps it until it ends, and turns go in
/// order.
pub(super) fn serial(world: &World<'_>) -> Found {
    let mut found = Found::default();
    let key = |task: &str| world.facts(task).and_then(|facts| facts.serial.as_deref());
    // Whose turn it is; and since when those stand in line that have not run.
    let mut turns: BTreeMap<&str, &str> = BTreeMap::new();
    let mut stands: BTreeMap<&str, (Option<u32>, Option<u64>)> = BTreeMap::new();
    replay(world, |heard| {
        let Heard::Event(task, line, known) = heard else {
            turns.clear();
            stands.clear();
            return;
        };
        let Some(serial) = key(task) else { return };
        let is = status(line);
        // One that has run keeps its turn, whatever it waits for.
        let has_run = line.attempt.is_some_and(|attempt| attempt > 0)
            || known.get(task).is_some_and(|last| is_running(status(last)));
        if is == "queued" && !has_run {
            stands.entry(task).or_insert((line.epoch, line.seq));
        }
        if is_end(Some(is)) {
            stands.remove(task);
            if turns.get(serial) == Some(&task) {
                turns.remove(serial);
            }
        }
        if !is_running(is) {
            return;
        }
        found.look();
        let others = world.of_serial(serial).iter().filter(|other| **other != task);
        for (other, last) in others.filter_map(|other| Some((*other, known.get(other)?))) {
            if is_running(status(last)) {
                found.say(format!("{task} and {other} of serial key {serial} ran at once"));
            }
        }
        if let Some(holder) = turns.insert(serial, task)
            && holder != task
            && known.get(holder).is_some_and(|last| !is_running(status(last)))
        {
            found.say(format!("{task} ran while it was the turn of {holder} ({serial})"));
        }
        let Some(stood) = stands.remove(task) else { return };
        let first = stands.iter().find(|(other, at)| {
            key(other) == Some(serial) && **at < stood && !moved(world, other, line.t)
        });
        if let Some((first, _)) = first
            && !moved(world, task, line.t)
        {
            found
                .say(format!("{task} of serial key {serial} ran before {first}, which came first"));
        }
    });
    found
}

/// Whether a task may have been given another place in its line.
fn moved(world: &World<'_>, task: &str, before: u64) -> bool {
    was_sent_back(world, task, before)
        || world
            .tasks
            .get(task)
            .is_some_and(|story| story.calls_of(Op::Reschedule).next().is_some())
}
