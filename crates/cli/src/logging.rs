//! Where log lines go.

use std::fs::{File, OpenOptions};
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What chooses the level, e.g. `info,tasktonic_server=debug`.
const VARIABLE: &str = "TASKTONIC_LOG";

fn filter(default: &str) -> EnvFilter {
    EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(default))
}

/// To standard error: text on a terminal, else one JSON object a line.
pub(crate) fn to_stderr() {
    let registry = tracing_subscriber::registry().with(filter("info"));
    if std::io::stderr().is_terminal() {
        registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr)).init();
    } else {
        let json = tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr);
        registry.with(json).init();
    }
}

/// To `tasktonic.log` in `folder`, one JSON object a line.
pub(crate) fn to_folder(folder: &Path) -> Result<()> {
    let file = log_file(folder, "tasktonic.log")?;
    let json = tracing_subscriber::fmt::layer().json().with_writer(Arc::new(file));
    tracing_subscriber::registry().with(filter("info")).with(json).init();
    Ok(())
}

/// A log file of ours, to be appended to.
pub(crate) fn log_file(folder: &Path, name: &str) -> Result<File> {
    let path = folder.join(name);
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))
}
