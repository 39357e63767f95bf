//! A user's part of one queue: what waits there, by priority. Knows no turns of users, and of a task
//! only how it is referred to.

use std::collections::VecDeque;

use super::Entry;
use super::submit::End;
use crate::limits::LOW_TURN;
use crate::priority::Priority;

/// One list per priority, in the order in which they are taken.
#[derive(Debug, Default)]
pub(super) struct Lane {
    lists: [VecDeque<Entry>; Priority::ALL.len()],
    /// Turns in a row in which low tasks waited and none was taken. Not kept over a restart.
    passed: u32,
}

impl Lane {
    pub(super) fn len(&self) -> usize {
        self.lists.iter().map(VecDeque::len).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lists.iter().all(VecDeque::is_empty)
    }

    /// What waits with one priority, in its order.
    pub(super) fn of(&self, priority: Priority) -> &VecDeque<Entry> {
        &self.lists[priority as usize]
    }

    /// All of it, in the order in which it is taken.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.lists.iter().flatten()
    }

    /// What waits with this priority or a higher one, in the order in which it is taken.
    pub(super) fn down_to(&self, priority: Priority) -> impl Iterator<Item = &Entry> {
        self.lists[..=priority as usize].iter().flatten()
    }

    pub(super) fn push(&mut self, priority: Priority, end: End, entry: Entry) {
        let list = &mut self.lists[priority as usize];
        match end {
            End::Back => list.push_back(entry),
            End::Front => list.push_front(entry),
        }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        for list in &mut self.lists {
            list.retain(&keep);
        }
    }

    /// The first `count` entries, as one turn: the low ones first where they have been passed over
    /// for so long.
    pub(super) fn take(&mut self, count: usize) -> Vec<Entry> {
        let mut order = Priority::ALL;
        if self.passed + 1 >= LOW_TURN {
            order.rotate_right(1);
        }
        let low = self.of(Priority::Low).len();
        let mut taken = Vec::with_capacity(count);
        for priority in order {
            let list = &mut self.lists[priority as usize];
            let some = list.len().min(count - taken.len());
            taken.extend(list.drain(..some));
        }
        let left = self.of(Priority::Low).len();
        self.passed = if left == 0 || left < low { 0 } else { self.passed + 1 };
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::TaskId;

    fn entry(number: u64) -> Entry {
        Entry { task: TaskId::new(1, number), claim: 1 }
    }

    #[test]
    fn higher_ones_go_first_and_low_ones_in_one_of_eight_turns() {
        let mut lane = Lane::default();
        for number in 0..20 {
            lane.push(Priority::Low, End::Back, entry(number));
            lane.push(Priority::Normal, End::Back, entry(100 + number));
            lane.push(Priority::High, End::Back, entry(200 + number));
        }
        let taken: Vec<Entry> = (0..26).flat_map(|_| lane.take(1)).collect();
        let low = |at: &usize| taken[*at].task < entry(100).task;
        assert_eq!((0..26).filter(low).collect::<Vec<_>>(), [7, 15, 23]);
        let high = taken.iter().filter(|one| one.task >= entry(200).task).count();
        assert_eq!((high, taken[25]), (20, entry(102)), "normal ones go after all high ones");
    }

    proptest! {
        /// Nothing is lost or taken twice, each list keeps its order, and no low task that is first of
        /// its list waits for more than so many turns.
        #[test]
        fn every_turn_takes_what_it_may_and_low_ones_never_starve(
            steps in prop::collection::vec((0_usize..3, 0_usize..4, any::<bool>()), 1..200),
        ) {
            let (mut lane, mut waiting) = (Lane::default(), [const { VecDeque::new() }; 3]);
            let (mut number, mut passed) = (0, 0);
            for (list, count, puts) in steps {
                if puts {
                    number += 1;
                    waiting[list].push_back(entry(number));
                    lane.push(Priority::ALL[list], End::Back, entry(number));
                    continue;
                }
                let before: usize = waiting.iter().map(VecDeque::len).sum();
                let low = waiting[2].len();
                let taken = lane.take(count.max(1));
                prop_assert_eq!(taken.len(), before.min(count.max(1)));
                for one in taken {
                    let of = waiting.iter_mut().find(|list| list.front() == Some(&one));
                    prop_assert!(of.is_some_and(|list| list.pop_front().is_some()));
                }
                passed = if low > 0 && waiting[2].len() == low { passed + 1 } else { 0 };
                prop_assert!(passed < LOW_TURN);
                prop_assert_eq!(lane.len(), waiting.iter().map(VecDeque::len).sum::<usize>());
            }
        }
    }
}
