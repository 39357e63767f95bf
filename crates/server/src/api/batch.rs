//! Submitting many tasks: each is checked and answered for itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde::Deserialize;
use serde_json::value::RawValue;
use tasktonic_core::UserId;
use tasktonic_core::command::Submit;
use tasktonic_core::limits::SUBMIT_TASKS_MAX;
use tasktonic_protocol::http::{BATCH_TASKS_MAX, BatchItem, BatchReply};
use tasktonic_protocol::problem::Code;
use tasktonic_store::KillPoint;
use tasktonic_store::limits::Together;

use super::access::{Need, check};
use super::operation::{Body, Operation};
use super::submit::{Draft, Reserved, answer, check_one, partition};
use super::{body, json};
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/api/v1/tasks/batch", "tasks", batch)
            .about("Submits up to 1,000 tasks. Good ones are accepted though others are not.")
            .takes(Body::Json("BatchRequest"))
            .answers(200, "What became of each, in order.", Body::Json("BatchReply"))
            .refuses(&[
                Code::PayloadTooLarge,
                Code::MediaTypeUnsupported,
                Code::StoreFull,
                Code::OutcomeUnknown,
                Code::StoreDiskFull,
            ]),
    ]
}

/// `protocol::http::BatchRequest` with tasks not yet read, so that one that is malformed does not
/// refuse the others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unread {
    tasks: Vec<Box<RawValue>>,
}

async fn batch(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Json<BatchReply>, Refusal> {
    check(&caller, Need::SubmitTasks)?;
    let (parts, content) = request.into_parts();
    let Unread { tasks } =
        body::read(&app, &caller, &parts, content, app.limits.body_bytes_max).await?;
    if tasks.is_empty() || tasks.len() > BATCH_TASKS_MAX {
        return Err(Refusal::bad_request(format!("A batch has 1 to {BATCH_TASKS_MAX} tasks.")));
    }
    let user = &caller.0.user;
    let now_ms = app.clock.now_ms();
    let mut results: Vec<Option<Result<tasktonic_protocol::task::Task, Refusal>>> = Vec::new();
    results.resize_with(tasks.len(), || None);
    let mut drafts = Vec::new();
    for (index, raw) in tasks.iter().enumerate() {
        let draft = match json::parse(raw.get().as_bytes()) {
            Ok(asked) => check_one(&app, user, now_ms, asked, Reserved::Refused).await,
            Err(refusal) => Err(refusal),
        };
        match draft {
            Ok(draft) => drafts.push((index, draft)),
            Err(refusal) => results[index] = Some(Err(refusal)),
        }
    }
    for (number, chunk) in together(&drafts).into_iter().enumerate() {
        match store(&app, user, now_ms, chunk).await {
            Ok(answers) => {
                for ((index, _), answer) in chunk.iter().zip(answers) {
                    results[*index] = Some(answer);
                }
            }
            // Nothing was stored yet: one answer for the whole request, which may be repeated.
            Err(refusal) if number == 0 => return Err(refusal),
            Err(refusal) => {
                for (index, _) in chunk {
                    results[*index] = Some(Err(refusal.clone()));
                }
            }
        }
    }
    let item = |(index, result): (usize, Option<Result<_, Refusal>>)| {
        let index = u32::try_from(index).expect("a batch is short");
        let missing = || Err(Refusal::internal(&"the store did not answer for a task of a batch"));
        match result.unwrap_or_else(missing) {
            Ok(task) => BatchItem { index, task: Some(task), error: None },
            Err(refusal) => BatchItem { index, task: None, error: Some(refusal.problem(None)) },
        }
    };
    Ok(Json(BatchReply { results: results.into_iter().enumerate().map(item).collect() }))
}

/// The drafts in order, in as few parts as submits take.
fn together(mut drafts: &[(usize, Draft)]) -> Vec<&[(usize, Draft)]> {
    let mut parts = Vec::new();
    while !drafts.is_empty() {
        let mut keys = Together::default();
        let fits = drafts.iter().take(SUBMIT_TASKS_MAX).take_while(|(_, one)| keys.take(&one.new));
        let (part, rest) = drafts.split_at(fits.count().max(1));
        parts.push(part);
        drafts = rest;
    }
    parts
}

async fn store(
    app: &App,
    user: &UserId,
    now_ms: i64,
    chunk: &[(usize, Draft)],
) -> Result<Vec<Result<tasktonic_protocol::task::Task, Refusal>>, Refusal> {
    let tasks = chunk.iter().map(|(_, draft)| draft.new.clone()).collect();
    let submit = Submit { created_ms: now_ms, tasks };
    let outcomes = app.store.submit(partition(app, user), submit).await?;
    KillPoint::ServerBeforeReply.pass();
    let mut answers = Vec::with_capacity(chunk.len());
    for ((_, draft), outcome) in chunk.iter().zip(outcomes) {
        answers.push(answer(app, user, draft, outcome).await.map(|(_, task)| task));
    }
    Ok(answers)
}
