//! Answers about what is set of queues and users, by plain reading commands.

use std::str::FromStr;

use redis::{Pipeline, cmd};
use tasktonic_core::gate::{Facts, Total};
use tasktonic_core::limits::LEASE_TIME_STEP_MS_MAX;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::settings::{Pauses, QueueSettings, UserSettings, rate};
use tasktonic_core::{Name, UserId};
use tasktonic_store::limits::USERS_IN_MAX;
use tasktonic_store::settings::first;
use tasktonic_store::{Result, Turns, UserView, UsersIn};

use super::RedisStore;
use super::permits::{Running, total_field};
use super::starts::{Started, hand_field};
use crate::wire::{items, number, pairs, parsed, strange, text, word};

/// Members read in one round trip.
const SCAN_COUNT: usize = 1_000;

impl RedisStore {
    pub(super) async fn turns(&self, p: PartitionId, queues: &[Name]) -> Result<Vec<Turns>> {
        let keys = self.keys(p)?;
        let mut asked = Pipeline::new();
        for queue in queues {
            asked.llen(keys.ring(queue));
            asked.zcard(keys.full(queue));
            asked.hget(keys.meta(), total_field(queue));
        }
        let answers = self.ask(p, &asked).await?;
        let one = |pair: &[redis::Value]| {
            let running = text(&pair[2])?.map(Running::of).transpose()?;
            Ok(Turns {
                users: number(&pair[0])?,
                held_back: number(&pair[1])?,
                running: running.map(|of| of.running),
            })
        };
        answers.chunks_exact(3).map(one).collect()
    }

    pub(super) async fn user_view(
        &self,
        p: PartitionId,
        user: &UserId,
        queues: &[Name],
    ) -> Result<UserView> {
        let keys = self.keys(p)?;
        let mut asked = Pipeline::new();
        asked.hget(keys.paused(), user.as_str());
        for queue in queues {
            asked.hget(keys.overrides(queue), user.as_str());
        }
        let answers = self.ask(p, &asked).await?;
        let (pauses, settings) = answers.split_first().ok_or_else(strange)?;
        let one = |answer| Ok(text(answer)?.map(parsed).transpose()?.unwrap_or_default());
        Ok(UserView {
            pauses: text(pauses)?.map(parsed).transpose()?.unwrap_or_default(),
            settings: settings.iter().map(one).collect::<Result<Vec<UserSettings>>>()?,
        })
    }

    /// What the scripts decide by, read from where they read it.
    pub(super) async fn facts_of(
        &self,
        p: PartitionId,
        user: &UserId,
        queue: &Name,
    ) -> Result<Facts> {
        let keys = self.keys(p)?;
        let mut asked = Pipeline::new();
        asked.hget(keys.meta(), format!("q:{queue}"));
        asked.hget(keys.overrides(queue), user.as_str());
        asked.hget(keys.paused(), user.as_str());
        asked.hget(keys.running(queue), user.as_str());
        asked.hget(keys.pace(queue), user.as_str());
        asked.hget(keys.meta(), "lt");
        asked.hget(keys.meta(), "mt");
        asked.hget(keys.meta(), total_field(queue));
        asked.hget(keys.meta(), hand_field(queue));
        let answers = self.ask(p, &asked).await?;
        // Before the first comma stands whether anything is set of users.
        let of_queue = text(&answers[0])?.and_then(|field| field.split_once(','));
        let of_queue = of_queue.map(|(_, settings)| parsed(settings)).transpose()?;
        let of_queue: QueueSettings = of_queue.unwrap_or_default();
        let of_user: UserSettings = text(&answers[1])?.map(parsed).transpose()?.unwrap_or_default();
        let number = |at: usize| Ok(text(&answers[at])?.map(parsed).transpose()?.unwrap_or(0_i64));
        let since_ms = self.shared.options.clock.now_ms().saturating_sub(number(6)?);
        let lt_ms = number(5)? + since_ms.clamp(0, LEASE_TIME_STEP_MS_MAX);
        let is_paced = rate(&of_queue, &of_user).is_some();
        let total = match (of_queue.running_total_max, text(&answers[7])?) {
            (Some(limit), Some(of)) => {
                let Running { running, seen } = Running::of(of)?;
                let max = seen.map_or(limit, |seen| seen.allowance.n.min(limit));
                Some(Total { running, max })
            }
            _ => None,
        };
        let starts_in_ms = match (of_queue.rate_total, text(&answers[8])?) {
            (Some(rate), Some(of)) => {
                self.starts_in_ms(queue, rate, Started::of(of)?, lt_ms).await?
            }
            _ => 0,
        };
        Ok(Facts {
            total,
            starts_in_ms,
            queue: of_queue,
            user: of_user,
            all_work: text(&answers[2])?.map(parsed).transpose()?.unwrap_or_default(),
            running: text(&answers[3])?.map(parsed).transpose()?.unwrap_or_default(),
            ..Facts::paced(is_paced, number(4)?, lt_ms)
        })
    }

    pub(super) async fn users_in(
        &self,
        p: PartitionId,
        queue: &Name,
        limit: u32,
    ) -> Result<UsersIn> {
        let (users, more) = self.by_user(p, &self.keys(p)?.overrides(queue), limit).await?;
        Ok(UsersIn { users, more })
    }

    pub(super) async fn paused(
        &self,
        p: PartitionId,
        limit: u32,
    ) -> Result<(Vec<(UserId, Pauses)>, bool)> {
        self.by_user(p, &self.keys(p)?.paused(), limit).await
    }

    /// What a hash says of users. All of them are read, and the first by id are answered: a hash has
    /// no order.
    async fn by_user<T: FromStr>(
        &self,
        p: PartitionId,
        key: &str,
        limit: u32,
    ) -> Result<(Vec<(UserId, T)>, bool)> {
        let mut users: Vec<(UserId, T)> = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let mut asked = Pipeline::new();
            asked.add_command(
                cmd("HSCAN").arg(key).arg(&cursor).arg("COUNT").arg(SCAN_COUNT).clone(),
            );
            let answers = self.ask(p, &asked).await?;
            let [next, found] = items(&answers[0])? else { return Err(strange()) };
            for (user, of) in pairs(found)? {
                users.push((parsed(word(user)?)?, parsed(word(of)?)?));
            }
            // A scan may name somebody twice, and only the first need be kept.
            users.sort_by(|a, b| a.0.cmp(&b.0));
            users.dedup_by(|a, b| a.0 == b.0);
            users.truncate(USERS_IN_MAX as usize + 1);
            cursor = word(next)?.to_owned();
            if cursor == "0" {
                return Ok(first(users, limit));
            }
        }
    }
}
