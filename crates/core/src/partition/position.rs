//! Where a task stands in its user's lane. A look; nothing is kept for it and nothing changes. Knows
//! nothing of times.

use super::Partition;
use crate::changes::Place;
use crate::ids::{Name, TaskId, UserId};
use crate::limits::POSITION_MAX;
use crate::priority::Priority;

/// Where a queued task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its queue.
    pub queue: Name,
    /// The claim number under which it waits.
    pub claim: u32,
    /// Tasks of its user that go before it, by priority and then by place; [`POSITION_MAX`] if there
    /// are at least as many. Some of them go after it where it is low and its turn comes.
    pub ahead: u32,
    /// The first of the lane and the claim number it has there. It may have been cancelled.
    pub head: (TaskId, u32),
}

impl Partition {
    /// Where a task stands; nothing if it is not in a lane. Looks at [`POSITION_MAX`] places at
    /// most.
    #[must_use]
    pub fn standing(&self, user: &UserId, task: &TaskId) -> Option<Standing> {
        let known = self.users.get(user)?;
        let control = known.tasks.get(task)?;
        // Who waits for a turn in a line is in no lane.
        let in_lane = matches!(control.place, Place::Queued { .. });
        if !in_lane || Self::must_stand_in_line(control) {
            return None;
        }
        let queue = control.queue.clone();
        let lane = known.lanes.get(&queue)?;
        let looked = || lane.down_to(control.priority).take(POSITION_MAX as usize);
        let at = looked().position(|entry| entry.task == *task && entry.claim == control.claim);
        let ahead = match at {
            Some(at) => {
                let is_live = |entry: &&super::Entry| {
                    known.tasks.get(&entry.task).is_some_and(|task| entry.is_of(task))
                };
                looked().take(at).filter(is_live).count()
            }
            None => POSITION_MAX as usize,
        };
        let head = lane.down_to(Priority::Low).next().map(|entry| (entry.task, entry.claim))?;
        let ahead = u32::try_from(ahead).unwrap_or(POSITION_MAX);
        Some(Standing { queue, claim: control.claim, ahead, head })
    }
}
