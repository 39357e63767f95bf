//! How much each user has: counted once from the object store, then kept in step. What is on its
//! way in is counted before it is written, so no number of uploads at once gets past the limit.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tasktonic_core::UserId;
use tokio::sync::OnceCell;

use crate::Error;

/// Users whose space is remembered while none of their files moves.
const USERS_REMEMBERED_MAX: usize = 4_096;

/// The space of every user whose files moved lately.
#[derive(Debug, Default)]
pub(crate) struct Spaces(Mutex<HashMap<UserId, Arc<Space>>>);

/// The space of one user.
#[derive(Debug, Default)]
pub(crate) struct Space {
    counted: OnceCell<()>,
    used: Mutex<u64>,
    /// Held while files are removed or noted as used, so that these see each other.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

impl Spaces {
    /// The space of `user`, counted by `count` unless it is known.
    pub(crate) async fn of(
        &self,
        user: &UserId,
        count: impl Future<Output = Result<u64, Error>>,
    ) -> Result<Arc<Space>, Error> {
        let space = {
            let mut spaces = self.0.lock();
            if spaces.len() >= USERS_REMEMBERED_MAX && !spaces.contains_key(user) {
                // Whoever is at work holds a second reference.
                spaces.retain(|_, space| Arc::strong_count(space) > 1);
            }
            spaces.entry(user.clone()).or_default().clone()
        };
        space
            .counted
            .get_or_try_init(|| async {
                let bytes = count.await?;
                *space.used.lock() = bytes;
                Ok::<_, Error>(())
            })
            .await?;
        Ok(space)
    }
}

impl Space {
    /// Room for nothing yet, under a limit.
    pub(crate) fn reserve(self: &Arc<Self>, limit_bytes: u64) -> Reservation {
        Reservation { space: self.clone(), bytes: 0, limit_bytes }
    }

    /// Notes that this much is gone.
    pub(crate) fn removed(&self, bytes: u64) {
        let mut used = self.used.lock();
        *used = used.saturating_sub(bytes);
    }
}

/// Space that is taken while content comes in; given back when it is dropped before
/// [`Reservation::keep`].
#[derive(Debug)]
pub(crate) struct Reservation {
    space: Arc<Space>,
    bytes: u64,
    limit_bytes: u64,
}

impl Reservation {
    /// Takes `bytes` more.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), Error> {
        let mut used = self.space.used.lock();
        let wanted = used.saturating_add(bytes);
        if wanted > self.limit_bytes {
            return Err(Error::Quota { limit_bytes: self.limit_bytes });
        }
        *used = wanted;
        self.bytes += bytes;
        Ok(())
    }

    /// The content is there: the space stays taken.
    pub(crate) fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.space.removed(self.bytes);
    }
}
