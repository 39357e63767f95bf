//! Flows and batches: who waits for whom, what is accepted with what, and what it comes to.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use crate::check::stream::{Heard, replay, status};
use crate::check::world::{Story, World, is_built_in, is_end, is_running};
use crate::history::{Line, Op};

/// Nothing begins before what it waits for has ended, or completed where its tie says so.
pub(super) fn ties(world: &World<'_>) -> Found {
    let mut found = Found::default();
    for (task, story) in &world.tasks {
        let Some(facts) = world.facts(task) else { continue };
        for start in &story.starts {
            for parent in &facts.after {
                found.look();
                // Its work was done before it was said to be.
                let done = |(_, story): &(&str, &Story<'_>)| {
                    story.commits.iter().any(|commit| commit.t <= start.t)
                };
                if !world.tasks_of(parent).iter().any(done) {
                    found.say(format!("task {task} began, and {parent} had not been done"));
                }
            }
        }
    }
    let mut begun = BTreeSet::new();
    replay(world, |heard| {
        let Heard::Event(task, line, known) = heard else { return };
        if !is_running(status(line)) || !begun.insert(task) {
            return;
        }
        let Some((facts, story)) = world.facts(task).zip(world.tasks.get(task)) else { return };
        // A parent that is sent back does not call back who had gone on without it.
        if world.sendings_back(story).any(|call| call.invoked.t <= line.t) {
            return;
        }
        for parent in facts.after.iter().chain(&facts.after_any) {
            for (older, _) in world.tasks_of(parent) {
                let Some(last) = known.get(older) else { continue };
                found.look();
                if !is_end(last.status.as_deref()) {
                    found.say(format!(
                        "task {task} was handed out while {older}, which it waits for, was {}",
                        status(last)
                    ));
                }
            }
        }
    });
    found
}

/// What was handed over in one request is there whole or not at all.
pub(super) fn whole(world: &World<'_>) -> Found {
    let mut found = Found::default();
    let mut requests: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for (nonce, intent) in &world.intents {
        for call in &intent.sendings {
            if let Some(request) = call.invoked.facts.of_call {
                requests.entry(request).or_default().push(nonce);
            }
        }
    }
    for (request, nonces) in requests {
        found.look();
        let is_there = |nonce: &&&str| {
            let tasks = world.tasks_of(nonce);
            tasks.iter().any(|(_, story)| {
                let end = story.ends.and_then(|end| end.status.as_deref());
                !story.starts.is_empty() || end.is_some_and(|status| status != "absent")
            })
        };
        let there = nonces.iter().filter(is_there).count();
        if there != 0 && there != nonces.len() {
            found.say(format!(
                "of request {request} ({}) {there} of {} tasks are there",
                nonces.first().copied().unwrap_or_default(),
                nonces.len()
            ));
        }
    }
    found
}

/// The parts of a flow or batch.
fn parts<'a, 'w>(world: &'w World<'a>, flow: &str) -> Vec<(&'a str, &'w Story<'a>)> {
    let others = world.of_flow(flow).iter().filter(|task| **task != flow);
    others.filter_map(|task| Some((*task, world.tasks.get(task)?))).collect()
}

/// The numbers of a flow are those of its parts, and it ends as they did, after them.
pub(super) fn gathered(world: &World<'_>) -> Found {
    let mut found = Found::default();
    for (flow, gathering) in &world.flows {
        let Some(shown) = gathering.roll_up else { continue };
        found.look();
        let parts = parts(world, flow);
        let ends = |status: &str| {
            let is_so =
                |story: &Story<'_>| story.ends.is_some_and(|e| e.status.as_deref() == Some(status));
            parts.iter().filter(|(_, story)| is_so(story)).count() as u64
        };
        let counted = [parts.len() as u64, ends("completed"), ends("failed"), ends("cancelled")];
        let facts = &shown.facts;
        let said = [facts.total, facts.done, facts.failed, facts.cancelled].map(|n| n.unwrap_or(0));
        if said != counted {
            found.say(format!(
                "flow {flow} says {said:?} of its parts (all, completed, failed, cancelled), and \
                 {counted:?} are there"
            ));
        }
        let Some(story) = world.tasks.get(flow) else { continue };
        let Some(end) = story.ends.filter(|end| is_built_in(end)) else { continue };
        let as_parts = match counted {
            [_, _, failed, _] if failed > 0 => "failed",
            [all, completed, ..] if all == completed => "completed",
            _ => "cancelled",
        };
        let stopped = story.calls_of(Op::Cancel).next().is_some();
        let is = status(end);
        if is != as_parts && !(stopped && is == "cancelled") {
            found.say(format!("flow {flow} is {is}, and by its parts it is {as_parts}"));
        }
    }
    found
}

/// What follows a batch begins when it is closed and all of it has ended.
pub(super) fn callback(world: &World<'_>) -> Found {
    let mut found = Found::default();
    let is_batch = |task: &str| world.facts(task).is_some_and(|f| f.flow.as_deref() == Some(task));
    for (batch, story) in world.tasks.iter().filter(|(task, _)| is_batch(task)) {
        let parts = parts(world, batch);
        for start in &story.starts {
            found.look();
            let seals = world.flows.get(batch).into_iter().flat_map(|flow| &flow.seals);
            if !seals.clone().any(|seal| seal.may_have_happened() && seal.invoked.t <= start.t) {
                found.say(format!("what follows batch {batch} began before it was closed"));
            }
            let completed = |story: &&Story<'_>| {
                story.ends.is_some_and(|end| end.status.as_deref() == Some("completed"))
            };
            for (part, story) in &parts {
                if completed(story) && story.commits.iter().all(|commit| commit.t > start.t) {
                    found.say(format!("what follows batch {batch} began before {part} was done"));
                }
            }
        }
    }
    let mut begun = BTreeSet::new();
    replay(world, |heard| {
        let Heard::Event(batch, line, known) = heard else { return };
        if !is_batch(batch) || !is_running(status(line)) || !begun.insert(batch) {
            return;
        }
        found.look();
        for (part, _) in parts(world, batch) {
            let last: Option<&&Line> = known.get(part);
            if let Some(last) = last.filter(|last| !is_end(last.status.as_deref())) {
                let is = status(last);
                found.say(format!(
                    "what follows batch {batch} was handed out while {part} was {is}"
                ));
            }
        }
    });
    found
}
