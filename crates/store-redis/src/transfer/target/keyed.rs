//! Idempotency keys that are read in, after their tasks.

use redis::{Cmd, Pipeline, cmd};
use tasktonic_core::Name;
use tasktonic_core::limits::KEY_SLACK_MS;
use tasktonic_core::partition::Key;
use tasktonic_core::routing::PartitionId;
use tasktonic_protocol::stored::queue_in;
use tasktonic_store::Result;

use super::{Import, TOGETHER_MAX};
use crate::open::text_of;
use crate::router::Place;
use crate::script::KEY_MS_MAX;
use crate::wire::KeptKey;

impl Import {
    /// Keys, each of which names the queue of its task. That is read from the task, which has come
    /// before.
    pub(super) async fn keyed(&self, p: PartitionId, found: &[Key], now_ms: i64) -> Result<()> {
        let names = self.store.keys(p)?;
        for found in found.chunks(TOGETHER_MAX) {
            let mut asked = Pipeline::new();
            for Key { user, task, .. } in found {
                asked.add_command(cmd("GET").arg(names.descriptor(user, *task)).clone());
            }
            let router = &self.store.shared.router;
            let texts = router.commands(Place::Partition(p), &asked, true).await?;
            let set = |(key, text): (&Key, &redis::Value)| {
                let Key { user, key, task, body_hash, expires_ms } = key;
                let queue = queue_in(&text_of(text));
                let queue = queue.as_ref().map_or("", Name::as_str);
                let (task, body_hash, expires_ms) = (*task, *body_hash, *expires_ms);
                let value = KeptKey { task, body_hash, expires_ms, queue }.to_string();
                let left_ms = expires_ms.saturating_sub(now_ms).clamp(0, KEY_MS_MAX) + KEY_SLACK_MS;
                let name = names.idempotency(user, key);
                cmd("SET").arg(name).arg(value).arg("PX").arg(left_ms).clone()
            };
            let sets: Vec<Cmd> = found.iter().zip(&texts).map(set).collect();
            self.send(Place::Partition(p), &sets).await?;
        }
        Ok(())
    }
}
