//! The wire mirror of the engine's sync.

use serde::{Deserialize, Serialize};
use tasktonic_core::command::{Again, Claim, Op, Report, Sync, Write};
use tasktonic_core::{Lease, Text};

use super::V;

/// The longest that an empty answer may be parked, ms.
pub const WAIT_MS_MAX: u32 = 20_000;

/// A request that cannot be what a worker meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl From<tasktonic_core::ids::IdError> for Malformed {
    fn from(error: tasktonic_core::ids::IdError) -> Self {
        Self(error.to_string())
    }
}

/// `POST /api/v1/worker/sync`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncRequest {
    /// The version of the worker protocol.
    pub v: u8,
    /// Who speaks.
    pub worker: String,
    /// A number that rises with every claiming call of this worker.
    pub call: u64,
    /// How long new and renewed leases last, ms.
    pub lease_ms: u32,
    /// Reports on leases, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<OpBody>,
    /// What it has room for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimBody>,
    /// Queues for which it was woken since its last call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub woken: Vec<String>,
    /// Register as idle on the claim's queues if nothing was claimed.
    #[serde(default)]
    pub park: bool,
    /// How long an empty answer may be held back until there is work or a cancellation, ms; at
    /// most [`WAIT_MS_MAX`].
    #[serde(default)]
    pub wait_ms: u32,
    /// Whether the sender reads [`SyncResponse::unheard`]: one that does not wants all or nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub partly: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Room for work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimBody {
    /// Queues in the order of this call.
    pub queues: Vec<String>,
    /// How many places there are for tasks, over all queues.
    pub limit: u32,
    /// How many places a task takes, by queue in their order; absent where each takes one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<u32>,
    /// Where to look first: the `part` of the last answer's `stopped_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u16>,
}

/// Where a claim stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedAt {
    /// The queue whose next task takes more places than were left.
    pub queue: String,
    /// The part of the store in which it waits: said with the claim that has as many places.
    pub part: u16,
}

/// One report on one lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpBody {
    /// The lease's token.
    pub lease: String,
    /// What is reported.
    #[serde(flatten)]
    pub report: ReportBody,
}

/// A write of the holder: its count, its members of the state, and what the event says instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteBody {
    /// The holder's count of writes on this claim.
    pub n: u32,
    /// JSON members without braces, or empty.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub body: Box<str>,
    /// What the event says instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Box<str>>,
}

/// What a holder may say. Attempts are JSON texts for the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum ReportBody {
    /// Still at work.
    Heartbeat,
    /// How far along.
    Progress {
        /// The new state.
        write: WriteBody,
    },
    /// Lines for the task's log.
    Log {
        /// JSON texts.
        lines: Vec<Box<str>>,
    },
    /// Done.
    Ack {
        /// The final state.
        write: WriteBody,
        /// Kept for this long.
        keep_s: u32,
    },
    /// Failed, to be attempted again.
    Nack {
        /// The new state.
        write: WriteBody,
        /// A wall-clock time in ms; absent: at once, before the user's other tasks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due_ms: Option<i64>,
        /// The ended attempt.
        attempt: Box<str>,
        /// Kept for this long should a cancellation have come first.
        keep_s: u32,
    },
    /// Failed for good.
    Bury {
        /// The final state.
        write: WriteBody,
        /// Kept for this long.
        keep_s: u32,
    },
    /// Stopped as asked.
    Cancelled {
        /// The final state.
        write: WriteBody,
        /// Kept for this long.
        keep_s: u32,
    },
    /// Call again later; not counted.
    Snooze {
        /// The new state.
        write: WriteBody,
        /// When, wall clock, ms.
        due_ms: i64,
        /// The ended execution.
        attempt: Box<str>,
    },
    /// Given back unharmed; not counted.
    Release {
        /// The new state.
        write: WriteBody,
        /// The ended execution, if it had started.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<Box<str>>,
    },
}

/// The answer to a sync.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SyncResponse {
    /// The version of the worker protocol.
    pub v: u8,
    /// Indexes of the reports that were refused: lost lease.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<u32>,
    /// Indexes of the reports of which nobody knows what became, because a part of the store did
    /// not answer: to be said again. Only in answers to a sync that is [`SyncRequest::partly`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unheard: Vec<u32>,
    /// Leases whose cancellation was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancelled: Vec<String>,
    /// Lost leases that are now the caller's to settle. A server settles what it adopts itself,
    /// so a remote worker sees none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopted: Vec<HeldBody>,
    /// New work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claimed: Vec<HeldBody>,
    /// The claim stopped, though places were left: it is the turn of a task that takes more of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<StoppedAt>,
    /// Lanes with work left in the claim's queues.
    #[serde(default)]
    pub more: u32,
    /// When a sync would next find something due, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_in_ms: Option<u64>,
    /// For fences.
    pub epoch: u32,
    /// Queues with work for this worker: the answer to a request that waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub woken: Vec<String>,
    /// Wakes may have been missed: look everywhere. The server that answers has not listened for
    /// this worker all the time, as when another one took its last calls.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lagged: bool,
}

/// A lease together with what is needed to work on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBody {
    /// The lease's token.
    pub lease: String,
    /// Count of writes on this claim so far.
    pub n: u32,
    /// JSON text.
    pub descriptor: Box<str>,
    /// JSON text, if one was ever written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Box<str>>,
}

impl SyncRequest {
    /// The body that says what `sync` says.
    #[must_use]
    pub fn of(sync: Sync, wait_ms: u32) -> Self {
        Self {
            v: V,
            worker: sync.worker.to_string(),
            call: sync.call,
            lease_ms: sync.lease_ms,
            ops: sync.ops.into_iter().map(OpBody::of).collect(),
            claim: sync.claim.map(|claim| ClaimBody {
                queues: claim.queues.iter().map(ToString::to_string).collect(),
                limit: claim.limit,
                places: claim.places,
                first: None,
            }),
            woken: sync.woken.iter().map(ToString::to_string).collect(),
            park: sync.park,
            wait_ms,
            partly: true,
        }
    }

    /// What the body says, without the wait.
    ///
    /// # Errors
    /// If an id, a name or a lease is not one.
    pub fn into_sync(self) -> Result<Sync, Malformed> {
        let names = |texts: Vec<String>| -> Result<Vec<_>, Malformed> {
            texts.iter().map(|text| text.parse().map_err(Malformed::from)).collect()
        };
        Ok(Sync {
            worker: self.worker.parse()?,
            call: self.call,
            lease_ms: self.lease_ms,
            ops: self.ops.into_iter().map(OpBody::into_op).collect::<Result<_, _>>()?,
            claim: self
                .claim
                .map(|claim| {
                    let ClaimBody { queues, limit, places, first: _ } = claim;
                    Ok::<_, Malformed>(Claim { queues: names(queues)?, limit, places })
                })
                .transpose()?,
            woken: names(self.woken)?,
            park: self.park,
        })
    }
}

impl OpBody {
    /// The body of one report.
    #[must_use]
    pub fn of(op: Op) -> Self {
        let report = match op.report {
            Report::Heartbeat => ReportBody::Heartbeat,
            Report::Progress { write } => ReportBody::Progress { write: write.into() },
            Report::Log { lines } => {
                ReportBody::Log { lines: lines.iter().map(|line| line.as_ref().into()).collect() }
            }
            Report::Ack { write, keep_s } => ReportBody::Ack { write: write.into(), keep_s },
            Report::Nack { write, again, attempt, keep_s } => ReportBody::Nack {
                write: write.into(),
                due_ms: match again {
                    Again::At(due_ms) => Some(due_ms),
                    Again::Now => None,
                },
                attempt: attempt.as_ref().into(),
                keep_s,
            },
            Report::Bury { write, keep_s } => ReportBody::Bury { write: write.into(), keep_s },
            Report::Cancelled { write, keep_s } => {
                ReportBody::Cancelled { write: write.into(), keep_s }
            }
            Report::Snooze { write, due_ms, attempt } => {
                ReportBody::Snooze { write: write.into(), due_ms, attempt: attempt.as_ref().into() }
            }
            Report::Release { write, attempt } => ReportBody::Release {
                write: write.into(),
                attempt: attempt.as_deref().map(Into::into),
            },
        };
        Self { lease: op.lease.to_string(), report }
    }

    /// The report it says.
    ///
    /// # Errors
    /// If the lease is not a token.
    pub fn into_op(self) -> Result<Op, Malformed> {
        let lease: Lease = self.lease.parse()?;
        let report = match self.report {
            ReportBody::Heartbeat => Report::Heartbeat,
            ReportBody::Progress { write } => Report::Progress { write: write.into() },
            ReportBody::Log { lines } => {
                Report::Log { lines: lines.into_iter().map(Text::from).collect() }
            }
            ReportBody::Ack { write, keep_s } => Report::Ack { write: write.into(), keep_s },
            ReportBody::Nack { write, due_ms, attempt, keep_s } => Report::Nack {
                write: write.into(),
                again: due_ms.map_or(Again::Now, Again::At),
                attempt: attempt.into(),
                keep_s,
            },
            ReportBody::Bury { write, keep_s } => Report::Bury { write: write.into(), keep_s },
            ReportBody::Cancelled { write, keep_s } => {
                Report::Cancelled { write: write.into(), keep_s }
            }
            ReportBody::Snooze { write, due_ms, attempt } => {
                Report::Snooze { write: write.into(), due_ms, attempt: attempt.into() }
            }
            ReportBody::Release { write, attempt } => {
                Report::Release { write: write.into(), attempt: attempt.map(Text::from) }
            }
        };
        Ok(Op { lease, report })
    }

    /// Every text in it that must be JSON, once braces are put around members: `(text, members)`.
    #[must_use]
    pub fn texts(&self) -> Vec<(&str, bool)> {
        fn of(write: &WriteBody) -> Vec<(&str, bool)> {
            let event = write.event.as_deref().map(|text| (text, true));
            [(&*write.body, true)].into_iter().chain(event).collect()
        }
        match &self.report {
            ReportBody::Heartbeat => Vec::new(),
            ReportBody::Log { lines } => lines.iter().map(|line| (&**line, false)).collect(),
            ReportBody::Progress { write }
            | ReportBody::Ack { write, .. }
            | ReportBody::Bury { write, .. }
            | ReportBody::Cancelled { write, .. } => of(write),
            ReportBody::Nack { write, attempt, .. } | ReportBody::Snooze { write, attempt, .. } => {
                let mut texts = of(write);
                texts.push((attempt, false));
                texts
            }
            ReportBody::Release { write, attempt } => {
                let mut texts = of(write);
                texts.extend(attempt.as_deref().map(|text| (text, false)));
                texts
            }
        }
    }
}

impl From<Write> for WriteBody {
    fn from(write: Write) -> Self {
        Self {
            n: write.n,
            body: write.body.as_ref().into(),
            event: write.event.as_deref().map(Into::into),
        }
    }
}

impl From<WriteBody> for Write {
    fn from(write: WriteBody) -> Self {
        Self { n: write.n, body: write.body.into(), event: write.event.map(Text::from) }
    }
}

#[cfg(test)]
mod tests {
    use tasktonic_core::TaskId;

    use super::*;

    fn lease() -> Lease {
        Lease {
            queue: "mail".parse().unwrap(),
            user: "ana".parse().unwrap(),
            task: TaskId::new(1, 2),
            attempt: 1,
            claim: 2,
            worker: "w-1".parse().unwrap(),
            call: 3,
        }
    }

    fn every_report() -> Vec<Report> {
        let write = Write { n: 4, body: r#""st":5"#.into(), event: Some("".into()) };
        let bare = Write { n: 4, body: "".into(), event: None };
        let attempt = Text::from(r#"{"a":1}"#);
        vec![
            Report::Heartbeat,
            Report::Progress { write: write.clone() },
            Report::Log { lines: vec![r#"{"at":1,"l":"info","x":"a\n"}"#.into()] },
            Report::Ack { write: bare.clone(), keep_s: 1 },
            Report::Nack {
                write: write.clone(),
                again: Again::Now,
                attempt: attempt.clone(),
                keep_s: 2,
            },
            Report::Nack {
                write: write.clone(),
                again: Again::At(-7),
                attempt: attempt.clone(),
                keep_s: 2,
            },
            Report::Bury { write: write.clone(), keep_s: 3 },
            Report::Cancelled { write: write.clone(), keep_s: 4 },
            Report::Snooze { write: write.clone(), due_ms: 9, attempt: attempt.clone() },
            Report::Release { write: bare.clone(), attempt: None },
            Report::Release { write, attempt: Some(attempt) },
        ]
    }

    #[test]
    fn a_sync_survives_the_wire() {
        let sync = Sync {
            worker: "w-1".parse().unwrap(),
            call: u64::MAX,
            lease_ms: 10_000,
            ops: every_report().into_iter().map(|report| Op { lease: lease(), report }).collect(),
            claim: Some(Claim { places: vec![3], ..Claim::new(vec!["mail".parse().unwrap()], 4) }),
            woken: vec!["mail".parse().unwrap()],
            park: true,
        };
        let body = SyncRequest::of(sync.clone(), 20_000);
        let json = serde_json::to_string(&body).unwrap();
        let read: SyncRequest = serde_json::from_str(&json).unwrap();
        assert_eq!(read, body);
        assert_eq!(format!("{:?}", read.into_sync().unwrap()), format!("{sync:?}"));
    }

    #[test]
    fn a_report_nobody_knows_refuses_the_request() {
        let lease = lease();
        let json = format!(
            r#"{{"v":1,"worker":"w","call":1,"lease_ms":5000,"epoch":1,"ops":[{{"lease":"{lease}","report":"steal"}}]}}"#
        );
        assert!(serde_json::from_str::<SyncRequest>(&json).is_err());
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let mut body = SyncRequest::of(
            Sync {
                worker: "w".parse().unwrap(),
                call: 1,
                lease_ms: 5_000,
                ops: vec![],
                claim: None,
                woken: vec![],
                park: false,
            },
            0,
        );
        assert!(body.clone().into_sync().is_ok());
        body.woken = vec!["a:b".into()];
        assert!(body.into_sync().is_err());
    }
}
