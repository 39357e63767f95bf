//! Questions to a store, and their answers.

use tasktonic_core::gate::Facts;
use tasktonic_core::partition::KeptSchedule;
use tasktonic_core::policy::estimate::Start;
use tasktonic_core::search::Search;
use tasktonic_core::settings::{Pauses, UserSettings};
use tasktonic_core::transitions::STATES;
use tasktonic_core::{Lease, Links, Name, TaskId, TaskState, Text, UserId, WorkerId};

use crate::Held;
use crate::inputs::InputsPage;

/// A question about the record.
#[derive(Debug, Clone)]
pub enum Query {
    /// Tasks of a user by id; absent ones are left out of the answer.
    Tasks {
        /// The owner.
        user: UserId,
        /// The ids, at most 1,000.
        tasks: Vec<TaskId>,
    },
    /// A page of a user's tasks, newest first.
    List {
        /// The owner.
        user: UserId,
        /// Which ones.
        filter: TaskFilter,
        /// Where the last page ended.
        cursor: Option<Cursor>,
        /// How many, at most 200.
        limit: u32,
    },
    /// How many tasks a user has in each state.
    Counts {
        /// The owner.
        user: UserId,
    },
    /// Attempts that ended without ending their task, oldest first.
    Attempts {
        /// The owner.
        user: UserId,
        /// The task.
        task: TaskId,
    },
    /// Lines of a task's log after a number.
    Logs {
        /// The owner.
        user: UserId,
        /// The task.
        task: TaskId,
        /// Lines above this number; 0 for all.
        after: u32,
        /// How many, at most 10,000.
        limit: u32,
    },
    /// Event entries of a user after a cursor.
    EventsSince {
        /// The owner.
        user: UserId,
        /// The epoch the client knows.
        epoch: u32,
        /// The last number it has.
        seq: u64,
    },
    /// Where a user's event log stands.
    EventsHead {
        /// The owner.
        user: UserId,
    },
    /// What a worker holds.
    Held {
        /// The worker.
        worker: WorkerId,
    },
    /// What became of the tasks that a task waited for, or of its parts, for who holds it: in the
    /// order of the ties.
    Inputs {
        /// The right to ask.
        lease: Lease,
        /// The last one of the page before; none for the first page.
        after: Option<TaskId>,
        /// How many, at most [`INPUTS_PAGE_MAX`](crate::limits::INPUTS_PAGE_MAX).
        limit: u32,
    },
    /// What ties tasks to others.
    Links {
        /// The owner.
        user: UserId,
        /// The ids, at most 1,000.
        tasks: Vec<TaskId>,
    },
    /// Ids of the parts of a flow or batch, in their order.
    Parts {
        /// The owner.
        user: UserId,
        /// The flow or batch.
        task: TaskId,
        /// Ids above this one; all if absent.
        after: Option<TaskId>,
        /// How many, at most 1,000.
        limit: u32,
    },
    /// Where a queued task stands in its line, and how that line moved lately.
    Position {
        /// The owner.
        user: UserId,
        /// The task.
        task: TaskId,
    },
    /// Whose turn it is in the line in which a task waits for its serial key.
    TurnBefore {
        /// The owner.
        user: UserId,
        /// The task.
        task: TaskId,
    },
    /// Which of these tasks exist.
    Exist {
        /// Owners and ids.
        tasks: Vec<(UserId, TaskId)>,
    },
    /// Schedules of a user, by name.
    Schedules {
        /// The owner.
        user: UserId,
        /// Only the one of this name.
        name: Option<Name>,
    },
    /// Up to [`SCHEDULES_DUE_MAX`](tasktonic_core::limits::SCHEDULES_DUE_MAX) schedules whose tick
    /// has come, the longest due first.
    DueSchedules,
    /// How many users wait in queues.
    Turns {
        /// The queues, at most 1,000.
        queues: Vec<Name>,
    },
    /// What is set of one user.
    User {
        /// The user.
        user: UserId,
        /// In which queues, at most 1,000.
        queues: Vec<Name>,
    },
    /// What decides about a user's tasks in a queue, but for their turn.
    Facts {
        /// The user.
        user: UserId,
        /// The queue.
        queue: Name,
    },
    /// Users of whom anything is set in a queue.
    UsersIn {
        /// The queue.
        queue: Name,
        /// How many, at most [`USERS_IN_MAX`](crate::limits::USERS_IN_MAX).
        limit: u32,
    },
    /// Users whose work is paused.
    Paused {
        /// How many, at most [`USERS_IN_MAX`](crate::limits::USERS_IN_MAX).
        limit: u32,
    },
}

/// The answer to a [`Query`], of the same kind.
#[derive(Debug, Clone)]
pub enum QueryReply {
    /// To `Tasks`.
    Tasks(Vec<StoredTask>),
    /// To `List`.
    List(TaskPage),
    /// To `Counts`.
    Counts(Counts),
    /// To `Attempts`.
    Attempts(Vec<AttemptRow>),
    /// To `Logs`.
    Logs(LogLines),
    /// To `EventsSince` and `EventsHead`.
    Events(EventsSince),
    /// To `Held`.
    Held(Vec<Held>),
    /// To `Inputs`; absent where the lease is not held.
    Inputs(Option<InputsPage>),
    /// To `Links`: one answer per task, in order; absent where it has none.
    Links(Vec<Option<Links>>),
    /// To `Parts`.
    Parts(Vec<TaskId>),
    /// To `Position`; absent unless the task is in a lane.
    Position(Option<Box<Position>>),
    /// To `TurnBefore`; absent unless the task waits for another of its serial key.
    TurnBefore(Option<TaskId>),
    /// To `Exist`: one answer per task, in order.
    Exist(Vec<bool>),
    /// To `Schedules`.
    Schedules(Vec<KeptSchedule>),
    /// To `DueSchedules`.
    DueSchedules(DueSchedules),
    /// To `Turns`: one answer per queue, in order.
    Turns(Vec<Turns>),
    /// To `User`.
    User(UserView),
    /// To `Facts`.
    Facts(Facts),
    /// To `UsersIn`.
    UsersIn(UsersIn),
    /// To `Paused`: by id, by whom, and whether there are more.
    Paused(Vec<(UserId, Pauses)>, bool),
}

/// Users who wait in a queue of a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turns {
    /// Users with work there who take turns, or whose turn is yet to find that they may not.
    pub users: u64,
    /// Users with work there who get no turn because of what is set of them in the queue.
    pub held_back: u64,
    /// Tasks that run there over all users; counted only where something limits that.
    pub running: Option<u32>,
}

/// What is set of one user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserView {
    /// By whom all their work is paused.
    pub pauses: Pauses,
    /// What is set of them in the queues asked about, in order.
    pub settings: Vec<UserSettings>,
}

/// Users of whom anything is set in a queue of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsersIn {
    /// By id.
    pub users: Vec<(UserId, UserSettings)>,
    /// Whether there are more.
    pub more: bool,
}

/// Schedules whose tick has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DueSchedules {
    /// The store's wall clock, ms: dates are by it, whatever the asker's own clock says.
    pub now_ms: i64,
    /// The longest due first.
    pub schedules: Vec<KeptSchedule>,
}

/// A task as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTask {
    /// Its id.
    pub id: TaskId,
    /// The descriptor (JSON text).
    pub descriptor: Text,
    /// The state (JSON text); absent while it is queued and untouched.
    pub state: Option<Text>,
    /// Whether its cancellation was asked while it runs.
    pub cancel_asked: bool,
}

/// Which tasks of a user. Empty lists and absent fields do not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// In one of these states.
    pub states: Vec<TaskState>,
    /// Of this kind.
    pub kind: Option<String>,
    /// In this queue.
    pub queue: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// Whose id begins with this text.
    pub id_prefix: Option<String>,
    /// What a person is looking for.
    pub search: Option<Search>,
    /// Created at or after, wall clock, ms. When a task was created its id says; one that catches up
    /// on a tick of a schedule was created at the tick.
    pub since_ms: Option<i64>,
    /// Created before, wall clock, ms.
    pub until_ms: Option<i64>,
}

/// Where a page ended: opaque outside the store, stable while tasks arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub TaskId);

/// A page of tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskPage {
    /// Newest first.
    pub tasks: Vec<StoredTask>,
    /// Where the next page starts; absent on the last one.
    pub next: Option<Cursor>,
}

/// Tasks of a user per state, and what they hold: kept by the store, and exact at any number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    by_state: [u64; STATES.len()],
    /// What they hold, in bytes: the descriptor of each, and of one that has ended also its state, with
    /// its output or error.
    pub bytes: u64,
    /// How many they may hold, where it is set of this user.
    pub bytes_max: Option<u64>,
}

impl Counts {
    /// Tasks in `state`.
    #[must_use]
    pub fn of(&self, state: TaskState) -> u64 {
        self.by_state[state as usize]
    }

    /// Those of a user whose tasks hold `bytes` and may hold `bytes_max`, by how many are in each state.
    #[must_use]
    pub fn new(bytes: u64, bytes_max: Option<u64>, in_state: impl Fn(TaskState) -> u64) -> Self {
        let mut by_state = [0; STATES.len()];
        for state in STATES {
            by_state[*state as usize] = in_state(*state);
        }
        Self { by_state, bytes, bytes_max }
    }

    /// Tasks in any state.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.by_state.iter().sum()
    }
}

/// Where a queued task stands in its user's part of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The queue.
    pub queue: Name,
    /// Tasks of the same user that go before it, at least and at most: a store may not know which of
    /// the places before it are of tasks that were cancelled. At least
    /// [`POSITION_MAX`](tasktonic_core::limits::POSITION_MAX) if `more`.
    pub ahead: (u32, u32),
    /// Whether it is too far back to be found.
    pub more: bool,
    /// Since when the first of the line has been in it, wall clock, ms.
    pub head_since_ms: i64,
    /// The newest starts of this line that the user's events tell of, oldest first.
    pub starts: Vec<Start>,
}

impl Position {
    /// Whether this is as good an answer as `exact`: the same, or a range around it.
    #[must_use]
    pub fn covers(&self, exact: &Self) -> bool {
        let around = self.ahead.0 <= exact.ahead.0 && exact.ahead.1 <= self.ahead.1;
        // The first place may be of a cancelled task, and then another in each store.
        let head =
            exact.ahead.1 > 0 || self.ahead.1 > 0 || self.head_since_ms == exact.head_since_ms;
        let Self { queue, ahead: _, more, head_since_ms: _, starts } = self;
        around && head && (queue, *more) == (&exact.queue, exact.more) && *starts == exact.starts
    }
}

/// An attempt of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its place in the history, from 1.
    pub number: u32,
    /// JSON text.
    pub text: Text,
}

/// A line of a task's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Its number, from 1.
    pub number: u32,
    /// JSON text.
    pub text: Text,
}

/// Lines of a task's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogLines {
    /// In order.
    pub lines: Vec<LogRow>,
    /// The oldest number still kept; 0 when there is none.
    pub first: u32,
    /// The newest number; 0 when there is none.
    pub last: u32,
}

/// Event entries after a cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventsSince {
    /// The present epoch.
    pub epoch: u32,
    /// The newest number.
    pub seq: u64,
    /// Whether the cursor is of another epoch or older than the log: take a snapshot.
    pub reset: bool,
    /// The missed entries in order, unless `reset`.
    pub entries: Vec<(u64, Text)>,
}
