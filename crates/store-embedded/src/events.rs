//! The newest events of each user, for a client that comes back. In memory only: after a restart
//! the epoch is higher and every cursor is told to take a snapshot.

use std::collections::{HashMap, VecDeque};

use tasktonic_core::changes::EventEntry;
use tasktonic_core::limits::EVENTS_KEPT_MAX;
use tasktonic_core::{Text, UserId};
use tasktonic_store::EventsSince;

use crate::options::{EVENTS_BYTES_MAX, EVENTS_TOTAL_MAX};

/// Logs of all users, bounded per user and together.
#[derive(Debug, Default)]
pub(crate) struct Events {
    logs: HashMap<UserId, VecDeque<(u64, Text)>>,
    /// Every entry by age, so that the oldest of all can make room. Entries that fell out of their
    /// user's log stay here until their turn.
    order: VecDeque<(UserId, u64)>,
    bytes: u64,
}

impl Events {
    pub(crate) fn push(&mut self, entry: &EventEntry) {
        let EventEntry { user, seq, text, .. } = entry;
        if !self.logs.contains_key(user) {
            self.logs.insert(user.clone(), VecDeque::new());
        }
        let log = self.logs.get_mut(user).expect("inserted above");
        self.bytes += text.len() as u64;
        log.push_back((*seq, text.clone()));
        if log.len() > EVENTS_KEPT_MAX
            && let Some((_, text)) = log.pop_front()
        {
            self.bytes -= text.len() as u64;
        }
        self.order.push_back((user.clone(), *seq));
        while self.order.len() > EVENTS_TOTAL_MAX || self.bytes > EVENTS_BYTES_MAX {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((user, seq)) = self.order.pop_front() else {
            self.bytes = 0;
            return;
        };
        let Some(log) = self.logs.get_mut(&user) else { return };
        if log.front().is_some_and(|(first, _)| *first <= seq)
            && let Some((_, text)) = log.pop_front()
        {
            self.bytes -= text.len() as u64;
        }
        if log.is_empty() {
            self.logs.remove(&user);
        }
    }

    /// Lets go of all entries of a user.
    pub(crate) fn forget(&mut self, user: &UserId) {
        let log = self.logs.remove(user).unwrap_or_default();
        self.bytes -= log.iter().map(|(_, text)| text.len() as u64).sum::<u64>();
        self.order.retain(|(of, _)| of != user);
    }

    /// The entries of a user, the newest first.
    pub(crate) fn newest(&self, user: &UserId) -> impl Iterator<Item = &Text> {
        self.logs.get(user).into_iter().flatten().rev().map(|(_, text)| text)
    }

    /// What it takes, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Entries of `user` after `seq` of `epoch`, where the log stands at `head` of `now_epoch`.
    pub(crate) fn since(
        &self,
        user: &UserId,
        (epoch, seq): (u32, u64),
        (now_epoch, head): (u32, u64),
    ) -> EventsSince {
        let log = self.logs.get(user);
        let oldest = log.and_then(VecDeque::front).map_or(head + 1, |(seq, _)| *seq);
        let reset = epoch != now_epoch || seq > head || seq + 1 < oldest;
        let missed = log.into_iter().flatten().filter(|(number, _)| !reset && *number > seq);
        EventsSince { epoch: now_epoch, seq: head, reset, entries: missed.cloned().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(user: &str, seq: u64, bytes: usize) -> EventEntry {
        let text = Text::from("x".repeat(bytes));
        EventEntry { user: UserId::encode(user), epoch: 1, seq, text }
    }

    #[test]
    fn a_users_log_keeps_the_newest_and_says_when_a_cursor_is_too_old() {
        let mut events = Events::default();
        let head = EVENTS_KEPT_MAX as u64 + 5;
        for seq in 1..=head {
            events.push(&entry("ana", seq, 3));
        }
        let ana = UserId::encode("ana");
        assert!(events.since(&ana, (1, 4), (1, head)).reset);
        let since = events.since(&ana, (1, 5), (1, head));
        assert_eq!((since.reset, since.entries.len()), (false, EVENTS_KEPT_MAX));
        assert_eq!(events.bytes(), 3 * EVENTS_KEPT_MAX as u64);
    }

    #[test]
    fn all_logs_together_are_bounded_and_the_oldest_make_room() {
        let mut events = Events::default();
        let size = 1024 * 1024;
        events.push(&entry("quiet", 1, size));
        for seq in 1..=EVENTS_BYTES_MAX / size as u64 {
            events.push(&entry("loud", seq, size));
        }
        assert!(events.bytes() <= EVENTS_BYTES_MAX);
        assert!(events.since(&UserId::encode("quiet"), (1, 0), (1, 1)).reset);
        let loud = events.since(&UserId::encode("loud"), (1, 120), (1, 128));
        assert_eq!((loud.reset, loud.entries.len()), (false, 8));
    }
}
