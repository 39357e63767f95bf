//! Many tasks in a call, and labels.

use super::Found;
use crate::check::world::World;
use crate::history::Phase;

/// What is wrong with one task of a call, and has nothing to do with the others.
const OWN_FAULTS: [&str; 3] = ["kind_unknown", "submission_invalid", "payload_invalid"];

/// Each task of a call is accepted or refused by itself.
pub(super) fn items(world: &World<'_>) -> Found {
    let mut found = Found::default();
    for (nonce, intent) in &world.intents {
        for call in &intent.sendings {
            let Some(end) = call.ended else { continue };
            let is_bad = call.invoked.facts.is_bad;
            let why = end.why.as_deref().unwrap_or_default();
            match end.phase {
                Phase::Ok if is_bad => found.say(format!("{nonce} was accepted, and is wrong")),
                Phase::Fail if !is_bad && OWN_FAULTS.contains(&why) => {
                    found.say(format!("{nonce} was refused ({why}), and is right"));
                }
                _ => {}
            }
            if is_bad {
                found.look();
            }
        }
    }
    found
}

/// Nothing starts at a worker that lacks one of its labels.
pub(super) fn labels(world: &World<'_>) -> Found {
    let mut found = Found::default();
    for (task, story) in &world.tasks {
        let Some(facts) = world.facts(task).filter(|facts| !facts.labels.is_empty()) else {
            continue;
        };
        for start in &story.starts {
            found.look();
            let has = world.labels.get(start.proc.as_str()).copied().unwrap_or_default();
            if let Some(lacks) = facts.labels.iter().find(|label| !has.contains(label)) {
                found.say(format!("task {task} needs {lacks}, and began at {}", start.proc));
            }
        }
    }
    found
}
