//! The tasks of a flow as they are asked for, checked and put into an order before anything is
//! stored. Never asks the store.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tasktonic_core::command::{After as CoreAfter, NewTask, Node};
use tasktonic_core::limits::LINKS_MAX;
use tasktonic_core::{TaskId, UserId};
use tasktonic_protocol::http::{
    FLOW_KIND, FLOW_NAME_CHARS_MAX, FLOW_TASKS_MAX, FlowTask, SubmitRequest,
};
use tasktonic_protocol::priority::Priority;
use tasktonic_protocol::problem::{Code, FieldError};
use tasktonic_protocol::stored::{Descriptor, SubmitEvent};

use super::submit::{Origin, Reserved, check_as};
use crate::App;
use crate::problem::Refusal;

/// The id asked for, or a new one.
pub(super) fn fresh(app: &App, asked: Option<&str>) -> Result<TaskId, Refusal> {
    let Some(text) = asked else {
        return Ok(TaskId::new(app.clock.now_ms(), rand::random()));
    };
    text.parse().map_err(|_| {
        Refusal::bad_request("`id` is an id such as tasks have: make one, or leave it out.")
    })
}

/// The id of a named task of a flow: the same name is the same task.
fn named(flow: TaskId, name: &str) -> TaskId {
    let bytes = flow.to_bytes();
    let mut hash = Sha256::new();
    hash.update(bytes);
    hash.update(name);
    let digest = hash.finalize();
    let mut own = [0; 12];
    own[..6].copy_from_slice(&bytes[..6]);
    own[6..].copy_from_slice(&digest[..6]);
    TaskId::from_bytes(own)
}

/// The task that a flow is, or a batch that nothing runs after.
pub(super) fn gathering(
    app: &App,
    user: &UserId,
    task: TaskId,
    tags: Vec<String>,
) -> Result<NewTask, Refusal> {
    let event = SubmitEvent {
        k: FLOW_KIND.into(),
        q: None,
        max: 1,
        tags: tags.clone(),
        key: None,
        to: None,
    };
    let descriptor = Descriptor {
        v: Descriptor::V,
        kind: FLOW_KIND.into(),
        queue: FLOW_KIND.into(),
        created_ms: app.clock.now_ms(),
        attempts_max: 1,
        backoff: None,
        rules: Vec::new(),
        crashes_max: None,
        soft_timeout_ms: None,
        timeout_ms: None,
        keep_s: None,
        due_ms: None,
        schedule: None,
        tags,
        key: None,
        name: None,
        serial_key: None,
        priority: Priority::Normal,
        payload: RawValue::from_string("{}".into()).expect("an empty object is JSON"),
    };
    let queue = FLOW_KIND.parse().map_err(|error| Refusal::internal(&error))?;
    Ok(NewTask {
        event: event.members(),
        lane_max: app.limits.lane_max,
        bytes_max: app.api.settings.bytes_max(),
        ..NewTask::new(user.clone(), task, queue, descriptor.text())
    })
}

pub(super) async fn checked(
    app: &App,
    user: &UserId,
    asked: SubmitRequest,
    (task, name): (TaskId, Option<String>),
) -> Result<NewTask, Refusal> {
    if asked.idempotency_key.is_some() {
        return Err(Refusal::bad_request(
            "A task of a flow has no idempotency key: its name, and the id of the flow, say that it \
             is the same.",
        ));
    }
    let origin = Origin { name, ..Origin::asked(task, Reserved::Refused) };
    Ok(check_as(app, user, app.clock.now_ms(), asked, origin).await?.new)
}

fn fault(at: usize, rest: &str, detail: impl Into<String>) -> FieldError {
    FieldError { pointer: format!("/tasks/{at}{rest}"), detail: detail.into() }
}

pub(super) fn invalid(errors: Vec<FieldError>) -> Refusal {
    Refusal::new(
        Code::FlowInvalid,
        "Nothing was stored. Correct what `errors` lists, then send it again.",
    )
    .with_errors(errors)
}

/// The tasks of a request, checked whole, each after those that it waits for.
pub(super) async fn draft(
    app: &App,
    user: &UserId,
    flow: TaskId,
    tasks: Vec<FlowTask>,
) -> Result<Vec<Node>, Refusal> {
    if tasks.is_empty() || tasks.len() > FLOW_TASKS_MAX {
        return Err(Refusal::bad_request(format!(
            "`tasks` has 1 to {FLOW_TASKS_MAX} tasks. Add more to the flow with further requests."
        )));
    }
    let order = sorted(&tasks).map_err(invalid)?;
    let ids: Vec<TaskId> = tasks
        .iter()
        .map(|task| match &task.name {
            Some(name) => named(flow, name),
            None => TaskId::new(app.clock.now_ms(), rand::random()),
        })
        .collect();
    let names: HashMap<String, TaskId> =
        tasks.iter().zip(&ids).filter_map(|(task, id)| Some((task.name.clone()?, *id))).collect();
    let mut nodes: BTreeMap<usize, Node> = BTreeMap::new();
    for (at, task) in tasks.into_iter().enumerate() {
        let mut after = Vec::with_capacity(task.after.len());
        for one in &task.after {
            // A name of this request, of an earlier one, or an id.
            let older = names.get(one.task()).copied().or_else(|| one.task().parse().ok());
            let older = older.unwrap_or_else(|| named(flow, one.task()));
            after.push(CoreAfter { task: older, on_failure: one.on_failure().into() });
        }
        let distinct: HashSet<TaskId> = after.iter().map(|after| after.task).collect();
        if distinct.len() < after.len() {
            return Err(invalid(vec![fault(at, "/after", "names a task twice")]));
        }
        if after.len() > LINKS_MAX {
            let text = format!("a task waits for {LINKS_MAX} others at most");
            return Err(invalid(vec![fault(at, "/after", text)]));
        }
        let new = checked(app, user, task.task, (ids[at], task.name)).await?;
        if new.due_ms.is_some() && !after.is_empty() {
            let text = "waits for others and for a time; one of them is enough";
            return Err(invalid(vec![fault(at, "/task", text)]));
        }
        nodes.insert(at, Node { new, part_of: Some(flow), gathers: None, after });
    }
    Ok(order.into_iter().filter_map(|at| nodes.remove(&at)).collect())
}

/// The order in which no task stands before one that it waits for; what is wrong otherwise.
fn sorted(tasks: &[FlowTask]) -> Result<Vec<usize>, Vec<FieldError>> {
    let mut faults = Vec::new();
    let mut names: HashMap<&str, usize> = HashMap::new();
    for (at, task) in tasks.iter().enumerate() {
        let Some(name) = task.name.as_deref() else { continue };
        let chars = name.chars().count();
        if !(1..=FLOW_NAME_CHARS_MAX).contains(&chars) || name.chars().any(char::is_control) {
            let text =
                format!("is 1 to {FLOW_NAME_CHARS_MAX} characters without control characters");
            faults.push(fault(at, "/name", text));
        }
        if names.insert(name, at).is_some() {
            faults.push(fault(at, "/name", format!("{name:?} is the name of two tasks")));
        }
    }
    let inside = |task: &FlowTask| -> Vec<usize> {
        task.after.iter().filter_map(|after| names.get(after.task()).copied()).collect()
    };
    let mut left: Vec<usize> = tasks.iter().map(|task| inside(task).len()).collect();
    let mut down: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
    for (at, task) in tasks.iter().enumerate() {
        for parent in inside(task) {
            down[parent].push(at);
        }
    }
    let mut ready: VecDeque<usize> = (0..tasks.len()).filter(|at| left[*at] == 0).collect();
    let mut order = Vec::with_capacity(tasks.len());
    while let Some(at) = ready.pop_front() {
        order.push(at);
        for child in &down[at] {
            left[*child] -= 1;
            if left[*child] == 0 {
                ready.push_back(*child);
            }
        }
    }
    for at in (0..tasks.len()).filter(|at| !order.contains(at)) {
        faults.push(fault(at, "/after", "goes round in a circle: it waits for what waits for it"));
    }
    if faults.is_empty() { Ok(order) } else { Err(faults) }
}
