//! The handlers of this installation: those we ship, as configured, and programs of its own.

use anyhow::{Context, Result};
use tasktonic_handlers::{ExecKind, HandlersConfig};

use crate::config::Config;

/// The handlers that a configuration describes.
pub(crate) fn of(config: &Config) -> Result<HandlersConfig> {
    let exec = ExecKind::parse_all(&config.text, &config.base).context("in the configuration")?;
    Ok(HandlersConfig { exec, ..config.file.handlers.clone() })
}
