//! The only place where a key or a channel is spelled.
//!
//! Everything of a partition carries its hash tag, and everything of a user `u:<user>:` after it.
//! Keys that exist once per partition are whole words; those that exist once per task are one
//! letter, because they are paid millions of times. The scripts build the same names from the tag
//! (`lua/names.lua`), and a test holds the two to each other.

use tasktonic_core::routing::{PartitionId, slot, tag};
use tasktonic_core::{Name, Priority, TaskId, TaskState, UserId, WorkerId};
use tasktonic_store::Table;

use crate::wire::Shared;

/// What every key and channel begins with; access rules name it.
pub(crate) const ROOT: &str = "tt:";

/// The names of one partition.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// `tt:{tag}:`
    base: String,
}

impl Keys {
    /// The names of partition `p` of `partitions`.
    pub(crate) fn of(p: PartitionId, partitions: u16) -> Self {
        Self::of_tag(&tag(p, partitions))
    }

    /// The names under a tag.
    pub(crate) fn of_tag(tag: &str) -> Self {
        Self { base: format!("{ROOT}{{{tag}}}:") }
    }

    /// What every name of the partition begins with.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// HASH that always exists: schema, epoch, run, lease time, settings, flags, counts.
    pub(crate) fn meta(&self) -> String {
        format!("{}meta", self.base)
    }

    /// Never exists. Declared by every script beside `meta`: while a slot is on its way to another
    /// node, Redis then refuses the script before it starts.
    pub(crate) fn canary(&self) -> String {
        format!("{}~", self.base)
    }

    /// LIST of users whose lane in `queue` is not empty, in the order of their turns.
    pub(crate) fn ring(&self, queue: &Name) -> String {
        format!("{}ring:{queue}", self.base)
    }

    /// ZSET, all with score 0, of users whose lane in `queue` is not empty and who get no turn because
    /// of what is set of them there.
    pub(crate) fn full(&self, queue: &Name) -> String {
        format!("{}full:{queue}", self.base)
    }

    /// HASH of how many tasks of a user run in `queue`, by user; only where something limits that.
    pub(crate) fn running(&self, queue: &Name) -> String {
        format!("{}running:{queue}", self.base)
    }

    /// HASH of when all that started of a user in `queue` is made up for, by user, in µs of lease time;
    /// only where something limits that.
    pub(crate) fn pace(&self, queue: &Name) -> String {
        format!("{}pace:{queue}", self.base)
    }

    /// HASH of what users have had of the workers' time in `queue`, where turns are by run time: how far
    /// the queue's own time is in `.`, by user when they are due, by `user,task` what was charged.
    pub(crate) fn times(&self, queue: &Name) -> String {
        format!("{}times:{queue}", self.base)
    }

    /// ZSET of `queue,user` of lanes that are looked at again, by lease time.
    pub(crate) fn throttled(&self) -> String {
        format!("{}throttled", self.base)
    }

    /// HASH of what is set of users in `queue`, by user.
    pub(crate) fn overrides(&self, queue: &Name) -> String {
        format!("{}overrides:{queue}", self.base)
    }

    /// HASH of users whose work is paused, in whatever queue: by whom.
    pub(crate) fn paused(&self) -> String {
        format!("{}paused", self.base)
    }

    /// HASH of what is left of turns that were cut short, by user.
    pub(crate) fn credit(&self, queue: &Name) -> String {
        format!("{}credit:{queue}", self.base)
    }

    /// ZSET of parked workers by the lease time at which they parked.
    #[cfg_attr(not(test), expect(dead_code, reason = "only scripts ask who is idle"))]
    pub(crate) fn idle(&self, queue: &Name) -> String {
        format!("{}idle:{queue}", self.base)
    }

    /// SET of queues that have, or lately had, parked workers.
    pub(crate) fn parked(&self) -> String {
        format!("{}parked", self.base)
    }

    /// ZSET of lease tokens by the end of the lease, in lease time.
    pub(crate) fn leases(&self) -> String {
        format!("{}leases", self.base)
    }

    /// ZSET of `user,task,queue,attempt,claim` by due time, wall clock.
    pub(crate) fn due(&self) -> String {
        format!("{}due", self.base)
    }

    /// ZSET of `user,task,queue` of waiting tasks that nobody ever took, by the time they expire, wall
    /// clock.
    pub(crate) fn unstarted(&self) -> String {
        format!("{}unstarted", self.base)
    }

    /// SET of `user,task` of tasks that have ties.
    pub(crate) fn nodes(&self) -> String {
        format!("{}nodes", self.base)
    }

    /// LIST of `user,task` of ended tasks whose end somebody has yet to be told of; `user,task,after`
    /// of cancelled flows whose parts above `after` have yet to be stopped.
    pub(crate) fn leads(&self) -> String {
        format!("{}leads", self.base)
    }

    /// ZSET of `user,name` of schedules that do not rest, by their next tick, wall clock.
    pub(crate) fn schedules(&self) -> String {
        format!("{}schedules", self.base)
    }

    /// SET of `user,task` of running tasks whose cancellation was asked.
    pub(crate) fn cancels(&self) -> String {
        format!("{}cancels", self.base)
    }

    /// LIST of `user,task,claim,ended_ms` of ended tasks that are kept for `keep_s`.
    pub(crate) fn sweep(&self, keep_s: u32) -> String {
        format!("{}sweep:{keep_s}", self.base)
    }

    /// ZSET, during an import: what will be [`Keys::sweep`], by the time of ending.
    pub(crate) fn import(&self, keep_s: u32) -> String {
        format!("{}import:{keep_s}", self.base)
    }

    /// SET of the users this partition has seen.
    pub(crate) fn users(&self) -> String {
        format!("{}users", self.base)
    }

    /// STRING with a lifetime: who makes the next pass of repair.
    pub(crate) fn repair_turn(&self) -> String {
        format!("{}repair", self.base)
    }

    /// The channel on which a worker is woken and told of cancellations.
    pub(crate) fn wake(&self, worker: &WorkerId) -> String {
        format!("{}wake:{worker}", self.base)
    }

    /// The channel of a user's events.
    pub(crate) fn events_channel(&self, user: &UserId) -> String {
        format!("{}u:{user}", self.base)
    }

    /// The channel on which a process of ours hears itself, to know that its subscriptions live.
    pub(crate) fn echo(&self, process: &str) -> String {
        format!("{}echo:{process}", self.base)
    }

    fn user(&self, user: &UserId, rest: std::fmt::Arguments<'_>) -> String {
        format!("{}u:{user}:{rest}", self.base)
    }

    /// ZSET, all with score 0, of a user's tasks in `state`, where that has a list.
    pub(crate) fn listed(&self, user: &UserId, state: TaskState) -> String {
        self.user(user, format_args!("s:{}", state.name()))
    }

    /// LIST of `task:attempt:claim` that wait in `queue`: **this is the task queue**. Those of a
    /// priority are in a list of their own.
    pub(crate) fn lane(&self, user: &UserId, queue: &Name, priority: Priority) -> String {
        self.user(user, format_args!("{}:{queue}", priority.letter().unwrap_or("q")))
    }

    /// All lists of a lane.
    pub(crate) fn lists(&self, user: &UserId, queue: &Name) -> [String; 3] {
        Priority::ALL.map(|priority| self.lane(user, queue, priority))
    }

    /// STRING: the immutable descriptor of a task.
    pub(crate) fn descriptor(&self, user: &UserId, task: TaskId) -> String {
        self.user(user, format_args!("d:{task}"))
    }

    /// STRING: the state of a task, overwritten whole; absent while it is queued and untouched.
    pub(crate) fn state(&self, user: &UserId, task: TaskId) -> String {
        self.user(user, format_args!("t:{task}"))
    }

    /// STRING: `queue|ties` of a task that has some.
    pub(crate) fn links(&self, user: &UserId, task: TaskId) -> String {
        self.user(user, format_args!("f:{task}"))
    }

    /// ZSET of the parts of a flow or batch, all with score 0.
    pub(crate) fn parts(&self, user: &UserId, task: TaskId) -> String {
        self.user(user, format_args!("m:{task}"))
    }

    /// LIST of `number|record` of attempts that ended without ending the task.
    pub(crate) fn attempts(&self, user: &UserId, task: TaskId) -> String {
        self.user(user, format_args!("a:{task}"))
    }

    /// STREAM of a task's log lines, ids `0-<number>`, field `l`.
    pub(crate) fn log(&self, user: &UserId, task: TaskId) -> String {
        self.user(user, format_args!("o:{task}"))
    }

    /// STREAM of a user's events, ids `<epoch>-<seq minus 1>`, field `e`: a JSON array.
    pub(crate) fn events(&self, user: &UserId) -> String {
        self.user(user, format_args!("e"))
    }

    /// STRING with a lifetime: what an idempotency key stands for.
    pub(crate) fn idempotency(&self, user: &UserId, key: &str) -> String {
        self.user(user, format_args!("k:{key}"))
    }

    /// ZSET of `task,queue` of one serial key: whose turn it is at -inf, then who waits for it.
    pub(crate) fn line(&self, user: &UserId, key: u128) -> String {
        self.user(user, format_args!("w:{key:032x}"))
    }

    /// STRING: how many tasks of a user are in each state and how many bytes they hold, see
    /// [`Tally`](crate::wire::Tally).
    pub(crate) fn tally(&self, user: &UserId) -> String {
        self.user(user, format_args!("n"))
    }

    /// HASH of a user's schedules: name → `version|next|text`.
    pub(crate) fn schedules_of(&self, user: &UserId) -> String {
        self.user(user, format_args!("sc"))
    }

    /// SET of queues in which a user's lane is not empty and gets no turn because all their work is
    /// paused.
    pub(crate) fn aside(&self, user: &UserId) -> String {
        self.user(user, format_args!("z"))
    }

    /// ZSET of a user's tasks, all with score 0, so in the order of their ids: each is its id, and
    /// behind a line end what lists find it by, unless that is not known.
    pub(crate) fn index(&self, user: &UserId) -> String {
        self.user(user, format_args!("i"))
    }
}

/// The names of a limit over all users of a queue, which have a slot of their own.
#[derive(Debug, Clone)]
pub(crate) struct LimitKeys {
    tag: String,
}

impl LimitKeys {
    /// Those of `queue`.
    pub(crate) fn of(queue: &Name) -> Self {
        Self { tag: format!("lim:{queue}") }
    }

    /// Where they live.
    pub(crate) fn slot(&self) -> u16 {
        slot(&self.tag)
    }

    fn named(&self, rest: impl std::fmt::Display) -> String {
        format!("{ROOT}{{{}}}:{rest}", self.tag)
    }

    /// HASH of what is granted. Of permits `version`, and `p<partition>` → `permits,number`; of starts
    /// `version`, `full`, and `p<partition>` → `mark,number,used,at`.
    pub(crate) fn pool(&self, what: Shared) -> String {
        self.named(what.word())
    }

    /// Never exists, see [`Keys::canary`].
    pub(crate) fn canary(&self) -> String {
        self.named("~")
    }

    /// STRING with a lifetime: somebody has begun to balance a moment ago.
    pub(crate) fn lately(&self, what: Shared) -> String {
        self.named(format_args!("{}:lately", what.word()))
    }

    /// STRING with a lifetime: somebody balances in this second.
    pub(crate) fn second(&self, what: Shared, second: u64) -> String {
        self.named(format_args!("{}:second:{second}", what.word()))
    }
}

/// The tag of what belongs to the installation as a whole, which lives in one slot of its own.
pub(crate) const SYSTEM_TAG: &str = "sys";
const SYSTEM: &str = "tt:{sys}:";

/// HASH: partitions, schema, and what else every process must agree on.
pub(crate) fn config() -> String {
    format!("{SYSTEM}config")
}

/// The HASH that takes a write of no meaning for a call whose first key is `first`. Every field of a
/// table is a record, so in the system's slot the configuration takes it.
pub(crate) fn touched(first: &str) -> String {
    if first.starts_with(SYSTEM) { config() } else { first.to_owned() }
}

/// HASH of a registry table: key → `version|value`.
pub(crate) fn table(table: Table) -> String {
    format!("{SYSTEM}{}", table.name())
}

/// Never exists, see [`Keys::canary`].
pub(crate) fn system_canary() -> String {
    format!("{SYSTEM}~")
}

/// Exists only inside the script that finds out what may be done.
pub(crate) fn rights() -> String {
    format!("{SYSTEM}rights")
}
