//! submit: accept tasks, each for itself.
//!
//! moves: nothing -> queued, nothing -> scheduled; scheduled, queued -> cancelled for one that takes
//! the key

use std::collections::BTreeMap;

use super::step::{StateText, Step};
use super::{Entry, KeyOwner, Partition, User};
use crate::changes::{Place, Record, Serial, Signal, TaskControl};
use crate::command::{Idempotency, KeyMode, NewSerial, NewTask, Replaced, Submit};
use crate::ids::{Name, TaskId, UserId};
use crate::limits::{LANE_DEAD_MAX, WAKES_MAX};
use crate::reply::Submitted;
use crate::settings::waiting_max;

impl Partition {
    pub(super) fn submit(&mut self, step: &mut Step, submit: Submit) -> Vec<Submitted> {
        let Submit { created_ms, tasks } = submit;
        let mut ringed = Vec::new();
        let answers =
            tasks.into_iter().map(|new| self.accept(step, created_ms, new, &mut ringed)).collect();
        self.wake_for(step, ringed);
        answers
    }

    pub(super) fn accept(
        &mut self,
        step: &mut Step,
        created_ms: i64,
        new: NewTask,
        ringed: &mut Vec<Name>,
    ) -> Submitted {
        let NewTask {
            user: owner, task, queue, priority, due_ms, descriptor, event, expires, ..
        } = new;
        let (idempotency, lane_max) = (new.idempotency, new.lane_max);
        let facts = self.facts_at(&queue, &owner, self.lt);
        let lane_max = waiting_max(&facts.queue, &facts.user, lane_max);
        let user = self.user(&owner);
        if user.tasks.contains_key(&task) {
            return Submitted::Existing(task);
        }
        let gives_way = match judge(user, idempotency.as_ref(), step.now_ms) {
            Known::Answer(answer) => return answer,
            Known::GivesWay(waiting) => Some(waiting),
            Known::Nothing => None,
        };
        let due_ms = due_ms.filter(|due| *due > step.now_ms);
        let freed = gives_way.is_some_and(|task| user.tasks[&task].queue == queue);
        let waiting = user.waiting.get(&queue).copied().unwrap_or(0) - u32::from(freed);
        let bytes = bytes_of(&descriptor);
        // What gives way ends, and that is not refused.
        let held = step.held(&owner, user.bytes);
        if !self.has_room(&owner, held, u64::from(bytes), new.bytes_max) {
            return Submitted::BytesFull;
        }
        if waiting >= lane_max {
            return Submitted::LaneFull;
        }
        step.hold(&owner, u64::from(bytes));

        if let Some(key) = idempotency {
            if let (Some(waiting), KeyMode::Replace(Replaced { body, keep_s })) =
                (gives_way, &key.mode)
            {
                self.stop_waiting(step, &owner, waiting, body, *keep_s);
            }
            self.remember(step, &owner, task, key);
        }
        step.record(Record::Descriptor { user: owner.clone(), task, text: descriptor });
        let place = match due_ms {
            Some(due_ms) => Place::Scheduled { due_ms },
            None => Place::Queued { position: 0 },
        };
        let expires = expires.map(Box::new);
        let serial = new.serial.map(|NewSerial { key, .. }| Box::new(Serial { key, holds: false }));
        let control =
            TaskControl { expires, serial, priority, bytes, ..TaskControl::new(queue, place) };
        let control = if let Some(due_ms) = due_ms {
            self.due.insert((due_ms, owner.clone(), task));
            self.put(&owner, task, control.clone());
            control
        } else {
            let queue = control.queue.clone();
            self.put(&owner, task, control);
            if new.serial.is_some() {
                self.enter_line(step, &owner, task, End::Back)
            } else {
                self.enter_lane(&owner, task, End::Back, ringed, queue)
            }
        };
        let text = StateText { at_ms: created_ms, body: &event, event: None, logged: true };
        if due_ms.is_some() || !control.is_plain() {
            // The event says more than the record: kind and labels for a list that has not read it.
            let state = StateText { body: "", event: Some(&event), ..text };
            step.write(&owner, task, &control, &state);
            if let Some(NewSerial { key, stops_running: true }) = new.serial {
                self.stop_holder(step, created_ms, &owner, key);
            }
        } else {
            step.event(&owner, &text.event_only(task, &control));
            step.record(Record::Task { user: owner, task, control, text: None });
        }
        Submitted::Accepted
    }

    fn remember(&mut self, step: &mut Step, owner: &UserId, task: TaskId, key: Idempotency) {
        let expires_ms = step.now_ms.saturating_add(key.ttl_ms);
        let body_hash = key.body_hash;
        let user = self.user(owner);
        let before = user.keys.insert(key.key.clone(), KeyOwner { task, body_hash, expires_ms });
        if let Some(before) = before {
            self.expiring.remove(&(before.expires_ms, owner.clone(), key.key.clone()));
        }
        self.expiring.insert((expires_ms, owner.clone(), key.key.clone()));
        let record = Record::Key { user: owner.clone(), key: key.key, task, body_hash, expires_ms };
        step.record(record);
    }

    /// Adds or replaces a task's control record, and keeps the user's counts and what expires.
    pub(super) fn put(&mut self, owner: &UserId, task: TaskId, control: TaskControl) {
        let expires = |control: &TaskControl| control.expires.as_ref().map(|expiry| expiry.at_ms);
        let (mut then, now) = (None, expires(&control));
        let user = self.user(owner);
        user.count(&control);
        if let Some(before) = user.tasks.insert(task, control) {
            then = expires(&before);
            user.uncount(&before);
        }
        if then != now {
            if let Some(then) = then {
                self.unstarted.remove(&(then, owner.clone(), task));
            }
            if let Some(now) = now {
                self.unstarted.insert((now, owner.clone(), task));
            }
        }
    }

    /// The next place at an end of lanes and lines.
    pub(super) fn next_place(&mut self, end: End) -> i64 {
        match end {
            End::Back => {
                self.back += 1;
                self.back - 1
            }
            End::Front => {
                self.front -= 1;
                self.front + 1
            }
        }
    }

    /// Puts a task that is `Queued` into its lane, and the lane into the ring if it was empty.
    /// Answers the control record with its position.
    pub(super) fn enter_lane(
        &mut self,
        owner: &UserId,
        task: TaskId,
        end: End,
        ringed: &mut Vec<Name>,
        queue: Name,
    ) -> TaskControl {
        let at = self.next_place(end);
        let user = self.user(owner);
        let control = user.tasks.get_mut(&task).expect("the caller has put it");
        control.place = Place::Queued { position: at };
        let control = control.clone();
        let entry = Entry { task, claim: control.claim };
        let lane = user.lanes.entry(queue.clone()).or_default();
        let was_empty = lane.is_empty();
        // Who cancels and submits again, while nobody claims, must not grow the lane for ever.
        let live = user.waiting.get(&queue).copied().unwrap_or(0) as usize;
        if lane.len() > 2 * live + LANE_DEAD_MAX {
            let tasks = &user.tasks;
            lane.retain(|entry| tasks.get(&entry.task).is_some_and(|task| entry.is_of(task)));
        }
        lane.push(control.priority, end, entry);
        if was_empty {
            self.queue(&queue).ring.push_back(owner.clone());
            ringed.push(queue);
        }
        control
    }

    /// Wakes workers for lanes that have just entered their rings.
    pub(super) fn wake_for(&mut self, step: &mut Step, ringed: Vec<Name>) {
        let mut left = WAKES_MAX;
        for queue in ringed {
            if left == 0 {
                break;
            }
            left -= self.wake(step, &queue, 1);
        }
    }

    /// Wakes up to `limit` idle workers of a queue, the one idle for longest first; how many.
    pub(super) fn wake(&mut self, step: &mut Step, name: &Name, limit: usize) -> usize {
        // Somebody looks when it is time.
        let lt_ms = self.lease_time(step.now_ms);
        if self.resting.get(name).is_some_and(|at| *at > lt_ms) {
            return 0;
        }
        let queue = self.queue(name);
        if !queue.is_open() {
            return 0;
        }
        for woken in 0..limit {
            let Some(worker) = queue.pop_idle() else { return woken };
            step.signal(Signal::Wake { worker, queue: name.clone() });
        }
        limit
    }
}

/// The bytes of a text. One of more than 4 GiB is none that a store takes.
pub(super) fn bytes_of(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

/// What the key of a submission leads to.
enum Known {
    /// Nothing, or nothing that counts any more.
    Nothing,
    /// A task that decides what becomes of the submission.
    Answer(Submitted),
    /// A task that waits, and ends if this one is accepted.
    GivesWay(TaskId),
}

fn judge(user: &User, asked: Option<&Idempotency>, now_ms: i64) -> Known {
    let Some(asked) = asked else { return Known::Nothing };
    let Some(known) = user.keys.get(&asked.key) else { return Known::Nothing };
    let place = user.tasks.get(&known.task).map(|task| &task.place);
    if known.expires_ms <= now_ms || !asked.mode.holds(place) {
        return Known::Nothing;
    }
    if asked.mode.replaces() {
        return Known::GivesWay(known.task);
    }
    let same = known.body_hash == asked.body_hash || asked.mode.takes_any_body();
    Known::Answer(if same {
        Submitted::Existing(known.task)
    } else {
        Submitted::Conflict(known.task)
    })
}

impl User {
    /// Counts a task and its bytes by its state, and by its queue where it waits or runs.
    fn count(&mut self, control: &TaskControl) {
        self.counts[control.place.state() as usize] += 1;
        self.bytes += control.held_bytes();
        let Some(counts) = self.counts_of(&control.place) else { return };
        match counts.get_mut(&control.queue) {
            Some(count) => *count += 1,
            None => {
                counts.insert(control.queue.clone(), 1);
            }
        }
    }

    /// Takes back what was counted.
    fn uncount(&mut self, control: &TaskControl) {
        self.counts[control.place.state() as usize] -= 1;
        self.bytes -= control.held_bytes();
        let Some(counts) = self.counts_of(&control.place) else { return };
        let Some(count) = counts.get_mut(&control.queue) else { return };
        *count -= 1;
        if *count == 0 {
            counts.remove(&control.queue);
        }
    }

    /// Takes a task out, and what was counted of it.
    pub(super) fn forget(&mut self, task: TaskId) -> Option<TaskControl> {
        let control = self.tasks.remove(&task)?;
        self.uncount(&control);
        Some(control)
    }

    fn counts_of(&mut self, place: &Place) -> Option<&mut BTreeMap<Name, u32>> {
        match place {
            Place::Running { .. } => Some(&mut self.running),
            place if place.is_to_come() => Some(&mut self.waiting),
            _ => None,
        }
    }
}

/// The end of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// After the user's other tasks.
    Back,
    /// Before them.
    Front,
}
