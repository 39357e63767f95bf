//! What people and operators ask for of tasks. What concerns only tasks that wait is in `waiting`,
//! what is set of queues and users in `settings`.
//!
//! moves: scheduled, waiting, queued -> cancelled; dead, cancelled -> queued, waiting; terminal -> gone

use super::Partition;
use super::lease_of;
use super::step::{StateText, Step};
use super::submit::bytes_of;
use crate::Text;
use crate::changes::{Place, Record, Signal};
use crate::command::{Control, MoveTo, Purge, Redrive, Rewrite};
use crate::ids::{Name, TaskId, UserId};
use crate::reply::{Controlled, Refusal};
use crate::transitions::TaskState;

impl Partition {
    pub(super) fn control(&mut self, step: &mut Step, control: Control) -> Vec<Controlled> {
        match control {
            Control::Cancel { at_ms, user, tasks, body, keep_s } => {
                let mut cancel = |task| self.cancel(step, at_ms, &user, task, &body, keep_s);
                let answers = tasks.into_iter().map(&mut cancel).collect();
                self.lead_on(step);
                answers
            }
            Control::Redrive { at_ms, user, tasks } => {
                let mut ringed = Vec::new();
                let answers = tasks
                    .into_iter()
                    .map(|task| self.redrive(step, at_ms, &user, task, &mut ringed))
                    .collect();
                self.wake_for(step, ringed);
                answers
            }
            Control::Reschedule { at_ms, user, tasks } => {
                let mut ringed = Vec::new();
                let answers = tasks
                    .into_iter()
                    .map(|asked| self.reschedule(step, at_ms, &user, asked, &mut ringed))
                    .collect();
                self.wake_for(step, ringed);
                answers
            }
            Control::Edit { at_ms, user, tasks } => {
                tasks.into_iter().map(|edit| self.edit(step, at_ms, &user, edit)).collect()
            }
            Control::Flow { at_ms, user, nodes } => {
                let answers = self.flow(step, at_ms, &user, nodes);
                self.lead_on(step);
                answers
            }
            Control::Seal { user, task, .. } => {
                let answer = self.seal(step, &user, task);
                self.lead_on(step);
                vec![answer]
            }
            Control::Purge { at_ms, user, tasks } => {
                // What has ended goes once those who wait for it were told.
                self.lead_on(step);
                tasks.into_iter().map(|asked| self.purge(step, at_ms, &user, asked)).collect()
            }
            Control::Erase { user } => vec![self.erase(step, &user)],
            Control::Schedule { user, name, seen, becomes } => {
                vec![self.schedule(step, user, name, seen, becomes)]
            }
            Control::Tick(tick) => vec![self.tick(step, *tick)],
            Control::Queues { version, queues } => vec![self.set_queues(step, version, queues)],
            Control::User { queue, user, settings } => {
                vec![self.set_user(step, queue, user, settings)]
            }
            Control::Bytes { user, bytes_max } => vec![self.set_bytes_max(step, user, bytes_max)],
            Control::Pause { user, by, paused } => vec![self.pause(step, user, by, paused)],
        }
    }

    fn cancel(
        &mut self,
        step: &mut Step,
        at_ms: i64,
        user: &UserId,
        task: TaskId,
        body: &Text,
        keep_s: u32,
    ) -> Controlled {
        let Some(known) = self.task(user, &task) else { return Controlled::Absent };
        match known.place {
            Place::Ended { state, .. } => Controlled::Unfit(state),
            Place::Running { .. } => {
                self.ask_to_stop(step, at_ms, user, task);
                Controlled::Asked
            }
            Place::Scheduled { .. } | Place::Waiting { .. } | Place::Queued { .. } => {
                self.stop_waiting(step, user, task, body, keep_s);
                Controlled::Done
            }
        }
    }

    /// Asks the holder of a running task to stop, once.
    pub(super) fn ask_to_stop(&mut self, step: &mut Step, at_ms: i64, user: &UserId, task: TaskId) {
        let control = self.control_mut(user, task);
        match &mut control.place {
            Place::Running { cancel_asked, .. } if !*cancel_asked => *cancel_asked = true,
            _ => return,
        }
        let control = control.clone();
        let lease = lease_of(user, task, &control).expect("it is running");
        step.signal(Signal::Cancel { lease });
        let event = format!(r#"{{"t":"{task}","x":"cancel_requested","at":{at_ms}}}"#);
        step.event(user, &event);
        step.record(Record::Control { user: user.clone(), task, control });
    }

    fn redrive(
        &mut self,
        step: &mut Step,
        at_ms: i64,
        user: &UserId,
        asked: Redrive,
        ringed: &mut Vec<Name>,
    ) -> Controlled {
        let task = asked.task;
        let Some(known) = self.task(user, &task) else { return Controlled::Absent };
        let state = known.place.state();
        if !matches!(state, TaskState::Dead | TaskState::Cancelled) {
            return Controlled::Unfit(state);
        }
        if known.claim != asked.claim {
            return Controlled::Changed;
        }
        if let Some(change) = &asked.change
            && !self.may_become(user, known.bytes, bytes_of(&change.descriptor), change.bytes_max)
        {
            return Controlled::Refused(Refusal::BytesFull);
        }
        let mut control = known.clone();
        let Some(pending) = self.wait_again(step, at_ms, user, task) else {
            return Controlled::Unfit(state);
        };
        control.claim += 1;
        control.n = 0;
        control.attempt = 1;
        if let Some(text) = asked.attempt {
            control.attempts_kept += 1;
            let number = control.attempts_kept;
            step.record(Record::Attempt { user: user.clone(), task, number, text });
        }
        let mut event = None;
        if let Some(Rewrite { descriptor, event: told, .. }) = asked.change {
            control.bytes = bytes_of(&descriptor);
            step.record(Record::Edited { user: user.clone(), task, text: descriptor });
            event = Some(told);
        }
        let control = if pending > 0 {
            control.place = Place::Waiting { pending };
            self.put(user, task, control.clone());
            control
        } else {
            self.wait(step, user, task, control, MoveTo::Back, ringed)
        };
        let text = StateText { at_ms, body: "", event: event.as_deref(), logged: true };
        step.write(user, task, &control, &text);
        Controlled::Done
    }

    /// What refers to the task elsewhere (lists to sweep) names one that is gone, and is dropped at
    /// its turn.
    fn purge(&mut self, step: &mut Step, at_ms: i64, user: &UserId, asked: Purge) -> Controlled {
        let Purge { task, claim, key } = asked;
        let Some(known) = self.task(user, &task) else { return Controlled::Absent };
        let state = known.place.state();
        if !state.is_terminal() {
            return Controlled::Unfit(state);
        }
        let untold = !self.leads.is_empty() && self.links(user, &task).is_some();
        if known.claim != claim || untold {
            return Controlled::Changed;
        }
        let (claim, n) = (known.claim, known.n);
        let owner = self.user(user);
        owner.forget(task);
        if let Some(key) = key
            && let Some(held) = owner.keys.get(&key).copied()
            && held.task == task
        {
            owner.keys.remove(&key);
            self.expiring.remove(&(held.expires_ms, user.clone(), key.clone()));
            step.record(Record::KeyGone { user: user.clone(), key });
        }
        let event = format!(r#"{{"t":"{task}","x":"removed","c":{claim},"n":{n},"at":{at_ms}}}"#);
        step.event(user, &event);
        self.drop_links(step, user, task);
        step.record(Record::TaskGone { user: user.clone(), task });
        Controlled::Done
    }
}
