//! What a socket reads of the store: always in the name of its own user.

use tasktonic_core::routing::partition_of;
use tasktonic_core::{TaskId, TaskState};
use tasktonic_protocol::frames::close;
use tasktonic_protocol::problem::Code;
use tasktonic_store::{EventsSince, Query, QueryReply, StoredTask, TaskFilter};

use super::{End, Socket};

impl Socket {
    pub(super) async fn recent(
        &mut self,
        states: Vec<TaskState>,
        limit: u32,
    ) -> Result<Vec<StoredTask>, End> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let filter = TaskFilter { states, ..TaskFilter::default() };
        let query = Query::List { user: self.user.clone(), filter, cursor: None, limit };
        match self.read(query).await? {
            QueryReply::List(page) => Ok(page.tasks),
            _ => Err(unlike()),
        }
    }

    pub(super) async fn tasks(&mut self, ids: &[String]) -> Result<Vec<StoredTask>, End> {
        let tasks: Vec<TaskId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        match self.read(Query::Tasks { user: self.user.clone(), tasks }).await? {
            QueryReply::Tasks(tasks) => Ok(tasks),
            _ => Err(unlike()),
        }
    }

    pub(super) async fn events(&mut self, query: Query) -> Result<EventsSince, End> {
        match self.read(query).await? {
            QueryReply::Events(since) => Ok(since),
            _ => Err(unlike()),
        }
    }

    pub(super) async fn read(&mut self, query: Query) -> Result<QueryReply, End> {
        let p = partition_of(&self.user, self.app.store.partitions());
        match self.app.store.read(p, query).await {
            Ok(reply) => Ok(reply),
            Err(error) => {
                tracing::warn!(%error, "a socket could not read the store");
                self.refuse(Code::StoreUnavailable).await?;
                Err(End::Close(close::OVERLOADED, "the store cannot be reached"))
            }
        }
    }
}

/// The store answered another question than was asked.
pub(super) fn unlike() -> End {
    tracing::error!("the store answered another question than was asked");
    End::Close(close::OVERLOADED, "the store cannot be reached")
}
