//! Answers from the record: memory first, the tables for what is only there. Knows neither the
//! journal nor the owner thread.
//!
//! The state is locked only to look; the tables are read afterwards. What is not in memory was
//! committed to the tables before it left memory, so a later look at the tables finds it.

use std::collections::BTreeMap;

use tasktonic_core::changes::Place;
use tasktonic_core::limits::{ATTEMPTS_KEPT_MAX, LOG_LINES_MAX};
use tasktonic_core::{Lease, TaskId, TaskState, Text, UserId};
use tasktonic_store::inputs::{self, InputsPage, Tied};
use tasktonic_store::limits::{LOGS_MAX, PARTS_PAGE_MAX};
use tasktonic_store::model::{due_schedules, schedules};
use tasktonic_store::position::History;
use tasktonic_store::settings;
use tasktonic_store::{
    AttemptRow, Counts, Error, EventsSince, Held, LogLines, LogRow, Position, Query, QueryReply,
    Result, StoredTask,
};

use crate::list;
use crate::shared::Shared;
use crate::state::{Kept, KeptState, State};
use crate::tables::{Lines, Readers};

/// Whether a question may need the tables, so that it must not hold up an executor.
pub(crate) fn may_need_tables(query: &Query) -> bool {
    !matches!(
        query,
        Query::Counts { .. }
            | Query::EventsSince { .. }
            | Query::EventsHead { .. }
            | Query::Links { .. }
            | Query::Parts { .. }
            | Query::Position { .. }
            | Query::TurnBefore { .. }
            | Query::Exist { .. }
            | Query::Schedules { .. }
            | Query::DueSchedules
            | Query::Turns { .. }
            | Query::User { .. }
            | Query::Facts { .. }
            | Query::UsersIn { .. }
            | Query::Paused { .. }
    )
}

/// Answers a question.
pub(crate) fn answer(shared: &Shared, query: Query) -> Result<QueryReply> {
    Ok(match query {
        Query::Tasks { user, tasks } => {
            let seen = {
                let state = shared.state.lock();
                tasks.iter().filter_map(|task| look(&state, &user, *task)).collect()
            };
            let found = complete(shared, &user, seen)?;
            QueryReply::Tasks(found.into_iter().flatten().map(|(task, _)| task).collect())
        }
        Query::List { user, filter, cursor, limit } => {
            QueryReply::List(list::list(shared, &user, &filter, cursor, limit)?)
        }
        Query::Counts { user } => {
            let state = shared.state.lock();
            let in_state = |of| state.partition.count(&user, of);
            QueryReply::Counts(Counts::new(
                state.partition.bytes(&user),
                state.partition.bytes_max(&user),
                in_state,
            ))
        }
        Query::Attempts { user, task } => {
            let look = {
                let state = shared.state.lock();
                lines_of(&state, &user, task, Lines::Attempts)
            };
            let Some(look) = look else { return Ok(QueryReply::Attempts(Vec::new())) };
            let lines = look.read(&shared.readers, &user, task, 0, ATTEMPTS_KEPT_MAX)?;
            let row = |(number, text)| AttemptRow { number, text };
            QueryReply::Attempts(lines.into_iter().map(row).collect())
        }
        Query::Logs { user, task, after, limit } => {
            QueryReply::Logs(logs(shared, &user, task, after, limit)?)
        }
        Query::EventsSince { user, epoch, seq } => {
            let state = shared.state.lock();
            let now = (state.partition.epoch(), state.partition.seq(&user));
            QueryReply::Events(state.events.since(&user, (epoch, seq), now))
        }
        Query::EventsHead { user } => {
            let state = shared.state.lock();
            let (epoch, seq) = (state.partition.epoch(), state.partition.seq(&user));
            QueryReply::Events(EventsSince { epoch, seq, ..EventsSince::default() })
        }
        Query::Held { worker } => {
            let state = shared.state.lock();
            let held = state.partition.held_by(&worker).into_iter();
            let held = held.map(|claimed| held_of(shared, &state, claimed.lease, claimed.n));
            QueryReply::Held(held.collect::<Result<_>>()?)
        }
        Query::Inputs { lease, after, limit } => {
            QueryReply::Inputs(inputs(shared, &lease, after, limit)?)
        }
        Query::Links { user, tasks } => {
            let state = shared.state.lock();
            let links = |task| state.partition.links(&user, &task).cloned();
            QueryReply::Links(tasks.into_iter().map(links).collect())
        }
        Query::Parts { user, task, after, limit } => {
            let limit = limit.min(PARTS_PAGE_MAX) as usize;
            let state = shared.state.lock();
            QueryReply::Parts(state.partition.parts(&user, &task, after, limit))
        }
        Query::Position { user, task } => {
            QueryReply::Position(position(&shared.state.lock(), &user, task))
        }
        Query::TurnBefore { user, task } => {
            QueryReply::TurnBefore(shared.state.lock().partition.turn_before(&user, &task))
        }
        Query::Exist { tasks } => {
            let state = shared.state.lock();
            let known = |(user, task)| state.partition.task(&user, &task).is_some();
            QueryReply::Exist(tasks.into_iter().map(known).collect())
        }
        Query::Schedules { user, name } => {
            let state = shared.state.lock();
            QueryReply::Schedules(schedules(&state.partition, &user, name.as_ref()))
        }
        Query::DueSchedules => {
            let now_ms = shared.options.clock.now_ms();
            let state = shared.state.lock();
            QueryReply::DueSchedules(due_schedules(&state.partition, now_ms))
        }
        Query::Turns { queues } => {
            QueryReply::Turns(settings::turns(&shared.state.lock().partition, &queues))
        }
        Query::User { user, queues } => {
            QueryReply::User(settings::user(&shared.state.lock().partition, &user, &queues))
        }
        Query::Facts { user, queue } => {
            let now_ms = shared.options.clock.now_ms();
            QueryReply::Facts(shared.state.lock().partition.facts(&queue, &user, now_ms))
        }
        Query::UsersIn { queue, limit } => {
            QueryReply::UsersIn(settings::users_in(&shared.state.lock().partition, &queue, limit))
        }
        Query::Paused { limit } => {
            let (users, more) = settings::paused(&shared.state.lock().partition, limit);
            QueryReply::Paused(users, more)
        }
    })
}

fn inputs(
    shared: &Shared,
    lease: &Lease,
    after: Option<TaskId>,
    limit: u32,
) -> Result<Option<InputsPage>> {
    let Lease { user, task, .. } = lease;
    let (tied, seen) = {
        let state = shared.state.lock();
        if !state.partition.holds(lease) {
            return Ok(None);
        }
        let tied = match Tied::of(state.partition.links(user, task), after, limit) {
            Tied::To(tied) => tied,
            Tied::Parts => {
                let parts = state.partition.parts(user, task, after, inputs::page_len(limit));
                Tied::parts(parts)
            }
        };
        let seen = tied.iter().filter_map(|(task, _)| look(&state, user, *task)).collect();
        (tied, seen)
    };
    let found = complete(shared, user, seen)?.into_iter().flatten().map(|(task, _)| task);
    inputs::page(tied, found.collect(), limit).map(Some)
}

fn position(state: &State, user: &UserId, task: TaskId) -> Option<Box<Position>> {
    let standing = state.partition.standing(user, &task)?;
    let mut history = History::default();
    for text in state.events.newest(user) {
        if !history.take(text) {
            break;
        }
    }
    let queue_of = |id: &TaskId| state.partition.task(user, id).map(|task| task.queue.clone());
    Some(Box::new(history.position(standing, queue_of)))
}

fn held_of(shared: &Shared, state: &State, lease: Lease, n: u32) -> Result<Held> {
    held(&shared.readers, state, lease, n).map_err(|(_, error)| error)
}

/// A lease with the texts of its task; the lease comes back with the error if they cannot be read.
pub(crate) fn held(
    readers: &Readers,
    state: &State,
    lease: Lease,
    n: u32,
) -> std::result::Result<Held, (Lease, Error)> {
    match main_texts(readers, state, &lease.user, lease.task) {
        Ok((descriptor, state)) => Ok(Held { lease, n, descriptor, state }),
        Err(error) => Err((lease, error)),
    }
}

/// Descriptor and state of a task that exists, under the lock.
fn main_texts(
    readers: &Readers,
    state: &State,
    user: &UserId,
    task: TaskId,
) -> Result<(Text, Option<Text>)> {
    let kept = state.kept(user, &task);
    let (descriptor, text) = match kept {
        Some(Kept { descriptor: Some(descriptor), state: KeptState::Here(text), .. }) => {
            return Ok((descriptor.clone(), text.clone()));
        }
        Some(kept) => (kept.descriptor.clone(), kept.state.clone()),
        None => (None, KeptState::InTables),
    };
    let stored = readers.texts(user, &[task])?.pop().flatten().ok_or_else(|| missing(task))?;
    let text = match text {
        KeptState::Here(text) => text,
        KeptState::InTables => stored.state,
    };
    Ok((descriptor.unwrap_or(stored.descriptor), text))
}

fn missing(task: TaskId) -> Error {
    tracing::error!(%task, "the record of a task is missing in the tables");
    Error::Unavailable(format!("the record is damaged: task {task} is missing in the tables"))
}

/// Every text of a task.
pub(crate) struct AllTexts {
    pub(crate) descriptor: Text,
    pub(crate) state: Option<Text>,
    pub(crate) attempts: Vec<(u32, Text)>,
    pub(crate) log: Vec<(u32, Text)>,
}

/// Every text of a task that exists, under the lock.
pub(crate) fn all_texts(
    readers: &Readers,
    state: &State,
    user: &UserId,
    task: TaskId,
) -> Result<AllTexts> {
    let (descriptor, text) = main_texts(readers, state, user, task)?;
    let read = |which, max| match lines_of(state, user, task, which) {
        Some(look) => look.read(readers, user, task, 0, max),
        None => Ok(Vec::new()),
    };
    let attempts = read(Lines::Attempts, ATTEMPTS_KEPT_MAX)?;
    let log = read(Lines::Log, LOG_LINES_MAX)?;
    Ok(AllTexts { descriptor, state: text, attempts, log })
}

/// A task as memory knows it.
pub(crate) struct Seen {
    id: TaskId,
    state: TaskState,
    cancel_asked: bool,
    descriptor: Option<Text>,
    text: KeptState,
}

pub(crate) fn look(state: &State, user: &UserId, id: TaskId) -> Option<Seen> {
    let control = state.partition.task(user, &id)?;
    let kept = state.kept(user, &id);
    Some(Seen {
        id,
        state: control.place.state(),
        cancel_asked: matches!(control.place, Place::Running { cancel_asked: true, .. }),
        descriptor: kept.and_then(|kept| kept.descriptor.clone()),
        text: kept.map_or(KeptState::InTables, |kept| kept.state.clone()),
    })
}

/// Adds from the tables what memory does not have. A task that was removed meanwhile is left out.
pub(crate) fn complete(
    shared: &Shared,
    user: &UserId,
    seen: Vec<Seen>,
) -> Result<Vec<Option<(StoredTask, TaskState)>>> {
    let lacks = |seen: &&Seen| seen.descriptor.is_none() || seen.text == KeptState::InTables;
    let wanted: Vec<TaskId> = seen.iter().filter(lacks).map(|seen| seen.id).collect();
    let mut stored =
        if wanted.is_empty() { Vec::new() } else { shared.readers.texts(user, &wanted)? }
            .into_iter();
    let mut whole = Vec::with_capacity(seen.len());
    for task in seen {
        let Seen { id, state, cancel_asked, descriptor, text } = task;
        let pair = match (descriptor, text) {
            (Some(descriptor), KeptState::Here(text)) => Some((descriptor, text)),
            (descriptor, text) => match (stored.next().flatten(), text) {
                (Some(row), KeptState::Here(text)) => {
                    Some((descriptor.unwrap_or(row.descriptor), text))
                }
                (Some(row), KeptState::InTables) => {
                    Some((descriptor.unwrap_or(row.descriptor), row.state))
                }
                (None, _) => {
                    // Removed, or removed and submitted again, since we looked; or damage.
                    let state = shared.state.lock();
                    if state.partition.task(user, &id).is_some() {
                        Some(main_texts(&shared.readers, &state, user, id)?)
                    } else {
                        None
                    }
                }
            },
        };
        whole.push(pair.map(|(descriptor, text)| {
            (StoredTask { id, descriptor, state: text, cancel_asked }, state)
        }));
    }
    Ok(whole)
}

/// Numbered texts of a task as memory knows them.
struct LinesSeen {
    which: Lines,
    /// The newest number.
    last: u32,
    /// Those the tables may not have yet.
    here: Vec<(u32, Text)>,
    /// Whether the tables have only those of a former life.
    fresh: bool,
}

fn lines_of(state: &State, user: &UserId, task: TaskId, which: Lines) -> Option<LinesSeen> {
    let control = state.partition.task(user, &task)?;
    let kept = state.kept(user, &task);
    let here = kept.map(|kept| match which {
        Lines::Attempts => kept.attempts.clone(),
        Lines::Log => kept.log.clone(),
    });
    let last = match which {
        Lines::Attempts => control.attempts_kept,
        Lines::Log => control.log_lines,
    };
    let fresh = kept.is_some_and(|kept| kept.fresh);
    Some(LinesSeen { which, last, here: here.unwrap_or_default(), fresh })
}

impl LinesSeen {
    /// Numbers at or below this have fallen out.
    fn out(&self) -> u32 {
        let max = match self.which {
            Lines::Attempts => ATTEMPTS_KEPT_MAX,
            Lines::Log => LOG_LINES_MAX,
        };
        self.last.saturating_sub(max)
    }

    fn read(
        self,
        readers: &Readers,
        user: &UserId,
        task: TaskId,
        after: u32,
        limit: u32,
    ) -> Result<Vec<(u32, Text)>> {
        let after = after.max(self.out());
        let mut lines = BTreeMap::new();
        if !self.fresh && self.last > after {
            lines.extend(readers.lines(self.which, user, task, after, limit)?);
        }
        lines.extend(self.here.into_iter().filter(|(number, _)| *number > after));
        Ok(lines.into_iter().take(limit as usize).collect())
    }
}

fn logs(shared: &Shared, user: &UserId, task: TaskId, after: u32, limit: u32) -> Result<LogLines> {
    let seen = {
        let state = shared.state.lock();
        lines_of(&state, user, task, Lines::Log)
    };
    let Some(seen) = seen else { return Ok(LogLines::default()) };
    let last = seen.last;
    let first = if last == 0 { 0 } else { seen.out() + 1 };
    let lines = seen.read(&shared.readers, user, task, after, limit.min(LOGS_MAX))?;
    let row = |(number, text)| LogRow { number, text };
    Ok(LogLines { lines: lines.into_iter().map(row).collect(), first, last })
}
