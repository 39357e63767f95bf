//! A store behind the API, as far as a worker needs one: `sync`, what it holds, wakes and
//! announcements.
//!
//! All of its requests run on a thread of its own. A handler that keeps every thread of its
//! runtime busy therefore never delays a heartbeat.

mod engine;
mod registry;
mod wakes;

use std::collections::HashMap;

use async_trait::async_trait;
use parking_lot::Mutex;
use tasktonic_core::command::{Control, Submit, Sync as SyncCommand};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Lease, Name, TaskId, UserId, WorkerId};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::worker::{
    HeldBody, HeldRequest, InputsRequest, SyncRequest, SyncResponse, V,
};
use tasktonic_store::inputs::InputsPage;
use tasktonic_store::{
    Durability, Error as StoreError, EventStream, Held, Query, QueryReply, Registry, Result, Store,
    SyncReply, UserEvent, WakeStream, limits,
};

use crate::{Client, Error};
use engine::Engine;
use registry::RemoteRegistry;

/// The one partition of a remote store: the server knows the real ones.
pub(crate) const PARTITION: PartitionId = PartitionId(0);

/// A store behind the API. One per process; workers share it.
#[derive(Debug)]
pub struct RemoteStore {
    engine: Engine,
    registry: RemoteRegistry,
    /// The part of the server's store in which the last claim of a worker stopped, if it did: there
    /// the next one begins.
    stopped: Mutex<HashMap<WorkerId, u16>>,
}

impl RemoteStore {
    /// The store of the server that `client` reaches; its token must be one of a worker. The store
    /// opens connections of its own.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the thread or the HTTP client cannot be started.
    pub fn new(client: Client) -> crate::Result<Self> {
        let engine = Engine::start(client.apart()?)?;
        let registry = RemoteRegistry::new(engine.clone());
        Ok(Self { engine, registry, stopped: Mutex::default() })
    }
}

/// What a worker is told that asks for more than a worker's part.
fn not_here(what: &str) -> StoreError {
    StoreError::Invalid(format!(
        "a worker that reaches its store through the server cannot {what}; use the HTTP API"
    ))
}

fn check_partition(p: PartitionId) -> Result<()> {
    if p == PARTITION {
        return Ok(());
    }
    Err(StoreError::Invalid("a remote store has one partition".into()))
}

impl RemoteStore {
    async fn inputs(&self, lease: &Lease, after: Option<TaskId>) -> Result<QueryReply> {
        let (lease, after) = (lease.to_string(), after.map(|id| id.to_string()));
        let body = InputsRequest { v: V, lease, after };
        let sent = self.engine.run(|client| async move { client.worker_inputs(&body).await });
        let answer = match sent.await? {
            Ok(answer) => answer,
            Err(error) => {
                return match error.code() {
                    Some(Code::LostLease) => Ok(QueryReply::Inputs(None)),
                    Some(Code::NotFound | Code::MethodNotAllowed) => Err(StoreError::Invalid(
                        "the server is of an earlier release, which tells no inputs; update it"
                            .into(),
                    )),
                    _ => Err(store_error(error)),
                };
            }
        };
        check_version(answer.v)?;
        let next = answer.next.map(|id| id.parse().map_err(|_| malformed("the id of a task")));
        Ok(QueryReply::Inputs(Some(InputsPage { inputs: answer.inputs, next: next.transpose()? })))
    }
}

#[async_trait]
impl Store for RemoteStore {
    async fn submit(&self, _p: PartitionId, _batch: Submit) -> Result<Vec<Submitted>> {
        Err(not_here("submit through it"))
    }

    async fn sync(&self, p: PartitionId, request: SyncCommand) -> Result<SyncReply> {
        limits::check_sync(&request)?;
        check_partition(p)?;
        let worker = request.worker.clone();
        let mut body = SyncRequest::of(request, 0);
        if let Some(claim) = &mut body.claim {
            claim.first = self.stopped.lock().remove(&worker);
        }
        let sent = self.engine.run(|client| async move { client.worker_sync(&body).await });
        let answer = sent.await?.map_err(store_error)?;
        if let Some(stopped) = &answer.stopped_at {
            self.stopped.lock().insert(worker, stopped.part);
        }
        reply_of(answer)
    }

    async fn control(&self, _p: PartitionId, _control: Control) -> Result<Vec<Controlled>> {
        Err(not_here("cancel or redrive tasks"))
    }

    async fn read(&self, p: PartitionId, query: Query) -> Result<QueryReply> {
        check_partition(p)?;
        let worker = match query {
            Query::Held { worker } => worker,
            // A page is as long as the server makes it.
            Query::Inputs { lease, after, .. } => return self.inputs(&lease, after).await,
            _ => return Err(not_here("read the record")),
        };
        let body = HeldRequest { v: V, worker: worker.to_string() };
        let sent = self.engine.run(|client| async move { client.worker_held(&body).await });
        let answer = sent.await?.map_err(|error| match error.code() {
            // A server of an earlier release: asking again would not help.
            Some(Code::NotFound | Code::MethodNotAllowed) => not_here("ask what it holds"),
            _ => store_error(error),
        })?;
        check_version(answer.v)?;
        let held = answer.held.into_iter().map(held);
        // Nothing was changed, so that it may simply be asked again.
        held.collect::<Result<_>>().map(QueryReply::Held)
    }

    fn wakes(&self, worker: &WorkerId) -> WakeStream {
        wakes::listen(&self.engine, worker)
    }

    fn events(&self, _user: &UserId) -> EventStream {
        // There is no refusal in this form; a listener that must read is refused there.
        Box::pin(futures_util::stream::iter([UserEvent::Lagged]))
    }

    fn partitions(&self) -> u16 {
        1
    }

    fn durability(&self) -> Durability {
        // What the server promises stands in each task; a worker never decides by it.
        Durability::Disk
    }

    fn registry(&self) -> &dyn Registry {
        &self.registry
    }
}

/// What a failed call means to who uses a store.
pub(crate) fn store_error(error: Error) -> StoreError {
    match error.code() {
        Some(Code::StoreFull) => StoreError::Full,
        Some(Code::StoreDiskFull) => StoreError::DiskFull,
        Some(Code::TooManyRequests) => StoreError::Busy,
        Some(Code::OutcomeUnknown) => StoreError::OutcomeUnknown,
        Some(
            Code::BadRequest
            | Code::PayloadTooLarge
            | Code::PayloadInvalid
            | Code::MediaTypeUnsupported,
        ) => StoreError::Invalid(error.to_string()),
        _ if error.is_outcome_unknown() => StoreError::OutcomeUnknown,
        _ => StoreError::Unavailable(error.to_string()),
    }
}

fn malformed(what: &str) -> StoreError {
    // The sync may have been carried out; a claim in it comes back by its lease.
    tracing::warn!(what, "the server's answer to this worker cannot be read");
    StoreError::OutcomeUnknown
}

fn check_version(v: u8) -> Result<()> {
    if v == V {
        return Ok(());
    }
    Err(StoreError::Unavailable(format!(
        "the server speaks version {v} of the worker protocol and this worker {V}; bring both to \
         one release"
    )))
}

fn held(held: HeldBody) -> Result<Held> {
    let lease = held.lease.parse().map_err(|_| malformed("a lease"))?;
    let descriptor = held.descriptor.into();
    Ok(Held { lease, n: held.n, descriptor, state: held.state.map(Into::into) })
}

fn reply_of(answer: SyncResponse) -> Result<SyncReply> {
    check_version(answer.v)?;
    Ok(SyncReply {
        refused: answer.refused,
        unheard: answer.unheard,
        cancelled: leases(&answer.cancelled)?,
        adopted: answer.adopted.into_iter().map(held).collect::<Result<_>>()?,
        claimed: answer.claimed.into_iter().map(held).collect::<Result<_>>()?,
        stopped_at: answer.stopped_at.map(|stopped| queue(&stopped.queue)).transpose()?,
        more: answer.more,
        next_in_ms: answer.next_in_ms,
        // Servers fire schedules.
        schedule_in_ms: None,
        epoch: answer.epoch,
        queues_version: 0,
    })
}

pub(crate) fn leases(tokens: &[String]) -> Result<Vec<Lease>> {
    tokens.iter().map(|token| token.parse().map_err(|_| malformed("a lease"))).collect()
}

pub(crate) fn queues(names: &[String]) -> Result<Vec<Name>> {
    names.iter().map(|name| queue(name)).collect()
}

fn queue(name: &str) -> Result<Name> {
    name.parse().map_err(|_| malformed("a queue"))
}
