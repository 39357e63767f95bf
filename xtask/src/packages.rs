//! Debian packages: what is there, and how to get the rest.

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
    run::run(
        "apt-get install",
        apt().args(["-q", "install", "-y", "--no-install-recommends"]).args(packages),
    )?;
    Ok(())
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
