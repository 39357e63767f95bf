//! A schedule as somebody asks for it, checked and turned into what is kept; and back into what is
//! shown.

use serde_json::value::to_raw_value;
use tasktonic_core::limits::SCHEDULE_BYTES_MAX;
use tasktonic_core::partition::KeptSchedule;
use tasktonic_core::{Name, TaskId, UserId};
use tasktonic_protocol::http::{
    CatchUp, Passed, Preview, Schedule, ScheduleRequest, ScheduleStatus, SubmitRequest, Timing,
};
use tasktonic_protocol::problem::{Code, FieldError};
use tasktonic_protocol::stored::ScheduleText;
use tasktonic_protocol::time::{parse_rfc3339, rfc3339};
use tasktonic_schedule::{self as schedule, Cron, Plan, Zone};

use crate::App;
use crate::api::json;
use crate::api::submit::{Origin, Reserved, check_as};
use crate::problem::Refusal;

/// The policy in the words of the arithmetic.
pub(super) fn catch_up(of: CatchUp) -> schedule::CatchUp {
    match of {
        CatchUp::Skip => schedule::CatchUp::Skip,
        CatchUp::One => schedule::CatchUp::One,
        CatchUp::All => schedule::CatchUp::All,
    }
}

fn fault(pointer: &str, detail: impl ToString) -> FieldError {
    FieldError { pointer: pointer.to_owned(), detail: detail.to_string() }
}

/// A schedule that cannot be as it is asked for.
pub(super) fn invalid(faults: Vec<FieldError>) -> Refusal {
    let text = "Nothing was changed. Correct the members listed in `errors`, then send it again.";
    Refusal::new(Code::ScheduleInvalid, text).with_errors(faults)
}

/// The ticks of a kept schedule.
pub(super) fn plan(text: &ScheduleText) -> Result<Plan, FieldError> {
    let plan = match (&text.cron, text.every_ms) {
        (Some(cron), None) => {
            let cron: Cron = cron.parse().map_err(|error| fault("/cron", error))?;
            let zone = text.zone.as_deref().unwrap_or("UTC");
            Plan::cron(cron, Zone::named(zone).map_err(|error| fault("/zone", error))?)
        }
        (None, Some(_)) if text.zone.is_some() => {
            return Err(fault("/zone", "an interval has no time zone; leave `zone` out"));
        }
        (None, Some(ms)) => {
            let from_ms = text.starts_ms.unwrap_or(text.created_ms);
            Plan::every(ms, from_ms).map_err(|error| fault("/every_ms", error))?
        }
        _ => return Err(fault("", "send one of `cron` and `every_ms`")),
    };
    Ok(plan.between(text.starts_ms, text.ends_ms))
}

/// The text of a schedule with this timing and an empty task, and its ticks.
pub(super) fn timed(
    timing: Timing,
    now_ms: i64,
    created_ms: i64,
) -> Result<(ScheduleText, Plan), FieldError> {
    let time = |pointer: &str, text: Option<&str>| match text {
        None => Ok(None),
        Some(text) => parse_rfc3339(text).map(Some).ok_or_else(|| {
            fault(pointer, "a time is written as in 2026-11-24T10:15:00Z (RFC 3339)")
        }),
    };
    let starts_ms = time("/starts_at", timing.starts_at.as_deref())?;
    let ends_ms = time("/ends_at", timing.ends_at.as_deref())?;
    let mut text = ScheduleText {
        v: ScheduleText::V,
        cron: timing.cron.map(|cron| cron.split_whitespace().collect::<Vec<_>>().join(" ")),
        zone: timing.zone,
        every_ms: timing.every_ms,
        starts_ms,
        ends_ms,
        catch_up: CatchUp::default(),
        paused: false,
        set: None,
        created_ms,
        updated_ms: now_ms,
        last: None,
        passed: None,
        task: to_raw_value(&()).expect("null serialises"),
    };
    let plan = plan(&text)?;
    if text.cron.is_some() {
        // As the database spells it, so that all say the same.
        let zone = Zone::named(text.zone.as_deref().unwrap_or("UTC"));
        text.zone = zone.ok().map(|zone| zone.name().to_owned());
    }
    if plan.next_after(now_ms).is_none() {
        let pointer = if ends_ms.is_some() { "/ends_at" } else { "" };
        return Err(fault(pointer, "no tick is ahead: it would never come"));
    }
    Ok((text, plan))
}

/// The schedule that is asked for, checked whole. What was last stays.
pub(super) async fn define(
    app: &App,
    user: &UserId,
    asked: &ScheduleRequest,
    set: Option<&str>,
    before: Option<&ScheduleText>,
) -> Result<(ScheduleText, Plan), Refusal> {
    let now_ms = app.clock.now_ms();
    let created_ms = before.map_or(now_ms, |before| before.created_ms);
    let (text, plan) =
        timed(asked.timing(), now_ms, created_ms).map_err(|fault| invalid(vec![fault]))?;
    check_task(app, user, now_ms, &asked.task).await?;
    let text = ScheduleText {
        catch_up: asked.catch_up,
        paused: asked.paused.unwrap_or(before.is_some_and(|before| before.paused)),
        set: set.map(ToOwned::to_owned),
        last: before.and_then(|before| before.last.clone()),
        passed: before.and_then(|before| before.passed.clone()),
        task: to_raw_value(&asked.task).map_err(|error| Refusal::internal(&error))?,
        ..text
    };
    let bytes = text.text().len();
    if bytes > SCHEDULE_BYTES_MAX {
        let detail = format!("a schedule has at most {SCHEDULE_BYTES_MAX} bytes, this has {bytes}");
        return Err(invalid(vec![fault("/task/payload", detail)]));
    }
    Ok((text, plan))
}

/// Checks the task of a schedule as a submission of now; faults have their place in the schedule.
async fn check_task(
    app: &App,
    user: &UserId,
    now_ms: i64,
    asked: &SubmitRequest,
) -> Result<(), Refusal> {
    let mut faults = Vec::new();
    for (member, is_there) in [
        ("run_at", asked.run_at.is_some()),
        ("delay_ms", asked.delay_ms.is_some()),
        ("expires_at", asked.expires_at.is_some()),
        ("idempotency_key", asked.idempotency_key.is_some()),
    ] {
        if is_there {
            let detail = "the task of a schedule has none; leave it out";
            faults.push(fault(&format!("/task/{member}"), detail));
        }
    }
    if !faults.is_empty() {
        return Err(invalid(faults));
    }
    let kind = app.api.kinds.find(&*app.store, &asked.kind).await?;
    json::check_depth(asked.payload.get().as_bytes())?;
    let value = json::strict_value(asked.payload.get()).map_err(|fault| in_payload(vec![fault]))?;
    let files = kind.check(&value).map_err(in_payload)?;
    if !files.is_empty() {
        let detail = "a schedule keeps no file, so that its tasks could not find it; submit such \
                      tasks when they are wanted";
        let faults = files.iter().map(|file| fault(&file.pointer, detail)).collect();
        return Err(in_payload(faults));
    }
    let origin = Origin::asked(TaskId::new(now_ms, 0), Reserved::Refused);
    let draft = check_as(app, user, now_ms, asked.clone(), origin).await;
    draft.map(drop).map_err(|refusal| match refusal.code {
        Code::SubmissionInvalid => {
            let faults = refusal.errors.into_iter();
            let in_task = |of: FieldError| fault(&format!("/task{}", of.pointer), of.detail);
            invalid(faults.map(in_task).collect())
        }
        _ => refusal,
    })
}

fn in_payload(faults: Vec<FieldError>) -> Refusal {
    let place = |of: FieldError| fault(&format!("/task/payload{}", of.pointer), of.detail);
    invalid(faults.into_iter().map(place).collect())
}

/// When a schedule comes next from now on: after the last tick too, which clocks that are put back
/// must not bring again.
pub(super) fn next_tick(text: &ScheduleText, plan: &Plan, now_ms: i64) -> Option<i64> {
    let last_ms = text.last.as_ref().map_or(i64::MIN, |(at_ms, _)| *at_ms);
    if text.paused { None } else { plan.next_after(now_ms.max(last_ms)) }
}

/// The name of a schedule.
pub(super) fn name(text: &str) -> Result<Name, Refusal> {
    // Dots alone mean something else in an address.
    let known = text.parse().ok();
    let known = known.filter(|name: &Name| name.is_plain() && text.bytes().any(|b| b != b'.'));
    known.ok_or_else(|| {
        invalid(vec![fault("/name", "a name is 1 to 64 characters of A-Z a-z 0-9 _ . -")])
    })
}

/// A schedule as it is shown.
pub(super) fn shown(kept: &KeptSchedule) -> Result<Schedule, Refusal> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Refusal::internal(&format!("schedule {}: {error}", kept.name))
    };
    let text = ScheduleText::parse(&kept.schedule.text).map_err(|error| unreadable(&error))?;
    let task = serde_json::from_str(text.task.get()).map_err(|error| unreadable(&error))?;
    let words = plan(&text).map_or_else(|fault| fault.detail, |plan| plan.words());
    let status = match (text.paused, kept.schedule.next_ms) {
        (true, _) => ScheduleStatus::Paused,
        (false, Some(_)) => ScheduleStatus::Active,
        (false, None) => ScheduleStatus::Ended,
    };
    let (last_at, last_task) = text.last.map(|(at, task)| (rfc3339(at), task)).unzip();
    Ok(Schedule {
        name: kept.name.to_string(),
        version: kept.schedule.version.to_string(),
        set: text.set,
        words,
        cron: text.cron,
        zone: text.zone,
        every_ms: text.every_ms,
        starts_at: text.starts_ms.map(rfc3339),
        ends_at: text.ends_ms.map(rfc3339),
        catch_up: text.catch_up,
        status,
        next_at: kept.schedule.next_ms.map(rfc3339),
        last_at,
        last_task,
        passed: text.passed.map(|of| Passed { at: rfc3339(of.at), reason: of.why, detail: of.say }),
        created_at: rfc3339(text.created_ms),
        updated_at: rfc3339(text.updated_ms),
        task,
    })
}

/// What comes after `after_ms`.
pub(super) fn preview(text: &ScheduleText, plan: &Plan, after_ms: i64, count: usize) -> Preview {
    Preview {
        words: plan.words(),
        zone: text.zone.clone(),
        next: plan.upcoming(after_ms, count).into_iter().map(rfc3339).collect(),
    }
}
