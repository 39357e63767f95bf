//! Everything of one user, removed.
//!
//! moves: any state -> gone

use super::Partition;
use super::lease_of;
use super::step::Step;
use crate::changes::{Place, Record, Signal};
use crate::ids::{Name, TaskId, UserId};
use crate::limits::ERASE_MAX;
use crate::reply::Controlled;
use crate::settings::{Pauses, UserSettings};

impl Partition {
    /// Removes tasks of a user, the oldest first; with the last of them all else.
    pub(super) fn erase(&mut self, step: &mut Step, user: &UserId) -> Controlled {
        let mut tasks: Vec<TaskId> = self
            .users
            .get(user)
            .map(|known| known.tasks.keys().copied().collect())
            .unwrap_or_default();
        tasks.sort_unstable();
        let is_last = tasks.len() <= ERASE_MAX;
        for task in tasks.into_iter().take(ERASE_MAX) {
            self.erase_task(step, user, task);
        }
        if !is_last {
            self.make_room(step);
            self.wake_for_room(step);
            return Controlled::Changed;
        }
        self.erase_rest(step, user);
        self.wake_for_room(step);
        Controlled::Done
    }

    /// A holder is told to stop: what it reports is refused from now on.
    fn erase_task(&mut self, step: &mut Step, user: &UserId, task: TaskId) {
        self.leave_line(step, user, task);
        let Some(control) = self.user(user).forget(task) else { return };
        match &control.place {
            Place::Scheduled { due_ms } => {
                self.due.remove(&(*due_ms, user.clone(), task));
            }
            Place::Running { deadline_lt, .. } => {
                self.leases.remove(&(*deadline_lt, user.clone(), task));
                let lease = lease_of(user, task, &control).expect("it is running");
                step.signal(Signal::Cancel { lease });
                self.leaves(step, &control.queue, user);
                self.put_right(&control.queue, user, task, self.lease_time(step.now_ms));
            }
            // Its entry in the lane, or in the list to sweep, names a task that is gone.
            Place::Waiting { .. } | Place::Queued { .. } | Place::Ended { .. } => {}
        }
        if let Some(expiry) = &control.expires {
            self.unstarted.remove(&(expiry.at_ms, user.clone(), task));
        }
        self.drop_links(step, user, task);
        step.record(Record::TaskGone { user: user.clone(), task });
    }

    fn erase_rest(&mut self, step: &mut Step, user: &UserId) {
        if let Some(known) = self.users.remove(user) {
            if known.bytes_max.is_some() {
                step.record(Record::BytesMax { user: user.clone(), bytes_max: None });
            }
            for (name, schedule) in known.schedules {
                if let Some(next_ms) = schedule.next_ms {
                    self.ticks.remove(&(next_ms, user.clone(), name.clone()));
                }
                step.record(Record::Schedule { user: user.clone(), name, schedule: None });
            }
            for (key, owner) in known.keys {
                self.expiring.remove(&(owner.expires_ms, user.clone(), key.clone()));
                step.record(Record::KeyGone { user: user.clone(), key });
            }
        }
        let mut set: Vec<Name> = Vec::new();
        for (name, queue) in &mut self.queues {
            queue.ring.retain(|of| of != user);
            queue.full.remove(user);
            queue.credit.remove(user);
            queue.times.forget(user);
            queue.full_us.remove(user);
            if queue.users.contains_key(user) {
                queue.set_user(user.clone(), UserSettings::default());
                set.push(name.clone());
            }
        }
        for queue in set {
            let settings = UserSettings::default();
            step.record(Record::User { queue, user: user.clone(), settings });
        }
        self.throttled.retain(|(_, who), _| who != user);
        self.good.retain(|(_, _, who)| who != user);
        if self.paused.remove(user).is_some() {
            step.record(Record::Pause { user: user.clone(), pauses: Pauses::default() });
        }
        self.leads.retain(|lead| lead.user != *user);
        for list in self.sweeps.values_mut() {
            list.retain(|ended| ended.user != *user);
        }
        self.sweeps.retain(|_, list| !list.is_empty());
        step.record(Record::UserGone { user: user.clone() });
    }
}
