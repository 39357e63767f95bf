//! Queues: what is set of them and of users in them.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// `GET /api/v1/queues`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueList {
    /// Queues of kinds, and all others of which anything is set, by name.
    pub queues: Vec<Queue>,
    /// Users all of whose work is paused, by id; the first thousand.
    pub paused_users: Vec<PausedUser>,
    /// Whether there are more of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_paused_users: bool,
}

/// A queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Queue {
    /// Its name.
    pub queue: String,
    /// Kinds whose tasks wait there unless a submission says otherwise, by name.
    pub kinds: Vec<String>,
    /// What holds for everybody there.
    #[serde(flatten)]
    pub settings: QueueSettings,
    /// Users with work there who take turns.
    pub users_waiting: u64,
    /// Users with work there who get no turn because of what is set of them there.
    pub users_held_back: u64,
    /// Tasks that run there, over all users. Only where `running_total_max` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_total: Option<u32>,
}

/// What holds for everybody in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct QueueSettings {
    /// Nothing of it is handed out.
    pub paused: bool,
    /// Waiting tasks of one user, scheduled ones included; absent: the server's own limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_max: Option<u32>,
    /// Tasks of one user that run at once; absent: as many as workers have room for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_max: Option<u32>,
    /// How many tasks of one user start in which time; absent: as many as workers take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Tasks that run at once, over all users; absent: as many as workers have room for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_total_max: Option<u32>,
    /// How many tasks start in which time, over all users; absent: as many as workers take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_total: Option<Rate>,
    /// What users share: turns of so many tasks, or run time; absent for `count`.
    #[serde(skip_serializing_if = "Turns::is_count")]
    pub turns: Turns,
}

/// What a turn of a user is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Turns {
    /// As many tasks as their weight says.
    #[default]
    Count,
    /// As much of the workers' time as their weight says.
    RunTime,
}

impl Turns {
    /// Whether it is as it is unless somebody says otherwise.
    #[must_use]
    pub fn is_count(&self) -> bool {
        *self == Self::Count
    }

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::RunTime => "run_time",
        }
    }
}

impl std::str::FromStr for Turns {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = [Self::Count, Self::RunTime].into_iter().find(|one| one.name() == text);
        found.ok_or_else(|| "`count` or `run_time`".to_owned())
    }
}

/// So many tasks in so long, and so many of them at once after a rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rate {
    /// Tasks in each `per_ms`.
    pub tasks: u32,
    /// How long that is, in ms.
    pub per_ms: u32,
    /// Tasks that start at once when none has for a while.
    pub burst: u32,
}

/// A rate to be set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateChange {
    /// Tasks in each `per_ms`, 1 to 1,000,000.
    pub tasks: u32,
    /// How long that is, in ms, up to a day.
    pub per_ms: u32,
    /// Tasks that start at once when none has for a while, 1 to 1,000,000; absent: as many as `tasks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

/// `GET /api/v1/queues/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueDetail {
    /// The queue.
    #[serde(flatten)]
    pub queue: Queue,
    /// Users of whom anything is set there, by id; the first thousand.
    pub users: Vec<QueueUser>,
    /// Whether there are more of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_users: bool,
}

/// What is set of a user in a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueUser {
    /// The user.
    pub user: String,
    /// Turns for one of the others.
    pub weight: u32,
    /// Nothing of theirs is handed out there.
    pub paused: bool,
    /// How many tasks of theirs may wait there; absent: what holds for everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_max: Option<u32>,
    /// How many tasks of theirs may run there at once; absent: what holds for everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_max: Option<u32>,
    /// How many tasks of theirs start there in which time; absent: what holds for everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// `POST /api/v1/queues/{id}/settings`: what is absent stays, `null` is the default again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueChange {
    /// Whether anything of it is handed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Waiting tasks of one user, scheduled ones included, 0 to 10,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    pub waiting_max: Option<Option<u32>>,
    /// Tasks of one user that run at once, 1 to 100,000. What runs when it is lowered goes on.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    pub running_max: Option<Option<u32>>,
    /// How many tasks of one user start in which time.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<RateChange>)]
    pub rate: Option<Option<RateChange>>,
    /// Tasks that run at once, over all users, 1 to 100,000. What runs when it is lowered goes on.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    pub running_total_max: Option<Option<u32>>,
    /// How many tasks start in which time, over all users.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<RateChange>)]
    pub rate_total: Option<Option<RateChange>>,
    /// What users share there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<Turns>,
}

/// `POST /api/v1/queues/{id}/users`: what is absent stays, `null` is the default again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueUserChange {
    /// The user.
    pub user: String,
    /// Turns for one of the others, 1 to 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Whether anything of theirs is handed out there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// How many tasks of theirs may wait there, 0 to 10,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    pub waiting_max: Option<Option<u32>>,
    /// How many tasks of theirs may run there at once, 1 to 100,000.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    pub running_max: Option<Option<u32>>,
    /// How many tasks of one user start in which time.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<RateChange>)]
    pub rate: Option<Option<RateChange>>,
}

/// `POST /api/v1/me/pause` and `POST /api/v1/users/{id}/pause`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// Whether to hand out nothing of the user's, in whatever queue. What runs goes on. Of one's own
    /// work this is one's own word, of another's the operator's; neither takes back the other's.
    pub paused: bool,
}

/// Whether all work of a user is paused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pause {
    /// Whether it is, by whomever.
    pub paused: bool,
    /// By the user.
    pub by_user: bool,
    /// By whoever runs the installation.
    pub by_operator: bool,
}

/// A user all of whose work is paused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PausedUser {
    /// The user.
    pub user: String,
    /// By the user.
    pub by_user: bool,
    /// By whoever runs the installation.
    pub by_operator: bool,
}

/// A member that is there, be it `null`.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    member: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(member).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_member_is_told_from_null() {
        let read = |text: &str| serde_json::from_str::<QueueChange>(text).unwrap();
        assert_eq!(read("{}"), QueueChange::default());
        assert_eq!(read(r#"{"waiting_max":null}"#).waiting_max, Some(None));
        let change = read(r#"{"paused":true,"waiting_max":7,"running_max":null}"#);
        let (paused, waiting_max) = (Some(true), Some(Some(7)));
        assert_eq!(
            change,
            QueueChange { paused, waiting_max, running_max: Some(None), ..QueueChange::default() }
        );
        assert_eq!(read(&serde_json::to_string(&change).unwrap()), change);
        assert!(serde_json::from_str::<QueueChange>(r#"{"pause":true}"#).is_err());
    }
}
