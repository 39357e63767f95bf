//! Files that no task uses any more are removed: `Files` knows the files, the store knows the
//! tasks, and here the one is asked in the name of the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use tasktonic_core::routing::partition_of;
use tasktonic_core::{TaskId, TaskState, Text, UserId};
use tasktonic_files::{Error, KeptOutput};
use tasktonic_protocol::stored::{OutputFile, StoredState};
use tasktonic_store::{Expect, Query, QueryReply, Store, Table};

use crate::App;

/// When files were last swept, among the users' records of files; no user has this id.
const LAST_SWEEP: &str = ":swept";
/// After a sweep no other server sweeps for this long, ms.
const SWEPT_FOR_MS: i64 = 45 * 60 * 1_000;

/// One sweep over all files. On a thread of its own: it may walk many folders, and its question is
/// not one that may move between threads.
pub(crate) async fn files(app: &Arc<App>) {
    if app.store.is_shared() && !is_ours(app).await {
        return;
    }
    let app = app.clone();
    let here = tokio::runtime::Handle::current();
    let swept = tokio::task::spawn_blocking(move || here.block_on(sweep(&app)));
    if let Err(error) = swept.await {
        tracing::error!(%error, "the sweep over all files broke off");
    }
}

/// Of several servers one sweeps: the first that notes it. Whoever dies in the midst of it leaves
/// the rest to the next hour's.
async fn is_ours(app: &App) -> bool {
    let (registry, now_ms) = (app.store.registry(), app.clock.now_ms());
    let known = match registry.get(Table::Files, LAST_SWEEP).await {
        Ok(known) => known,
        Err(error) => {
            tracing::warn!(%error, "files could not be swept");
            return false;
        }
    };
    let last_ms = known.as_ref().and_then(|entry| entry.value.parse::<i64>().ok());
    if last_ms.is_some_and(|at| (at..at.saturating_add(SWEPT_FOR_MS)).contains(&now_ms)) {
        return false;
    }
    let expect = known.map_or(Expect::Absent, |entry| Expect::Version(entry.version));
    let put = registry.put(Table::Files, LAST_SWEEP, now_ms.to_string(), expect).await;
    matches!(put, Ok(Some(_)))
}

async fn sweep(app: &App) {
    let exists = async |tasks| exist(app.store.clone(), tasks).await;
    let is_vain = async |kept| is_vain(app.store.clone(), kept).await;
    match app.files.sweep(app.clock.now_ms(), exists, is_vain).await {
        Ok(swept) if swept.files + swept.uses + swept.leftovers > 0 => {
            let (files, bytes) = (swept.files, swept.bytes);
            tracing::info!(files, bytes, "removed files that no task uses");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "files could not be swept"),
    }
}

/// Which of these files can never be the output of their task any more: it ended with another or
/// with none, or goes on under a later claim.
async fn is_vain(store: Arc<dyn Store>, kept: Vec<KeptOutput>) -> Result<Vec<bool>, Error> {
    let mut answers = Vec::with_capacity(kept.len());
    // A sweep asks user by user.
    for same in kept.chunk_by(|one, other| one.user == other.user) {
        let user = &same[0].user;
        let query =
            Query::Tasks { user: user.clone(), tasks: same.iter().map(|one| one.task).collect() };
        let reply = store.read(partition_of(user, store.partitions()), query).await;
        let found = match reply.map_err(|error| Error::Unavailable(error.to_string()))? {
            QueryReply::Tasks(found) => found,
            _ => return Err(Error::Unavailable("the store answered another question".into())),
        };
        let states: BTreeMap<TaskId, Option<Text>> =
            found.into_iter().map(|task| (task.id, task.state)).collect();
        answers.extend(same.iter().map(|one| match states.get(&one.task) {
            Some(Some(state)) => can_never_be(state, one),
            // Untouched, or gone since it was asked whether it exists: the next sweep knows.
            Some(None) | None => false,
        }));
    }
    Ok(answers)
}

/// Whether a task in this state can never end with this file. What cannot be read may.
fn can_never_be(state: &str, kept: &KeptOutput) -> bool {
    let Ok(stored) = serde_json::from_str::<StoredState>(state) else { return false };
    let is_over = TaskState::from_name(&stored.s).is_some_and(TaskState::is_terminal);
    let its_file = OutputFile::of(state).map(|named| named.file);
    let is_it = its_file.is_some_and(|file| file == kept.file.to_string());
    !is_it && (is_over || stored.c > kept.claim)
}

/// Which of these tasks there are, in order.
async fn exist(store: Arc<dyn Store>, tasks: Vec<(UserId, TaskId)>) -> Result<Vec<bool>, Error> {
    let mut shares: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (at, (user, _)) in tasks.iter().enumerate() {
        shares.entry(partition_of(user, store.partitions())).or_default().push(at);
    }
    // What nobody answers for is taken to exist: nothing is removed on a guess.
    let mut answers = vec![true; tasks.len()];
    for (p, places) in shares {
        let asked = places.iter().map(|at| tasks[*at].clone()).collect();
        let reply = store.read(p, Query::Exist { tasks: asked }).await;
        match reply.map_err(|error| Error::Unavailable(error.to_string()))? {
            QueryReply::Exist(found) if found.len() == places.len() => {
                for (at, there) in places.into_iter().zip(found) {
                    answers[at] = there;
                }
            }
            _ => return Err(Error::Unavailable("the store answered another question".into())),
        }
    }
    Ok(answers)
}
