//! list: a page of a user's tasks, by plain reading commands. What a task is called stands beside its
//! id in the list of all, so that those that are not meant are passed by in slices, without a look at
//! them; states that few tasks are in have lists of their own. What is left is decided by the record.

use std::cmp::Reverse;
use std::time::Instant;

use redis::{Cmd, Pipeline, Value, cmd};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::search::Sieve;
use tasktonic_core::{Lease, TaskId, TaskState, UserId};
use tasktonic_store::filter::{matches, sieve, span};
use tasktonic_store::limits::{LIST_MAX, LIST_TIME_MAX};
use tasktonic_store::{Cursor, Result, TaskFilter, TaskPage};

use super::RedisStore;
use super::read::{CHUNK, STATE_BYTES};
use crate::open::text_of;
use crate::wire::{StateHead, items, pairs, parsed, text, word};

/// The states that have lists of their own, a list per user.
pub(crate) const LISTED: &[TaskState] =
    &[TaskState::Scheduled, TaskState::Waiting, TaskState::Cancelled, TaskState::Dead];
/// Entries read by one command at first and at most. Redis takes about a millisecond for the latter.
const SLICE_MIN: usize = 250;
const SLICE_MAX: usize = 4_000;
/// More leases than this in a partition are not searched for those of one user.
const LEASES_MAX: i64 = 20_000;
/// Leases looked at in one round trip.
const SCANNED: usize = 1_000;

/// A part of the ids of a user, from the newest down, as Redis compares them.
#[derive(Debug, Clone)]
struct Span {
    /// Everything is below this.
    below: Vec<u8>,
    /// Nothing is below this.
    from: Vec<u8>,
}

/// What an entry of a list says.
#[derive(Debug)]
struct Entry {
    id: TaskId,
    /// What it is called; absent where that is not known.
    words: Option<String>,
    /// What its error is called, should it have one; absent where that is not known.
    error: Option<String>,
    /// Whether it has failed.
    has_failed: bool,
}

/// Entries in order, and where the next slice begins.
#[derive(Debug, Default)]
struct Slice {
    entries: Vec<Entry>,
    looked: usize,
    next: Option<TaskId>,
}

impl Entry {
    fn may_be_meant(&self, sieve: &Sieve) -> bool {
        // Where what it is called is not known, its record says.
        let Some(words) = self.words.as_deref() else { return true };
        let error_unknown = self.has_failed && self.error.is_none() && sieve.asks_errors();
        // Only words are compared with the id, and spelling it is dear.
        let id = if sieve.asks_errors() { self.id.to_string() } else { String::new() };
        error_unknown || sieve.passes(&id, words, self.error.as_deref())
    }
}

/// Where a list of tasks is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// In the list of all tasks.
    All,
    /// In those of some states.
    States,
}

/// The end that is above every entry of the task `id`.
pub(crate) fn above(id: &str) -> Vec<u8> {
    [b"(", id.as_bytes(), b"\xff"].concat()
}

/// The end that is below every entry of the task `id`.
fn below(id: &str) -> Vec<u8> {
    [b"(", id.as_bytes()].concat()
}

/// The command for the first entry of the task `id` in `list`.
pub(crate) fn of_task(list: &str, id: &str) -> Cmd {
    let mut range = cmd("ZRANGE");
    range.arg(list).arg(below_or_at(id)).arg(above(id)).arg("BYLEX");
    range.arg("LIMIT").arg(0).arg(1);
    range
}

fn below_or_at(id: &str) -> Vec<u8> {
    [b"[", id.as_bytes()].concat()
}

/// The id of an entry, and what stands behind it.
pub(crate) fn split(entry: &str) -> (&str, Option<&str>) {
    match entry.split_once('\n') {
        Some((id, words)) => (id, Some(words)),
        None => (entry, None),
    }
}

/// The entry of a task.
pub(crate) fn indexed(task: TaskId, words: &str) -> String {
    if words.is_empty() { task.to_string() } else { format!("{task}\n{words}") }
}

impl Span {
    fn of(filter: &TaskFilter, cursor: Option<Cursor>) -> Self {
        let (since, until) = span(filter);
        let prefix = filter.id_prefix.as_deref().filter(|prefix| !prefix.is_empty());
        let ends = [
            cursor.map(|Cursor(id)| below(&id.to_string())),
            until.map(|id| below(&id.to_string())),
            prefix.map(above),
        ];
        let begins = [since.map(|id| below_or_at(&id.to_string())), prefix.map(below_or_at)];
        Self {
            // Behind the bracket they compare as bytes.
            below: ends.into_iter().flatten().min().unwrap_or_else(|| b"+".to_vec()),
            from: begins.into_iter().flatten().max().unwrap_or_else(|| b"-".to_vec()),
        }
    }

    fn range(&self, list: &str, count: usize) -> Cmd {
        let mut range = cmd("ZRANGE");
        range.arg(list).arg(&self.below).arg(&self.from).arg("BYLEX").arg("REV");
        range.arg("LIMIT").arg(0).arg(count);
        range
    }

    fn go_on(&mut self, at: TaskId) {
        self.below = below(&at.to_string());
    }
}

impl RedisStore {
    pub(super) async fn list(
        &self,
        p: PartitionId,
        user: &UserId,
        filter: &TaskFilter,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<TaskPage> {
        let limit = limit.clamp(1, LIST_MAX) as usize;
        let sieve = sieve(filter);
        let looks_max = self.shared.options.list_examined_max;
        let since = Instant::now();
        let mut page = Page { since, limit, looks_max, looked: 0, page: TaskPage::default() };
        if filter.states == [TaskState::Running]
            && let Some(ids) = self.running(p, user).await?
        {
            let ids = ids.into_iter().rev().filter(|id| cursor.is_none_or(|at| *id < at.0));
            self.take(p, user, filter, &ids.collect::<Vec<_>>(), &mut page).await?;
            return Ok(page.page);
        }
        let is_listed = |state| LISTED.contains(state);
        let source = if !filter.states.is_empty() && filter.states.iter().all(is_listed) {
            Source::States
        } else {
            Source::All
        };
        let mut span = Span::of(filter, cursor);
        // Without a filter a page needs no more than itself.
        let passes_all = sieve.is_open() && (source == Source::States || filter.states.is_empty());
        let mut count = if passes_all { limit + 1 } else { SLICE_MIN };
        loop {
            let part = count.min(page.looks_max.saturating_sub(page.looked)).max(1);
            let slice = match source {
                Source::All => self.slice(p, user, &span, part, &sieve).await?,
                Source::States => self.slice_of(p, user, &span, part, (filter, &sieve)).await?,
            };
            page.looked += slice.looked;
            let meant = slice.entries.iter().filter(|entry| entry.may_be_meant(&sieve));
            let ids: Vec<TaskId> = meant.map(|entry| entry.id).collect();
            let by_record = source == Source::All && !filter.states.is_empty();
            let is_done = if by_record {
                self.take_in_states(p, user, filter, &ids, &mut page).await?
            } else {
                self.take(p, user, filter, &ids, &mut page).await?
            };
            if is_done {
                return Ok(page.page);
            }
            let Some(next) = slice.next else { return Ok(page.page) };
            if page.is_over() {
                page.page.next = Some(Cursor(next));
                return Ok(page.page);
            }
            span.go_on(next);
            if !passes_all {
                count = (count * 2).min(SLICE_MAX);
            }
        }
    }

    /// Adds to the page what the records of `ids` say is meant. Answers whether the page is done.
    async fn take(
        &self,
        p: PartitionId,
        user: &UserId,
        filter: &TaskFilter,
        ids: &[TaskId],
        page: &mut Page,
    ) -> Result<bool> {
        for (at, chunk) in ids.chunks(CHUNK).enumerate() {
            if at > 0 && page.is_over() {
                page.page.next = Some(Cursor(ids[at * CHUNK - 1]));
                return Ok(true);
            }
            for found in self.tasks(p, user, chunk).await? {
                let Some((task, state)) = found else { continue };
                if !matches(filter, &task, state) {
                    continue;
                }
                if page.page.tasks.len() == page.limit {
                    page.page.next = page.page.tasks.last().map(|task| Cursor(task.id));
                    return Ok(true);
                }
                page.page.tasks.push(task);
            }
        }
        Ok(false)
    }

    /// The same of those of `ids` that are in one of the states asked for. What is left of the page is
    /// looked at first: nearly always that is enough, and a long look keeps others waiting.
    async fn take_in_states(
        &self,
        p: PartitionId,
        user: &UserId,
        filter: &TaskFilter,
        ids: &[TaskId],
        page: &mut Page,
    ) -> Result<bool> {
        let (mut left, mut count) = (ids, page.limit + 1 - page.page.tasks.len());
        while !left.is_empty() {
            let (part, others) = left.split_at(count.min(left.len()));
            let found = self.in_states(p, user, part, &filter.states).await?;
            if self.take(p, user, filter, &found, page).await? {
                return Ok(true);
            }
            (left, count) = (others, (count * 2).min(SLICE_MIN));
        }
        Ok(false)
    }

    /// A slice of the list of all tasks.
    async fn slice(
        &self,
        p: PartitionId,
        user: &UserId,
        span: &Span,
        count: usize,
        sieve: &Sieve,
    ) -> Result<Slice> {
        let keys = self.keys(p)?;
        let mut asked = Pipeline::new();
        asked.add_command(span.range(&keys.index(user), count));
        if sieve.asks_errors() {
            // All of them are in the list of all, so as many reach as far.
            asked.add_command(span.range(&keys.listed(user, TaskState::Dead), count));
        }
        let answers = self.ask(p, &asked).await?;
        let mut entries = read(&answers[0])?;
        let next = entries.last().filter(|_| entries.len() == count).map(|entry| entry.id);
        if let Some(dead) = answers.get(1) {
            let mut dead = read(dead)?.into_iter().peekable();
            for entry in &mut entries {
                while dead.next_if(|dead| dead.id > entry.id).is_some() {}
                if let Some(dead) = dead.next_if(|dead| dead.id == entry.id) {
                    (entry.error, entry.has_failed) = (dead.words, true);
                }
            }
        }
        Ok(Slice { looked: entries.len(), entries, next })
    }

    /// A slice of the lists of states, with what their tasks are called where that matters.
    async fn slice_of(
        &self,
        p: PartitionId,
        user: &UserId,
        span: &Span,
        count: usize,
        (filter, sieve): (&TaskFilter, &Sieve),
    ) -> Result<Slice> {
        let keys = self.keys(p)?;
        let mut asked = Pipeline::new();
        for state in &filter.states {
            asked.add_command(span.range(&keys.listed(user, *state), count));
        }
        let (mut entries, mut next) = (Vec::new(), None);
        for (state, answer) in filter.states.iter().zip(self.ask(p, &asked).await?) {
            let mut found = read(&answer)?;
            if found.len() == count {
                // Another list may go on before this one does.
                next = next.max(found.last().map(|entry| entry.id));
            }
            for entry in &mut found {
                let said = entry.words.take();
                entry.has_failed = *state == TaskState::Dead;
                entry.error = said.filter(|_| entry.has_failed);
            }
            entries.extend(found);
        }
        entries.retain(|entry| next.is_none_or(|next| entry.id >= next));
        entries.sort_unstable_by_key(|entry| Reverse(entry.id));
        // A task between two states may be in both of their lists.
        entries.dedup_by_key(|entry| entry.id);
        let looked = entries.len();
        if !sieve.is_open() {
            for entries in entries.chunks_mut(SLICE_MIN) {
                let mut asked = Pipeline::new();
                for entry in entries.iter() {
                    asked.add_command(of_task(&keys.index(user), &entry.id.to_string()));
                }
                for (entry, answer) in entries.iter_mut().zip(self.ask(p, &asked).await?) {
                    let known = items(&answer)?.first().map(word).transpose()?;
                    entry.words = known.and_then(|known| split(known).1).map(ToOwned::to_owned);
                }
            }
        }
        Ok(Slice { looked, entries, next })
    }

    /// Those of `ids` that are in one of `states`.
    async fn in_states(
        &self,
        p: PartitionId,
        user: &UserId,
        ids: &[TaskId],
        states: &[TaskState],
    ) -> Result<Vec<TaskId>> {
        let keys = self.keys(p)?;
        let mut asked = Pipeline::new();
        for id in ids {
            let state = keys.state(user, *id);
            asked.add_command(cmd("GETRANGE").arg(state).arg(0).arg(STATE_BYTES).clone());
        }
        let mut left = Vec::new();
        for (id, state) in ids.iter().zip(self.ask(p, &asked).await?) {
            // Cut anywhere, and empty where there is none.
            let state = text_of(&state);
            let head = StateHead::of((!state.is_empty()).then_some(&*state));
            if head.is_some_and(|head| states.contains(&head.state)) {
                left.push(*id);
            }
        }
        Ok(left)
    }

    /// The tasks of a user that run, oldest first, by their leases. Absent where there are too many
    /// leases to look through.
    async fn running(&self, p: PartitionId, user: &UserId) -> Result<Option<Vec<TaskId>>> {
        let leases = self.keys(p)?.leases();
        let mut asked = Pipeline::new();
        asked.add_command(cmd("ZCARD").arg(&leases).clone());
        if !matches!(self.ask(p, &asked).await?[0], Value::Int(..=LEASES_MAX)) {
            return Ok(None);
        }
        let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
        loop {
            let mut scan = cmd("ZSCAN");
            scan.arg(&leases).arg(&cursor).arg("MATCH").arg(format!("*|{user}|*"));
            let mut asked = Pipeline::new();
            asked.add_command(scan.arg("COUNT").arg(SCANNED).clone());
            let answers = self.ask(p, &asked).await?;
            let [next, members] = items(&answers[0])? else { return Err(crate::wire::strange()) };
            for (token, _) in pairs(members)? {
                let lease: Option<Lease> = word(token)?.parse().ok();
                found.extend(lease.filter(|lease| lease.user == *user).map(|lease| lease.task));
            }
            cursor = text(next)?.unwrap_or("0").to_owned();
            if cursor == "0" {
                break;
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(Some(found))
    }
}

/// A page in the making.
#[derive(Debug)]
struct Page {
    since: Instant,
    limit: usize,
    looks_max: usize,
    looked: usize,
    page: TaskPage,
}

impl Page {
    /// Whether it ends here, however few were found.
    fn is_over(&self) -> bool {
        self.looked >= self.looks_max || self.since.elapsed() >= LIST_TIME_MAX
    }
}

fn read(answer: &Value) -> Result<Vec<Entry>> {
    let entry = |member| {
        let (id, words) = split(word(member)?);
        Ok(Entry {
            id: parsed(id)?,
            words: words.map(ToOwned::to_owned),
            error: None,
            has_failed: false,
        })
    };
    items(answer)?.iter().map(entry).collect()
}
