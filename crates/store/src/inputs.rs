//! What became of the tasks that a task waited for: which they are, and what its holder is told of
//! each. Pure; a store looks, here it is put together. Nothing here knows tasks that are not tied to
//! the one that asks.

use std::collections::HashMap;

use tasktonic_core::links::OnFailure;
use tasktonic_core::{Links, TaskId, TaskState};
use tasktonic_protocol::status::TaskStatus;
use tasktonic_protocol::stored::{Descriptor, StoredState, output_of};
use tasktonic_protocol::worker::InputBody;

use crate::limits::INPUTS_PAGE_MAX;
use crate::{Error, Result, StoredTask};

/// A page of them.
#[derive(Debug, Clone, Default)]
pub struct InputsPage {
    /// In the order of the ties.
    pub inputs: Vec<InputBody>,
    /// Where the next page begins; absent on the last.
    pub next: Option<TaskId>,
}

/// How many a page has at most that was asked for `limit`.
#[must_use]
pub fn page_len(limit: u32) -> usize {
    limit.clamp(1, INPUTS_PAGE_MAX) as usize
}

/// The tasks of one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tied {
    /// These, with what was to follow if one did not complete.
    To(Vec<(TaskId, Option<OnFailure>)>),
    /// The parts of the task itself: the store knows them.
    Parts,
}

impl Tied {
    /// Whom a task with these ties waited for, after `after`, at most `limit`.
    #[must_use]
    pub fn of(links: Option<&Links>, after: Option<TaskId>, limit: u32) -> Self {
        let Some(links) = links else { return Self::To(Vec::new()) };
        if links.gather.is_some() {
            return Self::Parts;
        }
        let from = after.map_or(0, |after| {
            // One that is not among them began no page of these.
            let at = links.up.iter().position(|up| up.task == after);
            at.map_or(links.up.len(), |at| at + 1)
        });
        let page = links.up[from..].iter().take(page_len(limit));
        Self::To(page.map(|up| (up.task, Some(up.on_failure))).collect())
    }

    /// These parts.
    #[must_use]
    pub fn parts(parts: Vec<TaskId>) -> Vec<(TaskId, Option<OnFailure>)> {
        parts.into_iter().map(|part| (part, None)).collect()
    }
}

/// The page of these tasks, of which `found` are there. A full page has a next one, which may be
/// empty.
///
/// # Errors
/// [`Error::Unavailable`] if a record cannot be read.
pub fn page(
    tied: Vec<(TaskId, Option<OnFailure>)>,
    found: Vec<StoredTask>,
    limit: u32,
) -> Result<InputsPage> {
    let is_full = tied.len() >= page_len(limit);
    let next = tied.last().filter(|_| is_full).map(|(task, _)| *task);
    let mut found: HashMap<TaskId, StoredTask> =
        found.into_iter().map(|task| (task.id, task)).collect();
    let mut inputs = Vec::with_capacity(tied.len());
    for (task, on_failure) in tied {
        let stored = found.remove(&task);
        let damaged = |_| Error::Unavailable(format!("the record of task {task} cannot be read"));
        inputs.push(told(task, on_failure, stored).map_err(damaged)?);
    }
    Ok(InputsPage { inputs, next })
}

fn told(
    task: TaskId,
    on_failure: Option<OnFailure>,
    stored: Option<StoredTask>,
) -> std::result::Result<InputBody, serde_json::Error> {
    let id = task.to_string();
    let gone = InputBody {
        id,
        on_failure: on_failure.map(Into::into),
        kind: None,
        name: None,
        status: None,
        output: None,
        output_in_file: false,
        error: None,
        reason: None,
    };
    let Some(stored) = stored else { return Ok(gone) };
    let descriptor = Descriptor::parse(&stored.descriptor)?;
    let told = InputBody { kind: Some(descriptor.kind), name: descriptor.name, ..gone };
    // One that is queued and untouched has no state.
    let Some(text) = stored.state else {
        return Ok(InputBody { status: Some(TaskStatus::Queued), ..told });
    };
    let state: StoredState = serde_json::from_str(&text)?;
    let engine = TaskState::from_name(&state.s).unwrap_or(TaskState::Queued);
    let failed = state.a.saturating_sub(1);
    let asked = stored.cancel_asked || state.body.x;
    Ok(InputBody {
        status: Some(TaskStatus::of(engine, failed, asked)),
        output: output_of(&text),
        output_in_file: state.body.fo,
        error: state.body.err,
        reason: state.body.why,
        ..told
    })
}

#[cfg(test)]
mod tests {
    use tasktonic_core::links::{Gather, Up};

    use super::*;

    fn id(n: u64) -> TaskId {
        TaskId::new(1, n)
    }

    #[test]
    fn pages_of_ties_follow_each_other_and_miss_none() {
        let up = |n| Up { task: id(n), on_failure: OnFailure::Continue, told: true };
        // Not in the order of their ids: ties keep the order in which they were named.
        let order = [5, 2, 9, 1, 7];
        let links = Links { up: order.map(up).to_vec(), ..Links::default() };
        for limit in 1..7 {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let Tied::To(tied) = Tied::of(Some(&links), after, limit) else {
                    panic!("it has no parts")
                };
                let page = page(tied, Vec::new(), limit).unwrap();
                assert!(page.inputs.iter().all(|one| one.status.is_none()), "none is there");
                seen.extend(page.inputs.into_iter().map(|one| one.id));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, order.map(|n| id(n).to_string()), "{limit}");
        }
        assert_eq!(Tied::of(Some(&links), Some(id(4)), 3), Tied::To(Vec::new()), "not one of them");
        assert_eq!(Tied::of(None, None, 3), Tied::To(Vec::new()));
        let batch = Links { gather: Some(Gather::default()), ..Links::default() };
        assert_eq!(Tied::of(Some(&batch), None, 3), Tied::Parts);
    }
}
