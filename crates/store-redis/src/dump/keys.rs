//! Keys of submissions as they lie in Redis: said as the model says them, and looked at whether they
//! are kept until their date. Never knows what a key means to the next submission.

use redis::Pipeline;
use tasktonic_core::UserId;
use tasktonic_core::limits::KEY_SLACK_MS;
use tasktonic_core::routing::PartitionId;
use tasktonic_protocol::stored::queue_in;
use tasktonic_store::Result;

use super::{CHUNK, Facts, Personal};
use crate::RedisStore;
use crate::script::KEY_MS_MAX;
use crate::wire::{KeptKey, number};

/// What Redis answers of the life of a key that is not there.
const GONE: i64 = -2;

impl RedisStore {
    /// How long keys of submissions still live.
    pub(super) async fn learn_lives(&self, p: PartitionId, facts: &mut Facts) -> Result<()> {
        let names = self.keys(p)?;
        for (user, personal) in &mut facts.users {
            let keys: Vec<_> = personal.keys.keys().cloned().collect();
            for chunk in keys.chunks(CHUNK) {
                let mut asked = Pipeline::new();
                for key in chunk {
                    asked.cmd("PTTL").arg(names.idempotency(user, key));
                }
                let answers = self.shared.router.read(p, &asked).await?;
                for (key, life) in chunk.iter().zip(&answers) {
                    personal.lives.insert(key.clone(), number(life)?);
                }
            }
        }
        Ok(())
    }
}

/// Keys that are not over, one line for each.
pub(super) fn lines(user: &UserId, personal: &Personal, now_ms: i64) -> Vec<String> {
    let line = |(key, value): (&String, &String)| {
        let KeptKey { task, body_hash, expires_ms, .. } = KeptKey::of(value)?;
        let line = || format!("key {user} {key:?} = {task} {body_hash:032x} until {expires_ms}");
        (expires_ms > now_ms).then(line)
    };
    personal.keys.iter().filter_map(line).collect()
}

/// A key names its task and that task's queue, and Redis forgets it, but not before its date.
pub(super) fn check(user: &UserId, personal: &Personal, now_ms: i64) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, value) in &personal.keys {
        let Some(kept) = KeptKey::of(value) else {
            wrong.push(format!("key {key:?} of {user} is {value:?}"));
            continue;
        };
        let left_ms = kept.expires_ms.saturating_sub(now_ms).clamp(0, KEY_MS_MAX);
        let life_ms = personal.lives.get(key).copied().unwrap_or(GONE);
        // One that was forgotten while all was read is no fault.
        let lives = left_ms..=KEY_MS_MAX + KEY_SLACK_MS;
        if life_ms != GONE && !lives.contains(&life_ms) {
            wrong.push(format!("key {key:?} of {user}: {left_ms} ms left, kept {life_ms} ms"));
        }
        let of = personal.tasks.get(&kept.task).and_then(|task| task.descriptor.as_deref());
        if let Some(queue) = of.and_then(queue_in)
            && queue.as_str() != kept.queue
        {
            wrong.push(format!("key {key:?} of {user} names {:?}, not {queue}", kept.queue));
        }
    }
    wrong
}
