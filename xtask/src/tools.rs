//! Programs that tests use and a machine may lack.

use anyhow::{Result, bail};

use crate::{packages, run};

/// A Debian package, and a program of it to look for where there is no dpkg.
pub(crate) struct Tool {
    pub(crate) package: &'static str,
    pub(crate) program: Option<&'static str>,
}

/// What the tests need beside Rust and Node.js.
const TOOLS: &[Tool] = &[
    // The end-to-end tests drive a real browser, and look at what it draws.
    Tool { package: "chromium", program: Some("chromium") },
    Tool { package: "fonts-liberation", program: None },
    // Photographs for the example, on every Debian machine the same.
    Tool { package: "mate-backgrounds", program: None },
    // Power cuts: an ext4 image on a loop device.
    Tool { package: "e2fsprogs", program: Some("mkfs.ext4") },
    Tool { package: "mount", program: Some("losetup") },
    // System calls that fail when asked.
    Tool { package: "strace", program: Some("strace") },
    Tool { package: "curl", program: Some("curl") },
    Tool { package: "python3", program: Some("python3") },
];

/// Installs what is missing when that is allowed.
///
/// # Errors
/// When something is missing and we are not root: the exact command to run is in the text.
pub(crate) fn ensure() -> Result<String> {
    for (part, package) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if run::ask(run::cargo().args([part, "--version"])).is_err() {
            run::run(package, run::program("rustup").args(["component", "add", package]))?;
        }
    }
    let missing = packages::missing(TOOLS);
    if missing.is_empty() {
        return Ok("all there".into());
    }
    if !nix::unistd::geteuid().is_root() || !packages::has_apt() {
        bail!(
            "the tests need {}. Install them, then run this again:\n\n    sudo apt-get update && \
             sudo apt-get install -y --no-install-recommends {}\n",
            missing.join(", "),
            missing.join(" ")
        );
    }
    packages::install(&missing)?;
    Ok(format!("installed {}", missing.join(", ")))
}
