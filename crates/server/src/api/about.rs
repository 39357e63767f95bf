//! Who is asking, and who works.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tasktonic_protocol::http::{Me, WorkerList};
use tasktonic_protocol::time::rfc3339;
use tasktonic_protocol::worker::WorkerRecord;

use super::access::{Need, check};
use super::kinds::workers_alive;
use super::operation::{Body, Operation};
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/me", "people", me).about("Who the token speaks for.").answers(
            200,
            "The caller.",
            Body::Json("Me"),
        ),
        Operation::get("/api/v1/workers", "workers", workers)
            .about("Workers that were heard of lately.")
            .answers(200, "Workers by id.", Body::Json("WorkerList")),
    ]
}

async fn me(Caller(claims): Caller) -> Json<Me> {
    Json(Me {
        user: claims.user.to_string(),
        role: claims.role.to_string(),
        name: claims.name.clone(),
        issuer: claims.issuer.clone(),
        expires_at: rfc3339(claims.expires_s.saturating_mul(1_000)),
        scopes: claims.scopes.clone(),
    })
}

async fn workers(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<WorkerList>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let workers = workers_alive(&app).await?.into_iter().map(WorkerRecord::shown).collect();
    Ok(Json(WorkerList { workers }))
}
