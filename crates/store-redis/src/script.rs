//! The scripts: assembled from one fragment per verb, each sent by its SHA, so that processes of
//! two releases run theirs side by side.
//!
//! A fragment never knows who calls it or what a task means; what it reads, answers and moves
//! stands at its top. Constants come from `core`.

use std::fmt::Write as _;
use std::sync::LazyLock;

use tasktonic_core::TaskId;
use tasktonic_core::command::EXPIRED;
use tasktonic_core::limits::{
    ADOPT_MAX, ATTEMPTS_KEPT_MAX, CASCADE_MAX, CLAIM_LOOKS_MAX, EVENTS_KEPT_MAX, EXPIRE_MAX,
    FORGET_PARKED_MS, KEY_SLACK_MS, LANE_DEAD_MAX, LEAD_MAX, LEASE_TIME_STEP_MS_MAX, LINKS_MAX,
    LOG_LINES_MAX, LOOK_MS_MAX, LOW_TURN, MAINTENANCE_MS, PARKED_MS_MAX, PARTS_MAX, PROMOTE_MAX,
    REV_PER_CLAIM, SCHEDULES_MAX, SWEEP_MAX, THROTTLED_MAX, UNWATCHED_MS, WAKES_MAX,
};
use tasktonic_core::policy::Retention;
use tasktonic_core::transitions::STATES;

use crate::open::SCHEMA;

/// The oldest form of a partition that these scripts understand.
const SCHEMA_MIN: u32 = 1;
/// Idle workers that one wake tries, should those before be gone.
const WAKE_TRIES_MAX: usize = 64;
/// Queues known to have tasks with a priority, by partition; with more, all are taken to have some.
pub(crate) const PRIORITY_QUEUES_MAX: usize = 64;
/// Values of one command; Lua hands on at most a few thousand. Even, for pairs.
const UNPACK_MAX: usize = 512;
/// The longest life of an idempotency key that Redis is told, ms: about 300 years. Longer ones
/// hold all the same; it only keeps Redis from refusing the number.
const KEY_MS_MAX: i64 = 10_000_000_000_000;

/// A script that changes a partition.
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
    /// Compares what is kept of some users with itself, and repairs it.
    Repair,
}

impl Script {
    /// Every script; the router loads them on every server.
    pub(crate) const ALL: &'static [Self] = &[
        Self::Submit,
        Self::Sync,
        Self::Control,
        Self::Flow,
        Self::Tick,
        Self::Config,
        Self::Meta,
        Self::Registry,
        Self::Repair,
    ];

    /// Its text, which never changes while the process runs.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Submit => &SUBMIT,
            Self::Sync => &SYNC,
            Self::Control => &CONTROL,
            Self::Flow => &FLOW,
            Self::Tick => &TICK,
            Self::Config => include_str!("lua/config.lua"),
            Self::Meta => include_str!("lua/meta.lua"),
            Self::Registry => include_str!("lua/registry.lua"),
            Self::Repair => &REPAIR,
        }
    }
}

macro_rules! fragment {
    ($name:literal) => {
        ($name, include_str!(concat!("lua/", $name, ".lua")))
    };
}

/// What every script of tasks begins with; its locals are seen by all fragments.
const SHARED: [(&str, &str); 2] = [fragment!("names"), fragment!("begin")];

static SUBMIT: LazyLock<String> = LazyLock::new(|| {
    assemble(
        "",
        &[
            fragment!("record"),
            fragment!("gate"),
            fragment!("lane"),
            fragment!("line"),
            fragment!("stop"),
            fragment!("submit"),
        ],
    )
});

static SYNC: LazyLock<String> = LazyLock::new(|| {
    assemble(
        " flags=allow-oom",
        &[
            fragment!("record"),
            fragment!("pace"),
            fragment!("gate"),
            fragment!("room"),
            fragment!("lane"),
            fragment!("line"),
            fragment!("attempt"),
            fragment!("stop"),
            fragment!("links"),
            fragment!("report"),
            fragment!("remove"),
            fragment!("maintain"),
            fragment!("pick"),
            fragment!("claim"),
            fragment!("sync"),
        ],
    )
});

static CONTROL: LazyLock<String> = LazyLock::new(|| {
    assemble(
        " flags=allow-oom",
        &[
            fragment!("record"),
            fragment!("pace"),
            fragment!("gate"),
            fragment!("room"),
            fragment!("lane"),
            fragment!("line"),
            fragment!("attempt"),
            fragment!("links"),
            fragment!("named"),
            fragment!("stop"),
            fragment!("cancel"),
            fragment!("redrive"),
            fragment!("reschedule"),
            fragment!("edit"),
            fragment!("seal"),
            fragment!("schedule"),
            fragment!("settings"),
            fragment!("remove"),
            fragment!("purge"),
            fragment!("erase"),
            fragment!("control"),
        ],
    )
});

static FLOW: LazyLock<String> = LazyLock::new(|| {
    let verbs = [
        fragment!("record"),
        fragment!("gate"),
        fragment!("lane"),
        fragment!("line"),
        fragment!("stop"),
        fragment!("links"),
        fragment!("flow"),
    ];
    assemble("", &verbs)
});

static TICK: LazyLock<String> = LazyLock::new(|| {
    assemble(
        "",
        &[
            fragment!("record"),
            fragment!("gate"),
            fragment!("lane"),
            fragment!("line"),
            fragment!("stop"),
            fragment!("schedule"),
            fragment!("tick"),
            fragment!("submit"),
        ],
    )
});

static REPAIR: LazyLock<String> = LazyLock::new(|| {
    assemble(
        " flags=allow-oom",
        &[
            fragment!("record"),
            fragment!("pace"),
            fragment!("gate"),
            fragment!("room"),
            fragment!("lane"),
            fragment!("line"),
            fragment!("stop"),
            fragment!("links"),
            fragment!("schedule"),
            fragment!("repair"),
        ],
    )
});

/// A script of its fragments: each of `verbs` in a block of its own, because Lua stops at 200
/// locals.
fn assemble(flags: &str, verbs: &[(&str, &str)]) -> String {
    let mut text = format!("#!lua{flags}\n{}", constants());
    for (_, fragment) in SHARED {
        let _ = write!(text, "\n{fragment}");
    }
    for (_, fragment) in verbs {
        let _ = write!(text, "\ndo\n{fragment}end\n");
    }
    text
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
    constant("CLAIM_LOOKS_MAX", &CLAIM_LOOKS_MAX);
    constant("WAKES_MAX", &WAKES_MAX);
    constant("WAKE_TRIES_MAX", &WAKE_TRIES_MAX);
    constant("LANE_DEAD_MAX", &LANE_DEAD_MAX);
    constant("LOW_TURN", &LOW_TURN);
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
    constant("ENDED", &format!("{{ {} }}", ended.join(", ")));
    text
}

#[cfg(test)]
mod tests;
