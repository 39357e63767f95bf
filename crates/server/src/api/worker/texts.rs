//! What a holder writes goes into stored records as text: here it is checked to be what the
//! readers of those records expect, so that no worker can spoil a task for its owner. Pure.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use tasktonic_core::limits::REV_PER_CLAIM;
use tasktonic_protocol::stored::{
    AttemptRecord, LOG_LINE_BYTES_MAX, LogLine, OutputFile, StateBody,
};
use tasktonic_protocol::worker::{OpBody, ReportBody, WriteBody};

use crate::api::json;
use crate::problem::Refusal;

/// Members of a state that only the engine writes.
const ENGINES: &[&str] = &["s", "c", "n", "at", "a", "due", "w", "t"];
/// Longest members of a state, output included, in bytes.
pub(super) const MEMBERS_BYTES_MAX: usize = 128 * 1024;
/// Lines in one report.
pub(super) const LINES_MAX: usize = 1_000;

/// Whether every text of a report is what its place wants.
pub(super) fn check(op: &OpBody) -> Result<(), Refusal> {
    let is_log = matches!(op.report, ReportBody::Log { .. });
    let texts = op.texts();
    if is_log && texts.len() > LINES_MAX {
        return Err(Refusal::bad_request(format!("A report has at most {LINES_MAX} log lines.")));
    }
    for (text, members) in texts {
        if text.len() > MEMBERS_BYTES_MAX {
            return Err(Refusal::bad_request(format!(
                "A text of a report has at most {MEMBERS_BYTES_MAX} bytes; store more as a file."
            )));
        }
        json::check_depth(text.as_bytes())?;
        let good = if members {
            text.is_empty() || is_state(text)
        } else if is_log {
            is_line(text)
        } else {
            serde_json::from_str::<AttemptRecord>(text).is_ok()
        };
        if !good {
            return Err(Refusal::bad_request(
                "A text of a report is not what stored records hold. Is the worker of this release?",
            ));
        }
    }
    if write(&op.report).is_some_and(|write| u64::from(write.n) >= REV_PER_CLAIM) {
        let detail = format!("A lease allows fewer than {REV_PER_CLAIM} writes.");
        return Err(Refusal::bad_request(detail));
    }
    Ok(())
}

fn is_state(members: &str) -> bool {
    let object = format!("{{{members}}}");
    let foreign = |names: BTreeMap<String, IgnoredAny>| {
        !names.keys().any(|name| ENGINES.contains(&name.as_str()))
    };
    let names_its_file =
        |state: StateBody| !state.output_in_file || OutputFile::of(&object).is_some();
    serde_json::from_str::<StateBody>(&object).is_ok_and(names_its_file)
        && serde_json::from_str(&object).is_ok_and(foreign)
}

fn is_line(text: &str) -> bool {
    serde_json::from_str::<LogLine>(text).is_ok_and(|line| line.x.len() <= LOG_LINE_BYTES_MAX)
}

fn write(report: &ReportBody) -> Option<&WriteBody> {
    match report {
        ReportBody::Heartbeat | ReportBody::Log { .. } => None,
        ReportBody::Progress { write }
        | ReportBody::Ack { write, .. }
        | ReportBody::Nack { write, .. }
        | ReportBody::Bury { write, .. }
        | ReportBody::Cancelled { write, .. }
        | ReportBody::Snooze { write, .. }
        | ReportBody::Release { write, .. } => Some(write),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(body: &str) -> OpBody {
        let write = WriteBody { n: 2, body: body.into(), event: None };
        OpBody { lease: String::new(), report: ReportBody::Ack { write, keep_s: 1 } }
    }

    #[test]
    fn members_that_would_rewrite_the_engines_are_refused() {
        for name in ENGINES {
            assert!(check(&ack(&format!(r#""{name}":1"#))).is_err(), "{name}");
        }
        assert!(check(&ack(r#""\u0073":"dead""#)).is_err(), "an escaped name is the same name");
    }

    #[test]
    fn members_are_members_and_nothing_around_them() {
        for good in ["", r#""st":5"#, r#""ho":true,"out":{"a":[1.50]}"#, r#""later":1"#] {
            assert!(check(&ack(good)).is_ok(), "{good}");
        }
        for bad in ["}{", r#""st":5}"#, r#""st":5,"#, r#""st":"x""#, r#""st":1,"st":2"#, "1", "{}"]
        {
            assert!(check(&ack(bad)).is_err(), "{bad}");
        }
        let file = r#""ho":true,"out":{"file":"a","name":"b","type":"c","size":1},"fo":true"#;
        assert!(check(&ack(file)).is_ok());
        assert!(check(&ack(r#""ho":true,"out":[1],"fo":true"#)).is_err(), "it names no file");
        let long = format!(r#""why":"{}""#, "x".repeat(MEMBERS_BYTES_MAX));
        assert!(check(&ack(&long)).is_err());
    }

    #[test]
    fn log_lines_are_lines_and_not_too_many() {
        let log = |lines: Vec<Box<str>>| {
            check(&OpBody { lease: String::new(), report: ReportBody::Log { lines } })
        };
        let line: Box<str> = r#"{"at":1,"l":"info","x":"a"}"#.into();
        assert!(log(vec![line.clone(); LINES_MAX]).is_ok());
        assert!(log(vec![line; LINES_MAX + 1]).is_err());
        assert!(log(vec![r#"{"at":1,"l":"shout","x":"a"}"#.into()]).is_err());
    }

    #[test]
    fn a_count_of_writes_cannot_reach_the_next_claim() {
        let mut op = ack("");
        if let ReportBody::Ack { write, .. } = &mut op.report {
            write.n = u32::try_from(REV_PER_CLAIM).unwrap();
        }
        assert!(check(&op).is_err());
    }
}
