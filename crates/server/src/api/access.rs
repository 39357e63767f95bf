//! Who may do what: one table of roles and scopes. Whose task or file it is, is no question here:
//! every access names its user.

use tasktonic_auth::Role;
use tasktonic_protocol::problem::Code;

use crate::door::Caller;
use crate::problem::Refusal;

/// What a route needs its caller to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Look at tasks, kinds and workers.
    ReadTasks,
    /// Submit tasks.
    SubmitTasks,
    /// Cancel tasks and send them back.
    ChangeTasks,
    /// Read files.
    ReadFiles,
    /// Store files.
    WriteFiles,
    /// Look at queues, and at what is set of them and of users.
    ReadLimits,
    /// Set something of queues and users.
    ChangeLimits,
    /// Have all that is kept of oneself erased.
    EraseOwn,
    /// Have all that is kept of any user erased.
    EraseUsers,
    /// Speak as a worker.
    Work,
}

impl Need {
    /// The scope that allows it, in a token that has scopes.
    const fn scope(self) -> &'static str {
        match self {
            Self::ReadTasks => "tasks:read",
            Self::SubmitTasks => "tasks:submit",
            Self::ChangeTasks => "tasks:change",
            Self::ReadFiles => "files:read",
            Self::WriteFiles => "files:write",
            Self::ReadLimits => "limits:read",
            Self::ChangeLimits => "limits:change",
            Self::EraseOwn => "me:erase",
            Self::EraseUsers => "users:erase",
            Self::Work => "work",
        }
    }

    /// Whether the role allows it. A worker has no tasks of its own: it reaches what it holds a
    /// lease on and nothing else.
    const fn allowed_to(self, role: Role) -> bool {
        match self {
            Self::EraseUsers => matches!(role, Role::Admin),
            Self::Work => matches!(role, Role::Worker | Role::Service | Role::Admin),
            Self::ReadLimits | Self::ChangeLimits => {
                matches!(role, Role::Operator | Role::Admin)
            }
            _ => !matches!(role, Role::Worker),
        }
    }
}

/// Whether the caller may do one of what `needs` says; a refusal speaks of the first.
pub(super) fn check_any(caller: &Caller, needs: &[Need]) -> Result<(), Refusal> {
    if needs.iter().any(|need| check(caller, *need).is_ok()) {
        return Ok(());
    }
    needs.first().map_or(Ok(()), |need| check(caller, *need))
}

/// Whether the caller may do what `need` says.
pub(crate) fn check(caller: &Caller, need: Need) -> Result<(), Refusal> {
    let claims = &caller.0;
    let scoped = claims.scopes.is_empty() || claims.scopes.iter().any(|s| s == need.scope());
    if need.allowed_to(claims.role) && scoped {
        return Ok(());
    }
    let role = claims.role;
    let detail = if scoped {
        format!("The role `{role}` does not allow this. Sign in as somebody who may.")
    } else {
        format!("The token lacks the scope `{}`. Ask for one that has it.", need.scope())
    };
    Err(Refusal::new(Code::Forbidden, detail))
}
