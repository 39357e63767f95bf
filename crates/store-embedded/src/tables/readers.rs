//! Readers: connections that answer from the tables, beside the one that writes them.

use std::path::PathBuf;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use tasktonic_core::{TaskId, Text, UserId};
use tasktonic_store::{Error, Result};

use super::{DESCRIPTOR, STATE, crc_at};
use crate::database::Fault;
use crate::options::READERS_MAX;

/// Read-only connections, opened when they are needed.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// A task's texts as the tables have them.
pub(crate) struct Texts {
    pub(crate) descriptor: Text,
    pub(crate) state: Option<Text>,
}

/// A numbered text.
pub(crate) type Line = (u32, Text);

/// The tables with numbered texts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lines {
    Attempts,
    Log,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default() }
    }

    /// Lets go of the idle connections.
    pub(crate) fn close(&self) {
        self.idle.lock().clear();
    }

    fn with<T>(&self, ask: impl FnOnce(&Connection) -> std::result::Result<T, Fault>) -> Result<T> {
        let idle = self.idle.lock().pop();
        let answer = match idle {
            Some(db) => Ok(db),
            None => self.open(),
        }
        .and_then(|db| {
            let answer = ask(&db);
            let mut idle = self.idle.lock();
            if idle.len() < READERS_MAX {
                idle.push(db);
            }
            answer
        });
        answer.map_err(|fault| {
            let what = match fault {
                Fault::Full => "the disk is full".to_owned(),
                Fault::Busy => "it is being written; try again".to_owned(),
                Fault::Damaged(what) => format!("the record is damaged: {what}"),
                Fault::Fatal(error) => format!("the tables cannot be read: {error}"),
            };
            tracing::error!(%what, "a question could not be answered from the tables");
            Error::Unavailable(what)
        })
    }

    fn open(&self) -> std::result::Result<Connection, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.path, flags)?;
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        db.pragma_update(None, "cell_size_check", true)?;
        Ok(db)
    }

    /// The texts of these tasks of `user`, in order; nothing for those the tables do not have.
    pub(crate) fn texts(&self, user: &UserId, tasks: &[TaskId]) -> Result<Vec<Option<Texts>>> {
        self.with(|db| {
            let Some(number) = number_of(db, user)? else {
                return Ok(tasks.iter().map(|_| None).collect());
            };
            let mut read = db.prepare_cached(
                "SELECT descriptor, descriptor_crc, state, state_crc FROM tasks \
                 WHERE user = ?1 AND id = ?2",
            )?;
            let mut one = |task: &TaskId| {
                let mut rows = read.query(params![number, task.to_bytes()])?;
                let Some(row) = rows.next()? else { return Ok(None) };
                let (descriptor, crc): (Text, u32) = (row.get(0)?, row.get(1)?);
                let (state, state_crc): (Option<Text>, u32) = (row.get(2)?, row.get(3)?);
                let state_bytes = state.as_deref().unwrap_or_default().as_bytes();
                if crc_at(number, *task, DESCRIPTOR, descriptor.as_bytes()) != crc
                    || crc_at(number, *task, STATE, state_bytes) != state_crc
                {
                    return Err(Fault::Damaged(format!("task {task} is not what was written")));
                }
                Ok(Some(Texts { descriptor, state }))
            };
            tasks.iter().map(&mut one).collect()
        })
    }

    /// Texts of a task with numbers above `after`, at most `limit`, in order.
    pub(crate) fn lines(
        &self,
        which: Lines,
        user: &UserId,
        task: TaskId,
        after: u32,
        limit: u32,
    ) -> Result<Vec<Line>> {
        self.with(|db| {
            let Some(number) = number_of(db, user)? else { return Ok(Vec::new()) };
            let mut read = db.prepare_cached(match which {
                Lines::Attempts => {
                    "SELECT number, text, crc FROM attempts \
                     WHERE user = ?1 AND id = ?2 AND number > ?3 ORDER BY number LIMIT ?4"
                }
                Lines::Log => {
                    "SELECT number, text, crc FROM log \
                     WHERE user = ?1 AND id = ?2 AND number > ?3 ORDER BY number LIMIT ?4"
                }
            })?;
            let mut rows = read.query(params![number, task.to_bytes(), after, limit])?;
            let mut lines = Vec::new();
            while let Some(row) = rows.next()? {
                let (line, text, crc): (u32, Text, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
                if crc_at(number, task, line, text.as_bytes()) != crc {
                    let what = format!("line {line} of task {task} is not what was written");
                    return Err(Fault::Damaged(what));
                }
                lines.push((line, text));
            }
            Ok(lines)
        })
    }
}

fn number_of(db: &Connection, user: &UserId) -> std::result::Result<Option<i64>, Fault> {
    let mut find = db.prepare_cached("SELECT number FROM users WHERE id = ?1")?;
    Ok(find.query_row([user.as_str()], |row| row.get(0)).optional()?)
}
