//! How much each user has: counted once from the object store, then kept in step. What is on its
//! way in is counted before it is written, so no number of uploads at once gets past the limit.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tasktonic_core::UserId;
use tokio::sync::OnceCell;

use crate::{Error, FileLimits};

/// Users whose space is remembered while none of their files moves.
const USERS_REMEMBERED_MAX: usize = 4_096;

/// The space of every user whose files moved lately.
#[derive(Debug, Default)]
pub(crate) struct Spaces(Mutex<HashMap<UserId, Arc<Space>>>);

/// What one user has: files that can be seen, and those on their way in.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Used {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
}

/// The space of one user.
#[derive(Debug, Default)]
pub(crate) struct Space {
    counted: OnceCell<()>,
    used: Mutex<Used>,
    /// Held while files are removed or noted as used, so that these see each other.
    pub(crate) changing: tokio::sync::Mutex<()>,
    /// Held while the user's record in a shared ledger is changed: only other processes compete.
    pub(crate) booking: tokio::sync::Mutex<()>,
}

impl Spaces {
    /// The space of `user`, whether it was counted or not.
    pub(crate) fn uncounted(&self, user: &UserId) -> Arc<Space> {
        let mut spaces = self.0.lock();
        if spaces.len() >= USERS_REMEMBERED_MAX && !spaces.contains_key(user) {
            // Whoever is at work holds a second reference.
            spaces.retain(|_, space| Arc::strong_count(space) > 1);
        }
        spaces.entry(user.clone()).or_default().clone()
    }

    /// Forgets what is known of `user`: the next who asks counts anew.
    pub(crate) fn forget(&self, user: &UserId) {
        self.0.lock().remove(user);
    }

    /// The space of `user`, counted by `count` unless it is known.
    pub(crate) async fn of(
        &self,
        user: &UserId,
        count: impl Future<Output = Result<Used, Error>>,
    ) -> Result<Arc<Space>, Error> {
        let space = self.uncounted(user);
        space
            .counted
            .get_or_try_init(|| async {
                let used = count.await?;
                *space.used.lock() = used;
                Ok::<_, Error>(())
            })
            .await?;
        Ok(space)
    }
}

impl Space {
    /// Room for one more file, and for none of its bytes yet. A user who has no byte left hears it
    /// before anything is sent.
    pub(crate) fn reserve(self: &Arc<Self>, limits: FileLimits) -> Result<Reservation, Error> {
        let (limit_files, limit_bytes) = (limits.user_files_max, limits.user_bytes_max);
        let mut used = self.used.lock();
        if used.files >= limit_files {
            return Err(Error::TooMany { limit_files });
        }
        if used.bytes >= limit_bytes {
            return Err(Error::Quota { limit_bytes });
        }
        used.files += 1;
        Ok(Reservation { space: self.clone(), kept: false, bytes: 0, limit_bytes })
    }

    /// Notes that a file of this many bytes is gone.
    pub(crate) fn removed(&self, bytes: u64) {
        let mut used = self.used.lock();
        used.bytes = used.bytes.saturating_sub(bytes);
        used.files = used.files.saturating_sub(1);
    }
}

/// Space that is taken while content comes in; given back when it is dropped before
/// [`Reservation::keep`].
#[derive(Debug)]
pub(crate) struct Reservation {
    space: Arc<Space>,
    kept: bool,
    bytes: u64,
    limit_bytes: u64,
}

impl Reservation {
    /// Takes `bytes` more.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), Error> {
        let mut used = self.space.used.lock();
        let wanted = used.bytes.saturating_add(bytes);
        if wanted > self.limit_bytes {
            return Err(Error::Quota { limit_bytes: self.limit_bytes });
        }
        used.bytes = wanted;
        self.bytes += bytes;
        Ok(())
    }

    /// The content is there: the space stays taken.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.kept {
            self.space.removed(self.bytes);
        }
    }
}
