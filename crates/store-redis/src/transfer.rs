//! The store written out, and an empty one that is read into. A mark in the configuration says that
//! an import is under way: such a store opens for nothing but the import that finishes it.

mod source;
mod target;

use redis::{Pipeline, cmd};
use tasktonic_core::routing::PartitionId;
use tasktonic_store::Result;

use crate::open::items_of;
use crate::router::Place;
use crate::store::RedisStore;

pub(crate) use source::Known;
pub use target::Import;

impl RedisStore {
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
