//! What one run found, as it is kept in JSON. Units are in the names; nothing is rounded.

use serde::{Deserialize, Serialize};

use super::spent::PerTask;
use crate::machine::Machine;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// RFC 3339.
    pub(crate) at: String,
    pub(crate) machine: Machine,
    pub(crate) redis_version: String,
    /// Whether Redis made every write durable (AOF always), or kept all in memory.
    pub(crate) aof: bool,
    /// A try of the bench itself: figures mean nothing.
    pub(crate) quick: bool,
    /// Bytes of JSON of one payload, about.
    pub(crate) payload_bytes: u64,
    /// One PING and its answer, half of all, µs: the floor of every call that waits.
    pub(crate) ping_p50_us: f64,
    /// Minutes that the run took.
    pub(crate) minutes: f64,
    pub(crate) peers: Vec<Measured>,
}

/// What was found of one peer; what is absent has a reason among the failures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) language: String,
    pub(crate) version: String,
    pub(crate) settings: String,
    pub(crate) bulk: String,
    pub(crate) recovered_by: String,
    pub(crate) submit: Option<Submit>,
    pub(crate) drains: Vec<Drain>,
    pub(crate) idle: Option<Idle>,
    pub(crate) load: Option<Load>,
    pub(crate) recovery: Option<Recovery>,
    /// What could not be measured, and why.
    pub(crate) failures: Vec<String>,
}

impl Measured {
    /// The drain at this concurrency.
    pub(crate) fn drain(&self, concurrency: usize) -> Option<&Drain> {
        self.drains.iter().find(|drain| drain.concurrency == concurrency)
    }
}

/// Submissions alone, no worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Submit {
    pub(crate) tasks: u64,
    pub(crate) per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// CPU of the program that submits, per task.
    pub(crate) cpu_us: f64,
    pub(crate) redis: PerTask,
    pub(crate) bulk_tasks: u64,
    pub(crate) bulk_per_s: f64,
    pub(crate) bulk_redis: PerTask,
}

/// A worker with more than enough to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Drain {
    pub(crate) concurrency: usize,
    /// Tasks that were counted, after those that warmed up.
    pub(crate) tasks: u64,
    pub(crate) per_s: f64,
    /// CPU of the worker's processes, per task.
    pub(crate) cpu_us: f64,
    pub(crate) redis: PerTask,
    /// Tasks that never began.
    pub(crate) missing: u64,
    /// Starts of tasks that had begun before.
    pub(crate) again: u64,
}

/// A worker with nothing else to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Idle {
    pub(crate) tasks: u64,
    /// From when a task was due to be submitted until its handler began.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// What an idle worker asks of Redis.
    pub(crate) commands_per_s: f64,
    pub(crate) cpu_ms_per_s: f64,
}

/// A worker that has half of what it can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// A worker that was killed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recovery {
    /// Tasks that it was at.
    pub(crate) killed: u64,
    /// How many of them began again while it was waited.
    pub(crate) again: u64,
    /// From the kill until the last of those did.
    pub(crate) seconds: f64,
    /// How long it was waited at most.
    pub(crate) waited_s: f64,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A run in which ours drains ten times as fast as the other, and one could not take part.
    pub(crate) fn report() -> Report {
        let here = std::env::current_dir().unwrap();
        Report {
            at: "1970-01-01T00:00:00Z".into(),
            machine: Machine::here(&here, &here),
            redis_version: "7.0.15".into(),
            aof: false,
            quick: false,
            payload_bytes: 100,
            ping_p50_us: 30.0,
            minutes: 9.0,
            peers: vec![
                measured("tasktonic", 50_000.0),
                measured("bullmq", 5_000.0),
                Measured {
                    submit: None,
                    drains: Vec::new(),
                    idle: None,
                    load: None,
                    recovery: None,
                    failures: vec!["not installed: no such | version".into()],
                    ..measured("arq", 1.0)
                },
            ],
        }
    }

    fn measured(name: &str, per_s: f64) -> Measured {
        let redis = PerTask { commands: 2.0, cpu_us: 9.0, ..PerTask::default() };
        let drain = |concurrency| Drain {
            concurrency,
            tasks: 9,
            per_s,
            cpu_us: 8.0,
            redis,
            missing: 0,
            again: 0,
        };
        Measured {
            name: name.into(),
            title: name.to_uppercase(),
            language: "Rust".into(),
            version: "1.2.3".into(),
            settings: "as it comes".into(),
            bulk: "none".into(),
            recovered_by: "a lease".into(),
            submit: Some(Submit {
                tasks: 9,
                per_s: 1_000.0,
                p50_us: 40.0,
                p99_us: 90.0,
                cpu_us: 7.0,
                redis,
                bulk_tasks: 9,
                bulk_per_s: 9_000.0,
                bulk_redis: redis,
            }),
            drains: [1, 10, 100].map(drain).into(),
            idle: Some(Idle {
                tasks: 9,
                p50_ms: 0.2,
                p99_ms: 0.9,
                commands_per_s: 0.5,
                cpu_ms_per_s: 1.0,
            }),
            load: Some(Load { per_s: 500.0, p50_ms: 0.3, p99_ms: 2.0 }),
            recovery: Some(Recovery { killed: 10, again: 10, seconds: 11.0, waited_s: 75.0 }),
            failures: Vec::new(),
        }
    }

    #[test]
    fn a_run_is_kept_as_it_is() {
        let text = serde_json::to_string(&report()).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report());
    }
}
