//! `sync` of a remote worker: checked, then waited for or carried out.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::worker::{SyncRequest, SyncResponse, V, V_MIN, WAIT_MS_MAX};

use super::carry::carry_out;
use super::known_as::known_as;
use super::sessions::Session;
use super::texts;
use crate::App;
use crate::api::access::{Need, check};
use crate::api::body;
use crate::door::Caller;
use crate::problem::Refusal;

/// Largest body of a sync, in bytes: a full one with outputs of the usual size.
pub(super) const SYNC_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) async fn sync(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Json<SyncResponse>, Refusal> {
    check(&caller, Need::Work)?;
    let (parts, content) = request.into_parts();
    let asked: SyncRequest = body::read(&app, &caller, &parts, content, SYNC_BYTES_MAX).await?;
    check_version(asked.v)?;
    for op in &asked.ops {
        texts::check(op)?;
    }
    let (wait_ms, partly) = (asked.wait_ms.min(WAIT_MS_MAX), asked.partly);
    let first = asked.claim.as_ref().and_then(|claim| claim.first);
    let mut command = asked.into_sync().map_err(|error| Refusal::bad_request(error.to_string()))?;
    command.worker = known_as(&caller.0.user, &command.worker)?;
    if command.ops.iter().any(|op| op.lease.worker != command.worker) {
        let detail = "A worker reports on its own leases only.";
        return Err(Refusal::new(Code::Forbidden, detail));
    }
    let sessions = &app.api.remote_workers;
    let idle = command.claim.is_none() && command.ops.is_empty() && command.woken.is_empty();
    if idle && wait_ms > 0 {
        let session = sessions.contact(&*app.store, &app.stop, &command.worker)?;
        return Ok(Json(wait(&app, &session, wait_ms).await));
    }
    tasktonic_store::limits::check_sync(&command)?;
    // The session listens before the worker parks.
    let session = sessions.contact(&*app.store, &app.stop, &command.worker)?;
    let Some(claim) = command.claim.as_ref().filter(|claim| command.park && claim.limit > 0) else {
        return Ok(Json(carry_out(&app, command, first, partly).await?));
    };
    let looking = session.looks(&claim.queues);
    let answer = carry_out(&app, command, first, partly).await?;
    if answer.claimed.is_empty() && answer.stopped_at.is_none() {
        looking.found_nothing();
    }
    Ok(Json(answer))
}

/// Whether a version of the worker protocol is spoken here.
pub(super) fn check_version(v: u8) -> Result<(), Refusal> {
    if (V_MIN..=V).contains(&v) {
        return Ok(());
    }
    let detail = format!("This server speaks versions {V_MIN} to {V} of the worker protocol.");
    Err(Refusal::bad_request(detail))
}

async fn wait(app: &App, session: &Session, wait_ms: u32) -> SyncResponse {
    let heard = session.wait(Duration::from_millis(u64::from(wait_ms)), &app.stop).await;
    SyncResponse {
        v: V,
        woken: heard.woken.iter().map(ToString::to_string).collect(),
        cancelled: heard.cancelled.iter().map(ToString::to_string).collect(),
        lagged: heard.lagged,
        ..SyncResponse::default()
    }
}
