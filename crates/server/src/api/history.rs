//! What became of a task so far: its attempts and its log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Deserialize;
use tasktonic_protocol::http::{Attempt, AttemptList, LogLine, LogPage};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::stored::{self, AttemptRecord};
use tasktonic_protocol::time::rfc3339;
use tasktonic_store::limits::LOGS_MAX;
use tasktonic_store::{Query, QueryReply, change};

use super::access::{Need, check};
use super::operation::{Body, Operation};
use super::read::{Named, id, known, out_of_kind, query};
use super::submit::partition;
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

/// Log lines in an answer unless the request says otherwise.
const LINES_DEFAULT: u32 = 1_000;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/tasks/{id}/attempts", "tasks", attempts)
            .about("Who tried, when, and how it ended; oldest first.")
            .answers(200, "The attempts, with the present one.", Body::Json("AttemptList"))
            .refuses(&[Code::NotFound]),
        Operation::get("/api/v1/tasks/{id}/logs", "tasks", logs)
            .about("Lines of the task's log.")
            .query("after", "integer", "Only lines above this number.")
            .query("limit", "integer", "Lines, 1 to 10,000; 1,000 unless said.")
            .answers(200, "The lines in order.", Body::Json("LogPage"))
            .refuses(&[Code::NotFound]),
    ]
}

fn attempt(record: AttemptRecord) -> Attempt {
    let ended = record.o != "running";
    let duration = record.st.map(|start| record.en.saturating_sub(start).max(0).unsigned_abs());
    Attempt {
        number: record.a,
        outcome: record.o,
        worker: record.wk,
        started_at: record.st.map(rfc3339),
        ended_at: ended.then(|| rfc3339(record.en)),
        duration_ms: duration.filter(|_| ended),
        error: record.err,
    }
}

async fn attempts(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
) -> Result<Json<AttemptList>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let (task, user) = (id(&task)?, &caller.0.user);
    let stored = known(&app, user, task).await?;
    let ask = Query::Attempts { user: user.clone(), task };
    let QueryReply::Attempts(rows) = app.store.read(partition(&app, user), ask).await? else {
        return Err(out_of_kind());
    };
    let read = |row: tasktonic_store::AttemptRow| {
        serde_json::from_str::<AttemptRecord>(&row.text)
            .map_err(|error| Refusal::internal(&format!("task {task}: {error}")))
    };
    let mut attempts =
        rows.into_iter().map(|row| read(row).map(attempt)).collect::<Result<Vec<_>, _>>()?;
    attempts.extend(change::last_attempt(&stored)?.map(attempt));
    Ok(Json(AttemptList { attempts }))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LogsQuery {
    after: Option<u32>,
    limit: Option<u32>,
}

async fn logs(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
    uri: Uri,
) -> Result<Json<LogPage>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let LogsQuery { after, limit } = query(&uri)?;
    let limit = limit.unwrap_or(LINES_DEFAULT);
    if !(1..=LOGS_MAX).contains(&limit) {
        return Err(Refusal::bad_request(format!("`limit` is 1 to {LOGS_MAX}.")));
    }
    let (task, user) = (id(&task)?, &caller.0.user);
    known(&app, user, task).await?;
    let ask = Query::Logs { user: user.clone(), task, after: after.unwrap_or(0), limit };
    let QueryReply::Logs(found) = app.store.read(partition(&app, user), ask).await? else {
        return Err(out_of_kind());
    };
    let line = |row: &tasktonic_store::LogRow| {
        serde_json::from_str::<stored::LogLine>(&row.text)
            .map(|line| LogLine {
                n: row.number,
                at: rfc3339(line.at),
                level: line.l,
                text: line.x,
            })
            .map_err(|error| Refusal::internal(&format!("log of task {task}: {error}")))
    };
    let lines = found.lines.iter().map(line).collect::<Result<_, _>>()?;
    let capped = found.first > 1;
    Ok(Json(LogPage { lines, first: found.first, last: found.last, capped }))
}
