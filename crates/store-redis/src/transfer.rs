//! The store written out, and an empty one that is read into. A mark in the configuration says that
//! an import is under way: such a store opens for nothing but the import that finishes it.

mod source;
mod target;
mod ties;

use std::time::Duration;

use redis::{Pipeline, cmd};
use tasktonic_core::routing::PartitionId;
use tasktonic_store::Result;

use crate::open::{items_of, text_of};
use crate::router::Place;
use crate::store::RedisStore;

pub(crate) use source::Known;
pub use target::Import;

/// Every server and worker looks after each partition about once a second: one that nobody has
/// looked after for so long is not in use, in ms.
const UNUSED_MS: i64 = 5_000;
/// How often is looked whether somebody does, in ms.
const LOOK_AGAIN_MS: u64 = 250;

impl RedisStore {
    /// Whether a process of ours works on this store, listening or not. The answer takes up to
    /// five seconds where one has worked on it a moment ago.
    ///
    /// # Errors
    /// [`Error::Unavailable`](tasktonic_store::Error::Unavailable).
    pub async fn is_worked_on(&self) -> Result<bool> {
        let mut first = None;
        loop {
            let looked = self.looked_after().await?;
            if looked.iter().all(|(_, ago_ms)| *ago_ms >= UNUSED_MS) {
                return Ok(false);
            }
            let at: Vec<i64> = looked.into_iter().map(|(at_ms, _)| at_ms).collect();
            // Looked after again, while we waited.
            if *first.get_or_insert_with(|| at.clone()) != at {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(LOOK_AGAIN_MS)).await;
        }
    }

    /// When each partition was looked after last, by the clock of whoever did, and how long ago.
    async fn looked_after(&self) -> Result<Vec<(i64, i64)>> {
        let mut looked = Vec::with_capacity(self.shared.keys.len());
        for (p, keys) in (0..).map(PartitionId).zip(&self.shared.keys) {
            let mut asked = Pipeline::new();
            asked.add_command(cmd("HGET").arg(keys.meta()).arg("mt").clone());
            asked.add_command(cmd("TIME"));
            let replies = self.shared.router.read(p, &asked).await?;
            let number = |text: &redis::Value| text_of(text).parse::<i64>().unwrap_or(0);
            let at_ms = replies.first().map_or(0, number);
            let time = replies.get(1).map(items_of).unwrap_or_default();
            let time_ms = match (self.shared.options.script_now_ms(), time) {
                (Some(now_ms), _) => now_ms,
                (None, [s, us]) => number(s) * 1_000 + number(us) / 1_000,
                (None, _) => 0,
            };
            // Another master's clock may be ahead of this one's.
            looked.push((at_ms, (time_ms - at_ms).saturating_abs()));
        }
        Ok(looked)
    }

    /// How many processes of ours listen on this store now, servers and workers; one that only
    /// looks, as this one, is not among them unless it listens too.
    ///
    /// # Errors
    /// [`Error::Unavailable`](tasktonic_store::Error::Unavailable).
    pub async fn listeners(&self) -> Result<usize> {
        let mut most = 0;
        for (p, keys) in (0..).map(PartitionId).zip(&self.shared.keys) {
            let mut asked = Pipeline::new();
            let pattern = format!("{}*", glob(&keys.echo("")));
            asked.add_command(cmd("PUBSUB").arg("SHARDCHANNELS").arg(pattern).clone());
            let replies = self.shared.router.commands(Place::Partition(p), &asked, true).await?;
            most = most.max(replies.first().map(items_of).unwrap_or_default().len());
        }
        Ok(most)
    }
}

/// `text` as a pattern that matches nothing else.
fn glob(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
