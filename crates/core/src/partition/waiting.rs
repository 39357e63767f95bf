//! Tasks that wait: where they wait, when their time is over, and what people may change of them.
//!
//! moves: scheduled, queued -> scheduled, queued, cancelled; waiting -> waiting, cancelled

use super::Partition;
use super::step::{StateText, Step};
use super::submit::{End, bytes_of};
use crate::Text;
use crate::changes::{Place, Record, TaskControl};
use crate::command::{EXPIRED, Edit, MoveTo, Reschedule, Write};
use crate::ids::{Name, TaskId, UserId};
use crate::limits::EXPIRE_MAX;
use crate::reply::{Controlled, Refusal};
use crate::transitions::TaskState;

impl Partition {
    /// Puts a task where it waits from now on. Answers its control record.
    pub(super) fn wait(
        &mut self,
        step: &mut Step,
        user: &UserId,
        task: TaskId,
        mut control: TaskControl,
        to: MoveTo,
        ringed: &mut Vec<Name>,
    ) -> TaskControl {
        let end = match to {
            MoveTo::Due(due_ms) if due_ms > step.now_ms => {
                control.place = Place::Scheduled { due_ms };
                self.due.insert((due_ms, user.clone(), task));
                self.put(user, task, control.clone());
                return control;
            }
            MoveTo::Due(_) | MoveTo::Back => End::Back,
            MoveTo::Front => End::Front,
        };
        control.place = Place::Queued { position: 0 };
        let queue = control.queue.clone();
        let in_line = Self::must_stand_in_line(&control);
        self.put(user, task, control);
        if in_line {
            return self.enter_line(step, user, task, end);
        }
        self.enter_lane(user, task, end, ringed, queue)
    }

    /// Ends a task that waits.
    pub(super) fn stop_waiting(
        &mut self,
        step: &mut Step,
        user: &UserId,
        task: TaskId,
        body: &Text,
        keep_s: u32,
    ) {
        // A lane entry stays behind: it names a queued task of this claim, and there is none any
        // more.
        let control = self.control_mut(user, task);
        let (n, place) = (control.n + 1, control.place.clone());
        if let Place::Scheduled { due_ms } = place {
            self.due.remove(&(due_ms, user.clone(), task));
        }
        let write = Write { n, body: body.clone(), event: None };
        self.end(step, user, task, TaskState::Cancelled, &write, keep_s);
    }

    /// Ends a task that nobody took in time.
    pub(super) fn expire_one(&mut self, step: &mut Step, user: &UserId, task: TaskId, keep_s: u32) {
        self.stop_waiting(step, user, task, &EXPIRED.into(), keep_s);
    }

    /// Ends the tasks whose time is over. Answers whether it reached its limit.
    pub(super) fn expire(&mut self, step: &mut Step) -> bool {
        let now_ms = step.now_ms;
        let is_over = |(at, ..): &&(i64, UserId, TaskId)| *at <= now_ms;
        let over: Vec<_> =
            self.unstarted.iter().take_while(is_over).take(EXPIRE_MAX).cloned().collect();
        let full = over.len() == EXPIRE_MAX;
        for (_, user, task) in over {
            if let Some(expiry) = self.control_mut(&user, task).expires.as_deref().copied() {
                self.expire_one(step, &user, task, expiry.keep_s);
            }
        }
        full
    }

    /// Another time, or another place in line, under the next claim number: what refers to the task
    /// where it was is dead.
    pub(super) fn reschedule(
        &mut self,
        step: &mut Step,
        at_ms: i64,
        user: &UserId,
        asked: Reschedule,
        ringed: &mut Vec<Name>,
    ) -> Controlled {
        let Reschedule { task, claim, to } = asked;
        let Some(known) = self.task(user, &task) else { return Controlled::Absent };
        if !known.place.is_waiting() {
            return Controlled::Unfit(known.place.state());
        }
        if known.claim != claim {
            return Controlled::Changed;
        }
        // Whose turn it is in a line gives it away.
        self.leave_line(step, user, task);
        let mut control = self.control_mut(user, task).clone();
        if let Place::Scheduled { due_ms } = control.place {
            self.due.remove(&(due_ms, user.clone(), task));
        }
        control.claim += 1;
        control.n = 0;
        let control = self.wait(step, user, task, control, to, ringed);
        let text = StateText { at_ms, body: "", event: None, logged: true };
        step.write(user, task, &control, &text);
        Controlled::Done
    }

    /// Another descriptor under the same claim number, so that the task keeps its place. A claim
    /// hands out what it finds, so a run sees all of an edit or the edit is refused.
    pub(super) fn edit(
        &mut self,
        step: &mut Step,
        at_ms: i64,
        user: &UserId,
        edit: Edit,
    ) -> Controlled {
        let Edit { task, claim, n, descriptor, bytes_max, event } = edit;
        let Some(known) = self.task(user, &task) else { return Controlled::Absent };
        if !known.place.is_to_come() {
            return Controlled::Unfit(known.place.state());
        }
        if (known.claim, known.n) != (claim, n) {
            return Controlled::Changed;
        }
        let bytes = bytes_of(&descriptor);
        if !self.may_become(user, known.bytes, bytes, bytes_max) {
            return Controlled::Refused(Refusal::BytesFull);
        }
        let mut control = known.clone();
        control.n += 1;
        control.bytes = bytes;
        self.put(user, task, control.clone());
        step.record(Record::Edited { user: user.clone(), task, text: descriptor });
        let text = StateText { at_ms, body: "", event: Some(&event), logged: true };
        step.write(user, task, &control, &text);
        Controlled::Done
    }
}
