//! Queues as their callers see them: what holds there for the caller, whoever set it. Tells nothing
//! of anybody else, and no name of a queue that no kind has and the caller did not say.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Deserialize;
use tasktonic_core::Name;
use tasktonic_core::settings::{Pauses, rate, running_max, waiting_max};
use tasktonic_protocol::http::{BUILT_IN, OwnQueue, OwnQueueList, Pause};

use super::access::{Need, check};
use super::kinds::workers_alive;
use super::operation::{Body, Operation};
use super::queues::{ASKED_MAX, known, shown_rate, view};
use super::read::query;
use super::settings;
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

/// Most queues that one request may name beside those of kinds.
const NAMED_MAX: usize = 100;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/me/queues", "people", list)
            .about("Queues, and what holds for you there.")
            .query("queue", "string", "Also these, up to 100, separated by commas.")
            .answers(200, "Those of kinds and those asked about.", Body::Json("OwnQueueList")),
    ]
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    queue: String,
}

/// The queues that a request names beside those of kinds.
fn named(asked: &str) -> Result<Vec<Name>, Refusal> {
    let names: Vec<&str> = asked.split(',').filter(|name| !name.is_empty()).collect();
    if names.len() > NAMED_MAX {
        return Err(Refusal::bad_request(format!("`queue` is up to {NAMED_MAX} names.")));
    }
    names
        .into_iter()
        .map(|name| {
            name.parse().map_err(|_| {
                Refusal::bad_request("`queue` is names of queues, separated by commas.")
            })
        })
        .collect()
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<OwnQueueList>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let asked: Asked = query(&uri)?;
    let mut known = known(&app).await?;
    // Nobody submits to the product's own.
    known.kinds.retain(|queue, _| !queue.as_str().starts_with(BUILT_IN));
    let names: BTreeSet<Name> = known.kinds.keys().cloned().chain(named(&asked.queue)?).collect();
    let names: Vec<Name> = names.into_iter().collect();
    let (workers, wanted) = (workers_alive(&app).await?, settings::wanted(&app).await?);
    let (user, mut own) = (&caller.0.user, Vec::with_capacity(names.len()));
    let mut pause = Pauses::default();
    // Asked at least once: by whom all work is paused is in every answer.
    let none: &[Name] = &[];
    for names in names.chunks(ASKED_MAX).chain(names.is_empty().then_some(none)) {
        let view = view(&app, user, names.to_vec()).await?;
        pause = view.pauses;
        own.extend(view.settings);
    }
    let queues = names.iter().zip(own).map(|(queue, own)| {
        let (kinds, needs) = (known.kinds_in(queue), queue.labels());
        let set = wanted.queues.get(queue.as_str()).copied().unwrap_or_default();
        let of_all = settings::core(&set);
        OwnQueue {
            queue: queue.to_string(),
            served: workers.iter().any(|one| kinds.iter().any(|kind| one.takes(kind, &needs))),
            kinds,
            paused: set.paused,
            paused_for_you: own.paused,
            weight: own.weight,
            waiting_max: waiting_max(&of_all, &own, app.limits.lane_max),
            running_max: running_max(&of_all, &own),
            rate: rate(&of_all, &own).map(shown_rate),
            turns: set.turns,
        }
    });
    let pause = Pause { paused: pause.any(), by_user: pause.own, by_operator: pause.operator };
    Ok(Json(OwnQueueList { queues: queues.collect(), pause }))
}
