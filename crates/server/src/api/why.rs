//! Why a task does not run: the word of the engine's own gate, and whether anybody knows its kind.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tasktonic_core::gate::{Gate, Paused, gate};
use tasktonic_core::{Name, TaskId, UserId};
use tasktonic_protocol::http::{Why, WhyReason};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::status::TaskStatus;
use tasktonic_store::{Query, QueryReply};

use super::access::{Need, check};
use super::flow_read::waiting_for;
use super::kinds::workers_alive;
use super::operation::{Body, Operation};
use super::queues::turns;
use super::read::{Named, id, known, out_of_kind, shown};
use super::submit::partition;
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/tasks/{id}/why", "tasks", why)
            .about("What stands in the way of a task that does not run.")
            .answers(200, "The first thing that does.", Body::Json("Why"))
            .refuses(&[Code::NotFound]),
    ]
}

/// The task whose end one waits for because it has the same serial key.
pub(super) async fn turn_before(
    app: &App,
    user: &UserId,
    task: TaskId,
) -> Result<Option<String>, Refusal> {
    let ask = Query::TurnBefore { user: user.clone(), task };
    let QueryReply::TurnBefore(turn) = app.store.read(partition(app, user), ask).await? else {
        return Err(out_of_kind());
    };
    Ok(turn.map(|turn| turn.to_string()))
}

async fn why(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
) -> Result<Json<Why>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let (task_id, user) = (id(&task)?, &caller.0.user);
    let task = shown(&app, &known(&app, user, task_id).await?, false)?;
    let why = |reason: WhyReason| Why {
        reason,
        text: reason.text().to_owned(),
        run_at: None,
        behind: None,
        users_waiting: None,
        waits_for: Vec::new(),
        running: None,
        running_max: None,
        good_in_ms: None,
    };
    let plain = match task.status {
        TaskStatus::Completed | TaskStatus::Failed | TaskStatus::Cancelled => WhyReason::Ended,
        TaskStatus::Running | TaskStatus::Cancelling => WhyReason::Running,
        TaskStatus::Waiting => {
            let Some((text, waits_for)) = waiting_for(&app, user, task_id).await? else {
                return Ok(Json(why(WhyReason::Waiting)));
            };
            return Ok(Json(Why { text, waits_for, ..why(WhyReason::Waiting) }));
        }
        TaskStatus::Scheduled | TaskStatus::Retrying => {
            return Ok(Json(Why { run_at: task.run_at, ..why(WhyReason::Scheduled) }));
        }
        TaskStatus::Queued => {
            let queue: Name = task
                .queue
                .parse()
                .map_err(|_| Refusal::internal(&format!("task {}: its queue is none", task.id)))?;
            let p = partition(&app, user);
            if let Some(turn) = turn_before(&app, user, task_id).await? {
                return Ok(Json(Why { behind: Some(turn), ..why(WhyReason::SerialKey) }));
            }
            let ask = Query::Facts { user: user.clone(), queue: queue.clone() };
            let QueryReply::Facts(facts) = app.store.read(p, ask).await? else {
                return Err(out_of_kind());
            };
            match gate(&facts) {
                Gate::Paused(Paused::Queue) => WhyReason::QueuePaused,
                Gate::Paused(Paused::Operator) => WhyReason::OperatorPaused,
                Gate::Paused(Paused::Owner) => WhyReason::UserPaused,
                Gate::Paused(Paused::UserInQueue) => WhyReason::UserPausedInQueue,
                Gate::UserLimit { running, max } => {
                    let (running, running_max) = (Some(running), Some(max));
                    return Ok(Json(Why { running, running_max, ..why(WhyReason::UserLimit) }));
                }
                Gate::Rate { good_in_ms } => {
                    return Ok(Json(Why { good_in_ms: Some(good_in_ms), ..why(WhyReason::Rate) }));
                }
                Gate::Open => {
                    let workers = workers_alive(&app).await?;
                    if !workers.iter().any(|worker| worker.kinds.contains(&task.kind)) {
                        return Ok(Json(why(WhyReason::NoWorker)));
                    }
                    let users_waiting = turns(&app, &[queue]).await?.first().map(|of| of.users);
                    return Ok(Json(Why { users_waiting, ..why(WhyReason::Turn) }));
                }
            }
        }
    };
    Ok(Json(why(plain)))
}
