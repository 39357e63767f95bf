//! Lines: tasks of one serial key, which run one at a time and in order. Whose turn it is has the
//! key until it ends, and waits, runs and is attempted again as any other task; the others wait
//! beside the lanes. Knows keys as numbers and nothing of what they stand for.
//!
//! moves: nothing; a line is settled once per command, when all else is done
//!
//! A task joins the line when it would be queued for the first time. A line without a holder hands
//! its key to the first who waits there, who then enters its lane: in front where it waited in line,
//! because it came before what is in the lane since.

use std::collections::BTreeMap;

use super::step::Step;
use super::submit::End;
use super::{Partition, lease_of};
use crate::changes::{Place, Record, Serial, Signal, TaskControl};
use crate::ids::{TaskId, UserId};

/// The tasks of one serial key.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Whose turn it is.
    pub(super) holder: Option<TaskId>,
    /// Who waits for it, by their places.
    pub(super) waiting: BTreeMap<(i64, TaskId), ()>,
}

impl Line {
    fn is_empty(&self) -> bool {
        self.holder.is_none() && self.waiting.is_empty()
    }
}

/// A line that a command changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) user: UserId,
    pub(super) key: u128,
}

impl Partition {
    /// Whether a task that would enter its lane has to stand in line before.
    pub(super) fn must_stand_in_line(control: &TaskControl) -> bool {
        control.serial.as_deref().is_some_and(|serial| !serial.holds)
    }

    /// Puts a task that is `Queued` at an end of the line of its key. Answers its control record.
    pub(super) fn enter_line(
        &mut self,
        step: &mut Step,
        owner: &UserId,
        task: TaskId,
        end: End,
    ) -> TaskControl {
        let position = self.next_place(end);
        let user = self.user(owner);
        let control = user.tasks.get_mut(&task).expect("the caller has put it");
        control.place = Place::Queued { position };
        let control = control.clone();
        if let Some(Serial { key, .. }) = control.serial.as_deref().copied() {
            user.lines.entry(key).or_default().waiting.insert((position, task), ());
            step.touch(Touched { user: owner.clone(), key });
            step.entered(owner, task, end);
        }
        control
    }

    /// Takes a task out of the line of its key, whether it is its turn or not.
    pub(super) fn leave_line(&mut self, step: &mut Step, owner: &UserId, task: TaskId) {
        let user = self.user(owner);
        let Some(control) = user.tasks.get_mut(&task) else { return };
        let Some(serial) = control.serial.as_deref_mut() else { return };
        let key = serial.key;
        let Some(line) = user.lines.get_mut(&key) else { return };
        if std::mem::take(&mut serial.holds) {
            line.holder = None;
        } else if let Place::Queued { position } = control.place {
            line.waiting.remove(&(position, task));
        } else {
            return;
        }
        if line.is_empty() {
            user.lines.remove(&key);
        }
        step.touch(Touched { user: owner.clone(), key });
    }

    /// Hands the keys of lines that have no holder to those who are first there.
    pub(super) fn settle_lines(&mut self, step: &mut Step) {
        let mut ringed = Vec::new();
        for Touched { user: owner, key } in step.take_touched() {
            // A user who was erased stays gone.
            let Some(user) = self.users.get_mut(&owner) else { continue };
            let Some(line) = user.lines.get_mut(&key).filter(|line| line.holder.is_none()) else {
                continue;
            };
            let Some(((_, task), ())) = line.waiting.pop_first() else { continue };
            line.holder = Some(task);
            let control = user.tasks.get_mut(&task).expect("a line names tasks");
            if let Some(serial) = control.serial.as_deref_mut() {
                serial.holds = true;
            }
            let (queue, end) = (control.queue.clone(), step.entry_of(&owner, task));
            let control = self.enter_lane(&owner, task, end, &mut ringed, queue);
            step.record(Record::Control { user: owner, task, control });
        }
        self.wake_for(step, ringed);
    }

    /// Whose turn it is in the line in which a task waits; nothing if it waits in none.
    #[must_use]
    pub fn turn_before(&self, user: &UserId, task: &TaskId) -> Option<TaskId> {
        let known = self.users.get(user)?;
        let control = known.tasks.get(task)?;
        let stands =
            matches!(control.place, Place::Queued { .. }) && Self::must_stand_in_line(control);
        let serial = control.serial.as_deref().filter(|_| stands)?;
        known.lines.get(&serial.key)?.holder
    }

    /// Asks whoever holds a key to stop, if it runs.
    pub(super) fn stop_holder(&mut self, step: &mut Step, at_ms: i64, owner: &UserId, key: u128) {
        let holder = self.users.get(owner).and_then(|user| user.lines.get(&key)?.holder);
        let Some(task) = holder else { return };
        let place = self.task(owner, &task).map(|task| &task.place);
        if matches!(place, Some(Place::Running { cancel_asked: false, .. })) {
            self.ask_to_stop(step, at_ms, owner, task);
        }
    }

    /// Asks the holder of a running task to stop.
    pub(super) fn ask_to_stop(&mut self, step: &mut Step, at_ms: i64, user: &UserId, task: TaskId) {
        let control = self.control_mut(user, task);
        if let Place::Running { cancel_asked, .. } = &mut control.place {
            *cancel_asked = true;
        }
        let control = control.clone();
        let lease = lease_of(user, task, &control).expect("it is running");
        step.signal(Signal::Cancel { lease });
        let event = format!(r#"{{"t":"{task}","x":"cancel_requested","at":{at_ms}}}"#);
        step.event(user, &event);
        step.record(Record::Control { user: user.clone(), task, control });
    }
}
