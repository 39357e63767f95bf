//! Cancelling tasks and sending them back, one or many.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use tasktonic_core::command::{Control, Redrive};
use tasktonic_core::limits::CONTROL_TASKS_MAX;
use tasktonic_core::policy::keep_s;
use tasktonic_core::reply::Controlled;
use tasktonic_core::{TaskId, TaskState, UserId};
use tasktonic_protocol::http::{BulkItem, BulkReply, BulkRequest, IDS_MAX};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::stored::{Descriptor, StateBody, StoredState};
use tasktonic_protocol::task::Task;
use tasktonic_store::StoredTask;

use super::access::{Need, check};
use super::body;
use super::history::last_attempt;
use super::operation::{Body, Operation};
use super::read::{Named, id, shown, some};
use super::submit::partition;
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
            .about("Sends a task that failed or was cancelled back to its queue.")
            .answers(200, "The task as it is now.", Body::Json("Task"))
            .refuses(&[Code::NotFound, Code::NotRetryable]),
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
    ]
}

/// What is asked of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Cancel,
    Retry,
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
) -> Result<Json<Task>, Refusal> {
    single(&app, &caller, Verb::Retry, &task).await
}

async fn single(app: &App, caller: &Caller, verb: Verb, task: &str) -> Result<Json<Task>, Refusal> {
    check(caller, Need::ChangeTasks)?;
    let (task, user) = (id(task)?, &caller.0.user);
    let outcome = change(app, user, verb, vec![task]).await?.remove(&task);
    refused(verb, outcome.unwrap_or(Controlled::Absent))?;
    let stored = super::read::known(app, user, task).await?;
    Ok(Json(shown(app, &stored, true)?))
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
    let outcomes = change(app, user, verb, tasks.clone()).await?;
    let after = some(app, user, tasks).await?;
    let after: HashMap<TaskId, StoredTask> =
        after.into_iter().map(|stored| (stored.id, stored)).collect();
    let item = |text: String| {
        let known: Option<TaskId> = text.parse().ok();
        let outcome = known.and_then(|task| outcomes.get(&task).copied());
        let result = refused(verb, outcome.unwrap_or(Controlled::Absent)).and_then(|()| {
            let stored = known.and_then(|task| after.get(&task)).ok_or_else(Refusal::not_found)?;
            shown(app, stored, false)
        });
        match result {
            Ok(task) => BulkItem { id: text, task: Some(task), error: None },
            Err(refusal) => BulkItem { id: text, task: None, error: Some(refusal.problem(None)) },
        }
    };
    Ok(Json(BulkReply { results: ids.into_iter().map(item).collect() }))
}

/// The refusal that goes with an outcome, if it is one.
fn refused(verb: Verb, outcome: Controlled) -> Result<(), Refusal> {
    match (outcome, verb) {
        (Controlled::Done | Controlled::Asked, _) => Ok(()),
        (Controlled::Absent, _) => Err(Refusal::not_found()),
        (Controlled::Full, _) => Err(Refusal::internal(&"the store has no room for a change")),
        (Controlled::Unfit(_) | Controlled::Changed, Verb::Cancel) => Err(Refusal::new(
            Code::AlreadyEnded,
            "There is nothing left to stop. Look at the task to see how it ended.",
        )),
        (Controlled::Unfit(_), Verb::Retry) => Err(Refusal::new(
            Code::NotRetryable,
            "Wait until the task has failed or was cancelled, or submit it anew.",
        )),
        (Controlled::Changed, Verb::Retry) => Err(Refusal::new(
            Code::NotRetryable,
            "The task changed at the same moment. Look at it again.",
        )),
    }
}

/// Asks the store, in as many calls as its limits want; one outcome per task.
async fn change(
    app: &App,
    user: &UserId,
    verb: Verb,
    tasks: Vec<TaskId>,
) -> Result<HashMap<TaskId, Controlled>, Refusal> {
    let mut outcomes = HashMap::new();
    let mut left = tasks;
    for _ in 0..LOOKS_MAX {
        let stored = some(app, user, left.clone()).await?;
        for control in controls(app, user, verb, &stored)? {
            let named: Vec<TaskId> = match &control {
                Control::Cancel { tasks, .. } => tasks.clone(),
                Control::Redrive { tasks, .. } => tasks.iter().map(|asked| asked.task).collect(),
                // Not among those of `controls`.
                _ => Vec::new(),
            };
            let answers = app.store.control(partition(app, user), control).await?;
            outcomes.extend(named.into_iter().zip(answers));
        }
        left.retain(|task| outcomes.get(task) == Some(&Controlled::Changed));
        if left.is_empty() {
            break;
        }
    }
    Ok(outcomes)
}

/// The commands for tasks as they stand. How long a cancelled task is kept is its own affair, and
/// one command has one answer to that.
fn controls(
    app: &App,
    user: &UserId,
    verb: Verb,
    stored: &[StoredTask],
) -> Result<Vec<Control>, Refusal> {
    let at_ms = app.clock.now_ms();
    if verb == Verb::Retry {
        let mut asked = Vec::with_capacity(stored.len());
        for task in stored {
            asked.push(redrive(task)?);
        }
        let control = |tasks: &[Redrive]| Control::Redrive {
            at_ms,
            user: user.clone(),
            tasks: tasks.to_vec(),
        };
        return Ok(asked.chunks(CONTROL_TASKS_MAX).map(control).collect());
    }
    let body = StateBody { reason: Some("cancelled by user".into()), ..StateBody::default() };
    let body = body.members();
    let mut by_keep: BTreeMap<u32, Vec<TaskId>> = BTreeMap::new();
    for task in stored {
        let keep = match Descriptor::parse(&task.descriptor) {
            Ok(d) => keep_s(
                d.retention().of(TaskState::Cancelled),
                d.key.as_ref().map(|(_, at)| *at),
                at_ms,
            ),
            Err(error) => return Err(Refusal::internal(&format!("task {}: {error}", task.id))),
        };
        by_keep.entry(keep).or_default().push(task.id);
    }
    let mut controls = Vec::new();
    for (keep_s, tasks) in by_keep {
        for tasks in tasks.chunks(CONTROL_TASKS_MAX) {
            let (user, tasks, body) = (user.clone(), tasks.to_vec(), body.clone());
            controls.push(Control::Cancel { at_ms, user, tasks, body, keep_s });
        }
    }
    Ok(controls)
}

fn redrive(stored: &StoredTask) -> Result<Redrive, Refusal> {
    let state = stored.state.as_deref().map(serde_json::from_str::<StoredState>).transpose();
    let state =
        state.map_err(|error| Refusal::internal(&format!("task {}: {error}", stored.id)))?;
    Ok(Redrive {
        task: stored.id,
        claim: state.map_or(1, |state| state.c),
        attempt: last_attempt(stored)?.map(|attempt| attempt.text()),
    })
}
