//! Flows, batches and ties as they are read. Never changes anything.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Deserialize;
use tasktonic_core::links::{Gather, Links, OnFailure};
use tasktonic_core::{TaskId, UserId};
use tasktonic_protocol::http::{
    FLOW_PAGE_MAX, Flow, FlowNode, FlowSort, LinkedTask, PartOf, RollUp, TaskLinks, Tie,
};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::status::TaskStatus;
use tasktonic_protocol::stored::Descriptor;
use tasktonic_store::{Query, QueryReply, StoredTask};

use super::access::{Need, check};
use super::operation::{Body, Operation};
use super::read::{Named, id, known, out_of_kind, query, shown, some};
use super::submit::partition;
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

/// Tasks that are named in the answer to why one waits.
const NAMED_MAX: usize = 10;

pub(super) fn operations() -> Vec<Operation> {
    let paged = |operation: Operation| {
        operation
            .query("cursor", "string", "The `next_cursor` of the page before.")
            .answers(200, "With a page of its tasks.", Body::Json("Flow"))
            .refuses(&[Code::NotFound])
    };
    vec![
        paged(
            Operation::get("/api/v1/flows/{id}", "flows", read)
                .about("A flow: how far it is, and its graph."),
        ),
        paged(
            Operation::get("/api/v1/batches/{id}", "flows", read)
                .about("A batch: how far it is, and its tasks."),
        ),
        Operation::get("/api/v1/tasks/{id}/links", "flows", links)
            .about("What a task waits for, who waits for it, and its flow or batch.")
            .answers(200, "Its ties; none where it stands alone.", Body::Json("TaskLinks"))
            .refuses(&[Code::NotFound]),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    cursor: Option<String>,
}

async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
    uri: Uri,
) -> Result<Json<Flow>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let Page { cursor } = query(&uri)?;
    let after = cursor.as_deref().map(id).transpose()?;
    Ok(Json(flow(&app, &caller.0.user, id(&task)?, after).await?))
}

async fn links(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
) -> Result<Json<TaskLinks>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let (task, user) = (id(&task)?, &caller.0.user);
    known(&app, user, task).await?;
    let Some(links) = links_of(&app, user, vec![task]).await?.pop().flatten() else {
        return Ok(Json(TaskLinks::default()));
    };
    let mut ids: Vec<TaskId> = links.up.iter().map(|up| up.task).collect();
    ids.extend(&links.down);
    let ends = Ends::of(&app, user, ids).await?;
    let linked = |id: &TaskId, on_failure| ends.linked(&app, *id, on_failure);
    let waits_for =
        links.up.iter().map(|up| linked(&up.task, up.on_failure)).collect::<Result<_, _>>()?;
    let of_children = links_of(&app, user, links.down.clone()).await?;
    let mut leads_to = Vec::with_capacity(links.down.len());
    for (child, ties) in links.down.iter().zip(of_children) {
        let up = ties.as_ref().and_then(|ties| ties.up.iter().find(|up| up.task == task));
        leads_to.push(linked(child, up.map_or(OnFailure::Fail, |up| up.on_failure))?);
    }
    let part_of = match links.part {
        Some(part) => {
            let flow = links_of(&app, user, vec![part.of]).await?.pop().flatten();
            flow.and_then(|flow| flow.gather).map(|gather| in_short(part.of, &gather))
        }
        None => None,
    };
    let gathers = links.gather.map(|gather| in_short(task, &gather));
    Ok(Json(TaskLinks { part_of, gathers, waits_for, leads_to }))
}

/// Tasks at the other ends of ties.
struct Ends(HashMap<TaskId, StoredTask>);

impl Ends {
    async fn of(app: &App, user: &UserId, ids: Vec<TaskId>) -> Result<Self, Refusal> {
        let stored = some(app, user, ids).await?;
        Ok(Self(stored.into_iter().map(|task| (task.id, task)).collect()))
    }

    fn linked(&self, app: &App, id: TaskId, on_failure: OnFailure) -> Result<LinkedTask, Refusal> {
        let (name, kind, status) = match self.0.get(&id) {
            Some(stored) => {
                let (name, kind, status) = summary(app, stored)?;
                (name, Some(kind), Some(status))
            }
            None => (None, None, None),
        };
        let on_failure = on_failure.into();
        Ok(LinkedTask { id: id.to_string(), name, kind, status, on_failure })
    }
}

/// What a waiting task waits for, in a sentence, and some of the tasks; nothing once it waits no more.
pub(super) async fn waiting_for(
    app: &App,
    user: &UserId,
    task: TaskId,
) -> Result<Option<(String, Vec<LinkedTask>)>, Refusal> {
    let Some(links) = links_of(app, user, vec![task]).await?.pop().flatten() else {
        return Ok(None);
    };
    if let Some(gather) = links.gather.filter(|gather| gather.pending() > 0) {
        let (ended, total) = (gather.ended(), gather.total);
        let text = match (gather.sealed, gather.runs) {
            (false, _) => format!(
                "It is open: {total} tasks so far, of which {ended} have ended. Seal it when all are added."
            ),
            (true, true) => {
                format!("It runs when all its tasks have ended: {ended} of {total} so far.")
            }
            (true, false) => {
                format!("It ends when all its tasks have ended: {ended} of {total} so far.")
            }
        };
        return Ok(Some((text, Vec::new())));
    }
    let left: Vec<_> = links.up.iter().filter(|up| !up.told).collect();
    let some = &left[..left.len().min(NAMED_MAX)];
    let ends = Ends::of(app, user, some.iter().map(|up| up.task).collect()).await?;
    let named = some.iter().map(|up| ends.linked(app, up.task, up.on_failure));
    let named = named.collect::<Result<Vec<_>, _>>()?;
    if named.is_empty() {
        return Ok(None);
    }
    let word = |task: &LinkedTask| {
        let name = task.name.as_ref().or(task.kind.as_ref()).unwrap_or(&task.id);
        match task.status {
            Some(status) => format!("{name} ({})", status.name()),
            None => name.clone(),
        }
    };
    let mut words: Vec<String> = named.iter().map(word).collect();
    if left.len() > named.len() {
        words.push(format!("{} more", left.len() - named.len()));
    }
    Ok(Some((format!("It waits for others to end: {}.", words.join(", ")), named)))
}

/// A flow or batch with the page of its tasks after `after`.
pub(super) async fn flow(
    app: &App,
    user: &UserId,
    task: TaskId,
    after: Option<TaskId>,
) -> Result<Flow, Refusal> {
    let stored = known(app, user, task).await?;
    let links = links_of(app, user, vec![task]).await?.pop().flatten();
    let gather = links.and_then(|links| links.gather).ok_or_else(Refusal::not_found)?;
    let parts = parts_after(app, user, task, after).await?;
    let next = (parts.len() == FLOW_PAGE_MAX as usize).then(|| parts.last()).flatten();
    let next_cursor = next.map(ToString::to_string);
    let ties = links_of(app, user, parts.clone()).await?;
    let ties: HashMap<TaskId, Option<Links>> = parts.iter().copied().zip(ties).collect();
    let mut tasks = Vec::with_capacity(parts.len());
    for part in some(app, user, parts).await? {
        let (name, kind, status) = summary(app, &part)?;
        let ups = ties.get(&part.id).and_then(Option::as_ref).map(|links| links.up.clone());
        let tie = |up: tasktonic_core::links::Up| Tie {
            id: up.task.to_string(),
            on_failure: up.on_failure.into(),
            ended: up.told,
        };
        let after = ups.unwrap_or_default().into_iter().map(tie).collect();
        tasks.push(FlowNode { id: part.id.to_string(), name, kind, status, after });
    }
    let PartOf { sort, sealed, roll_up, .. } = in_short(task, &gather);
    Ok(Flow { task: shown(app, &stored, true)?, sort, sealed, roll_up, tasks, next_cursor })
}

fn summary(
    app: &App,
    stored: &StoredTask,
) -> Result<(Option<String>, String, TaskStatus), Refusal> {
    let task = shown(app, stored, false)?;
    let name = Descriptor::parse(&stored.descriptor).ok().and_then(|of| of.name);
    Ok((name, task.kind, task.status))
}

fn in_short(task: TaskId, gather: &Gather) -> PartOf {
    let Gather { grows, sealed, total, completed, cancelled, dead, .. } = *gather;
    PartOf {
        id: task.to_string(),
        sort: if grows { FlowSort::Flow } else { FlowSort::Batch },
        sealed,
        roll_up: RollUp { total, completed, failed: dead, cancelled },
    }
}

/// The ties of tasks, in order.
pub(super) async fn links_of(
    app: &App,
    user: &UserId,
    tasks: Vec<TaskId>,
) -> Result<Vec<Option<Links>>, Refusal> {
    let query = Query::Links { user: user.clone(), tasks };
    match app.store.read(partition(app, user), query).await? {
        QueryReply::Links(links) => Ok(links),
        _ => Err(out_of_kind()),
    }
}

async fn parts_after(
    app: &App,
    user: &UserId,
    task: TaskId,
    after: Option<TaskId>,
) -> Result<Vec<TaskId>, Refusal> {
    let query = Query::Parts { user: user.clone(), task, after, limit: FLOW_PAGE_MAX };
    match app.store.read(partition(app, user), query).await? {
        QueryReply::Parts(parts) => Ok(parts),
        _ => Err(out_of_kind()),
    }
}

/// All parts of a flow or batch.
pub(super) async fn all_parts(
    app: &App,
    user: &UserId,
    task: TaskId,
) -> Result<Vec<TaskId>, Refusal> {
    let mut all: Vec<TaskId> = Vec::new();
    loop {
        let page = parts_after(app, user, task, all.last().copied()).await?;
        let is_last = page.len() < FLOW_PAGE_MAX as usize;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}
