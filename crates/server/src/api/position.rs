//! Where a task stands in its line, and when it will probably start. The store looks, `core`
//! estimates; here both become words of the API.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tasktonic_core::policy::estimate::{Estimate, Line, PROBABILITY, STARTS_MIN, estimate};
use tasktonic_core::{TaskId, UserId};
use tasktonic_protocol::http::{Ahead, StartEstimate, TaskPosition};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::status::TaskStatus;
use tasktonic_protocol::task::Task;
use tasktonic_protocol::time::rfc3339;
use tasktonic_store::{Position, Query, QueryReply};

use super::access::{Need, check};
use super::operation::{Body, Operation};
use super::queues::turns;
use super::read::{Named, id, known, out_of_kind, shown};
use super::submit::partition;
use super::why::turn_before;
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

/// How often a task that moves while it is looked at is looked at again.
const LOOKS_MAX: usize = 3;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/tasks/{id}/position", "tasks", position)
            .about("Where a task stands in its line, and when it will probably start.")
            .answers(200, "Place and time, as of now.", Body::Json("TaskPosition"))
            .refuses(&[Code::NotFound]),
    ]
}

async fn position(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
) -> Result<Json<TaskPosition>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let (task, user) = (id(&task)?, &caller.0.user);
    let mut shown = now(&app, user, task).await?;
    let (mut found, mut behind) = (None, None);
    for _ in 0..LOOKS_MAX {
        if shown.status != TaskStatus::Queued {
            break;
        }
        let ask = Query::Position { user: user.clone(), task };
        let QueryReply::Position(answer) = app.store.read(partition(&app, user), ask).await? else {
            return Err(out_of_kind());
        };
        if answer.is_some() {
            found = answer;
            break;
        }
        behind = turn_before(&app, user, task).await?;
        if behind.is_some() {
            break;
        }
        // It has left the line since it was read.
        shown = now(&app, user, task).await?;
    }
    let now_ms = app.clock.now_ms();
    let start = match (&found, behind, shown.status) {
        (Some(position), ..) => start(position, now_ms),
        (None, Some(task), _) => StartEstimate::Behind { task },
        (None, None, TaskStatus::Scheduled | TaskStatus::Retrying) => {
            shown.run_at.map_or(StartEstimate::NotQueued, |at| StartEstimate::NotBefore { at })
        }
        _ => StartEstimate::NotQueued,
    };
    // Everybody with work in the queue, whichever partition they are in.
    let users = match &found {
        Some(position) => {
            let queue = std::slice::from_ref(&position.queue);
            turns(&app, queue).await?.first().map(|of| of.users)
        }
        None => None,
    };
    let ahead = found.map(|position| Ahead {
        least: position.ahead.0,
        most: position.ahead.1,
        more: position.more,
    });
    let Task { id, status, queue, .. } = shown;
    let at = rfc3339(now_ms);
    Ok(Json(TaskPosition { id, status, queue, ahead, users, start, at }))
}

/// The task as it is now.
async fn now(app: &App, user: &UserId, task: TaskId) -> Result<Task, Refusal> {
    shown(app, &known(app, user, task).await?, false)
}

fn start(position: &Position, now_ms: i64) -> StartEstimate {
    let Position { ahead, more, head_since_ms, starts, .. } = position;
    let line = Line { starts, ahead: *ahead, head_since_ms: *head_since_ms, now_ms };
    match estimate(&line) {
        // A line that stands still does so for everybody in it.
        Estimate::Still(for_ms) => StartEstimate::Still { for_ms },
        _ if *more => StartEstimate::FarBack,
        Estimate::Range { from_ms, to_ms } => {
            StartEstimate::Range { from_ms, to_ms, probability: PROBABILITY }
        }
        Estimate::FewStarts(starts) => StartEstimate::FewStarts {
            starts,
            starts_min: u32::try_from(STARTS_MIN).unwrap_or(u32::MAX),
        },
    }
}
