//! Limits every store keeps at its door, with words that name them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tasktonic_core::UserId;
use tasktonic_core::command::{Control, Gathers, NewTask, Node, Submit, Sync};
use tasktonic_core::limits::{
    CLAIM_MAX, CLAIM_QUEUES_MAX, CONTROL_TASKS_MAX, LEASE_MS_MAX, LEASE_MS_MIN, LINKS_MAX,
    PLACES_MAX, QUEUES_SET_MAX, SCHEDULE_BYTES_MAX, SUBMIT_TASKS_MAX, SYNC_OPS_MAX,
};

use crate::{Error, Result};

/// Tasks on one page of a list.
pub const LIST_MAX: u32 = 200;
/// Tasks passed by or looked at for one page of a list; the page may then be short and still have a
/// next one.
pub const LIST_EXAMINED_MAX: usize = 1_000_000;
/// How long one page of a list is looked for; likewise.
pub const LIST_TIME_MAX: Duration = Duration::from_secs(1);
/// Users in one answer about what is set of them.
pub const USERS_IN_MAX: u32 = 1_000;
/// Log lines in one answer.
pub const LOGS_MAX: u32 = 10_000;
/// Tasks on one page of what became of those that a task waited for.
pub const INPUTS_PAGE_MAX: u32 = 100;
/// Parts of a flow in one answer.
pub const PARTS_PAGE_MAX: u32 = 1_000;

fn at_most(what: &str, count: usize, max: usize) -> Result<()> {
    if count <= max {
        Ok(())
    } else {
        Err(Error::Invalid(format!("{count} {what}; at most {max}")))
    }
}

/// Whether a submit is within its limits.
///
/// # Errors
/// [`Error::Invalid`], naming the limit.
pub fn check_submit(submit: &Submit) -> Result<()> {
    at_most("tasks in one submit", submit.tasks.len(), SUBMIT_TASKS_MAX)?;
    let mut known = Together::default();
    if submit.tasks.iter().all(|new| known.take(new)) {
        return Ok(());
    }
    Err(Error::Invalid(
        "two tasks of one key in one submit, of which one replaces the other; send them in two"
            .into(),
    ))
}

/// The keys of tasks that are to be in one submit. Of several with the same key none may replace
/// another: what a submit replaces was there before it.
#[derive(Debug, Default)]
pub struct Together<'a>(HashMap<(&'a UserId, &'a str), bool>);

impl<'a> Together<'a> {
    /// Adds a task if it may be in the same submit; whether it may.
    pub fn take(&mut self, new: &'a NewTask) -> bool {
        let Some(asked) = &new.idempotency else { return true };
        let replaces = asked.mode.replaces();
        match self.0.entry((&new.user, &asked.key)) {
            Entry::Occupied(known) => !*known.get() && !replaces,
            Entry::Vacant(slot) => {
                slot.insert(replaces);
                true
            }
        }
    }
}

/// Whether a sync is within its limits.
///
/// # Errors
/// [`Error::Invalid`], naming the limit.
pub fn check_sync(sync: &Sync) -> Result<()> {
    at_most("operations in one sync", sync.ops.len(), SYNC_OPS_MAX)?;
    if !(LEASE_MS_MIN..=LEASE_MS_MAX).contains(&sync.lease_ms) {
        let lease_ms = sync.lease_ms;
        return Err(Error::Invalid(format!(
            "a lease of {lease_ms} ms; between {LEASE_MS_MIN} and {LEASE_MS_MAX}"
        )));
    }
    at_most("woken queues in one sync", sync.woken.len(), CLAIM_QUEUES_MAX)?;
    let Some(claim) = &sync.claim else { return Ok(()) };
    at_most("queues in one claim", claim.queues.len(), CLAIM_QUEUES_MAX)?;
    if claim.places.is_empty() {
        return at_most("tasks in one claim", claim.limit as usize, CLAIM_MAX as usize);
    }
    at_most("places in one claim", claim.limit as usize, PLACES_MAX as usize)?;
    let of_each = claim.places.len() == claim.queues.len();
    if of_each && claim.places.iter().all(|places| (1..=PLACES_MAX).contains(places)) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "the places of a claim: 1 to {PLACES_MAX} for each of its {} queues",
        claim.queues.len()
    )))
}

/// Whether a control command is within its limits.
///
/// # Errors
/// [`Error::Invalid`], naming the limit.
pub fn check_control(control: &Control) -> Result<()> {
    let count = match control {
        Control::Cancel { tasks, .. } => tasks.len(),
        Control::Redrive { tasks, .. } => tasks.len(),
        Control::Reschedule { tasks, .. } => tasks.len(),
        Control::Edit { tasks, .. } => tasks.len(),
        Control::Flow { user, nodes, .. } => {
            for node in nodes {
                check_node(user, node, nodes)?;
            }
            nodes.len()
        }
        Control::Seal { .. } => 1,
        Control::Purge { tasks, .. } => tasks.len(),
        Control::Schedule { becomes, .. } => {
            let bytes = becomes.as_ref().map_or(0, |schedule| schedule.text.len());
            return at_most("bytes in one schedule", bytes, SCHEDULE_BYTES_MAX);
        }
        Control::Tick(tick) => {
            if tick.task.as_ref().is_some_and(|task| task.user != tick.user) {
                return Err(Error::Invalid("a schedule makes tasks of its own user only".into()));
            }
            let bytes = tick.becomes.text.len();
            return at_most("bytes in one schedule", bytes, SCHEDULE_BYTES_MAX);
        }
        Control::Queues { queues, .. } => {
            return at_most("queues with settings", queues.len(), QUEUES_SET_MAX);
        }
        Control::Erase { .. }
        | Control::User { .. }
        | Control::Pause { .. }
        | Control::Bytes { .. } => 0,
    };
    at_most("tasks in one control command", count, CONTROL_TASKS_MAX)
}

/// Whether a task of a flow is one that can be accepted at all.
fn check_node(user: &tasktonic_core::UserId, node: &Node, nodes: &[Node]) -> Result<()> {
    let Node { new, part_of, gathers, after } = node;
    let wrong = |what: &str| Err(Error::Invalid(format!("task {} {what}", new.task)));
    at_most("tasks that one waits for", after.len(), LINKS_MAX)?;
    if new.user != *user {
        return wrong("is another user's than the call");
    }
    if new.idempotency.is_some() {
        return wrong("has an idempotency key; in a flow its id says that it is the same");
    }
    let distinct: HashSet<_> = after.iter().map(|after| after.task).collect();
    if distinct.len() < after.len() {
        return wrong("waits for another one twice");
    }
    if distinct.contains(&new.task) || *part_of == Some(new.task) {
        return wrong("waits for itself");
    }
    if part_of.is_some_and(|of| distinct.contains(&of)) {
        return wrong("waits for the flow that it is a part of");
    }
    if new.due_ms.is_some() && (!after.is_empty() || gathers.is_some()) {
        return wrong("waits for others and for a time; one of them is enough");
    }
    match gathers {
        Some(_) if !after.is_empty() || part_of.is_some() => {
            wrong("gathers parts, so it neither waits for others nor is a part itself")
        }
        Some(Gathers::Flow) if !nodes.iter().any(|node| node.part_of == Some(new.task)) => {
            wrong("is a flow without parts")
        }
        _ => Ok(()),
    }
}
