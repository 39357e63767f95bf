//! Waiting for the end of a task: the answer is held until it has ended or the time is over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serde::Deserialize;
use tasktonic_core::UserId;
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::task::Task;
use tasktonic_store::{EventStream, UserEvent};
use tokio::time::{Instant, timeout_at};

use super::access::{Need, check};
use super::operation::{Body, Operation};
use super::read::{Named, id, known, query, shown};
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

/// How long an answer is held unless the request says otherwise, ms.
const WAIT_MS_DEFAULT: u64 = 20_000;
/// The longest an answer is held, ms; who asks for more is answered after this.
const WAIT_MS_MAX: u64 = 60_000;
/// Waiting requests of one user at once.
pub(super) const WAITS_PER_USER_MAX: usize = 200;
/// When to come back with one wait too many, in seconds.
const WAITS_RETRY_S: u64 = 5;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/tasks/{id}/wait", "tasks", wait)
            .about("The task once it has ended, or as it is when the time is over.")
            .query(
                "timeout_ms",
                "integer",
                "How long to wait; at most 60,000, and 20,000 unless said.",
            )
            .answers(200, "The task.", Body::Json("Task"))
            .refuses(&[Code::NotFound]),
    ]
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WaitQuery {
    timeout_ms: Option<u64>,
}

/// Counts the waiting requests of each user.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<HashMap<UserId, usize>>);

/// One waiting request; counted until it is dropped.
struct Waiting<'a> {
    waits: &'a Waits,
    user: UserId,
}

impl Waits {
    fn begin(&self, user: &UserId) -> Option<Waiting<'_>> {
        let mut waits = self.0.lock();
        let count = waits.entry(user.clone()).or_default();
        if *count >= WAITS_PER_USER_MAX {
            return None;
        }
        *count += 1;
        Some(Waiting { waits: self, user: user.clone() })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waits = self.waits.0.lock();
        if let Some(count) = waits.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                waits.remove(&self.user);
            }
        }
    }
}

async fn wait(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
    uri: Uri,
) -> Result<Json<Task>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let wait_ms = query::<WaitQuery>(&uri)?.timeout_ms.unwrap_or(WAIT_MS_DEFAULT);
    let (task, user) = (id(&task)?, &caller.0.user);
    let until = Instant::now() + Duration::from_millis(wait_ms.min(WAIT_MS_MAX));
    let Some(_waiting) = app.api.waits.begin(user) else {
        let detail = format!(
            "At most {WAITS_PER_USER_MAX} waits at once; the socket follows any number of tasks."
        );
        return Err(Refusal::new(Code::TooManyRequests, detail).retry_after(WAITS_RETRY_S));
    };
    // Listen first, then look: nothing can end in between unnoticed.
    let mut events = app.store.events(user);
    let needle = format!("\"{task}\"");
    // Progress is no event that ends a wait: what is answered in the end is read then.
    let mut is_over = wait_ms == 0;
    loop {
        let stored = known(&app, user, task).await?;
        let now = shown(&app, &stored, true)?;
        if is_over || now.ended_at.is_some() {
            return Ok(Json(now));
        }
        is_over = !changed(&mut events, &needle, until, &app.stop).await || Instant::now() >= until;
    }
}

/// Waits for an event about the task; false when the time is over or the server stops.
async fn changed(
    events: &mut EventStream,
    needle: &str,
    until: Instant,
    stop: &tokio_util::sync::CancellationToken,
) -> bool {
    loop {
        let event = tokio::select! {
            event = timeout_at(until, events.next()) => event,
            () = stop.cancelled() => return false,
        };
        match event {
            Err(_) | Ok(None) => return false,
            Ok(Some(UserEvent::Logged { text, .. })) if text.contains(needle) => return true,
            Ok(Some(UserEvent::Lagged)) => return true,
            Ok(Some(_)) => {}
        }
    }
}
