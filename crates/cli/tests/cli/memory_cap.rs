//! A hard limit of memory that the kernel keeps by killing: a control group, where this machine lets
//! the test make one.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the last process may take to be gone from a group.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// Where control groups are, and what their files are called: of the second version and of the first.
const KINDS: [Files; 2] = [
    Files {
        root: "/sys/fs/cgroup",
        limit: "memory.max",
        swap: ("memory.swap.max", Swap::Alone),
        kills: "memory.events",
    },
    Files {
        root: "/sys/fs/cgroup/memory",
        limit: "memory.limit_in_bytes",
        swap: ("memory.memsw.limit_in_bytes", Swap::WithMemory),
        kills: "memory.oom_control",
    },
];

struct Files {
    root: &'static str,
    limit: &'static str,
    swap: (&'static str, Swap),
    kills: &'static str,
}

/// What a limit of swap counts.
enum Swap {
    Alone,
    WithMemory,
}

/// A control group, removed with this. Processes in it have to be gone by then.
pub(crate) struct MemoryCap {
    folder: PathBuf,
    kills: &'static str,
}

impl MemoryCap {
    /// One whose processes may hold so many bytes together, if this process may make it.
    pub(crate) fn of(bytes: u64, name: &str) -> Option<Self> {
        KINDS.iter().find_map(|files| {
            let folder = Path::new(files.root).join(format!("{name}-cap"));
            std::fs::create_dir(&folder).ok()?;
            let cap = Self { folder, kills: files.kills };
            // Written only where it is there: elsewhere this is a folder like any other.
            let set = |file: &str, bytes: u64| {
                let file = cap.folder.join(file);
                file.exists() && std::fs::write(file, bytes.to_string()).is_ok()
            };
            let is_set = set(files.limit, bytes);
            // A machine may do without a limit of swap, where it has none to limit.
            let (swap, counts) = &files.swap;
            let swap_bytes = match counts {
                Swap::Alone => 0,
                Swap::WithMemory => bytes,
            };
            let is_kept = !cap.folder.join(swap).exists() || set(swap, swap_bytes);
            (is_set && is_kept).then_some(cap)
        })
    }

    /// What a shell says to be in it, with all that it starts from then on.
    pub(crate) fn enter(&self) -> String {
        format!("echo $$ > {}", self.folder.join("cgroup.procs").display())
    }

    /// How often the kernel has killed to keep it.
    pub(crate) fn kills(&self) -> u64 {
        let text =
            std::fs::read_to_string(self.folder.join(self.kills)).expect("a file of a group");
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("{text}"))
    }
}

impl Drop for MemoryCap {
    fn drop(&mut self) {
        let since = Instant::now();
        // A group is busy until the kernel has taken leave of its last process.
        while std::fs::remove_dir(&self.folder).is_err() && since.elapsed() < GONE_WITHIN {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
