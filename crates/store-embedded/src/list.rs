//! list: a page of a user's tasks. What a task is called is in memory, so that those that are not meant
//! are passed by without a look at the tables; what is left is decided by the record.

use std::ops::Bound;
use std::time::Instant;

use tasktonic_core::changes::TaskControl;
use tasktonic_core::search::Sieve;
use tasktonic_core::{TaskId, TaskState, UserId};
use tasktonic_store::filter::{entry_of, matches, sieve, span};
use tasktonic_store::limits::{LIST_MAX, LIST_TIME_MAX};
use tasktonic_store::{Cursor, Result, TaskFilter, TaskPage};

use crate::read::{complete, look};
use crate::shared::Shared;
use crate::state::{Slot, State};
use crate::tables::called;

/// Tasks whose records are looked at together.
const CHUNK: usize = 256;
/// Tasks passed by while the state is locked: about a millisecond.
const LOOKED_MAX: usize = 4_096;

/// What a list passes tasks by with.
struct Narrow<'a> {
    filter: &'a TaskFilter,
    sieve: Sieve,
    /// Ids at or after this one.
    from: Option<TaskId>,
}

impl Narrow<'_> {
    /// Whether a task is not one of the list whatever else is known of it: by what it is called alone,
    /// which is at hand. To look up its state takes as long again, and nearly all of many are not meant.
    fn holds_back(&self, slot: &Slot) -> bool {
        let Some(entry) = slot.entry.as_deref() else { return false };
        // One that is called as its queue has nothing kept; errors may be found by their words.
        !entry.is_empty() && !self.sieve.asks_errors() && !self.sieve.passes("", entry, None)
    }

    /// Whether a task may be one of the list.
    fn lets_through(&self, id: TaskId, control: &TaskControl, slot: &Slot) -> bool {
        let TaskFilter { states, id_prefix, .. } = self.filter;
        let state = control.place.state();
        if !states.is_empty() && !states.contains(&state) {
            return false;
        }
        if id_prefix.as_ref().is_some_and(|prefix| !id.to_string().starts_with(prefix)) {
            return false;
        }
        if self.sieve.is_open() {
            return true;
        }
        let asks_errors = self.sieve.asks_errors();
        // Of what it failed its record says.
        if asks_errors && state == TaskState::Dead {
            return true;
        }
        let text = if asks_errors { id.to_string() } else { String::new() };
        let Slot { entry, kept } = slot;
        match (entry, kept.as_ref().and_then(|kept| kept.descriptor.as_deref())) {
            (Some(entry), _) => {
                self.sieve.passes(&text, &called(entry, control.queue.as_str()), None)
            }
            // The fold has not come to it yet.
            (None, Some(descriptor)) => {
                entry_of(descriptor).is_none_or(|entry| self.sieve.passes(&text, &entry, None))
            }
            (None, None) => true,
        }
    }
}

/// Tasks of a user that may be meant, from the newest down.
struct Part {
    ids: Vec<TaskId>,
    looked: usize,
    /// Where to go on; absent at the end.
    next: Option<TaskId>,
}

fn part(
    state: &State,
    user: &UserId,
    narrow: &Narrow<'_>,
    below: Option<TaskId>,
    (count, looks_max): (usize, usize),
) -> Part {
    let mut part = Part { ids: Vec::new(), looked: 0, next: None };
    let Some(slots) = state.users.get(user) else { return part };
    let below = below.map_or(Bound::Unbounded, Bound::Excluded);
    for (id, slot) in slots.range((Bound::Unbounded, below)).rev() {
        if narrow.from.is_some_and(|from| *id < from) {
            part.next = None;
            return part;
        }
        part.looked += 1;
        if !narrow.holds_back(slot)
            && let Some(control) = state.partition.task(user, id)
            && narrow.lets_through(*id, control, slot)
        {
            part.ids.push(*id);
        }
        if part.ids.len() >= count || part.looked >= LOOKED_MAX.min(looks_max) {
            part.next = Some(*id);
            return part;
        }
    }
    part.next = None;
    part
}

pub(crate) fn list(
    shared: &Shared,
    user: &UserId,
    filter: &TaskFilter,
    cursor: Option<Cursor>,
    limit: u32,
) -> Result<TaskPage> {
    let since = Instant::now();
    let limit = limit.clamp(1, LIST_MAX) as usize;
    let (from, until) = span(filter);
    let narrow = Narrow { filter, sieve: sieve(filter), from };
    let mut page = TaskPage::default();
    let mut below = match (cursor, until) {
        (Some(Cursor(at)), Some(until)) => Some(at.min(until)),
        (at, until) => at.map(|Cursor(at)| at).or(until),
    };
    let mut looked = 0;
    loop {
        // Where nothing is left to the record, a page needs no more than itself.
        let looks_left = shared.options.list_examined_max.saturating_sub(looked).max(1);
        let count = if narrow.sieve.is_open() { limit + 1 - page.tasks.len() } else { CHUNK };
        let (part, seen) = {
            let state = shared.state.lock();
            let part = part(&state, user, &narrow, below, (count, looks_left));
            let seen = part.ids.iter().filter_map(|id| look(&state, user, *id)).collect();
            (part, seen)
        };
        looked += part.looked;
        for (task, state) in complete(shared, user, seen)?.into_iter().flatten() {
            if !matches(filter, &task, state) {
                continue;
            }
            if page.tasks.len() == limit {
                page.next = page.tasks.last().map(|task| Cursor(task.id));
                return Ok(page);
            }
            page.tasks.push(task);
        }
        let Some(next) = part.next else { return Ok(page) };
        if looked >= shared.options.list_examined_max || since.elapsed() >= LIST_TIME_MAX {
            page.next = Some(Cursor(next));
            return Ok(page);
        }
        below = Some(next);
    }
}
