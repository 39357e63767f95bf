//! The JavaScript half: packages, and the web build, each done again only when it must be.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{places, run, sources};

/// What the pages are built from.
const WEB_SOURCES: &[&str] =
    &["web", "sdk/typescript", "package.json", "package-lock.json", "tsconfig.json"];

/// Makes `node_modules` what the lock file says.
///
/// # Errors
/// When npm fails.
pub(crate) fn packages() -> Result<bool> {
    if packages_agree().unwrap_or(false) {
        return Ok(false);
    }
    run::run("npm packages", run::program("npm").args(["ci", "--no-audit", "--no-fund"]))?;
    Ok(true)
}

/// Whether what npm noted when it installed agrees with the lock file, package by package.
fn packages_agree() -> Result<bool> {
    let wanted = locked("package-lock.json")?;
    let there = locked("node_modules/.package-lock.json")?;
    let root = places::root();
    Ok(wanted.iter().all(|(path, package)| {
        if package.optional {
            // For another system, perhaps; npm decides.
            return there.get(path).is_none_or(|found| found.version == package.version);
        }
        if package.link {
            return root.join(path).exists();
        }
        there.get(path).is_some_and(|found| found.version == package.version)
            && root.join(path).is_dir()
    }))
}

struct Locked {
    version: String,
    optional: bool,
    link: bool,
}

fn locked(file: &str) -> Result<BTreeMap<String, Locked>> {
    let text =
        std::fs::read_to_string(places::root().join(file)).with_context(|| file.to_owned())?;
    let lock: Value = serde_json::from_str(&text).with_context(|| file.to_owned())?;
    let packages = lock["packages"].as_object().with_context(|| format!("{file}: no packages"))?;
    Ok(packages
        .iter()
        .filter(|(path, _)| path.contains("node_modules/"))
        .map(|(path, package)| {
            let flag = |name: &str| package[name].as_bool().unwrap_or(false);
            let locked = Locked {
                version: package["version"].as_str().unwrap_or_default().to_owned(),
                optional: flag("optional") || flag("devOptional") || flag("peer"),
                link: flag("link"),
            };
            (path.clone(), locked)
        })
        .collect())
}

/// Builds the pages unless the sources are those of the last build. Says whether it built.
///
/// # Errors
/// When the build fails or leaves no server behind.
pub(crate) fn web() -> Result<bool> {
    let stamp = places::scratch().join("web.stamp");
    let now = format!("{:016x}", fingerprint()?);
    let before = std::fs::read_to_string(&stamp).unwrap_or_default();
    if before == now && places::web_server().is_some() {
        return Ok(false);
    }
    // A build that is cut short must not leave the stamp of the one before.
    let _ = std::fs::remove_file(&stamp);
    let mut build = run::program("npm");
    build.args(["run", "build"]).env("NEXT_TELEMETRY_DISABLED", "1").env("NODE_ENV", "production");
    // What several servers of these pages must agree on (web/scripts/build.mjs makes the key).
    build.env("NEXT_DEPLOYMENT_ID", &now).env("TASKTONIC_PAGES_KEY_FILE", key_file());
    run::run("pages", &mut build)?;
    if places::web_server().is_none() {
        bail!("the build of web/ left no server.js under web/.next/standalone");
    }
    std::fs::create_dir_all(places::scratch())?;
    std::fs::write(&stamp, now)?;
    Ok(true)
}

/// Where the key is that Server Actions are sealed with, made at the first build.
fn key_file() -> std::path::PathBuf {
    places::target().join("pages/server-actions.key")
}

fn fingerprint() -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for file in sources::under(WEB_SOURCES) {
        file.hash(&mut hasher);
        std::fs::read(places::root().join(&file))
            .with_context(|| file.display().to_string())?
            .hash(&mut hasher);
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_of_unchanged_sources_is_the_same() {
        assert_eq!(fingerprint().unwrap(), fingerprint().unwrap());
    }

    #[test]
    fn the_lock_file_is_read_with_its_packages() {
        let lock = locked("package-lock.json").unwrap();
        assert!(lock.contains_key("node_modules/next"), "{} packages", lock.len());
    }
}
