//! What a handler gets beside its payload.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tasktonic_core::{Lease, TaskId, UserId};
use tasktonic_files::{Content, Error as FileError, FileId, FileMeta, TaskFiles};
use tasktonic_protocol::stored::{LogLevel, Progress};
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::inputs::{Inputs, TellsInputs};

/// One attempt, from the inside: report progress, write log lines, read and make files, look
/// whether to stop. Cheap to clone; all of it may be called from blocking threads too.
#[derive(Clone)]
pub struct Context {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) lease: Lease,
    pub(crate) epoch: u32,
    pub(crate) attempts_max: u32,
    pub(crate) cancelled: CancellationToken,
    pub(crate) why: Arc<WhyStop>,
    pub(crate) phase: Mutex<Option<Phase>>,
    pub(crate) trust: Trust,
    pub(crate) reports: Box<dyn Reports>,
    pub(crate) files: Arc<dyn TaskFiles>,
    pub(crate) inputs: Arc<dyn TellsInputs>,
}

/// Why a handler should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The soft limit of its time is over: it may finish, or save what it has, until the limit.
    SoftLimit,
    /// The worker stops, and the time for what runs is over.
    Drain,
    /// Its time is over.
    TimeLimit,
    /// Somebody cancelled the task.
    Cancelled,
    /// The lease is lost or cannot be trusted: nothing it does counts any more.
    LeaseLost,
}

/// The reason to stop, as the loop says it and the handler reads it.
#[derive(Debug, Default)]
pub(crate) struct WhyStop(AtomicU8);

impl WhyStop {
    const ALL: [Stop; 5] =
        [Stop::SoftLimit, Stop::Drain, Stop::TimeLimit, Stop::Cancelled, Stop::LeaseLost];

    pub(crate) fn say(&self, stop: Stop) {
        let place = Self::ALL.iter().position(|known| *known == stop).expect("all are listed");
        self.0.store(u8::try_from(place + 1).expect("five of them"), Ordering::SeqCst);
    }

    fn said(&self) -> Option<Stop> {
        let place = usize::from(self.0.load(Ordering::SeqCst)).checked_sub(1)?;
        Self::ALL.get(place).copied()
    }
}

/// The part of the work that is being done.
#[derive(Debug, Clone)]
pub(crate) struct Phase {
    name: String,
    weight: Option<f64>,
    before: Option<f64>,
}

/// Until when the lease of an attempt may be believed, by the monotonic clock. Shared between the
/// loop, which moves it, and the handler, which looks: a process that slept must not believe its
/// lease for even one step.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    base: Instant,
    until_ms: Arc<AtomicU64>,
}

impl Trust {
    pub(crate) fn until(until: Instant) -> Self {
        let base = Instant::now();
        let trust = Self { base, until_ms: Arc::new(AtomicU64::new(0)) };
        trust.extend(until);
        trust
    }

    pub(crate) fn for_ever() -> Self {
        Self { base: Instant::now(), until_ms: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Moves the end; never to an earlier time.
    pub(crate) fn extend(&self, until: Instant) {
        let ms = until.saturating_duration_since(self.base).as_millis();
        self.until_ms.fetch_max(u64::try_from(ms).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    pub(crate) fn has_ended(&self, now: Instant) -> bool {
        now >= self.end()
    }

    /// When it ends.
    pub(crate) fn end(&self) -> Instant {
        /// Far enough to be never.
        const LONG: Duration = Duration::from_secs(10 * 365 * 86_400);
        self.base + Duration::from_millis(self.until_ms.load(Ordering::SeqCst)).min(LONG)
    }
}

/// Where reports of an attempt go: into the worker's next sync.
pub(crate) trait Reports: Send + Sync {
    fn progress(&self, progress: Progress);
    fn log(&self, level: LogLevel, text: String);
}

impl Context {
    /// The task.
    #[must_use]
    pub fn task(&self) -> TaskId {
        self.inner.lease.task
    }

    /// Its owner.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.inner.lease.user
    }

    /// Which counted attempt this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.inner.lease.attempt
    }

    /// Whether no other attempt follows this one.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.attempt() >= self.inner.attempts_max
    }

    /// A number that rises with every claim of this task, for your own database: refuse a write
    /// with a lower one. `epoch · 2^32 + claim`, exact in a double.
    #[must_use]
    pub fn fence(&self) -> u64 {
        (u64::from(self.inner.epoch) << 32) + u64::from(self.inner.lease.claim)
    }

    /// Says how far along it is. The latest value wins; calling it often costs nothing.
    pub fn progress(&self, done: u64, total: u64, unit: &str, note: impl Into<Option<String>>) {
        let unit = (!unit.is_empty()).then(|| unit.to_owned());
        let phase = self.inner.phase.lock().clone();
        let weight = phase.as_ref().and_then(|phase| phase.weight);
        let before = phase.as_ref().and_then(|phase| phase.before);
        let phase = phase.map(|phase| phase.name);
        let note = note.into();
        self.inner.reports.progress(Progress { done, total, note, unit, phase, weight, before });
    }

    /// Begins another part of the work: what [`Context::progress`] says from now on counts this part
    /// alone. `weight` is how much of the whole it is, 0 to 1; with the weights of all parts the bar
    /// goes on from part to part, without one each part has a bar of its own.
    pub fn phase(&self, name: impl Into<String>, weight: impl Into<Option<f64>>) {
        let mut phase = self.inner.phase.lock();
        let over = phase
            .as_ref()
            .map_or(0.0, |phase| phase.before.unwrap_or(0.0) + phase.weight.unwrap_or(0.0));
        let weight = weight.into().filter(|weight| !weight.is_nan());
        let weight = weight.map(|weight| weight.clamp(0.0, 1.0));
        let before = weight.map(|_| over.min(1.0));
        *phase = Some(Phase { name: name.into(), weight, before });
        drop(phase);
        self.progress(0, 0, "", None);
    }

    /// Adds a line to the task's log.
    pub fn log(&self, level: LogLevel, text: impl Into<String>) {
        self.inner.reports.log(level, text.into());
    }

    /// Adds a line of level info.
    pub fn info(&self, text: impl Into<String>) {
        self.log(LogLevel::Info, text);
    }

    /// Whether to stop: somebody cancelled the task, its time is over or the soft limit of it, or the
    /// lease can no longer be trusted. [`Context::why_stop`] says which.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.is_cancelled() || self.inner.trust.has_ended(Instant::now())
    }

    /// Why to stop; nothing while the handler is to go on. It may change to a weightier reason.
    #[must_use]
    pub fn why_stop(&self) -> Option<Stop> {
        if self.inner.trust.has_ended(Instant::now()) {
            return Some(Stop::LeaseLost);
        }
        let cancelled = self.inner.cancelled.is_cancelled();
        cancelled.then(|| self.inner.why.said().unwrap_or(Stop::Cancelled))
    }

    /// Waits until [`Context::is_cancelled`].
    pub async fn cancelled(&self) {
        self.inner.cancelled.cancelled().await;
    }

    /// What became of the tasks that this one waited for: those it comes after, or the parts of the
    /// batch that it is. Nothing is read until the first is asked for.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tasktonic_worker::testing::Attempt;
    /// # use tasktonic_worker::{Context, Failure, Input};
    /// async fn total(cx: &Context) -> Result<u64, Failure> {
    ///     let mut total = 0;
    ///     let mut inputs = cx.inputs();
    ///     while let Some(input) = inputs.next().await? {
    ///         total += input.read::<u64>()?.unwrap_or(0);
    ///     }
    ///     Ok(total)
    /// }
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// let inputs = [Input::completed("north", &json!(3)), Input::completed("south", &json!(4))];
    /// let attempt = Attempt::new(json!({})).inputs(inputs);
    /// assert_eq!(total(&attempt.context()).await, Ok(7));
    /// # });
    /// # Ok::<_, std::io::Error>(())
    /// ```
    #[must_use]
    pub fn inputs(&self) -> Inputs {
        Inputs::new(self.clone())
    }

    /// A file of the task's user.
    ///
    /// # Errors
    /// [`FileError::NotFound`] if there is none.
    pub async fn read_file(&self, file: &FileId) -> Result<(FileMeta, Content), FileError> {
        self.inner.files.read(&self.inner.lease, file).await
    }

    /// Keeps a file of the task, for as long as the task is kept.
    ///
    /// # Errors
    /// As [`TaskFiles::keep`].
    pub async fn keep_file(&self, name: &str, content: Content) -> Result<FileMeta, FileError> {
        self.inner.files.keep(&self.inner.lease, name, content).await
    }

    /// Runs `work` where it may block: long calculations and blocking calls belong here, so that
    /// the other attempts of this worker go on. The context may be cloned into it; it should look
    /// at [`Context::is_cancelled`] now and then.
    ///
    /// # Errors
    /// Of code `handler_panicked` if `work` panics.
    pub async fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Failure::attempt("handler_panicked", "The handler panicked."))
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("lease", &self.inner.lease).finish_non_exhaustive()
    }
}
