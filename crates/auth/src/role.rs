//! What kind of caller a token speaks for. Never knows what a role may do: the API decides that.

use std::fmt;
use std::str::FromStr;

/// The kind of caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A person who runs tasks of their own.
    User,
    /// Runs the installation; has tasks of their own, like a user.
    Operator,
    /// An operator whose token also speaks as a worker.
    Admin,
    /// A worker process.
    Worker,
    /// A program with tasks of its own, whose token also speaks as a worker.
    Service,
}

/// A text that is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is user, operator, admin, worker or service")]
pub struct RoleUnknown;

impl Role {
    /// Every role.
    pub const ALL: &'static [Self] =
        &[Self::User, Self::Operator, Self::Admin, Self::Worker, Self::Service];

    /// The word in tokens and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Worker => "worker",
            Self::Service => "service",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = RoleUnknown;

    fn from_str(text: &str) -> Result<Self, RoleUnknown> {
        Self::ALL.iter().copied().find(|role| role.name() == text).ok_or(RoleUnknown)
    }
}

impl serde::Serialize for Role {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Role {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
