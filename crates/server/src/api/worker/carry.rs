//! One sync of a remote worker, carried out: its reports sent to the partitions of their users,
//! its claim filled from the partitions in turn, and the answers merged. A partition that does not
//! answer costs the others nothing. Lost leases that are adopted on the way are settled here.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tasktonic_core::Name;
use tasktonic_core::command::{Claim, Op, Report, Sync as SyncCommand, Write};
use tasktonic_core::limits::CLAIM_MAX;
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_protocol::worker::{StoppedAt, SyncResponse, V};
use tasktonic_store::{Error as StoreError, Held, Losses, SyncReply, settle_after};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::held::shown;
use super::parts::AWAY;
use crate::App;
use crate::problem::Refusal;

/// How long one partition of several may take to answer. A worker waits five seconds for the whole
/// answer, and must hear of the others meanwhile.
const PART_WAIT: Duration = Duration::from_secs(2);
/// After this no further partition is asked for work.
const CLAIM_WAIT: Duration = Duration::from_millis(2_500);

/// What the partitions have answered so far.
struct Merged {
    answer: SyncResponse,
    /// The epoch of the partitions whose tasks were claimed.
    claimed_in: Option<u32>,
    /// Whether any partition answered.
    heard: bool,
    /// Why one did not.
    failure: Option<Refusal>,
}

/// Work is looked for in the partition `first`, if there is one of this number, and then in the others.
pub(super) async fn carry_out(
    app: &Arc<App>,
    command: SyncCommand,
    first: Option<u16>,
    partly: bool,
) -> Result<SyncResponse, Refusal> {
    let mut merged = Merged {
        answer: SyncResponse { v: V, ..SyncResponse::default() },
        claimed_in: None,
        heard: false,
        failure: None,
    };
    if app.store.partitions() == 1 {
        let p = PartitionId(0);
        let mut reply = call(app, p, command).await?;
        merged.stop(p, reply.stopped_at.take());
        merged.take(reply, |index| index);
        return Ok(merged.answer);
    }
    let (has_ops, claims) = (!command.ops.is_empty(), command.claim.is_some());
    let woken = !command.woken.is_empty();
    // All reports first: an error after a claim would strand what was claimed.
    if has_ops {
        report(app, &command, &mut merged).await;
        let lost = !merged.answer.unheard.is_empty();
        if let Some(failure) = merged.failure.take_if(|_| lost && !(partly && merged.heard)) {
            return Err(failure);
        }
    }
    if claims || woken || !has_ops {
        look(app, &command, first, &mut merged).await;
    }
    merged.end()
}

/// Sends each report to the partition of its user, all partitions at once.
async fn report(app: &Arc<App>, command: &SyncCommand, merged: &mut Merged) {
    let partitions = app.store.partitions();
    let mut shares: Vec<(Vec<u32>, Vec<Op>)> = vec![Default::default(); partitions.into()];
    for (index, op) in (0..).zip(&command.ops) {
        let PartitionId(p) = partition_of(&op.lease.user, partitions);
        let (indexes, ops) = &mut shares[usize::from(p)];
        indexes.push(index);
        ops.push(op.clone());
    }
    let calls = (0..partitions).zip(shares).filter(|(_, (_, ops))| !ops.is_empty());
    let calls = calls.map(|(p, (indexes, ops))| async move {
        let reports = SyncCommand { ops, ..bare(command) };
        (indexes, ask(app, PartitionId(p), reports).await)
    });
    for (indexes, answer) in join_all(calls).await {
        match answer {
            Ok(reply) => merged.take(reply, |index| indexes[index as usize]),
            Err(refusal) => {
                merged.answer.unheard.extend(indexes);
                merged.failure = Some(refusal);
            }
        }
    }
    merged.answer.unheard.sort_unstable();
}

/// Looks for work in one partition after the other, and tells them of wakes that were for others.
async fn look(app: &Arc<App>, command: &SyncCommand, first: Option<u16>, merged: &mut Merged) {
    let (began, partitions) = (Instant::now(), app.store.partitions());
    // The next call begins one partition further, so that none is always served last.
    let turn = u16::try_from(command.call % u64::from(partitions)).expect("below a u16");
    let first = first.filter(|first| *first < partitions).unwrap_or(turn);
    // Places that are left.
    let mut left = command.claim.as_ref().map_or(0, |claim| claim.limit);
    for p in (0..partitions).map(|turn| PartitionId((first + turn) % partitions)) {
        let parts = &app.api.partitions;
        let got = merged.answer.claimed.len();
        // Where the claim has stopped, what is left is not for those who come later.
        let goes_on = merged.answer.stopped_at.is_none() && got < CLAIM_MAX as usize;
        let room = if goes_on { left } else { 0 };
        // One answer has one epoch, and fences of another partition's epoch would not rise.
        if merged.claimed_in.is_some() && room > 0 && parts.epoch(p) == 0 && parts.is_there(p) {
            // Not asked so far: it tells its epoch first. If it does not, it is not asked for more.
            let _ = ask(app, p, bare(command)).await;
        }
        let fits = merged.claimed_in.is_none_or(|epoch| epoch == parts.epoch(p));
        let claim = command.claim.as_ref().filter(|_| room > 0 && fits);
        if command.claim.is_some() && claim.is_none() && command.woken.is_empty() {
            continue;
        }
        if !parts.is_there(p) || began.elapsed() > CLAIM_WAIT {
            merged.looks_again_soon();
            continue;
        }
        let part = SyncCommand {
            claim: claim.map(|claim| Claim { limit: room, ..claim.clone() }),
            woken: command.woken.clone(),
            park: command.park && got == 0,
            ..bare(command)
        };
        match ask(app, p, part).await {
            Ok(mut reply) => {
                if merged.claimed_in.is_some_and(|epoch| epoch != reply.epoch) {
                    // It has begun a new epoch at this very moment.
                    give_back(app, p, command, std::mem::take(&mut reply.claimed)).await;
                }
                if let Some(claim) = &command.claim {
                    let took = |held: &Held| claim.places_of(&held.lease.queue);
                    left = left.saturating_sub(reply.claimed.iter().map(took).sum());
                }
                merged.stop(p, reply.stopped_at.take());
                merged.take(reply, |index| index);
            }
            Err(refusal) => {
                merged.failure = Some(refusal);
                merged.looks_again_soon();
            }
        }
    }
}

impl Merged {
    fn take(&mut self, reply: SyncReply, place: impl Fn(u32) -> u32) {
        self.heard = true;
        if !reply.claimed.is_empty() {
            self.claimed_in = Some(reply.epoch);
        }
        let into = &mut self.answer;
        into.refused.extend(reply.refused.into_iter().map(&place));
        into.refused.sort_unstable();
        into.unheard.extend(reply.unheard.into_iter().map(place));
        into.cancelled.extend(reply.cancelled.iter().map(ToString::to_string));
        into.claimed.extend(reply.claimed.into_iter().map(shown));
        into.more = into.more.saturating_add(reply.more);
        into.next_in_ms = into.next_in_ms.into_iter().chain(reply.next_in_ms).min();
        into.epoch = self.claimed_in.unwrap_or(into.epoch.max(reply.epoch));
    }

    /// The claim has stopped in a partition, if at any queue.
    fn stop(&mut self, PartitionId(part): PartitionId, queue: Option<Name>) {
        let stopped = queue.map(|queue| StoppedAt { queue: queue.to_string(), part });
        self.answer.stopped_at = self.answer.stopped_at.take().or(stopped);
    }

    /// A partition was not looked at: the worker comes back for it.
    fn looks_again_soon(&mut self) {
        let soon_ms = u64::try_from(AWAY.as_millis()).unwrap_or(u64::MAX);
        self.answer.next_in_ms = Some(self.answer.next_in_ms.map_or(soon_ms, |ms| ms.min(soon_ms)));
    }

    fn end(self) -> Result<SyncResponse, Refusal> {
        match self.failure {
            Some(failure) if !self.heard => Err(failure),
            _ => Ok(self.answer),
        }
    }
}

/// The same command with nothing in it.
fn bare(command: &SyncCommand) -> SyncCommand {
    SyncCommand {
        worker: command.worker.clone(),
        call: command.call,
        lease_ms: command.lease_ms,
        ops: Vec::new(),
        claim: None,
        woken: Vec::new(),
        park: false,
    }
}

/// One partition's sync, for as long as one may take. What it claims after that is given back.
async fn ask(app: &Arc<App>, p: PartitionId, command: SyncCommand) -> Result<SyncReply, Refusal> {
    let mut running = tokio::spawn({
        let (app, command) = (app.clone(), command.clone());
        async move { call(&app, p, command).await }.in_current_span()
    });
    let Ok(ended) = timeout(PART_WAIT, &mut running).await else {
        app.api.partitions.silent(p);
        let app = app.clone();
        tokio::spawn(async move {
            if let Ok(Ok(reply)) = running.await {
                give_back(&app, p, &command, reply.claimed).await;
            }
        });
        return Err(StoreError::OutcomeUnknown.into());
    };
    let reply = ended.unwrap_or_else(|error| Err(Refusal::internal(&error)));
    match &reply {
        Ok(reply) => app.api.partitions.answered(p, reply.epoch),
        Err(_) => app.api.partitions.silent(p),
    }
    reply
}

/// Gives claims back unharmed that cannot reach their worker.
async fn give_back(app: &App, p: PartitionId, command: &SyncCommand, claimed: Vec<Held>) {
    if claimed.is_empty() {
        return;
    }
    let release = |held: Held| Op {
        report: Report::Release {
            write: Write { n: held.n + 1, body: "".into(), event: None },
            attempt: None,
        },
        lease: held.lease,
    };
    let ops = claimed.into_iter().map(release).collect();
    if let Err(error) = app.store.sync(p, SyncCommand { ops, ..bare(command) }).await {
        // Their leases run out, and somebody adopts them.
        tracing::warn!(%error, partition = p.0, "claims that came too late could not be given back");
    }
}

/// One partition's sync, and the end of leases that were lost: a remote worker is not troubled
/// with those.
async fn call(app: &App, p: PartitionId, command: SyncCommand) -> Result<SyncReply, Refusal> {
    let settler = bare(&command);
    let began = Instant::now();
    let said: Vec<(Name, Option<&'static str>)> =
        command.ops.iter().map(|op| (op.lease.queue.clone(), outcome(&op.report))).collect();
    let mut reply = app.store.sync(p, command).await.inspect_err(|error| {
        app.metrics.store_failed(error);
    })?;
    app.metrics.synced(began.elapsed());
    for (index, (queue, outcome)) in (0..).zip(&said) {
        if let Some(outcome) = outcome.filter(|_| !reply.refused.contains(&index)) {
            app.metrics.ended(queue.as_str(), outcome);
        }
    }
    let adopted = std::mem::take(&mut reply.adopted);
    if !adopted.is_empty() {
        app.metrics.adopted(adopted.len() as u64);
        let losses = Losses::read(&*app.store, p, &adopted).await;
        let now_ms = app.clock.now_ms();
        let ops = settle_after(&losses, &adopted, &reply.cancelled, now_ms, rand::random::<f64>);
        reply.cancelled.retain(|lease| !adopted.iter().any(|held| held.lease == *lease));
        let settled = app.store.sync(p, SyncCommand { ops, ..settler }).await.map(drop);
        if let Err(error) = losses.unread().cloned().map_or(settled, Err) {
            // Their leases run out again, and the next sync adopts them again.
            tracing::warn!(%error, count = adopted.len(), "lost leases could not be settled");
        }
    }
    Ok(reply)
}

/// The word for what a report ends; nothing if the attempt goes on.
const fn outcome(report: &Report) -> Option<&'static str> {
    match report {
        Report::Heartbeat | Report::Progress { .. } | Report::Log { .. } => None,
        Report::Ack { .. } => Some("completed"),
        Report::Nack { .. } => Some("failed_attempt"),
        Report::Bury { .. } => Some("failed"),
        Report::Cancelled { .. } => Some("cancelled"),
        Report::Snooze { .. } => Some("snoozed"),
        Report::Release { .. } => Some("released"),
    }
}
