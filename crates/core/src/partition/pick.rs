//! pick: whose turn it is, and how many tasks of theirs. Knows lanes and turns, not what becomes of
//! what it takes.
//!
//! Weighted deficit round robin over the ring: with `need` tasks wanted and Σw the weights of the
//! lanes looked at, a turn is `weight · max(1, ⌊need / Σw⌋)` tasks. A turn cut short keeps the rest
//! as credit and the lane stays in front; a served lane goes to the back, and so does one that may
//! start no more. A lane that may not be served is set aside, out of the ring, until what is in its
//! way is gone: it costs one look.
//!
//! Where turns are by run time, `times` picks.

use super::{Entry, Partition};
use crate::gate::{Facts, Gate, Paused, gate, room};
use crate::ids::{Name, UserId};
use crate::settings::rate;

/// What a pick came to.
pub(super) struct Picked {
    /// Lane entries, each with its user.
    pub(super) entries: Vec<(UserId, Entry)>,
    /// Lanes that were set aside.
    pub(super) aside: u32,
}

impl Partition {
    /// What decides about a user's tasks in a queue, but for their turn.
    #[must_use]
    pub fn facts(&self, name: &Name, user: &UserId, now_ms: i64) -> Facts {
        self.facts_at(name, user, self.lease_time(now_ms))
    }

    /// The same at a lease time.
    pub(super) fn facts_at(&self, name: &Name, user: &UserId, lt_ms: i64) -> Facts {
        let all_work = self.pauses(user);
        let Some(queue) = self.queues.get(name) else {
            return Facts { all_work, ..Facts::default() };
        };
        let (settings, of_user) = (queue.settings, queue.user(user));
        let is_paced = rate(&settings, &of_user).is_some();
        let full_us = queue.full_us.get(user).copied().unwrap_or(0);
        Facts {
            queue: settings,
            user: of_user,
            all_work,
            running: if queue.is_counted() { self.running(name, user) } else { 0 },
            total: queue.total(),
            starts_in_ms: queue.starts_in_ms(lt_ms),
            ..Facts::paced(is_paced, full_us, lt_ms)
        }
    }

    /// Takes up to `need` entries from the lanes whose turn it is. Entries may be dead references.
    /// Nothing where there are no turns.
    pub(super) fn pick(&mut self, name: &Name, need: u32, lt_ms: i64) -> Option<Picked> {
        let queue = self.queues.get_mut(name).filter(|queue| need > 0 && queue.has_turns(lt_ms))?;
        let need = need.min(queue.room(lt_ms));
        if queue.is_timed() {
            return Some(self.pick_by_time(name, need, lt_ms));
        }
        let turns = queue.ring.len().min(need as usize);
        let users: Vec<UserId> = queue.ring.drain(..turns).collect();
        let (users, rooms, aside) = self.set_aside(name, users, lt_ms);

        let queue = self.queues.get_mut(name).expect("found above");
        let weighted = queue.is_weighted();
        let weights: Vec<u32> = users.iter().map(|user| queue.user(user).weight).collect();
        let turn = (need / weights.iter().sum::<u32>().max(1)).max(1);

        let mut picked = Vec::new();
        let (mut front, mut back) = (Vec::new(), Vec::new());
        for ((user, weight), room) in users.into_iter().zip(weights).zip(rooms) {
            let left = need - u32::try_from(picked.len()).unwrap_or(need);
            if left == 0 {
                front.push(user);
                continue;
            }
            let credit = queue.credit.remove(&user).unwrap_or(weight * turn);
            let lanes = &mut self.users.get_mut(&user).expect("the ring names known users").lanes;
            let lane = lanes.get_mut(name).expect("the ring names lanes that are not empty");
            let length = u32::try_from(lane.len()).unwrap_or(u32::MAX);
            let take = credit.min(left).min(room).min(length);
            let taken = lane.take(take as usize);
            picked.extend(taken.into_iter().map(|entry| (user.clone(), entry)));
            if lane.is_empty() {
                lanes.remove(name);
            } else if weighted && credit > take && room > take {
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
        Some(Picked { entries: picked, aside })
    }

    /// Sets those of the users aside who may not be served. Answers the others, how many tasks of each
    /// may start, and how many users went.
    pub(super) fn set_aside(
        &mut self,
        name: &Name,
        users: Vec<UserId>,
        lt_ms: i64,
    ) -> (Vec<UserId>, Vec<u32>, u32) {
        let (mut open, mut rooms, mut aside) = (Vec::with_capacity(users.len()), Vec::new(), 0);
        for user in users {
            let facts = self.facts_at(name, &user, lt_ms);
            let gate = gate(&facts);
            if gate == Gate::Open {
                open.push(user);
                rooms.push(room(&facts));
                continue;
            }
            aside += 1;
            let queue = self.queues.get_mut(name).expect("it has turns");
            queue.credit.remove(&user);
            queue.times.leave(&user);
            if matches!(gate, Gate::Paused(Paused::Owner | Paused::Operator)) {
                self.user(&user).aside.insert(name.clone());
            } else {
                queue.full.insert(user.clone());
                if let Gate::Rate { good_in_ms } = gate {
                    self.look_again(name, &user, lt_ms, good_in_ms);
                }
            }
        }
        (open, rooms, aside)
    }

    /// Puts a lane that was set aside in `name` into the ring again.
    pub(super) fn let_in(&mut self, name: &Name, user: &UserId, ringed: &mut Vec<Name>) {
        let queue = self.queue(name);
        if queue.full.remove(user) {
            queue.ring.push_back(user.clone());
            ringed.push(name.clone());
        }
    }
}
