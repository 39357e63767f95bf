//! What a remote worker holds, over all partitions: asked after a lost answer, so that what it
//! never saw goes back at once. Changes nothing.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use tasktonic_core::WorkerId;
use tasktonic_core::ids::IdError;
use tasktonic_core::routing::PartitionId;
use tasktonic_protocol::worker::{HeldBody, HeldRequest, HeldResponse, V};
use tasktonic_store::{Held, Query, QueryReply};

use super::known_as::known_as;
use super::sync::check_version;
use crate::App;
use crate::api::access::{Need, check};
use crate::api::body;
use crate::door::Caller;
use crate::problem::Refusal;

/// Largest question, in bytes: an id and a number, and room for what a later version adds.
const HELD_BYTES_MAX: usize = 256 * 1024;

pub(super) async fn held(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Json<HeldResponse>, Refusal> {
    check(&caller, Need::Work)?;
    let (parts, content) = request.into_parts();
    let HeldRequest { v, worker } =
        body::read(&app, &caller, &parts, content, HELD_BYTES_MAX).await?;
    check_version(v)?;
    let worker: WorkerId =
        worker.parse().map_err(|error: IdError| Refusal::bad_request(error.to_string()))?;
    let worker = known_as(&caller.0.user, &worker)?;
    app.api.remote_workers.contact(&*app.store, &app.stop, &worker)?;
    let mut all = Vec::new();
    for p in 0..app.store.partitions() {
        let ask = Query::Held { worker: worker.clone() };
        let QueryReply::Held(held) = app.store.read(PartitionId(p), ask).await? else {
            return Err(Refusal::internal(&"the store answered another question"));
        };
        all.extend(held.into_iter().map(shown));
    }
    Ok(Json(HeldResponse { v: V, held: all }))
}

/// A lease as it travels.
pub(super) fn shown(held: Held) -> HeldBody {
    HeldBody {
        lease: held.lease.to_string(),
        n: held.n,
        descriptor: held.descriptor.as_ref().into(),
        state: held.state.as_deref().map(Into::into),
    }
}
