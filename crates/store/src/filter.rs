//! Whether a task is one of those a list asks for: the one meaning of [`TaskFilter`], and what a store
//! may keep beside a task to pass it by without a look at its record.

use serde::Deserialize;
use tasktonic_core::search::{Sieve, entry, error_text, fold};
use tasktonic_core::{TaskId, TaskState};
use tasktonic_protocol::stored::TaskError;

use crate::{StoredTask, TaskFilter};

/// What a descriptor calls its task.
#[derive(Deserialize)]
struct Labels {
    k: String,
    // Left out where it is named like the kind.
    #[serde(default)]
    q: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

impl Labels {
    fn queue(&self) -> &str {
        self.q.as_ref().unwrap_or(&self.k)
    }
}

/// The error in a state.
#[derive(Deserialize)]
struct Failed {
    #[serde(default)]
    err: Option<TaskError>,
}

/// Whether `filter` lets `task`, which is in `state`, through.
#[must_use]
pub fn matches(filter: &TaskFilter, task: &StoredTask, state: TaskState) -> bool {
    let TaskFilter { states, kind, queue, tag, id_prefix, search, since_ms, until_ms } = filter;
    if !states.is_empty() && !states.contains(&state) {
        return false;
    }
    let created_ms = task.id.created_ms();
    if since_ms.is_some_and(|since| created_ms < since)
        || until_ms.is_some_and(|until| created_ms >= until)
    {
        return false;
    }
    let plain = kind.is_none() && queue.is_none() && tag.is_none() && search.is_none();
    if plain && id_prefix.is_none() {
        return true;
    }
    let id = task.id.to_string();
    if id_prefix.as_ref().is_some_and(|prefix| !id.starts_with(prefix)) {
        return false;
    }
    if plain {
        return true;
    }
    let Ok(labels) = serde_json::from_str::<Labels>(&task.descriptor) else { return false };
    kind.as_ref().is_none_or(|kind| labels.k == *kind)
        && queue.as_ref().is_none_or(|queue| labels.queue() == queue)
        && tag.as_ref().is_none_or(|tag| labels.tags.contains(tag))
        && search.as_ref().is_none_or(|search| {
            let folded: Vec<_> = [labels.queue(), &labels.k]
                .into_iter()
                .chain(labels.tags.iter().map(String::as_str))
                .map(fold)
                .collect();
            let mut texts: Vec<&str> = folded.iter().map(|text| &**text).collect();
            let error = task.state.as_deref().filter(|_| state == TaskState::Dead);
            let error = error.and_then(error_of);
            texts.extend(error.as_deref());
            search.finds(&id, &texts)
        })
}

/// The entry of a task with this descriptor; absent when nothing can be made of that.
#[must_use]
pub fn entry_of(descriptor: &str) -> Option<String> {
    let labels: Labels = serde_json::from_str(descriptor).ok()?;
    Some(entry(labels.queue(), &labels.k, &labels.tags))
}

/// What the error in a state is called, if it has one.
#[must_use]
pub fn error_of(state: &str) -> Option<String> {
    let failed: Failed = serde_json::from_str(state).ok()?;
    failed.err.map(|TaskError { code, message }| error_text(&code, &message))
}

/// The same of the members of a state without braces.
#[must_use]
pub fn error_in(body: &str) -> Option<String> {
    error_of(&format!("{{{body}}}"))
}

/// What passes by tasks that `filter` does not mean, by their entries.
#[must_use]
pub fn sieve(filter: &TaskFilter) -> Sieve {
    let names = [&filter.kind, &filter.queue, &filter.tag].into_iter().flatten();
    Sieve::new(names.map(String::as_str), filter.search.as_ref())
}

/// Ids that a filter leaves over: at or after the first, before the second. Both ends may be absent.
#[must_use]
pub fn span(filter: &TaskFilter) -> (Option<TaskId>, Option<TaskId>) {
    (filter.since_ms.map(TaskId::first_of), filter.until_ms.map(TaskId::first_of))
}
