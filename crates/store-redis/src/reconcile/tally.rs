//! What is counted of a user, compared with what there is.

use redis::cmd;
use tasktonic_core::{TaskId, UserId};
use tasktonic_store::Result;

use super::Reconciler;
use super::read::{CHUNK, Reader};
use super::suspect::Suspect;
use crate::open::{items_of, text_of};
use crate::store::split;
use crate::wire::Tally;

impl Reconciler {
    /// What is counted of a user, as it is kept.
    pub(super) async fn kept_tally(&self, reader: &Reader<'_>, user: &UserId) -> Result<String> {
        Ok(text_of(&reader.one(cmd("GET").arg(reader.keys.tally(user))).await?))
    }

    /// A suspect where it was `before` all tasks were counted, still is, and is something else than
    /// `counted`: it changes with every task that does.
    pub(super) async fn odd_tally(
        &self,
        reader: &Reader<'_>,
        user: &UserId,
        before: String,
        counted: Tally,
    ) -> Result<Option<Suspect>> {
        let kept = Tally::of(&before);
        let counted = Tally { bytes_max: kept.and_then(|kept| kept.bytes_max), ..counted };
        if kept == Some(counted) || self.kept_tally(reader, user).await? != before {
            return Ok(None);
        }
        Ok(Some(Suspect::Tally(user.clone(), before, counted.to_string())))
    }

    /// The same where something else of the user was repaired: all is counted anew.
    pub(super) async fn recounted(&self, reader: &Reader<'_>, user: &UserId) -> Result<u64> {
        let before = self.kept_tally(reader, user).await?;
        let (mut counted, mut after) = (Tally::default(), "-".to_owned());
        loop {
            let mut page = cmd("ZRANGE");
            page.arg(reader.keys.index(user)).arg(&after).arg("+").arg("BYLEX");
            let reply = reader.one(page.arg("LIMIT").arg(0).arg(CHUNK)).await?;
            let entries: Vec<String> = items_of(&reply).iter().map(text_of).collect();
            let task = |entry: &String| Some((user.clone(), split(entry).0.parse().ok()?));
            let tasks: Vec<(UserId, TaskId)> = entries.iter().filter_map(task).collect();
            for glance in reader.glance(&tasks).await?.iter().filter(|glance| glance.exists) {
                counted.count(glance.head.as_ref(), glance.bytes.0, glance.bytes.1);
            }
            match entries.last() {
                Some(last) if entries.len() == CHUNK => after = format!("({last}"),
                _ => break,
            }
        }
        let odd = self.odd_tally(reader, user, before, counted).await?;
        self.settle(reader, odd.as_slice()).await
    }
}
