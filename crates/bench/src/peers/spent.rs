//! What Redis and processes say they have spent, and the arithmetic of differences. Pure, but for
//! reading `/proc`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Ticks per second of the times in `/proc`: fixed by Linux for what programs see.
const TICKS_PER_S: u64 = 100;
/// Commands that the bench itself asks.
const OWN: &str = "info";

/// The counters of a server at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Info {
    pub(crate) version: String,
    /// Commands run so far, those of scripts too, without the bench's own.
    commands: f64,
    /// Calls of scripts so far.
    scripts: f64,
    /// Reads from sockets so far: what clients sent together counts once.
    reads: f64,
    bytes_in: f64,
    bytes_out: f64,
    cpu_us: f64,
    /// Memory that the data and its clients take, bytes.
    memory_bytes: f64,
    /// Bytes of this text itself, which the next one counts as sent.
    own_bytes: f64,
}

impl Info {
    /// Reads `INFO all`. What a server does not tell is 0.
    pub(crate) fn parse(text: &str) -> Self {
        let fields: BTreeMap<&str, &str> =
            text.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
        let number =
            |name: &str| fields.get(name).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        let calls = |name: &str, value: &str| {
            let name = name.strip_prefix("cmdstat_")?;
            let calls: f64 = value.strip_prefix("calls=")?.split(',').next()?.parse().ok()?;
            (name != OWN).then_some((name.to_owned(), calls))
        };
        let by_name: Vec<(String, f64)> =
            fields.iter().filter_map(|(name, value)| calls(name, value)).collect();
        let sum = |of: &dyn Fn(&str) -> bool| {
            by_name.iter().filter(|(name, _)| of(name)).map(|(_, calls)| calls).sum()
        };
        Self {
            version: fields.get("redis_version").copied().unwrap_or("unknown").into(),
            commands: sum(&|_| true),
            scripts: sum(&|name| matches!(name, "eval" | "evalsha" | "fcall")),
            reads: number("total_reads_processed"),
            bytes_in: number("total_net_input_bytes"),
            bytes_out: number("total_net_output_bytes"),
            cpu_us: (number("used_cpu_user_main_thread") + number("used_cpu_sys_main_thread"))
                * 1e6,
            memory_bytes: number("used_memory"),
            own_bytes: text.len() as f64,
        }
    }
}

/// What one task cost Redis.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct PerTask {
    /// Commands, those inside scripts counted too.
    pub(crate) commands: f64,
    /// Calls of scripts.
    pub(crate) scripts: f64,
    /// Reads from sockets.
    pub(crate) reads: f64,
    pub(crate) bytes_in: f64,
    pub(crate) bytes_out: f64,
    /// CPU of the main thread, µs.
    pub(crate) cpu_us: f64,
    /// Memory by which it grew, bytes.
    pub(crate) memory_bytes: f64,
}

impl PerTask {
    /// The difference of two moments, shared among `tasks`.
    pub(crate) fn between(before: &Info, after: &Info, tasks: u64) -> Self {
        let each = |before: f64, after: f64| (after - before) / tasks.max(1) as f64;
        Self {
            commands: each(before.commands, after.commands),
            scripts: each(before.scripts, after.scripts),
            // The bench's own question is one read.
            reads: each(before.reads, after.reads - 1.0).max(0.0),
            bytes_in: each(before.bytes_in, after.bytes_in),
            bytes_out: each(before.bytes_out, after.bytes_out - before.own_bytes).max(0.0),
            cpu_us: each(before.cpu_us, after.cpu_us),
            memory_bytes: each(before.memory_bytes, after.memory_bytes),
        }
    }

    /// Both together: submitting and processing.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            commands: self.commands + other.commands,
            scripts: self.scripts + other.scripts,
            reads: self.reads + other.reads,
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
            cpu_us: self.cpu_us + other.cpu_us,
            memory_bytes: self.memory_bytes + other.memory_bytes,
        }
    }
}

/// One process in `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) id: u32,
    parent: u32,
    pub(crate) session: u32,
    ticks: u64,
}

impl Stat {
    /// Reads `/proc/ID/stat`: the name may hold spaces and brackets.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let id = text.split(' ').next()?.parse().ok()?;
        let rest: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| rest.get(at)?.parse::<u64>().ok();
        Some(Self {
            id,
            parent: u32::try_from(number(1)?).ok()?,
            session: u32::try_from(number(3)?).ok()?,
            // Own time, and that of children that have ended and been waited for.
            ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        })
    }

    /// Every process there is now.
    pub(crate) fn all() -> Vec<Self> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
            .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
            .filter_map(|text| Self::parse(&text))
            .collect()
    }
}

/// Those of `all` that `root` started, directly or not, or that share its session; and itself.
pub(crate) fn tree(all: &[Stat], root: u32) -> Vec<Stat> {
    let mut known: BTreeSet<u32> =
        all.iter().filter(|one| one.id == root || one.session == root).map(|one| one.id).collect();
    loop {
        let before = known.len();
        known.extend(
            all.iter()
                .filter(|one| known.contains(&one.parent))
                .map(|one| one.id)
                .collect::<Vec<_>>(),
        );
        if known.len() == before {
            return all.iter().filter(|one| known.contains(&one.id)).copied().collect();
        }
    }
}

/// CPU that a process and all it started have used, µs.
pub(crate) fn cpu_us(root: u32) -> f64 {
    let ticks: u64 = tree(&Stat::all(), root).iter().map(|one| one.ticks).sum();
    (ticks * 1_000_000 / TICKS_PER_S) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# Server\r\nredis_version:7.0.15\r\nused_memory:1000\r\n\
        total_net_input_bytes:100\r\ntotal_net_output_bytes:50\r\ntotal_reads_processed:10\r\n\
        used_cpu_sys_main_thread:0.5\r\nused_cpu_user_main_thread:0.25\r\n\
        cmdstat_info:calls=1,usec=9\r\ncmdstat_evalsha:calls=10,usec=2\r\n";

    fn after() -> String {
        format!(
            "used_memory:3000\r\ntotal_net_input_bytes:300\r\ntotal_net_output_bytes:{}\r\n\
             total_reads_processed:31\r\nused_cpu_sys_main_thread:0.501\r\n\
             used_cpu_user_main_thread:0.251\r\ncmdstat_info:calls=7,usec=9\r\n\
             cmdstat_evalsha:calls=20,usec=2\r\ncmdstat_config|get:calls=5,usec=2\r\n",
            250 + BEFORE.len()
        )
    }

    #[test]
    fn a_difference_is_shared_among_tasks_without_what_the_bench_asked() {
        let before = Info::parse(BEFORE);
        assert_eq!(before.version, "7.0.15");
        let each = PerTask::between(&before, &Info::parse(&after()), 10);
        assert_eq!((each.commands, each.scripts, each.reads), (1.5, 1.0, 2.0));
        assert_eq!((each.bytes_in, each.bytes_out, each.memory_bytes), (20.0, 20.0, 200.0));
        assert!((each.cpu_us - 200.0).abs() < 1e-6, "{each:?}");
        let both = each.and(each);
        assert_eq!((both.commands, both.memory_bytes), (3.0, 400.0));
    }

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let text = "42 (a b) c) S 7 42 9 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 3 0 5 6 7";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat, Stat { id: 42, parent: 7, session: 9, ticks: 100 });
        assert_eq!(Stat::parse("nothing"), None);
    }

    #[test]
    fn a_tree_holds_children_of_children_also_in_sessions_of_their_own() {
        let one = |id, parent, session| Stat { id, parent, session, ticks: 1 };
        let all =
            [one(1, 0, 1), one(5, 1, 5), one(6, 5, 5), one(7, 6, 7), one(8, 1, 5), one(9, 1, 9)];
        let found: Vec<u32> = tree(&all, 5).iter().map(|one| one.id).collect();
        assert_eq!(found, [5, 6, 7, 8]);
    }

    #[test]
    fn this_process_is_in_its_own_tree() {
        assert!(tree(&Stat::all(), std::process::id()).iter().any(|s| s.id == std::process::id()));
    }
}
