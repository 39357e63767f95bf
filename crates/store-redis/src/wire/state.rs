//! The fixed beginning of a stored state. What follows is its holder's and is never looked at.

use tasktonic_core::command::Expiry;
use tasktonic_core::{Priority, TaskState, WorkerId};

/// What the engine wrote at the beginning of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateHead {
    pub(crate) state: TaskState,
    pub(crate) claim: u32,
    /// Writes on that claim.
    pub(crate) n: u32,
    /// Wall clock, ms.
    pub(crate) at_ms: i64,
    pub(crate) attempt: u32,
    /// Of a task that waits and that nobody ever took.
    pub(crate) expires: Option<Expiry>,
    pub(crate) priority: Priority,
    /// Its serial key.
    pub(crate) serial: Option<u128>,
    /// Of a scheduled task: wall clock, ms.
    pub(crate) due_ms: Option<i64>,
    /// Of one that waits for others: for how many ends.
    pub(crate) pending: Option<u32>,
    /// Of a running task: who wrote it, and by which call it took the task.
    pub(crate) holder: Option<(WorkerId, u64)>,
}

impl StateHead {
    /// The beginning of a stored state; that of a task that is queued and untouched if it has
    /// none. Absent when it is not one of ours.
    pub(crate) fn of(text: Option<&str>) -> Option<Self> {
        let Some(text) = text else {
            return Some(Self {
                state: TaskState::Queued,
                claim: 1,
                n: 0,
                at_ms: 0,
                attempt: 1,
                expires: None,
                priority: Priority::Normal,
                serial: None,
                due_ms: None,
                pending: None,
                holder: None,
            });
        };
        let rest = text.strip_prefix(r#"{"s":""#)?;
        let (state, rest) = rest.split_once('"')?;
        let (claim, rest) = digits(rest.strip_prefix(r#","c":"#)?)?;
        let (n, rest) = digits(rest.strip_prefix(r#","n":"#)?)?;
        let (at_ms, rest) = digits(rest.strip_prefix(r#","at":"#)?)?;
        let (expires, rest) = match rest.strip_prefix(r#","exp":"#) {
            Some(rest) => {
                let (at_ms, rest) = digits(rest)?;
                let (keep_s, rest) = digits(rest.strip_prefix(r#","keep":"#)?)?;
                (Some(Expiry { at_ms, keep_s }), rest)
            }
            None => (None, rest),
        };
        let (priority, rest) = match rest.strip_prefix(r#","pr":""#) {
            Some(rest) => {
                let (letter, rest) = rest.split_once('"')?;
                (Priority::of_letter(letter)?, rest)
            }
            None => (Priority::Normal, rest),
        };
        let (serial, rest) = match rest.strip_prefix(r#","sk":""#) {
            Some(rest) => {
                let (key, rest) = rest.split_once('"')?;
                (Some(u128::from_str_radix(key, 16).ok()?), rest)
            }
            None => (None, rest),
        };
        let (attempt, rest) = digits(rest.strip_prefix(r#","a":"#)?)?;
        let state = TaskState::from_name(state)?;
        let (due_ms, pending, holder) = (None, None, None);
        let mut head = Self {
            state,
            claim,
            n,
            at_ms,
            attempt,
            expires,
            priority,
            serial,
            due_ms,
            pending,
            holder,
        };
        match state {
            TaskState::Scheduled => head.due_ms = Some(digits(rest.strip_prefix(r#","due":"#)?)?.0),
            TaskState::Waiting => head.pending = Some(digits(rest.strip_prefix(r#","on":"#)?)?.0),
            TaskState::Running => {
                let (holder, _) = rest.strip_prefix(r#","w":""#)?.split_once('"')?;
                let (worker, call) = holder.split_once('.')?;
                head.holder = Some((worker.parse().ok()?, call.parse().ok()?));
            }
            _ => {}
        }
        Some(head)
    }
}

/// The number a text begins with, and the rest.
fn digits<T: std::str::FromStr>(text: &str) -> Option<(T, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_of_a_state_is_read() {
        let text = r#"{"s":"running","c":3,"n":7,"at":-5,"a":2,"w":"w-1.9","s":"dead","c":8}"#;
        let head = StateHead::of(Some(text)).unwrap();
        assert_eq!((head.state, head.claim, head.n), (TaskState::Running, 3, 7));
        assert_eq!((head.at_ms, head.attempt), (-5, 2));
        assert_eq!(head.holder, Some(("w-1".parse().unwrap(), 9)));
        let text = r#"{"s":"queued","c":1,"n":0,"at":5,"exp":9,"keep":60,"a":1,"exp":7,"keep":8}"#;
        let head = StateHead::of(Some(text)).unwrap();
        assert_eq!(head.expires, Some(Expiry { at_ms: 9, keep_s: 60 }));
        let text = r#"{"s":"queued","c":1,"n":0,"at":5,"a":1,"exp":7,"keep":8}"#;
        assert_eq!(StateHead::of(Some(text)).unwrap().expires, None, "anybody may say so there");
        let text =
            r#"{"s":"queued","c":1,"n":0,"at":5,"exp":9,"keep":60,"sk":"0a","a":1,"sk":"7"}"#;
        let head = StateHead::of(Some(text)).unwrap();
        assert_eq!((head.serial, head.attempt), (Some(10), 1));
        for bad in ["", "{}", r#" {"s":"dead","c":1,"n":1,"at":1,"a":1}"#, r#"{"s":"sold","c":1"#] {
            assert_eq!(StateHead::of(Some(bad)), None, "{bad}");
        }
    }
}
