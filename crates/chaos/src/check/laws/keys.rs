//! What a key stands for: one task of one body.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use crate::check::world::World;
use crate::history::{Line, Op};

/// One intent is one task, and one key of a user one body: by what was answered, what ran and what is
/// there.
pub(super) fn keys(world: &World<'_>) -> Found {
    let mut found = Found::default();
    let mut tasks_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut nonces_of_key: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for (nonce, intent, tasks) in world.accepted() {
        tasks_of.entry(nonce).or_default().extend(tasks);
        for call in intent.sendings.iter().filter(|call| call.done_at().is_some()) {
            let is_plain = call.invoked.facts.mode.is_none();
            if let (true, Some(user), Some(key)) = (is_plain, &call.invoked.user, &call.invoked.key)
            {
                nonces_of_key.entry((user, key)).or_default().insert(nonce);
            }
        }
    }
    for (task, story) in &world.tasks {
        for line in story.starts.iter().chain(story.ends.iter()) {
            if let Some(nonce) = line.nonce.as_deref().filter(|n| !world.is_of_schedule(n)) {
                tasks_of.entry(nonce).or_default().insert(task);
            }
        }
    }
    found.looked_at = tasks_of.len() + nonces_of_key.len();
    for (nonce, tasks) in tasks_of.iter().filter(|(_, tasks)| tasks.len() > 1) {
        let mut lives: Vec<_> =
            tasks.iter().map(|task| (first_seen(world, nonce, task), *task)).collect();
        lives.sort_unstable();
        let freed = |pair: &[(u64, &str)]| was_free(world, pair[0].1, pair[1]);
        if !lives.windows(2).all(freed) {
            found.say(format!("{nonce} became {} tasks: {tasks:?}", tasks.len()));
        }
    }
    for ((user, key), nonces) in nonces_of_key.iter().filter(|(_, nonces)| nonces.len() > 1) {
        found.say(format!("key {key} of {user} was accepted with {} bodies", nonces.len()));
    }
    found
}

/// When a task of this intent was first answered, heard or at work.
fn first_seen(world: &World<'_>, nonce: &str, task: &str) -> u64 {
    let sendings = world.intents.get(nonce).into_iter().flat_map(|intent| &intent.sendings);
    let answers = sendings.filter_map(|call| call.ended);
    let answered = answers.filter(|line| line.task.as_deref() == Some(task));
    let story = world.tasks.get(task);
    let heard =
        story.into_iter().flat_map(|it| it.events.iter().chain(&it.snapshots).chain(&it.starts));
    answered.chain(heard.copied()).map(|line| line.t).min().unwrap_or(0)
}

/// Whether the key of one task was free when the next was made, which was first seen then: who removes
/// a task that has ended frees its key, and a submission that was on its way for long arrives after it.
/// Where both were heard, the removal stands before the next task in the store's order.
fn was_free(world: &World<'_>, one: &str, (seen, next): (u64, &str)) -> bool {
    let removals = world.tasks.get(one).into_iter().flat_map(|story| story.calls_of(Op::Purge));
    if !removals.into_iter().any(|call| call.invoked.t < seen) {
        return false;
    }
    let events = || world.streams.values().flatten().filter(|line| line.op == Op::Event);
    let place = |line: &Line| (line.epoch, line.seq);
    let of = |task: &str, line: &Line| line.task.as_deref() == Some(task);
    let gone = events().filter(|line| of(one, line) && line.status.is_none()).map(|it| place(it));
    let begun = events().filter(|line| of(next, line)).map(|line| place(line));
    match (gone.max(), begun.min()) {
        (Some(gone), Some(begun)) => gone < begun,
        _ => true,
    }
}
