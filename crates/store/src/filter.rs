//! Whether a task is one of those a list asks for: the one meaning of [`TaskFilter`].

use serde::Deserialize;
use tasktonic_core::TaskState;

use crate::{StoredTask, TaskFilter};

/// Whether `filter` lets `task`, which is in `state`, through.
#[must_use]
pub fn matches(filter: &TaskFilter, task: &StoredTask, state: TaskState) -> bool {
    #[derive(Deserialize)]
    struct Labels {
        k: String,
        // Left out where it is named like the kind.
        #[serde(default)]
        q: Option<String>,
        at: i64,
        #[serde(default)]
        tags: Vec<String>,
    }
    let TaskFilter { states, kind, queue, tag, id_prefix, since_ms, until_ms } = filter;
    if !states.is_empty() && !states.contains(&state) {
        return false;
    }
    if id_prefix.as_ref().is_some_and(|prefix| !task.id.to_string().starts_with(prefix)) {
        return false;
    }
    let plain = kind.is_none() && queue.is_none() && tag.is_none();
    if plain && since_ms.is_none() && until_ms.is_none() {
        return true;
    }
    let Ok(labels) = serde_json::from_str::<Labels>(&task.descriptor) else { return false };
    kind.as_ref().is_none_or(|kind| labels.k == *kind)
        && queue.as_ref().is_none_or(|queue| labels.q.as_ref().unwrap_or(&labels.k) == queue)
        && tag.as_ref().is_none_or(|tag| labels.tags.contains(tag))
        && since_ms.is_none_or(|since| labels.at >= since)
        && until_ms.is_none_or(|until| labels.at < until)
}
