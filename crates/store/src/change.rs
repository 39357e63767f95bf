//! Control commands for tasks as they stand: what a command has to say of each task (claim number,
//! key, retention, last attempt) is read from the task itself. Never knows who asks, nor why.

use std::collections::BTreeMap;

use tasktonic_core::command::{Control, Purge, Redrive};
use tasktonic_core::limits::CONTROL_TASKS_MAX;
use tasktonic_core::policy::keep_s;
use tasktonic_core::{TaskId, TaskState, Text, UserId};
use tasktonic_protocol::stored::{AttemptRecord, Descriptor, StateBody, StoredState};

use crate::{StoredTask, WORKER_LOST};

/// A task whose texts cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("task {task}: {error}")]
pub struct Unreadable {
    task: TaskId,
    error: serde_json::Error,
}

fn descriptor(stored: &StoredTask) -> Result<Descriptor, Unreadable> {
    Descriptor::parse(&stored.descriptor).map_err(|error| Unreadable { task: stored.id, error })
}

/// The state of a task; absent while it is queued and untouched.
///
/// # Errors
/// If its text is none of ours.
pub fn state(stored: &StoredTask) -> Result<Option<StoredState>, Unreadable> {
    let read = stored.state.as_deref().map(serde_json::from_str::<StoredState>).transpose();
    read.map_err(|error| Unreadable { task: stored.id, error })
}

/// The attempt that a state tells of: the one that runs, or the one that ended the task. Absent
/// while the task waits, and for a task that was cancelled before it ran.
///
/// # Errors
/// As [`state`].
pub fn last_attempt(stored: &StoredTask) -> Result<Option<AttemptRecord>, Unreadable> {
    let Some(state) = state(stored)? else { return Ok(None) };
    let lost = state.body.err.as_ref().is_some_and(|error| error.code == WORKER_LOST);
    let outcome = match TaskState::from_name(&state.s) {
        Some(TaskState::Running) => "running",
        Some(TaskState::Completed) => "succeeded",
        Some(TaskState::Dead) if lost => "lost",
        Some(TaskState::Dead) => "failed",
        Some(TaskState::Cancelled) if state.body.st.is_some() => "cancelled",
        _ => return Ok(None),
    };
    let running = outcome == "running";
    Ok(Some(AttemptRecord {
        a: state.a,
        o: outcome.into(),
        wk: state.worker(),
        st: state.body.st.or(running.then_some(state.at)),
        en: state.at,
        err: if running { None } else { state.body.err },
    }))
}

/// A task to send back.
///
/// # Errors
/// As [`state`].
pub fn redrive(stored: &StoredTask) -> Result<Redrive, Unreadable> {
    let claim = state(stored)?.map_or(1, |state| state.c);
    let attempt = last_attempt(stored)?.map(|attempt| attempt.text());
    Ok(Redrive::new(stored.id, claim, attempt))
}

/// A task to remove.
///
/// # Errors
/// If its texts are none of ours.
pub fn purge(stored: &StoredTask) -> Result<Purge, Unreadable> {
    let claim = state(stored)?.map_or(1, |state| state.c);
    let key = descriptor(stored)?.key.map(|(key, _)| Text::from(key));
    Ok(Purge { task: stored.id, claim, key })
}

/// How long a task is kept that is cancelled at `at_ms`, in seconds.
///
/// # Errors
/// If its descriptor is none of ours.
pub fn keep_cancelled_s(stored: &StoredTask, at_ms: i64) -> Result<u32, Unreadable> {
    let descriptor = descriptor(stored)?;
    let key_expires_ms = descriptor.key.as_ref().map(|(_, at_ms)| *at_ms);
    Ok(keep_s(descriptor.retention().of(TaskState::Cancelled), key_expires_ms, at_ms))
}

/// Commands that cancel tasks for `reason`, at most [`CONTROL_TASKS_MAX`] with each. How long a
/// cancelled task is kept is its own affair, and one command has one answer to that.
#[must_use]
pub fn cancels(
    user: &UserId,
    at_ms: i64,
    reason: &str,
    tasks: impl IntoIterator<Item = (TaskId, u32)>,
) -> Vec<Control> {
    let body = StateBody { reason: Some(reason.into()), ..StateBody::default() }.members();
    let mut by_keep: BTreeMap<u32, Vec<TaskId>> = BTreeMap::new();
    for (task, keep_s) in tasks {
        by_keep.entry(keep_s).or_default().push(task);
    }
    let mut controls = Vec::new();
    for (keep_s, tasks) in by_keep {
        for tasks in tasks.chunks(CONTROL_TASKS_MAX) {
            let (user, tasks, body) = (user.clone(), tasks.to_vec(), body.clone());
            controls.push(Control::Cancel { at_ms, user, tasks, body, keep_s });
        }
    }
    controls
}

/// Commands that send tasks back, at most [`CONTROL_TASKS_MAX`] with each.
#[must_use]
pub fn redrives(user: &UserId, at_ms: i64, tasks: &[Redrive]) -> Vec<Control> {
    let of =
        |tasks: &[Redrive]| Control::Redrive { at_ms, user: user.clone(), tasks: tasks.to_vec() };
    tasks.chunks(CONTROL_TASKS_MAX).map(of).collect()
}

/// Commands that remove tasks, at most [`CONTROL_TASKS_MAX`] with each.
#[must_use]
pub fn purges(user: &UserId, at_ms: i64, tasks: &[Purge]) -> Vec<Control> {
    let of = |tasks: &[Purge]| Control::Purge { at_ms, user: user.clone(), tasks: tasks.to_vec() };
    tasks.chunks(CONTROL_TASKS_MAX).map(of).collect()
}

/// The tasks that a command of this module names, in the order of its answers.
#[must_use]
pub fn named(control: &Control) -> Vec<TaskId> {
    match control {
        Control::Cancel { tasks, .. } => tasks.clone(),
        Control::Redrive { tasks, .. } => tasks.iter().map(|asked| asked.task).collect(),
        Control::Purge { tasks, .. } => tasks.iter().map(|asked| asked.task).collect(),
        _ => Vec::new(),
    }
}
