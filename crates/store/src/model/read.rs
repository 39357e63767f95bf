//! Answers from the model's records.

use std::ops::Bound;

use tasktonic_core::limits::SCHEDULES_DUE_MAX;
use tasktonic_core::partition::KeptSchedule;
use tasktonic_core::{Lease, Name, Partition, TaskId, UserId};

use super::{Kept, State};
use crate::filter::matches;
use crate::inputs::{self, InputsPage, Tied};
use crate::limits::{LIST_MAX, LOGS_MAX, PARTS_PAGE_MAX};
use crate::position::History;
use crate::settings;
use crate::{
    AttemptRow, Counts, Cursor, DueSchedules, EventsSince, LogLines, LogRow, Position, Query,
    QueryReply, StoredTask, TaskFilter, TaskPage,
};

/// Schedules of a user in a partition, by name; with a name only that one.
#[must_use]
pub fn schedules(partition: &Partition, user: &UserId, name: Option<&Name>) -> Vec<KeptSchedule> {
    let all = partition.schedules_of(user).filter(|(of, _)| name.is_none_or(|name| *of == name));
    all.map(|(name, schedule)| KeptSchedule {
        user: user.clone(),
        name: name.clone(),
        schedule: schedule.clone(),
    })
    .collect()
}

/// Schedules of a partition that are due, as many as one answer names.
#[must_use]
pub fn due_schedules(partition: &Partition, now_ms: i64) -> DueSchedules {
    let schedules = partition.due_schedules(now_ms).take(SCHEDULES_DUE_MAX).collect();
    DueSchedules { now_ms, schedules }
}

impl State {
    pub(super) fn read(&self, query: Query, now_ms: i64) -> QueryReply {
        match query {
            Query::Tasks { user, tasks } => {
                let find = |task| self.stored(&user, task);
                QueryReply::Tasks(tasks.into_iter().filter_map(find).collect())
            }
            Query::List { user, filter, cursor, limit } => {
                QueryReply::List(self.list(&user, &filter, cursor, limit))
            }
            Query::Counts { user } => {
                let in_state = |state| self.partition.count(&user, state);
                QueryReply::Counts(Counts::new(
                    self.partition.bytes(&user),
                    self.partition.bytes_max(&user),
                    in_state,
                ))
            }
            Query::Attempts { user, task } => {
                let row = |(number, text): (&u32, &tasktonic_core::Text)| AttemptRow {
                    number: *number,
                    text: text.clone(),
                };
                let kept = self.tasks.get(&(user, task));
                let rows = kept.map(|kept| kept.attempts.iter().map(row).collect());
                QueryReply::Attempts(rows.unwrap_or_default())
            }
            Query::Logs { user, task, after, limit } => {
                QueryReply::Logs(self.logs(user, task, after, limit))
            }
            Query::EventsSince { user, epoch, seq } => {
                QueryReply::Events(self.events_since(&user, epoch, seq))
            }
            Query::EventsHead { user } => {
                let (epoch, seq) = (self.partition.epoch(), self.partition.seq(&user));
                QueryReply::Events(EventsSince { epoch, seq, ..EventsSince::default() })
            }
            Query::Held { worker } => {
                let held = self.partition.held_by(&worker).into_iter();
                QueryReply::Held(held.map(|c| self.held(c.lease, c.n)).collect())
            }
            Query::Inputs { lease, after, limit } => {
                QueryReply::Inputs(self.inputs(&lease, after, limit))
            }
            Query::Links { user, tasks } => {
                let links = |task| self.partition.links(&user, &task).cloned();
                QueryReply::Links(tasks.into_iter().map(links).collect())
            }
            Query::Parts { user, task, after, limit } => {
                let limit = limit.min(PARTS_PAGE_MAX) as usize;
                QueryReply::Parts(self.partition.parts(&user, &task, after, limit))
            }
            Query::Position { user, task } => QueryReply::Position(self.position(&user, task)),
            Query::TurnBefore { user, task } => {
                QueryReply::TurnBefore(self.partition.turn_before(&user, &task))
            }
            Query::Exist { tasks } => {
                let known = |(user, task): (UserId, TaskId)| self.partition.task(&user, &task);
                QueryReply::Exist(tasks.into_iter().map(|t| known(t).is_some()).collect())
            }
            Query::Schedules { user, name } => {
                QueryReply::Schedules(schedules(&self.partition, &user, name.as_ref()))
            }
            Query::DueSchedules => QueryReply::DueSchedules(due_schedules(&self.partition, now_ms)),
            Query::Turns { queues } => QueryReply::Turns(settings::turns(&self.partition, &queues)),
            Query::User { user, queues } => {
                QueryReply::User(settings::user(&self.partition, &user, &queues))
            }
            Query::Facts { user, queue } => {
                QueryReply::Facts(self.partition.facts(&queue, &user, now_ms))
            }
            Query::UsersIn { queue, limit } => {
                QueryReply::UsersIn(settings::users_in(&self.partition, &queue, limit))
            }
            Query::Paused { limit } => {
                let (users, more) = settings::paused(&self.partition, limit);
                QueryReply::Paused(users, more)
            }
        }
    }

    fn inputs(&self, lease: &Lease, after: Option<TaskId>, limit: u32) -> Option<InputsPage> {
        let (partition, Lease { user, task, .. }) = (&self.partition, lease);
        if !partition.holds(lease) {
            return None;
        }
        let tied = match Tied::of(partition.links(user, task), after, limit) {
            Tied::To(tied) => tied,
            Tied::Parts => Tied::parts(partition.parts(user, task, after, inputs::page_len(limit))),
        };
        let found = tied.iter().filter_map(|(task, _)| self.stored(user, *task)).collect();
        // The model holds what it was given: it has no damage to tell of.
        Some(inputs::page(tied, found, limit).unwrap_or_default())
    }

    fn position(&self, user: &UserId, task: TaskId) -> Option<Box<Position>> {
        let standing = self.partition.standing(user, &task)?;
        let mut history = History::default();
        for entry in self.events.get(user).into_iter().flatten().rev() {
            if !history.take(&entry.text) {
                break;
            }
        }
        let queue_of = |id: &TaskId| self.partition.task(user, id).map(|task| task.queue.clone());
        Some(Box::new(history.position(standing, queue_of)))
    }

    fn stored(&self, user: &UserId, task: TaskId) -> Option<StoredTask> {
        let kept = self.tasks.get(&(user.clone(), task))?;
        self.as_stored(user, task, kept)
    }

    fn as_stored(&self, user: &UserId, id: TaskId, kept: &Kept) -> Option<StoredTask> {
        use tasktonic_core::changes::Place;
        let control = self.partition.task(user, &id)?;
        let cancel_asked = matches!(control.place, Place::Running { cancel_asked: true, .. });
        let descriptor = kept.descriptor.clone()?;
        Some(StoredTask { id, descriptor, state: kept.state.clone(), cancel_asked })
    }

    fn list(
        &self,
        user: &UserId,
        filter: &TaskFilter,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> TaskPage {
        let limit = limit.clamp(1, LIST_MAX) as usize;
        let first = TaskId::from_bytes([0; 12]);
        let last = TaskId::from_bytes([0xff; 12]);
        let until = match cursor {
            Some(Cursor(at)) => Bound::Excluded((user.clone(), at)),
            None => Bound::Included((user.clone(), last)),
        };
        let range = (Bound::Included((user.clone(), first)), until);
        let newest_first = self.tasks.range(range).rev();
        let found = newest_first.filter_map(|((_, id), kept)| {
            let task = self.as_stored(user, *id, kept)?;
            let state = self.partition.task(user, id)?.place.state();
            matches(filter, &task, state).then_some(task)
        });
        let mut tasks: Vec<_> = found.take(limit + 1).collect();
        let more = tasks.len() > limit;
        tasks.truncate(limit);
        let next = if more { tasks.last().map(|task| Cursor(task.id)) } else { None };
        TaskPage { tasks, next }
    }

    fn logs(&self, user: UserId, task: TaskId, after: u32, limit: u32) -> LogLines {
        let Some(kept) = self.tasks.get(&(user, task)) else { return LogLines::default() };
        let above = kept.log.range(after.saturating_add(1)..);
        let row = |(number, text): (&u32, &tasktonic_core::Text)| LogRow {
            number: *number,
            text: text.clone(),
        };
        LogLines {
            lines: above.take(limit.min(LOGS_MAX) as usize).map(row).collect(),
            first: kept.log.first_key_value().map_or(0, |(n, _)| *n),
            last: kept.log.last_key_value().map_or(0, |(n, _)| *n),
        }
    }

    fn events_since(&self, user: &UserId, epoch: u32, seq: u64) -> EventsSince {
        let (now_epoch, head) = (self.partition.epoch(), self.partition.seq(user));
        let log = self.events.get(user);
        let oldest = log.and_then(|log| log.front()).map_or(head + 1, |entry| entry.seq);
        let reset = epoch != now_epoch || seq > head || seq + 1 < oldest;
        let missed = log.into_iter().flatten().filter(|entry| !reset && entry.seq > seq);
        EventsSince {
            epoch: now_epoch,
            seq: head,
            reset,
            entries: missed.map(|entry| (entry.seq, entry.text.clone())).collect(),
        }
    }
}
