//! Answers about what ties tasks to each other, and what came of those at the other ends, by plain
//! reading commands.

use redis::{Pipeline, Value, cmd};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Lease, Links, TaskId, UserId};
use tasktonic_store::Result;
use tasktonic_store::inputs::{self, InputsPage, Tied};
use tasktonic_store::limits::PARTS_PAGE_MAX;

use super::RedisStore;
use crate::wire::{items, links, parsed, strange, text, word};

/// Tasks looked at in one round trip.
const CHUNK: usize = 500;

impl RedisStore {
    /// Ties in the order asked; absent where a task has none.
    pub(super) async fn links(
        &self,
        p: PartitionId,
        user: &UserId,
        tasks: &[TaskId],
    ) -> Result<Vec<Option<Links>>> {
        let keys = self.keys(p)?;
        let mut found = Vec::with_capacity(tasks.len());
        for chunk in tasks.chunks(CHUNK) {
            let names: Vec<String> = chunk.iter().map(|task| keys.links(user, *task)).collect();
            let mut asked = Pipeline::new();
            asked.add_command(cmd("MGET").arg(names).clone());
            let answers = self.ask(p, &asked).await?;
            for one in items(&answers[0])? {
                let ties = match text(one)? {
                    Some(text) => Some(links(text).ok_or_else(strange)?.1),
                    None => None,
                };
                found.push(ties);
            }
        }
        Ok(found)
    }

    /// What the holder of a task is told of those it waited for; absent where it holds it no more.
    pub(super) async fn inputs(
        &self,
        p: PartitionId,
        lease: &Lease,
        after: Option<TaskId>,
        limit: u32,
    ) -> Result<Option<InputsPage>> {
        let (keys, Lease { user, task, .. }) = (self.keys(p)?, lease);
        let mut asked = Pipeline::new();
        asked.zscore(keys.leases(), lease.to_string());
        asked.get(keys.links(user, *task));
        let answers = self.ask(p, &asked).await?;
        if matches!(answers[0], Value::Nil) {
            return Ok(None);
        }
        let ties = match text(&answers[1])? {
            Some(text) => Some(links(text).ok_or_else(strange)?.1),
            None => None,
        };
        let tied = match Tied::of(ties.as_ref(), after, limit) {
            Tied::To(tied) => tied,
            Tied::Parts => {
                let page = u32::try_from(inputs::page_len(limit)).unwrap_or(u32::MAX);
                Tied::parts(self.parts(p, user, *task, after, page).await?)
            }
        };
        let ids: Vec<TaskId> = tied.iter().map(|(task, _)| *task).collect();
        let found = self.tasks(p, user, &ids).await?.into_iter().flatten().map(|(task, _)| task);
        inputs::page(tied, found.collect(), limit).map(Some)
    }

    /// Parts of a flow or batch above `after`.
    pub(super) async fn parts(
        &self,
        p: PartitionId,
        user: &UserId,
        task: TaskId,
        after: Option<TaskId>,
        limit: u32,
    ) -> Result<Vec<TaskId>> {
        let mut range = cmd("ZRANGE");
        range.arg(self.keys(p)?.parts(user, task));
        range.arg(after.map_or_else(|| "-".to_owned(), |id| format!("({id}"))).arg("+");
        range.arg("BYLEX").arg("LIMIT").arg(0).arg(limit.min(PARTS_PAGE_MAX));
        let mut asked = Pipeline::new();
        asked.add_command(range);
        let answers = self.ask(p, &asked).await?;
        items(&answers[0])?.iter().map(|id| parsed(word(id)?)).collect()
    }
}
