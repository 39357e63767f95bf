//! Programs of the system that a fleet runs, and how to get them.

use std::path::PathBuf;

use anyhow::{Result, bail};

/// The environment variable that names the Redis or Valkey to run.
const REDIS_VARIABLE: &str = "TASKTONIC_REDIS_SERVER";

/// The Redis of this machine, or its Valkey.
pub(crate) fn redis() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(REDIS_VARIABLE).map(PathBuf::from) {
        if !named.is_file() {
            bail!("{REDIS_VARIABLE} names {}, which is no program", named.display());
        }
        return Ok(named);
    }
    match ["redis-server", "valkey-server"].into_iter().find_map(find) {
        Some(program) => Ok(program),
        None => bail!(
            "Redis is not installed. On Debian or Ubuntu:\n\n    sudo apt-get install -y \
             redis-server\n\n(`cargo xtask up --redis` does that by itself when it runs as root; \
             the service that comes with the package is not needed.) Or name a Redis that runs \
             already: TASKTONIC_STORE=redis://HOST:PORT tasktonic up; or a program: \
             {REDIS_VARIABLE}=/path/to/redis-server"
        ),
    }
}

/// The program `name` on the path, or where a system keeps its servers.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
