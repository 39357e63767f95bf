//! What is measured of one peer, phase by phase; each has a fresh Redis and fresh programs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::program::{Launch, Stage, Submitter, Took, Worker};
use super::report::{Drain, Idle, Load, Recovery, Submit};
use super::server::{Cores, Server};
use super::spent::PerTask;
use super::starts::{self, arrivals};
use crate::figures::Times;

/// How long a worker may take until it has done its first tasks.
const FIRST_WITHIN: Duration = Duration::from_secs(45);
/// How long the tasks are tried by which a rate is first known.
const PILOT_WITHIN: Duration = Duration::from_secs(6);
/// Fewer tasks give no rate.
const TASKS_MIN: u64 = 16;
/// A drain warms up with one task for so many that are counted.
const WARM_PART: u64 = 4;
/// Tasks of one bulk call.
const BULK: u64 = 1_000;
/// Attempts at once where waits are measured.
pub(crate) const WAITS_AT: usize = 10;
/// Mean gap between tasks for an idle worker, ns.
const IDLE_GAP_NS: f64 = 30e6;
/// The part of its own rates that a peer is loaded with: half of what the worker does, if one
/// client can submit that much with some rest.
const LOAD_SHARE: f64 = 0.5;
const SUBMIT_SHARE: f64 = 0.6;
/// Tasks under way when a worker is killed, and how long each takes.
pub(crate) const KILLED: u64 = 10;
const KILLED_TASK: Duration = Duration::from_secs(2);

/// How long things are measured.
#[derive(Debug, Clone)]
pub(crate) struct Lengths {
    /// Of one rate.
    pub(crate) rate: Duration,
    /// Tasks before a rate is known.
    pub(crate) pilot: u64,
    /// Tasks of one rate at most.
    pub(crate) tasks_max: u64,
    /// Tasks for an idle worker.
    pub(crate) idle_tasks: usize,
    /// How long an idle worker is left alone.
    pub(crate) rest: Duration,
    /// How long a killed worker's tasks are waited for.
    pub(crate) recovery: Duration,
}

impl Lengths {
    pub(crate) fn of(quick: bool) -> Self {
        if quick {
            Self {
                rate: Duration::from_millis(500),
                pilot: 50,
                tasks_max: 5_000,
                idle_tasks: 20,
                rest: Duration::from_secs(1),
                recovery: Duration::from_secs(20),
            }
        } else {
            Self {
                rate: Duration::from_secs(4),
                pilot: 300,
                tasks_max: 150_000,
                idle_tasks: 250,
                rest: Duration::from_secs(4),
                recovery: Duration::from_secs(75),
            }
        }
    }

    /// As many tasks as take the time at `rate` per second.
    fn tasks(&self, rate: f64) -> u64 {
        let tasks = rate * self.rate.as_secs_f64();
        (tasks as u64).clamp(TASKS_MIN, self.tasks_max)
    }
}

/// What all phases share.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) scratch: PathBuf,
    pub(crate) cores: Cores,
    pub(crate) aof: bool,
    pub(crate) lengths: Lengths,
}

/// A fresh Redis, and a folder for the file of starts.
struct Scene {
    server: Server,
    stage: Stage,
    _folder: tempfile::TempDir,
}

impl Place {
    fn scene(&self, task: Duration) -> Result<Scene> {
        let server = Server::start(&self.scratch, &self.cores, self.aof)?;
        let folder = tempfile::tempdir_in(&self.scratch).context("a folder of one phase")?;
        let (redis_url, log) = (server.url(), folder.path().join("starts"));
        Ok(Scene { server, stage: Stage { redis_url, log, task }, _folder: folder })
    }

    /// Submits alone, one by one and in bulk, with no worker.
    pub(crate) async fn submit(&self, launch: &Launch) -> Result<Submit> {
        let scene = self.scene(Duration::ZERO)?;
        let mut submitter = Submitter::start(launch, &scene.stage).await?;
        let pilot = submitter.submit(self.lengths.pilot, 1).await?;
        let count = self.lengths.tasks(rate(&pilot, self.lengths.pilot));
        let (before, cpu) = (scene.server.info()?, submitter.cpu_us());
        let took = submitter.submit(count, 1).await?;
        let redis = PerTask::between(&before, &scene.server.info()?, count);
        let cpu_us = (submitter.cpu_us() - cpu) / count as f64;
        let waits = times(&took.waits_ns);

        let pilot = submitter.submit(BULK, BULK).await?;
        let bulk_count = self.lengths.tasks(rate(&pilot, BULK)).max(BULK);
        let before = scene.server.info()?;
        let bulk_took = submitter.submit(bulk_count, BULK).await?;
        let bulk_redis = PerTask::between(&before, &scene.server.info()?, bulk_count);
        Ok(Submit {
            tasks: count,
            per_s: rate(&took, count),
            p50_us: waits.percentile_ms(50.0) * 1e3,
            p99_us: waits.percentile_ms(99.0) * 1e3,
            cpu_us,
            redis,
            bulk_tasks: bulk_count,
            bulk_per_s: rate(&bulk_took, bulk_count),
            bulk_redis,
        })
    }

    /// Lets a worker drain what was submitted before it started, at most `waiting_max` tasks.
    pub(crate) async fn drain(
        &self,
        launch: &Launch,
        concurrency: usize,
        waiting_max: Option<u64>,
    ) -> Result<Drain> {
        let pilot = self.lengths.pilot.max(2 * concurrency as u64);
        let rough = {
            let scene = self.scene(Duration::ZERO)?;
            let mut submitter = Submitter::start(launch, &scene.stage).await?;
            submitter.submit(pilot, BULK).await?;
            let mut worker = Worker::start(launch, &scene.stage, concurrency)?;
            let log = &scene.stage.log;
            worker.wait(log, 1, FIRST_WITHIN).await.context("warming up")?;
            // One that is slow has shown enough by then.
            let _ = worker.wait(log, pilot, PILOT_WITHIN).await;
            worker.kill().await?;
            let begun = starts::read(log)?;
            starts::rate(&begun, begun.len() / 2)
        };
        // What is cold costs up to twice as much; it is done, and not counted.
        let warm_of = |counted: u64| (counted / WARM_PART).max(concurrency as u64);
        let wanted = self.lengths.tasks(rough);
        let total = (wanted + warm_of(wanted)).min(waiting_max.unwrap_or(u64::MAX));
        let warm = warm_of(total - total / (WARM_PART + 1));

        let scene = self.scene(Duration::ZERO)?;
        let mut submitter = Submitter::start(launch, &scene.stage).await?;
        submitter.submit(total, BULK).await?;
        let log = &scene.stage.log;
        let mut worker = Worker::start(launch, &scene.stage, concurrency)?;
        worker.wait(log, warm, FIRST_WITHIN).await?;
        let (done, before, cpu) = (starts::count(log), scene.server.info()?, worker.cpu_us());
        let within = FIRST_WITHIN + self.lengths.rate * 4;
        worker.wait(log, total, within).await?;
        let (after, cpu_after) = (scene.server.info()?, worker.cpu_us());
        let counted = total - done;
        // A task that comes twice by mistake does so soon.
        tokio::time::sleep(Duration::from_millis(200)).await;
        worker.kill().await?;
        let begun = starts::read(log)?;
        let delivery = starts::delivery(&begun, total);
        Ok(Drain {
            concurrency,
            tasks: counted,
            per_s: starts::rate(&begun, usize::try_from(done)?),
            cpu_us: (cpu_after - cpu) / counted.max(1) as f64,
            redis: PerTask::between(&before, &after, counted),
            missing: delivery.missing,
            again: delivery.again,
        })
    }

    /// How long a task waits for an idle worker, and what such a worker costs; then the same at
    /// `load` tasks per second.
    pub(crate) async fn waits(&self, launch: &Launch, load: f64) -> Result<(Idle, Load)> {
        let scene = self.scene(Duration::ZERO)?;
        let log = &scene.stage.log;
        let mut submitter = Submitter::start(launch, &scene.stage).await?;
        let mut worker = Worker::start(launch, &scene.stage, WAITS_AT)?;
        submitter.submit(self.lengths.pilot, 1).await?;
        worker.wait(log, submitter.submitted(), FIRST_WITHIN).await.context("warming up")?;
        // Its last acknowledgements belong to the tasks.
        tokio::time::sleep(Duration::from_millis(500)).await;

        let (before, cpu) = (scene.server.info()?, worker.cpu_us());
        tokio::time::sleep(self.lengths.rest).await;
        // Shared among nobody, a difference is a sum.
        let spent = PerTask::between(&before, &scene.server.info()?, 1);
        let seconds = self.lengths.rest.as_secs_f64();
        let (commands_per_s, cpu_ms_per_s) =
            (spent.commands / seconds, (worker.cpu_us() - cpu) / 1e3 / seconds);

        let first = submitter.submitted();
        submitter.paced(&arrivals(self.lengths.idle_tasks, IDLE_GAP_NS)).await?;
        worker.wait(log, submitter.submitted(), FIRST_WITHIN).await.context("idle")?;
        let idle = starts::waits(&starts::read(log)?, first);

        let first = submitter.submitted();
        let tasks = (load * self.lengths.rate.as_secs_f64()) as usize;
        submitter.paced(&arrivals(tasks.max(20), 1e9 / load.max(1.0))).await?;
        worker.wait(log, submitter.submitted(), FIRST_WITHIN).await.context("at half load")?;
        let loaded = starts::waits(&starts::read(log)?, first);
        worker.kill().await?;
        let (p50_ms, p99_ms) = (idle.percentile_ms(50.0), idle.percentile_ms(99.0));
        Ok((
            Idle { tasks: idle.count() as u64, p50_ms, p99_ms, commands_per_s, cpu_ms_per_s },
            Load {
                per_s: load,
                p50_ms: loaded.percentile_ms(50.0),
                p99_ms: loaded.percentile_ms(99.0),
            },
        ))
    }

    /// Kills a worker in the middle of its tasks, starts another at once, and waits until every
    /// task has begun again, or as long as is waited.
    pub(crate) async fn recovery(&self, launch: &Launch) -> Result<Recovery> {
        let scene = self.scene(KILLED_TASK)?;
        let log: &Path = &scene.stage.log;
        let mut submitter = Submitter::start(launch, &scene.stage).await?;
        let concurrency = usize::try_from(KILLED)?;
        let mut worker = Worker::start(launch, &scene.stage, concurrency)?;
        submitter.submit(KILLED, 1).await?;
        worker.wait(log, KILLED, FIRST_WITHIN).await?;
        let killed_ns = starts::now_ns();
        worker.kill().await?;
        let mut next = Worker::start(launch, &scene.stage, concurrency)?;
        // The file says how many began, not which: all are looked at when there are enough.
        let mut wanted = 2 * KILLED;
        loop {
            let left = Duration::from_nanos(starts::now_ns() - killed_ns);
            let Some(left) = self.lengths.recovery.checked_sub(left) else { break };
            if next.wait(log, wanted, left).await.is_err() {
                break;
            }
            let begun = starts::read(log)?;
            if starts::recovery(&begun, killed_ns).0 >= KILLED {
                break;
            }
            wanted = begun.len() as u64 + 1;
        }
        let (again, seconds) = starts::recovery(&starts::read(log)?, killed_ns);
        let waited_s = self.lengths.recovery.as_secs_f64();
        Ok(Recovery { killed: KILLED, again: again.min(KILLED), seconds, waited_s })
    }
}

/// The load at which waits are measured: half of what the worker does, as far as one client can
/// submit it.
pub(crate) fn load(drain_per_s: f64, submit_per_s: f64) -> f64 {
    (drain_per_s * LOAD_SHARE).min(submit_per_s * SUBMIT_SHARE)
}

fn rate(took: &Took, tasks: u64) -> f64 {
    tasks as f64 * 1e9 / took.took_ns.max(1) as f64
}

fn times(waits_ns: &[u64]) -> Times {
    let mut times = Times::default();
    for wait in waits_ns {
        times.add(Duration::from_nanos(*wait));
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_has_as_many_tasks_as_its_time_holds_within_bounds() {
        let lengths = Lengths::of(false);
        assert_eq!(lengths.tasks(0.0), TASKS_MIN);
        assert_eq!(lengths.tasks(1_000.0), 4_000);
        assert_eq!(lengths.tasks(1e9), lengths.tasks_max);
    }

    #[test]
    fn half_load_is_never_more_than_one_client_can_submit() {
        assert_eq!(load(1_000.0, 10_000.0), 500.0);
        assert_eq!(load(40_000.0, 10_000.0), 6_000.0);
    }

    #[test]
    fn a_rate_is_of_what_was_really_needed() {
        let took = Took { took_ns: 2_000_000_000, waits_ns: vec![1_000_000, 3_000_000] };
        assert_eq!(rate(&took, 100), 50.0);
        assert_eq!(times(&took.waits_ns).percentile_ms(99.0), 3.0);
    }
}
