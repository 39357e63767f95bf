//! The scripts: assembled from one fragment per verb. A server has them as one library of functions,
//! named by what it holds, so that processes of two releases have theirs side by side; or, where it
//! takes no library, each by itself.
//!
//! A fragment never knows who calls it or what a task means; what it reads, answers and moves
//! stands at its top. Constants come from `core`.

use std::fmt::Write as _;
use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};
use tasktonic_core::TaskId;
use tasktonic_core::command::EXPIRED;
use tasktonic_core::limits::{
    ADOPT_MAX, ATTEMPTS_KEPT_MAX, CASCADE_MAX, CLAIM_LOOKS_MAX, CLAIM_MAX, EVENTS_KEPT_MAX,
    EXPIRE_MAX, FORGET_PARKED_MS, KEY_SLACK_MS, LANE_DEAD_MAX, LEAD_MAX, LEASE_TIME_STEP_MS_MAX,
    LINKS_MAX, LOG_LINES_MAX, LOOK_MS_MAX, LOW_TURN, MAINTENANCE_MS, PARKED_MS_MAX, PARTS_MAX,
    PROMOTE_MAX, REV_PER_CLAIM, SCHEDULES_MAX, SWEEP_MAX, THROTTLED_MAX, TIMED_LOOKS_MAX,
    TURN_LOOKS, UNWATCHED_MS, WAKES_MAX,
};
use tasktonic_core::policy::Retention;
use tasktonic_core::policy::turns::{DEBT_TURNS_MAX, MEAN_OF, TURN_MS_DEFAULT};
use tasktonic_core::transitions::STATES;

use crate::open::SCHEMA;
use crate::store::LISTED;

/// The oldest form of a partition that these scripts understand.
const SCHEMA_MIN: u32 = 1;
/// Idle workers that one wake tries, should those before be gone.
const WAKE_TRIES_MAX: usize = 64;
/// Queues known to have tasks with a priority, by partition; with more, all are taken to have some.
pub(crate) const PRIORITY_QUEUES_MAX: usize = 64;
/// Of so many tasks that leave a lane with too many dead references, one call takes some of those out.
const CLEAR_EVERY: usize = 8;
/// How many entries of the lane it then looks at: more than have left, so that it gets ahead.
const CLEAR_LOOKS: usize = 32;
/// What stands in a lane for a dead reference until the call that found it has taken it out.
const CLEARED: &str = "-";
/// Values of one command; Lua hands on at most a few thousand. Even, for pairs.
const UNPACK_MAX: usize = 512;
/// The longest life of an idempotency key that Redis is told, ms: about 300 years. Longer ones
/// hold all the same; it only keeps Redis from refusing the number.
pub(crate) const KEY_MS_MAX: i64 = 10_000_000_000_000;
/// How the names of our libraries begin.
pub(crate) const LIBRARY_PREFIX: &str = "tasktonic_";
/// Bytes of the hash of a library's text that are in its name.
const HASH_BYTES: usize = 10;

macro_rules! fragment {
    ($name:literal) => {
        ($name, include_str!(concat!("lua/", $name, ".lua")))
    };
}

macro_rules! fragments {
    ($($name:literal),*) => { &[$(fragment!($name)),*] };
}

/// What a call of the store runs in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Script {
    /// Accept tasks. Refused by Redis above its memory limit.
    Submit,
    /// Reports of a worker and its next claim. Goes on above the memory limit.
    Sync,
    /// What people and operators ask for.
    Control,
    /// Accept tasks that wait for each other. Refused by Redis above its memory limit.
    Flow,
    /// A schedule goes on, and its task is accepted. Refused by Redis above its memory limit.
    Tick,
    /// What every process must agree on, in the system's slot.
    Config,
    /// Makes the facts of a partition.
    Meta,
    /// A change of the registry, in the system's slot.
    Registry,
    /// Grants permits of a limit over all users of a queue to partitions, in that limit's slot.
    Permits,
    /// Grants starts of a rate over all users of a queue to partitions, in that limit's slot.
    Starts,
    /// Compares what is kept of some users with itself, and repairs it.
    Repair,
}

impl Script {
    /// Every script, each at the place of its number.
    pub(crate) const ALL: &'static [Self] = &[
        Self::Submit,
        Self::Sync,
        Self::Control,
        Self::Flow,
        Self::Tick,
        Self::Config,
        Self::Meta,
        Self::Registry,
        Self::Permits,
        Self::Starts,
        Self::Repair,
    ];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Sync => "sync",
            Self::Control => "control",
            Self::Flow => "flow",
            Self::Tick => "tick",
            Self::Config => "config",
            Self::Meta => "meta",
            Self::Registry => "registry",
            Self::Permits => "permits",
            Self::Starts => "starts",
            Self::Repair => "repair",
        }
    }

    /// Whether Redis runs it above its memory limit.
    fn goes_on_when_full(self) -> bool {
        !matches!(self, Self::Submit | Self::Flow | Self::Tick)
    }

    /// Its name as a function of [`LIBRARY`].
    pub(crate) fn function(self) -> &'static str {
        &LIBRARY.functions[self as usize]
    }

    /// Its text as a script by itself, for a server that takes no library.
    pub(crate) fn text(self) -> &'static str {
        &ALONE[self as usize]
    }

    /// Lua that makes the function of it, `function(keys, args)`.
    fn maker(self) -> String {
        let (fragments, run) = match self {
            Self::Submit => (SUBMIT, fragment!("submit")),
            Self::Sync => (SYNC, fragment!("sync")),
            Self::Control => (CONTROL, fragment!("control")),
            Self::Flow => (FLOW, fragment!("flow")),
            Self::Tick => (TICK, fragment!("submit")),
            Self::Repair => (REPAIR, fragment!("repair")),
            Self::Config => return by_itself(include_str!("lua/config.lua")),
            Self::Meta => return by_itself(include_str!("lua/meta.lua")),
            Self::Registry => return by_itself(include_str!("lua/registry.lua")),
            Self::Permits => return by_itself(include_str!("lua/permits.lua")),
            Self::Starts => return by_itself(include_str!("lua/starts.lua")),
        };
        assemble(fragments, run)
    }
}

/// All scripts as one library of functions. Redis makes its closures once, where a script by itself
/// makes them at every call.
#[derive(Debug)]
pub(crate) struct Library {
    /// Another for every text, so that processes of two releases have theirs side by side.
    pub(crate) name: String,
    /// What is loaded.
    pub(crate) text: String,
    functions: Vec<String>,
}

/// The library of this release.
pub(crate) static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let makers: Vec<_> = Script::ALL.iter().map(|script| (*script, script.maker())).collect();
    let mut hash = Sha256::new();
    for (script, maker) in &makers {
        hash.update(script.name());
        hash.update(maker);
    }
    let mut name = LIBRARY_PREFIX.to_owned();
    for byte in hash.finalize().iter().take(HASH_BYTES) {
        let _ = write!(name, "{byte:02x}");
    }
    let mut text = format!("#!lua name={name}\n");
    let mut functions = Vec::new();
    for (script, maker) in makers {
        let function = format!("{name}_{}", script.name());
        let flags = if script.goes_on_when_full() { "flags = { 'allow-oom' }, " } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\nredis.register_function({{ function_name = '{function}', {flags}\n\
             callback = (function()\n{maker}end)() }})\n"
        );
        functions.push(function);
    }
    Library { name, text, functions }
});

/// Each script by itself, in the order of [`Script::ALL`].
static ALONE: LazyLock<Vec<String>> = LazyLock::new(|| {
    let alone = |script: &Script| {
        let flags = if script.goes_on_when_full() { " flags=allow-oom" } else { "" };
        let maker = script.maker();
        format!("#!lua{flags}\nlocal run = (function()\n{maker}end)()\nreturn run(KEYS, ARGV)\n")
    };
    Script::ALL.iter().map(alone).collect()
});

type Fragment = (&'static str, &'static str);

/// What every script of tasks begins with; its locals are seen by all fragments.
const SHARED: &[Fragment] = fragments!["names", "begin"];

const SUBMIT: &[Fragment] = fragments![
    "record",
    "tally",
    "gate",
    "total",
    "hand",
    "lane",
    "line",
    "stop",
    "key",
    "plain",
    "plain_submit"
];

const SYNC: &[Fragment] = fragments![
    "record",
    "tally",
    "pace",
    "gate",
    "total",
    "hand",
    "room",
    "times",
    "lane",
    "line",
    "attempt",
    "stop",
    "links",
    "report",
    "remove",
    "maintain",
    "pick",
    "claim",
    "idle",
    "plain",
    "plain_sync"
];

const CONTROL: &[Fragment] = fragments![
    "record",
    "tally",
    "pace",
    "gate",
    "total",
    "hand",
    "room",
    "times",
    "lane",
    "line",
    "attempt",
    "links",
    "named",
    "stop",
    "cancel",
    "redrive",
    "reschedule",
    "edit",
    "seal",
    "schedule",
    "settings",
    "remove",
    "purge",
    "erase"
];

const FLOW: &[Fragment] =
    fragments!["record", "tally", "gate", "total", "hand", "lane", "line", "stop", "links"];

const TICK: &[Fragment] = fragments![
    "record", "tally", "gate", "total", "hand", "lane", "line", "stop", "key", "schedule", "tick"
];

const REPAIR: &[Fragment] = fragments![
    "record", "tally", "pace", "gate", "total", "hand", "room", "times", "lane", "line", "stop",
    "links", "schedule"
];

/// The function of a script of tasks: `run` is what a call does, and each other fragment in a block
/// of its own, because Lua stops at 200 locals.
fn assemble(fragments: &[Fragment], run: Fragment) -> String {
    let mut text = format!("local KEYS, ARGV\n{}{EACH_CALL}", constants());
    for (_, fragment) in SHARED {
        let _ = write!(text, "\n{fragment}");
    }
    text.push_str(COMMON);
    for (_, fragment) in fragments {
        let _ = write!(text, "\ndo\n{fragment}end\n");
    }
    let _ = write!(text, "\nlocal function run()\n{}end\n{RUN}", run.1);
    text
}

/// Fragments live from call to call. What one of them remembers during a call it sets to its
/// beginning in a function that it hands to `each_call`.
/// What Lua itself has is found quicker as a local, and cannot be while a library is loaded.
const EACH_CALL: &str = "
local function of_lua()
  return string, table, math, string.match, tonumber, type, unpack, pairs, ipairs
end
local string, table, math, match, tonumber, type, unpack, pairs, ipairs
local beginnings = {}
local function each_call(begin) beginnings[#beginnings + 1] = begin end
";

/// A plain call needs only what the fragments before this one remember.
const COMMON: &str = "\nlocal COMMON = #beginnings\n";

const RUN: &str = "
return function(keys, args)
  KEYS, ARGV = keys, args
  if not string then
    string, table, math, match, tonumber, type, unpack, pairs, ipairs = of_lua()
  end
  for i = 1, COMMON do beginnings[i]() end
  local reply = V.plain and V.plain()
  if reply then return reply end
  for i = COMMON + 1, #beginnings do beginnings[i]() end
  return run()
end
";

/// The function of a script that is one fragment.
fn by_itself(fragment: &str) -> String {
    format!("return function(KEYS, ARGV)\n{fragment}end\n")
}

/// What the fragments use of `core`, by the same names.
fn constants() -> String {
    let mut text = String::new();
    let mut constant = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "local {name} = {value}");
    };
    constant("SCHEMA_MIN", &SCHEMA_MIN);
    constant("SCHEMA", &SCHEMA);
    constant("LEASE_TIME_STEP_MS_MAX", &LEASE_TIME_STEP_MS_MAX);
    constant("MAINTENANCE_MS", &MAINTENANCE_MS);
    constant("UNWATCHED_MS", &UNWATCHED_MS);
    constant("LOOK_MS_MAX", &LOOK_MS_MAX);
    constant("ADOPT_MAX", &ADOPT_MAX);
    constant("PROMOTE_MAX", &PROMOTE_MAX);
    constant("EXPIRE_MAX", &EXPIRE_MAX);
    constant("EXPIRED", &format!("'{EXPIRED}'"));
    constant("SWEEP_MAX", &SWEEP_MAX);
    constant("LINKS_MAX", &LINKS_MAX);
    constant("LEAD_MAX", &LEAD_MAX);
    constant("CASCADE_MAX", &CASCADE_MAX);
    constant("PARTS_MAX", &PARTS_MAX);
    constant("FIRST_ID", &format!("'{}'", TaskId::from_bytes([0; 12])));
    constant("KEEP_COMPLETED_S", &Retention::DEFAULT.completed_s);
    constant("KEEP_CANCELLED_S", &Retention::DEFAULT.cancelled_s);
    constant("KEEP_DEAD_S", &Retention::DEFAULT.dead_s);
    constant("THROTTLED_MAX", &THROTTLED_MAX);
    constant("CLAIM_MAX", &CLAIM_MAX);
    constant("CLAIM_LOOKS_MAX", &CLAIM_LOOKS_MAX);
    constant("TURN_LOOKS", &TURN_LOOKS);
    constant("WAKES_MAX", &WAKES_MAX);
    constant("WAKE_TRIES_MAX", &WAKE_TRIES_MAX);
    constant("LANE_DEAD_MAX", &LANE_DEAD_MAX);
    constant("CLEAR_EVERY", &CLEAR_EVERY);
    constant("CLEAR_LOOKS", &CLEAR_LOOKS);
    constant("CLEARED", &format!("'{CLEARED}'"));
    constant("LOW_TURN", &LOW_TURN);
    constant("TIMED_LOOKS_MAX", &TIMED_LOOKS_MAX);
    constant("TURN_MS_DEFAULT", &TURN_MS_DEFAULT);
    constant("DEBT_TURNS_MAX", &DEBT_TURNS_MAX);
    constant("MEAN_OF", &MEAN_OF);
    constant("PRIORITY_QUEUES_MAX", &PRIORITY_QUEUES_MAX);
    constant("PARKED_MS_MAX", &PARKED_MS_MAX);
    constant("FORGET_PARKED_MS", &FORGET_PARKED_MS);
    constant("LOG_LINES_MAX", &LOG_LINES_MAX);
    constant("ATTEMPTS_KEPT_MAX", &ATTEMPTS_KEPT_MAX);
    constant("EVENTS_KEPT_MAX", &EVENTS_KEPT_MAX);
    constant("N_MAX", &(REV_PER_CLAIM - 1));
    constant("KEY_SLACK_MS", &KEY_SLACK_MS);
    constant("KEY_MS_MAX", &KEY_MS_MAX);
    constant("SCHEDULES_MAX", &SCHEDULES_MAX);
    constant("UNPACK_MAX", &UNPACK_MAX);
    let ended: Vec<_> = STATES
        .iter()
        .filter(|state| state.is_terminal())
        .map(|state| format!("{} = true", state.name()))
        .collect();
    let states: Vec<_> = STATES.iter().map(|state| format!("'{}'", state.name())).collect();
    // Version, bytes, and a number for each state, see the fragment `tally`.
    constant("TALLY", &format!("'^(%d+),(%d+){}'", ",(%d+)".repeat(STATES.len())));
    constant("TALLY_REST", &format!("'^(%d+),(%d+){}(.*)$'", ",(%d+)".repeat(STATES.len())));
    constant("TALLY_NONE", &format!("'0,0{}'", ",0".repeat(STATES.len())));
    constant("TALLY_MAX", &format!("'^{}(%d+)'", "%d+,".repeat(STATES.len() + 2)));
    constant("STATES", &format!("{{ {} }}", states.join(", ")));
    let listed: Vec<_> = LISTED.iter().map(|state| format!("{} = true", state.name())).collect();
    constant("LISTED", &format!("{{ {} }}", listed.join(", ")));
    constant("ENDED", &format!("{{ {} }}", ended.join(", ")));
    text
}

#[cfg(test)]
mod tests;
