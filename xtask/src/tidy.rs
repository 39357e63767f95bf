//! `cargo xtask tidy`: the rules of this repository as ordinary code. A rule that nobody checks
//! is a wish; each module here is one rule, and says what to do about what it found.

mod absences;
mod arrows;
mod claims;
mod exceptions;
mod files;
mod hygiene;
mod licences;
mod rust_text;
mod vocabulary;

use anyhow::{Result, bail};

use crate::run;

/// What one rule has found: a line for each, `path:line: what, and what to do`.
pub(crate) type Findings = Vec<String>;

pub(crate) fn tidy() -> Result<()> {
    check()?;
    run::say("tidy: nothing found");
    Ok(())
}

/// Every rule.
///
/// # Errors
/// All that was found, at once.
pub(crate) fn check() -> Result<()> {
    let exceptions = exceptions::read()?;
    let mut findings = arrows::check()?;
    findings.extend(absences::check());
    findings.extend(vocabulary::check(&exceptions));
    findings.extend(files::check(&exceptions));
    findings.extend(hygiene::check());
    findings.extend(licences::check()?);
    findings.extend(claims::check()?);
    findings.extend(exceptions.unused());
    if findings.is_empty() {
        return Ok(());
    }
    bail!("tidy found {}:\n  {}", findings.len(), findings.join("\n  "))
}
