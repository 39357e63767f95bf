//! The users of a run. Plain ones hand single tasks over; each of the others lives in one part of
//! the product. They record what they were told and judge nothing.

mod caller;
mod flows;
mod keys;
mod limits;
mod many;
mod plain;
mod ticks;

use std::sync::atomic::AtomicBool;

use tasktonic_client::Client;

pub(crate) use caller::Caller;

/// What a user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Single tasks, and every verb there is for them.
    Plain,
    /// Flows and batches.
    Flows,
    /// Keys of all modes, and serial keys.
    Keys,
    /// Schedules.
    Ticks,
    /// Limits, rates and pauses.
    Limits,
    /// Many tasks in a call, and tasks that need labels.
    Many,
}

/// Everybody, by name.
pub(crate) const USERS: &[(&str, Sort)] = &[
    ("user-0", Sort::Plain),
    ("user-1", Sort::Plain),
    ("user-2", Sort::Plain),
    ("user-3", Sort::Plain),
    ("flows", Sort::Flows),
    ("keys", Sort::Keys),
    ("ticks", Sort::Ticks),
    ("limits", Sort::Limits),
    ("many", Sort::Many),
];

/// One user.
pub(crate) enum User {
    Plain(plain::User),
    Flows(flows::User),
    Keys(keys::User),
    Ticks(ticks::User),
    Limits(limits::User),
    Many(many::User),
}

impl User {
    /// One that calls by `by`, and as an operator, if it comes to that, by `operator`.
    pub(crate) fn new(sort: Sort, by: Caller, operator: &[Client]) -> Self {
        match sort {
            Sort::Plain => Self::Plain(plain::User::new(by)),
            Sort::Flows => Self::Flows(flows::User::new(by)),
            Sort::Keys => Self::Keys(keys::User::new(by)),
            Sort::Ticks => Self::Ticks(ticks::User::new(by)),
            Sort::Limits => Self::Limits(limits::User::new(by, operator.to_vec())),
            Sort::Many => Self::Many(many::User::new(by)),
        }
    }

    /// What has to be so before anything is broken. Whether it came to that.
    pub(crate) async fn prepare(&mut self, stopped: &AtomicBool) -> bool {
        match self {
            Self::Limits(user) => user.prepare(stopped).await,
            _ => true,
        }
    }

    /// Makes calls until `over`.
    pub(crate) async fn live(&mut self, over: &AtomicBool) {
        match self {
            Self::Plain(user) => user.live(over).await,
            Self::Flows(user) => user.live(over).await,
            Self::Keys(user) => user.live(over).await,
            Self::Ticks(user) => user.live(over).await,
            Self::Limits(user) => user.live(over).await,
            Self::Many(user) => user.live(over).await,
        }
    }

    /// Once nothing is broken any more: finds out what is unknown, and lets go of whatever would
    /// keep tasks from ending. Whether it came to that in time.
    pub(crate) async fn settle(&mut self, stopped: &AtomicBool) -> bool {
        match self {
            Self::Plain(user) => {
                user.probe().await;
                user.settle(stopped).await
            }
            Self::Flows(user) => user.settle(stopped).await,
            Self::Ticks(user) => user.settle(stopped).await,
            Self::Limits(user) => user.settle(stopped).await,
            Self::Keys(_) | Self::Many(_) => true,
        }
    }
}
