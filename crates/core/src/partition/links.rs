//! What follows from an end for those who wait for it: dependents go to their lanes or end too,
//! flows and batches count, and a cancelled flow takes its parts along.
//!
//! moves: waiting -> waiting, queued, completed, cancelled, dead
//!
//! Every end of a task with ties is put into a line, and the line is worked off as far as one call
//! may. An end is told once however often it stands there: each tie says whether it has been.

use std::ops::Bound::{Excluded, Unbounded};

use super::Partition;
use super::step::{StateText, Step};
use crate::changes::{Place, Record};
use crate::command::{MoveTo, Write};
use crate::ids::{Name, TaskId, UserId};
use crate::limits::{CASCADE_MAX, LEAD_MAX};
use crate::links::{Links, OnFailure, upstream, with_flow};
use crate::policy::Retention;
use crate::transitions::TaskState;

/// An end that has to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lead {
    pub(super) user: UserId,
    pub(super) task: TaskId,
    /// Where stopping its parts goes on, for a flow that was cancelled; otherwise it is the end that
    /// is told.
    pub(super) parts_after: Option<TaskId>,
}

/// Before every id.
pub(super) const FIRST: TaskId = TaskId::from_bytes([0; 12]);

impl Partition {
    /// The ties of a task.
    #[must_use]
    pub fn links(&self, user: &UserId, task: &TaskId) -> Option<&Links> {
        self.users.get(user)?.links.get(task)
    }

    /// Parts of a flow or batch above `after`, in the order of their ids.
    #[must_use]
    pub fn parts(
        &self,
        user: &UserId,
        of: &TaskId,
        after: Option<TaskId>,
        limit: usize,
    ) -> Vec<TaskId> {
        let from = after.map_or(Unbounded, Excluded);
        let parts = self.users.get(user).and_then(|user| user.parts.get(of));
        parts.map_or_else(Vec::new, |parts| {
            parts.range((from, Unbounded)).take(limit).copied().collect()
        })
    }

    pub(super) fn state_of(&self, user: &UserId, task: &TaskId) -> Option<TaskState> {
        Some(self.task(user, task)?.place.state())
    }

    pub(super) fn links_mut(&mut self, user: &UserId, task: TaskId) -> Option<&mut Links> {
        self.users.get_mut(user)?.links.get_mut(&task)
    }

    /// Keeps the ties of a task as they are now.
    pub(super) fn keep_links(&mut self, step: &mut Step, user: &UserId, task: TaskId) {
        let links = self.links(user, &task).cloned();
        step.record(Record::Links { user: user.clone(), task, links });
    }

    /// Lets go of the ties of a task that is gone.
    pub(super) fn drop_links(&mut self, step: &mut Step, user: &UserId, task: TaskId) {
        let of = self.user(user);
        let Some(links) = of.links.remove(&task) else { return };
        if let Some(part) = links.part
            && let Some(parts) = of.parts.get_mut(&part.of)
        {
            parts.remove(&task);
        }
        if links.gather.is_some() {
            of.parts.remove(&task);
        }
        step.record(Record::Links { user: user.clone(), task, links: None });
    }

    /// Puts the end of a task into the line, if it has ties.
    pub(super) fn lead(&mut self, user: &UserId, task: TaskId, state: TaskState) {
        let Some(links) = self.links(user, &task) else { return };
        let cascades = links.gather.is_some() && state == TaskState::Cancelled;
        let lead = Lead { user: user.clone(), task, parts_after: None };
        self.leads.push_back(lead.clone());
        if cascades {
            self.leads.push_back(Lead { parts_after: Some(FIRST), ..lead });
        }
    }

    /// Tells the ends that stand in the line, as many as this step may.
    pub(super) fn lead_on(&mut self, step: &mut Step) {
        let mut ringed = Vec::new();
        while let Some(lead) = self.leads.front() {
            let cost = self.cost(lead);
            if step.led > 0 && step.led + cost > LEAD_MAX {
                break;
            }
            step.led += cost;
            let lead = self.leads.pop_front().expect("looked at above");
            match lead.parts_after {
                Some(after) => self.take_along(step, &lead.user, lead.task, after),
                None => self.tell(step, &lead.user, lead.task, &mut ringed),
            }
        }
        self.wake_for(step, ringed);
    }

    /// How many tasks a lead may change.
    fn cost(&self, lead: &Lead) -> usize {
        let (user, task) = (&lead.user, &lead.task);
        let ended = self.state_of(user, task).is_some_and(TaskState::is_terminal);
        match (self.links(user, task), lead.parts_after) {
            (Some(_), Some(_)) if ended => CASCADE_MAX,
            (Some(links), None) if ended => 1 + links.down.len(),
            _ => 1,
        }
    }

    /// Tells an end to the flow that the task is a part of, and to those who wait for it.
    fn tell(&mut self, step: &mut Step, user: &UserId, task: TaskId, ringed: &mut Vec<Name>) {
        // One that was sent back since has not ended.
        let state = self.state_of(user, &task).filter(|state| state.is_terminal());
        let (Some(state), Some(links)) = (state, self.links(user, &task)) else { return };
        let (part, down) = (links.part, links.down.clone());
        if let Some(part) = part.filter(|part| part.counted.is_none()) {
            let links = self.links_mut(user, task).expect("looked at above");
            links.part = Some(crate::links::Part { counted: Some(state), ..part });
            self.keep_links(step, user, task);
            if let Some(gather) =
                self.links_mut(user, part.of).and_then(|links| links.gather.as_mut())
            {
                gather.count(state, 1);
                self.keep_links(step, user, part.of);
                self.gathered(step, user, part.of, ringed);
            }
        }
        for child in down {
            self.tell_one(step, user, child, (task, state), ringed);
        }
    }

    /// Tells one dependent that `of` ended in `state`.
    fn tell_one(
        &mut self,
        step: &mut Step,
        user: &UserId,
        child: TaskId,
        (of, state): (TaskId, TaskState),
        ringed: &mut Vec<Name>,
    ) {
        let Some(links) = self.links_mut(user, child) else { return };
        let Some(up) = links.up.iter_mut().find(|up| up.task == of && !up.told) else { return };
        up.told = true;
        let goes_on = state == TaskState::Completed || up.on_failure != OnFailure::Fail;
        self.keep_links(step, user, child);
        if self.state_of(user, &child) != Some(TaskState::Waiting) {
            return;
        }
        if goes_on {
            self.waits_less(step, user, child, "", ringed);
        } else {
            let keep_s = Retention::DEFAULT.cancelled_s;
            self.stop_waiting(step, user, child, &upstream(of).into(), keep_s);
        }
    }

    /// A flow or batch whose numbers have changed goes on waiting, runs, or ends.
    pub(super) fn gathered(
        &mut self,
        step: &mut Step,
        user: &UserId,
        task: TaskId,
        ringed: &mut Vec<Name>,
    ) {
        let gather = self.links(user, &task).and_then(|links| links.gather);
        let (Some(gather), Some(TaskState::Waiting)) = (gather, self.state_of(user, &task)) else {
            return;
        };
        if gather.pending() > 0 || gather.runs {
            return self.waits_less(step, user, task, &gather.body(), ringed);
        }
        let (state, kept) = (gather.outcome(), Retention::DEFAULT);
        let keep_s = match state {
            TaskState::Completed => kept.completed_s,
            TaskState::Cancelled => kept.cancelled_s,
            _ => kept.dead_s,
        };
        let why = if state == TaskState::Completed { "" } else { r#","why":"parts""# };
        let n = self.control_mut(user, task).n + 1;
        let body = format!("{}{why}", gather.body()).into();
        self.end(step, user, task, state, &Write { n, body, event: None }, keep_s);
    }

    /// A waiting task goes on waiting, for what its ties say now, or to its lane.
    fn waits_less(
        &mut self,
        step: &mut Step,
        user: &UserId,
        task: TaskId,
        body: &str,
        ringed: &mut Vec<Name>,
    ) {
        let pending = self.links(user, &task).map_or(0, Links::pending);
        let mut control = self.control_mut(user, task).clone();
        control.n += 1;
        let control = if pending > 0 {
            control.place = Place::Waiting { pending };
            self.put(user, task, control.clone());
            control
        } else {
            self.wait(step, user, task, control, MoveTo::Back, ringed)
        };
        let text = StateText { at_ms: step.now_ms, body, event: None, logged: true };
        step.write(user, task, &control, &text);
    }

    /// Stops parts of a flow that was cancelled: those above `after`, as many as one turn may.
    fn take_along(&mut self, step: &mut Step, user: &UserId, flow: TaskId, after: TaskId) {
        // One that waits again since some of its parts were sent back lets them be.
        if self.state_of(user, &flow) != Some(TaskState::Cancelled) {
            return;
        }
        let parts = self.parts(user, &flow, Some(after), CASCADE_MAX);
        for part in &parts {
            match self.task(user, part).map(|task| &task.place) {
                Some(Place::Running { .. }) => {
                    let at_ms = step.now_ms;
                    self.ask_to_stop(step, at_ms, user, *part);
                }
                Some(place) if place.is_to_come() => {
                    let keep_s = Retention::DEFAULT.cancelled_s;
                    self.stop_waiting(step, user, *part, &with_flow(flow).into(), keep_s);
                }
                _ => {}
            }
        }
        if parts.len() == CASCADE_MAX {
            let parts_after = parts.last().copied();
            self.leads.push_back(Lead { user: user.clone(), task: flow, parts_after });
        }
    }

    /// Prepares the ties of a task that is to be sent back: whom it waits for now. Absent if it may
    /// not go back: one that it waits for failed, or it ends with its parts and these must go back.
    pub(super) fn wait_again(
        &mut self,
        step: &mut Step,
        at_ms: i64,
        user: &UserId,
        task: TaskId,
    ) -> Option<u32> {
        let Some(mut links) = self.links(user, &task).cloned() else { return Some(0) };
        if links.gather.is_some_and(|gather| !gather.runs) {
            return None;
        }
        for up in &mut links.up {
            up.told = match self.state_of(user, &up.task) {
                None | Some(TaskState::Completed) => true,
                Some(state) if state.is_terminal() => {
                    if up.on_failure == OnFailure::Fail {
                        return None;
                    }
                    true
                }
                Some(_) => false,
            };
        }
        let part = links.part;
        links.part = part.map(|part| crate::links::Part { counted: None, ..part });
        let pending = links.pending();
        *self.links_mut(user, task).expect("looked at above") = links;
        self.keep_links(step, user, task);
        if let Some((of, state)) = part.and_then(|part| Some((part.of, part.counted?)))
            && let Some(gather) = self.links_mut(user, of).and_then(|links| links.gather.as_mut())
        {
            gather.count(state, -1);
            let gather = *gather;
            self.keep_links(step, user, of);
            let mut control = self.control_mut(user, of).clone();
            match control.place {
                Place::Waiting { .. } => control.n += 1,
                // What ended with its parts waits for this one again.
                Place::Ended { .. } if !gather.runs => {
                    control.claim += 1;
                    control.n = 0;
                }
                _ => return Some(pending),
            }
            control.place = Place::Waiting { pending: gather.pending() };
            let body = &gather.body();
            let text = StateText { at_ms, body, event: None, logged: true };
            step.write(user, of, &control, &text);
            self.put(user, of, control);
        }
        Some(pending)
    }
}
