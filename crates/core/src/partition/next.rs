//! next: whether it is somebody's turn in a queue of which nothing can be taken now, because its tasks
//! take more places than there are. Takes nothing; knows neither places nor workers.

use super::Partition;
use crate::ids::{Name, UserId};
use crate::limits::TURN_LOOKS;

impl Partition {
    /// Whether somebody in a queue may start a task that waits. Who comes before them in the ring and
    /// may not is set aside, as when tasks are taken; whose lane holds nothing but dead references goes
    /// to the back.
    pub(super) fn is_next(&mut self, name: &Name, looks: &mut u32, lt_ms: i64) -> bool {
        let Some(queue) = self.queues.get(name).filter(|queue| queue.has_turns(lt_ms)) else {
            return false;
        };
        let mut left = u32::try_from(queue.ring.len()).unwrap_or(u32::MAX);
        while left > 0 && *looks > 0 {
            let together = left.min(TURN_LOOKS).min(*looks);
            left -= together;
            *looks -= together;
            let users = self.queue(name).ring.drain(..together as usize).collect();
            let (mut open, ..) = self.set_aside(name, users, lt_ms);
            self.come(name, &open);
            let alive = open.iter().position(|user| self.has_waiting(name, user));
            let front = open.split_off(alive.unwrap_or(open.len()));
            let ring = &mut self.queue(name).ring;
            for user in front.into_iter().rev() {
                ring.push_front(user);
            }
            ring.extend(open);
            if alive.is_some() {
                return true;
            }
        }
        false
    }

    /// Whether a lane holds a task that waits.
    fn has_waiting(&self, name: &Name, user: &UserId) -> bool {
        let Some(of) = self.users.get(user) else { return false };
        let alive = |lane: &super::Lane| {
            lane.entries()
                .any(|entry| of.tasks.get(&entry.task).is_some_and(|one| entry.is_of(one)))
        };
        of.lanes.get(name).is_some_and(alive)
    }
}
