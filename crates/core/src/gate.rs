//! gate: whether a task of a user may start in a queue now, and what is in the way. The turns ask
//! it of every lane, and so does whoever wants to know why a task does not run: the two cannot
//! differ. Knows no task.

use crate::settings::{Pauses, QueueSettings, UserSettings};

/// What decides about a user's tasks in a queue, but for their turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// What is set of the queue.
    pub queue: QueueSettings,
    /// What is set of the user in it.
    pub user: UserSettings,
    /// By whom all work of the user is paused.
    pub all_work: Pauses,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// They may start when it is their turn.
    Open,
    /// Somebody has paused them.
    Paused(Paused),
}

/// What is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paused {
    /// The queue.
    Queue,
    /// All work of the user, by whoever runs the installation.
    Operator,
    /// All work of the user, by the user.
    Owner,
    /// The user in this queue.
    UserInQueue,
}

/// Whether anybody's tasks may start in a queue.
#[must_use]
pub fn queue_gate(queue: &QueueSettings) -> Gate {
    if queue.paused { Gate::Paused(Paused::Queue) } else { Gate::Open }
}

/// Whether tasks of a user may start.
#[must_use]
pub fn gate(facts: &Facts) -> Gate {
    match queue_gate(&facts.queue) {
        Gate::Open if facts.all_work.operator => Gate::Paused(Paused::Operator),
        Gate::Open if facts.all_work.own => Gate::Paused(Paused::Owner),
        Gate::Open if facts.user.paused => Gate::Paused(Paused::UserInQueue),
        gate => gate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_pause_is_told_first() {
        let mut facts = Facts::default();
        assert_eq!(gate(&facts), Gate::Open);
        facts.user.paused = true;
        assert_eq!(gate(&facts), Gate::Paused(Paused::UserInQueue));
        facts.all_work.own = true;
        assert_eq!(gate(&facts), Gate::Paused(Paused::Owner));
        facts.all_work.operator = true;
        assert_eq!(gate(&facts), Gate::Paused(Paused::Operator));
        facts.queue.paused = true;
        assert_eq!(gate(&facts), Gate::Paused(Paused::Queue));
    }
}
