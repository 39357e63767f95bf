//! What becomes of lost leases: decided by the policies of `core`, sent by whoever adopted them.

use tasktonic_core::command::{Again, Op, Report, Write};
use tasktonic_core::policy::{Verdict, after_loss, keep_s};
use tasktonic_core::{Lease, TaskState};
use tasktonic_protocol::stored::{AttemptRecord, Descriptor, StateBody, StoredState, TaskError};

use crate::Held;

/// The operations that settle adopted leases: another attempt, or the end. `chance` gives a
/// number in 0..1 for each wait.
pub fn settle(
    adopted: &[Held],
    cancelled: &[Lease],
    now_ms: i64,
    mut chance: impl FnMut() -> f64,
) -> Vec<Op> {
    adopted.iter().map(|held| settle_one(held, cancelled, now_ms, chance())).collect()
}

fn settle_one(held: &Held, cancelled: &[Lease], now_ms: i64, chance: f64) -> Op {
    let lease = held.lease.clone();
    let error = TaskError {
        code: "worker_lost".into(),
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
    let verdict = after_loss(lease.attempt, descriptor.attempts_max, &descriptor.backoff(), chance);
    let again = match verdict {
        Verdict::Bury => {
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
