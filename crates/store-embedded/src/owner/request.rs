//! One request: whether it is taken, what it changes, and whether its answer waits.

use std::sync::atomic::Ordering;

use tasktonic_core::command::{Command, Control, Op, Report, Submit};
use tasktonic_core::reply::{Claimed, Reply as CoreReply, Submitted, Synced};
use tasktonic_core::{Lease, Text};
use tasktonic_store::model::dump_texts;
use tasktonic_store::{Error, Expect, Held, Result, SyncReply, Table};

use super::Owner;
use crate::options::{BEHIND_BYTES_MAX, BLOCKED_BYTES_MAX, MAILBOX_MAX};
use crate::read;
use crate::round::{Answer, Reply, Round};
use crate::shared::Mail;
use crate::state::State;

impl Owner {
    /// Carries out one request as part of `round`.
    pub(super) fn take(&mut self, state: &mut State, round: &mut Round, mail: Mail) {
        match mail {
            Mail::Submit(submit, to) => self.submit(state, round, submit, to),
            Mail::Sync(sync, to) => {
                let waits = sync.ops.iter().any(ends_attempt);
                let behind = self.shared.behind.load(Ordering::SeqCst);
                let writes = sync.ops.iter().any(|op| !matches!(op.report, Report::Heartbeat));
                let piled_up = self.blocked_bytes > BLOCKED_BYTES_MAX
                    || behind > BEHIND_BYTES_MAX + BLOCKED_BYTES_MAX;
                if writes && piled_up {
                    let _ = to.send(Err(Error::Busy));
                    return;
                }
                let CoreReply::Sync(synced) = self.apply(state, round, Command::Sync(sync)) else {
                    unreachable!("a sync is answered in kind")
                };
                let waits = waits || self.hands_out_unsure(round, &synced.claimed);
                let reply = Reply::Sync(to, self.with_texts(state, synced));
                if waits { round.replies.push(reply) } else { round.early.push(reply) }
            }
            Mail::Control(control, to) => {
                if !self.blocked.is_empty() {
                    let _ = to.send(Err(Error::DiskFull));
                    return;
                }
                if let Some(refusal) = self.refuses(state, &control) {
                    let _ = to.send(Err(refusal));
                    return;
                }
                let CoreReply::Control(answers) =
                    self.apply(state, round, Command::Control(control))
                else {
                    unreachable!("a control command is answered in kind")
                };
                round.replies.push(Reply::Control(to, answers));
            }
            Mail::Put { table, key, value, expect, to } => {
                if self.blocked.is_empty() {
                    let answer = put(state, round, (table, key), value, expect);
                    round.replies.push(Reply::Put(to, answer));
                } else {
                    let _ = to.send(Err(Error::DiskFull));
                }
            }
            Mail::Delete { table, key, to } => {
                if !self.blocked.is_empty() {
                    let _ = to.send(Err(Error::DiskFull));
                    return;
                }
                let slot = (table, key);
                let known = state.registry.remove(&slot).is_some();
                if known {
                    round.delta.registry.insert(slot, None);
                }
                round.replies.push(Reply::Delete(to, known));
            }
            Mail::Dump(to) => match self.dump(state) {
                Ok(text) => round.replies.push(Reply::Dump(to, text)),
                Err(error) => drop(to.send(Err(error))),
            },
            Mail::Compact(to) => self.compacting.0.push(to),
            Mail::CompactJournal(to) => self.compacting.1.push(to),
            Mail::Look | Mail::Close | Mail::Abandon => {}
        }
    }

    /// What adds to the store by way of control is refused where a submit would be.
    fn refuses(&self, state: &State, control: &Control) -> Option<Error> {
        let adds = match control {
            Control::Schedule { becomes, .. } => becomes.is_some(),
            Control::Tick(tick) => tick.task.is_some(),
            _ => false,
        };
        if !adds {
            None
        } else if self.space_low {
            Some(Error::DiskFull)
        } else if state.bytes() > self.shared.options.memory_bytes_max {
            Some(Error::Full)
        } else {
            let behind = self.shared.behind.load(Ordering::SeqCst) >= BEHIND_BYTES_MAX;
            behind.then_some(Error::Busy)
        }
    }

    fn submit(
        &mut self,
        state: &mut State,
        round: &mut Round,
        submit: Submit,
        to: Answer<Vec<Submitted>>,
    ) {
        let refusal = if self.space_low || !self.blocked.is_empty() {
            Error::DiskFull
        } else if state.bytes() > self.shared.options.memory_bytes_max {
            Error::Full
        } else if self.shared.behind.load(Ordering::SeqCst) < BEHIND_BYTES_MAX {
            let CoreReply::Submit(answers) = self.apply(state, round, Command::Submit(submit))
            else {
                unreachable!("a submit is answered in kind")
            };
            round.replies.push(Reply::Submit(to, answers));
            return;
        } else if self.waiting.len() < MAILBOX_MAX {
            self.waiting.push_back((submit, to));
            return;
        } else {
            Error::Busy
        };
        let _ = to.send(Err(refusal));
    }

    /// Whether one of these tasks was submitted in a round that is not yet durable.
    fn hands_out_unsure(&self, round: &Round, claimed: &[Claimed]) -> bool {
        let unsure = |claimed: &Claimed| {
            let id = (claimed.lease.user.clone(), claimed.lease.task);
            self.blocked.iter().chain([round]).any(|round| {
                round.delta.tasks.get(&id).is_some_and(|task| task.descriptor.is_some())
            })
        };
        claimed.iter().any(unsure)
    }

    fn with_texts(&self, state: &State, synced: Synced) -> SyncReply {
        let held = |lease: Lease, n: u32| self.held(state, lease, n);
        SyncReply {
            refused: synced.refused,
            unheard: Vec::new(),
            cancelled: synced.cancelled,
            adopted: synced.adopted.into_iter().map(|lease| held(lease, 0)).collect(),
            claimed: synced.claimed.into_iter().map(|c| held(c.lease, c.n)).collect(),
            stopped_at: synced.stopped_at,
            more: synced.more,
            next_in_ms: synced.next_in_ms,
            schedule_in_ms: synced.schedule_in_ms,
            epoch: synced.epoch,
            queues_version: synced.queues_version,
        }
    }

    fn held(&self, state: &State, lease: Lease, n: u32) -> Held {
        read::held(&self.shared.readers, state, lease, n).unwrap_or_else(|(lease, error)| {
            // Handed out without its texts: its worker cannot read it and buries it with a reason.
            tracing::error!(%error, task = %lease.task, "the texts of a claimed task cannot be read");
            Held { lease, n, descriptor: Text::default(), state: None }
        })
    }

    /// The whole state as text, in the form of the model's.
    fn dump(&self, state: &State) -> Result<String> {
        let mut text = state.partition.dump(self.shared.options.clock.now_ms());
        let mut users: Vec<_> = state.users.keys().cloned().collect();
        users.sort();
        for user in users {
            for task in state.users[&user].keys() {
                let texts = read::all_texts(&self.shared.readers, state, &user, *task)?;
                text.push_str(&dump_texts(
                    &user,
                    *task,
                    &texts.descriptor,
                    texts.state.as_deref(),
                    texts.attempts.iter().map(|(number, text)| (*number, &**text)),
                    texts.log.iter().map(|(number, text)| (*number, &**text)),
                ));
            }
        }
        Ok(text)
    }
}

/// Whether the worker must know that this report is kept.
fn ends_attempt(op: &Op) -> bool {
    !matches!(op.report, Report::Heartbeat | Report::Progress { .. } | Report::Log { .. })
}

fn put(
    state: &mut State,
    round: &mut Round,
    slot: (Table, String),
    value: String,
    expect: Expect,
) -> Option<u64> {
    let before = state.registry.get(&slot).map(|(version, _)| *version);
    let holds = match expect {
        Expect::Any => true,
        Expect::Absent => before.is_none(),
        Expect::Version(version) => before == Some(version),
    };
    if !holds {
        return None;
    }
    let version = before.unwrap_or(0) + 1;
    state.registry.insert(slot.clone(), (version, value.clone()));
    round.delta.registry.insert(slot, Some((version, value)));
    Some(version)
}
