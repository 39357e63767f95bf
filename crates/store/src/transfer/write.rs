//! A store written out.

use std::collections::BTreeSet;
use std::io::Write;

use tasktonic_core::changes::{Place, Serial, TaskControl};
use tasktonic_core::partition::Row;
use tasktonic_core::policy::Retention;
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::schedule::Schedule;
use tasktonic_core::settings::QueueSettings;
use tasktonic_core::{Links, Name, Priority, TaskId, TaskState, UserId};
use tasktonic_protocol::transfer::{ExpiryLine, Line, PlaceLine, SerialLine, TaskLine, Totals, V};

use super::{ROWS_MAX, Source, TransferError};
use crate::{Query, QueryReply, StoredTask, Table};

/// Log lines of one line of the export.
const LOG_CHUNK: u32 = 500;

/// The place before all others of a lane.
const IN_FRONT: i64 = i64::MIN;

/// A task that waits in its lane or in line, or will when it is read in.
struct Waiting {
    /// Its place there.
    at: i64,
    task: TaskId,
    control: TaskControl,
}

impl Waiting {
    /// The key whose turn it waits for; nothing if it is in its lane.
    fn line(&self) -> Option<u128> {
        self.control.serial.as_deref().filter(|serial| !serial.holds).map(|serial| serial.key)
    }

    /// Lanes first, by queue; then lines, each over all its queues. Places of lanes and of lines are
    /// not compared: in some stores they are counted apart.
    fn order(&self) -> (Option<u128>, Option<&Name>, i64, TaskId) {
        let line = self.line();
        let queue = line.is_none().then_some(&self.control.queue);
        (line, queue, self.at, self.task)
    }
}

struct Writer<'a> {
    source: &'a dyn Source,
    out: &'a mut (dyn Write + Send),
    progress: &'a mut (dyn FnMut(&Totals) + Send),
    now_ms: i64,
    totals: Totals,
    /// Only this one.
    only: Option<&'a UserId>,
}

/// Writes everything of `source` to `out`, telling `progress` from time to time how much it was.
///
/// # Errors
/// When the store does not answer or the text cannot be written. What was written until then has
/// no end line, and is refused as an import.
pub async fn export(
    source: &dyn Source,
    out: &mut (dyn Write + Send),
    now_ms: i64,
    progress: &mut (dyn FnMut(&Totals) + Send),
) -> std::result::Result<Totals, TransferError> {
    let mut writer =
        Writer { source, out, progress, now_ms, totals: Totals::default(), only: None };
    writer.all().await?;
    Ok(writer.totals)
}

/// The same of one user: their tasks with all that is kept of them, keys, weights and schedules, and
/// nothing of the registry. It is an export like any other, and can be imported.
///
/// # Errors
/// As [`export`].
pub async fn export_user(
    source: &dyn Source,
    user: &UserId,
    out: &mut (dyn Write + Send),
    now_ms: i64,
    progress: &mut (dyn FnMut(&Totals) + Send),
) -> std::result::Result<Totals, TransferError> {
    let (totals, only) = (Totals::default(), Some(user));
    let mut writer = Writer { source, out, progress, now_ms, totals, only };
    writer.all().await?;
    Ok(writer.totals)
}

impl Writer<'_> {
    fn line(&mut self, line: &Line) -> std::result::Result<(), TransferError> {
        let mut text = serde_json::to_vec(line).expect("strings and numbers serialise");
        text.push(b'\n');
        self.out.write_all(&text)?;
        Ok(())
    }

    async fn all(&mut self) -> std::result::Result<(), TransferError> {
        let source = self.source;
        let (from, epoch) = (source.name().to_owned(), source.epoch().await?);
        self.line(&Line::Head { v: V, from, epoch, at_ms: self.now_ms })?;
        let tables = if self.only.is_none() { Table::ALL } else { &[] };
        for table in tables {
            for entry in source.registry().list(*table).await? {
                self.totals.records += 1;
                let table = table.name().to_owned();
                let crate::Entry { key, version, value } = entry;
                self.line(&Line::Record { table, key, version, value })?;
            }
        }
        let mut newest = (0, Vec::new());
        let home = self.only.map(|user| partition_of(user, source.partitions()));
        let all = (0..source.partitions()).map(PartitionId);
        for p in all.filter(|p| home.is_none_or(|home| home == *p)) {
            let users = match self.only {
                Some(user) => vec![user.clone()],
                None => source.users(p).await?,
            };
            let only = self.only.cloned();
            let is_meant = |user: &UserId| only.as_ref().is_none_or(|only| only == user);
            for user in users {
                let before = self.totals.tasks;
                self.user(p, &user).await?;
                self.totals.users += u64::from(self.totals.tasks > before);
                (self.progress)(&self.totals);
            }
            let now_ms = self.now_ms;
            let keys = source.keys(p).await?.into_iter();
            for key in keys.filter(|k| k.expires_ms > now_ms && is_meant(&k.user)) {
                self.totals.keys += 1;
                self.line(&Line::Key {
                    user: key.user.to_string(),
                    key: key.key.to_string(),
                    task: key.task.to_string(),
                    hash: format!("{:032x}", key.body_hash),
                    expires_ms: key.expires_ms,
                })?;
            }
            let set = source.settings(p).await?;
            for of in set.in_queues.into_iter().filter(|of| is_meant(&of.user)) {
                self.totals.settings += 1;
                let (queue, user) = (of.queue.to_string(), of.user.to_string());
                self.line(&Line::User { queue, user, settings: of.settings.to_string() })?;
            }
            for of in source.schedules(p).await?.into_iter().filter(|of| is_meant(&of.user)) {
                self.totals.schedules += 1;
                let (user, name) = (of.user.to_string(), of.name.to_string());
                let Schedule { version, next_ms, text } = of.schedule;
                let text = text.to_string();
                self.line(&Line::Schedule { user, name, version, next_ms, text })?;
            }
            for (user, by) in set.paused.into_iter().filter(|(user, _)| is_meant(user)) {
                self.totals.settings += 1;
                self.line(&Line::Paused { user: user.to_string(), by: by.to_string() })?;
            }
            for (user, bytes_max) in set.bytes_max.into_iter().filter(|(user, _)| is_meant(user)) {
                self.totals.settings += 1;
                self.line(&Line::BytesMax { user: user.to_string(), bytes_max })?;
            }
            // They are the same everywhere, but where a change has not come to yet.
            if self.only.is_none() && set.queues_version > newest.0 {
                newest = (set.queues_version, set.queues);
            }
        }
        let (version, queues) = newest;
        if version > 0 {
            self.totals.settings += queues.len() as u64;
            let spelled = |(queue, of): (Name, QueueSettings)| (queue.to_string(), of.to_string());
            let queues = queues.into_iter().map(spelled).collect();
            self.line(&Line::Queues { version, queues })?;
        }
        self.line(&Line::End(self.totals))?;
        self.out.flush()?;
        Ok(())
    }

    /// A user's tasks: those that do not wait by id, then each lane in its order, then who waits for
    /// its turn, each line in its order.
    async fn user(
        &mut self,
        p: PartitionId,
        user: &UserId,
    ) -> std::result::Result<(), TransferError> {
        let mut waiting: Vec<Waiting> = Vec::new();
        // Keys whose turn ends with the export.
        let mut freed = BTreeSet::new();
        let mut after = None;
        loop {
            let rows = self.source.rows(p, user, after).await?;
            let count = rows.len();
            after = rows.last().map(|row| row.task);
            let mut others = Vec::new();
            for row in rows {
                if let Some(Serial { key, holds: true }) = row.control.serial.as_deref()
                    && matches!(row.control.place, Place::Running { cancel_asked: true, .. })
                {
                    freed.insert(*key);
                }
                let at = match row.control.place {
                    Place::Queued { position } => position,
                    Place::Running { cancel_asked: false, .. } => IN_FRONT,
                    _ => {
                        others.push(row);
                        continue;
                    }
                };
                waiting.push(Waiting { at, task: row.task, control: row.control });
            }
            self.tasks(p, user, others).await?;
            if count < ROWS_MAX {
                break;
            }
        }
        for key in freed {
            let in_line = waiting.iter_mut().filter(|one| one.line() == Some(key));
            if let Some(next) = in_line.min_by_key(|one| (one.at, one.task)) {
                next.at = IN_FRONT;
                next.control.serial = Some(Box::new(Serial { key, holds: true }));
            }
        }
        waiting.sort_by(|a, b| a.order().cmp(&b.order()));
        let mut rows = waiting.into_iter().map(|one| Row {
            user: user.clone(),
            task: one.task,
            control: one.control,
        });
        loop {
            let chunk: Vec<Row> = rows.by_ref().take(ROWS_MAX).collect();
            if chunk.is_empty() {
                return Ok(());
            }
            self.tasks(p, user, chunk).await?;
        }
    }

    async fn tasks(
        &mut self,
        p: PartitionId,
        user: &UserId,
        rows: Vec<Row>,
    ) -> std::result::Result<(), TransferError> {
        if rows.is_empty() {
            return Ok(());
        }
        let tasks = rows.iter().map(|row| row.task).collect();
        let tied: Vec<TaskId> = rows.iter().map(|row| row.task).collect();
        let tied =
            match self.source.read(p, Query::Links { user: user.clone(), tasks: tied }).await? {
                QueryReply::Links(links) => links,
                _ => Vec::new(),
            };
        let mut tied = tied.into_iter();
        let stored = match self.source.read(p, Query::Tasks { user: user.clone(), tasks }).await? {
            QueryReply::Tasks(stored) => stored,
            _ => Vec::new(),
        };
        for row in rows {
            let links = tied.next().flatten();
            // One that is gone by now was swept.
            let Some(stored) = stored.iter().find(|stored| stored.id == row.task) else { continue };
            self.task(p, row, stored, links).await?;
        }
        Ok(())
    }

    async fn task(
        &mut self,
        p: PartitionId,
        row: Row,
        stored: &StoredTask,
        links: Option<Links>,
    ) -> std::result::Result<(), TransferError> {
        let Row { user, task, control } = row;
        let (attempts_kept, log_lines) = (control.attempts_kept, control.log_lines);
        if matches!(control.place, Place::Running { .. }) {
            self.totals.released += 1;
        }
        self.totals.tasks += 1;
        let mut line = carried(&user, task, control, stored, self.now_ms);
        line.links = links.map(|links| links.to_string());
        self.line(&Line::Task(line))?;
        if attempts_kept > 0 {
            let asked = Query::Attempts { user: user.clone(), task };
            if let QueryReply::Attempts(rows) = self.source.read(p, asked).await?
                && let Some(first) = rows.first().map(|row| row.number)
            {
                let rows = rows.into_iter().map(|row| row.text.to_string()).collect();
                self.line(&Line::Attempts { first, rows })?;
            }
        }
        let mut after = 0;
        while log_lines > after {
            let limit = LOG_CHUNK;
            let asked = Query::Logs { user: user.clone(), task, after, limit };
            let QueryReply::Logs(found) = self.source.read(p, asked).await? else { break };
            let (Some(first), Some(last)) = (found.lines.first(), found.lines.last()) else {
                break;
            };
            let first = first.number;
            after = last.number;
            let rows = found.lines.into_iter().map(|row| row.text.to_string()).collect();
            self.line(&Line::Log { first, rows })?;
        }
        Ok(())
    }
}

/// A task as it is carried over.
fn carried(
    user: &UserId,
    task: TaskId,
    control: TaskControl,
    stored: &StoredTask,
    now_ms: i64,
) -> TaskLine {
    let TaskControl { queue, mut claim, mut n, attempt, attempts_kept, log_lines, .. } = control;
    let TaskControl { expires, serial, priority, place, .. } = control;
    // A state keeps its priority and its key, in the members that stand before `a`.
    let mut kept = String::new();
    if let Some(letter) = priority.letter() {
        kept.push_str(&format!(r#","pr":"{letter}""#));
    }
    if let Some(of) = &serial {
        kept.push_str(&format!(r#","sk":"{:032x}""#, of.key));
    }
    let serial = serial.map(|of| SerialLine {
        key: format!("{:032x}", of.key),
        holds: of.holds && !matches!(place, Place::Running { cancel_asked: true, .. }),
        at: match place {
            Place::Queued { position } if !of.holds => position,
            _ => 0,
        },
    });
    let expires = expires.map(|of| ExpiryLine { at_ms: of.at_ms, keep_s: of.keep_s });
    let mut state = stored.state.as_ref().map(ToString::to_string);
    let place = match place {
        Place::Queued { .. } => PlaceLine::Queued,
        Place::Scheduled { due_ms } => PlaceLine::Scheduled { due_ms },
        Place::Waiting { pending } => PlaceLine::Waiting { pending },
        Place::Ended { state, at_ms, keep_s, .. } => {
            PlaceLine::Ended { state: state.name().to_owned(), at_ms, keep_s }
        }
        // As the engine ends a released task whose cancellation was asked.
        Place::Running { cancel_asked: true, .. } => {
            n += 1;
            state = Some(format!(
                r#"{{"s":"cancelled","c":{claim},"n":{n},"at":{now_ms}{kept},"a":{attempt}}}"#
            ));
            let (state, keep_s) = (TaskState::Cancelled, Retention::DEFAULT.cancelled_s);
            PlaceLine::Ended { state: state.name().to_owned(), at_ms: now_ms, keep_s }
        }
        Place::Running { .. } => {
            claim += 1;
            n = 0;
            state = Some(format!(
                r#"{{"s":"queued","c":{claim},"n":0,"at":{now_ms}{kept},"a":{attempt}}}"#
            ));
            PlaceLine::Queued
        }
    };
    TaskLine {
        user: user.to_string(),
        task: task.to_string(),
        queue: queue.to_string(),
        claim,
        n,
        attempt,
        place,
        attempts_kept,
        log_lines,
        expires,
        links: None,
        serial,
        priority: (priority != Priority::Normal).then(|| priority.to_string()),
        descriptor: stored.descriptor.to_string(),
        state,
    }
}
