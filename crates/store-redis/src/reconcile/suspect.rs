//! What looked wrong, and how the repairing script is told of it.

use std::fmt::Display;

use bytes::Bytes;
use tasktonic_core::{Name, TaskId, UserId};

/// Something to look at again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Suspect {
    /// A lane that is not in its ring once, or set aside; or a ring that names an empty lane.
    Lane(UserId, Name),
    /// A queued task without an entry in its lane.
    Queued(UserId, TaskId, Name),
    /// A running task without a lease, and how long it is kept if its cancellation was asked, s.
    Running(UserId, TaskId, Name, u32),
    /// A scheduled task that is not among those that come due.
    Scheduled(UserId, TaskId, Name),
    /// An entry of an index without a task, or a task without an entry or with one that says nothing;
    /// and what lists find the task by.
    Index(UserId, TaskId, String),
    /// A task that is not in the list of its state, or in another; and what its error is called.
    Listed(UserId, TaskId, String),
    /// An entry of a lane without a task.
    Entry(UserId, Name, String),
    /// An ended task that should be gone, and how long it was to be kept, s.
    Sweep(UserId, TaskId, u32),
    /// A lease without a running task.
    Lease(String),
    /// One that comes due and is not scheduled.
    Due(String),
    /// A task that expires and is not listed as such.
    Expires(UserId, TaskId, Name),
    /// One that is listed as one that expires and is none.
    Expiry(String),
    /// A place in the line of a serial key that is not as its task says, or that a task lacks.
    Line(UserId, u128, String),
    /// A schedule that is not listed by its next tick, or is and rests or is gone.
    Schedule(UserId, Name),
    /// One that is listed as a schedule and is none.
    Scheduling(String),
    /// A mark of cancellation on a task that does not run.
    Mark(UserId, TaskId),
    /// A lane's two numbers: what they are, its length, and what they should be.
    Counts(UserId, Name, String, u64, String),
    /// What is counted of a user, as it is kept, and what it should be.
    Tally(UserId, String, String),
    /// A user's log of events that is not there.
    Events(UserId),
    /// A user without tasks, whose log of events is longer than it need be.
    Idle(UserId),
    /// A user of whom another number of tasks is counted as running in a queue than there are.
    Counted(Name, UserId),
    /// A queue of which another number of tasks is counted over all users than there are.
    Total(Name),
    /// What is known of starts over all users.
    Hand(Name),
    /// A user of whom is kept what has started in a queue, which may be made up for.
    Paced(Name, UserId),
    /// Credit of a user without a lane.
    Credit(Name, UserId),
    /// A user that the list of users lacks.
    User(UserId),
    /// A queue whose users' settings are announced as others than they are.
    Overrides(Name),
    /// A task that waits for others, of which one is gone or has ended, or whose ties are lost.
    Waiting(UserId, TaskId, Name),
    /// An ended task that its flow has not counted.
    Told(UserId, TaskId),
    /// A part that goes on though its flow was cancelled: flow, part.
    Left(UserId, TaskId, TaskId),
    /// A task with ties that is not listed as one, or one that is and has none.
    Node(UserId, TaskId),
    /// A part that its flow does not list, or one that is listed and is none: flow, part, its queue.
    Part(UserId, TaskId, TaskId, String),
    /// A queue with tasks of a priority, of which that is not told.
    Priorities(Name),
    /// What is kept of run times, of a queue and of whom or what.
    Times(Name, String),
    /// The number of marks, of what expires, of what has ties, of ends to be told, of paused users or of
    /// lanes that are looked at again, or the time of the first schedule.
    Marks,
    /// A list of ended tasks, kept so long, s, that is not among those in use.
    Retention(u32),
    /// All lists of ended tasks were searched.
    Searched,
}

impl Suspect {
    /// Its words for the script.
    pub(super) fn words(&self) -> Vec<Bytes> {
        let words: &[&dyn Display] = match self {
            Self::Lane(user, queue) => &[&"l", user, queue],
            Self::Queued(user, task, queue) => &[&"q", user, task, queue],
            Self::Running(user, task, queue, keep_s) => &[&"r", user, task, queue, keep_s],
            Self::Scheduled(user, task, queue) => &[&"s", user, task, queue],
            Self::Index(user, task, entry) => &[&"i", user, task, entry],
            Self::Listed(user, task, error) => &[&"listed", user, task, error],
            Self::Entry(user, queue, entry) => &[&"n", user, queue, entry],
            Self::Sweep(user, task, keep_s) => &[&"w", user, task, keep_s],
            Self::Lease(token) => &[&"t", token],
            Self::Due(member) => &[&"d", member],
            Self::Expires(user, task, queue) => &[&"p", user, task, queue],
            Self::Expiry(member) => &[&"b", member],
            Self::Line(user, key, member) => {
                let key = format!("{key:032x}");
                return ["y", user.as_str(), &key, member]
                    .iter()
                    .map(|word| Bytes::copy_from_slice(word.as_bytes()))
                    .collect();
            }
            Self::Schedule(user, name) => &[&"h", user, name],
            Self::Scheduling(member) => &[&"j", member],
            Self::Mark(user, task) => &[&"c", user, task],
            Self::Counts(user, queue, are, length, should) => {
                &[&"x", user, queue, are, length, should]
            }
            Self::Tally(user, are, should) => &[&"tally", user, are, should],
            Self::Events(user) => &[&"e", user],
            Self::Idle(user) => &[&"z", user],
            Self::Counted(queue, user) => &[&"runs", queue, user],
            Self::Total(queue) => &[&"total", queue],
            Self::Hand(queue) => &[&"hand", queue],
            Self::Paced(queue, user) => &[&"paces", queue, user],
            Self::Credit(queue, user) => &[&"k", queue, user],
            Self::User(user) => &[&"u", user],
            Self::Overrides(queue) => &[&"f", queue],
            Self::Waiting(user, task, queue) => &[&"ties", user, task, queue],
            Self::Told(user, task) => &[&"a", user, task, &""],
            Self::Left(user, flow, part) => &[&"a", user, flow, part],
            Self::Node(user, task) => &[&"o", user, task],
            Self::Part(user, flow, part, queue) => &[&"v", user, flow, part, queue],
            Self::Priorities(queue) => &[&"priorities", queue],
            Self::Times(queue, field) => &[&"times", queue, field],
            Self::Marks => &[&"m"],
            Self::Retention(keep_s) => &[&"g", keep_s],
            Self::Searched => &[&"g", &""],
        };
        words.iter().map(|word| Bytes::from(word.to_string())).collect()
    }
}
