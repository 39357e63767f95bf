//! Ticks that have come: each is taken in one step of the store, with the task it makes. Any number
//! of servers may look at once, and each may die at any moment: a tick is taken by one, or still
//! there. Never knows who asked.

use sha2::{Digest as _, Sha256};
use tasktonic_core::command::Control;
use tasktonic_core::partition::KeptSchedule;
use tasktonic_core::reply::Controlled;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::schedule::{Schedule, Tick};
use tasktonic_core::{Name, TaskId, UserId};
use tasktonic_protocol::http::{PassedReason, SubmitRequest};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::stored::{PassedTick, ScheduleText};
use tasktonic_schedule::turn;
use tasktonic_store::{Error, Query, QueryReply, Result};

use super::define::{catch_up, plan};
use crate::App;
use crate::api::submit::{Origin, Reserved, check_as};

/// Takes the ticks of a partition that are due; whether any schedule went on.
pub(crate) async fn take_due(app: &App, p: PartitionId) -> bool {
    let due = match app.store.read(p, Query::DueSchedules).await {
        Ok(QueryReply::DueSchedules(due)) => due,
        Ok(_) => return false,
        Err(error) => {
            tracing::warn!(partition = p.0, %error, "due schedules could not be read; they come a moment later");
            return false;
        }
    };
    let mut went_on = false;
    for kept in due.schedules {
        let (user, name) = (kept.user.clone(), kept.name.clone());
        match take(app, p, due.now_ms, kept).await {
            Ok(taken) => went_on |= taken,
            Err(error) => {
                tracing::warn!(%user, schedule = %name, %error, "a tick could not be taken; it is tried again");
                // What the store has not taken of one it will not take of the next either.
                if !matches!(error, Error::Invalid(_)) {
                    break;
                }
            }
        }
    }
    went_on
}

/// Takes one schedule on; whether it went on, by this server or another one.
async fn take(app: &App, p: PartitionId, now_ms: i64, kept: KeptSchedule) -> Result<bool> {
    let KeptSchedule { user, name, schedule } = kept;
    let Some(due_ms) = schedule.next_ms else { return Ok(false) };
    let known = ScheduleText::parse(&schedule.text).ok();
    let Some((mut text, plan)) = known.and_then(|text| plan(&text).ok().map(|plan| (text, plan)))
    else {
        // Nobody can say when it would come next. It rests until its owner has looked at it.
        tracing::error!(%user, schedule = %name, "a stored schedule cannot be read; it rests");
        let becomes = Schedule { version: rand::random(), next_ms: None, ..schedule.clone() };
        return ticked(app, p, tick(now_ms, &user, &name, &schedule, becomes)).await;
    };
    let turn = turn(&plan, due_ms, now_ms, catch_up(text.catch_up));
    if let Some(at) = turn.passed {
        text.passed = Some(PassedTick { at, why: PassedReason::Missed, say: None });
    }
    let made = match turn.fires {
        None => None,
        Some(at) => match made(app, &user, &name, now_ms, at, &text).await {
            Ok(new) => Some((at, new)),
            Err(refusal) if refusal.code.status() >= 500 => return Ok(false),
            Err(refusal) => {
                let (why, say) = (PassedReason::Refused, Some(refusal.detail));
                text.passed = Some(PassedTick { at, why, say });
                None
            }
        },
    };
    let step = |text: &ScheduleText| {
        let version = rand::random();
        let becomes = Schedule { version, next_ms: turn.next, text: text.text() };
        tick(now_ms, &user, &name, &schedule, becomes)
    };
    let Some((at, new)) = made else { return ticked(app, p, step(&text)).await };
    let mut with_task = text.clone();
    with_task.last = Some((at, new.task.to_string()));
    let task = new.task;
    let taken = Tick { task: Some(new), ..step(&with_task) };
    let control = Control::Tick(Box::new(taken));
    match app.store.control(p, control).await?.first() {
        Some(Controlled::Done) => {
            app.metrics.submitted("accepted", 1);
            tracing::debug!(%user, schedule = %name, %task, "a schedule made a task");
            Ok(true)
        }
        Some(Controlled::Full) => {
            app.metrics.submitted("lane_full", 1);
            tracing::info!(%user, schedule = %name, "a tick was passed over: the user's line is full, or their tasks hold as much as they may");
            let say =
                Some(
                "Your line was full, or your tasks held as much as they may. Cancel tasks that wait, \
                 remove some that have ended, or add workers."
                    .to_owned(),
            );
            text.passed = Some(PassedTick { at, why: PassedReason::LineFull, say });
            ticked(app, p, step(&text)).await
        }
        _ => Ok(true),
    }
}

fn tick(created_ms: i64, user: &UserId, name: &Name, before: &Schedule, becomes: Schedule) -> Tick {
    let (user, name, seen) = (user.clone(), name.clone(), before.version);
    Tick { created_ms, user, name, seen, becomes, task: None }
}

async fn ticked(app: &App, p: PartitionId, tick: Tick) -> Result<bool> {
    app.store.control(p, Control::Tick(Box::new(tick))).await?;
    Ok(true)
}

/// The task of a tick, checked as any submission is.
async fn made(
    app: &App,
    user: &UserId,
    name: &Name,
    now_ms: i64,
    at_ms: i64,
    text: &ScheduleText,
) -> std::result::Result<tasktonic_core::command::NewTask, crate::problem::Refusal> {
    let asked: SubmitRequest = serde_json::from_str(text.task.get()).map_err(|_| {
        let say = "This release cannot read the task of this schedule. Save the schedule anew.";
        crate::problem::Refusal::new(Code::ScheduleInvalid, say)
    })?;
    let origin = Origin {
        schedule: Some((name.to_string(), Some(at_ms))),
        ..Origin::asked(task_of(user, name, at_ms), Reserved::Refused)
    };
    Ok(check_as(app, user, now_ms, asked, origin).await?.new)
}

/// The id of the task of a tick: the same whoever makes it, and however often.
fn task_of(user: &UserId, name: &Name, at_ms: i64) -> TaskId {
    let mut hash = Sha256::new();
    for part in [user.as_str(), name.as_str()] {
        // Neither holds a line break.
        hash.update(part);
        hash.update("\n");
    }
    hash.update(at_ms.to_be_bytes());
    let digest = hash.finalize();
    let (first, _) = digest.split_at(8);
    TaskId::new(at_ms, u64::from_be_bytes(first.try_into().expect("eight bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tick_of_each_schedule_has_an_id_of_its_own_which_sorts_by_its_time() {
        let (ana, ben) = (UserId::encode("ana"), UserId::encode("ben"));
        let (a, b): (Name, Name) = ("a".parse().unwrap(), "b".parse().unwrap());
        let id = task_of(&ana, &a, 1_700_000_000_000);
        assert_eq!(task_of(&ana, &a, 1_700_000_000_000), id);
        assert!(task_of(&ana, &a, 1_700_000_000_001) > id);
        assert_ne!(task_of(&ana, &b, 1_700_000_000_000), id);
        assert_ne!(task_of(&ben, &a, 1_700_000_000_000), id);
    }
}
