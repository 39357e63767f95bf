//! fold: a window of merged changes becomes rows, in one transaction.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};
use tasktonic_core::changes::TaskControl;
use tasktonic_core::limits::{ATTEMPTS_KEPT_MAX, LOG_LINES_MAX};
use tasktonic_core::{TaskId, Text, UserId};
use tasktonic_store::KillPoint;

use super::{CONTROL, DESCRIPTOR, ENTRY, NOBODY, RowCounts, STATE, Tables, crc_at, crc_of, entry};
use crate::codec;
use crate::database::Fault;
use crate::delta::{Delta, KeyValue, TaskDelta};
use crate::small::SmallId;

/// What one change of the tables works on.
struct Change<'a> {
    db: &'a Connection,
    known: &'a HashMap<UserId, i64>,
    /// Users this change has met for the first time.
    met: HashMap<UserId, i64>,
    counts: RowCounts,
    bytes: u64,
    named: Vec<Named>,
}

/// A task, and what lists find it by from now on.
pub(crate) type Named = (UserId, TaskId, Box<str>);

impl Tables {
    /// Writes `delta`, which ends with round `applied`. Answers when it is on disk; a failure has
    /// changed nothing. Answers which tasks are called otherwise now.
    pub(crate) fn fold(&mut self, delta: &Delta, applied: u64) -> Result<Vec<Named>, Fault> {
        let transaction = self.db.transaction()?;
        let mut change = Change {
            db: &transaction,
            known: &self.users,
            met: HashMap::new(),
            counts: self.counts,
            bytes: 0,
            named: Vec::new(),
        };
        let mut tasks: Vec<_> = delta.tasks.iter().collect();
        // Neighbours in the tables are written one after the other.
        tasks.sort_unstable_by_key(|(id, _)| *id);
        let half = tasks.len() / 2;
        for (at, ((user, task), delta)) in tasks.into_iter().enumerate() {
            if at == half {
                KillPoint::StoreInFold.pass();
            }
            change.task(user, *task, delta)?;
        }
        for ((user, key), value) in &delta.keys {
            change.key(user, key, value.as_ref())?;
        }
        for (id, text) in &delta.small {
            change.record(id, text.as_deref())?;
        }
        for ((part, key), value) in &delta.registry {
            change.entry(part.name(), key, value.as_ref())?;
        }
        let Change { met, counts, bytes, named, .. } = change;
        let applied = i64::try_from(applied).expect("a round every nanosecond for centuries");
        Self::set_fact(&transaction, "applied_lsn", applied)?;
        Self::set_fact(&transaction, "tasks", counts.tasks)?;
        Self::set_fact(&transaction, "keys", counts.keys)?;
        Self::set_fact(&transaction, "records", counts.records)?;
        Self::set_fact(&transaction, "registry", counts.registry)?;
        transaction.commit()?;
        self.users.extend(met);
        self.counts = counts;
        // Rows, and the pages around them.
        self.log_bytes += 2 * bytes + 4096 * delta.tasks.len() as u64 / 4;
        KillPoint::StoreBeforeTrim.pass();
        Ok(named)
    }
}

impl Change<'_> {
    /// The number of a user in the tables.
    fn user(&mut self, user: &UserId) -> Result<i64, Fault> {
        if let Some(number) = self.known.get(user).or_else(|| self.met.get(user)) {
            return Ok(*number);
        }
        let mut find = self.db.prepare_cached("SELECT number FROM users WHERE id = ?1")?;
        let found = find.query_row([user.as_str()], |row| row.get(0)).optional()?;
        let number = match found {
            Some(number) => number,
            None => {
                self.db
                    .prepare_cached("INSERT INTO users (id) VALUES (?1)")?
                    .execute([user.as_str()])?;
                self.db.last_insert_rowid()
            }
        };
        self.met.insert(user.clone(), number);
        Ok(number)
    }

    fn task(&mut self, user: &UserId, task: TaskId, delta: &TaskDelta) -> Result<(), Fault> {
        if delta.born && !delta.exists() {
            return Ok(());
        }
        let number = self.user(user)?;
        let id = task.to_bytes();
        if delta.gone {
            let mut removed = 0;
            for sql in [
                "DELETE FROM attempts WHERE user = ?1 AND id = ?2",
                "DELETE FROM log WHERE user = ?1 AND id = ?2",
                "DELETE FROM tasks WHERE user = ?1 AND id = ?2",
            ] {
                removed = self.db.prepare_cached(sql)?.execute(params![number, id])?;
            }
            self.counts.tasks -= i64::try_from(removed).expect("one row at most");
        }
        if !delta.exists() {
            return Ok(());
        }
        self.row(number, user, task, delta)?;
        self.lines("attempts", number, task, &delta.attempts, ATTEMPTS_KEPT_MAX)?;
        self.lines("log", number, task, &delta.log, LOG_LINES_MAX)
    }

    fn row(
        &mut self,
        number: i64,
        user: &UserId,
        task: TaskId,
        delta: &TaskDelta,
    ) -> Result<(), Fault> {
        let id = task.to_bytes();
        let state = delta.state.as_ref().map(|state| state.as_deref());
        let state_crc =
            |state: Option<&str>| crc_at(number, task, STATE, state.unwrap_or_default().as_bytes());
        let with_lines;
        let control = match (&delta.control, delta.log.last()) {
            (Some(control), _) => control,
            (None, None) => return Ok(()),
            (None, Some((last, _))) => {
                with_lines = self.count_lines(number, user, task, *last)?;
                &with_lines
            }
        };
        let entry =
            delta.descriptor.as_deref().and_then(|text| entry::kept(text, control.queue.as_str()));
        let entry_crc = entry.as_ref().map(|text| crc_at(number, task, ENTRY, text.as_bytes()));
        let control = codec::control_bytes(control);
        let crc = crc_at(number, task, CONTROL, &control);
        self.bytes += 64 + control.len() as u64 + state.flatten().map_or(0, str::len) as u64;
        let descriptor = delta.descriptor.as_ref().map(|text| {
            self.bytes += text.len() as u64;
            (&**text, crc_at(number, task, DESCRIPTOR, text.as_bytes()))
        });
        if let Some((descriptor, descriptor_crc)) = descriptor.filter(|_| delta.begins()) {
            let state = state.flatten();
            self.db
                .prepare_cached(
                    "INSERT INTO tasks (user, id, control, crc, descriptor, descriptor_crc, state, \
                     state_crc, entry, entry_crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                )?
                .execute(params![
                    number,
                    id,
                    control,
                    crc,
                    descriptor,
                    descriptor_crc,
                    state,
                    state_crc(state),
                    entry,
                    entry_crc
                ])?;
            self.counts.tasks += 1;
            self.named.extend(entry.map(|entry| (user.clone(), task, entry)));
            return Ok(());
        }
        let changed = match state {
            Some(state) => self
                .db
                .prepare_cached(
                    "UPDATE tasks SET control = ?3, crc = ?4, state = ?5, state_crc = ?6 \
                     WHERE user = ?1 AND id = ?2",
                )?
                .execute(params![number, id, control, crc, state, state_crc(state)])?,
            None => self
                .db
                .prepare_cached(
                    "UPDATE tasks SET control = ?3, crc = ?4 WHERE user = ?1 AND id = ?2",
                )?
                .execute(params![number, id, control, crc])?,
        };
        if let Some((text, crc)) = descriptor {
            self.db
                .prepare_cached(
                    "UPDATE tasks SET descriptor = ?3, descriptor_crc = ?4, entry = ?5, \
                     entry_crc = ?6 WHERE user = ?1 AND id = ?2",
                )?
                .execute(params![number, id, text, crc, entry, entry_crc])?;
            self.named.extend(entry.map(|entry| (user.clone(), task, entry)));
        }
        if changed == 1 {
            return Ok(());
        }
        Err(Fault::Damaged(format!("tasks.db: task {task} of user {user} is missing")))
    }

    /// The stored control record of a task whose log has grown to line `last`.
    fn count_lines(
        &self,
        number: i64,
        user: &UserId,
        task: TaskId,
        last: u32,
    ) -> Result<TaskControl, Fault> {
        let mut read =
            self.db.prepare_cached("SELECT control, crc FROM tasks WHERE user = ?1 AND id = ?2")?;
        let row = read.query_row(params![number, task.to_bytes()], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, u32>(1)?))
        });
        let found =
            row.optional()?.filter(|(bytes, crc)| crc_at(number, task, CONTROL, bytes) == *crc);
        let control = found.and_then(|(bytes, _)| codec::control(&bytes).ok());
        let mut control = control.ok_or_else(|| {
            Fault::Damaged(format!("tasks.db: task {task} of user {user} is missing or changed"))
        })?;
        control.log_lines = control.log_lines.max(last);
        Ok(control)
    }

    /// Adds numbered texts, and removes those that fall out.
    fn lines(
        &mut self,
        table: &str,
        user: i64,
        task: TaskId,
        lines: &[(u32, Text)],
        kept_max: u32,
    ) -> Result<(), Fault> {
        let Some((last, _)) = lines.last() else { return Ok(()) };
        let id = task.to_bytes();
        let out = last.saturating_sub(kept_max);
        let mut add = self.db.prepare_cached(&format!(
            "INSERT OR REPLACE INTO {table} (user, id, number, text, crc) \
             VALUES (?1, ?2, ?3, ?4, ?5)"
        ))?;
        for (line, text) in lines.iter().filter(|(line, _)| *line > out) {
            let crc = crc_at(user, task, *line, text.as_bytes());
            self.bytes += 64 + text.len() as u64;
            add.execute(params![user, id, line, &**text, crc])?;
        }
        if out > 0 {
            self.db
                .prepare_cached(&format!(
                    "DELETE FROM {table} WHERE user = ?1 AND id = ?2 AND number <= ?3"
                ))?
                .execute(params![user, id, out])?;
        }
        Ok(())
    }

    fn key(&mut self, user: &UserId, key: &str, value: Option<&KeyValue>) -> Result<(), Fault> {
        let user = self.user(user)?;
        let mut remove = self.db.prepare_cached("DELETE FROM keys WHERE user = ?1 AND key = ?2")?;
        let removed = remove.execute(params![user, key])?;
        self.counts.keys -= i64::try_from(removed).expect("one row at most");
        let Some(KeyValue { task, body_hash, expires_ms }) = value else { return Ok(()) };
        let (task, hash) = (task.to_bytes(), body_hash.to_le_bytes());
        let crc = key_crc(user, key, &task, &hash, *expires_ms);
        self.db
            .prepare_cached(
                "INSERT INTO keys (user, key, task, body_hash, expires_ms, crc) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![user, key, task, hash, expires_ms, crc])?;
        self.counts.keys += 1;
        self.bytes += 96 + key.len() as u64;
        Ok(())
    }

    fn record(&mut self, id: &SmallId, text: Option<&str>) -> Result<(), Fault> {
        let SmallId { part, owner, key } = id;
        let owner = owner.as_ref().map_or(Ok(NOBODY), |user| self.user(user))?;
        let part = part.name();
        let mut remove = self
            .db
            .prepare_cached("DELETE FROM records WHERE part = ?1 AND owner = ?2 AND key = ?3")?;
        let removed = remove.execute(params![part, owner, &**key])?;
        self.counts.records -= i64::try_from(removed).expect("one row at most");
        let Some(text) = text else { return Ok(()) };
        let crc = record_crc(part, owner, key, text);
        self.db
            .prepare_cached(
                "INSERT INTO records (part, owner, key, text, crc) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![part, owner, &**key, text, crc])?;
        self.counts.records += 1;
        self.bytes += 64 + text.len() as u64;
        Ok(())
    }

    fn entry(&mut self, part: &str, key: &str, value: Option<&(u64, String)>) -> Result<(), Fault> {
        let mut remove =
            self.db.prepare_cached("DELETE FROM registry WHERE part = ?1 AND key = ?2")?;
        let removed = remove.execute(params![part, key])?;
        self.counts.registry -= i64::try_from(removed).expect("one row at most");
        let Some((version, value)) = value else { return Ok(()) };
        let version = i64::try_from(*version).expect("a change every nanosecond for centuries");
        let crc = entry_crc(part, key, version, value);
        self.db
            .prepare_cached(
                "INSERT INTO registry (part, key, version, value, crc) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![part, key, version, value, crc])?;
        self.counts.registry += 1;
        self.bytes += 64 + value.len() as u64;
        Ok(())
    }
}

/// The checksum of a key's row.
pub(super) fn key_crc(user: i64, key: &str, task: &[u8], hash: &[u8], expires_ms: i64) -> u32 {
    crc_of(&[&user.to_le_bytes(), key.as_bytes(), task, hash, &expires_ms.to_le_bytes()])
}

/// The checksum of a small record's row.
pub(super) fn record_crc(part: &str, owner: i64, key: &str, text: &str) -> u32 {
    crc_of(&[part.as_bytes(), &owner.to_le_bytes(), key.as_bytes(), text.as_bytes()])
}

/// The checksum of a registry entry's row.
pub(super) fn entry_crc(part: &str, key: &str, version: i64, value: &str) -> u32 {
    crc_of(&[part.as_bytes(), key.as_bytes(), &version.to_le_bytes(), value.as_bytes()])
}
