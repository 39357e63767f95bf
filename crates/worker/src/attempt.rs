//! One attempt as the loop sees it: its lease, its handler, and what is still to be said of it.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tasktonic_core::Lease;
use tasktonic_core::command::{Op, Report, Write};
use tasktonic_core::routing::partition_of;
use tasktonic_files::TaskFiles;
use tasktonic_protocol::stored::{Descriptor, Progress, StateBody};
use tasktonic_store::KillPoint;
use tasktonic_store::clock::Clock;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::conclude::{Cause, Conclusion};
use crate::context::{Context, Inner, Stop, Trust, WhyStop};
use crate::inputs::TellsInputs;
use crate::limits::{CANCEL_GRACE, DRAIN_GRACE, LOST_GRACE, REPORT_EVERY, TIMEOUT_GRACE};
use crate::shared::{Desk, EndOnDrop, Ended, Mailbox, Pen};
use crate::{AnyHandler, Outcome, output};

/// What all attempts of a worker share.
pub(crate) struct Shop {
    pub(crate) runtime: Handle,
    pub(crate) files: Arc<dyn TaskFiles>,
    pub(crate) inputs: Arc<dyn TellsInputs>,
    pub(crate) clock: Clock,
    pub(crate) mailbox: Arc<Mailbox>,
    /// As people see the worker.
    pub(crate) name: String,
    pub(crate) heartbeat: Duration,
    /// Kinds whose progress may go back.
    pub(crate) rewinds: HashSet<String>,
    /// How many places a task takes, by kind.
    pub(crate) places: HashMap<String, u32>,
}

impl Shop {
    /// How many places a task of this kind takes.
    pub(crate) fn places_of(&self, kind: &str) -> u32 {
        self.places.get(kind).copied().unwrap_or(1)
    }
}

/// Where an attempt stands.
#[derive(Debug)]
enum Phase {
    /// The handler runs and its lease is held.
    Runs,
    /// The last report waits for a sync; kept until it is answered, so that it can be repeated.
    Ends(Report),
    /// The last report is on its way.
    Ending(Report),
    /// Nothing is left to say: it is reported, or the lease is lost.
    Over,
}

pub(crate) struct Attempt {
    pub(crate) lease: Lease,
    n: u32,
    /// How many of the worker's places it takes while it is there.
    pub(crate) places: u32,
    descriptor: Descriptor,
    started_ms: i64,
    /// Since when its handler runs.
    pub(crate) since: Instant,
    trust: Trust,
    cancel: CancellationToken,
    why: Arc<WhyStop>,
    pub(crate) desk: Arc<Desk>,
    handler: AbortHandle,
    handler_ended: bool,
    /// Whether it waits for its end to be said without keeping its places.
    gave_places_up: bool,
    phase: Phase,
    stop: Option<(Cause, Instant)>,
    pub(crate) renew_at: Instant,
    soft_at: Option<Instant>,
    timeout_at: Option<Instant>,
    progress: Option<Progress>,
    /// The state in the store lacks the newest progress.
    progress_due: bool,
    /// Before then progress goes only where the state is written for another reason.
    progress_from: Instant,
    /// The state in the store does not yet say that it is stopping.
    mark_due: bool,
}

impl Attempt {
    /// Starts `handler` on a claim that may be believed until `trusted_until`.
    #[expect(clippy::too_many_arguments, reason = "all that one attempt is made of")]
    pub(crate) fn start(
        shop: &Shop,
        key: u64,
        lease: Lease,
        n: u32,
        epoch: u32,
        descriptor: Descriptor,
        handler: Arc<dyn AnyHandler>,
        (sent, trusted_until): (Instant, Instant),
    ) -> Self {
        let rewinds = shop.rewinds.contains(&descriptor.kind);
        let desk = Arc::new(Desk::new(key, shop.mailbox.clone(), shop.clock.clone(), rewinds));
        let cancel = CancellationToken::new();
        let why = Arc::new(WhyStop::default());
        let trust = Trust::until(trusted_until);
        let inner = Inner {
            lease: lease.clone(),
            epoch,
            attempts_max: descriptor.attempts_max,
            cancelled: cancel.clone(),
            why: why.clone(),
            phase: Mutex::default(),
            trust: trust.clone(),
            reports: Box::new(Pen(desk.clone())),
            files: shop.files.clone(),
            inputs: shop.inputs.clone(),
        };
        let cx = Context { inner: Arc::new(inner) };
        let payload = descriptor.payload.clone();
        let end = EndOnDrop(Some(desk.clone()));
        let service = shop.runtime.spawn(async move {
            let run = async { handler.run_any(&payload, &cx).await };
            let ended = match AssertUnwindSafe(run).catch_unwind().await {
                Ok(outcome) => output::settle(&cx, outcome).await,
                Err(_) => Ended::Panicked,
            };
            KillPoint::WorkerBeforeAck.pass();
            end.end(ended);
        });
        let now = Instant::now();
        let after = |ms| now.checked_add(Duration::from_millis(ms));
        let (soft_ms, timeout_ms) = (descriptor.soft_timeout_ms, descriptor.timeout_ms);
        Self {
            lease,
            n,
            places: shop.places_of(&descriptor.kind),
            descriptor,
            started_ms: shop.clock.now_ms(),
            since: now,
            trust,
            cancel,
            why,
            desk,
            handler: service.abort_handle(),
            handler_ended: false,
            gave_places_up: false,
            phase: Phase::Runs,
            stop: None,
            renew_at: sent + shop.heartbeat,
            soft_at: soft_ms.and_then(after),
            timeout_at: timeout_ms.and_then(after),
            progress: None,
            progress_due: false,
            progress_from: sent,
            mark_due: false,
        }
    }

    /// Reads what the handler has said since the last look.
    pub(crate) fn read_desk(&mut self, shop: &Shop) {
        let (progress, ended) = self.desk.look();
        self.note(progress);
        if let Some(ended) = ended {
            self.handler_ended = true;
            self.conclude(shop, ended);
        }
    }

    fn note(&mut self, progress: Option<Progress>) {
        if progress.is_some() && progress != self.progress {
            self.progress = progress;
            self.progress_due = true;
        }
    }

    fn conclude(&mut self, shop: &Shop, ended: Ended) {
        if !matches!(self.phase, Phase::Runs) {
            return;
        }
        self.n += 1;
        let conclusion = Conclusion {
            lease: &self.lease,
            descriptor: &self.descriptor,
            worker: &shop.name,
            started_ms: self.started_ms,
            progress: self.progress.as_ref(),
            cause: self.stop.map(|(cause, _)| cause),
            n: self.n,
            now_ms: shop.clock.now_ms(),
            chance: rand::random(),
        };
        if matches!(ended, Ended::Panicked) {
            let (task, kind) = (self.lease.task, &self.descriptor.kind);
            tracing::error!(%task, kind, "the handler panicked; the attempt counts as failed");
        }
        self.phase = Phase::Ends(conclusion.report(ended));
    }

    /// Asks the handler to stop, unless a weightier cause has asked already.
    pub(crate) fn ask_to_stop(&mut self, cause: Cause, now: Instant) {
        if !matches!(self.phase, Phase::Runs) || self.stop.is_some_and(|(known, _)| known >= cause)
        {
            return;
        }
        self.stop = Some((cause, now));
        self.mark_due |= cause == Cause::Asked;
        self.why.say(match cause {
            Cause::SoftLimit => Stop::SoftLimit,
            Cause::Drain => Stop::Drain,
            Cause::Timeout => Stop::TimeLimit,
            Cause::Asked => Stop::Cancelled,
            Cause::Lost => Stop::LeaseLost,
        });
        self.cancel.cancel();
    }

    /// The lease is gone: the handler is stopped and nothing more is reported.
    pub(crate) fn lose(&mut self, now: Instant) {
        if self.is_over() {
            return;
        }
        if !self.handler_ended {
            self.stop = Some((Cause::Lost, now));
            self.why.say(Stop::LeaseLost);
            self.cancel.cancel();
        }
        self.phase = Phase::Over;
    }

    /// Does what time asks for. Answers whether the lease was given up.
    pub(crate) fn look_at_clock(&mut self, shop: &Shop, now: Instant) -> bool {
        if self.soft_at.is_some_and(|at| now >= at) {
            self.soft_at = None;
            self.ask_to_stop(Cause::SoftLimit, now);
        }
        if self.timeout_at.is_some_and(|at| now >= at) {
            self.timeout_at = None;
            self.ask_to_stop(Cause::Timeout, now);
        }
        if matches!(self.phase, Phase::Runs) && self.trust.has_ended(now) {
            self.lose(now);
            return true;
        }
        if self.grace_until().is_some_and(|until| now >= until) {
            self.handler.abort();
            // The report does not wait for it: a handler that blocks its thread may never end.
            self.conclude(shop, Ended::CutOff);
            self.stop = self.stop.map(|(cause, _)| (cause, now));
        }
        false
    }

    /// When [`Attempt::look_at_clock`] next has something to do.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        let trust = matches!(self.phase, Phase::Runs).then(|| self.trust.end());
        let runs = matches!(self.phase, Phase::Runs);
        let [soft, timeout] = [self.soft_at, self.timeout_at].map(|at| at.filter(|_| runs));
        [trust, soft, timeout, self.grace_until()].into_iter().flatten().min()
    }

    fn grace_until(&self) -> Option<Instant> {
        let (cause, since) = self.stop.filter(|_| !self.handler_ended)?;
        let grace = match cause {
            // The limit itself comes later, if there is one.
            Cause::SoftLimit => return None,
            Cause::Drain => DRAIN_GRACE,
            // Who was told by a soft limit had the time in between.
            Cause::Timeout if self.descriptor.soft_timeout_ms.is_some() => Duration::ZERO,
            Cause::Timeout => TIMEOUT_GRACE,
            Cause::Asked => CANCEL_GRACE,
            Cause::Lost => LOST_GRACE,
        };
        Some(since + grace)
    }

    /// Whether nothing is left to say.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Whether it can be forgotten.
    pub(crate) fn is_done(&self) -> bool {
        self.is_over() && self.handler_ended
    }

    /// Which of so many partitions its task is in.
    pub(crate) fn partition(&self, count: u16) -> usize {
        usize::from(partition_of(&self.lease.user, count).0)
    }

    /// How many places of this worker it takes: as long as its handler is there, and until its end is
    /// on its way or given up waiting for.
    pub(crate) fn takes(&self) -> u32 {
        let is_there = !self.handler_ended || (self.has_end() && !self.gave_places_up);
        if is_there { self.places } else { 0 }
    }

    /// Nobody knows when its end can be said: whoever is next has its places.
    pub(crate) fn give_places_up(&mut self) {
        self.gave_places_up = true;
    }

    /// How many of them its handler works in.
    pub(crate) fn works_in(&self) -> u32 {
        if self.handler_ended { 0 } else { self.places }
    }

    /// Whether its last report is to be sent.
    pub(crate) fn has_end(&self) -> bool {
        matches!(self.phase, Phase::Ends(_))
    }

    /// Whether its lease is to be renewed while the handler runs or its end waits.
    pub(crate) fn renews(&self) -> bool {
        matches!(self.phase, Phase::Runs)
    }

    /// Whether its state in the store should be written at once.
    pub(crate) fn has_mark(&self) -> bool {
        self.renews() && self.mark_due
    }

    /// Whether there is progress or a line that may be sent now.
    pub(crate) fn has_news(&self, now: Instant) -> bool {
        let has_progress = self.progress_due && self.progress_from <= now;
        self.renews() && (has_progress || !self.desk.lines(|lines| lines.is_empty()))
    }

    /// When there is progress that may be sent: in a call of its own, or in any other.
    pub(crate) fn progress_at(&self) -> Option<Instant> {
        (self.renews() && self.progress_due).then_some(self.progress_from)
    }

    /// The renewal, with the newest state if there is one.
    pub(crate) fn renewal(&mut self, shop: &Shop, now: Instant) -> Op {
        let newest = self.desk.catch_up();
        self.note(newest);
        let lease = self.lease.clone();
        if !self.progress_due && !self.mark_due {
            return Op { lease, report: Report::Heartbeat };
        }
        self.progress_due = false;
        self.progress_from = now + REPORT_EVERY;
        self.mark_due = false;
        self.n += 1;
        let body = StateBody {
            started_ms: Some(self.started_ms),
            worker: Some(shop.name.clone()),
            progress: self.progress.clone(),
            cancelling: matches!(self.stop, Some((Cause::Asked, _))),
            ..StateBody::default()
        };
        let write = Write { n: self.n, body: body.members(), event: None };
        Op { lease, report: Report::Progress { write } }
    }

    /// A renewal, if it says something new.
    pub(crate) fn renewal_if_new(&mut self, shop: &Shop, now: Instant) -> Option<Op> {
        // Also where only lines are sent, what is said from now on has to be announced again.
        let newest = self.desk.catch_up();
        self.note(newest);
        self.progress_at().filter(|at| *at <= now).map(|_| self.renewal(shop, now))
    }

    /// The last report, which is now on its way.
    pub(crate) fn take_end(&mut self) -> Option<Op> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Ends(report) => {
                self.phase = Phase::Ending(report.clone());
                Some(Op { lease: self.lease.clone(), report })
            }
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// A renewal that was sent at `sent` has been taken.
    pub(crate) fn renewed(&mut self, sent: Instant, trusted_until: Instant, heartbeat: Duration) {
        self.trust.extend(trusted_until);
        self.renew_at = self.renew_at.max(sent + heartbeat);
    }

    /// A renewal was not taken, or nobody knows: it is due again.
    pub(crate) fn renewal_failed(&mut self, with_state: bool, now: Instant) {
        self.renew_at = now;
        self.progress_due |= with_state;
    }

    /// The last report has been answered.
    pub(crate) fn ended(&mut self) {
        self.phase = Phase::Over;
    }

    /// The last report was not taken, or nobody knows: it is sent again, word for word.
    pub(crate) fn end_failed(&mut self) {
        if let Phase::Ending(report) = std::mem::replace(&mut self.phase, Phase::Over) {
            self.phase = Phase::Ends(report);
        }
    }

    /// The kind, for the worker's own log.
    pub(crate) fn kind(&self) -> &str {
        &self.descriptor.kind
    }

    /// Cuts the handler off, when nobody waits for it any more.
    pub(crate) fn abort(&self) {
        self.cancel.cancel();
        self.handler.abort();
    }
}

/// About how many bytes an operation is on its way.
pub(crate) fn bytes_of(op: &Op) -> usize {
    /// Lease, verb, numbers.
    const FRAME_BYTES: usize = 256;
    let write = |write: &Write| write.body.len() + write.event.as_ref().map_or(0, |e| e.len());
    FRAME_BYTES
        + match &op.report {
            Report::Heartbeat => 0,
            Report::Log { lines } => lines.iter().map(|line| line.len()).sum(),
            Report::Progress { write: w }
            | Report::Ack { write: w, .. }
            | Report::Nack { write: w, .. }
            | Report::Bury { write: w, .. }
            | Report::Cancelled { write: w, .. }
            | Report::Snooze { write: w, .. }
            | Report::Release { write: w, .. } => write(w),
        }
}

/// The operations on a claim that is not started: `report` makes what is said of it.
pub(crate) fn unstarted(
    shop: &Shop,
    lease: &Lease,
    n: u32,
    descriptor: &Descriptor,
    report: impl FnOnce(&Conclusion<'_>) -> Report,
) -> Op {
    let now_ms = shop.clock.now_ms();
    let conclusion = Conclusion {
        lease,
        descriptor,
        worker: &shop.name,
        started_ms: now_ms,
        progress: None,
        cause: None,
        n: n + 1,
        now_ms,
        chance: rand::random(),
    };
    Op { lease: lease.clone(), report: report(&conclusion) }
}

/// What is said of a claimed task that ends as `failure` without being started.
pub(crate) fn refused(conclusion: &Conclusion<'_>, failure: crate::Failure) -> Report {
    conclusion.report(Ended::Returned(Outcome::Failed(failure)))
}
