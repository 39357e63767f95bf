//! Submitting a task: every check before anything is stored, then one store call.

mod key;
mod line;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::value::RawValue;
use tasktonic_core::command::{Expiry, NewTask, Submit};
use tasktonic_core::policy::{Backoff as CoreBackoff, keep_s};
use tasktonic_core::reply::Submitted;
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{TaskId, UserId};
use tasktonic_protocol::http::{BUILT_IN, SubmitRequest};
use tasktonic_protocol::problem::{Code, FieldError};
use tasktonic_protocol::stored::{Descriptor, SubmitEvent};
use tasktonic_protocol::task::Task;
use tasktonic_store::KillPoint;

use super::access::{Need, check};
use super::kinds::Compiled;
use super::operation::{Body, Operation};
use super::{body, json, read, waiting};
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

/// How far ahead a task may be scheduled: 366 days.
pub(super) const AHEAD_MS_MAX: i64 = 366 * 24 * 3_600 * 1_000;
/// Labels on one task.
pub(super) const TAGS_MAX: usize = 32;
/// Longest label, in characters.
pub(super) const TAG_CHARS_MAX: usize = 64;
/// What may stand around the payload in the body of one submission, in bytes.
pub(super) const AROUND_BYTES_MAX: usize = 64 * 1024;
/// When to come back to a full line, in seconds.
const LANE_RETRY_S: u64 = 10;
/// When somebody who may hold no more may try again, in s: so long the shortest retention lasts.
const BYTES_RETRY_S: u64 = 60;

/// The header that does what the member `idempotency_key` does.
pub(super) const KEY_HEADER: &str = "idempotency-key";

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/api/v1/tasks", "tasks", submit)
            .about("Submits a task.")
            .header(
                "Idempotency-Key",
                "Makes a repetition find this task instead of making another.",
            )
            .takes(Body::Json("SubmitRequest"))
            .answers(202, "It is accepted, with the durability it says.", Body::Json("Task"))
            .answers(
                200,
                "A task that has the key does for this one: that task.",
                Body::Json("Task"),
            )
            .refuses(&[Code::IdempotencyConflict])
            .refuses(REFUSES),
    ]
}

/// What refuses a new task, alone or tied to others.
pub(super) const REFUSES: &[Code] = &[
    Code::PayloadTooLarge,
    Code::MediaTypeUnsupported,
    Code::PayloadInvalid,
    Code::SubmissionInvalid,
    Code::KindUnknown,
    Code::QuotaExceeded,
    Code::BytesExceeded,
    Code::StoreFull,
    Code::OutcomeUnknown,
    Code::StoreDiskFull,
];

/// Whether a kind of the product's own may be submitted: only its own routes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reserved {
    Allowed,
    Refused,
}

/// What is known of a task before anybody looks at its submission.
pub(super) struct Origin {
    /// Its id.
    pub(super) task: TaskId,
    /// The schedule that makes it, and at which tick.
    pub(super) schedule: Option<(String, Option<i64>)>,
    /// Its name in the flow it is a part of.
    pub(super) name: Option<String>,
    pub(super) reserved: Reserved,
}

impl Origin {
    /// A task that somebody asks for.
    pub(super) const fn asked(task: TaskId, reserved: Reserved) -> Self {
        Self { task, schedule: None, name: None, reserved }
    }
}

/// A task that may be stored: everything about it was checked.
pub(super) struct Draft {
    /// What the store is given.
    pub(super) new: NewTask,
    /// Where it will be in the schedule, wall clock, ms.
    due_ms: Option<i64>,
}

async fn submit(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Refusal> {
    check(&caller, Need::SubmitTasks)?;
    let (parts, content) = request.into_parts();
    let bytes_max = app.limits.body_bytes_max.min(app.limits.payload_bytes_max + AROUND_BYTES_MAX);
    let mut asked: SubmitRequest = body::read(&app, &caller, &parts, content, bytes_max).await?;
    take_key_header(&parts.headers, &mut asked)?;
    let user = &caller.0.user;
    let now_ms = app.clock.now_ms();
    let draft = check_one(&app, user, now_ms, asked, Reserved::Refused).await?;
    let batch = Submit { created_ms: now_ms, tasks: vec![draft.new.clone()] };
    let p = partition(&app, user);
    let outcome = app.store.submit(p, batch).await?.first().copied();
    KillPoint::ServerBeforeReply.pass();
    let outcome = outcome.ok_or_else(|| Refusal::internal(&"the store did not answer a submit"))?;
    let (status, task) = answer(&app, user, &draft, outcome).await?;
    let place = format!("/api/v1/tasks/{}", task.id);
    let mut response = (status, Json(task)).into_response();
    let place = place.parse().map_err(|error| Refusal::internal(&error))?;
    response.headers_mut().insert(LOCATION, place);
    Ok(response)
}

/// The partition of a user.
pub(super) fn partition(app: &App, user: &UserId) -> PartitionId {
    partition_of(user, app.store.partitions())
}

pub(super) fn take_key_header(
    headers: &HeaderMap,
    asked: &mut SubmitRequest,
) -> Result<(), Refusal> {
    let mut given = headers.get_all(KEY_HEADER).iter();
    let Some(header) = given.next() else { return Ok(()) };
    if given.next().is_some() {
        return Err(Refusal::bad_request("Send one `Idempotency-Key`."));
    }
    let Ok(header) = std::str::from_utf8(header.as_bytes()) else {
        return Err(Refusal::bad_request("`Idempotency-Key` has to be UTF-8."));
    };
    if asked.idempotency_key.as_ref().is_some_and(|member| member != header) {
        return Err(Refusal::bad_request(
            "`Idempotency-Key` and `idempotency_key` differ. Send one of them, or the same.",
        ));
    }
    asked.idempotency_key = Some(header.to_owned());
    Ok(())
}

/// Checks one submission whole, and attaches its files to the task it will be. Nothing of a
/// refused one stays but the note on a file that a task without record used it, which the orphan
/// sweep removes.
pub(super) async fn check_one(
    app: &App,
    user: &UserId,
    now_ms: i64,
    asked: SubmitRequest,
    reserved: Reserved,
) -> Result<Draft, Refusal> {
    let origin = Origin::asked(TaskId::new(now_ms, rand::random()), reserved);
    check_as(app, user, now_ms, asked, origin).await
}

/// The same for a task of which more is known.
pub(super) async fn check_as(
    app: &App,
    user: &UserId,
    now_ms: i64,
    asked: SubmitRequest,
    Origin { task, schedule, name, reserved }: Origin,
) -> Result<Draft, Refusal> {
    let ours = |name: &str| name.starts_with(BUILT_IN);
    let named = ours(&asked.kind) || asked.queue.as_deref().is_some_and(ours);
    if reserved == Reserved::Refused && named {
        return Err(Refusal::bad_request(
            "Kinds and queues that begin with `tasktonic.` are the product's own. For operations on many tasks \
             use `POST /api/v1/tasks/bulk`, for tasks that wait for each other `POST /api/v1/flows`.",
        ));
    }
    let due_ms = check_members(&asked, now_ms)?.or_else(|| key::quiet_until(&asked, now_ms));
    let expires_ms = waiting::expiry(&asked, now_ms, due_ms)?;
    check_size(app, &asked.payload)?;
    let kind = app.api.kinds.find(&*app.store, &asked.kind).await?;
    let queue = line::queue(&asked, &kind.record)?;
    check_payload(app, user, &kind, &asked.payload, task).await?;

    // What the kind says, and then what the submission says otherwise.
    let policy = asked.policy().or(kind.record.policy());
    let faults = policy.faults();
    if !faults.is_empty() {
        return Err(out_of_bounds(faults));
    }
    let attempts_max = policy.attempts_max.unwrap_or(kind.record.attempts_max);
    let timeout_ms = policy.timeout_ms;
    let kept = policy.keep_s();
    let idempotency = key::idempotency(&asked, now_ms, due_ms, task, kept);
    let key_until_ms = key::kept_until_ms(&asked, now_ms);
    let serial = key::serial(&asked);
    let priority = asked.priority.unwrap_or_default();
    let serial_key = asked.serial().map(ToOwned::to_owned);
    let event = SubmitEvent {
        k: asked.kind.clone(),
        q: (queue.as_str() != asked.kind).then(|| queue.to_string()),
        max: attempts_max,
        tags: asked.tags.clone(),
        key: asked.idempotency_key.clone(),
        to: timeout_ms,
    };
    let descriptor = Descriptor {
        v: Descriptor::V,
        kind: asked.kind,
        queue: queue.to_string(),
        created_ms: now_ms,
        attempts_max,
        backoff: policy.backoff.map(|backoff| CoreBackoff::from(backoff).into()),
        rules: policy.rules.unwrap_or_default(),
        crashes_max: policy.crashes_max,
        soft_timeout_ms: policy.soft_timeout_ms,
        timeout_ms,
        keep_s: kept,
        due_ms,
        schedule,
        tags: asked.tags,
        key: asked.idempotency_key.map(|key| (key, key_until_ms)),
        name,
        serial_key,
        priority,
        payload: asked.payload,
    };
    let expires = expires_ms.map(|at_ms| {
        let key_expires_ms = descriptor.key.as_ref().map(|(_, at_ms)| *at_ms);
        Expiry { at_ms, keep_s: keep_s(descriptor.retention().cancelled_s, key_expires_ms, at_ms) }
    });
    let new = NewTask {
        due_ms,
        event: event.members(),
        priority: priority.into(),
        expires,
        idempotency,
        serial,
        lane_max: app.limits.lane_max,
        bytes_max: app.api.settings.bytes_max(),
        ..NewTask::new(user.clone(), task, queue, descriptor.text())
    };
    Ok(Draft { new, due_ms })
}

/// Checks the size of a payload.
pub(super) fn check_size(app: &App, payload: &RawValue) -> Result<(), Refusal> {
    let limit = app.limits.payload_bytes_max;
    if payload.get().len() <= limit {
        return Ok(());
    }
    Err(Refusal::new(
        Code::PayloadTooLarge,
        format!("A payload has at most {limit} bytes. Store the rest as a file and send its id."),
    ))
}

/// Checks labels.
pub(super) fn check_tags(tags: &[String]) -> Result<(), Refusal> {
    if tags.len() > TAGS_MAX {
        return Err(Refusal::bad_request(format!("A task has at most {TAGS_MAX} tags.")));
    }
    let fits = |tag: &String| {
        (1..=TAG_CHARS_MAX).contains(&tag.chars().count()) && !tag.chars().any(char::is_control)
    };
    if tags.iter().all(fits) {
        return Ok(());
    }
    Err(Refusal::bad_request(format!(
        "A tag is 1 to {TAG_CHARS_MAX} characters, none of them a control character."
    )))
}

/// Checks everything but the payload; answers when the task is due.
fn check_members(asked: &SubmitRequest, now_ms: i64) -> Result<Option<i64>, Refusal> {
    let mut faults = asked.policy().faults();
    faults.extend(asked.key_faults());
    if !faults.is_empty() {
        return Err(out_of_bounds(faults));
    }
    check_tags(&asked.tags)?;
    let at = (asked.run_at.as_deref(), asked.delay_ms);
    let Some(due_ms) = waiting::moment(at, ("run_at", "delay_ms"), now_ms)? else {
        return Ok(None);
    };
    // The past means now, and is not worth remembering.
    Ok(Some(due_ms).filter(|due_ms| *due_ms > now_ms))
}

/// Checks a payload against its kind, and that every file it names is the user's.
pub(super) async fn check_payload(
    app: &App,
    user: &UserId,
    kind: &Compiled,
    payload: &RawValue,
    task: TaskId,
) -> Result<(), Refusal> {
    json::check_depth(payload.get().as_bytes())?;
    let value = json::strict_value(payload.get()).map_err(|fault| invalid(vec![fault]))?;
    let files = kind.check(&value).map_err(invalid)?;
    let (mut faults, mut attached) = (Vec::new(), BTreeSet::new());
    for file in files {
        if attached.contains(&file.id) {
            continue;
        }
        match app.files.attach(user, &file.id, task).await {
            Ok(()) => drop(attached.insert(file.id)),
            Err(tasktonic_files::Error::NotFound) => faults.push(FieldError {
                pointer: file.pointer,
                detail: "you have no such file; upload it first".into(),
            }),
            Err(error) => return Err(error.into()),
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(invalid(faults)) }
}

fn invalid(faults: Vec<FieldError>) -> Refusal {
    Refusal::new(
        Code::PayloadInvalid,
        "Nothing was stored. Correct the fields listed in `errors`, then send it again.",
    )
    .with_errors(faults)
}

/// The same for the members beside the payload; places are those in the submission.
fn out_of_bounds(faults: Vec<FieldError>) -> Refusal {
    Refusal::new(
        Code::SubmissionInvalid,
        "Nothing was stored. Correct the members listed in `errors`, then send it again.",
    )
    .with_errors(faults)
}

/// The answer to one outcome: the status and the task.
pub(super) async fn answer(
    app: &App,
    user: &UserId,
    draft: &Draft,
    outcome: Submitted,
) -> Result<(StatusCode, Task), Refusal> {
    app.metrics.submitted(word(outcome), 1);
    match outcome {
        Submitted::Accepted => Ok((StatusCode::ACCEPTED, accepted(app, draft)?)),
        Submitted::Existing(id) => match read::one(app, user, id).await? {
            Some(stored) => Ok((StatusCode::OK, read::shown(app, &stored, true)?)),
            None => Err(Refusal::new(
                Code::IdempotencyConflict,
                "The task of this key is gone. Use a new key.",
            )),
        },
        Submitted::Conflict(id) => Err(Refusal::new(
            Code::IdempotencyConflict,
            format!("The key belongs to task {id}. Use a new key, or send what was sent before."),
        )),
        Submitted::LaneFull => Err(lane_full()),
        Submitted::BytesFull => Err(bytes_full()),
    }
}

/// How many may wait is for the store to say: the queue or the user may have a limit of their own.
pub(super) fn lane_full() -> Refusal {
    Refusal::new(
        Code::QuotaExceeded,
        "As many of your tasks wait in this queue as may. Wait until some are worked off.",
    )
    .retry_after(LANE_RETRY_S)
}

/// How many bytes they may hold is for the store to say: the user may have a limit of their own.
pub(super) fn bytes_full() -> Refusal {
    Refusal::new(
        Code::BytesExceeded,
        "Remove some of your tasks that have ended, or wait until they are removed by themselves.",
    )
    .retry_after(BYTES_RETRY_S)
}

/// The outcome in the figures for operators.
fn word(outcome: Submitted) -> &'static str {
    match outcome {
        Submitted::Accepted => "accepted",
        Submitted::Existing(_) => "existing",
        Submitted::Conflict(_) => "conflict",
        Submitted::LaneFull => "lane_full",
        Submitted::BytesFull => "bytes_full",
    }
}

/// The task as it stands in the moment of its acceptance: known without asking the store again.
fn accepted(app: &App, draft: &Draft) -> Result<Task, Refusal> {
    let at_ms =
        draft.new.task.to_bytes()[..6].iter().fold(0_i64, |ms, b| (ms << 8) | i64::from(*b));
    let expires = draft.new.expires.map_or(String::new(), |Expiry { at_ms, keep_s }| {
        format!(r#","exp":{at_ms},"keep":{keep_s}"#)
    });
    let (name, due) = match draft.due_ms {
        Some(due_ms) => ("scheduled", format!(r#","due":{due_ms}"#)),
        None => ("queued", String::new()),
    };
    let written = draft.due_ms.is_some() || draft.new.expires.is_some();
    let state = written
        .then(|| format!(r#"{{"s":"{name}","c":1,"n":0,"at":{at_ms}{expires},"a":1{due}}}"#));
    Task::from_stored(
        &draft.new.task.to_string(),
        &draft.new.descriptor,
        state.as_deref(),
        false,
        app.store.durability().name(),
        true,
    )
    .map_err(|error| Refusal::internal(&error))
}
