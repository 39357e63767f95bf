//! `tasktonic erase`: all that is kept of one user, removed, and its bytes with it.

use std::time::Duration;

use anyhow::{Result, bail};
use tasktonic_client::Client;
use tasktonic_protocol::http::{Erasure, ErasureState};

use crate::api::Remote;
use crate::{bad_use, screen};

/// How often it is asked how far it is.
const ASKED_EVERY: Duration = Duration::from_millis(200);

/// Arguments of `erase`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tasktonic erase --confirm ana                     as ana: your own tasks, logs, outputs, files\n  \
    tasktonic erase --user ana --confirm ana --account    as an administrator\n\n\
    Who you are by your id says GET /api/v1/me. Write an export first if anything is to be kept: \
    tasktonic export --user ana")]
pub(crate) struct Args {
    /// Another user than you, by id; for administrators
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Whose data is meant, once more
    #[arg(long, value_name = "ID")]
    confirm: String,
    /// The built-in account too
    #[arg(long, requires = "user")]
    account: bool,
    /// Print how it ended as the API gives it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) async fn erase(args: Args) -> Result<u8> {
    let Args { user, confirm, account, json, remote } = args;
    if user.as_ref().is_some_and(|user| *user != confirm) {
        return Err(bad_use("--user and --confirm differ; say the same id twice"));
    }
    let client = remote.client()?;
    let mut erasure = match &user {
        Some(user) => client.erase_user(user, account).await?,
        None => client.erase_own(&confirm).await?,
    };
    let asked_at = erasure.asked_at.clone();
    while erasure.state != ErasureState::Done {
        tokio::time::sleep(ASKED_EVERY).await;
        erasure = progress(&client, user.as_deref()).await?;
        if erasure.asked_at != asked_at {
            bail!("it was asked for once more meanwhile; look at that one");
        }
    }
    if json {
        crate::task::print_json(&erasure)?;
    } else {
        let Erasure { tasks, files, .. } = erasure;
        let (tasks, files) = (screen::many(tasks, "task"), screen::many(files, "file"));
        screen::say(&format!("erased: {tasks}, {files}"));
    }
    Ok(crate::DONE)
}

async fn progress(client: &Client, user: Option<&str>) -> Result<Erasure> {
    Ok(match user {
        Some(user) => client.erasure_of_user(user).await?,
        None => client.erasure_of_own().await?,
    })
}
