//! How many bytes tasks hold, and how many they may: one's own for everybody, and for operators those of
//! any user, and what holds for everybody.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use tasktonic_core::UserId;
use tasktonic_core::command::Control;
use tasktonic_core::limits::BYTES_MAX_MAX;
use tasktonic_protocol::http::{BytesChange, BytesHeld, BytesLimit};
use tasktonic_protocol::problem::Code;
use tasktonic_store::{Query, QueryReply};

use super::access::{Need, check};
use super::operation::{Body, Operation};
use super::queues::user_of;
use super::read::{Named, out_of_kind};
use super::submit::partition;
use super::{body, settings};
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

/// Largest body of a change, in bytes.
const CHANGE_BYTES_MAX: usize = 1024;

pub(super) fn operations() -> Vec<Operation> {
    let taken = [Code::PayloadTooLarge, Code::MediaTypeUnsupported];
    vec![
        Operation::get("/api/v1/me/bytes", "people", mine)
            .about("How many bytes your tasks hold, and how many they may.")
            .answers(200, "Both numbers.", Body::Json("BytesHeld")),
        Operation::get("/api/v1/users/{id}/bytes", "people", theirs)
            .about("How many bytes the tasks of a user hold, and how many they may. For operators.")
            .answers(200, "Both numbers.", Body::Json("BytesHeld")),
        Operation::post("/api/v1/users/{id}/bytes", "people", set_theirs)
            .about("Sets how many bytes the tasks of one user may hold.")
            .takes(Body::Json("BytesChange"))
            .answers(200, "What holds now.", Body::Json("BytesHeld"))
            .refuses(&taken),
        Operation::get("/api/v1/bytes", "people", of_all)
            .about("How many bytes the tasks of one user may hold. For operators.")
            .answers(200, "What holds for everybody.", Body::Json("BytesLimit")),
        Operation::post("/api/v1/bytes", "people", set_of_all)
            .about(
                "Sets how many bytes the tasks of one user may hold of whom nothing else is set.",
            )
            .takes(Body::Json("BytesChange"))
            .answers(200, "What holds now.", Body::Json("BytesLimit"))
            .refuses(&[Code::ChangedMeanwhile])
            .refuses(&taken),
    ]
}

async fn held(app: &App, user: UserId) -> Result<Json<BytesHeld>, Refusal> {
    let p = partition(app, &user);
    let QueryReply::Counts(counts) = app.store.read(p, Query::Counts { user }).await? else {
        return Err(out_of_kind());
    };
    let bytes_max = match counts.bytes_max {
        Some(own) => Some(own),
        None => settings::wanted(app).await?.bytes_max,
    };
    Ok(Json(BytesHeld { bytes: counts.bytes, bytes_max, own_max: counts.bytes_max }))
}

async fn change(app: &App, caller: &Caller, request: Request) -> Result<Option<u64>, Refusal> {
    let (parts, content) = request.into_parts();
    let asked: BytesChange = body::read(app, caller, &parts, content, CHANGE_BYTES_MAX).await?;
    if asked.bytes_max.is_some_and(|max| max > BYTES_MAX_MAX) {
        return Err(Refusal::bad_request(format!(
            "`bytes_max` is 0 to {BYTES_MAX_MAX}, or null for no limit."
        )));
    }
    Ok(asked.bytes_max)
}

async fn mine(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<BytesHeld>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    held(&app, caller.0.user.clone()).await
}

async fn theirs(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(user): Named,
) -> Result<Json<BytesHeld>, Refusal> {
    check(&caller, Need::ReadLimits)?;
    held(&app, user_of(&user)).await
}

async fn set_theirs(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(user): Named,
    request: Request,
) -> Result<Json<BytesHeld>, Refusal> {
    check(&caller, Need::ChangeLimits)?;
    let user = user_of(&user);
    let bytes_max = change(&app, &caller, request).await?;
    let control = Control::Bytes { user: user.clone(), bytes_max };
    app.store.control(partition(&app, &user), control).await?;
    held(&app, user).await
}

async fn of_all(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<BytesLimit>, Refusal> {
    check(&caller, Need::ReadLimits)?;
    Ok(Json(BytesLimit { bytes_max: settings::wanted(&app).await?.bytes_max }))
}

async fn set_of_all(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Json<BytesLimit>, Refusal> {
    check(&caller, Need::ChangeLimits)?;
    let bytes_max = change(&app, &caller, request).await?;
    settings::change_bytes_max(&app, bytes_max).await?;
    Ok(Json(BytesLimit { bytes_max }))
}
