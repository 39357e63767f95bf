//! `tasktonic task output`: the output of a task as it is, to the screen or into a file.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use futures_util::StreamExt as _;

use crate::api::Remote;
use crate::screen;

/// Whose output, and where to.
#[derive(Args)]
pub(crate) struct Asked {
    /// The task's id
    id: String,
    /// Write it into this file, which is not there yet
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn output(asked: Asked) -> Result<u8> {
    let Asked { id, to, remote } = asked;
    let mut content = remote.client()?.task_output(&id).await?.content;
    let mut into: Box<dyn std::io::Write> = match &to {
        Some(path) => {
            let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
            Box::new(file.with_context(|| format!("{} cannot be made", path.display()))?)
        }
        None => Box::new(std::io::stdout().lock()),
    };
    while let Some(part) = content.next().await {
        let written = part.and_then(|part| into.write_all(&part));
        match (written, &to) {
            // Whoever reads us has enough.
            (Err(error), None) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            (written, _) => written.context("the output broke off")?,
        }
    }
    into.flush().context("the output broke off")?;
    if let Some(path) = to {
        screen::note(&format!("written to {}", path.display()));
    }
    Ok(crate::DONE)
}
