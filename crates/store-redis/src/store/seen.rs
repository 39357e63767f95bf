//! Users this process has seen: each is added to the partition's set of users with its first
//! submit, so that the hot path need not.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tasktonic_core::UserId;
use tasktonic_core::command::Submit;

/// Users remembered.
const SEEN_MAX: usize = 100_000;
/// How long: a set that was lost is whole again after this.
const SEEN_FOR: Duration = Duration::from_secs(600);

/// The users seen lately.
#[derive(Debug)]
pub(super) struct Seen(Mutex<(Instant, HashSet<UserId>)>);

impl Default for Seen {
    fn default() -> Self {
        Self(Mutex::new((Instant::now(), HashSet::new())))
    }
}

impl Seen {
    /// Those users of `batch` that were not seen lately.
    pub(super) fn fresh(&self, batch: &Submit) -> Vec<UserId> {
        self.fresh_of(batch.tasks.iter().map(|new| &new.user))
    }

    /// Those of `users` that were not seen lately.
    pub(super) fn fresh_of<'a>(&self, users: impl Iterator<Item = &'a UserId>) -> Vec<UserId> {
        let mut seen = self.0.lock();
        let (since, known) = &mut *seen;
        if since.elapsed() > SEEN_FOR || known.len() > SEEN_MAX {
            known.clear();
            *since = Instant::now();
        }
        let mut fresh: Vec<UserId> = Vec::new();
        for user in users {
            if !known.contains(user) && !fresh.contains(user) {
                fresh.push(user.clone());
            }
        }
        fresh
    }

    /// Remembers users that have been added.
    pub(super) fn add(&self, users: Vec<UserId>) {
        if !users.is_empty() {
            self.0.lock().1.extend(users);
        }
    }
}
