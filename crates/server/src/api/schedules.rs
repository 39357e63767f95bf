//! Schedules of a user: made, changed, declared as a set, looked at; and run at once. What happens
//! when they come is in `ticks`.

mod declare;
mod define;
mod ticks;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use tasktonic_core::command::{Control, Submit};
use tasktonic_core::limits::SCHEDULES_MAX;
use tasktonic_core::partition::KeptSchedule;
use tasktonic_core::reply::Controlled;
use tasktonic_core::schedule::Schedule as Kept;
use tasktonic_core::{Name, TaskId, UserId};
use tasktonic_protocol::http::{
    PREVIEW_DEFAULT, PREVIEW_MAX, Preview, PreviewRequest, Schedule, ScheduleList, ScheduleRequest,
};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::stored::ScheduleText;
use tasktonic_schedule::Plan;
use tasktonic_store::{Query, QueryReply};

use self::define::{define, invalid, next_tick, plan, preview, shown, timed};
use super::access::{Need, check};
use super::body;
use super::operation::{Body, Operation};
use super::read::{Named, out_of_kind, query};
use super::submit::{AROUND_BYTES_MAX, Reserved, answer, check_as, partition};
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

pub(crate) use ticks::take_due;

/// How often a schedule that changes meanwhile is looked at again.
const LOOKS_MAX: usize = 5;
/// Largest body that says when a schedule comes, in bytes.
const PREVIEW_BYTES_MAX: usize = 4 * 1024;

const LIST: &str = "/api/v1/schedules";
const ONE: &str = "/api/v1/schedules/{name}";

pub(super) fn operations() -> Vec<Operation> {
    let made = [
        Code::PayloadTooLarge,
        Code::MediaTypeUnsupported,
        Code::ScheduleInvalid,
        Code::KindUnknown,
        Code::QuotaExceeded,
        Code::StoreFull,
        Code::StoreDiskFull,
        Code::OutcomeUnknown,
    ];
    let changed = [Code::NotFound, Code::ChangedMeanwhile, Code::OutcomeUnknown];
    let one = Body::Json("Schedule");
    vec![
        Operation::get(LIST, "schedules", list).about("Your schedules, by name.").answers(
            200,
            "All of them.",
            Body::Json("ScheduleList"),
        ),
        Operation::post(LIST, "schedules", create)
            .about("Makes a schedule.")
            .takes(Body::Json("ScheduleRequest"))
            .answers(201, "It is made.", one)
            .refuses(&made)
            .refuses(&[Code::ScheduleExists]),
        declare::operation()
            .refuses(&made)
            .refuses(&[Code::ScheduleExists, Code::ChangedMeanwhile]),
        Operation::get(ONE, "schedules", get)
            .about("One schedule.")
            .answers(200, "As it is now.", one)
            .refuses(&[Code::NotFound]),
        Operation::put(ONE, "schedules", replace)
            .about("Changes a schedule whole, or makes it. What was last, and its set, stay.")
            .takes(Body::Json("ScheduleRequest"))
            .answers(200, "As it is now.", one)
            .refuses(&made)
            .refuses(&[Code::ChangedMeanwhile]),
        Operation::delete(ONE, "schedules", remove)
            .about("Removes a schedule. Tasks that it made stay.")
            .answers(204, "It is gone.", Body::Nothing)
            .refuses(&changed),
        Operation::post("/api/v1/schedules/{name}/pause", "schedules", pause)
            .about("Lets a schedule rest. What comes meanwhile is passed over.")
            .answers(200, "As it is now.", one)
            .refuses(&changed),
        Operation::post("/api/v1/schedules/{name}/resume", "schedules", resume)
            .about("Ends the rest of a schedule.")
            .answers(200, "As it is now.", one)
            .refuses(&changed),
        Operation::post("/api/v1/schedules/{name}/run", "schedules", run)
            .about("Submits the task of a schedule at once, also while it rests.")
            .answers(202, "The task.", Body::Json("Task"))
            .refuses(&made)
            .refuses(&[Code::NotFound]),
        Operation::get("/api/v1/schedules/{name}/next", "schedules", next)
            .about("When a schedule comes next, as if it did not rest.")
            .query("count", "integer", "How many ticks: 1 to 50, 5 unless said.")
            .answers(200, "Its next ticks.", Body::Json("Preview"))
            .refuses(&[Code::NotFound]),
        Operation::post("/api/v1/schedule-preview", "schedules", look_ahead)
            .about("When a schedule would come. Nothing is kept.")
            .takes(Body::Json("PreviewRequest"))
            .answers(200, "Its ticks.", Body::Json("Preview"))
            .refuses(&[Code::ScheduleInvalid, Code::PayloadTooLarge, Code::MediaTypeUnsupported]),
    ]
}

/// Schedules of a user; with a name only that one.
async fn read(app: &App, user: &UserId, name: Option<Name>) -> Result<Vec<KeptSchedule>, Refusal> {
    let query = Query::Schedules { user: user.clone(), name };
    match app.store.read(partition(app, user), query).await? {
        QueryReply::Schedules(schedules) => Ok(schedules),
        _ => Err(out_of_kind()),
    }
}

/// A schedule that has to be there, and what is asked of it.
async fn known(
    app: &App,
    user: &UserId,
    name: &Name,
) -> Result<(KeptSchedule, ScheduleText), Refusal> {
    let kept = read(app, user, Some(name.clone())).await?.pop().ok_or_else(Refusal::not_found)?;
    let text = ScheduleText::parse(&kept.schedule.text)
        .map_err(|error| Refusal::internal(&format!("schedule {name}: {error}")))?;
    Ok((kept, text))
}

/// The name in an address. One that is malformed names nothing.
fn named(text: &str) -> Result<Name, Refusal> {
    text.parse().map_err(|_| Refusal::not_found())
}

/// Keeps a schedule where `before` is still how it is; nothing where it has changed.
async fn keep(
    app: &App,
    user: &UserId,
    name: &Name,
    before: Option<&KeptSchedule>,
    becomes: Option<Kept>,
) -> Result<Option<KeptSchedule>, Refusal> {
    let seen = before.map(|before| before.schedule.version);
    let removed = Kept { version: 0, next_ms: None, text: "".into() };
    let (user, name) = (user.clone(), name.clone());
    let after = KeptSchedule {
        user: user.clone(),
        name: name.clone(),
        schedule: becomes.clone().unwrap_or(removed),
    };
    let p = partition(app, &user);
    let control = Control::Schedule { user, name, seen, becomes };
    match app.store.control(p, control).await?.first() {
        Some(Controlled::Done) => Ok(Some(after)),
        Some(Controlled::Changed | Controlled::Absent) => Ok(None),
        Some(Controlled::Full) => Err(Refusal::new(
            Code::QuotaExceeded,
            format!("You have {SCHEDULES_MAX} schedules. Remove one that you no longer need."),
        )),
        _ => Err(out_of_kind()),
    }
}

fn becomes(text: &ScheduleText, next_ms: Option<i64>) -> Kept {
    Kept { version: rand::random(), next_ms, text: text.text() }
}

/// When a changed schedule comes next: a tick that is due stays due where its times are the same.
fn next_of(
    app: &App,
    before: Option<(&KeptSchedule, &ScheduleText)>,
    text: &ScheduleText,
    plan: &Plan,
) -> Option<i64> {
    let times = |of: &ScheduleText| {
        let (cron, zone) = (of.cron.clone(), of.zone.clone());
        (cron, zone, of.every_ms, of.starts_ms, of.ends_ms, of.paused)
    };
    match before {
        Some((kept, before)) if times(before) == times(text) => kept.schedule.next_ms,
        _ => next_tick(text, plan, app.clock.now_ms()),
    }
}

fn changed() -> Refusal {
    let text = "Nothing was changed. Look at the schedule again, and send it with its present \
                `version`.";
    Refusal::new(Code::ChangedMeanwhile, text)
}

async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<ScheduleList>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let kept = read(&app, &caller.0.user, None).await?;
    let schedules = kept.iter().map(shown).collect::<Result<_, _>>()?;
    Ok(Json(ScheduleList { schedules }))
}

async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Schedule>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let (kept, _) = known(&app, &caller.0.user, &named(&name)?).await?;
    Ok(Json(shown(&kept)?))
}

async fn asked(app: &App, caller: &Caller, request: Request) -> Result<ScheduleRequest, Refusal> {
    let (parts, content) = request.into_parts();
    let bytes_max = app.limits.body_bytes_max.min(app.limits.payload_bytes_max + AROUND_BYTES_MAX);
    body::read(app, caller, &parts, content, bytes_max).await
}

async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Refusal> {
    check(&caller, Need::SubmitTasks)?;
    let asked = asked(&app, &caller, request).await?;
    let (name, user) = (define::name(&asked.name)?, &caller.0.user);
    let (text, plan) = define(&app, user, &asked, None, None).await?;
    let becomes = becomes(&text, next_of(&app, None, &text, &plan));
    let Some(kept) = keep(&app, user, &name, None, Some(becomes)).await? else {
        let text =
            format!("You have a schedule `{name}`. Choose another name, or change that one.");
        return Err(Refusal::new(Code::ScheduleExists, text));
    };
    Ok((StatusCode::CREATED, Json(shown(&kept)?)).into_response())
}

async fn replace(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Named,
    request: Request,
) -> Result<Json<Schedule>, Refusal> {
    check(&caller, Need::SubmitTasks)?;
    let (name, user) = (define::name(&name)?, &caller.0.user);
    let asked = asked(&app, &caller, request).await?;
    if !asked.name.is_empty() && asked.name != name.as_str() {
        let text =
            "`name` and the address differ. Make a schedule of the new name, and remove this.";
        return Err(Refusal::bad_request(text));
    }
    for _ in 0..LOOKS_MAX {
        let before = match read(&app, user, Some(name.clone())).await?.pop() {
            None => None,
            Some(kept) => {
                let text = ScheduleText::parse(&kept.schedule.text).ok();
                Some((kept, text))
            }
        };
        let version = before.as_ref().map(|(kept, _)| kept.schedule.version.to_string());
        if asked.version.is_some() && asked.version != version {
            return Err(changed());
        }
        let known = before.as_ref().and_then(|(_, text)| text.as_ref());
        let set = known.and_then(|known| known.set.clone());
        let (text, plan) = define(&app, user, &asked, set.as_deref(), known).await?;
        let next = next_of(&app, before.as_ref().map(|(kept, _)| kept).zip(known), &text, &plan);
        let before = before.as_ref().map(|(kept, _)| kept);
        if let Some(kept) = keep(&app, user, &name, before, Some(becomes(&text, next))).await? {
            return Ok(Json(shown(&kept)?));
        }
    }
    Err(changed())
}

async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Named,
) -> Result<StatusCode, Refusal> {
    check(&caller, Need::ChangeTasks)?;
    let (name, user) = (named(&name)?, &caller.0.user);
    for _ in 0..LOOKS_MAX {
        let kept = read(&app, user, Some(name.clone())).await?.pop();
        let kept = kept.ok_or_else(Refusal::not_found)?;
        if keep(&app, user, &name, Some(&kept), None).await?.is_some() {
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    Err(changed())
}

async fn rest(app: &App, user: &UserId, name: &Name, paused: bool) -> Result<Schedule, Refusal> {
    for _ in 0..LOOKS_MAX {
        let (kept, before) = known(app, user, name).await?;
        if before.paused == paused {
            return shown(&kept);
        }
        let text = ScheduleText { paused, updated_ms: app.clock.now_ms(), ..before };
        let plan = plan(&text).map_err(|fault| invalid(vec![fault]))?;
        let next = next_of(app, None, &text, &plan);
        if let Some(kept) = keep(app, user, name, Some(&kept), Some(becomes(&text, next))).await? {
            return shown(&kept);
        }
    }
    Err(changed())
}

async fn pause(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Schedule>, Refusal> {
    check(&caller, Need::ChangeTasks)?;
    Ok(Json(rest(&app, &caller.0.user, &named(&name)?, true).await?))
}

async fn resume(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Schedule>, Refusal> {
    check(&caller, Need::ChangeTasks)?;
    Ok(Json(rest(&app, &caller.0.user, &named(&name)?, false).await?))
}

async fn run(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refusal> {
    check(&caller, Need::SubmitTasks)?;
    let (name, user) = (named(&name)?, &caller.0.user);
    let (_, text) = known(&app, user, &name).await?;
    let asked = serde_json::from_str(text.task.get())
        .map_err(|error| Refusal::internal(&format!("schedule {name}: {error}")))?;
    let (now_ms, origin) = (app.clock.now_ms(), Some((name.to_string(), None)));
    let task = TaskId::new(now_ms, rand::random());
    let draft = check_as(&app, user, now_ms, asked, task, origin, Reserved::Refused).await?;
    let batch = Submit { created_ms: now_ms, tasks: vec![draft.new.clone()] };
    let outcome = app.store.submit(partition(&app, user), batch).await?.first().copied();
    let outcome = outcome.ok_or_else(out_of_kind)?;
    let (status, task) = answer(&app, user, &draft, outcome).await?;
    Ok((status, Json(task)).into_response())
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NextQuery {
    count: Option<usize>,
}

fn count(asked: Option<usize>) -> Result<usize, Refusal> {
    let count = asked.unwrap_or(PREVIEW_DEFAULT);
    if (1..=PREVIEW_MAX).contains(&count) {
        return Ok(count);
    }
    Err(Refusal::bad_request(format!("`count` is 1 to {PREVIEW_MAX}.")))
}

async fn next(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Named,
    uri: Uri,
) -> Result<Json<Preview>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let count = count(query::<NextQuery>(&uri)?.count)?;
    let (kept, text) = known(&app, &caller.0.user, &named(&name)?).await?;
    let plan = plan(&text).map_err(|fault| invalid(vec![fault]))?;
    // What it would come to on its own: from the tick that is next.
    let after_ms = kept.schedule.next_ms.map_or(app.clock.now_ms(), |next_ms| next_ms - 1);
    Ok(Json(preview(&text, &plan, after_ms, count)))
}

async fn look_ahead(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Json<Preview>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let (parts, content) = request.into_parts();
    let asked: PreviewRequest =
        body::read(&app, &caller, &parts, content, PREVIEW_BYTES_MAX).await?;
    let (count, now_ms) = (count(asked.count)?, app.clock.now_ms());
    let (text, plan) =
        timed(asked.timing(), now_ms, now_ms).map_err(|fault| invalid(vec![fault]))?;
    Ok(Json(preview(&text, &plan, now_ms, count)))
}
