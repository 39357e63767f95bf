//! How many bytes the tasks of users hold and may hold.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// `GET /api/v1/me/bytes` and `GET /api/v1/users/{id}/bytes`: what the tasks of a user hold and may hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BytesHeld {
    /// What was submitted, and of each task that has ended also what came of it.
    pub bytes: u64,
    /// The most they may hold; null: there is no limit.
    pub bytes_max: Option<u64>,
    /// What of that is set of this user; null: what holds for everybody.
    pub own_max: Option<u64>,
}

/// `GET /api/v1/bytes`: what holds for everybody of whom nothing else is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BytesLimit {
    /// The most that the tasks of one user may hold, in bytes; null: there is no limit.
    pub bytes_max: Option<u64>,
}

/// `POST /api/v1/bytes` and `POST /api/v1/users/{id}/bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BytesChange {
    /// The most that the tasks of one user may hold, in bytes, up to 1 PiB; `null`: no limit, and of one
    /// user what holds for everybody. Nothing is removed when it is lowered, and nothing that runs is
    /// stopped.
    #[serde(deserialize_with = "given")]
    #[schema(required = true)]
    pub bytes_max: Option<u64>,
}

/// A member that must be there, be it `null`.
fn given<'de, D: Deserializer<'de>>(member: D) -> Result<Option<u64>, D::Error> {
    Option::deserialize(member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_what_it_changes_to() {
        let read = |text: &str| serde_json::from_str::<BytesChange>(text);
        assert_eq!(read(r#"{"bytes_max":7}"#).unwrap().bytes_max, Some(7));
        assert_eq!(read(r#"{"bytes_max":null}"#).unwrap().bytes_max, None);
        assert!(read("{}").is_err() && read(r#"{"bytes_max":-1}"#).is_err());
    }
}
