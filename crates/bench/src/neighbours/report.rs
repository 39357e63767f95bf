//! What one run found, as it is kept: one document of JSON. Units are in the names; nothing is
//! rounded. Pure.

use serde::{Deserialize, Serialize};

use crate::figures::{Figure, Times};
use crate::machine::Machine;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// RFC 3339.
    pub(crate) at: String,
    pub(crate) machine: Machine,
    /// A try of the bench itself: figures mean nothing.
    pub(crate) quick: bool,
    /// Minutes that the run took.
    pub(crate) minutes: f64,
    pub(crate) waits: Vec<Wait>,
    pub(crate) kills: Vec<Kills>,
}

/// Where tasks are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Store {
    Embedded,
    Redis,
}

impl Store {
    pub(crate) const ALL: [Self; 2] = [Self::Embedded, Self::Redis];

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Redis => "Redis",
        }
    }
}

/// What one user does while another waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Load {
    /// A long queue of tasks that all may run.
    Queue,
    /// The same, of tasks that do not all take equally long.
    MixedQueue,
    /// A long queue, spread over keys of which one task runs at a time.
    SerialKeys,
    /// The same, of tasks that do not all take equally long.
    MixedKeys,
    /// A queue that its owner's rate holds back.
    Rate,
    /// A bulk operation that cancels a long queue.
    Bulk,
}

impl Load {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Queue => "a long queue",
            Self::MixedQueue => "a long queue, lengths mixed",
            Self::SerialKeys => "a long queue of serial keys",
            Self::MixedKeys => "serial keys, lengths mixed",
            Self::Rate => "a user at its rate limit",
            Self::Bulk => "a bulk operation",
        }
    }

    /// How many times the p99 alone a task may wait beside it. Where places are free, the other is
    /// not to be noticed.
    pub(crate) const fn bound(self) -> f64 {
        match self {
            Self::Queue | Self::MixedQueue | Self::SerialKeys | Self::MixedKeys => 3.0,
            Self::Rate | Self::Bulk => 1.5,
        }
    }
}

/// How long tasks of one user waited until they were seen to run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) tasks: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Spread {
    pub(crate) fn of(times: &Times) -> Self {
        Self {
            tasks: times.count() as u64,
            p50_ms: times.percentile_ms(50.0),
            p99_ms: times.percentile_ms(99.0),
            max_ms: times.percentile_ms(100.0),
        }
    }
}

/// One user's waits, without the other and beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Wait {
    pub(crate) store: Store,
    pub(crate) load: Load,
    /// Tasks of the other that waited at first.
    pub(crate) waiting: u64,
    /// Tasks of the other that were done, or cancelled, each second meanwhile.
    pub(crate) others_per_s: f64,
    pub(crate) alone: Spread,
    pub(crate) beside: Spread,
    /// The share of the tasks beside it that waited no longer than the load's bound times the p99
    /// alone.
    pub(crate) within: f64,
}

impl Wait {
    /// The wait that all but one in a hundred keep, beside the other over alone.
    pub(crate) fn ratio(&self) -> Option<f64> {
        ratio(self.beside.p99_ms, self.alone.p99_ms)
    }
}

/// What a task that kills its workers does to the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kills {
    pub(crate) store: Store,
    /// Tasks of the others completed each second before there was such a task.
    pub(crate) before_per_s: f64,
    /// From its submission to its end.
    pub(crate) during_per_s: f64,
    pub(crate) during_s: f64,
    /// Workers killed.
    pub(crate) kills: u64,
    /// What it ended with.
    pub(crate) status: String,
    pub(crate) reason: String,
    /// Tasks of the others, and how many of them completed in the end.
    pub(crate) tasks: u64,
    pub(crate) completed: u64,
}

impl Kills {
    /// The share of their throughput that the others kept.
    pub(crate) fn kept(&self) -> Option<f64> {
        ratio(self.during_per_s, self.before_per_s)
    }
}

/// Nothing has a ratio to nothing.
pub(crate) fn ratio(value: f64, base: f64) -> Option<f64> {
    (base > 0.0).then_some(value / base)
}

impl Report {
    pub(crate) fn wait(&self, load: Load, store: Store) -> Option<&Wait> {
        self.waits.iter().find(|wait| wait.load == load && wait.store == store)
    }

    pub(crate) fn kills(&self, store: Store) -> Option<&Kills> {
        self.kills.iter().find(|kills| kills.store == store)
    }

    /// The run in short, for the terminal.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        for wait in &self.waits {
            let note =
                format!("{}; the other did {:.0} per s", wait.store.words(), wait.others_per_s);
            let mut add = |what: &str, value, unit| {
                let name = format!("beside {}: {what}", wait.load.words());
                figures.push(Figure::new(name, value, unit, &*note));
            };
            for (spread, when) in [(&wait.alone, "alone"), (&wait.beside, "beside")] {
                add(&format!("{when}, p50 of {}", spread.tasks), spread.p50_ms, "ms");
                add(&format!("{when}, p99"), spread.p99_ms, "ms");
            }
            if let Some(ratio) = wait.ratio() {
                add("p99 over p99 alone", ratio, "");
            }
            let bound = format!("within {} x p99 alone", wait.load.bound());
            add(&bound, wait.within * 100.0, "%");
        }
        for kills in &self.kills {
            let note = format!(
                "{}; {} kills in {:.0} s, it ended {} ({}); {} of {} others completed",
                kills.store.words(),
                kills.kills,
                kills.during_s,
                kills.status,
                kills.reason,
                kills.completed,
                kills.tasks
            );
            let mut add = |what: &str, value, unit| {
                let name = format!("beside a task that kills its workers: {what}");
                figures.push(Figure::new(name, value, unit, &*note));
            };
            add("tasks before", kills.before_per_s, "per s");
            add("tasks during", kills.during_per_s, "per s");
            if let Some(kept) = kills.kept() {
                add("kept", kept, "");
            }
        }
        figures
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;

    /// A run in which everybody is a good neighbour.
    pub(crate) fn report() -> Report {
        use Load::{Bulk, MixedKeys, MixedQueue, Queue, Rate, SerialKeys};

        let here = std::env::current_dir().unwrap();
        let alone = Spread { tasks: 300, p50_ms: 2.0, p99_ms: 4.0, max_ms: 9.0 };
        let beside = Spread { p99_ms: 5.0, ..alone };
        let loads = [Queue, MixedQueue, SerialKeys, MixedKeys, Rate, Bulk];
        let waits = loads.into_iter().flat_map(|load| {
            Store::ALL.map(|store| {
                let waiting = 100_000;
                let others_per_s = 1_234.0;
                Wait { store, load, waiting, others_per_s, alone, beside, within: 0.9936 }
            })
        });
        let kills = Store::ALL.map(|store| Kills {
            store,
            before_per_s: 1_000.0,
            during_per_s: 950.0,
            during_s: 41.0,
            kills: 3,
            status: "failed".into(),
            reason: "worker_lost".into(),
            tasks: 50_000,
            completed: 50_000,
        });
        Report {
            at: "1970-01-01T00:00:00Z".into(),
            machine: Machine { load: 0.1, ..Machine::here(&here, &here) },
            quick: false,
            minutes: 5.5,
            waits: waits.collect(),
            kills: kills.into(),
        }
    }

    #[test]
    fn a_run_is_read_as_it_was_written() {
        let run = report();
        let text = serde_json::to_string(&run).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), run);
    }

    #[test]
    fn ratios_are_of_what_was_measured() {
        let run = report();
        assert_eq!(run.wait(Load::Bulk, Store::Redis).unwrap().ratio(), Some(1.25));
        assert_eq!(run.kills(Store::Embedded).unwrap().kept(), Some(0.95));
        assert_eq!(ratio(1.0, 0.0), None);
    }

    #[test]
    fn a_spread_counts_what_it_is_of() {
        let mut times = Times::default();
        for ms in [1, 2, 3, 40] {
            times.add(Duration::from_millis(ms));
        }
        let spread = Spread { tasks: 4, p50_ms: 2.0, p99_ms: 40.0, max_ms: 40.0 };
        assert_eq!(Spread::of(&times), spread);
    }
}
