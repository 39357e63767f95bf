//! Turns by run time: what a user is charged when a task starts, what is put right when it ends, and
//! who may start next. Knows neither lanes nor tasks, and no clock.
//!
//! Every queue has a time of its own, in which all its users get on alike: µs of run time by weight.
//! A user is *due* when what they were charged has passed; whoever is due may start, and is charged
//! what their tasks have taken lately. Where nobody is due, the time of the queue goes on to the first
//! who is: so nobody is idle while somebody has work, and all debts are paid off at once.

/// What a turn is taken to be where nothing has run yet, ms.
pub const TURN_MS_DEFAULT: i64 = 1_000;
/// Nobody is in debt, or ahead, for more than so many turns.
pub const DEBT_TURNS_MAX: i64 = 64;
/// Of how many ends the mean run time is about the mean.
pub const MEAN_OF: i64 = 8;

/// The time of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    /// How far it is, µs.
    pub at_us: i64,
    /// What one turn is, ms: what a task took lately, over the users who were looked at.
    pub turn_ms: i64,
}

impl Default for Meter {
    fn default() -> Self {
        Self { at_us: 0, turn_ms: TURN_MS_DEFAULT }
    }
}

/// What is known of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// When they are due, in the time of the queue, µs.
    pub due_us: i64,
    /// What their tasks took lately, ms; 0 where none has ended.
    pub mean_ms: i64,
    /// Nothing of theirs waited, or might start, when they were looked at last: what others got
    /// meanwhile is not owed to them.
    pub is_away: bool,
}

impl Default for Share {
    fn default() -> Self {
        Self { due_us: 0, mean_ms: 0, is_away: true }
    }
}

/// What was charged for a task that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charged {
    /// When it started, lease time, ms.
    pub since_lt: i64,
    /// Run time that was charged, ms.
    pub ms: i64,
    /// Of what weight its user was.
    pub weight: u32,
}

/// One who has something that may start.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// What is known of them.
    pub share: Share,
    /// Their weight, 1 or more.
    pub weight: u32,
    /// How many of theirs may start, 1 or more.
    pub room: u32,
}

impl Share {
    /// They have something that may start, and had before or not.
    pub fn comes(&mut self, meter: &Meter) {
        if std::mem::take(&mut self.is_away) {
            self.due_us = self.due_us.max(meter.at_us);
        }
        self.due_us = self.due_us.max(meter.at_us - meter.most_us());
    }

    /// What the next task is taken to take, ms.
    fn task_ms(&self, meter: &Meter) -> i64 {
        if self.mean_ms > 0 { self.mean_ms } else { meter.turn_ms }
    }

    /// A task starts.
    pub fn start(&mut self, meter: &Meter, weight: u32, lt_ms: i64) -> Charged {
        let ms = self.task_ms(meter);
        self.due_us = meter.capped(self.due_us.saturating_add(weighed(ms, weight).max(1)));
        Charged { since_lt: lt_ms, ms, weight }
    }

    /// A task is over, however.
    pub fn end(&mut self, meter: &Meter, charged: Charged, lt_ms: i64) {
        let ran_ms = lt_ms.saturating_sub(charged.since_lt).max(1);
        let more_us = weighed(ran_ms.saturating_sub(charged.ms), charged.weight);
        self.due_us = meter.capped(self.due_us.saturating_add(more_us));
        self.mean_ms = match self.mean_ms {
            0 => ran_ms,
            mean_ms => (mean_ms.saturating_mul(MEAN_OF - 1).saturating_add(ran_ms)) / MEAN_OF,
        };
    }
}

impl Candidate {
    fn task_us(&self, meter: &Meter) -> i64 {
        weighed(self.share.task_ms(meter), self.weight).max(1)
    }

    /// How many of theirs start until they are in debt at `at_us`, no more than `most`.
    fn starts(&self, meter: &Meter, at_us: i64, most: u32) -> u32 {
        if self.share.due_us > at_us {
            return 0;
        }
        let tasks = (at_us - self.share.due_us) / self.task_us(meter) + 1;
        u32::try_from(tasks).unwrap_or(u32::MAX).min(self.room).min(most)
    }
}

impl Meter {
    fn most_us(&self) -> i64 {
        DEBT_TURNS_MAX * self.turn_ms.saturating_mul(1_000)
    }

    fn capped(&self, due_us: i64) -> i64 {
        due_us.min(self.at_us + self.most_us())
    }

    /// Whether any of these is due.
    #[must_use]
    pub fn is_any_due(&self, of: &[Candidate]) -> bool {
        of.iter().any(|one| one.share.due_us <= self.at_us)
    }

    /// How many tasks of each may start where `need` are wanted. Where nobody is due time goes on until
    /// as many may start as are wanted, and so it does where these are `all` who have something.
    pub fn plan(&mut self, of: &[Candidate], need: u32, all: bool) -> Vec<u32> {
        let starts = |meter: &Self, at_us: i64| -> Vec<u32> {
            of.iter().map(|one| one.starts(meter, at_us, need)).collect()
        };
        let sum = |counts: &[u32]| counts.iter().map(|count| u64::from(*count)).sum::<u64>();
        let mut counts = starts(self, self.at_us);
        let none_is_due = sum(&counts) == 0;
        if of.is_empty() || !(none_is_due || all && sum(&counts) < u64::from(need)) {
            return counts;
        }
        // What a task takes, as it was known when the plan began.
        let before = *self;
        let total: i64 = of.iter().map(|one| one.share.task_ms(&before)).sum();
        self.turn_ms = (total / i64::try_from(of.len()).unwrap_or(1)).max(1);
        let mut step_us = 0;
        loop {
            // When the next task of anybody may start.
            let next = of.iter().zip(&counts).filter(|(one, count)| **count < one.room.min(need));
            let next = next.map(|(one, count)| {
                let more_us = one.task_us(&before).saturating_mul(i64::from(*count));
                one.share.due_us.saturating_add(more_us)
            });
            let Some(first_us) = next.min() else { return counts };
            self.at_us = first_us.max(self.at_us.saturating_add(step_us));
            counts = starts(&before, self.at_us);
            if sum(&counts) >= u64::from(need) {
                return counts;
            }
            step_us = self.turn_ms * 1_000;
        }
    }
}

/// Run time by weight, µs.
fn weighed(ms: i64, weight: u32) -> i64 {
    ms.saturating_mul(1_000).div_euclid(i64::from(weight.max(1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Users who always have something that may start, one place for a task, and what each took.
    fn shares_of(users: &[(u32, i64)], ms_in_all: i64) -> Vec<i64> {
        let (mut meter, mut lt_ms) = (Meter::default(), 0);
        let mut of: Vec<Candidate> = users
            .iter()
            .map(|(weight, _)| Candidate { share: Share::default(), weight: *weight, room: 99 })
            .collect();
        let mut took = vec![0; users.len()];
        while lt_ms < ms_in_all {
            for one in &mut of {
                one.share.comes(&meter);
            }
            let counts = meter.plan(&of, 1, true);
            let at = counts.iter().position(|count| *count > 0).expect("somebody starts");
            let charged = of[at].share.start(&meter, users[at].0, lt_ms);
            lt_ms += users[at].1;
            of[at].share.end(&meter, charged, lt_ms);
            took[at] += users[at].1;
        }
        took
    }

    #[test]
    fn long_tasks_get_no_more_time_than_short_ones_and_weights_hold() {
        let took = shares_of(&[(1, 60_000), (1, 1_000)], 36_000_000);
        assert!((17_500_000..18_500_000).contains(&took[0]), "{took:?}");
        let took = shares_of(&[(1, 10_000), (3, 1_000), (1, 300)], 10_000_000);
        for (got, part) in took.iter().zip([2, 6, 2]) {
            assert!((got - part * 1_000_000).abs() < 100_000, "{took:?}");
        }
    }

    #[test]
    fn who_was_away_is_owed_nothing_and_debts_end() {
        let meter = Meter { at_us: 900_000_000, turn_ms: 1_000 };
        let mut share = Share { due_us: 5, mean_ms: 100, is_away: true };
        share.comes(&meter);
        assert_eq!((share.due_us, share.is_away), (meter.at_us, false));
        let charged = share.start(&meter, 1, 0);
        assert_eq!((charged.ms, share.due_us), (100, meter.at_us + 100_000));
        share.end(&meter, charged, 3_600_000);
        assert_eq!(share.due_us, meter.at_us + 64_000_000, "an hour is more than 64 turns");
        let mut share = Share { due_us: 5, mean_ms: 100, is_away: false };
        share.comes(&meter);
        assert_eq!(share.due_us, meter.at_us - 64_000_000);
    }

    proptest! {
        /// As many start as are wanted, if there are as many, and never above somebody's room; time
        /// never goes back, and never where somebody else may be due.
        #[test]
        fn a_plan_leaves_no_place_idle_and_keeps_within_rooms(
            at_us in 0_i64..1_000_000, turn_ms in 1_i64..5_000, need in 1_u32..40, all: bool,
            of in prop::collection::vec((0_i64..2_000_000, 0_i64..9_000, 1_u32..20, 1_u32..9), 1..20),
        ) {
            let before = Meter { at_us, turn_ms };
            let of: Vec<Candidate> = of.into_iter().map(|(due_us, mean_ms, weight, room)| {
                Candidate { share: Share { due_us, mean_ms, is_away: false }, weight, room }
            }).collect();
            let mut meter = before;
            let counts = meter.plan(&of, need, all);
            let started: u32 = counts.iter().sum();
            let rooms: u32 = of.iter().map(|one| one.room.min(need)).sum();
            prop_assert!(counts.iter().zip(&of).all(|(count, one)| *count <= one.room));
            prop_assert!(meter.at_us >= before.at_us && meter.turn_ms >= 1);
            if all || !before.is_any_due(&of) {
                prop_assert!(started >= need.min(rooms));
            } else {
                prop_assert!(started >= 1);
                prop_assert_eq!(meter, before);
            }
            let late = of.iter().zip(&counts).filter(|(one, _)| one.share.due_us > meter.at_us);
            prop_assert!(late.map(|(_, count)| count).sum::<u32>() == 0, "nobody in debt starts");
        }

        /// What is charged in all is what was run in all, whatever was expected.
        #[test]
        fn what_is_charged_is_put_right_by_what_was_run(ran in prop::collection::vec(1_i64..9_000, 1..50)) {
            let meter = Meter { at_us: 0, turn_ms: 1_000_000 };
            let (mut share, mut held) = (Share::default(), Vec::new());
            share.comes(&meter);
            for ran_ms in &ran {
                held.push((share.start(&meter, 1, 7), *ran_ms));
                if held.len() > 3 {
                    let (charged, ran_ms) = held.remove(0);
                    share.end(&meter, charged, 7 + ran_ms);
                }
            }
            for (charged, ran_ms) in held {
                share.end(&meter, charged, 7 + ran_ms);
            }
            prop_assert_eq!(share.due_us, ran.iter().sum::<i64>() * 1_000);
        }
    }
}
