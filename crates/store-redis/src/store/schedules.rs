//! Schedules read, by plain reading commands.

use redis::{Pipeline, Value, cmd};
use tasktonic_core::limits::SCHEDULES_DUE_MAX;
use tasktonic_core::partition::KeptSchedule;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Name, UserId};
use tasktonic_store::{DueSchedules, Result};

use super::RedisStore;
use crate::wire::{items, kept_schedule, number, pairs, scheduled, strange, word};

impl RedisStore {
    /// Those of a user, by name; with a name only that one.
    pub(crate) async fn schedules_of(
        &self,
        p: PartitionId,
        user: &UserId,
        name: Option<&Name>,
    ) -> Result<Vec<KeptSchedule>> {
        let key = self.keys(p)?.schedules_of(user);
        let mut asked = Pipeline::new();
        let Some(name) = name else {
            asked.add_command(cmd("HGETALL").arg(key).clone());
            let answers = self.ask(p, &asked).await?;
            let mut found = Vec::new();
            for (name, kept) in pairs(&answers[0])? {
                found.extend(kept_schedule(user, word(name)?, kept)?);
            }
            found.sort_by(|a, b| a.name.cmp(&b.name));
            return Ok(found);
        };
        asked.add_command(cmd("HGET").arg(key).arg(name.as_str()).clone());
        let answers = self.ask(p, &asked).await?;
        Ok(kept_schedule(user, name.as_str(), &answers[0])?.into_iter().collect())
    }

    /// Those that are due by the clock of the server, which is the one that counts.
    pub(super) async fn due_schedules(&self, p: PartitionId) -> Result<DueSchedules> {
        let now_ms = match self.shared.options.script_now_ms() {
            Some(now_ms) => now_ms,
            None => self.server_now_ms(p).await?,
        };
        let mut asked = Pipeline::new();
        let mut range = cmd("ZRANGE");
        range.arg(self.keys(p)?.schedules()).arg("-inf").arg(now_ms).arg("BYSCORE");
        range.arg("LIMIT").arg(0).arg(SCHEDULES_DUE_MAX);
        asked.add_command(range);
        let answers = self.ask(p, &asked).await?;
        let mut listed = Vec::new();
        for member in items(&answers[0])? {
            listed.extend(scheduled(word(member)?));
        }
        let mut asked = Pipeline::new();
        for (user, name) in &listed {
            let key = self.keys(p)?.schedules_of(user);
            asked.add_command(cmd("HGET").arg(key).arg(name.as_str()).clone());
        }
        let mut schedules = Vec::new();
        for ((user, name), kept) in listed.iter().zip(self.ask(p, &asked).await?) {
            // One that went on or away since is due no more.
            let found = kept_schedule(user, name.as_str(), &kept)?;
            let is_due = |of: &KeptSchedule| of.schedule.next_ms.is_some_and(|at| at <= now_ms);
            schedules.extend(found.filter(is_due));
        }
        schedules.sort_by(|a, b| {
            (a.schedule.next_ms, &a.user, &a.name).cmp(&(b.schedule.next_ms, &b.user, &b.name))
        });
        Ok(DueSchedules { now_ms, schedules })
    }

    async fn server_now_ms(&self, p: PartitionId) -> Result<i64> {
        let mut asked = Pipeline::new();
        asked.add_command(cmd("TIME"));
        let answers = self.ask(p, &asked).await?;
        let [seconds, micros] = items(&answers[0])? else { return Err(strange()) };
        let part = |value: &Value| number::<i64>(value);
        Ok(part(seconds)? * 1_000 + part(micros)? / 1_000)
    }
}
