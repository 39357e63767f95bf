//! What a task that waits may still be told: another time, another place in its line, another
//! payload; and the time after which nobody shall take it any more.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use tasktonic_core::command::{Control, Edit, MoveTo, Reschedule};
use tasktonic_core::reply::{Controlled, Refusal as Refused};
use tasktonic_protocol::http::{EditRequest, LinePlace, RescheduleRequest, SubmitRequest};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::stored::{Descriptor, EditEvent, StoredState, rev};
use tasktonic_protocol::task::Task;
use tasktonic_protocol::time::parse_rfc3339;
use tasktonic_store::{Error as StoreError, StoredTask};

use super::access::{Need, check};
use super::body;
use super::operation::{Body, Operation};
use super::read::{Named, id, known, shown};
use super::submit::{
    AHEAD_MS_MAX, AROUND_BYTES_MAX, bytes_full, check_payload, check_size, check_tags, partition,
};
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

/// How often a task that changes while it is moved or edited is looked at again.
const LOOKS_MAX: usize = 3;
/// Largest body of a request to move a task, in bytes.
const MOVE_BYTES_MAX: usize = 4 * 1024;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/api/v1/tasks/{id}/reschedule", "tasks", reschedule)
            .about("Gives a task that waits another time, or another place in its line.")
            .takes(Body::Json("RescheduleRequest"))
            .answers(200, "The task as it is now.", Body::Json("Task"))
            .refuses(&[
                Code::NotFound,
                Code::NotWaiting,
                Code::OutcomeUnknown,
                Code::PayloadTooLarge,
                Code::MediaTypeUnsupported,
            ]),
        Operation::post("/api/v1/tasks/{id}/edit", "tasks", edit)
            .about("Changes payload or labels of a task that waits; it keeps its place.")
            .takes(Body::Json("EditRequest"))
            .answers(200, "The task as it is now.", Body::Json("Task"))
            .refuses(&[
                Code::NotFound,
                Code::NotWaiting,
                Code::OutcomeUnknown,
                Code::BytesExceeded,
                Code::ChangedMeanwhile,
                Code::PayloadTooLarge,
                Code::MediaTypeUnsupported,
                Code::PayloadInvalid,
                Code::KindUnknown,
            ]),
    ]
}

/// A time given as such or as a distance from now; `names` are those of the two members.
pub(super) fn moment(
    (at, after_ms): (Option<&str>, Option<u64>),
    (at_name, after_name): (&str, &str),
    now_ms: i64,
) -> Result<Option<i64>, Refusal> {
    let at_ms = match (at, after_ms) {
        (Some(_), Some(_)) => {
            let text = format!("Send `{at_name}` or `{after_name}`, not both.");
            return Err(Refusal::bad_request(text));
        }
        (None, None) => return Ok(None),
        (Some(text), None) => parse_rfc3339(text).ok_or_else(|| {
            Refusal::bad_request(format!(
                "`{at_name}` is a time such as 2026-11-24T10:15:00Z (RFC 3339)."
            ))
        })?,
        (None, Some(after_ms)) => now_ms.saturating_add_unsigned(after_ms),
    };
    if at_ms > now_ms.saturating_add(AHEAD_MS_MAX) {
        let text = "A task may be scheduled, and expire, at most 366 days ahead.";
        return Err(Refusal::bad_request(text));
    }
    Ok(Some(at_ms))
}

/// When a submitted task expires: in the future, and not before it may run at all.
pub(super) fn expiry(
    asked: &SubmitRequest,
    now_ms: i64,
    due_ms: Option<i64>,
) -> Result<Option<i64>, Refusal> {
    let given = (asked.expires_at.as_deref(), asked.expire_after_ms);
    let Some(at_ms) = moment(given, ("expires_at", "expire_after_ms"), now_ms)? else {
        return Ok(None);
    };
    if at_ms <= now_ms.max(due_ms.unwrap_or(now_ms)) {
        return Err(Refusal::bad_request(
            "A task expires after now, and after the time before which it may not run.",
        ));
    }
    Ok(Some(at_ms))
}

async fn reschedule(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
    request: Request,
) -> Result<Json<Task>, Refusal> {
    check(&caller, Need::ChangeTasks)?;
    let (task, user) = (id(&task)?, &caller.0.user);
    // Before the body: what is wrong with that is nobody's business whose task it is not.
    let mut stored = known(&app, user, task).await?;
    let (parts, content) = request.into_parts();
    let asked: RescheduleRequest =
        body::read(&app, &caller, &parts, content, MOVE_BYTES_MAX).await?;
    let at_ms = app.clock.now_ms();
    let given = (asked.run_at.as_deref(), asked.delay_ms);
    let due_ms = moment(given, ("run_at", "delay_ms"), at_ms)?;
    let to = match (due_ms, asked.place) {
        (Some(due_ms), None) => MoveTo::Due(due_ms),
        (None, Some(LinePlace::Front)) => MoveTo::Front,
        (None, Some(LinePlace::Back)) => MoveTo::Back,
        _ => {
            let text = "Send one of `run_at`, `delay_ms` and `place`.";
            return Err(Refusal::bad_request(text));
        }
    };
    for _ in 0..LOOKS_MAX {
        let claim = seen(&stored)?.0;
        let tasks = vec![Reschedule { task, claim, to }];
        let control = Control::Reschedule { at_ms, user: user.clone(), tasks };
        let is_done = done(&app, &caller, control).await?;
        stored = known(&app, user, task).await?;
        if is_done {
            return Ok(Json(shown(&app, &stored, true)?));
        }
    }
    Err(changed())
}

async fn edit(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
    request: Request,
) -> Result<Json<Task>, Refusal> {
    check(&caller, Need::ChangeTasks)?;
    let (task, user) = (id(&task)?, &caller.0.user);
    let mut stored = known(&app, user, task).await?;
    let (parts, content) = request.into_parts();
    let bytes_max = app.limits.body_bytes_max.min(app.limits.payload_bytes_max + AROUND_BYTES_MAX);
    let asked: EditRequest = body::read(&app, &caller, &parts, content, bytes_max).await?;
    if asked.payload.is_none() && asked.tags.is_none() {
        return Err(Refusal::bad_request("Send `payload`, `tags`, or both."));
    }
    if let Some(tags) = &asked.tags {
        check_tags(tags)?;
    }
    let at_ms = app.clock.now_ms();
    for look in 0..LOOKS_MAX {
        let (claim, n) = seen(&stored)?;
        if asked.rev.is_some_and(|asked| asked != rev(claim, n)) {
            return Err(changed());
        }
        let mut descriptor = Descriptor::parse(&stored.descriptor)
            .map_err(|error| Refusal::internal(&format!("task {task}: {error}")))?;
        if let Some(payload) = &asked.payload {
            if look == 0 {
                check_size(&app, payload)?;
                let kind = app.api.kinds.find(&*app.store, &descriptor.kind).await?;
                check_payload(&app, user, &kind, payload, task).await?;
            }
            descriptor.payload.clone_from(payload);
        }
        if let Some(tags) = &asked.tags {
            descriptor.tags.clone_from(tags);
        }
        let event = EditEvent { ed: descriptor.tags.clone() }.members();
        let text = descriptor.text();
        let (descriptor, bytes_max) = (text.clone(), app.api.settings.bytes_max());
        let tasks = vec![Edit { task, claim, n, descriptor, bytes_max, event }];
        let control = Control::Edit { at_ms, user: user.clone(), tasks };
        let answer = done(&app, &caller, control).await;
        let before = std::mem::replace(&mut stored, known(&app, user, task).await?);
        // An answer may be lost on the way from the store: then the command comes there once more,
        // which refuses the second, and what was done must not be told as refused.
        let has_become = stored.descriptor == text && before.descriptor != text;
        if has_become || answer? {
            return Ok(Json(shown(&app, &stored, true)?));
        }
    }
    Err(changed())
}

/// Claim number and writes on it of a task as it was read.
pub(super) fn seen(stored: &StoredTask) -> Result<(u32, u32), Refusal> {
    let Some(text) = stored.state.as_deref() else { return Ok((1, 0)) };
    let state: StoredState = serde_json::from_str(text)
        .map_err(|error| Refusal::internal(&format!("task {}: {error}", stored.id)))?;
    Ok((state.c, state.n))
}

/// Whether the store did it; false where the task has changed since it was read.
async fn done(app: &App, caller: &Caller, control: Control) -> Result<bool, Refusal> {
    let answers = match app.store.control(partition(app, &caller.0.user), control).await {
        Err(StoreError::OutcomeUnknown) => {
            let detail = "The task may have been changed. Look at it before you ask again.";
            return Err(Refusal::new(Code::OutcomeUnknown, detail));
        }
        answers => answers?,
    };
    match answers.first() {
        Some(Controlled::Done | Controlled::Asked) => Ok(true),
        Some(Controlled::Changed) => Ok(false),
        Some(Controlled::Full) => Err(Refusal::internal(&"the store has no room for a change")),
        Some(Controlled::Unfit(_)) => Err(Refusal::new(
            Code::NotWaiting,
            "A worker has the task, it waits for others, or it has ended. Nothing was changed.",
        )),
        Some(Controlled::Refused(Refused::BytesFull)) => Err(bytes_full()),
        Some(Controlled::Absent | Controlled::Refused(_)) | None => Err(Refusal::no_task()),
    }
}

fn changed() -> Refusal {
    Refusal::new(
        Code::ChangedMeanwhile,
        "Nothing was changed. Look at the task again, and send the edit with its present `rev`.",
    )
}
