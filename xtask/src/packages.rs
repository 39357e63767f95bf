//! Debian packages: what is there, and how to get the rest.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::run;
use crate::tools::Tool;

/// The packages of `tools` that this machine lacks.
pub(crate) fn missing(tools: &[Tool]) -> Vec<&'static str> {
    tools.iter().filter(|tool| !is_there(tool)).map(|tool| tool.package).collect()
}

/// Whether packages can be installed the Debian way.
pub(crate) fn has_apt() -> bool {
    run::ask(run::program("apt-get").arg("--version")).is_ok()
}

/// Installs `packages`.
///
/// # Errors
/// When apt fails; its words are in the error.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let apt = || {
        let mut apt = run::program("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    run::run("apt-get update", apt().args(["-q", "update"]))?;
    // Their services are not for this machine: tests start servers of their own, on their own ports.
    let _quiet = NoServices::from_here_on(Path::new(POLICY));
    run::run(
        "apt-get install",
        apt().args(["-q", "install", "-y", "--no-install-recommends"]).args(packages),
    )?;
    Ok(())
}

/// Whom Debian asks whether an installed service may start.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// What it says: no service does.
const NOTHING_STARTS: &[u8] = b"#!/bin/sh\nexit 101\n";

/// As long as it lives, no package starts a service, unless this machine has its own word on that.
struct NoServices(Option<PathBuf>);

impl NoServices {
    fn from_here_on(policy: &Path) -> Self {
        let made =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(policy);
        let written = made.and_then(|mut file| file.write_all(NOTHING_STARTS));
        // One that says the same to the letter is ours too: a Ctrl-C left it.
        let ours =
            written.is_ok() || std::fs::read(policy).is_ok_and(|told| told == NOTHING_STARTS);
        Self(ours.then(|| policy.to_owned()))
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = &self.0 {
            let _ = std::fs::remove_file(policy);
        }
    }
}

fn is_there(tool: &Tool) -> bool {
    let status =
        run::ask(run::program("dpkg-query").args(["-W", "-f=${db:Status-Status}", tool.package]));
    match status {
        Ok(status) if status == "installed" => true,
        _ => tool.program.is_some_and(on_path),
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_stay_off_for_as_long_as_packages_are_installed() {
        let folder = std::env::temp_dir().join(format!("tasktonic-policy-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let policy = folder.join("policy-rc.d");
        let quiet = NoServices::from_here_on(&policy);
        let asked = std::process::Command::new(&policy).args(["nginx", "start"]).status().unwrap();
        assert_eq!(asked.code(), Some(101), "a service may not start");
        drop(quiet);
        assert!(!policy.exists(), "the machine is as it was");
        std::fs::write(&policy, "its own word").unwrap();
        drop(NoServices::from_here_on(&policy));
        assert_eq!(std::fs::read(&policy).unwrap(), b"its own word");
        std::fs::write(&policy, NOTHING_STARTS).unwrap();
        drop(NoServices::from_here_on(&policy));
        assert!(!policy.exists(), "what a Ctrl-C left is removed");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
