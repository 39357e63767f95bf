//! Why a task does not run: the word of the engine's own gate, and whether anybody knows its kind.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tasktonic_core::gate::{Gate, Paused, gate};
use tasktonic_core::{Labels, Name, TaskId, UserId};
use tasktonic_protocol::http::{Why, WhyReason};
use tasktonic_protocol::priority::Priority;
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::status::TaskStatus;
use tasktonic_protocol::task::Task;
use tasktonic_protocol::worker::WorkerRecord;
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

/// Of a low task that waits for its turn.
const BEHIND_HIGHER: &str = "Nothing is in its way: it starts when its turn comes and a worker has \
                             room. It has low priority, so your other tasks of its queue go first, \
                             but for one of 8 turns.";

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/tasks/{id}/why", "tasks", tell)
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

async fn tell(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
) -> Result<Json<Why>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let (task_id, user) = (id(&task)?, &caller.0.user);
    let task = shown(&app, &known(&app, user, task_id).await?, false)?;
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
                Gate::QueueLimit { max, .. } => {
                    // What runs in all partitions; what this one may is a part of it.
                    let running = turns(&app, &[queue]).await?.first().and_then(|of| of.running);
                    let running_max = facts.queue.running_total_max.or(Some(max));
                    return Ok(Json(Why { running, running_max, ..why(WhyReason::QueueLimit) }));
                }
                Gate::Rate { good_in_ms } => {
                    return Ok(Json(Why { good_in_ms: Some(good_in_ms), ..why(WhyReason::Rate) }));
                }
                Gate::Open => return unhindered(&app, &task, queue).await.map(Json),
                Gate::QueueRate { good_in_ms } => {
                    let good_in_ms = Some(good_in_ms);
                    return Ok(Json(Why { good_in_ms, ..why(WhyReason::QueueRate) }));
                }
            }
        }
    };
    Ok(Json(why(plain)))
}

/// A reason, and nothing beside it.
fn why(reason: WhyReason) -> Why {
    Why {
        reason,
        text: reason.text().to_owned(),
        run_at: None,
        behind: None,
        users_waiting: None,
        waits_for: Vec::new(),
        labels: Vec::new(),
        places: None,
        places_max: None,
        running: None,
        running_max: None,
        good_in_ms: None,
    }
}

/// What is in the way of a task of a user who may start one: nobody takes it, or not just now.
async fn unhindered(app: &Arc<App>, task: &Task, queue: Name) -> Result<Why, Refusal> {
    let workers = workers_alive(app).await?;
    let knows = |worker: &&WorkerRecord| worker.kinds.contains(&task.kind);
    let had: Vec<Labels> = workers.iter().filter(knows).map(|w| w.has()).collect();
    if had.is_empty() {
        return Ok(why(WhyReason::NoWorker));
    }
    let needed = queue.labels();
    let labels = missing(&had, &needed);
    if !labels.is_empty() {
        let text = without(&labels);
        return Ok(Why { text, labels, ..why(WhyReason::NoWorkerWithLabel) });
    }
    let places = app.api.kinds.places(&*app.store, &task.kind).await?;
    let takes = workers.iter().filter(|worker| worker.takes(&task.kind, &needed));
    let most = takes.map(|worker| worker.concurrency).max().unwrap_or(0);
    let (places, places_max) = if places > 1 { (Some(places), Some(most)) } else { (None, None) };
    if places.is_some_and(|places| places > most) {
        let text = format!("{} {}", WhyReason::NoWorkerWithPlaces.text(), says(places, most));
        let reason = why(WhyReason::NoWorkerWithPlaces);
        return Ok(Why { text, places, places_max, ..reason });
    }
    let users_waiting = turns(app, &[queue]).await?.first().map(|of| of.users);
    let reason = why(WhyReason::Turn);
    let text = match task.priority {
        Priority::Low => BEHIND_HIGHER,
        Priority::High | Priority::Normal => &reason.text,
    };
    let text = format!("{text} {}", says(places, most)).trim_end().to_owned();
    Ok(Why { users_waiting, text, places, places_max, ..reason })
}

/// How many places it takes, where that is told, in a sentence.
fn says(places: Option<u32>, most: u32) -> String {
    let says = |places| {
        format!("It takes {places} places of a worker; the largest that takes its kind has {most}.")
    };
    places.map(says).unwrap_or_default()
}

/// What is missing for tasks that need `needed`, where workers have what is `had`: the labels that
/// nobody has; all of them where each is had, but never all by one; none where somebody has all.
fn missing(had: &[Labels], needed: &Labels) -> Vec<String> {
    if had.iter().any(|labels| labels.have(needed)) {
        return Vec::new();
    }
    let nobodys = |label: &&str| !had.iter().flat_map(Labels::iter).any(|one| one == *label);
    let missing: Vec<String> = needed.iter().filter(nobodys).map(ToOwned::to_owned).collect();
    if missing.is_empty() { needed.texts() } else { missing }
}

/// The reason in a sentence that names the labels.
fn without(labels: &[String]) -> String {
    let (word, last) = match labels {
        [_] => ("label", ""),
        _ => ("labels", " together"),
    };
    let names: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
    let names = names.join(", ");
    format!("No worker that is at work now and knows its kind has the {word} {names}{last}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_what_nobody_has_or_nobody_has_together() {
        let of = |text: &str| Labels::new(text.split_whitespace()).unwrap();
        let says = |had: &[&str], needed: &str| {
            let had: Vec<Labels> = had.iter().map(|text| of(text)).collect();
            missing(&had, &of(needed)).join(" ")
        };
        assert_eq!(says(&[""], ""), "");
        assert_eq!(says(&["", "eu gpu"], "gpu"), "");
        assert_eq!(says(&["", "eu"], "gpu"), "gpu");
        assert_eq!(says(&["eu"], "eu gpu"), "gpu");
        assert_eq!(says(&["eu", "gpu"], "eu gpu"), "eu gpu");
        assert_eq!(says(&[""], "eu gpu"), "eu gpu");
    }
}
