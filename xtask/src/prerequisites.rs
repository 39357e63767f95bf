//! What must be on the machine before anything is built.

use anyhow::{Context, Result, bail};

use crate::run;

/// The oldest Node.js that Next.js 16 runs on.
const NODE_AT_LEAST: (u32, u32) = (20, 9);

/// Whether Rust's companions and a C compiler are there.
///
/// # Errors
/// Names what is missing and how to get it.
pub(crate) fn for_rust() -> Result<()> {
    run::ask(run::program("cc").arg("--version")).context(
        "a C compiler is needed for SQLite and the cryptography (Debian: apt-get install gcc \
         libc6-dev; macOS: xcode-select --install)",
    )?;
    Ok(())
}

/// Whether Node.js and npm are there and new enough.
///
/// # Errors
/// Names what is missing and how to get it.
pub(crate) fn for_node() -> Result<()> {
    let how = "Node.js 20.9 or newer with npm is needed for the pages: https://nodejs.org, or your \
               version manager (`nvm install 20`)";
    let version = run::ask(run::program("node").arg("--version")).context(how)?;
    if version_of(&version).is_none_or(|found| found < NODE_AT_LEAST) {
        bail!("this is Node.js {}: {how}", version.trim());
    }
    run::ask(run::program("npm").arg("--version")).context(how)?;
    Ok(())
}

fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version_of("v20.10.0\n").unwrap() > NODE_AT_LEAST);
        assert!(version_of("v18.19.0").unwrap() < NODE_AT_LEAST);
        assert_eq!(version_of("next"), None);
    }
}
