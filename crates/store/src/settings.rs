//! Answers about what is set of queues and users, the same for every store that has the partition
//! in memory.

use tasktonic_core::settings::{Pauses, UserSettings};
use tasktonic_core::{Name, Partition, UserId};

use crate::limits::USERS_IN_MAX;
use crate::{Turns, UserView, UsersIn};

/// How many users wait in these queues.
#[must_use]
pub fn turns(partition: &Partition, queues: &[Name]) -> Vec<Turns> {
    let one = |queue| {
        let (users, held_back) = partition.turns(queue);
        let running = partition.running_in_all(queue);
        Turns { users: users as u64, held_back: held_back as u64, running }
    };
    queues.iter().map(one).collect()
}

/// What is set of a user.
#[must_use]
pub fn user(partition: &Partition, user: &UserId, queues: &[Name]) -> UserView {
    let of = |queue: &Name| partition.user_in(queue, user);
    UserView { pauses: partition.pauses(user), settings: queues.iter().map(of).collect() }
}

/// Users of whom anything is set in a queue.
#[must_use]
pub fn users_in(partition: &Partition, queue: &Name, limit: u32) -> UsersIn {
    page(partition.users_in(queue), limit)
}

/// Users whose work is paused, and whether there are more.
#[must_use]
pub fn paused(partition: &Partition, limit: u32) -> (Vec<(UserId, Pauses)>, bool) {
    first(partition.kept_pauses(), limit)
}

/// The first of these users.
#[must_use]
pub fn page(users: Vec<(UserId, UserSettings)>, limit: u32) -> UsersIn {
    let (users, more) = first(users, limit);
    UsersIn { users, more }
}

/// The first of these users by id, and whether there are more.
#[must_use]
pub fn first<T>(mut users: Vec<(UserId, T)>, limit: u32) -> (Vec<(UserId, T)>, bool) {
    let limit = limit.min(USERS_IN_MAX) as usize;
    users.sort_by(|a, b| a.0.cmp(&b.0));
    let more = users.len() > limit;
    users.truncate(limit);
    (users, more)
}
