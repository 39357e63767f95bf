//! The handlers of this installation: those we ship, as configured, and programs of its own.

use anyhow::{Context, Result};
use tasktonic_handlers::{ExecKind, HandlersConfig, SHIPPED_KINDS};

use crate::bad_use;
use crate::config::Config;

/// The handlers that a configuration describes.
pub(crate) fn of(config: &Config) -> Result<HandlersConfig> {
    let exec = ExecKind::parse_all(&config.text, &config.base).context("in the configuration")?;
    let named = &config.file.handlers.places;
    if let Some(kind) = named.keys().find(|kind| !SHIPPED_KINDS.contains(&kind.as_str())) {
        let known = SHIPPED_KINDS.join(", ");
        return Err(bad_use(format!(
            "in the configuration: [handlers] places: {kind} is none of {known}; an [[exec]] kind \
             has `places` of its own"
        )));
    }
    Ok(HandlersConfig { exec, ..config.file.handlers.clone() })
}
