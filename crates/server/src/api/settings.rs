//! What is set of queues, for the installation as a whole: one record in the registry says what is
//! wanted, and every partition says which version of it holds there. A change is written, then
//! carried to all partitions, then answered; where a server died between, any server's loop carries
//! on. Knows nothing of who may change what.
//!
//! What is set of one user lives in that user's partition and nowhere else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tasktonic_core::Name;
use tasktonic_core::command::Control;
use tasktonic_core::limits::QUEUES_SET_MAX;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::settings::{QueueSettings as Set, Rate as Limit, Turns as SetTurns};
use tasktonic_protocol::http::{QueueSettings, Rate, Turns};
use tasktonic_protocol::problem::Code;
use tasktonic_store::{Expect, Result, Table};
use tokio::time::sleep;

use crate::App;
use crate::problem::Refusal;

/// The record's key among the settings.
const KEY: &str = "queues";
/// How often the record is looked at: with that a change is in force everywhere within a second,
/// also when the server that made it died half way.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a change is made anew on a record that others have changed meanwhile.
const TRIES_MAX: usize = 16;

/// What is wanted of queues.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    /// Rises with every change; partitions go by it, not by the registry's number, so that it can be
    /// raised above one that a partition knows from a life that was lost.
    pub(crate) version: u64,
    /// Queues of which anything is set.
    pub(crate) queues: BTreeMap<String, QueueSettings>,
    /// The most bytes that the tasks of one user may hold; absent: there is no limit. Partitions do not
    /// know it: each submission says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_max: Option<u64>,
}

/// What no limit is, where a number has to be said.
const UNLIMITED: u64 = u64::MAX;

/// The versions that partitions told last, and what the record said of bytes.
pub(crate) struct Told {
    versions: Vec<AtomicU64>,
    bytes_max: AtomicU64,
}

impl Told {
    pub(crate) fn new(partitions: u16) -> Self {
        let versions = (0..partitions).map(|_| AtomicU64::new(0)).collect();
        Self { versions, bytes_max: AtomicU64::new(UNLIMITED) }
    }

    /// The most bytes that the tasks of one user may hold, as each submission says it.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max.load(Ordering::Relaxed)
    }

    fn learn(&self, wanted: &Wanted) {
        self.bytes_max.store(wanted.bytes_max.unwrap_or(UNLIMITED), Ordering::Relaxed);
    }

    /// A partition has told which version holds there.
    pub(crate) fn told(&self, p: PartitionId, version: u64) {
        if let Some(told) = self.versions.get(usize::from(p.0)) {
            told.store(version, Ordering::Relaxed);
        }
    }

    fn versions(&self) -> impl Iterator<Item = (PartitionId, u64)> {
        (0..).map(PartitionId).zip(self.versions.iter().map(|told| told.load(Ordering::Relaxed)))
    }
}

/// What the engine goes by of this.
pub(super) fn core(settings: &QueueSettings) -> Set {
    let QueueSettings {
        paused,
        waiting_max,
        running_max,
        rate,
        turns,
        running_total_max,
        rate_total,
    } = *settings;
    let limit = |Rate { tasks, per_ms, burst }| Limit { tasks, per_ms, burst };
    let (rate, rate_total) = (rate.map(limit), rate_total.map(limit));
    let turns = match turns {
        Turns::Count => SetTurns::Count,
        Turns::RunTime => SetTurns::RunTime,
    };
    Set { paused, waiting_max, running_max, rate, turns, running_total_max, rate_total }.bounded()
}

/// The record, and the registry's number of it. One that cannot be read is an error: it is not
/// written over.
async fn read(app: &App) -> std::result::Result<(Expect, Wanted), Refusal> {
    let Some(entry) = app.store.registry().get(Table::Settings, KEY).await? else {
        return Ok((Expect::Absent, Wanted::default()));
    };
    let wanted = serde_json::from_str(&entry.value).map_err(|error| {
        Refusal::internal(&format!("the record of what is set of queues: {error}"))
    })?;
    Ok((Expect::Version(entry.version), wanted))
}

/// What is wanted now.
pub(super) async fn wanted(app: &App) -> std::result::Result<Wanted, Refusal> {
    Ok(read(app).await?.1)
}

async fn write(app: &App, expect: Expect, wanted: &Wanted) -> Result<bool> {
    let text = serde_json::to_string(wanted).expect("numbers, flags and names serialise");
    Ok(app.store.registry().put(Table::Settings, KEY, text, expect).await?.is_some())
}

/// Changes what is set of one queue, and answers when it holds in every partition.
pub(super) async fn change(
    app: &App,
    queue: &Name,
    change: impl Fn(QueueSettings) -> QueueSettings,
) -> std::result::Result<QueueSettings, Refusal> {
    for _ in 0..TRIES_MAX {
        let (expect, mut wanted) = read(app).await?;
        let before = wanted.queues.get(queue.as_str()).copied().unwrap_or_default();
        let after = change(before);
        if after != before {
            if after == QueueSettings::default() {
                wanted.queues.remove(queue.as_str());
            } else {
                wanted.queues.insert(queue.to_string(), after);
            }
            if wanted.queues.len() > QUEUES_SET_MAX {
                return Err(Refusal::bad_request(format!(
                    "Something is set of {QUEUES_SET_MAX} queues already. Give one of them its \
                     defaults first."
                )));
            }
            wanted.version += 1;
            if !write(app, expect, &wanted).await? {
                continue;
            }
        }
        // Also where nothing changed: the one who wrote it may not have come that far.
        for outcome in join_all(partitions(app).map(|p| carry(app, p, &wanted))).await {
            outcome?;
        }
        return Ok(after);
    }
    let detail = "Others change the settings of queues at this moment. Try again.";
    Err(Refusal::new(Code::ChangedMeanwhile, detail))
}

/// Changes how many bytes the tasks of a user may hold of whom nothing else is set. It holds for what
/// this server takes when it is answered, and for what the others take within a second.
pub(super) async fn change_bytes_max(
    app: &App,
    bytes_max: Option<u64>,
) -> std::result::Result<(), Refusal> {
    for _ in 0..TRIES_MAX {
        let (expect, mut wanted) = read(app).await?;
        let is_new = wanted.bytes_max != bytes_max;
        wanted.bytes_max = bytes_max;
        if !is_new || write(app, expect, &wanted).await? {
            app.api.settings.learn(&wanted);
            return Ok(());
        }
    }
    let detail = "Others change the settings at this moment. Try again.";
    Err(Refusal::new(Code::ChangedMeanwhile, detail))
}

/// Reads what submissions have to say, before any is taken.
pub(crate) async fn learn(app: &App) -> std::result::Result<(), Refusal> {
    app.api.settings.learn(&read(app).await?.1);
    Ok(())
}

fn partitions(app: &App) -> impl Iterator<Item = PartitionId> {
    (0..app.store.partitions()).map(PartitionId)
}

/// Sets in one partition what is wanted. A partition that has something newer keeps it.
async fn carry(app: &App, p: PartitionId, wanted: &Wanted) -> Result<()> {
    let set = |(name, settings): (&String, &QueueSettings)| {
        // Names were checked when they were written.
        Some((name.parse::<Name>().ok()?, core(settings)))
    };
    let queues = wanted.queues.iter().filter_map(set).collect();
    app.store.control(p, Control::Queues { version: wanted.version, queues }).await?;
    Ok(())
}

/// Carries what is wanted to partitions that lag behind, for as long as the server runs.
pub(crate) async fn keep(app: &App) {
    loop {
        if let Err(refusal) = catch_up(app).await {
            tracing::warn!(
                why = refusal.code.name(),
                "what is set of queues could not be carried to all partitions"
            );
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn catch_up(app: &App) -> std::result::Result<(), Refusal> {
    // Before the record is read: whatever a partition has was in it first.
    let told: Vec<_> = app.api.settings.versions().collect();
    let newest = told.iter().map(|(_, version)| *version).max().unwrap_or(0);
    let (expect, mut wanted) = read(app).await?;
    app.api.settings.learn(&wanted);
    if newest > wanted.version {
        // The registry has lost a change, or is older than the partitions. What it says holds.
        wanted.version = newest + 1;
        if !write(app, expect, &wanted).await? {
            return Ok(());
        }
        tracing::warn!(version = wanted.version, "what is set of queues was older in the registry");
    }
    for (p, _) in told.into_iter().filter(|(_, version)| *version < wanted.version) {
        carry(app, p, &wanted).await?;
        app.api.settings.told(p, wanted.version);
    }
    Ok(())
}
