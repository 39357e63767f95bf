//! What ties tasks of one user together: whom a task waits for, who waits for it, and the flow or
//! batch it is a part of. Knows numbers and ids; what follows from an end, the partition decides.
//!
//! Ties go from a new task to older ones only, so that there is no way around in a circle: a task is
//! accepted after all it waits for, and a part of a flow waits for parts of the same flow alone.

use std::fmt::{self, Write as _};

use crate::ids::TaskId;
use crate::transitions::TaskState;

/// What becomes of a task when one that it waits for ends and has not completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnFailure {
    /// It never runs: it is cancelled, and says why.
    #[default]
    Fail,
    /// It runs as if it had not waited for that one.
    Ignore,
    /// It runs, and is told of the failure.
    Continue,
}

impl OnFailure {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Fail, Self::Ignore, Self::Continue];

    /// The word people use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Ignore => "ignore",
            Self::Continue => "continue",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// The letter it is stored as.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Fail => 'f',
            Self::Ignore => 'i',
            Self::Continue => 'c',
        }
    }
}

/// A task that another one waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Up {
    /// The older task.
    pub task: TaskId,
    /// What follows if it does not complete.
    pub on_failure: OnFailure,
    /// Whether its end has been counted: then the task waits for it no more.
    pub told: bool,
}

/// The flow or batch that a task is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The task that gathers the parts.
    pub of: TaskId,
    /// How this part ended, once that has been counted there.
    pub counted: Option<TaskState>,
}

/// What a flow or a batch has come to. It ends, or runs, once it is sealed and all parts have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gather {
    /// Whether it runs then, as any task does; otherwise it ends with its parts.
    pub runs: bool,
    /// Whether parts may be added after it was sealed, until it ends.
    pub grows: bool,
    /// Whether all parts are there, or enough that their end may be its own.
    pub sealed: bool,
    /// Parts.
    pub total: u32,
    /// Of these, completed.
    pub completed: u32,
    /// Of these, cancelled.
    pub cancelled: u32,
    /// Of these, dead letters.
    pub dead: u32,
}

impl Gather {
    /// Parts that have ended.
    #[must_use]
    pub const fn ended(&self) -> u32 {
        self.completed + self.cancelled + self.dead
    }

    /// What it waits for: parts, and the seal.
    #[must_use]
    pub const fn pending(&self) -> u32 {
        self.total.saturating_sub(self.ended()) + if self.sealed { 0 } else { 1 }
    }

    /// How it ends with its parts.
    #[must_use]
    pub const fn outcome(&self) -> TaskState {
        match self {
            Self { dead: 1.., .. } => TaskState::Dead,
            Self { cancelled: 1.., .. } => TaskState::Cancelled,
            _ => TaskState::Completed,
        }
    }

    /// How far it is, as members of its state.
    #[must_use]
    pub fn body(&self) -> String {
        let (done, total) = (self.ended(), self.total);
        format!(r#""p":{{"done":{done},"total":{total},"unit":"tasks"}}"#)
    }

    pub(crate) fn count(&mut self, state: TaskState, by: i32) {
        let number = match state {
            TaskState::Completed => &mut self.completed,
            TaskState::Cancelled => &mut self.cancelled,
            TaskState::Dead => &mut self.dead,
            _ => return,
        };
        *number = number.saturating_add_signed(by);
    }
}

/// All ties of one task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Links {
    /// What it is a part of.
    pub part: Option<Part>,
    /// Its own parts, where it is a flow or a batch.
    pub gather: Option<Gather>,
    /// Whom it waits for, at most [`LINKS_MAX`](crate::limits::LINKS_MAX).
    pub up: Vec<Up>,
    /// Who waits for it, as many at most.
    pub down: Vec<TaskId>,
}

impl Links {
    /// How many ends the task still waits for.
    #[must_use]
    pub fn pending(&self) -> u32 {
        let up = self.up.iter().filter(|up| !up.told).count();
        let parts = self.gather.map_or(0, |gather| gather.pending());
        u32::try_from(up).unwrap_or(u32::MAX).saturating_add(parts)
    }

    /// Reads what [`Links`] are displayed as.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('|');
        let part = match fields.next()? {
            "" => None,
            text => {
                let (of, letter) = text.split_once('.')?;
                let counted = match letter {
                    "-" => None,
                    other => Some(*ENDS.iter().find(|(_, l)| *l == other)?),
                };
                Some(Part { of: of.parse().ok()?, counted: counted.map(|(state, _)| state) })
            }
        };
        let gather = match fields.next()? {
            "" => None,
            text => {
                let numbers: Vec<u32> =
                    text.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
                let [runs, grows, sealed, total, completed, cancelled, dead] = numbers[..] else {
                    return None;
                };
                let (runs, grows, sealed) = (runs == 1, grows == 1, sealed == 1);
                Some(Gather { runs, grows, sealed, total, completed, cancelled, dead })
            }
        };
        let words = |text: &'_ str| -> Vec<String> {
            text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let up = words(fields.next()?)
            .iter()
            .map(|word| {
                let mut parts = word.split('.');
                let (task, letter) = (parts.next()?.parse().ok()?, parts.next()?);
                let on_failure =
                    OnFailure::ALL.into_iter().find(|one| letter.starts_with(one.letter()))?;
                Some(Up { task, on_failure, told: parts.next()? == "1" })
            })
            .collect::<Option<_>>()?;
        let down =
            words(fields.next()?).iter().map(|word| word.parse().ok()).collect::<Option<_>>()?;
        Some(Self { part, gather, up, down })
    }
}

/// How a part ended, and the letter for it.
const ENDS: [(TaskState, &str); 3] =
    [(TaskState::Completed, "c"), (TaskState::Cancelled, "x"), (TaskState::Dead, "d")];

/// As they are stored: `flow.how it ended|what it gathers|whom it waits for|who waits for it`, for
/// instance `<id>.-||<id>.f.0 <id>.c.1|<id>`.
impl fmt::Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Part { of, counted }) = &self.part {
            let letter = ENDS.iter().find(|(state, _)| Some(*state) == *counted);
            write!(f, "{of}.{}", letter.map_or("-", |(_, letter)| *letter))?;
        }
        f.write_char('|')?;
        if let Some(Gather { runs, grows, sealed, total, completed, cancelled, dead }) =
            &self.gather
        {
            let flag = |is: &bool| u8::from(*is);
            let (runs, grows, sealed) = (flag(runs), flag(grows), flag(sealed));
            write!(f, "{runs},{grows},{sealed},{total},{completed},{cancelled},{dead}")?;
        }
        f.write_char('|')?;
        for (at, Up { task, on_failure, told }) in self.up.iter().enumerate() {
            let space = if at > 0 { " " } else { "" };
            write!(f, "{space}{task}.{}.{}", on_failure.letter(), u8::from(*told))?;
        }
        f.write_char('|')?;
        for (at, task) in self.down.iter().enumerate() {
            let space = if at > 0 { " " } else { "" };
            write!(f, "{space}{task}")?;
        }
        Ok(())
    }
}

/// The members of the state of a task that never runs, because `of` did not complete.
#[must_use]
pub fn upstream(of: TaskId) -> String {
    format!(r#""why":"upstream","of":"{of}""#)
}

/// The members of the state of a part whose flow or batch `of` was cancelled.
#[must_use]
pub fn with_flow(of: TaskId) -> String {
    format!(r#""why":"flow_cancelled","of":"{of}""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_again_from_their_text() {
        let id = |n| TaskId::new(5, n);
        let up = |n, on_failure, told| Up { task: id(n), on_failure, told };
        let all = [
            Links::default(),
            Links { part: Some(Part { of: id(1), counted: None }), ..Links::default() },
            Links {
                part: Some(Part { of: id(1), counted: Some(TaskState::Dead) }),
                up: vec![up(2, OnFailure::Fail, false), up(3, OnFailure::Continue, true)],
                down: vec![id(4), id(5)],
                ..Links::default()
            },
            Links {
                gather: Some(Gather { runs: true, total: 9, dead: 2, ..Gather::default() }),
                up: vec![up(7, OnFailure::Ignore, false)],
                ..Links::default()
            },
        ];
        for links in all {
            assert_eq!(Links::parse(&links.to_string()), Some(links.clone()), "{links}");
        }
        for bad in ["", "|", "x|||", "||no.f.0|", "|1,2|||"] {
            assert_eq!(Links::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_pending_is_ends_not_counted_and_the_seal() {
        let gather = Gather { total: 3, completed: 1, dead: 1, ..Gather::default() };
        assert_eq!((gather.pending(), gather.outcome()), (2, TaskState::Dead));
        let gather = Gather { sealed: true, completed: 3, dead: 0, ..gather };
        assert_eq!((gather.pending(), gather.outcome()), (0, TaskState::Completed));
        for one in OnFailure::ALL {
            assert_eq!(OnFailure::from_name(one.name()), Some(one));
        }
    }
}
