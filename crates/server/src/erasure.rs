//! Erasing a user: what is done in which order, and the record that says how far it is. The record is
//! found by a digest of who it was, so that it tells whoever asks for that user and nobody else; the
//! user's id stands in it only as long as there is something to do.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tasktonic_core::UserId;
use tasktonic_core::command::Control;
use tasktonic_core::reply::Controlled;
use tasktonic_core::routing::partition_of;
use tasktonic_protocol::http::{Erasure, ErasureState};
use tasktonic_protocol::time::rfc3339;
use tasktonic_store::{Error, Expect, Query, QueryReply, Table};

use crate::App;
use crate::problem::Refusal;

/// How often the files of the store are tried to be written anew before that is left to the next
/// hour.
const REWRITE_TRIES: u32 = 5;

/// A record of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    state: ErasureState,
    /// Who, while there is something to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    asked_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done_ms: Option<i64>,
    tasks: u64,
    files: u64,
    account: bool,
}

impl Record {
    fn shown(&self) -> Erasure {
        Erasure {
            state: self.state,
            asked_at: rfc3339(self.asked_ms),
            done_at: self.done_ms.map(rfc3339),
            tasks: self.tasks,
            files: self.files,
            account: self.account,
        }
    }
}

/// Where the record of a user is: it names nobody.
fn key_of(user: &UserId) -> String {
    let digest = Sha256::digest(user.as_str().as_bytes());
    digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// How far the erasure of a user is, the last that was asked for.
pub(crate) async fn of(app: &App, user: &UserId) -> Result<Option<Erasure>, Refusal> {
    let entry = app.store.registry().get(Table::Erasures, &key_of(user)).await?;
    let Some(entry) = entry else { return Ok(None) };
    let record: Record =
        serde_json::from_str(&entry.value).map_err(|error| Refusal::internal(&error))?;
    Ok(Some(record.shown()))
}

/// Begins to erase a user; one that is under way goes on.
pub(crate) async fn begin(app: &Arc<App>, user: UserId, account: bool) -> Result<Erasure, Refusal> {
    let key = key_of(&user);
    let counts = Query::Counts { user: user.clone() };
    let p = partition_of(&user, app.store.partitions());
    let tasks = match app.store.read(p, counts).await? {
        QueryReply::Counts(counts) => counts.all(),
        _ => 0,
    };
    let record = Record {
        state: ErasureState::Removing,
        user: Some(user.to_string()),
        asked_ms: app.clock.now_ms(),
        done_ms: None,
        tasks,
        files: 0,
        account,
    };
    keep(app, &key, &record).await?;
    let (app, mut going) = (app.clone(), record.clone());
    tokio::spawn(async move {
        let stop = app.stop.clone();
        // One that is broken off goes on when a server starts.
        tokio::select! {
            () = stop.cancelled() => {}
            () = go_on(&app, &key, &mut going) => {}
        }
    });
    Ok(record.shown())
}

/// Goes on with what a server that ended has left. Doing it twice does no harm.
pub(crate) async fn resume(app: &App) {
    let entries = match app.store.registry().list(Table::Erasures).await {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!(%error, "users who are to be erased could not be looked for");
            return;
        }
    };
    for entry in entries {
        if let Ok(mut record) = serde_json::from_str::<Record>(&entry.value)
            && record.state != ErasureState::Done
        {
            go_on(app, &entry.key, &mut record).await;
        }
    }
}

async fn keep(app: &App, key: &str, record: &Record) -> Result<(), Error> {
    let text = serde_json::to_string(record).expect("strings and numbers serialise");
    app.store.registry().put(Table::Erasures, key, text, Expect::Any).await?;
    Ok(())
}

async fn go_on(app: &App, key: &str, record: &mut Record) {
    match carry_out(app, key, record).await {
        Ok(()) => tracing::info!(record = key, "erased a user"),
        Err(why) => {
            tracing::warn!(record = key, %why, "a user is not erased yet; it goes on later")
        }
    }
}

async fn carry_out(app: &App, key: &str, record: &mut Record) -> Result<(), String> {
    let said = |error: Error| error.to_string();
    if let Some(user) = record.user.take() {
        let user: UserId = user.parse().map_err(|_| "its record cannot be read".to_owned())?;
        // Tasks first: no worker keeps a file for one that is gone.
        remove_tasks(app, &user).await.map_err(said)?;
        record.files += app.files.erase(&user).await.map_err(|error| error.to_string())?;
        app.store.registry().delete(Table::Files, user.as_str()).await.map_err(said)?;
        if record.account {
            app.identity.forget(&user).await.map_err(|error| error.to_string())?;
        }
        record.state = ErasureState::Rewriting;
        keep(app, key, record).await.map_err(said)?;
    }
    let mut rewritten = app.store.compact().await;
    for _ in 1..REWRITE_TRIES {
        if rewritten != Err(Error::Busy) {
            break;
        }
        rewritten = app.store.compact().await;
    }
    rewritten.map_err(said)?;
    record.state = ErasureState::Done;
    record.done_ms = Some(app.clock.now_ms());
    keep(app, key, record).await.map_err(said)
}

async fn remove_tasks(app: &App, user: &UserId) -> Result<(), Error> {
    let p = partition_of(user, app.store.partitions());
    loop {
        let answers = app.store.control(p, Control::Erase { user: user.clone() }).await?;
        if answers.first() != Some(&Controlled::Changed) {
            return Ok(());
        }
    }
}
