//! What people and operators ask for of tasks. What concerns only tasks that wait is in `waiting`,
//! what is set of queues and users in `settings`.
//!
//! moves: scheduled, queued -> cancelled; dead, cancelled -> queued

use super::Partition;
use super::step::{StateText, Step};
use crate::Text;
use crate::changes::{Place, Record};
use crate::command::{Control, MoveTo, Redrive};
use crate::ids::{Name, TaskId, UserId};
use crate::reply::Controlled;
use crate::transitions::TaskState;

impl Partition {
    pub(super) fn control(&mut self, step: &mut Step, control: Control) -> Vec<Controlled> {
        match control {
            Control::Cancel { at_ms, user, tasks, body, keep_s } => {
                let mut cancel = |task| self.cancel(step, at_ms, &user, task, &body, keep_s);
                tasks.into_iter().map(&mut cancel).collect()
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
            Control::Schedule { user, name, seen, becomes } => {
                vec![self.schedule(step, user, name, seen, becomes)]
            }
            Control::Tick(tick) => vec![self.tick(step, *tick)],
            Control::Queues { version, queues } => vec![self.set_queues(step, version, queues)],
            Control::User { queue, user, settings } => {
                vec![self.set_user(step, queue, user, settings)]
            }
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
            Place::Running { cancel_asked: true, .. } => Controlled::Asked,
            Place::Running { .. } => {
                self.ask_to_stop(step, at_ms, user, task);
                Controlled::Asked
            }
            Place::Scheduled { .. } | Place::Queued { .. } => {
                self.stop_waiting(step, user, task, body, keep_s);
                Controlled::Done
            }
        }
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
        let mut control = known.clone();
        control.claim += 1;
        control.n = 0;
        control.attempt = 1;
        if let Some(text) = asked.attempt {
            control.attempts_kept += 1;
            let number = control.attempts_kept;
            step.record(Record::Attempt { user: user.clone(), task, number, text });
        }
        let control = self.wait(step, user, task, control, MoveTo::Back, ringed);
        let text = StateText { at_ms, body: "", event: None, logged: true };
        step.write(user, task, &control, &text);
        Controlled::Done
    }
}
