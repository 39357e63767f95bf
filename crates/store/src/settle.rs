//! What becomes of lost leases: decided by the policies of `core`, sent by whoever adopted them.

use std::collections::BTreeMap;

use tasktonic_core::command::{Again, Op, Report, Write};
use tasktonic_core::policy::{Verdict, Why, after_loss, keep_s, losses_so_far};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Lease, TaskState};
use tasktonic_protocol::stored::{AttemptRecord, Descriptor, StateBody, StoredState, TaskError};

use crate::{Error, Held, Query, QueryReply, Store};

/// The code of the error of an attempt whose worker was lost.
pub const WORKER_LOST: &str = "worker_lost";

/// How often adopted tasks lost their worker so far, where that may decide what becomes of them.
#[derive(Debug, Clone, Default)]
pub struct Losses {
    known: BTreeMap<Lease, u32>,
    unread: Option<Error>,
}

impl Losses {
    /// Reads the history of those adopted tasks for which it may decide: one read for each, and none
    /// for a task that has had fewer attempts than crashes are allowed. What cannot be read is left
    /// out, and such a task is not settled: its lease runs out again, and it is adopted again.
    pub async fn read(store: &dyn Store, partition: PartitionId, adopted: &[Held]) -> Self {
        let mut losses = Self::default();
        for held in adopted.iter().filter(|held| is_history_needed(held)) {
            let lease = &held.lease;
            let query = Query::Attempts { user: lease.user.clone(), task: lease.task };
            let rows = match store.read(partition, query).await {
                Ok(QueryReply::Attempts(rows)) => rows,
                Ok(_) => continue,
                Err(error) => {
                    losses.unread = Some(error);
                    continue;
                }
            };
            let record = |text: &str| serde_json::from_str::<AttemptRecord>(text).ok();
            let history: Vec<(u32, bool)> = rows
                .iter()
                .filter_map(|row| record(&row.text))
                .map(|record| (record.a, record.o == "lost"))
                .collect();
            losses.known.insert(lease.clone(), losses_so_far(lease.attempt, &history));
        }
        losses
    }

    /// Why a history could not be read, if one could not.
    #[must_use]
    pub fn unread(&self) -> Option<&Error> {
        self.unread.as_ref()
    }

    /// With the present one; at least one if nothing else is known.
    fn of(&self, lease: &Lease) -> u32 {
        self.known.get(lease).copied().unwrap_or(1)
    }
}

/// Whether earlier crashes may decide: there were as many attempts as there may be crashes, and
/// neither is it the last attempt anyway nor may there be but one crash.
fn is_history_needed(held: &Held) -> bool {
    let Ok(descriptor) = Descriptor::parse(&held.descriptor) else { return false };
    let crashes_max = descriptor.crashes_max();
    crashes_max > 1 && held.lease.attempt >= crashes_max
}

/// The operations that settle adopted leases: another attempt, or the end. `chance` gives a
/// number in 0..1 for each wait. No earlier crash is known: see [`settle_after`].
pub fn settle(
    adopted: &[Held],
    cancelled: &[Lease],
    now_ms: i64,
    mut chance: impl FnMut() -> f64,
) -> Vec<Op> {
    let none = Losses::default();
    adopted.iter().map(|held| settle_one(held, &none, cancelled, now_ms, chance())).collect()
}

/// The same with the crashes so far, by which a task that kills its workers ends. A task whose
/// history is needed and not in `losses` is left out.
pub fn settle_after(
    losses: &Losses,
    adopted: &[Held],
    cancelled: &[Lease],
    now_ms: i64,
    mut chance: impl FnMut() -> f64,
) -> Vec<Op> {
    adopted
        .iter()
        .filter(|held| losses.known.contains_key(&held.lease) || !is_history_needed(held))
        .map(|held| settle_one(held, losses, cancelled, now_ms, chance()))
        .collect()
}

fn settle_one(held: &Held, losses: &Losses, cancelled: &[Lease], now_ms: i64, chance: f64) -> Op {
    let lease = held.lease.clone();
    let error = TaskError {
        code: WORKER_LOST.into(),
        message: "The worker stopped answering while it ran this attempt.".into(),
    };
    let before: Option<StoredState> =
        held.state.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let started_ms = before.as_ref().and_then(|s| s.body.st.or(Some(s.at)));
    let worker = before.as_ref().and_then(StoredState::worker);
    let mut body = StateBody {
        started_ms,
        worker: worker.clone(),
        error: Some(error.clone()),
        ..StateBody::default()
    };
    let n = held.n + 1;
    let Ok(descriptor) = Descriptor::parse(&held.descriptor) else {
        // A record nobody can read must not go round for ever.
        body.error = Some(TaskError {
            code: "record_unreadable".into(),
            message: "The stored description of this task cannot be read.".into(),
        });
        let write = Write { n, body: body.members(), event: None };
        let keep_s = tasktonic_core::policy::Retention::DEFAULT.dead_s;
        return Op { lease, report: Report::Bury { write, keep_s } };
    };
    let key_expires_ms = descriptor.key.as_ref().map(|(_, at)| *at);
    let keep = |state| keep_s(descriptor.retention().of(state), key_expires_ms, now_ms);
    if cancelled.contains(&lease) {
        body.error = None;
        body.reason = Some("cancelled on request".into());
        let write = Write { n, body: body.members(), event: None };
        return Op {
            lease,
            report: Report::Cancelled { write, keep_s: keep(TaskState::Cancelled) },
        };
    }
    let policy = descriptor.attempts_policy();
    let lost = losses.of(&lease);
    let again = match after_loss(&policy, lease.attempt, lost, WORKER_LOST, chance) {
        Verdict::Bury(why) => {
            body.reason = match why {
                Why::Crashes if lost > 1 => Some(format!(
                    "{WORKER_LOST} {lost} times: it may be the task that ends its workers, so it is not started again by itself"
                )),
                Why::Crashes => Some(format!(
                    "{WORKER_LOST}: it may be the task that ended its worker, so it is not started again by itself"
                )),
                Why::Rule => Some(format!("no further attempt follows {WORKER_LOST}")),
                Why::AttemptsUsed => None,
            };
            let write = Write { n, body: body.members(), event: None };
            return Op { lease, report: Report::Bury { write, keep_s: keep(TaskState::Dead) } };
        }
        Verdict::AgainNow => Again::Now,
        Verdict::AgainIn(wait_ms) => Again::At(now_ms.saturating_add_unsigned(wait_ms)),
    };
    let attempt = AttemptRecord {
        a: lease.attempt,
        o: "lost".into(),
        wk: worker,
        st: started_ms,
        en: now_ms,
        err: Some(error),
    };
    body.started_ms = None;
    let write = Write { n, body: body.members(), event: None };
    let report =
        Report::Nack { write, again, attempt: attempt.text(), keep_s: keep(TaskState::Cancelled) };
    Op { lease, report }
}
