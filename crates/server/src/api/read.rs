//! Reading tasks: a page of them, how many there are, one whole.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::Uri;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tasktonic_core::search::Search;
use tasktonic_core::{TaskId, UserId};
use tasktonic_protocol::http::{Counts, TaskPage};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::status::{STATUSES, TaskStatus};
use tasktonic_protocol::task::Task;
use tasktonic_protocol::time::parse_rfc3339;
use tasktonic_store::limits::LIST_TIME_MAX;
use tasktonic_store::{Cursor, Query, QueryReply, StoredTask, TaskFilter};

use super::access::{Need, check};
use super::operation::{Body, Operation};
use super::submit::{TAG_CHARS_MAX, partition};
use crate::door::Caller;
use crate::problem::Refusal;
use crate::{App, live};

/// Tasks on a page unless the request says otherwise.
const PAGE_DEFAULT: u32 = 50;
/// Most tasks on a page.
pub(super) const PAGE_MAX: u32 = tasktonic_store::limits::LIST_MAX;
/// Pages of the store looked through for one page of a status that the store does not tell apart
/// (`retrying` from `scheduled`, `cancelling` from `running`).
const LOOKS_MAX: usize = 10;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/tasks", "tasks", list)
            .about(
                "A page of your tasks, newest first, without payload and output. Where many are looked \
                 through it may be short, even empty, and have a `next_cursor` all the same.",
            )
            .query("status", "string", "One or more statuses, separated by commas.")
            .query("kind", "string", "Of this kind.")
            .query("queue", "string", "In this queue.")
            .query("tag", "string", "With this tag.")
            .query(
                "q",
                "string",
                "That these words find, whatever their case: each at the beginning of the id, or of a \
                 word of kind, queue, tags or the error of a task that failed.",
            )
            .query("since", "string", "Created at or after; RFC 3339.")
            .query("until", "string", "Created before; RFC 3339.")
            .query("limit", "integer", "Tasks on the page, 1 to 200; 50 unless said.")
            .query("cursor", "string", "`next_cursor` of the page before.")
            .answers(200, "The page.", Body::Json("TaskPage")),
        Operation::get("/api/v1/tasks/counts", "tasks", counts)
            .about("How many of your tasks there are, by status.")
            .answers(200, "The counts.", Body::Json("Counts")),
        Operation::get("/api/v1/tasks/{id}", "tasks", get)
            .about("One task with payload and output.")
            .answers(200, "The task.", Body::Json("Task"))
            .refuses(&[Code::NotFound]),
    ]
}

/// The query of an address; unknown parameters are refused, so that a misspelt one is noticed.
pub(super) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refusal> {
    axum::extract::Query::<T>::try_from_uri(uri).map(|query| query.0).map_err(|_| {
        Refusal::bad_request(
            "The query of the address cannot be read. See `/openapi.json` for its parameters.",
        )
    })
}

/// The task id in an address. One that is malformed names nothing.
pub(super) fn id(text: &str) -> Result<TaskId, Refusal> {
    text.parse().map_err(|_| Refusal::not_found())
}

/// The id in an address, as it is spelled. One that cannot even be read names nothing.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(text)| Self(text)).map_err(|_| Refusal::not_found())
    }
}

/// Tasks of a user, those that are there.
pub(super) async fn some(
    app: &App,
    user: &UserId,
    tasks: Vec<TaskId>,
) -> Result<Vec<StoredTask>, Refusal> {
    let query = Query::Tasks { user: user.clone(), tasks };
    match app.store.read(partition(app, user), query).await? {
        QueryReply::Tasks(tasks) => Ok(tasks),
        _ => Err(out_of_kind()),
    }
}

/// A task of a user.
pub(super) async fn one(
    app: &App,
    user: &UserId,
    task: TaskId,
) -> Result<Option<StoredTask>, Refusal> {
    Ok(some(app, user, vec![task]).await?.pop())
}

/// A task of a user, which has to be there.
pub(super) async fn known(app: &App, user: &UserId, task: TaskId) -> Result<StoredTask, Refusal> {
    one(app, user, task).await?.ok_or_else(Refusal::no_task)
}

/// A store that answered another question than was asked.
pub(super) fn out_of_kind() -> Refusal {
    Refusal::internal(&"the store answered another question than was asked")
}

/// A stored task as the API shows it; `whole` adds payload and output.
pub(super) fn shown(app: &App, stored: &StoredTask, whole: bool) -> Result<Task, Refusal> {
    Task::from_stored(
        &stored.id.to_string(),
        &stored.descriptor,
        stored.state.as_deref(),
        stored.cancel_asked,
        app.store.durability().name(),
        whole,
    )
    .map_err(|error| Refusal::internal(&format!("task {}: {error}", stored.id)))
}

async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
) -> Result<Json<Task>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let stored = known(&app, &caller.0.user, id(&task)?).await?;
    Ok(Json(shown(&app, &stored, true)?))
}

async fn counts(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Counts>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let user = &caller.0.user;
    let query = Query::Counts { user: user.clone() };
    let QueryReply::Counts(counts) = app.store.read(partition(&app, user), query).await? else {
        return Err(out_of_kind());
    };
    Ok(Json(live::counts(&counts)))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ListQuery {
    status: Option<String>,
    kind: Option<String>,
    queue: Option<String>,
    tag: Option<String>,
    q: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// What a list asks for: the store's part of it, and the statuses it has to be one of.
struct Wanted {
    filter: TaskFilter,
    statuses: Vec<TaskStatus>,
    limit: u32,
    cursor: Option<Cursor>,
}

impl ListQuery {
    fn wanted(self) -> Result<Wanted, Refusal> {
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        let mut statuses = Vec::new();
        for name in text(self.status).iter().flat_map(|list| list.split(',')) {
            let Some(status) = TaskStatus::from_name(name) else {
                let all: Vec<_> = STATUSES.iter().map(|status| status.name()).collect();
                let all = all.join(", ");
                return Err(Refusal::bad_request(format!("`status` is one or more of {all}.")));
            };
            if !statuses.contains(&status) {
                statuses.push(status);
            }
        }
        let mut states: Vec<_> = statuses.iter().map(|status| status.state()).collect();
        states.dedup();
        let time = |name, text: Option<String>| match text {
            None => Ok(None),
            Some(text) => parse_rfc3339(&text).map(Some).ok_or_else(|| {
                let hint = "is a time such as 2026-11-24T10:15:00Z (RFC 3339)";
                Refusal::bad_request(format!("`{name}` {hint}."))
            }),
        };
        let tag = text(self.tag);
        if tag.as_ref().is_some_and(|tag| tag.chars().count() > TAG_CHARS_MAX) {
            return Err(Refusal::bad_request(format!(
                "A tag has at most {TAG_CHARS_MAX} characters."
            )));
        }
        let search = Search::of(self.q.as_deref().unwrap_or_default())
            .map_err(|error| Refusal::bad_request(format!("`q`: {error}.")))?;
        let limit = self.limit.unwrap_or(PAGE_DEFAULT);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(Refusal::bad_request(format!("`limit` is 1 to {PAGE_MAX}.")));
        }
        let cursor = match text(self.cursor) {
            None => None,
            Some(text) => Some(Cursor(text.parse().map_err(|_| {
                Refusal::bad_request("`cursor` is the `next_cursor` of the page before.")
            })?)),
        };
        let filter = TaskFilter {
            states,
            kind: text(self.kind),
            queue: text(self.queue),
            tag,
            id_prefix: None,
            search,
            since_ms: time("since", text(self.since))?,
            until_ms: time("until", text(self.until))?,
        };
        Ok(Wanted { filter, statuses, limit, cursor })
    }
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<TaskPage>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let Wanted { filter, statuses, limit, mut cursor } = query::<ListQuery>(&uri)?.wanted()?;
    let user = &caller.0.user;
    let mut tasks: Vec<Task> = Vec::new();
    let since = Instant::now();
    for _ in 0..LOOKS_MAX {
        let left = limit - u32::try_from(tasks.len()).unwrap_or(limit);
        let ask = Query::List { user: user.clone(), filter: filter.clone(), cursor, limit: left };
        let QueryReply::List(page) = app.store.read(partition(&app, user), ask).await? else {
            return Err(out_of_kind());
        };
        for stored in &page.tasks {
            let task = shown(&app, stored, false)?;
            if statuses.is_empty() || statuses.contains(&task.status) {
                tasks.push(task);
            }
        }
        cursor = page.next;
        let is_late = since.elapsed() >= LIST_TIME_MAX;
        if cursor.is_none() || tasks.len() >= limit as usize || is_late {
            break;
        }
    }
    let next_cursor = cursor.map(|Cursor(task)| task.to_string());
    Ok(Json(TaskPage { tasks, next_cursor }))
}
