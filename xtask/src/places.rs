//! Where things are in this repository.

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the workspace")
        .to_path_buf()
}

/// Cargo's output folder, also when the environment names another.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Stamps and logs of this tool; may be deleted at any time.
pub(crate) fn scratch() -> PathBuf {
    target().join("xtask")
}

/// The folder that holds the Next.js standalone server's `server.js`, once it is built.
pub(crate) fn web_server() -> Option<PathBuf> {
    let standalone = root().join("web/.next/standalone");
    [standalone.join("web"), standalone].into_iter().find(|dir| dir.join("server.js").is_file())
}
