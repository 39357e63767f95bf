//! What an operation on many tasks concerns, page by page, and how a page of it is carried out.
//! Never knows who asked, nor where progress goes.
//!
//! An operation is named by a task id, and concerns tasks that were there before that id was made:
//! what is submitted, sent back or ends later is none of its business. So it may be begun again from
//! the start, and does nothing twice.

use tasktonic_core::command::Control;
use tasktonic_core::reply::Controlled;
use tasktonic_core::routing::partition_of;
use tasktonic_core::search::Search;
use tasktonic_core::{TaskId, TaskState, UserId};
use tasktonic_protocol::bulk::{BUILT_IN, BulkDone, BulkFilter, BulkVerb};
use tasktonic_protocol::status::TaskStatus;
use tasktonic_protocol::task::Task;
use tasktonic_protocol::time::parse_rfc3339;

use crate::{Cursor, Error, Query, QueryReply, Result, Store, StoredTask, TaskFilter, change};

/// Tasks changed with one command, far fewer than there may be: other calls to the partition get their
/// turn between two of them.
pub const CHUNK: usize = 8;
/// Tasks looked at together, for the same reason.
const PAGE: u32 = 4 * CHUNK as u32;
/// What cancelled tasks say.
const REASON: &str = "cancelled by user";

/// The tasks of one user that an operation concerns.
#[derive(Debug, Clone)]
pub struct Selection {
    verb: BulkVerb,
    user: UserId,
    filter: TaskFilter,
    /// Of these, where a state of the engine has more than one face.
    statuses: Vec<TaskStatus>,
    /// The operation itself.
    before: TaskId,
    before_ms: i64,
}

/// A page of a selection.
#[derive(Debug, Default)]
pub struct Page {
    /// Tasks that match.
    pub tasks: Vec<StoredTask>,
    /// Where the next page starts; absent on the last one.
    pub next: Option<Cursor>,
}

impl Selection {
    /// What `filter` selects of the tasks of `user` for the operation `before`.
    ///
    /// # Errors
    /// What is wrong with the filter, in a sentence.
    pub fn of(
        verb: BulkVerb,
        filter: &BulkFilter,
        user: UserId,
        before: TaskId,
    ) -> std::result::Result<Self, String> {
        if filter.is_open() != filter.all {
            let text = if filter.all {
                "`all` stands alone: leave it out, or everything else."
            } else {
                "The filter restricts nothing. Say `all` if all tasks are meant."
            };
            return Err(text.into());
        }
        let fit = fit(verb);
        let mut statuses = filter.status.clone();
        if let Some(unfit) = statuses.iter().find(|status| !fit.contains(&status.state())) {
            let word = match verb {
                BulkVerb::Cancel => "Only what has not ended can be cancelled",
                BulkVerb::Retry => "Only what failed or was cancelled can be tried again",
                BulkVerb::Purge => "Only what has ended can be removed",
            };
            return Err(format!("{word}; `{}` is none of it.", unfit.name()));
        }
        if statuses.is_empty() && verb == BulkVerb::Retry {
            statuses.push(TaskStatus::Failed);
        }
        let mut states: Vec<_> = if statuses.is_empty() {
            fit.to_vec()
        } else {
            statuses.iter().map(|status| status.state()).collect()
        };
        states.sort_unstable();
        states.dedup();
        let time = |name: &str, text: Option<&String>| match text {
            None => Ok(None),
            Some(text) => parse_rfc3339(text).map(Some).ok_or_else(|| {
                format!("`{name}` is a time such as 2026-11-24T10:15:00Z (RFC 3339).")
            }),
        };
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let search = Search::of(filter.q.as_deref().unwrap_or_default())
            .map_err(|error| format!("`q`: {error}."))?;
        let filter = TaskFilter {
            states,
            kind: text(&filter.kind),
            queue: text(&filter.queue),
            tag: text(&filter.tag),
            id_prefix: text(&filter.id_prefix),
            search,
            since_ms: time("since", filter.since.as_ref())?,
            until_ms: time("until", filter.until.as_ref())?,
        };
        let before_ms = before.to_bytes()[..6].iter().fold(0, |ms, b| (ms << 8) | i64::from(*b));
        Ok(Self { verb, user, filter, statuses, before, before_ms })
    }

    /// A page of it, newest first. A page may be empty and not the last one.
    ///
    /// # Errors
    /// As the store's.
    pub async fn page(&self, store: &dyn Store, cursor: Option<Cursor>) -> Result<Page> {
        let query = Query::List {
            user: self.user.clone(),
            filter: self.filter.clone(),
            cursor: cursor.or(Some(Cursor(self.before))),
            limit: PAGE,
        };
        let p = partition_of(&self.user, store.partitions());
        let QueryReply::List(page) = store.read(p, query).await? else {
            return Err(Error::Unavailable("another question was answered".into()));
        };
        let tasks = page.tasks.into_iter().filter(|task| self.is_meant(task)).collect();
        Ok(Page { tasks, next: page.next })
    }

    /// What the filter of the store does not tell.
    fn is_meant(&self, stored: &StoredTask) -> bool {
        let id = stored.id.to_string();
        let (descriptor, state) = (&stored.descriptor, stored.state.as_deref());
        let task = Task::from_stored(&id, descriptor, state, stored.cancel_asked, "", false);
        // What cannot be read can still be looked at one by one.
        let Ok(task) = task else { return false };
        if !self.statuses.is_empty() && !self.statuses.contains(&task.status) {
            return false;
        }
        // Other operations are stopped and begun again by name only.
        let by_name = self.filter.kind.as_ref() == Some(&task.kind);
        if task.kind.starts_with(BUILT_IN) && self.verb != BulkVerb::Purge && !by_name {
            return false;
        }
        // Who was asked to stop is not asked twice.
        if self.verb == BulkVerb::Cancel {
            return task.status != TaskStatus::Cancelling;
        }
        // What ended since has had a life that this operation knows nothing of.
        change::state(stored).ok().flatten().is_some_and(|state| state.at <= self.before_ms)
    }

    /// Does with some tasks of a page what is asked, at `at_ms`; at most [`CHUNK`] are named by one
    /// command. Answers what became of them.
    ///
    /// # Errors
    /// As the store's: some may have been changed. Those match no more.
    pub async fn carry_out(
        &self,
        store: &dyn Store,
        at_ms: i64,
        tasks: &[StoredTask],
    ) -> Result<BulkDone> {
        let mut done = BulkDone::default();
        let p = partition_of(&self.user, store.partitions());
        for control in self.controls(at_ms, tasks) {
            for answer in store.control(p, control).await? {
                match answer {
                    Controlled::Done => done.changed += 1,
                    Controlled::Asked => {
                        done.changed += 1;
                        done.asked += 1;
                    }
                    _ => done.skipped += 1,
                }
            }
        }
        let told = done.changed + done.skipped;
        done.skipped += (tasks.len() as u64).saturating_sub(told);
        Ok(done)
    }

    fn controls(&self, at_ms: i64, tasks: &[StoredTask]) -> Vec<Control> {
        let chunks = tasks.chunks(CHUNK);
        let of = |chunk: &[StoredTask]| {
            let chunk = chunk.iter();
            match self.verb {
                BulkVerb::Cancel => {
                    let kept = chunk.filter_map(|task| {
                        Some((task.id, change::keep_cancelled_s(task, at_ms).ok()?))
                    });
                    change::cancels(&self.user, at_ms, REASON, kept)
                }
                BulkVerb::Retry => {
                    let asked: Vec<_> =
                        chunk.filter_map(|task| change::redrive(task).ok()).collect();
                    change::redrives(&self.user, at_ms, &asked)
                }
                BulkVerb::Purge => {
                    let asked: Vec<_> = chunk.filter_map(|task| change::purge(task).ok()).collect();
                    change::purges(&self.user, at_ms, &asked)
                }
            }
        };
        chunks.flat_map(of).collect()
    }
}

/// The states a verb applies to.
fn fit(verb: BulkVerb) -> &'static [TaskState] {
    use TaskState::{Cancelled, Completed, Dead, Queued, Running, Scheduled, Waiting};
    match verb {
        BulkVerb::Cancel => &[Scheduled, Waiting, Queued, Running],
        BulkVerb::Retry => &[Cancelled, Dead],
        BulkVerb::Purge => &[Completed, Cancelled, Dead],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(verb: BulkVerb, filter: BulkFilter) -> std::result::Result<Selection, String> {
        Selection::of(verb, &filter, UserId::encode("ana"), TaskId::new(7, 7))
    }

    #[test]
    fn all_is_said_and_not_left_out() {
        assert!(of(BulkVerb::Purge, BulkFilter::default()).unwrap_err().contains("`all`"));
        let all = BulkFilter { all: true, ..BulkFilter::default() };
        assert!(of(BulkVerb::Purge, all.clone()).is_ok());
        let both = BulkFilter { kind: Some("mail".into()), ..all };
        assert!(of(BulkVerb::Purge, both).is_err());
    }

    #[test]
    fn a_verb_is_for_the_states_it_can_change() {
        let status = |status| BulkFilter { status: vec![status], ..BulkFilter::default() };
        assert!(of(BulkVerb::Purge, status(TaskStatus::Running)).is_err());
        assert!(of(BulkVerb::Cancel, status(TaskStatus::Failed)).is_err());
        assert!(of(BulkVerb::Retry, status(TaskStatus::Completed)).is_err());
        assert!(of(BulkVerb::Retry, status(TaskStatus::Cancelled)).is_ok());
        let kind = BulkFilter { kind: Some("mail".into()), ..BulkFilter::default() };
        let retry = of(BulkVerb::Retry, kind).unwrap();
        assert_eq!(retry.filter.states, [TaskState::Dead], "what was cancelled only if it is said");
    }

    #[test]
    fn a_time_that_is_none_is_refused() {
        let filter = BulkFilter { since: Some("yesterday".into()), ..BulkFilter::default() };
        assert!(of(BulkVerb::Cancel, filter).unwrap_err().contains("since"));
    }
}
