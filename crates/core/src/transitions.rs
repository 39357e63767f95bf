//! The one transition table. The Rust type, the Lua constants, the TypeScript unions and the
//! diagram in the documentation are rendered from it (`cargo xtask gen`).

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskState {
    /// Due in the future: delayed, waiting for its next attempt, or snoozed.
    Scheduled,
    /// For other tasks to end.
    Waiting,
    /// In a lane, claimable.
    Queued,
    /// Leased to a worker.
    Running,
    /// Acked. Terminal.
    Completed,
    /// Stopped on request, or expired before it started. Terminal.
    Cancelled,
    /// A dead letter: attempts used up, or buried. Terminal, can be redriven.
    Dead,
}

/// What moves a task from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Maintenance finds it due.
    Promote,
    /// The last task it waits for has ended.
    Unblock,
    /// The last part of a flow has ended, and the flow with it.
    Finish,
    /// A worker takes it.
    Claim,
    /// The holder reports success.
    Ack,
    /// The holder reports failure, to be attempted again later or at once.
    Nack,
    /// The holder reports a failure that ends it, or its attempts are used up.
    Bury,
    /// The holder asks to be called again later; not counted.
    Snooze,
    /// The holder gives it back unharmed; not counted.
    Release,
    /// A person or program stops it.
    Cancel,
    /// A person or program sends it back to its queue.
    Redrive,
    /// Nobody took it in time.
    Expire,
    /// A person or program gives it another time, or another place in its line.
    Reschedule,
    /// A person or program changes what it is to do.
    Edit,
}

use TaskState::{Cancelled, Completed, Dead, Queued, Running, Scheduled, Waiting};

/// Every state, in the order of a life.
pub const STATES: &[TaskState] = &[Scheduled, Waiting, Queued, Running, Completed, Cancelled, Dead];

/// Every verb.
pub const VERBS: &[Verb] = &[
    Verb::Promote,
    Verb::Unblock,
    Verb::Finish,
    Verb::Claim,
    Verb::Ack,
    Verb::Nack,
    Verb::Bury,
    Verb::Snooze,
    Verb::Release,
    Verb::Cancel,
    Verb::Redrive,
    Verb::Expire,
    Verb::Reschedule,
    Verb::Edit,
];

/// Every move there is. What is not here does not happen.
pub const TRANSITIONS: &[(TaskState, Verb, TaskState)] = &[
    (Scheduled, Verb::Promote, Queued),
    (Scheduled, Verb::Cancel, Cancelled),
    (Waiting, Verb::Unblock, Queued),
    (Waiting, Verb::Cancel, Cancelled),
    (Queued, Verb::Claim, Running),
    (Queued, Verb::Cancel, Cancelled),
    (Running, Verb::Ack, Completed),
    (Running, Verb::Nack, Scheduled),
    (Running, Verb::Nack, Queued),
    (Running, Verb::Bury, Dead),
    (Running, Verb::Snooze, Scheduled),
    (Running, Verb::Release, Queued),
    (Running, Verb::Cancel, Cancelled),
    (Dead, Verb::Redrive, Queued),
    (Cancelled, Verb::Redrive, Queued),
    (Dead, Verb::Redrive, Waiting),
    (Cancelled, Verb::Redrive, Waiting),
    (Scheduled, Verb::Expire, Cancelled),
    (Queued, Verb::Expire, Cancelled),
    (Waiting, Verb::Expire, Cancelled),
    (Scheduled, Verb::Reschedule, Scheduled),
    (Scheduled, Verb::Reschedule, Queued),
    (Queued, Verb::Reschedule, Scheduled),
    (Queued, Verb::Reschedule, Queued),
    (Scheduled, Verb::Edit, Scheduled),
    (Queued, Verb::Edit, Queued),
    (Waiting, Verb::Edit, Waiting),
    (Waiting, Verb::Finish, Completed),
    (Waiting, Verb::Finish, Cancelled),
    (Waiting, Verb::Finish, Dead),
];

impl TaskState {
    /// The state as it is stored and sent.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Scheduled => "scheduled",
            Waiting => "waiting",
            Queued => "queued",
            Running => "running",
            Completed => "completed",
            Cancelled => "cancelled",
            Dead => "dead",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        STATES.iter().copied().find(|state| state.name() == name)
    }

    /// Whether the task has ended and waits only for its retention.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Completed | Cancelled | Dead)
    }

    /// Whether the table has a move by `verb` from here to `to`.
    #[must_use]
    pub fn may(self, verb: Verb, to: Self) -> bool {
        TRANSITIONS.contains(&(self, verb, to))
    }
}

impl Verb {
    /// The verb as it is written in documents and diagrams.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Unblock => "unblock",
            Self::Finish => "finish",
            Self::Claim => "claim",
            Self::Ack => "ack",
            Self::Nack => "nack",
            Self::Bury => "bury",
            Self::Snooze => "snooze",
            Self::Release => "release",
            Self::Cancel => "cancel",
            Self::Redrive => "redrive",
            Self::Expire => "expire",
            Self::Reschedule => "reschedule",
            Self::Edit => "edit",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_live_state_has_a_way_out() {
        for state in STATES.iter().filter(|s| !s.is_terminal()) {
            assert!(TRANSITIONS.iter().any(|(from, ..)| from == state), "{}", state.name());
        }
    }

    #[test]
    fn every_state_but_the_first_two_can_be_reached() {
        for state in STATES.iter().filter(|s| !matches!(s, Waiting | Scheduled)) {
            assert!(TRANSITIONS.iter().any(|(.., to)| to == state), "{}", state.name());
        }
    }

    #[test]
    fn a_terminal_state_is_left_only_by_redrive() {
        for (from, verb, _) in TRANSITIONS {
            assert!(!from.is_terminal() || *verb == Verb::Redrive);
        }
    }

    #[test]
    fn names_are_unique_and_found_again() {
        for state in STATES {
            assert_eq!(TaskState::from_name(state.name()), Some(*state));
        }
    }
}
