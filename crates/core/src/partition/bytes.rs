//! How many bytes the tasks of a user may hold, and whether something fits. What is asked for anew has
//! to fit; how a task ends never does, and whoever is above by that is accepted nothing until there is
//! room.

use super::Partition;
use super::step::Step;
use crate::changes::Record;
use crate::ids::UserId;
use crate::limits::BYTES_MAX_MAX;
use crate::reply::Controlled;

impl Partition {
    /// How many bytes the tasks of a user may hold; absent: what submissions say.
    #[must_use]
    pub fn bytes_max(&self, user: &UserId) -> Option<u64> {
        self.users.get(user)?.bytes_max
    }

    /// Users of whom it is set, by id.
    #[must_use]
    pub fn kept_bytes_max(&self) -> Vec<(UserId, u64)> {
        let set = |(user, of): (&UserId, &super::User)| Some((user.clone(), of.bytes_max?));
        let mut all: Vec<_> = self.users.iter().filter_map(set).collect();
        all.sort();
        all
    }

    /// Whether tasks of a user that hold `held` bytes may hold `more`, where the asker says `asked`.
    pub(super) fn has_room(&self, user: &UserId, held: u64, more: u64, asked: u64) -> bool {
        held.saturating_add(more) <= self.bytes_max(user).unwrap_or(asked)
    }

    /// Whether the descriptor of a task may become one of so many bytes. A shorter one always may.
    pub(super) fn may_become(&self, user: &UserId, before: u32, bytes: u32, asked: u64) -> bool {
        let more = u64::from(bytes.saturating_sub(before));
        more == 0 || self.has_room(user, self.bytes(user), more, asked)
    }

    pub(super) fn set_bytes_max(
        &mut self,
        step: &mut Step,
        user: UserId,
        bytes_max: Option<u64>,
    ) -> Controlled {
        let bytes_max = bytes_max.map(|max| max.min(BYTES_MAX_MAX));
        if self.bytes_max(&user) != bytes_max {
            self.user(&user).bytes_max = bytes_max;
            step.record(Record::BytesMax { user, bytes_max });
        }
        Controlled::Done
    }
}
