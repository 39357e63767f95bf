//! load: what a fresh partition is made from, every row checked.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Row as SqlRow;
use tasktonic_core::changes::Place;
use tasktonic_core::partition::{Key, Records, Row};
use tasktonic_core::{TaskId, UserId};
use tasktonic_store::Table;

use super::fold::{entry_crc, key_crc, record_crc};
use super::{CONTROL, ENTRY, NOBODY, RowCounts, Tables, crc_at, entry};
use crate::codec;
use crate::database::Fault;
use crate::small::{self, Part, SmallId};

/// All that is kept in memory.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) records: Records,
    /// What lists find each task by, in the order of its rows.
    pub(crate) entries: Vec<Option<Box<str>>>,
    pub(crate) registry: BTreeMap<(Table, String), (u64, String)>,
}

/// How long the texts are, SQLite tells without reading them. Rows from before entries say theirs in
/// their descriptor.
const LOAD_TASKS: &str = "SELECT user, id, control, crc, octet_length(descriptor), \
                          ifnull(octet_length(state), 0), entry, entry_crc, \
                          CASE WHEN entry IS NULL THEN descriptor END FROM tasks";

fn damaged(what: impl std::fmt::Display) -> Fault {
    Fault::Damaged(format!("tasks.db: {what}"))
}

/// The task id in a column.
pub(super) fn task_id(bytes: &[u8]) -> Result<TaskId, Fault> {
    let bytes = bytes.try_into().map_err(|_| damaged("a task has no id of ours"))?;
    Ok(TaskId::from_bytes(bytes))
}

/// Users by their number.
struct Names(HashMap<i64, UserId>);

impl Names {
    fn of(&self, number: i64) -> Result<UserId, Fault> {
        let known = self.0.get(&number);
        known.cloned().ok_or_else(|| damaged(format!("user number {number} is missing")))
    }
}

impl Tables {
    /// Reads everything but texts, attempts and log lines.
    pub(crate) fn load(&mut self) -> Result<Loaded, Fault> {
        let mut names = Names(HashMap::new());
        self.each("SELECT number, id FROM users", |row| {
            let (number, id): (i64, String) = (row.get(0)?, row.get(1)?);
            names.0.insert(number, id.parse().map_err(damaged)?);
            Ok(())
        })?;
        self.users = names.0.iter().map(|(number, user)| (user.clone(), *number)).collect();

        let mut loaded = Loaded::default();
        let Records { rows, keys, .. } = &mut loaded.records;
        let entries = &mut loaded.entries;
        self.each(LOAD_TASKS, |row| {
            let user: i64 = row.get(0)?;
            let task = task_id(row.get_ref(1)?.as_blob().map_err(damaged)?)?;
            let control = row.get_ref(2)?.as_blob().map_err(damaged)?;
            if crc_at(user, task, CONTROL, control) != row.get::<_, u32>(3)? {
                return Err(damaged(format!("task {task} is not what was written")));
            }
            let mut control = codec::control(control).map_err(damaged)?;
            control.bytes = row.get(4)?;
            if let Place::Ended { bytes, .. } = &mut control.place {
                *bytes = row.get(5)?;
            }
            entries.push(match row.get_ref(6)?.as_str_or_null().map_err(damaged)? {
                Some(entry) => {
                    let crc = row.get::<_, Option<u32>>(7)?;
                    if crc != Some(crc_at(user, task, ENTRY, entry.as_bytes())) {
                        return Err(damaged(format!("task {task} is not what was written")));
                    }
                    Some(entry.into())
                }
                None => {
                    let descriptor = row.get_ref(8)?.as_str().map_err(damaged)?;
                    entry::kept(descriptor, control.queue.as_str())
                }
            });
            rows.push(Row { user: names.of(user)?, task, control });
            Ok(())
        })?;
        self.each("SELECT user, key, task, body_hash, expires_ms, crc FROM keys", |row| {
            let (user, key): (i64, String) = (row.get(0)?, row.get(1)?);
            let (task, hash): (Vec<u8>, [u8; 16]) = (row.get(2)?, row.get(3)?);
            let expires_ms = row.get(4)?;
            if key_crc(user, &key, &task, &hash, expires_ms) != row.get::<_, u32>(5)? {
                return Err(damaged("an idempotency key is not what was written"));
            }
            let (user, task) = (names.of(user)?, task_id(&task)?);
            let body_hash = u128::from_le_bytes(hash);
            keys.push(Key { user, key: key.into(), task, body_hash, expires_ms });
            Ok(())
        })?;
        let mut small_rows = 0;
        self.each("SELECT part, owner, key, text, crc FROM records", |row| {
            let (part, owner): (String, i64) = (row.get(0)?, row.get(1)?);
            let (key, text): (String, String) = (row.get(2)?, row.get(3)?);
            let wrong = || damaged(format!("the record {key:?} of {part} was changed"));
            let crc: Option<u32> = row.get(4)?;
            if crc.is_some_and(|crc| crc != record_crc(&part, owner, &key, &text)) {
                return Err(wrong());
            }
            let part = Part::from_name(&part).ok_or_else(wrong)?;
            let owner = if owner == NOBODY { None } else { Some(names.of(owner)?) };
            let id = SmallId { part, owner, key: key.as_str().into() };
            small::add(&mut loaded.records, id, &text).ok_or_else(wrong)?;
            small_rows += 1;
            Ok(())
        })?;
        let registry = &mut loaded.registry;
        self.each("SELECT part, key, version, value, crc FROM registry", |row| {
            let (part, key): (String, String) = (row.get(0)?, row.get(1)?);
            let (version, value): (i64, String) = (row.get(2)?, row.get(3)?);
            if entry_crc(&part, &key, version, &value) != row.get::<_, u32>(4)? {
                return Err(damaged(format!("the record {key:?} of {part} was changed")));
            }
            let table = codec::table(&part).map_err(damaged)?;
            registry.insert((table, key), (version.unsigned_abs(), value));
            Ok(())
        })?;

        let count = |rows: usize| i64::try_from(rows).expect("rows that fit in memory");
        let found = RowCounts {
            tasks: count(loaded.records.rows.len()),
            keys: count(loaded.records.keys.len()),
            records: count(small_rows),
            registry: count(loaded.registry.len()),
        };
        if found != self.counts {
            let kept = self.counts;
            return Err(damaged(format!("{kept:?} were written and {found:?} are there")));
        }
        Ok(loaded)
    }

    fn each(
        &self,
        sql: &str,
        mut take: impl FnMut(&SqlRow<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut read = self.db.prepare(sql)?;
        let mut rows = read.query([])?;
        while let Some(row) = rows.next()? {
            take(row)?;
        }
        Ok(())
    }
}
