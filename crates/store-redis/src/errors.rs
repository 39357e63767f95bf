//! What an error reply of Redis means for the call that met it: the one table of them.

use redis::{ServerError, Value};

/// What to do about an error reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Another node has the slot, or this one is no master any more: look where it is, send again.
    Moved,
    /// The slot is being moved: never follow, wait a moment, send again.
    Later,
    /// The node or the cluster cannot serve for now: wait longer, send again, and say so.
    Stalled,
    /// As [`Verdict::Stalled`], by a script or command that does not end.
    Busy,
    /// The script or function is not loaded: load it, send again.
    NoScript,
    /// Above the memory limit.
    Full,
    /// It cannot write to its disk.
    DiskFull,
    /// Settings or rights are wrong: tell people, never try again.
    Misconfigured,
    /// It may have been carried out.
    Unknown,
    /// Said by a script of ours, or a fault of ours.
    Other,
}

/// The meaning of `error`. Every reply but those of [`Verdict::Unknown`] and [`Verdict::Other`]
/// says that nothing was done.
pub(crate) fn verdict(error: &ServerError) -> Verdict {
    match error.code() {
        "MOVED" | "READONLY" | "MASTERDOWN" => Verdict::Moved,
        "ASK" | "TRYAGAIN" => Verdict::Later,
        "LOADING" | "CLUSTERDOWN" | "NOREPLICAS" => Verdict::Stalled,
        "BUSY" => Verdict::Busy,
        "NOSCRIPT" => Verdict::NoScript,
        // What Redis says of a function has no code of its own.
        "ERR" if error.details() == Some("Function not found") => Verdict::NoScript,
        "OOM" => Verdict::Full,
        "MISCONF" => Verdict::DiskFull,
        "NOAUTH" | "NOPERM" | "WRONGPASS" | "CROSSSLOT" | "UNKILLABLE" | "NOPROTO" | "DENIED"
        | "NOREPLICATION" => Verdict::Misconfigured,
        "UNBLOCKED" | "EXECABORT" => Verdict::Unknown,
        _ => Verdict::Other,
    }
}

/// The first error among replies that is not said by a script of ours.
pub(crate) fn first(replies: &[Value]) -> Option<&ServerError> {
    replies.iter().find_map(|reply| match reply {
        Value::ServerError(error) => Some(error),
        _ => None,
    })
}

/// The slot and the owner that a `MOVED` names; the owner's host may be empty, which means the
/// host that was asked.
pub(crate) fn moved(error: &ServerError) -> Option<(u16, String, u16)> {
    if error.code() != "MOVED" {
        return None;
    }
    let (slot, owner) = error.details()?.split_once(' ')?;
    let (host, port) = owner.rsplit_once(':')?;
    Some((slot.parse().ok()?, host.to_owned(), port.parse().ok()?))
}

/// For people: the code, and the server's words where they cannot hold what users wrote. A script
/// that fails quotes its source line, never an argument.
pub(crate) fn words(error: &ServerError) -> String {
    format!("{} {}", error.code(), error.details().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> ServerError {
        match redis::parse_redis_value(format!("-{line}\r\n").as_bytes()) {
            Ok(Value::ServerError(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_error_of_the_table_has_its_verdict() {
        for (line, meaning) in [
            ("MOVED 3 127.0.0.1:1", Verdict::Moved),
            ("ASK 3 127.0.0.1:1", Verdict::Later),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Verdict::Later),
            ("CROSSSLOT Keys in request don't hash to the same slot", Verdict::Misconfigured),
            ("CLUSTERDOWN The cluster is down", Verdict::Stalled),
            ("READONLY You can't write against a read only replica.", Verdict::Moved),
            ("LOADING Redis is loading the dataset in memory", Verdict::Stalled),
            ("MASTERDOWN Link with MASTER is down", Verdict::Moved),
            ("BUSY Redis is busy running a script.", Verdict::Busy),
            ("OOM command not allowed when used memory > 'maxmemory'.", Verdict::Full),
            ("MISCONF Redis is configured to save RDB snapshots", Verdict::DiskFull),
            ("NOREPLICAS Not enough good replicas to write.", Verdict::Stalled),
            ("NOSCRIPT No matching script.", Verdict::NoScript),
            ("ERR Function not found", Verdict::NoScript),
            ("NOAUTH Authentication required.", Verdict::Misconfigured),
            ("WRONGPASS invalid username-password pair", Verdict::Misconfigured),
            ("NOPERM this user has no permissions", Verdict::Misconfigured),
            ("UNKILLABLE Sorry", Verdict::Misconfigured),
            ("UNBLOCKED force unblock", Verdict::Unknown),
            ("EXECABORT Transaction discarded", Verdict::Unknown),
            ("UNREADY no schema", Verdict::Other),
            ("ERR anything", Verdict::Other),
        ] {
            assert_eq!(verdict(&error(line)), meaning, "{line}");
        }
    }

    #[test]
    fn the_new_owner_is_read() {
        assert_eq!(moved(&error("MOVED 3 ::1:70")), Some((3, "::1".into(), 70)));
        assert_eq!(moved(&error("MOVED 3 :70")), Some((3, String::new(), 70)));
        assert_eq!(moved(&error("ASK 3 ::1:70")), None);
    }
}
