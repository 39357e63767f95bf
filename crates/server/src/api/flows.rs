//! Flows and batches: accepting tasks that wait for each other, adding to them, sealing, stopping,
//! sending back. Never decides what follows from an end; the engine does.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use tasktonic_core::command::{Control, Gathers, Node};
use tasktonic_core::limits::{CONTROL_TASKS_MAX, LINKS_MAX};
use tasktonic_core::reply::{Controlled, Refusal as Refused};
use tasktonic_core::{TaskId, TaskState, UserId};
use tasktonic_protocol::http::{BatchOpenRequest, Flow, FlowAddRequest, FlowRequest, FlowRetried};
use tasktonic_protocol::problem::{Code, FieldError};
use tasktonic_protocol::stored::{Descriptor, StoredState};
use tasktonic_protocol::task::Task;
use tasktonic_store::KillPoint;

use super::access::{Need, check};
use super::body;
use super::change::{Verb, ask_store};
use super::flow_draft::{checked, draft, fresh, gathering, invalid};
use super::flow_read::{all_parts, flow, links_of};
use super::operation::{Body, Operation};
use super::read::{Named, id, known, shown, some};
use super::submit::{REFUSES, bytes_full, check_tags, lane_full, partition};
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/api/v1/flows", "flows", submit)
            .about("Submits tasks that wait for each other, all of them or none.")
            .takes(Body::Json("FlowRequest"))
            .answers(202, "It is accepted.", Body::Json("Flow"))
            .refuses(&[Code::FlowInvalid])
            .refuses(REFUSES),
        Operation::post("/api/v1/flows/{id}/tasks", "flows", add)
            .about("Adds tasks to a flow that has not ended.")
            .takes(Body::Json("FlowAddRequest"))
            .answers(202, "They are accepted.", Body::Json("Flow"))
            .refuses(&[Code::NotFound, Code::FlowClosed, Code::FlowInvalid])
            .refuses(REFUSES),
        Operation::post("/api/v1/flows/{id}/cancel", "flows", cancel)
            .about("Stops a flow with all its tasks.")
            .answers(200, "The flow as a task; its tasks follow.", Body::Json("Task"))
            .refuses(&[Code::NotFound, Code::AlreadyEnded]),
        Operation::post("/api/v1/flows/{id}/retry", "flows", retry)
            .about("Sends all tasks of a flow back that failed or were cancelled.")
            .answers(200, "How many, and the flow.", Body::Json("FlowRetried"))
            .refuses(&[Code::NotFound]),
        Operation::post("/api/v1/batches", "flows", open)
            .about("Opens a batch: add tasks, then seal it.")
            .takes(Body::Json("BatchOpenRequest"))
            .answers(202, "It is open.", Body::Json("Flow"))
            .refuses(&[Code::FlowInvalid])
            .refuses(REFUSES),
        Operation::post("/api/v1/batches/{id}/tasks", "flows", add)
            .about("Adds tasks to a batch that is not sealed.")
            .takes(Body::Json("FlowAddRequest"))
            .answers(202, "They are accepted.", Body::Json("Flow"))
            .refuses(&[Code::NotFound, Code::FlowClosed, Code::FlowInvalid])
            .refuses(REFUSES),
        Operation::post("/api/v1/batches/{id}/seal", "flows", seal)
            .about("Says that a batch has all its tasks.")
            .answers(200, "The batch.", Body::Json("Flow"))
            .refuses(&[Code::NotFound, Code::FlowClosed]),
        Operation::post("/api/v1/batches/{id}/cancel", "flows", cancel)
            .about("Stops a batch with all its tasks.")
            .answers(200, "The batch as a task; its tasks follow.", Body::Json("Task"))
            .refuses(&[Code::NotFound, Code::AlreadyEnded]),
        Operation::post("/api/v1/batches/{id}/retry", "flows", retry)
            .about("Sends all tasks of a batch back that failed or were cancelled.")
            .answers(200, "How many, and the batch.", Body::Json("FlowRetried"))
            .refuses(&[Code::NotFound]),
    ]
}

async fn submit(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Refusal> {
    check(&caller, Need::SubmitTasks)?;
    let (parts, content) = request.into_parts();
    let bytes_max = app.limits.body_bytes_max;
    let asked: FlowRequest = body::read(&app, &caller, &parts, content, bytes_max).await?;
    check_tags(&asked.tags)?;
    let root = fresh(&app, asked.id.as_deref())?;
    let user = &caller.0.user;
    let nodes = draft(&app, user, root, asked.tasks).await?;
    let mut all = vec![Node {
        new: gathering(&app, user, root, asked.tags)?,
        part_of: None,
        gathers: Some(Gathers::Flow),
        after: Vec::new(),
    }];
    all.extend(nodes);
    accept(&app, user, root, all, 1).await
}

async fn open(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Refusal> {
    check(&caller, Need::SubmitTasks)?;
    let (parts, content) = request.into_parts();
    let bytes_max = app.limits.body_bytes_max;
    let asked: BatchOpenRequest = body::read(&app, &caller, &parts, content, bytes_max).await?;
    check_tags(&asked.tags)?;
    let root = fresh(&app, asked.id.as_deref())?;
    let (user, runs) = (&caller.0.user, asked.then.is_some());
    let new = match asked.then {
        Some(then) => {
            if !asked.tags.is_empty() {
                return Err(Refusal::bad_request("Give the tags to the task of `then`."));
            }
            checked(&app, user, then, (root, None)).await?
        }
        None => gathering(&app, user, root, asked.tags)?,
    };
    if new.due_ms.is_some() {
        return Err(Refusal::bad_request(
            "What runs after a batch waits for its tasks, not for a time: leave out `run_at` and \
             `delay_ms`.",
        ));
    }
    let gathers = Some(Gathers::Batch { runs });
    let node = Node { new, part_of: None, gathers, after: Vec::new() };
    accept(&app, user, root, vec![node], 1).await
}

async fn add(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(flow): Named,
    request: Request,
) -> Result<Response, Refusal> {
    check(&caller, Need::SubmitTasks)?;
    let (root, user) = (id(&flow)?, &caller.0.user);
    known(&app, user, root).await?;
    let (parts, content) = request.into_parts();
    let bytes_max = app.limits.body_bytes_max;
    let asked: FlowAddRequest = body::read(&app, &caller, &parts, content, bytes_max).await?;
    let nodes = draft(&app, user, root, asked.tasks).await?;
    accept(&app, user, root, nodes, 0).await
}

async fn seal(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(batch): Named,
) -> Result<Json<Flow>, Refusal> {
    check(&caller, Need::SubmitTasks)?;
    let (task, user) = (id(&batch)?, &caller.0.user);
    let control = Control::Seal { at_ms: app.clock.now_ms(), user: user.clone(), task };
    let answers = app.store.control(partition(&app, user), control).await?;
    match answers.first() {
        Some(Controlled::Done) => Ok(Json(flow(&app, user, task, None).await?)),
        Some(Controlled::Unfit(_)) => Err(Refusal::new(
            Code::FlowClosed,
            "Only a batch that has not ended can be sealed, and a flow needs no seal.",
        )),
        _ => Err(Refusal::not_found()),
    }
}

async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(flow): Named,
) -> Result<Json<Task>, Refusal> {
    check(&caller, Need::ChangeTasks)?;
    let (task, user) = (id(&flow)?, &caller.0.user);
    gathers(&app, user, task).await?;
    let outcome = ask_store(&app, user, Verb::Cancel, vec![task]).await?.remove(&task);
    super::change::refused(Verb::Cancel, outcome.unwrap_or(Controlled::Absent))?;
    Ok(Json(shown(&app, &known(&app, user, task).await?, true)?))
}

async fn retry(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(flow): Named,
) -> Result<Json<FlowRetried>, Refusal> {
    check(&caller, Need::ChangeTasks)?;
    let (task, user) = (id(&flow)?, &caller.0.user);
    let sent_back = send_back(&app, user, task).await?;
    let task = shown(&app, &known(&app, user, task).await?, true)?;
    Ok(Json(FlowRetried { sent_back, task }))
}

/// Sends back what failed in a flow or batch or was cancelled; how many tasks that were.
pub(super) async fn send_back(app: &App, user: &UserId, task: TaskId) -> Result<u32, Refusal> {
    let gather = gathers(app, user, task).await?;
    let mut sent_back = 0;
    let mut order = in_order(app, user, task).await?;
    // What runs after a batch goes last: it ended after its parts did.
    order.extend(gather.runs.then_some(task));
    for chunk in order.chunks(CONTROL_TASKS_MAX) {
        let stored = some(app, user, chunk.to_vec()).await?;
        let over = |text: &str| {
            let state = serde_json::from_str::<StoredState>(text).ok();
            let state = state.and_then(|state| TaskState::from_name(&state.s));
            matches!(state, Some(TaskState::Dead | TaskState::Cancelled))
        };
        let failed: Vec<TaskId> = stored
            .iter()
            .filter(|stored| stored.state.as_deref().is_some_and(over))
            .map(|stored| stored.id)
            .collect();
        let outcomes = ask_store(app, user, Verb::Retry, failed).await?;
        let done = outcomes.values().filter(|outcome| **outcome == Controlled::Done).count();
        sent_back += u32::try_from(done).unwrap_or(u32::MAX);
    }
    Ok(sent_back)
}

/// Whether a task is a flow, or a batch that nothing runs after.
pub(super) async fn is_flow(app: &App, user: &UserId, task: TaskId) -> Result<bool, Refusal> {
    let links = links_of(app, user, vec![task]).await?.pop().flatten();
    Ok(links.and_then(|links| links.gather).is_some_and(|gather| !gather.runs))
}

/// The parts of a flow, each after those that it waits for: so they may be sent back one by one.
async fn in_order(app: &App, user: &UserId, flow: TaskId) -> Result<Vec<TaskId>, Refusal> {
    let parts = all_parts(app, user, flow).await?;
    let mut waits: HashMap<TaskId, usize> = HashMap::new();
    let mut down: HashMap<TaskId, Vec<TaskId>> = HashMap::new();
    for chunk in parts.chunks(CONTROL_TASKS_MAX) {
        for (part, links) in chunk.iter().zip(links_of(app, user, chunk.to_vec()).await?) {
            let links = links.unwrap_or_default();
            waits.insert(*part, links.up.len());
            for up in &links.up {
                down.entry(up.task).or_default().push(*part);
            }
        }
    }
    let mut ready: VecDeque<TaskId> =
        parts.iter().filter(|part| waits.get(part) == Some(&0)).copied().collect();
    // One that is gone holds up nobody.
    let gone: Vec<TaskId> = down.keys().filter(|task| !waits.contains_key(task)).copied().collect();
    ready.extend(gone);
    let mut order = Vec::with_capacity(parts.len());
    while let Some(task) = ready.pop_front() {
        if waits.contains_key(&task) {
            order.push(task);
        }
        for child in down.remove(&task).unwrap_or_default() {
            if let Some(left) = waits.get_mut(&child) {
                *left -= 1;
                if *left == 0 {
                    ready.push_back(child);
                }
            }
        }
    }
    Ok(order)
}

/// What a flow or batch has come to; not found if the task is none.
async fn gathers(
    app: &App,
    user: &UserId,
    task: TaskId,
) -> Result<tasktonic_core::links::Gather, Refusal> {
    let links = links_of(app, user, vec![task]).await?.pop().flatten();
    links.and_then(|links| links.gather).ok_or_else(Refusal::not_found)
}

/// Hands the tasks to the store; `before` of them stand before those of the request.
async fn accept(
    app: &App,
    user: &UserId,
    root: TaskId,
    nodes: Vec<Node>,
    before: usize,
) -> Result<Response, Refusal> {
    let named: Vec<String> = nodes.iter().map(name_of).collect();
    let control = Control::Flow { at_ms: app.clock.now_ms(), user: user.clone(), nodes };
    let answers = app.store.control(partition(app, user), control).await?;
    KillPoint::ServerBeforeReply.pass();
    let mut faults = Vec::new();
    for (at, answer) in answers.iter().enumerate() {
        let Controlled::Refused(why) = answer else { continue };
        let text = match why {
            Refused::Withheld => continue,
            Refused::LaneFull => return Err(lane_full()),
            Refused::BytesFull => return Err(bytes_full()),
            Refused::Closed => {
                return Err(Refusal::new(
                    Code::FlowClosed,
                    "It is sealed, has ended, or has as many tasks as one may have. Begin another.",
                ));
            }
            Refused::NoFlow => return Err(Refusal::not_found()),
            Refused::Exists => "there is a task of this name or id already".to_owned(),
            Refused::NoTask => {
                "waits for a task that is not there; name one of this flow".to_owned()
            }
            Refused::Outside => {
                "waits for a task outside of this flow; only tasks of the same flow may be waited \
                 for"
                .to_owned()
            }
            Refused::LinksFull => {
                format!("waits for a task that {LINKS_MAX} others wait for; put one between them")
            }
        };
        faults.push(match at.checked_sub(before) {
            // The order is ours, so that the place would say nothing.
            Some(_) => {
                FieldError { pointer: "/tasks".into(), detail: format!("{}: {text}", named[at]) }
            }
            None => FieldError { pointer: "/id".into(), detail: text },
        });
    }
    if !faults.is_empty() {
        return Err(invalid(faults));
    }
    let whole = flow(app, user, root, None).await?;
    let sort =
        if whole.sort == tasktonic_protocol::http::FlowSort::Flow { "flows" } else { "batches" };
    let place = format!("/api/v1/{sort}/{root}");
    let mut response = (StatusCode::ACCEPTED, Json(whole)).into_response();
    let place = place.parse().map_err(|error| Refusal::internal(&error))?;
    response.headers_mut().insert(LOCATION, place);
    Ok(response)
}

/// What a task of a flow is called in a refusal.
fn name_of(node: &Node) -> String {
    let name = Descriptor::parse(&node.new.descriptor).ok().and_then(|of| of.name);
    name.unwrap_or_else(|| node.new.task.to_string())
}
