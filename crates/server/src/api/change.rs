//! Cancelling tasks, sending them back and removing them, one or many by their ids. Many by what they
//! have in common are in `bulk`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use tasktonic_core::command::{Control, Redrive, Rewrite};
use tasktonic_core::reply::{Controlled, Refusal as Refused};
use tasktonic_core::{TaskId, TaskState, UserId};
use tasktonic_protocol::http::{BulkItem, BulkReply, BulkRequest, IDS_MAX, RetryRequest};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::stored::{Descriptor, EditEvent, rev};
use tasktonic_protocol::task::Task;
use tasktonic_store::{StoredTask, change};

use super::access::{Need, check};
use super::body;
use super::operation::{Body, Operation};
use super::read::{Named, id, known, shown, some};
use super::submit::{
    AROUND_BYTES_MAX, bytes_full, check_payload, check_size, check_tags, partition,
};
use super::waiting::seen;
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

/// Largest body of a bulk request, in bytes.
const BULK_BYTES_MAX: usize = 256 * 1024;
/// How often a task that changes while it is sent back is looked at again.
const LOOKS_MAX: usize = 3;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/api/v1/tasks/{id}/cancel", "tasks", cancel)
            .about("Stops a task: one that waits at once, one that runs by asking its worker.")
            .answers(200, "The task as it is now.", Body::Json("Task"))
            .refuses(&[Code::NotFound, Code::AlreadyEnded]),
        Operation::post("/api/v1/tasks/{id}/retry", "tasks", retry)
            .about(
                "Sends a task that failed or was cancelled back to its queue, with another payload \
                 or other tags if the body has them; with a `rev`, only if the task still has it.",
            )
            .takes(Body::Json("RetryRequest"))
            .answers(200, "The task as it is now.", Body::Json("Task"))
            .refuses(&[
                Code::NotFound,
                Code::NotRetryable,
                Code::ChangedMeanwhile,
                Code::BytesExceeded,
                Code::PayloadTooLarge,
                Code::MediaTypeUnsupported,
                Code::PayloadInvalid,
                Code::KindUnknown,
            ]),
        Operation::post("/api/v1/tasks/{id}/purge", "tasks", purge)
            .about("Removes a task that has ended, now and with all that is kept of it.")
            .answers(204, "It is gone.", Body::Nothing)
            .refuses(&[Code::NotFound, Code::NotEnded]),
        Operation::post("/api/v1/tasks/cancel", "tasks", cancel_many)
            .about("Stops up to 1,000 tasks.")
            .takes(Body::Json("BulkRequest"))
            .answers(200, "What became of each, in order.", Body::Json("BulkReply"))
            .refuses(&[Code::PayloadTooLarge, Code::MediaTypeUnsupported]),
        Operation::post("/api/v1/tasks/retry", "tasks", retry_many)
            .about("Sends up to 1,000 tasks back to their queues.")
            .takes(Body::Json("BulkRequest"))
            .answers(200, "What became of each, in order.", Body::Json("BulkReply"))
            .refuses(&[Code::PayloadTooLarge, Code::MediaTypeUnsupported]),
        Operation::post("/api/v1/tasks/purge", "tasks", purge_many)
            .about("Removes up to 1,000 tasks that have ended.")
            .takes(Body::Json("BulkRequest"))
            .answers(200, "What became of each, in order.", Body::Json("BulkReply"))
            .refuses(&[Code::PayloadTooLarge, Code::MediaTypeUnsupported]),
    ]
}

/// What is asked of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Cancel,
    Retry,
    Purge,
}

async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
) -> Result<Json<Task>, Refusal> {
    single(&app, &caller, Verb::Cancel, &task).await
}

async fn retry(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
    request: Request,
) -> Result<Json<Task>, Refusal> {
    let (parts, content) = request.into_parts();
    if content.is_end_stream() {
        return single(&app, &caller, Verb::Retry, &task).await;
    }
    check(&caller, Need::ChangeTasks)?;
    let (task, user) = (id(&task)?, &caller.0.user);
    // Before the body: what is wrong with that is nobody's business whose task it is not.
    let stored = known(&app, user, task).await?;
    let bytes_max = app.limits.body_bytes_max.min(app.limits.payload_bytes_max + AROUND_BYTES_MAX);
    let asked: RetryRequest = body::read(&app, &caller, &parts, content, bytes_max).await?;
    retry_with(&app, user, stored, asked).await
}

/// Sends a task back as one step: with another payload or other labels, and only from the end that was
/// named, if one was.
async fn retry_with(
    app: &App,
    user: &UserId,
    mut stored: StoredTask,
    asked: RetryRequest,
) -> Result<Json<Task>, Refusal> {
    let task = stored.id;
    if let Some(tags) = &asked.tags {
        check_tags(tags)?;
    }
    for look in 0..LOOKS_MAX {
        let (claim, n) = seen(&stored)?;
        if asked.rev.is_some_and(|asked| asked != rev(claim, n)) {
            return Err(Refusal::new(
                Code::ChangedMeanwhile,
                "Nothing was sent back: the task has another `rev` by now. Look at it again.",
            ));
        }
        if look == 0
            && let Some(payload) = &asked.payload
        {
            check_size(app, payload)?;
            let kind = Descriptor::parse(&stored.descriptor)
                .map_err(|error| Refusal::internal(&format!("task {task}: {error}")))?
                .kind;
            let kind = app.api.kinds.find(&*app.store, &kind).await?;
            check_payload(app, user, &kind, payload, task).await?;
        }
        let change = rewritten(app, &stored, &asked)?;
        let text = change.as_ref().map(|change| change.descriptor.clone());
        let redrive = Redrive { change, ..change::redrive(&stored)? };
        let at_ms = app.clock.now_ms();
        let control = Control::Redrive { at_ms, user: user.clone(), tasks: vec![redrive] };
        let answers = app.store.control(partition(app, user), control).await?;
        let outcome = answers.first().copied().unwrap_or(Controlled::Absent);
        let before = std::mem::replace(&mut stored, known(app, user, task).await?);
        let is_as_asked = text.as_ref().is_none_or(|text| stored.descriptor == *text);
        if is_as_asked && has_become(Verb::Retry, &before, Some(&stored))? {
            break;
        }
        if outcome != Controlled::Changed || look + 1 == LOOKS_MAX {
            if text.is_some() || !sent_back_by_parts(app, user, task, outcome).await? {
                refused(Verb::Retry, outcome)?;
            }
            stored = known(app, user, task).await?;
            break;
        }
    }
    Ok(Json(shown(app, &stored, true)?))
}

/// A task with what is asked to be other from now on, if anything is.
fn rewritten(
    app: &App,
    stored: &StoredTask,
    asked: &RetryRequest,
) -> Result<Option<Rewrite>, Refusal> {
    if asked.payload.is_none() && asked.tags.is_none() {
        return Ok(None);
    }
    let mut descriptor = Descriptor::parse(&stored.descriptor)
        .map_err(|error| Refusal::internal(&format!("task {}: {error}", stored.id)))?;
    if let Some(payload) = &asked.payload {
        descriptor.payload.clone_from(payload);
    }
    if let Some(tags) = &asked.tags {
        descriptor.tags.clone_from(tags);
    }
    // Whoever shows the task knows by this that the payload may be another one.
    let event = EditEvent { ed: descriptor.tags.clone() }.members();
    let (descriptor, bytes_max) = (descriptor.text(), app.api.settings.bytes_max());
    Ok(Some(Rewrite { descriptor, bytes_max, event }))
}

async fn single(app: &App, caller: &Caller, verb: Verb, task: &str) -> Result<Json<Task>, Refusal> {
    check(caller, Need::ChangeTasks)?;
    change_one(app, &caller.0.user, verb, id(task)?).await
}

async fn change_one(
    app: &App,
    user: &UserId,
    verb: Verb,
    task: TaskId,
) -> Result<Json<Task>, Refusal> {
    let outcome = ask_store(app, user, verb, vec![task]).await?.remove(&task);
    let outcome = outcome.unwrap_or(Controlled::Absent);
    if verb != Verb::Retry || !sent_back_by_parts(app, user, task, outcome).await? {
        refused(verb, outcome)?;
    }
    let stored = known(app, user, task).await?;
    Ok(Json(shown(app, &stored, true)?))
}

/// What ends with its parts is tried again by trying these again: whether some were sent back.
async fn sent_back_by_parts(
    app: &App,
    user: &UserId,
    task: TaskId,
    outcome: Controlled,
) -> Result<bool, Refusal> {
    let by_parts = matches!(outcome, Controlled::Unfit(TaskState::Dead | TaskState::Cancelled))
        && super::flows::is_flow(app, user, task).await?;
    Ok(by_parts && super::flows::send_back(app, user, task).await? > 0)
}

async fn purge(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
) -> Result<StatusCode, Refusal> {
    check(&caller, Need::ChangeTasks)?;
    let task = id(&task)?;
    let outcome = ask_store(&app, &caller.0.user, Verb::Purge, vec![task]).await?.remove(&task);
    refused(Verb::Purge, outcome.unwrap_or(Controlled::Absent))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn purge_many(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Json<BulkReply>, Refusal> {
    many(&app, &caller, Verb::Purge, request).await
}

async fn cancel_many(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Json<BulkReply>, Refusal> {
    many(&app, &caller, Verb::Cancel, request).await
}

async fn retry_many(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Json<BulkReply>, Refusal> {
    many(&app, &caller, Verb::Retry, request).await
}

async fn many(
    app: &App,
    caller: &Caller,
    verb: Verb,
    request: Request,
) -> Result<Json<BulkReply>, Refusal> {
    check(caller, Need::ChangeTasks)?;
    let (parts, content) = request.into_parts();
    let bytes_max = app.limits.body_bytes_max.min(BULK_BYTES_MAX);
    let BulkRequest { ids } = body::read(app, caller, &parts, content, bytes_max).await?;
    if ids.is_empty() || ids.len() > IDS_MAX {
        return Err(Refusal::bad_request(format!("`ids` has 1 to {IDS_MAX} task ids.")));
    }
    let user = &caller.0.user;
    let mut tasks: Vec<TaskId> = ids.iter().filter_map(|text| text.parse().ok()).collect();
    tasks.sort_unstable();
    tasks.dedup();
    let outcomes = ask_store(app, user, verb, tasks.clone()).await?;
    let after = some(app, user, tasks).await?;
    let after: HashMap<TaskId, StoredTask> =
        after.into_iter().map(|stored| (stored.id, stored)).collect();
    let item = |text: String| {
        let known: Option<TaskId> = text.parse().ok();
        let outcome = known.and_then(|task| outcomes.get(&task).copied());
        let result = refused(verb, outcome.unwrap_or(Controlled::Absent)).and_then(|()| {
            if verb == Verb::Purge {
                return Ok(None);
            }
            let stored = known.and_then(|task| after.get(&task)).ok_or_else(Refusal::no_task)?;
            shown(app, stored, false).map(Some)
        });
        match result {
            Ok(task) => BulkItem { id: text, task, error: None },
            Err(refusal) => BulkItem { id: text, task: None, error: Some(refusal.problem(None)) },
        }
    };
    Ok(Json(BulkReply { results: ids.into_iter().map(item).collect() }))
}

/// The refusal that goes with an outcome, if it is one.
pub(super) fn refused(verb: Verb, outcome: Controlled) -> Result<(), Refusal> {
    match (outcome, verb) {
        (Controlled::Done | Controlled::Asked, _) => Ok(()),
        (Controlled::Refused(Refused::BytesFull), _) => Err(bytes_full()),
        (Controlled::Absent | Controlled::Refused(_), _) => Err(Refusal::no_task()),
        (Controlled::Full, _) => Err(Refusal::internal(&"the store has no room for a change")),
        (Controlled::Unfit(_) | Controlled::Changed, Verb::Cancel) => Err(Refusal::new(
            Code::AlreadyEnded,
            "There is nothing left to stop. Look at the task to see how it ended.",
        )),
        (Controlled::Unfit(_), Verb::Purge) => Err(Refusal::new(
            Code::NotEnded,
            "Cancel it first, or wait until it has ended. Nothing was removed.",
        )),
        (Controlled::Changed, Verb::Purge) => Err(Refusal::new(
            Code::NotEnded,
            "The task was sent back at the same moment. Look at it again.",
        )),
        (Controlled::Unfit(_), Verb::Retry) => Err(Refusal::new(
            Code::NotRetryable,
            "Wait until the task has failed or was cancelled, or submit it anew. In a flow, what it \
             waits for goes first: send back what failed there, or the whole flow.",
        )),
        (Controlled::Changed, Verb::Retry) => Err(Refusal::new(
            Code::NotRetryable,
            "The task changed at the same moment. Look at it again.",
        )),
    }
}

/// Whether a task has become what `verb` asks for, between the two times that it was read. An answer
/// may be lost on the way from the store: then the command comes there once more, which refuses the
/// second, and what was done must not be told as refused.
fn has_become(
    verb: Verb,
    before: &StoredTask,
    after: Option<&StoredTask>,
) -> Result<bool, Refusal> {
    let life = |task: &StoredTask| -> Result<_, Refusal> {
        let state = change::state(task)?;
        let named = state.as_ref().and_then(|state| TaskState::from_name(&state.s));
        Ok((named.unwrap_or(TaskState::Queued), state.map_or(1, |state| state.c)))
    };
    let (state, claim) = life(before)?;
    let Some(after) = after else { return Ok(verb == Verb::Purge && state.is_terminal()) };
    let (state_after, claim_after) = life(after)?;
    Ok(match verb {
        Verb::Cancel => {
            !state.is_terminal() && state_after == TaskState::Cancelled && claim_after == claim
        }
        Verb::Retry => state.is_terminal() && claim_after > claim,
        Verb::Purge => false,
    })
}

/// Asks the store, in as many calls as its limits want; one outcome per task.
pub(super) async fn ask_store(
    app: &App,
    user: &UserId,
    verb: Verb,
    tasks: Vec<TaskId>,
) -> Result<HashMap<TaskId, Controlled>, Refusal> {
    let mut outcomes = HashMap::new();
    let mut seen = HashMap::new();
    let mut left = tasks;
    for _ in 0..LOOKS_MAX {
        let stored = some(app, user, left.clone()).await?;
        for task in &stored {
            seen.entry(task.id).or_insert_with(|| task.clone());
        }
        for control in controls(app, user, verb, &stored)? {
            let named = change::named(&control);
            let answers = app.store.control(partition(app, user), control).await?;
            outcomes.extend(named.into_iter().zip(answers));
        }
        left.retain(|task| outcomes.get(task) == Some(&Controlled::Changed));
        if left.is_empty() {
            break;
        }
    }
    let is_refused = |outcome| !matches!(outcome, Controlled::Done | Controlled::Asked);
    let doubted = outcomes.iter().filter(|(_, outcome)| is_refused(**outcome));
    let doubted: Vec<TaskId> = doubted.map(|(task, _)| *task).collect();
    if !doubted.is_empty() {
        let after = some(app, user, doubted.clone()).await?;
        let after: HashMap<_, _> = after.iter().map(|task| (task.id, task)).collect();
        for task in doubted {
            let Some(before) = seen.get(&task) else { continue };
            if has_become(verb, before, after.get(&task).copied())? {
                outcomes.insert(task, Controlled::Done);
            }
        }
    }
    Ok(outcomes)
}

/// The commands for tasks as they stand.
fn controls(
    app: &App,
    user: &UserId,
    verb: Verb,
    stored: &[StoredTask],
) -> Result<Vec<Control>, Refusal> {
    let at_ms = app.clock.now_ms();
    let stored = stored.iter();
    Ok(match verb {
        Verb::Cancel => {
            let kept = stored.map(|task| Ok((task.id, change::keep_cancelled_s(task, at_ms)?)));
            let kept = kept.collect::<Result<Vec<_>, Refusal>>()?;
            change::cancels(user, at_ms, "cancelled by user", kept)
        }
        Verb::Retry => {
            let asked = stored.map(change::redrive).collect::<Result<Vec<_>, _>>()?;
            change::redrives(user, at_ms, &asked)
        }
        Verb::Purge => {
            let asked = stored.map(change::purge).collect::<Result<Vec<_>, _>>()?;
            change::purges(user, at_ms, &asked)
        }
    })
}
