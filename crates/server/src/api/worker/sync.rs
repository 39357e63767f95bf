//! `sync` of a remote worker: split over the partitions, merged again, and lost leases that it
//! adopts on the way settled here.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use tasktonic_core::command::{Claim, Op, Sync as SyncCommand};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::worker::{SyncRequest, SyncResponse, V, V_MIN, WAIT_MS_MAX};
use tasktonic_store::{SyncReply, settle};

use super::held::shown;
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
    let wait_ms = asked.wait_ms.min(WAIT_MS_MAX);
    let command = asked.into_sync().map_err(|error| Refusal::bad_request(error.to_string()))?;
    if command.ops.iter().any(|op| op.lease.worker != command.worker) {
        let detail = "A worker reports on its own leases only.";
        return Err(Refusal::new(Code::Forbidden, detail));
    }
    let owner = &caller.0.user;
    let idle = command.claim.is_none() && command.ops.is_empty() && command.woken.is_empty();
    if idle && wait_ms > 0 {
        let session =
            app.api.remote_workers.contact(&*app.store, &app.stop, &command.worker, owner)?;
        return Ok(Json(wait(&app, &session, wait_ms).await));
    }
    tasktonic_store::limits::check_sync(&command)?;
    // The session listens before the worker parks.
    let session = app.api.remote_workers.contact(&*app.store, &app.stop, &command.worker, owner)?;
    if let Some(claim) = command.claim.as_ref().filter(|_| command.park) {
        session.parks(&claim.queues);
    }
    Ok(Json(carry_out(&app, command).await?))
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
        ..SyncResponse::default()
    }
}

async fn carry_out(app: &App, command: SyncCommand) -> Result<SyncResponse, Refusal> {
    let partitions = app.store.partitions();
    let mut merged = SyncResponse { v: V, ..SyncResponse::default() };
    if partitions == 1 {
        let reply = call(app, PartitionId(0), command).await?;
        merge(&mut merged, reply, |index| index);
        return Ok(merged);
    }
    let SyncCommand { ops, claim, woken, park, .. } = &command;
    let bare = SyncCommand { ops: Vec::new(), claim: None, park: false, ..command.clone() };

    // All reports first: an error after a claim would strand what was claimed.
    let mut by_partition: Vec<(Vec<u32>, Vec<Op>)> = vec![Default::default(); partitions.into()];
    for (index, op) in (0..).zip(ops) {
        let PartitionId(p) = partition_of(&op.lease.user, partitions);
        let (indexes, ops) = &mut by_partition[usize::from(p)];
        indexes.push(index);
        ops.push(op.clone());
    }
    for (p, (indexes, ops)) in (0..partitions).zip(by_partition) {
        if ops.is_empty() {
            continue;
        }
        let reports = SyncCommand { ops, woken: Vec::new(), ..bare.clone() };
        let reply = call(app, PartitionId(p), reports).await?;
        merge(&mut merged, reply, |index| indexes[index as usize]);
    }
    if claim.is_none() && woken.is_empty() && !ops.is_empty() {
        return Ok(merged);
    }
    // The next call begins one partition further, so that none is always served last.
    let first = u16::try_from(command.call % u64::from(partitions)).expect("below a u16");
    for turn in 0..partitions {
        let p = PartitionId((first + turn) % partitions);
        let got = u32::try_from(merged.claimed.len()).unwrap_or(u32::MAX);
        let room = claim.as_ref().map(|claim| claim.limit.saturating_sub(got));
        let claim = claim.as_ref().zip(room).filter(|(_, room)| *room > 0);
        let part = SyncCommand {
            claim: claim.map(|(claim, limit)| Claim { queues: claim.queues.clone(), limit }),
            park: *park && got == 0,
            ..bare.clone()
        };
        match call(app, p, part).await {
            Ok(reply) => merge(&mut merged, reply, |index| index),
            Err(refusal) if got == 0 => return Err(refusal),
            // What was claimed has to reach its worker.
            Err(_) => break,
        }
    }
    Ok(merged)
}

/// One partition's sync, and the end of leases that were lost: a remote worker is not troubled
/// with those.
async fn call(app: &App, p: PartitionId, command: SyncCommand) -> Result<SyncReply, Refusal> {
    let settler = SyncCommand {
        ops: Vec::new(),
        claim: None,
        woken: Vec::new(),
        park: false,
        ..command.clone()
    };
    let mut reply = app.store.sync(p, command).await?;
    let adopted = std::mem::take(&mut reply.adopted);
    if !adopted.is_empty() {
        app.metrics.adopted(adopted.len() as u64);
        let now_ms = app.clock.now_ms();
        let ops = settle(&adopted, &reply.cancelled, now_ms, rand::random::<f64>);
        reply.cancelled.retain(|lease| !adopted.iter().any(|held| held.lease == *lease));
        if let Err(error) = app.store.sync(p, SyncCommand { ops, ..settler }).await {
            // Their leases run out again, and the next sync adopts them again.
            tracing::warn!(%error, count = adopted.len(), "lost leases could not be settled");
        }
    }
    Ok(reply)
}

fn merge(into: &mut SyncResponse, reply: SyncReply, place: impl Fn(u32) -> u32) {
    into.refused.extend(reply.refused.into_iter().map(place));
    into.refused.sort_unstable();
    into.cancelled.extend(reply.cancelled.iter().map(ToString::to_string));
    into.claimed.extend(reply.claimed.into_iter().map(shown));
    into.more = into.more.saturating_add(reply.more);
    into.next_in_ms = into.next_in_ms.into_iter().chain(reply.next_in_ms).min();
    into.epoch = into.epoch.max(reply.epoch);
}
