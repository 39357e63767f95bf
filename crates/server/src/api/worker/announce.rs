//! Announcements of remote workers: records of the registry, checked before they are kept.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use tasktonic_core::{Labels, Name, WorkerId};
use tasktonic_protocol::http::BUILT_IN;
use tasktonic_protocol::worker::{Announce, KindRecord, WorkerRecord};
use tasktonic_store::{Expect, Table};

use super::known_as::known_as;
use super::sync::check_version;
use crate::App;
use crate::api::access::{Need, check};
use crate::api::body;
use crate::api::kinds::Schema;
use crate::door::Caller;
use crate::problem::Refusal;

/// Largest announcement, in bytes.
const ANNOUNCE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Kinds of one worker.
pub(super) const KINDS_MAX: usize = 256;
/// Longest name of a machine or a release, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Longest text about a kind, in bytes.
const ABOUT_BYTES_MAX: usize = 4_096;

pub(super) async fn announce(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<StatusCode, Refusal> {
    check(&caller, Need::Work)?;
    let (parts, content) = request.into_parts();
    let Announce { v, mut worker, kinds, leaving } =
        body::read(&app, &caller, &parts, content, ANNOUNCE_BYTES_MAX).await?;
    check_version(v)?;
    let id = check_worker(&worker)?;
    if kinds.len() > KINDS_MAX {
        return Err(Refusal::bad_request(format!("A worker has at most {KINDS_MAX} kinds.")));
    }
    for kind in &kinds {
        check_kind(kind)?;
    }
    let id = known_as(&caller.0.user, &id)?;
    app.api.remote_workers.contact(&*app.store, &app.stop, &id)?;
    worker.id = id.to_string();
    if leaving {
        app.store.registry().delete(Table::Workers, id.as_str()).await?;
        app.api.remote_workers.leave(&id);
        return Ok(StatusCode::NO_CONTENT);
    }
    // Kinds first: a worker that is shown can be submitted to.
    for kind in kinds {
        keep_kind(&app, kind).await?;
    }
    worker.seen_ms = app.clock.now_ms();
    let value = text(&worker)?;
    app.store.registry().put(Table::Workers, id.as_str(), value, Expect::Any).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn text(record: &impl serde::Serialize) -> Result<String, Refusal> {
    serde_json::to_string(record).map_err(|error| Refusal::internal(&error))
}

/// Writes a kind unless it stands there already: its version rises only when it changes.
async fn keep_kind(app: &App, kind: KindRecord) -> Result<(), Refusal> {
    let registry = app.store.registry();
    let before = registry.get(Table::Kinds, &kind.kind).await?;
    let same = before.is_some_and(|entry| {
        serde_json::from_str::<KindRecord>(&entry.value).is_ok_and(|known| known == kind)
    });
    if !same {
        registry.put(Table::Kinds, &kind.kind, text(&kind)?, Expect::Any).await?;
        app.api.kinds.forget(&kind.kind);
    }
    Ok(())
}

fn check_worker(worker: &WorkerRecord) -> Result<WorkerId, Refusal> {
    let id = worker
        .id
        .parse()
        .map_err(|error: tasktonic_core::ids::IdError| Refusal::bad_request(error.to_string()))?;
    if let Err(error) = Labels::new(&worker.labels) {
        return Err(Refusal::bad_request(format!("`labels` of a worker: {error}.")));
    }
    let names = worker.kinds.iter().all(|kind| is_plain(kind));
    let short = worker.host.len() <= NAME_BYTES_MAX && worker.version.len() <= NAME_BYTES_MAX;
    if worker.kinds.len() > KINDS_MAX || !names || !short {
        return Err(Refusal::bad_request(format!(
            "A worker has at most {KINDS_MAX} kinds, each a kind's name; host and version have at \
             most {NAME_BYTES_MAX} bytes."
        )));
    }
    Ok(id)
}

/// Whether a text is a name, without labels: those of a queue come from what its tasks need.
fn is_plain(text: &str) -> bool {
    text.parse::<Name>().is_ok_and(|name| name.is_plain())
}

fn check_kind(kind: &KindRecord) -> Result<(), Refusal> {
    let refuse = |what: String| Err(Refusal::bad_request(what));
    if !is_plain(&kind.kind) || !is_plain(&kind.queue) {
        return refuse("A kind and its queue are 1 to 64 characters of A-Z a-z 0-9 _ . -".into());
    }
    let name = &kind.kind;
    if name.starts_with(BUILT_IN) || kind.queue.starts_with(BUILT_IN) {
        return refuse(format!(
            "Kinds and queues that begin with `{BUILT_IN}` are the product's own."
        ));
    }
    let short = |text: &Option<String>| text.as_ref().is_none_or(|t| t.len() <= ABOUT_BYTES_MAX);
    if !short(&kind.title) || !short(&kind.description) {
        return refuse(format!(
            "Title and description of `{name}` have at most {ABOUT_BYTES_MAX} bytes."
        ));
    }
    if let Some(fault) = kind.policy().faults().first() {
        let (place, detail) = (fault.pointer.trim_start_matches('/'), &fault.detail);
        return refuse(format!("`{place}` of `{name}` {detail}."));
    }
    if let Err(error) = Labels::new(&kind.needs) {
        return refuse(format!("`needs` of `{name}`: {error}."));
    }
    if let Some(fault) = kind.fault_of_places() {
        return refuse(format!("`places` of `{name}` {fault}."));
    }
    match Schema::compile(&kind.schema) {
        Ok(_) => Ok(()),
        Err(fault) => refuse(format!("The schema of `{name}` cannot be used: {fault}")),
    }
}
