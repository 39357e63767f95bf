//! What is kept of a key of submissions, as the fragment `key` spells it.

use std::fmt;

use tasktonic_core::TaskId;

/// What a key stands for: `task|hash|expires|queue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeptKey<'a> {
    /// The task that has it.
    pub(crate) task: TaskId,
    /// Of what was submitted under it.
    pub(crate) body_hash: u128,
    /// Until when it counts, wall clock, ms.
    pub(crate) expires_ms: i64,
    /// The task's queue; empty where the key was read in without its task.
    pub(crate) queue: &'a str,
}

impl<'a> KeptKey<'a> {
    /// What a text says; nothing if it is none of ours. Further parts may follow.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        let mut parts = text.split('|');
        let task = parts.next()?.parse().ok()?;
        let body_hash = u128::from_str_radix(parts.next()?, 16).ok()?;
        let expires_ms = parts.next()?.parse().ok()?;
        Some(Self { task, body_hash, expires_ms, queue: parts.next().unwrap_or_default() })
    }
}

impl fmt::Display for KeptKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, body_hash, expires_ms, queue } = self;
        write!(f, "{task}|{body_hash:032x}|{expires_ms}|{queue}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_key_reads_as_it_is_written() {
        let (task, body_hash, expires_ms) = (TaskId::new(7, 9), 11, -3);
        for queue in ["mail", ""] {
            let kept = KeptKey { task, body_hash, expires_ms, queue };
            let text = kept.to_string();
            assert_eq!(KeptKey::of(&text), Some(kept));
            assert_eq!(KeptKey::of(&format!("{text}|more")), Some(kept));
        }
        assert_eq!(KeptKey::of("broken"), None);
    }
}
