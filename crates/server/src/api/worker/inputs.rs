//! What became of the tasks that a held task waited for. A worker is told of tasks that its own is
//! tied to, as long as it holds it, and of no others. Changes nothing.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use tasktonic_core::{Lease, TaskId};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::worker::{InputsRequest, InputsResponse, V};
use tasktonic_store::limits::INPUTS_PAGE_MAX;
use tasktonic_store::{Query, QueryReply};

use super::known_as;
use super::sync::check_version;
use crate::App;
use crate::api::access::{Need, check};
use crate::api::body;
use crate::api::read::out_of_kind;
use crate::api::submit::partition;
use crate::door::Caller;
use crate::problem::{Refusal, lost_lease};

/// Largest question, in bytes: a lease and an id, and room for what a later version adds.
const INPUTS_BYTES_MAX: usize = 256 * 1024;

pub(super) async fn inputs(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Json<InputsResponse>, Refusal> {
    check(&caller, Need::Work)?;
    let (parts, content) = request.into_parts();
    let InputsRequest { v, lease, after } =
        body::read(&app, &caller, &parts, content, INPUTS_BYTES_MAX).await?;
    check_version(v)?;
    let Ok(lease) = lease.parse::<Lease>() else {
        return Err(Refusal::bad_request("`lease` is the token of a lease, as claimed."));
    };
    if !known_as::is_of(&caller.0.user, &lease.worker) {
        let detail = "This lease belongs to a worker of another credential.";
        return Err(Refusal::new(Code::Forbidden, detail));
    }
    let Ok(after) = after.as_deref().map(str::parse::<TaskId>).transpose() else {
        return Err(Refusal::bad_request("`after` is the `next` of the page before."));
    };
    let p = partition(&app, &lease.user);
    let ask = Query::Inputs { lease, after, limit: INPUTS_PAGE_MAX };
    let QueryReply::Inputs(page) = app.store.read(p, ask).await? else {
        return Err(out_of_kind());
    };
    let page = page.ok_or_else(lost_lease)?;
    let next = page.next.map(|id| id.to_string());
    Ok(Json(InputsResponse { v: V, inputs: page.inputs, next }))
}
