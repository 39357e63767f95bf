//! Changing many tasks by what they have in common. The operation is a task of its own, which a worker
//! of the product runs: it has progress, it is aborted like any task, and it survives restarts.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use serde_json::value::to_raw_value;
use tasktonic_core::TaskId;
use tasktonic_core::command::Submit;
use tasktonic_protocol::http::{BULK_KIND, BulkCount, BulkOrder, BulkPayload, SubmitRequest};
use tasktonic_protocol::problem::Code;
use tasktonic_store::KillPoint;
use tasktonic_store::bulk::Selection;

use super::access::{Need, check};
use super::body;
use super::operation::{Body, Operation};
use super::submit::{self, Reserved, partition};
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

/// Largest body of an order, in bytes.
const ORDER_BYTES_MAX: usize = 16 * 1024;
/// Pages looked at for a dry run; then the number is a least one.
const COUNT_PAGES_MAX: usize = 500;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/api/v1/tasks/bulk", "tasks", bulk)
            .about("Cancels, sends back or removes all tasks that match, as a task of its own.")
            .header(
                "Idempotency-Key",
                "Makes a repetition find this operation instead of making another.",
            )
            .takes(Body::Json("BulkOrder"))
            .answers(202, "The operation: follow it, or cancel it to abort.", Body::Json("Task"))
            .answers(200, "Of a dry run: how many match.", Body::Json("BulkCount"))
            .refuses(&[
                Code::IdempotencyConflict,
                Code::PayloadTooLarge,
                Code::MediaTypeUnsupported,
                Code::KindUnknown,
                Code::QuotaExceeded,
                Code::StoreFull,
                Code::OutcomeUnknown,
                Code::StoreDiskFull,
            ]),
    ]
}

async fn bulk(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Refusal> {
    check(&caller, Need::ChangeTasks)?;
    let (parts, content) = request.into_parts();
    let BulkOrder { verb, filter, idempotency_key, dry_run } =
        body::read(&app, &caller, &parts, content, ORDER_BYTES_MAX).await?;
    let (user, now_ms) = (&caller.0.user, app.clock.now_ms());
    let now = TaskId::new(now_ms, rand::random());
    let selection =
        Selection::of(verb, &filter, user.clone(), now).map_err(Refusal::bad_request)?;
    if dry_run {
        return Ok(Json(count(&app, &selection).await?).into_response());
    }
    let payload =
        to_raw_value(&BulkPayload { verb, filter }).map_err(|error| Refusal::internal(&error))?;
    let mut asked = SubmitRequest { idempotency_key, ..SubmitRequest::new(BULK_KIND, payload) };
    submit::take_key_header(&parts.headers, &mut asked)?;
    let draft = submit::check_one(&app, user, now_ms, asked, Reserved::Allowed).await?;
    let batch = Submit { created_ms: now_ms, tasks: vec![draft.new.clone()] };
    let outcome = app.store.submit(partition(&app, user), batch).await?.first().copied();
    KillPoint::ServerBeforeReply.pass();
    let outcome = outcome.ok_or_else(|| Refusal::internal(&"the store did not answer a submit"))?;
    let (_, task) = submit::answer(&app, user, &draft, outcome).await?;
    let place = format!("/api/v1/tasks/{}", task.id);
    let mut response = (StatusCode::ACCEPTED, Json(task)).into_response();
    let place = place.parse().map_err(|error| Refusal::internal(&error))?;
    response.headers_mut().insert(LOCATION, place);
    Ok(response)
}

/// How many tasks match now.
async fn count(app: &App, selection: &Selection) -> Result<BulkCount, Refusal> {
    let (mut tasks, mut cursor) = (0, None);
    for _ in 0..COUNT_PAGES_MAX {
        let page = selection.page(&*app.store, cursor).await?;
        tasks += page.tasks.len() as u64;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(BulkCount { tasks, more: false });
        }
    }
    Ok(BulkCount { tasks, more: true })
}
