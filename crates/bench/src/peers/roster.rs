//! Who takes part, in which language and with which settings. Texts for the table, and the words
//! that start each program.

use std::path::{Path, PathBuf};

/// What a peer is written in, which is how it is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Node,
    Python,
    Rust,
}

impl Language {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Node => "Node.js",
            Self::Python => "Python",
            Self::Rust => "Rust",
        }
    }
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// Its name, and that of its folder in `crates/bench/peers`.
    pub(crate) name: &'static str,
    /// What people call it.
    pub(crate) title: &'static str,
    /// The package whose pinned version is shown.
    pub(crate) package: &'static str,
    pub(crate) language: Language,
    /// Which of its ways of delivery is measured, by which settings, and why.
    pub(crate) settings: &'static str,
    /// What says when the task of a dead worker is taken up again.
    pub(crate) recovery: &'static str,
    /// How it submits in bulk.
    pub(crate) bulk: &'static str,
    /// The highest concurrency that is measured, and why not more.
    pub(crate) concurrency_max: Option<(usize, &'static str)>,
    /// How many tasks may wait before its worker fails; a drain is of no more.
    pub(crate) waiting_max: Option<u64>,
}

/// Why RQ is not measured with a hundred at once.
const ONE_EACH: &str = "a worker does one task at a time, and a hundred processes do not fit two \
    cores";

/// Ours.
pub(crate) const OURS: &str = "tasktonic";

/// All, ours first.
pub(crate) const PEERS: &[Peer] = &[
    Peer {
        name: OURS,
        title: "Task Tonic",
        package: "tasktonic-worker",
        language: Language::Rust,
        settings: "everything on: turns between 100 users, leases that fence, record, event log, \
                   live events, result; 8 partitions; no setting differs from its default but the \
                   concurrency; submitted to the store, as its server does, without HTTP, and no \
                   server beside the worker",
        recovery: "leases of 10 s, by a worker alone",
        bulk: "calls of 128, at once",
        concurrency_max: None,
        waiting_max: None,
    },
    Peer {
        name: "bullmq",
        title: "BullMQ",
        package: "bullmq",
        language: Language::Node,
        settings: "at least once as it comes (locks, renewed; stalled tasks taken again); its \
                   event stream and finished tasks kept, both defaults",
        recovery: "lock of 30 s, looked at every 30 s",
        bulk: "`addBulk`",
        concurrency_max: None,
        waiting_max: None,
    },
    Peer {
        name: "celery",
        title: "Celery",
        package: "celery",
        language: Language::Python,
        settings: "`task_acks_late` and `task_reject_on_worker_lost`, without which a task is \
                   acknowledged before it runs; results off; pool of processes, for 100 of \
                   threads (a hundred processes do not fit two cores)",
        recovery: "visibility timeout of 1 h, its default",
        bulk: "none; a loop over one producer",
        concurrency_max: None,
        waiting_max: None,
    },
    Peer {
        name: "dramatiq",
        title: "Dramatiq",
        package: "dramatiq",
        language: Language::Python,
        settings: "at least once as it comes (acknowledged after the actor); one process, as many \
                   threads as the concurrency; no results; its default middleware, which holds \
                   attempts",
        recovery: "heartbeat timeout of 60 s, looked at by chance",
        bulk: "none; a loop",
        concurrency_max: None,
        waiting_max: None,
    },
    Peer {
        name: "arq",
        title: "arq",
        package: "arq",
        language: Language::Python,
        settings: "at least once as it comes; its limit of tasks at once is the concurrency; \
                   results kept 1 h and a look at the queue every 0.5 s, both defaults",
        recovery: "in-progress key of 310 s",
        bulk: "none; 100 calls at once",
        concurrency_max: None,
        waiting_max: None,
    },
    Peer {
        name: "rq",
        title: "RQ",
        package: "rq",
        language: Language::Python,
        settings: "`Retry(max=3)`, without which the task of a dead worker is only marked failed; \
                   `SimpleWorker`, which does not fork for each task and is the quicker one; \
                   concurrency is a pool of so many worker processes; results kept 500 s, its \
                   default",
        recovery: "registry cleaned every 10 min",
        bulk: "its call for many",
        concurrency_max: Some((10, ONE_EACH)),
        waiting_max: None,
    },
    Peer {
        name: "taskiq",
        title: "taskiq",
        package: "taskiq",
        language: Language::Python,
        settings: "`RedisStreamBroker`, its broker with acknowledgements (the one on lists has \
                   none); one worker process, `--max-async-tasks` is the concurrency; no results",
        recovery: "idle timeout of 10 min",
        bulk: "none; 100 calls at once",
        concurrency_max: None,
        waiting_max: None,
    },
    Peer {
        name: "apalis",
        title: "apalis",
        package: "apalis-redis",
        language: Language::Rust,
        settings: "at least once as it comes (tasks of dead workers go back); locks, results and \
                   events on, its defaults; a look for new tasks every 100 ms, without which a \
                   worker that found none looks again at its next heartbeat, 30 s later; batches \
                   as large as the concurrency, at least its default of 10; drains of at most \
                   7,000 tasks, since a worker that finds more than Lua unpacks at once ends with \
                   an error",
        recovery: "10 missed heartbeats of 30 s",
        bulk: "`push_bulk`",
        concurrency_max: None,
        waiting_max: Some(7_000),
    },
];

/// Those named, or all; in the order of the table.
///
/// # Errors
/// A name that is nobody's.
pub(crate) fn chosen(names: &[String]) -> anyhow::Result<Vec<Peer>> {
    if let Some(name) = names.iter().find(|name| PEERS.iter().all(|peer| peer.name != **name)) {
        let known: Vec<&str> = PEERS.iter().map(|peer| peer.name).collect();
        anyhow::bail!("no peer is called {name}; say one or more of {}", known.join(", "));
    }
    let is_named = |peer: &&Peer| names.is_empty() || names.iter().any(|name| name == peer.name);
    Ok(PEERS.iter().filter(is_named).copied().collect())
}

impl Peer {
    /// Where its program is in the repository.
    pub(crate) fn folder(&self, repository: &Path) -> PathBuf {
        repository.join("crates/bench/peers").join(self.name)
    }

    /// Its pinned version, from the file that pins it.
    pub(crate) fn version(&self, repository: &Path) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder(repository).join(name));
        let found = match self.language {
            Language::Python => {
                read("requirements.txt").ok().and_then(|text| python_version(&text, self.package))
            }
            Language::Node => {
                read("package-lock.json").ok().and_then(|text| node_version(&text, self.package))
            }
            // Ours has the workspace's.
            Language::Rust if self.name == OURS => {
                let lock = std::fs::read_to_string(repository.join("Cargo.lock"));
                lock.ok().and_then(|text| rust_version(&text, self.package))
            }
            Language::Rust => {
                read("Cargo.lock").ok().and_then(|text| rust_version(&text, self.package))
            }
        };
        found.unwrap_or_else(|| "unknown".into())
    }
}

fn python_version(text: &str, package: &str) -> Option<String> {
    let pinned = text.lines().find_map(|line| line.split_once("==").filter(|p| p.0 == package))?;
    Some(pinned.1.trim().to_owned())
}

fn node_version(text: &str, package: &str) -> Option<String> {
    let lock: serde_json::Value = serde_json::from_str(text).ok()?;
    let entry = lock.get("packages")?.get(format!("node_modules/{package}"))?;
    Some(entry.get("version")?.as_str()?.to_owned())
}

fn rust_version(text: &str, package: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    Some(rest.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    #[test]
    fn every_peer_has_a_program_and_a_pinned_version() {
        for peer in PEERS {
            assert!(peer.folder(&here()).is_dir(), "{}", peer.name);
            let version = peer.version(&here());
            assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{} {version}", peer.name);
        }
    }

    #[test]
    fn versions_are_read_from_what_pins_them() {
        assert_eq!(python_version("redis==1\nrq==3.0.0\n", "rq"), Some("3.0.0".into()));
        assert_eq!(python_version("rq-extra==1\n", "rq"), None);
        let lock = r#"{"packages":{"node_modules/a":{"version":"1.2.3"}}}"#;
        assert_eq!(node_version(lock, "a"), Some("1.2.3".into()));
        let lock = "[[package]]\nname = \"a\"\nversion = \"4.5.6\"\n";
        assert_eq!(rust_version(lock, "a"), Some("4.5.6".into()));
        assert_eq!(rust_version(lock, "b"), None);
    }

    #[test]
    fn an_unknown_peer_is_refused_by_name() {
        assert_eq!(chosen(&[]).unwrap().len(), PEERS.len());
        assert_eq!(chosen(&["rq".into(), "arq".into()]).unwrap().len(), 2);
        let error = chosen(&["sidekiq".into()]).unwrap_err().to_string();
        assert!(error.contains("sidekiq") && error.contains("bullmq"), "{error}");
    }
}
