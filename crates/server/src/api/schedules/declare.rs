//! A set of schedules declared whole: what is not in the declaration is removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use tasktonic_core::limits::SCHEDULES_MAX;
use tasktonic_core::partition::KeptSchedule;
use tasktonic_core::{Name, UserId};
use tasktonic_protocol::http::{ScheduleRequest, ScheduleSet, ScheduleSetReply};
use tasktonic_protocol::problem::{Code, FieldError};
use tasktonic_protocol::stored::ScheduleText;

use super::define::{define, invalid, name};
use super::{LOOKS_MAX, becomes, changed, keep, next_of, read};
use crate::App;
use crate::api::access::{Need, check};
use crate::api::body;
use crate::api::operation::{Body, Operation};
use crate::door::Caller;
use crate::problem::Refusal;

pub(super) fn operation() -> Operation {
    Operation::put(super::LIST, "schedules", declare)
        .about("Declares a set of schedules: makes, changes and removes what differs from it.")
        .takes(Body::Json("ScheduleSet"))
        .answers(200, "What was done.", Body::Json("ScheduleSetReply"))
}

/// The user's schedules by name, with what is asked of each.
type All = BTreeMap<Name, (KeptSchedule, Option<ScheduleText>)>;

async fn all(app: &App, user: &UserId) -> Result<All, Refusal> {
    let kept = read(app, user, None).await?.into_iter();
    let with_text = |kept: KeptSchedule| {
        let text = ScheduleText::parse(&kept.schedule.text).ok();
        (kept.name.clone(), (kept, text))
    };
    Ok(kept.map(with_text).collect())
}

async fn declare(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Json<ScheduleSetReply>, Refusal> {
    check(&caller, Need::SubmitTasks)?;
    check(&caller, Need::ChangeTasks)?;
    let (parts, content) = request.into_parts();
    let bytes_max = app.limits.body_bytes_max;
    let ScheduleSet { set, schedules } =
        body::read(&app, &caller, &parts, content, bytes_max).await?;
    if !set.parse::<Name>().is_ok_and(|set| set.is_plain()) {
        let detail = "a set is named by 1 to 64 characters of A-Z a-z 0-9 _ . -".to_owned();
        return Err(invalid(vec![FieldError { pointer: "/set".into(), detail }]));
    }
    if schedules.len() > SCHEDULES_MAX {
        let detail = format!("a set has at most {SCHEDULES_MAX} schedules");
        return Err(invalid(vec![FieldError { pointer: "/schedules".into(), detail }]));
    }
    let user = &caller.0.user;
    // All of it is checked before any of it is done.
    let before = all(&app, user).await?;
    let mut wanted = BTreeMap::new();
    for (index, asked) in schedules.into_iter().enumerate() {
        let checked = checked(&app, user, &set, &before, &asked).await;
        let name = checked.map_err(|refusal| placed(refusal, index))?;
        if wanted.insert(name, asked).is_some() {
            let detail = "another one of the set has this name".to_owned();
            let pointer = format!("/schedules/{index}/name");
            return Err(invalid(vec![FieldError { pointer, detail }]));
        }
    }
    let mut reply = ScheduleSetReply::default();
    for (name, (_, text)) in &before {
        let is_of_set = text.as_ref().is_some_and(|text| text.set.as_deref() == Some(&set));
        if is_of_set && !wanted.contains_key(name) && remove(&app, user, name, &set).await? {
            reply.removed.push(name.to_string());
        }
    }
    for (name, asked) in &wanted {
        let list = match bring(&app, user, &set, name, asked).await? {
            Brought::Added => &mut reply.added,
            Brought::Changed => &mut reply.changed,
            Brought::Unchanged => &mut reply.unchanged,
        };
        list.push(name.to_string());
    }
    Ok(Json(reply))
}

/// Faults of one of a set, with their place in the declaration.
fn placed(mut refusal: Refusal, index: usize) -> Refusal {
    for error in &mut refusal.errors {
        error.pointer = format!("/schedules/{index}{}", error.pointer);
    }
    if refusal.errors.is_empty() {
        refusal.detail = format!("Of the schedules, number {}: {}", index + 1, refusal.detail);
    }
    refusal
}

async fn checked(
    app: &App,
    user: &UserId,
    set: &str,
    before: &All,
    asked: &ScheduleRequest,
) -> Result<Name, Refusal> {
    let name = name(&asked.name)?;
    let known = before.get(&name).and_then(|(_, text)| text.as_ref());
    if known.is_some_and(|known| known.set.as_deref() != Some(set)) {
        return Err(Refusal::new(
            Code::ScheduleExists,
            format!(
                "You have a schedule `{name}` that is not of this set. Nothing was changed. Remove it first, or choose another name."
            ),
        ));
    }
    define(app, user, asked, Some(set), known).await?;
    Ok(name)
}

async fn remove(app: &App, user: &UserId, name: &Name, set: &str) -> Result<bool, Refusal> {
    for _ in 0..LOOKS_MAX {
        let Some(kept) = read(app, user, Some(name.clone())).await?.pop() else { return Ok(false) };
        let text = ScheduleText::parse(&kept.schedule.text).ok();
        if text.is_none_or(|text| text.set.as_deref() != Some(set)) {
            return Ok(false);
        }
        if keep(app, user, name, Some(&kept), None).await?.is_some() {
            return Ok(true);
        }
    }
    Err(changed())
}

enum Brought {
    Added,
    Changed,
    Unchanged,
}

async fn bring(
    app: &App,
    user: &UserId,
    set: &str,
    name: &Name,
    asked: &ScheduleRequest,
) -> Result<Brought, Refusal> {
    for _ in 0..LOOKS_MAX {
        let kept = read(app, user, Some(name.clone())).await?.pop();
        let known = kept.as_ref().and_then(|kept| ScheduleText::parse(&kept.schedule.text).ok());
        let (text, plan) = define(app, user, asked, Some(set), known.as_ref()).await?;
        if known.as_ref().is_some_and(|known| known.asks_the_same(&text)) {
            return Ok(Brought::Unchanged);
        }
        let next = next_of(app, kept.as_ref().zip(known.as_ref()), &text, &plan);
        if keep(app, user, name, kept.as_ref(), Some(becomes(&text, next))).await?.is_some() {
            return Ok(if kept.is_some() { Brought::Changed } else { Brought::Added });
        }
    }
    Err(changed())
}
