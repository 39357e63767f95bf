//! Schedules: kept, changed by who has seen the last version, taken on tick by tick.
//!
//! moves: nothing -> queued, nothing -> scheduled, by accepting a tick's task

use super::step::Step;
use super::{KeptSchedule, Partition};
use crate::changes::Record;
use crate::ids::{Name, UserId};
use crate::limits::SCHEDULES_MAX;
use crate::reply::{Controlled, Submitted};
use crate::schedule::{Schedule, Tick};

impl Partition {
    pub(super) fn schedule(
        &mut self,
        step: &mut Step,
        user: UserId,
        name: Name,
        seen: Option<u64>,
        becomes: Option<Schedule>,
    ) -> Controlled {
        let schedules = &self.user(&user).schedules;
        let known = schedules.get(&name).map(|known| known.version);
        match (known, seen) {
            (Some(known), Some(seen)) if known == seen => {}
            (Some(_), _) => return Controlled::Changed,
            (None, Some(_)) => return Controlled::Absent,
            (None, None) if becomes.is_none() => return Controlled::Absent,
            (None, None) if schedules.len() >= SCHEDULES_MAX => return Controlled::Full,
            (None, None) => {}
        }
        self.keep_schedule(&user, name.clone(), becomes.clone());
        step.record(Record::Schedule { user, name, schedule: becomes });
        Controlled::Done
    }

    pub(super) fn tick(&mut self, step: &mut Step, tick: Tick) -> Controlled {
        let Tick { created_ms, user, name, seen, becomes, task } = tick;
        match self.user(&user).schedules.get(&name) {
            None => return Controlled::Absent,
            Some(known) if known.version != seen => return Controlled::Changed,
            Some(_) => {}
        }
        if let Some(new) = task {
            let mut ringed = Vec::new();
            let verdict = self.accept(step, created_ms, new, &mut ringed);
            if matches!(verdict, Submitted::LaneFull | Submitted::BytesFull) {
                return Controlled::Full;
            }
            self.wake_for(step, ringed);
        }
        self.keep_schedule(&user, name.clone(), Some(becomes.clone()));
        step.record(Record::Schedule { user, name, schedule: Some(becomes) });
        Controlled::Done
    }

    /// Replaces or removes a schedule, and keeps the list of ticks.
    pub(super) fn keep_schedule(&mut self, user: &UserId, name: Name, to: Option<Schedule>) {
        let next = |of: &Schedule| of.next_ms;
        let now = to.as_ref().and_then(next);
        let schedules = &mut self.user(user).schedules;
        let before = match to {
            Some(schedule) => schedules.insert(name.clone(), schedule),
            None => schedules.remove(&name),
        };
        if let Some(then) = before.as_ref().and_then(next) {
            self.ticks.remove(&(then, user.clone(), name.clone()));
        }
        if let Some(now) = now {
            self.ticks.insert((now, user.clone(), name));
        }
    }

    /// When the next schedule comes, in ms from `now_ms`; 0 if one is due.
    #[must_use]
    pub fn schedule_in_ms(&self, now_ms: i64) -> Option<u64> {
        let (at_ms, ..) = self.ticks.first()?;
        Some(at_ms.saturating_sub(now_ms).max(0).unsigned_abs())
    }

    /// Schedules whose tick has come, the longest due first.
    pub fn due_schedules(&self, now_ms: i64) -> impl Iterator<Item = KeptSchedule> {
        let due = self.ticks.iter().take_while(move |(at_ms, ..)| *at_ms <= now_ms);
        due.filter_map(|(_, user, name)| {
            let schedule = self.users.get(user)?.schedules.get(name)?.clone();
            Some(KeptSchedule { user: user.clone(), name: name.clone(), schedule })
        })
    }

    /// Schedules of a user by name.
    pub fn schedules_of(&self, user: &UserId) -> impl Iterator<Item = (&Name, &Schedule)> {
        self.users.get(user).into_iter().flat_map(|known| &known.schedules)
    }

    /// The schedules of all users, in no order.
    #[must_use]
    pub fn kept_schedules(&self) -> Vec<KeptSchedule> {
        let mut kept = Vec::new();
        for (user, known) in &self.users {
            for (name, schedule) in &known.schedules {
                let (user, name, schedule) = (user.clone(), name.clone(), schedule.clone());
                kept.push(KeptSchedule { user, name, schedule });
            }
        }
        kept
    }
}
