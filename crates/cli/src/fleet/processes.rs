//! Processes of the machine, as /proc tells of them: who lives, since when, and how to end a group
//! of them for certain. Where there is no /proc, nothing is known and nobody is killed by mistake.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// How often those who are to end are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One process that leads a group, so that it is told from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    /// The number of process and group.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub(crate) since: u64,
}

/// Within what a number names one process: one life of the machine, and one count of its
/// processes, as containers have their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Realm {
    /// Another one after each start of the machine.
    boot: Option<String>,
    /// Whose numbers count.
    numbers: Option<PathBuf>,
}

impl Realm {
    /// The one we live in.
    pub(crate) fn ours() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        Self {
            boot: boot.map(|id| id.trim().to_owned()),
            numbers: std::fs::read_link("/proc/self/ns/pid").ok(),
        }
    }
}

/// What /proc says of a process.
struct Stat {
    state: char,
    group: i32,
    since: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name stands in brackets and may hold anything; after it come state, parent, group, … and
/// the time of the start as the twentieth.
fn parse(line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        group: fields.get(2)?.parse().ok()?,
        since: fields.get(19)?.parse().ok()?,
    })
}

impl Group {
    /// The group that `pid` leads now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        Some(Self { pid, since: stat(pid)?.since })
    }

    /// Whether its leader still runs.
    pub(crate) fn leads(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.since == self.since && stat.state != 'Z')
    }

    /// Whether any process of it still runs. A leader with another start is another group; without
    /// a leader the number cannot have been given away, so those who carry it belong to it.
    pub(crate) fn lives(&self) -> bool {
        match stat(self.pid) {
            Some(stat) if stat.since != self.since => false,
            _ => has_members(self.pid),
        }
    }

    /// Sends `signal` to all of it.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.lives() {
            // A group that is gone by now is what we want.
            let _ = killpg(Pid::from_raw(self.pid), signal);
        }
    }
}

/// Those who wait to be collected do not count: not every machine has somebody who does it at once.
fn has_members(group: i32) -> bool {
    let Ok(entries) = std::fs::read_dir(Path::new("/proc")) else { return false };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(stat).any(|stat| stat.group == group && stat.state != 'Z')
}

/// Waits until none of `groups` lives, then kills those that still do.
pub(crate) fn wait_then_kill(groups: &[&Group], within: Duration) {
    let until = Instant::now() + within;
    while groups.iter().any(|group| group.lives()) && Instant::now() < until {
        std::thread::sleep(LOOK_EVERY);
    }
    for group in groups {
        group.signal(Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_is_read() {
        let rest = "S 1 42 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        let stat = parse(&format!("7 (a) b (c) {rest}")).unwrap();
        assert_eq!((stat.state, stat.group, stat.since), ('S', 42, 777));
        assert!(parse("").is_none());
    }

    #[test]
    fn a_group_ends_whole_and_another_one_of_its_number_is_left_alone() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; sleep 100 & echo; wait"]).process_group(0);
        let mut child = command.spawn().unwrap();
        let group = Group::of(child.id()).unwrap();
        assert!(group.leads() && group.lives());
        let other = Group { since: group.since + 1, ..group.clone() };
        assert!(!other.leads() && !other.lives());
        other.signal(Signal::SIGKILL);
        assert!(group.lives());
        wait_then_kill(&[&group], Duration::ZERO);
        child.wait().unwrap();
        wait_then_kill(&[&group], Duration::from_secs(10));
        assert!(!group.lives());
    }
}
