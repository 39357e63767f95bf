//! pick: whose turn it is, and how many tasks of theirs. Knows lanes and turns, not what becomes of
//! what it takes.
//!
//! Weighted deficit round robin over the ring: with `need` tasks wanted and Σw the weights of the
//! lanes looked at, a turn is `weight · max(1, ⌊need / Σw⌋)` tasks. A turn cut short keeps the rest
//! as credit and the lane stays in front; a served lane goes to the back.

use super::{Entry, Partition};
use crate::ids::{Name, UserId};

impl Partition {
    /// Takes up to `need` entries from the lanes whose turn it is. Entries may be dead references.
    pub(super) fn pick(&mut self, name: &Name, need: u32) -> Vec<(UserId, Entry)> {
        let mut picked = Vec::new();
        let Some(queue) = self.queues.get_mut(name) else { return picked };
        if need == 0 {
            return picked;
        }
        let turns = queue.ring.len().min(need as usize);
        let users: Vec<UserId> = queue.ring.drain(..turns).collect();
        let weighted = queue.is_weighted();
        let weights: Vec<u32> = users.iter().map(|user| queue.weight(user)).collect();
        let turn = (need / weights.iter().sum::<u32>().max(1)).max(1);

        let (mut front, mut back) = (Vec::new(), Vec::new());
        for (user, weight) in users.into_iter().zip(weights) {
            let left = need - u32::try_from(picked.len()).unwrap_or(need);
            if left == 0 {
                front.push(user);
                continue;
            }
            let credit = queue.credit.remove(&user).unwrap_or(weight * turn);
            let lanes = &mut self.users.get_mut(&user).expect("the ring names known users").lanes;
            let lane = lanes.get_mut(name).expect("the ring names lanes that are not empty");
            let take = credit.min(left).min(u32::try_from(lane.len()).unwrap_or(u32::MAX));
            picked.extend(lane.drain(..take as usize).map(|entry| (user.clone(), entry)));
            if lane.is_empty() {
                lanes.remove(name);
            } else if weighted && credit > take {
                queue.credit.insert(user.clone(), credit - take);
                front.push(user);
            } else {
                back.push(user);
            }
        }
        for user in front.into_iter().rev() {
            queue.ring.push_front(user);
        }
        queue.ring.extend(back);
        picked
    }
}
