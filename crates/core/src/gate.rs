//! gate: whether a task of a user may start in a queue now, and what is in the way. The turns ask
//! it of every lane, and so does whoever wants to know why a task does not run: the two cannot
//! differ. Knows no task.

use crate::settings::{Pauses, QueueSettings, UserSettings, rate, running_max};

/// What runs in a queue over all users, where something limits that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// How many tasks run, as far as this partition knows.
    pub running: u32,
    /// How many may: of the limit of the whole queue what this partition has.
    pub max: u32,
}

impl Total {
    /// How many more may start.
    #[must_use]
    pub fn room(self) -> u32 {
        self.max.saturating_sub(self.running)
    }
}

/// What decides about a user's tasks in a queue, but for their turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// What is set of the queue.
    pub queue: QueueSettings,
    /// What is set of the user in it.
    pub user: UserSettings,
    /// By whom all work of the user is paused.
    pub all_work: Pauses,
    /// Tasks of the user that run there; counted only where something limits them, else 0.
    pub running: u32,
    /// When all tasks of the user that started there are made up for, in µs of lease time; kept only
    /// where there is a rate, else 0.
    pub full_us: i64,
    /// Lease time, ms; only where there is a rate, else 0.
    pub lt_ms: i64,
    /// What runs there over all users, where something limits that.
    pub total: Option<Total>,
    /// In how many ms the next task may start there, whose it is, by what has started over all users; 0
    /// where it may now.
    pub starts_in_ms: u64,
}

impl Facts {
    /// Those of what has started, where there is a rate; what is made up for says nothing any more.
    #[must_use]
    pub fn paced(is_paced: bool, full_us: i64, lt_ms: i64) -> Self {
        if !is_paced {
            return Self::default();
        }
        let is_ahead = full_us > lt_ms.saturating_mul(1_000);
        Self { full_us: if is_ahead { full_us } else { 0 }, lt_ms, ..Self::default() }
    }
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// They may start when it is their turn.
    Open,
    /// Somebody has paused them.
    Paused(Paused),
    /// As many of them run as may at once; the next starts when one ends.
    UserLimit {
        /// How many run; above `max` where that was lowered since they started.
        running: u32,
        /// How many may.
        max: u32,
    },
    /// As many of them have started as may in so long.
    Rate {
        /// When the next may, in ms from now.
        good_in_ms: u64,
    },
    /// As many tasks of all users run in the queue as may at once; the next starts when one ends.
    QueueLimit {
        /// How many run, as [`Total`]; above `max` where that was lowered since they started.
        running: u32,
        /// How many may.
        max: u32,
    },
    /// As many tasks of all users have started in the queue as may in so long.
    QueueRate {
        /// When the next may, in ms from now.
        good_in_ms: u64,
    },
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

/// Whether tasks of a user may start. What is in the way of this user only is told first: it stays
/// when there is room for others.
#[must_use]
pub fn gate(facts: &Facts) -> Gate {
    match queue_gate(&facts.queue) {
        Gate::Open if facts.all_work.operator => Gate::Paused(Paused::Operator),
        Gate::Open if facts.all_work.own => Gate::Paused(Paused::Owner),
        Gate::Open => match (user_gate(facts), facts.total) {
            (Gate::Open, Some(Total { running, max })) if running >= max => {
                Gate::QueueLimit { running, max }
            }
            (Gate::Open, _) if facts.starts_in_ms > 0 => {
                Gate::QueueRate { good_in_ms: facts.starts_in_ms }
            }
            (gate, _) => gate,
        },
        gate => gate,
    }
}

/// Whether tasks of a user may start, but for what holds for all users of the queue and for pauses of
/// all the user's work.
#[must_use]
pub fn user_gate(facts: &Facts) -> Gate {
    if facts.user.paused {
        return Gate::Paused(Paused::UserInQueue);
    }
    if let Some(max) = running_max(&facts.queue, &facts.user)
        && facts.running >= max
    {
        return Gate::UserLimit { running: facts.running, max };
    }
    match rate(&facts.queue, &facts.user) {
        Some(rate) if rate.allowed(facts.full_us, facts.lt_ms) == 0 => {
            let good_ms = rate.good_at_ms(facts.full_us, facts.lt_ms);
            Gate::Rate { good_in_ms: good_ms.saturating_sub(facts.lt_ms).unsigned_abs() }
        }
        _ => Gate::Open,
    }
}

/// How many tasks of a user for whom the gate is open may start now.
#[must_use]
pub fn room(facts: &Facts) -> u32 {
    let running = running_max(&facts.queue, &facts.user)
        .map_or(u32::MAX, |max| max.saturating_sub(facts.running));
    let started = rate(&facts.queue, &facts.user)
        .map_or(u32::MAX, |rate| rate.allowed(facts.full_us, facts.lt_ms));
    running.min(started)
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

    #[test]
    fn a_limit_of_the_user_goes_before_that_of_the_queue() {
        let mut facts = Facts { running: 2, ..Facts::default() };
        assert_eq!((gate(&facts), room(&facts)), (Gate::Open, u32::MAX));
        facts.queue.running_max = Some(2);
        assert_eq!((gate(&facts), room(&facts)), (Gate::UserLimit { running: 2, max: 2 }, 0));
        facts.user.running_max = Some(5);
        assert_eq!((gate(&facts), room(&facts)), (Gate::Open, 3));
        facts.user.running_max = Some(1);
        assert_eq!((gate(&facts), room(&facts)), (Gate::UserLimit { running: 2, max: 1 }, 0));
        facts.user.paused = true;
        assert_eq!(gate(&facts), Gate::Paused(Paused::UserInQueue), "a pause is told first");
    }

    #[test]
    fn a_limit_over_all_users_is_told_when_nothing_else_is_in_the_way() {
        let total = |running, max| Some(Total { running, max });
        let mut facts = Facts { total: total(3, 4), ..Facts::default() };
        assert_eq!(gate(&facts), Gate::Open);
        facts.total = total(5, 4);
        assert_eq!(gate(&facts), Gate::QueueLimit { running: 5, max: 4 });
        facts.queue.running_max = Some(1);
        facts.running = 1;
        assert_eq!(gate(&facts), Gate::UserLimit { running: 1, max: 1 });
    }

    #[test]
    fn a_rate_over_all_users_is_told_last_of_all() {
        let mut facts = Facts { starts_in_ms: 40, ..Facts::default() };
        assert_eq!(gate(&facts), Gate::QueueRate { good_in_ms: 40 });
        facts.total = Some(Total { running: 2, max: 2 });
        assert_eq!(gate(&facts), Gate::QueueLimit { running: 2, max: 2 });
        facts.user.paused = true;
        assert_eq!(gate(&facts), Gate::Paused(Paused::UserInQueue));
    }
}
