//! Erasing all that is kept of a user: one's own, or by an administrator any.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde::Deserialize;
use tasktonic_core::UserId;
use tasktonic_protocol::http::Erasure;
use tasktonic_protocol::problem::Code;

use super::access::{Need, check};
use super::operation::{Body, Operation};
use super::read::{Named, query};
use crate::App;
use crate::door::Caller;
use crate::erasure;
use crate::problem::Refusal;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::delete("/api/v1/me/data", "people", erase_own)
            .about("Erases all that is kept of you: tasks, logs, outputs, files. There is no way back.")
            .query("confirm", "string", "Your user id, as `/api/v1/me` says it.")
            .answers(202, "It has begun.", Body::Json("Erasure")),
        Operation::get("/api/v1/me/data", "people", own)
            .about("How far the last erasure of your data is.")
            .answers(200, "The erasure.", Body::Json("Erasure"))
            .refuses(&[Code::NotFound]),
        Operation::delete("/api/v1/users/{id}/data", "people", erase_any)
            .about("Erases all that is kept of a user; for administrators.")
            .query("confirm", "string", "The user's id once more.")
            .query("account", "string", "`true`: the built-in account too.")
            .answers(202, "It has begun.", Body::Json("Erasure")),
        Operation::get("/api/v1/users/{id}/data", "people", any)
            .about("How far the last erasure of a user's data is; for administrators.")
            .answers(200, "The erasure.", Body::Json("Erasure"))
            .refuses(&[Code::NotFound]),
    ]
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Confirmed {
    confirm: Option<String>,
    account: Option<bool>,
}

/// Whether the caller has named whose data it is; a request that slipped has not.
fn confirmed(uri: &Uri, user: &UserId) -> Result<Confirmed, Refusal> {
    let asked: Confirmed = query(uri)?;
    if asked.confirm.as_deref() == Some(user.as_str()) {
        return Ok(asked);
    }
    Err(Refusal::bad_request(format!(
        "This cannot be undone. Say `confirm={user}` if all data of this user is meant."
    )))
}

async fn erase_own(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
) -> Result<(StatusCode, Json<Erasure>), Refusal> {
    check(&caller, Need::EraseOwn)?;
    let user = &caller.0.user;
    if confirmed(&uri, user)?.account.is_some() {
        return Err(Refusal::bad_request("An account is removed by an administrator."));
    }
    let erasure = erasure::begin(&app, user.clone(), false).await?;
    Ok((StatusCode::ACCEPTED, Json(erasure)))
}

async fn own(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Erasure>, Refusal> {
    check(&caller, Need::EraseOwn)?;
    shown(&app, &caller.0.user).await
}

async fn erase_any(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(user): Named,
    uri: Uri,
) -> Result<(StatusCode, Json<Erasure>), Refusal> {
    check(&caller, Need::EraseUsers)?;
    let user = named(&user)?;
    let account = confirmed(&uri, &user)?.account.unwrap_or(false);
    let erasure = erasure::begin(&app, user, account).await?;
    Ok((StatusCode::ACCEPTED, Json(erasure)))
}

async fn any(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(user): Named,
) -> Result<Json<Erasure>, Refusal> {
    check(&caller, Need::EraseUsers)?;
    shown(&app, &named(&user)?).await
}

fn named(user: &str) -> Result<UserId, Refusal> {
    user.parse().map_err(|_| Refusal::not_found())
}

async fn shown(app: &App, user: &UserId) -> Result<Json<Erasure>, Refusal> {
    erasure::of(app, user).await?.map(Json).ok_or_else(Refusal::not_found)
}
