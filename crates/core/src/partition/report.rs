//! Reports of holders, each fenced by its lease.
//!
//! moves: running -> completed, scheduled, queued, dead, cancelled

use super::step::{StateText, Step};
use super::{Ended, Partition, lease_of};
use crate::changes::{Place, Record, Signal, TaskControl};
use crate::command::{Again, MoveTo, Op, Report, Write};
use crate::ids::{TaskId, UserId};
use crate::limits::REV_PER_CLAIM;
use crate::policy::Retention;
use crate::transitions::TaskState;
use crate::{Lease, Text};

impl Partition {
    /// Carries out one report; false if its lease is not held, and then nothing has changed.
    /// Leases that live on and should stop are added to `cancelled`.
    pub(super) fn report(
        &mut self,
        step: &mut Step,
        op: Op,
        deadline_lt: i64,
        cancelled: &mut Vec<Lease>,
    ) -> bool {
        let Op { lease, report } = op;
        let Some(control) = self.held(&lease) else { return false };
        let cancel_asked = matches!(control.place, Place::Running { cancel_asked: true, .. });
        let (user, task) = (&lease.user, lease.task);
        match report {
            Report::Heartbeat => self.renew(user, task, deadline_lt),
            Report::Progress { write } => {
                self.renew(user, task, deadline_lt);
                let control = self.control_mut(user, task);
                control.n = counted(control.n, write.n);
                let text = StateText { logged: false, ..text_of(step, &write) };
                step.write(user, task, &control.clone(), &text);
            }
            Report::Log { lines } => self.log(step, user, task, lines),
            Report::Ack { write, keep_s } => {
                self.end(step, user, task, TaskState::Completed, &write, keep_s);
            }
            Report::Bury { write, keep_s } => {
                self.end(step, user, task, TaskState::Dead, &write, keep_s);
            }
            Report::Cancelled { write, keep_s } => {
                self.end(step, user, task, TaskState::Cancelled, &write, keep_s);
            }
            // From here on the task would live on. An accepted cancellation must stick.
            Report::Nack { write, keep_s, .. } if cancel_asked => {
                self.end(step, user, task, TaskState::Cancelled, &write, keep_s);
            }
            Report::Snooze { write, .. } | Report::Release { write, .. } if cancel_asked => {
                let keep_s = Retention::DEFAULT.cancelled_s;
                self.end(step, user, task, TaskState::Cancelled, &write, keep_s);
            }
            Report::Nack { write, again, attempt, .. } => {
                let to = match again {
                    Again::At(due_ms) => MoveTo::Due(due_ms),
                    Again::Now => MoveTo::Front,
                };
                self.give_back(step, user, task, to, &write, Some(attempt), true);
            }
            Report::Snooze { write, due_ms, attempt } => {
                self.give_back(step, user, task, MoveTo::Due(due_ms), &write, Some(attempt), false);
            }
            Report::Release { write, attempt } => {
                self.give_back(step, user, task, MoveTo::Front, &write, attempt, false);
            }
        }
        if cancel_asked && self.held(&lease).is_some() && !cancelled.contains(&lease) {
            cancelled.push(lease);
        }
        true
    }

    /// The control record of the task this very lease holds.
    fn held(&self, lease: &Lease) -> Option<&TaskControl> {
        let control = self.task(&lease.user, &lease.task)?;
        (lease_of(&lease.user, lease.task, control)? == *lease).then_some(control)
    }

    pub(super) fn control_mut(&mut self, user: &UserId, task: TaskId) -> &mut TaskControl {
        self.user(user).tasks.get_mut(&task).expect("the caller has looked it up")
    }

    /// Moves the end of a lease; never to an earlier time.
    fn renew(&mut self, user: &UserId, task: TaskId, until_lt: i64) {
        let Place::Running { deadline_lt, .. } = &mut self.control_mut(user, task).place else {
            return;
        };
        if until_lt <= *deadline_lt {
            return;
        }
        let before = std::mem::replace(deadline_lt, until_lt);
        self.leases.remove(&(before, user.clone(), task));
        self.leases.insert((until_lt, user.clone(), task));
    }

    /// Takes a running task out of the leases.
    fn drop_lease(&mut self, step: &mut Step, user: &UserId, task: TaskId) {
        let control = self.control_mut(user, task);
        if let Place::Running { deadline_lt, .. } = control.place {
            let queue = control.queue.clone();
            self.leases.remove(&(deadline_lt, user.clone(), task));
            self.leaves(step, &queue, user);
            self.put_right(&queue, user, task, self.lease_time(step.now_ms));
        }
    }

    fn log(&mut self, step: &mut Step, user: &UserId, task: TaskId, lines: Vec<Text>) {
        if lines.is_empty() {
            return;
        }
        let control = self.control_mut(user, task);
        let first = control.log_lines + 1;
        control.log_lines += u32::try_from(lines.len()).unwrap_or(u32::MAX);
        let list = lines.join(",");
        let text = format!(r#"{{"t":"{task}","log":{{"first":{first},"lines":[{list}]}}}}"#);
        step.signal(Signal::Publish { user: user.clone(), text: text.into() });
        step.record(Record::Log { user: user.clone(), task, first, lines });
    }

    /// Ends a task that is running, or one that waits when control cancels it.
    pub(super) fn end(
        &mut self,
        step: &mut Step,
        user: &UserId,
        task: TaskId,
        state: TaskState,
        write: &Write,
        keep_s: u32,
    ) {
        self.drop_lease(step, user, task);
        self.leave_line(step, user, task);
        let text = text_of(step, write);
        let at_ms = text.at_ms;
        let mut control = self.control_mut(user, task).clone();
        control.n = counted(control.n, write.n);
        control.expires = None;
        control.place = Place::Ended { state, at_ms, keep_s, bytes: 0 };
        let bytes = step.write(user, task, &control, &text);
        control.place = Place::Ended { state, at_ms, keep_s, bytes };
        let ended = Ended { user: user.clone(), task, claim: control.claim, at_ms };
        self.sweeps.entry(keep_s).or_default().push_back(ended);
        self.put(user, task, control);
        self.lead(user, task, state);
    }

    /// Takes a task from its holder and lets it wait again, under the next claim number.
    #[expect(clippy::too_many_arguments, reason = "one move, three verbs that differ in its parts")]
    fn give_back(
        &mut self,
        step: &mut Step,
        user: &UserId,
        task: TaskId,
        to: MoveTo,
        write: &Write,
        attempt: Option<Text>,
        counted: bool,
    ) {
        self.drop_lease(step, user, task);
        let mut control = self.control_mut(user, task).clone();
        control.claim += 1;
        control.n = 0;
        if let Some(text) = attempt {
            control.attempts_kept += 1;
            let number = control.attempts_kept;
            step.record(Record::Attempt { user: user.clone(), task, number, text });
        }
        if counted {
            control.attempt += 1;
        }
        let mut ringed = Vec::new();
        let control = self.wait(step, user, task, control, to, &mut ringed);
        let text = text_of(step, write);
        step.write(user, task, &control, &text);
        self.wake_for(step, ringed);
    }
}

/// The count of writes after one that says `said`. A rev must rise with every write and stay below
/// those of the next claim, whatever a holder counts.
fn counted(before: u32, said: u32) -> u32 {
    let most = u32::try_from(REV_PER_CLAIM - 1).unwrap_or(u32::MAX);
    said.max(before.saturating_add(1)).min(most)
}

fn text_of<'a>(step: &Step, write: &'a Write) -> StateText<'a> {
    StateText { at_ms: step.now_ms, body: &write.body, event: write.event.as_deref(), logged: true }
}
