//! Installs a peer at its pinned versions below the target folder, and nothing anywhere else. A
//! stamp remembers what was installed, so that the second run starts at once.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::program::Launch;
use super::roster::{Language, OURS, Peer};
use super::server::Cores;

/// How much of what an installer said is shown when it fails, bytes.
const SHOWN_BYTES: usize = 800;

/// Where peers are installed.
pub(crate) fn place() -> Result<PathBuf> {
    // This program is in target/release or target/debug, wherever target is.
    let own = std::env::current_exe().context("finding myself")?;
    let target = own.ancestors().nth(2).context("the target folder")?;
    Ok(target.join("peers"))
}

/// Installs it, if it is not, and says how to start it.
pub(crate) fn install(
    peer: &Peer,
    repository: &Path,
    place: &Path,
    cores: &Cores,
) -> Result<Launch> {
    let source = peer.folder(repository);
    let own = place.join(peer.name);
    std::fs::create_dir_all(&own).with_context(|| format!("making {}", own.display()))?;
    let words = match peer.language {
        Language::Python => python(&source, &own)?,
        Language::Node => node(&source, &own)?,
        Language::Rust => rust(peer, repository, place)?,
    };
    // Node looks for its modules beside the program.
    let folder = if peer.language == Language::Node { own } else { source };
    let shared = repository.join("crates/bench/peers/shared");
    Ok(Launch { words, folder, shared, cores: cores.clone() })
}

fn python(source: &Path, own: &Path) -> Result<Vec<PathBuf>> {
    let python = own.join("venv/bin/python");
    let requirements = source.join("requirements.txt");
    once(&requirements, own, || {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(own.join("venv")))?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--requirement"]);
        run(pip.arg(&requirements))
    })?;
    Ok(vec![python, source.join("program.py")])
}

fn node(source: &Path, own: &Path) -> Result<Vec<PathBuf>> {
    for name in ["package.json", "package-lock.json", "program.js"] {
        std::fs::copy(source.join(name), own.join(name))
            .with_context(|| format!("copying {name}"))?;
    }
    once(&source.join("package-lock.json"), own, || {
        let mut npm = Command::new("npm");
        run(npm.args(["ci", "--omit=dev", "--no-audit", "--no-fund"]).current_dir(own))
    })?;
    Ok(vec!["node".into(), own.join("program.js")])
}

fn rust(peer: &Peer, repository: &Path, place: &Path) -> Result<Vec<PathBuf>> {
    let source = peer.folder(repository);
    // Cargo itself knows what has changed.
    let built = place.join("cargo");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--release", "--manifest-path"]);
    cargo.arg(source.join("Cargo.toml")).arg("--target-dir").arg(&built);
    if peer.name == OURS {
        // Ours is built of what the product is built of, whatever that has become.
        let lock = source.join("Cargo.lock");
        std::fs::copy(repository.join("Cargo.lock"), &lock)
            .with_context(|| format!("writing {}", lock.display()))?;
    } else {
        cargo.arg("--locked");
    }
    run(&mut cargo)?;
    Ok(vec![built.join("release").join(format!("peer-{}", peer.name))])
}

/// Does it, unless it was done for the same text of `pins` before.
fn once(pins: &Path, own: &Path, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let text = std::fs::read(pins).with_context(|| format!("reading {}", pins.display()))?;
    let stamp = own.join("installed");
    if std::fs::read(&stamp).is_ok_and(|before| before == text) {
        return Ok(());
    }
    let _ = std::fs::remove_file(&stamp);
    install()?;
    std::fs::write(&stamp, text).with_context(|| format!("writing {}", stamp.display()))
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("starting {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let from = said.len().saturating_sub(SHOWN_BYTES);
    let shown = said.get(from..).unwrap_or_default().trim();
    anyhow::ensure!(output.status.success(), "{name} ended with {}: {shown}", output.status);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_pins_are_installed_once_and_other_ones_again() {
        let folder = tempfile::tempdir().unwrap();
        let pins = folder.path().join("pins");
        let mut times = 0;
        for text in ["a==1", "a==1", "a==2"] {
            std::fs::write(&pins, text).unwrap();
            once(&pins, folder.path(), || {
                times += 1;
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(times, 2);
    }

    #[test]
    fn what_could_not_be_installed_is_tried_again_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let pins = folder.path().join("pins");
        std::fs::write(&pins, "a==1").unwrap();
        let fail = || run(Command::new("sh").args(["-c", "echo no such version >&2; exit 1"]));
        let error = once(&pins, folder.path(), fail).unwrap_err().to_string();
        assert!(error.contains("no such version"), "{error}");
        assert!(once(&pins, folder.path(), fail).is_err());
    }
}
