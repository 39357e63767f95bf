//! What has to be done now and then though nobody asks: due tasks promoted, lost leases settled,
//! old records removed. Several servers may do it at once; every step is one of the store's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tasktonic_core::WorkerId;
use tasktonic_core::command::Sync as SyncCommand;
use tasktonic_core::limits::{LEASE_MS_DEFAULT, SYNC_OPS_MAX};
use tasktonic_core::routing::PartitionId;
use tasktonic_protocol::worker::{WORKER_SEEN_MS_MAX, WorkerRecord};
use tasktonic_store::{Losses, Table, settle_after};
use tokio::time::sleep;

use crate::App;
use crate::api::schedules;

/// Each partition is looked after at least this often.
const ROUND_MS_MAX: u64 = 1_000;
/// And at most this often.
const ROUND_MS_MIN: u64 = 20;
/// A partition that rests is only asked whether it still does, but for one round in so much time.
const REST: Duration = Duration::from_secs(10);
/// A tick that could not be taken is tried again after this long.
const TICK_AGAIN_MS: u64 = 1_000;
/// Key files of external issuers are looked at this often.
const ISSUERS_EVERY: Duration = Duration::from_secs(5);
/// The first cleaning comes soon after the start, the others hourly.
const CLEAN_FIRST: Duration = Duration::from_secs(30);
const CLEAN_EVERY: Duration = Duration::from_secs(3_600);
/// Workers are forgotten when nothing was heard of them for this many times the time after which
/// they are no longer shown.
const FORGET_WORKERS_AFTER: i64 = 20;

/// Starts the loops; they end with the server.
pub(crate) fn start(app: &Arc<App>) {
    for p in 0..app.store.partitions() {
        let app = app.clone();
        tokio::spawn(async move {
            let stop = app.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = look_after(&app, PartitionId(p)) => {}
            }
        });
    }
    let (cleaned, watched, set) = (app.clone(), app.clone(), app.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = set.stop.cancelled() => {}
            () = crate::api::settings::keep(&set) => {}
        }
    });
    tokio::spawn(async move {
        tokio::select! {
            () = cleaned.stop.cancelled() => {}
            () = clean_now_and_then(&cleaned) => {}
        }
    });
    // Not in the same loop: a long sweep must not keep a withdrawn key in use.
    tokio::spawn(async move {
        tokio::select! {
            () = watched.stop.cancelled() => {}
            () = watch_issuers(&watched) => {}
        }
    });
}

/// A worker that never claims: its syncs are the store's heartbeat. Random, as a new process must
/// not be taken for a dead one.
fn keeper() -> WorkerId {
    let id = format!("{}keep-{:016x}", WorkerId::IN_PROCESS, rand::random::<u64>());
    id.parse().expect("word characters, and short")
}

async fn look_after(app: &App, p: PartitionId) {
    let worker = keeper();
    let mut call = 0;
    let mut ops = Vec::new();
    // Since when it has been known that nothing there comes due.
    let mut resting: Option<Instant> = None;
    loop {
        if resting.is_some_and(|since| since.elapsed() < REST)
            && matches!(app.store.rests(p).await, Ok(true))
        {
            sleep(Duration::from_millis(ROUND_MS_MAX)).await;
            continue;
        }
        resting = None;
        call += 1;
        let request = SyncCommand {
            worker: worker.clone(),
            call,
            lease_ms: LEASE_MS_DEFAULT,
            ops: std::mem::take(&mut ops),
            claim: None,
            woken: Vec::new(),
            park: false,
        };
        let began = Instant::now();
        let answer = app.store.sync(p, request).await;
        match &answer {
            Ok(_) => app.metrics.synced(began.elapsed()),
            Err(error) => app.metrics.store_failed(error),
        }
        let wait_ms = match answer {
            Ok(reply) => {
                app.api.partitions.answered(p, reply.epoch);
                app.api.settings.told(p, reply.queues_version);
                let count = reply.adopted.len() as u64;
                let losses = Losses::read(&*app.store, p, &reply.adopted).await;
                if let Some(error) = losses.unread() {
                    // Their leases run out again, and they are adopted again.
                    tracing::warn!(partition = p.0, %error, "the history of a task whose worker was lost could not be read; it is settled later");
                }
                let now_ms = app.clock.now_ms();
                ops = settle_after(&losses, &reply.adopted, &reply.cancelled, now_ms, rand::random);
                debug_assert!(
                    ops.len() <= SYNC_OPS_MAX,
                    "one turn adopts no more than a sync says"
                );
                if count > 0 {
                    app.metrics.adopted(count);
                    tracing::info!(
                        partition = p.0,
                        leases = count,
                        "settles leases of lost workers"
                    );
                    0
                } else {
                    let comes = reply.next_in_ms.or(reply.schedule_in_ms).is_some();
                    if !comes && ops.is_empty() {
                        resting = Some(Instant::now());
                    }
                    let mut next_in_ms = reply.next_in_ms.unwrap_or(ROUND_MS_MAX);
                    if let Some(in_ms) = reply.schedule_in_ms {
                        let wait_ms = match in_ms {
                            0 if schedules::take_due(app, p).await => 0,
                            0 => TICK_AGAIN_MS,
                            ahead => ahead,
                        };
                        next_in_ms = next_in_ms.min(wait_ms);
                    }
                    next_in_ms.clamp(ROUND_MS_MIN, ROUND_MS_MAX)
                }
            }
            Err(error) => {
                // What was adopted runs out again, and is adopted again.
                tracing::warn!(partition = p.0, %error, "housekeeping could not reach the store");
                ROUND_MS_MAX
            }
        };
        sleep(Duration::from_millis(wait_ms)).await;
    }
}

async fn clean_now_and_then(app: &Arc<App>) {
    sleep(CLEAN_FIRST).await;
    loop {
        clean(app).await;
        sleep(CLEAN_EVERY).await;
    }
}

async fn watch_issuers(app: &App) {
    loop {
        sleep(ISSUERS_EVERY).await;
        let identity = app.identity.clone();
        // Files: a folder that does not answer must not hold up requests.
        if tokio::task::spawn_blocking(move || identity.reload_issuers()).await.is_err() {
            tracing::error!("the key files of issuers could not be looked at");
        }
    }
}

pub(crate) async fn clean(app: &Arc<App>) {
    match app.identity.forget_expired().await {
        Ok(0) => {}
        Ok(families) => tracing::info!(families, "removed sign-ins whose time was over"),
        Err(error) => tracing::warn!(%error, "old sign-ins could not be removed"),
    }
    if let Err(error) = app.identity.forget_tries().await {
        tracing::warn!(%error, "old tries to sign in could not be removed");
    }
    if let Err(error) = forget_workers(app).await {
        tracing::warn!(%error, "old workers could not be removed");
    }
    crate::erasure::resume(app).await;
    crate::sweep::files(app).await;
}

async fn forget_workers(app: &App) -> tasktonic_store::Result<()> {
    let registry = app.store.registry();
    let before_ms = app.clock.now_ms() - FORGET_WORKERS_AFTER * WORKER_SEEN_MS_MAX;
    for entry in registry.list(Table::Workers).await? {
        let old = serde_json::from_str::<WorkerRecord>(&entry.value)
            .is_ok_and(|worker| worker.seen_ms < before_ms);
        if old {
            registry.delete(Table::Workers, &entry.key).await?;
        }
    }
    Ok(())
}
