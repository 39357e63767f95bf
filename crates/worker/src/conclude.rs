//! How the end of a handler becomes a report: pure, so that every case can be looked at.

use std::time::Duration;

use serde_json::value::RawValue;
use tasktonic_core::command::{Again, Report, Write};
use tasktonic_core::policy::{Verdict, Why, after_failure, keep_s};
use tasktonic_core::{Lease, TaskState};
use tasktonic_protocol::stored::{AttemptRecord, Descriptor, Progress, StateBody, TaskError};

use crate::limits::{
    ERROR_CODE_BYTES_MAX, ERROR_MESSAGE_BYTES_MAX, OUTPUT_BYTES_MAX, OUTPUT_FILE_BYTES_MAX,
    SNOOZE_MAX, SNOOZE_MIN,
};
use crate::shared::{Ended, cut};
use crate::{Failure, Outcome};

/// Why a handler was asked to stop. A later one in this list outweighs an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// The soft limit of the attempt's time is over.
    SoftLimit,
    /// The worker stops, and the time for what runs is over.
    Drain,
    /// The attempt has used up its time.
    Timeout,
    /// Somebody cancelled the task.
    Asked,
    /// The lease is lost or cannot be trusted. Nothing is reported any more.
    Lost,
}

/// All that is known of an attempt that ended.
#[derive(Debug)]
pub(crate) struct Conclusion<'a> {
    pub(crate) lease: &'a Lease,
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) worker: &'a str,
    pub(crate) started_ms: i64,
    pub(crate) progress: Option<&'a Progress>,
    pub(crate) cause: Option<Cause>,
    /// The count of the write to come.
    pub(crate) n: u32,
    pub(crate) now_ms: i64,
    /// A number in 0..1 for the wait.
    pub(crate) chance: f64,
}

impl Conclusion<'_> {
    /// The report about an attempt that ended like this.
    pub(crate) fn report(&self, ended: Ended) -> Report {
        let stopped = matches!(
            ended,
            Ended::CutOff
                | Ended::Returned(Outcome::Failed(Failure::Attempt { .. } | Failure::Cancelled))
        );
        match (ended, self.cause) {
            (Ended::InFile(output), _) => self.completed(output, true),
            // Done is done, whatever was asked meanwhile; the store decides a race.
            (Ended::Returned(Outcome::Completed(output)), cause) => {
                if output.get().len() <= OUTPUT_BYTES_MAX {
                    return self.completed(output, false);
                }
                if cause == Some(Cause::Asked) {
                    return self.cancelled("cancelled on request");
                }
                let error = TaskError {
                    code: "output_too_large".into(),
                    message: format!(
                        "The output has {} bytes and may have {OUTPUT_FILE_BYTES_MAX}. Keep it as a file and put the file's id into the output.",
                        output.get().len()
                    ),
                };
                self.bury(error, None)
            }
            (Ended::CutOff, Some(Cause::Asked)) => self.cancelled(
                "cancelled on request; the handler did not stop in time and was cut off",
            ),
            (_, Some(Cause::Asked)) => self.cancelled("cancelled on request"),
            (_, Some(Cause::Timeout)) if stopped => self.failed(self.timed_out(), None),
            (Ended::Returned(Outcome::Failed(Failure::Cancelled)), Some(Cause::SoftLimit)) => {
                self.failed(self.timed_out_softly(), None)
            }
            (_, Some(Cause::Drain)) if stopped => self.release(true),
            // The runtime of the handlers has ended: nothing is wrong with the task.
            (Ended::CutOff, _) => self.release(true),
            (Ended::Panicked, _) => self.failed(
                TaskError {
                    code: "handler_panicked".into(),
                    message: "The handler panicked. The log of its worker says where.".into(),
                },
                None,
            ),
            (Ended::Returned(Outcome::Failed(failure)), _) => match failure {
                Failure::Attempt { error, wait } => self.failed(error, wait),
                Failure::Final(error) => {
                    self.bury(error, Some("its handler wants no further attempt".into()))
                }
                Failure::Snooze(wait) => self.snooze(wait),
                Failure::Cancelled => self.cancelled("stopped by its handler"),
            },
        }
    }

    fn completed(&self, output: Box<RawValue>, output_in_file: bool) -> Report {
        let output = Some(output);
        let body = StateBody { has_output: true, output_in_file, output, ..self.body() };
        Report::Ack { write: self.write(&body), keep_s: self.keep_s(TaskState::Completed) }
    }

    /// Given back unharmed, before the user's other tasks. The history mentions it if it had
    /// started.
    pub(crate) fn release(&self, started: bool) -> Report {
        let body = StateBody { worker: Some(self.worker.to_owned()), ..StateBody::default() };
        let attempt = started.then(|| self.attempt("released", None).text());
        Report::Release { write: self.write(&body), attempt }
    }

    fn snooze(&self, wait: Duration) -> Report {
        let wait_ms = wait.clamp(SNOOZE_MIN, SNOOZE_MAX).as_millis();
        let due_ms = self.now_ms + i64::try_from(wait_ms).expect("bounded by SNOOZE_MAX");
        let body = StateBody {
            worker: Some(self.worker.to_owned()),
            progress: self.progress.cloned(),
            ..StateBody::default()
        };
        let attempt = self.attempt("snoozed", None).text();
        Report::Snooze { write: self.write(&body), due_ms, attempt }
    }

    fn failed(&self, error: TaskError, wait: Option<Duration>) -> Report {
        let attempt = self.lease.attempt;
        let asked_ms = wait.map(|wait| wait.min(SNOOZE_MAX).as_millis());
        let asked_ms = asked_ms.map(|ms| u64::try_from(ms).expect("bounded by SNOOZE_MAX"));
        let policy = self.descriptor.attempts_policy();
        let again = match after_failure(&policy, attempt, &error.code, asked_ms, self.chance) {
            Verdict::Bury(Why::Rule) => {
                let reason = format!("no further attempt follows {}", error.code);
                return self.bury(error, Some(cut(reason, REASON_BYTES_MAX)));
            }
            Verdict::Bury(Why::AttemptsUsed | Why::Crashes) => return self.bury(error, None),
            Verdict::AgainNow => Again::Now,
            Verdict::AgainIn(ms) => Again::At(self.now_ms.saturating_add_unsigned(ms)),
        };
        let error = tidy(error);
        let attempt = self.attempt("failed", Some(error.clone())).text();
        let body = StateBody {
            worker: Some(self.worker.to_owned()),
            error: Some(error),
            ..StateBody::default()
        };
        let write = self.write(&body);
        Report::Nack { write, again, attempt, keep_s: self.keep_s(TaskState::Cancelled) }
    }

    /// The end as a dead letter; `reason` where it is not that all attempts are used up.
    fn bury(&self, error: TaskError, reason: Option<String>) -> Report {
        let body = StateBody { error: Some(tidy(error)), reason, ..self.body() };
        Report::Bury { write: self.write(&body), keep_s: self.keep_s(TaskState::Dead) }
    }

    fn cancelled(&self, reason: &str) -> Report {
        let body = StateBody { reason: Some(reason.to_owned()), ..self.body() };
        let write = self.write(&body);
        Report::Cancelled { write, keep_s: self.keep_s(TaskState::Cancelled) }
    }

    fn timed_out(&self) -> TaskError {
        let limit_ms = self.descriptor.timeout_ms.unwrap_or_default();
        TaskError {
            code: "timed_out".into(),
            message: format!("The attempt took longer than its limit of {limit_ms} ms."),
        }
    }

    fn timed_out_softly(&self) -> TaskError {
        let limit_ms = self.descriptor.soft_timeout_ms.unwrap_or_default();
        TaskError {
            code: "timed_out".into(),
            message: format!("The attempt stopped at its soft limit of {limit_ms} ms."),
        }
    }

    /// The members of the last state of an attempt.
    fn body(&self) -> StateBody {
        StateBody {
            started_ms: Some(self.started_ms),
            worker: Some(self.worker.to_owned()),
            progress: self.progress.cloned(),
            ..StateBody::default()
        }
    }

    fn attempt(&self, outcome: &str, err: Option<TaskError>) -> AttemptRecord {
        AttemptRecord {
            a: self.lease.attempt,
            o: outcome.to_owned(),
            wk: Some(self.worker.to_owned()),
            st: Some(self.started_ms),
            en: self.now_ms,
            err,
        }
    }

    fn write(&self, body: &StateBody) -> Write {
        Write { n: self.n, body: body.members(), event: body.event_members() }
    }

    fn keep_s(&self, state: TaskState) -> u32 {
        let key_expires_ms = self.descriptor.key.as_ref().map(|(_, at)| *at);
        keep_s(self.descriptor.retention().of(state), key_expires_ms, self.now_ms)
    }
}

/// Longest reason for an end, in bytes.
const REASON_BYTES_MAX: usize = 128;

/// An error that fits into a state.
fn tidy(error: TaskError) -> TaskError {
    TaskError {
        code: cut(error.code, ERROR_CODE_BYTES_MAX),
        message: cut(error.message, ERROR_MESSAGE_BYTES_MAX),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn ended() -> impl Strategy<Value = Ended> {
        let error = || TaskError { code: "c".repeat(100), message: "é".repeat(3_000) };
        let failed = |failure: Failure| Ended::Returned(Outcome::Failed(failure));
        prop_oneof![
            Just(()).prop_map(|()| Ended::Panicked),
            Just(()).prop_map(|()| Ended::CutOff),
            (0_usize..2 * OUTPUT_BYTES_MAX).prop_map(|size| {
                let output = format!("\"{}\"", "x".repeat(size));
                Ended::Returned(Outcome::Completed(RawValue::from_string(output).unwrap()))
            }),
            any::<Option<Duration>>()
                .prop_map(move |wait| { failed(Failure::Attempt { error: error(), wait }) }),
            Just(()).prop_map(move |()| failed(Failure::Final(error()))),
            any::<Duration>().prop_map(move |wait| failed(Failure::Snooze(wait))),
            Just(()).prop_map(move |()| failed(Failure::Cancelled)),
        ]
    }

    fn cause() -> impl Strategy<Value = Option<Cause>> {
        proptest::option::of(prop_oneof![
            Just(Cause::SoftLimit),
            Just(Cause::Drain),
            Just(Cause::Timeout),
            Just(Cause::Asked)
        ])
    }

    fn conclude(ended: Ended, cause: Option<Cause>, attempt: u32, max: u32) -> Report {
        let lease: Lease = format!("q|ana|AAAAAAAAAAAAAAAA|{attempt}|1|w.1").parse().unwrap();
        let text = format!(r#"{{"v":1,"k":"q","q":"q","at":1,"max":{max},"to":5,"p":{{}}}}"#);
        let conclusion = Conclusion {
            lease: &lease,
            descriptor: &Descriptor::parse(&text).unwrap(),
            worker: "here",
            started_ms: 1_000,
            progress: None,
            cause,
            n: 7,
            now_ms: 2_000,
            chance: 0.5,
        };
        conclusion.report(ended)
    }

    fn write_of(report: &Report) -> &Write {
        match report {
            Report::Ack { write, .. }
            | Report::Nack { write, .. }
            | Report::Bury { write, .. }
            | Report::Cancelled { write, .. }
            | Report::Snooze { write, .. }
            | Report::Release { write, .. } => write,
            other => panic!("{other:?} ends nothing"),
        }
    }

    proptest! {
        #[test]
        fn every_end_is_one_report_of_bounded_size(
            ended in ended(), cause in cause(), attempt in 1_u32..6, max in 1_u32..6,
        ) {
            let report = conclude(ended, cause, attempt, max);
            let write = write_of(&report);
            prop_assert_eq!(write.n, 7);
            let fields: serde_json::Value =
                serde_json::from_str(&format!("{{{}}}", write.body)).unwrap();
            prop_assert!(fields["wk"] == "here");
            prop_assert!(write.body.len() <= OUTPUT_BYTES_MAX + 1_000);
            match &report {
                Report::Nack { again, .. } => {
                    prop_assert!(attempt < max, "no attempt is left");
                    let is_later = matches!(again, Again::At(at) if *at > 2_000);
                    prop_assert!(is_later, "{again:?}");
                }
                Report::Snooze { due_ms, .. } => prop_assert!(*due_ms > 2_000),
                _ => {}
            }
        }

        #[test]
        fn after_a_cancellation_a_task_ends(ended in ended(), attempt in 1_u32..6) {
            let report = conclude(ended, Some(Cause::Asked), attempt, 5);
            let has_ended = matches!(report, Report::Cancelled { .. } | Report::Ack { .. });
            prop_assert!(has_ended, "{report:?}");
        }

        #[test]
        fn what_a_drain_stops_costs_no_attempt(wait: Option<Duration>, attempt in 1_u32..6) {
            let error = TaskError { code: "c".into(), message: String::new() };
            for failure in [Failure::Cancelled, Failure::Attempt { error, wait }] {
                let ended = Ended::Returned(Outcome::Failed(failure));
                let report = conclude(ended, Some(Cause::Drain), attempt, 5);
                let is_released = matches!(report, Report::Release { .. });
                prop_assert!(is_released, "{report:?}");
            }
            let report = conclude(Ended::CutOff, Some(Cause::Drain), attempt, 5);
            let is_released = matches!(report, Report::Release { .. });
            prop_assert!(is_released, "{report:?}");
        }
    }
}
