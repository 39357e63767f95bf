//! The store written out, and an empty folder that is read into: straight into the tables, beside
//! the journal. A mark in the tables says that an import is under way; a store with it does not
//! open, and the next import begins by removing what the former one wrote.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tasktonic_core::changes::Record;
use tasktonic_core::partition::{KeptSchedule, Key, Row};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{TaskId, UserId};
use tasktonic_store::transfer::{ROWS_MAX, Settings, Source, Target, TransferError};
use tasktonic_store::{Durability, Entry, Result, Table};

use crate::database::Fault;
use crate::delta::Delta;
use crate::folder::{Folder, JOURNAL, Mark, TABLES};
use crate::journal::Journal;
use crate::store::EmbeddedStore;
use crate::tables::{Meta, Tables};

#[async_trait]
impl Source for EmbeddedStore {
    async fn epoch(&self) -> Result<u32> {
        Ok(self.shared.state.lock().partition.epoch())
    }

    async fn users(&self, _: PartitionId) -> Result<Vec<UserId>> {
        let mut users: Vec<UserId> = self.shared.state.lock().users.keys().cloned().collect();
        users.sort();
        Ok(users)
    }

    async fn rows(&self, _: PartitionId, user: &UserId, after: Option<TaskId>) -> Result<Vec<Row>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let state = self.shared.state.lock();
        let Some(tasks) = state.users.get(user) else { return Ok(Vec::new()) };
        let from = after.map_or(Unbounded, Excluded);
        let row = |task: &TaskId| {
            let control = state.partition.task(user, task)?.clone();
            Some(Row { user: user.clone(), task: *task, control })
        };
        Ok(tasks
            .range((from, Unbounded))
            .filter_map(|(task, _)| row(task))
            .take(ROWS_MAX)
            .collect())
    }

    async fn keys(&self, _: PartitionId) -> Result<Vec<Key>> {
        let mut keys = self.shared.state.lock().partition.kept_keys();
        keys.sort_by(|a, b| (&a.user, &a.key).cmp(&(&b.user, &b.key)));
        Ok(keys)
    }

    async fn settings(&self, _: PartitionId) -> Result<Settings> {
        Ok(Settings::of(&self.shared.state.lock().partition))
    }

    async fn schedules(&self, _: PartitionId) -> Result<Vec<KeptSchedule>> {
        let mut schedules = self.shared.state.lock().partition.kept_schedules();
        schedules.sort_by(|a, b| (&a.user, &a.name).cmp(&(&b.user, &b.name)));
        Ok(schedules)
    }
}

/// An import into a folder.
#[derive(Debug)]
pub struct Import {
    dir: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    folder: Folder,
    tables: Tables,
    /// Rounds written.
    applied: u64,
    epoch: u32,
}

impl Import {
    /// One into `dir`, which must be new, or the folder of a store that nothing was ever put into.
    #[must_use]
    pub fn into(dir: impl AsRef<Path>) -> Self {
        Self { dir: dir.as_ref().to_owned(), open: None }
    }
}

fn target(what: impl std::fmt::Display) -> TransferError {
    TransferError::Target(what.to_string())
}

fn fault(fault: Fault) -> TransferError {
    TransferError::Target(format!("{fault}; see whether the disk is full or read-only"))
}

#[async_trait]
impl Target for Import {
    async fn begin(&mut self, epoch: u32) -> std::result::Result<(), TransferError> {
        let folder = Folder::take(&self.dir).map_err(target)?;
        let mut tables =
            Tables::open(&folder.file(TABLES), Durability::Disk).map_err(fault)?.map_err(target)?;
        let mut journal = Journal::open(&folder.file(JOURNAL), Durability::Disk)
            .map_err(fault)?
            .map_err(target)?;
        if tables.is_importing().map_err(fault)? {
            tables.wipe().map_err(fault)?;
        }
        let former = tables.meta().map_err(fault)?;
        let empty =
            tables.is_empty().map_err(fault)? && journal.last().map_err(fault)? <= former.applied;
        if !empty {
            return Err(TransferError::Target(format!(
                "there is something in {} already; import into a new folder",
                self.dir.display()
            )));
        }
        journal.clear().map_err(fault)?;
        tables.set_importing(true).map_err(fault)?;
        folder.sync().map_err(target)?;
        let epoch = epoch.max(former.epoch);
        self.open = Some(Open { folder, tables, applied: former.applied, epoch });
        Ok(())
    }

    async fn put(
        &mut self,
        registry: Vec<(Table, Entry)>,
        records: Vec<Record>,
    ) -> std::result::Result<(), TransferError> {
        let open = self.open.as_mut().ok_or_else(|| target("the import has not begun"))?;
        let mut delta = Delta::default();
        for (table, Entry { key, version, value }) in registry {
            delta.registry.insert((table, key), Some((version, value)));
        }
        for record in records {
            delta.add(record);
        }
        open.applied += 1;
        drop(open.tables.fold(&delta, open.applied).map_err(fault)?);
        open.tables.upkeep().map_err(fault)
    }

    async fn finish(&mut self) -> std::result::Result<(), TransferError> {
        let mut open = self.open.take().ok_or_else(|| target("the import has not begun"))?;
        let (applied, epoch) = (open.applied, open.epoch);
        open.tables.set_meta(Meta { applied, epoch, clean: true }).map_err(fault)?;
        let acked = open.folder.acked().map_err(target)?;
        acked.write(Mark { lsn: applied, epoch })?;
        open.tables.set_importing(false).map_err(fault)?;
        open.tables.close().map_err(fault)?;
        open.folder.sync().map_err(target)
    }
}
