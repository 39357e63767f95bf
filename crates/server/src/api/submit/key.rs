//! The key of a submission, as the store is told of it. Knows nothing of what is stored.

use sha2::{Digest as _, Sha256};
use tasktonic_core::command::{Idempotency, KeyMode as StoreMode, NewSerial, Replaced};
use tasktonic_core::policy::Retention;
use tasktonic_core::{Labels, TaskId, Text};
use tasktonic_protocol::http::{KeyMode, SubmitRequest};

/// The key of a checked submission of `task`; `kept` is what it says of its retention.
pub(super) fn idempotency(
    asked: &SubmitRequest,
    now_ms: i64,
    due_ms: Option<i64>,
    task: TaskId,
    kept: Option<[u32; 3]>,
) -> Option<Idempotency> {
    let key = asked.idempotency_key.as_deref()?;
    let replace = || {
        let keep_s = kept.map_or(Retention::DEFAULT.cancelled_s, |[_, cancelled_s, _]| cancelled_s);
        let body = Text::from(format!(r#""why":"replaced by {task}""#));
        StoreMode::Replace(Replaced { body, keep_s })
    };
    let mode = match asked.mode() {
        KeyMode::Ttl => StoreMode::Ttl,
        KeyMode::UntilDone => StoreMode::UntilDone,
        KeyMode::UntilStarted => StoreMode::UntilStarted,
        KeyMode::Unique => StoreMode::Unique,
        KeyMode::Throttle => StoreMode::Throttle,
        KeyMode::Debounce | KeyMode::Replace | KeyMode::Latest | KeyMode::Restart => replace(),
    };
    let ttl_ms = asked.key_ttl_ms(now_ms, due_ms);
    Some(Idempotency { mode, ..Idempotency::new(key, body_hash(asked), ttl_ms) })
}

/// The tasks a submission may not run beside. The engine knows their key as a number.
pub(super) fn serial(asked: &SubmitRequest) -> Option<NewSerial> {
    let digest = Sha256::digest(asked.serial()?);
    let (first, _) = digest.split_at(16);
    let key = u128::from_be_bytes(first.try_into().expect("sixteen bytes"));
    Some(NewSerial { key, stops_running: asked.mode() == KeyMode::Restart })
}

/// When a debounced submission is due: unless another comes before.
pub(super) fn quiet_until(asked: &SubmitRequest, now_ms: i64) -> Option<i64> {
    let window_ms = asked.key_window_ms.filter(|_| asked.mode() == KeyMode::Debounce)?;
    Some(now_ms.saturating_add_unsigned(window_ms))
}

/// Until when the task has to be there for its key: whoever comes under a dated one is answered
/// with it.
pub(super) fn kept_until_ms(asked: &SubmitRequest, now_ms: i64) -> i64 {
    if asked.mode().is_dated() { now_ms.saturating_add(asked.key_ttl_ms(now_ms, None)) } else { 0 }
}

/// What has to be equal for a repetition under the same key to be the same submission.
fn body_hash(asked: &SubmitRequest) -> u128 {
    let mut hash = Sha256::new();
    let mut part = |text: Option<&str>| {
        // Lengths keep the parts apart; an absent part is no empty one.
        let length = text.map_or(u64::MAX, |text| text.len() as u64);
        hash.update(length.to_be_bytes());
        hash.update(text.unwrap_or_default());
    };
    part(Some(&asked.kind));
    part(asked.queue.as_deref());
    part(Some(asked.payload.get()));
    part(asked.run_at.as_deref());
    part(asked.delay_ms.map(|ms| ms.to_string()).as_deref());
    // Only where it is said: other submissions keep the hash they had before there was any expiry.
    if asked.expires_at.is_some() || asked.expire_after_ms.is_some() {
        part(asked.expires_at.as_deref());
        part(asked.expire_after_ms.map(|ms| ms.to_string()).as_deref());
    }
    if let Some(key) = &asked.serial_key {
        part(Some("serial_key"));
        part(Some(key));
    }
    if let Some(needs) = &asked.needs {
        // What is no label is refused by then.
        part(Some("needs"));
        part(Some(&Labels::new(needs).unwrap_or_default().texts().join("+")));
    }
    let digest = hash.finalize();
    let (first, _) = digest.split_at(16);
    u128::from_be_bytes(first.try_into().expect("sixteen bytes"))
}
